"""Processes that carry a computation's mark, and how a node ends those that nobody owns any more.

A supervisor is started with ``DISPYTW_COMPUTATION=<mark>`` in its environment, and whatever it starts inherits that. The mark begins with
the computation's uid; what follows tells this launch apart, as another node on the same machine may run the same computation. It is
written to a record in the run directory *before* the supervisor is started, its pid and start time after, so a daemon that is killed at
any moment leaves enough for the next one to find everything. A pid alone is never trusted: the start time tells whether it is still the
same process.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Collection, Iterator

import attrs
import psutil
from twisted.logger import Logger

#: The name of the mark in a process's environment.
MARK = "DISPYTW_COMPUTATION"

_LIMIT = 5.0
_HAS_PROC = sys.platform == "linux"


@attrs.frozen
class Record:
    """A supervisor, as the run directory remembers it.

    :param mark: what it carries.
    :param pid: 0 as long as it is about to be started.
    :param born: when the process started, in a unit of the platform's; only compared.
    """

    mark: bytes
    pid: int = 0
    born: str = ""

    def write(self, path: str) -> None:
        """Replace the file at ``path`` with this record."""
        with open(path + ".new", "w", encoding="ascii") as written:
            written.write(f"{self.mark.hex()} {self.pid} {self.born}\n")
        os.replace(path + ".new", path)

    @classmethod
    def read(cls, path: str) -> Record | None:
        """The record at ``path``, or None when it is torn."""
        with open(path, encoding="ascii", errors="replace") as written:
            words = written.read().split(" ")
        try:
            return cls(bytes.fromhex(words[0]), int(words[1]), words[2].strip())
        except (ValueError, IndexError):
            return None


def born(pid: int) -> str:
    """When the process started, as text that is compared only; empty when it does not live."""
    try:
        if not _HAS_PROC:
            return str(psutil.Process(pid).create_time())
        with open(f"/proc/{pid}/stat", "rb") as status:
            fields = status.read().rpartition(b")")[2].split()
        return "" if fields[0] in b"ZX" else fields[19].decode()
    except (OSError, psutil.Error):
        return ""


def _environments() -> Iterator[tuple[int, bytes]]:
    if not _HAS_PROC:
        for process in psutil.process_iter(["environ"]):
            named = process.info["environ"] or {}
            yield process.pid, f"{MARK}={named.get(MARK, '')}\0".encode()
        return
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as environment:
                yield int(name), environment.read()
        except OSError:
            continue  # gone, or another user's


def carriers(marks: Collection[bytes]) -> list[int]:
    """Process ids of all living processes that carry one of these marks, or one that begins like that; this process excepted."""
    wanted = [f"{MARK}={mark.hex()}".encode() for mark in marks]
    found = []
    for pid, environment in _environments():
        if pid != os.getpid() and any(mark in environment for mark in wanted):
            found.append(pid)
    return found


def kill_carriers(marks: Collection[bytes]) -> int:
    """SIGKILL to every carrier; returns to how many. Ask again until it is 0: they do not die at once."""
    found = carriers(marks)
    for pid in found:
        kill(pid)
    return len(found)


def kill(pid: int) -> None:
    """SIGKILL to a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def sweep_leftovers(run_dir: str, log: Logger, spared: Collection[str] = ()) -> int:
    """End what an earlier incarnation of this node left and nobody takes over: supervisors, all that they started, and their files.

    Called before the node listens; waits up to five seconds for the processes to be gone.

    :param run_dir: the directory given to `Launcher`; everything else in it is removed.
    :param spared: supervisors that are taken over, by the path of their files without an ending.
    :returns: how many processes were ended.
    """
    records = list(_records(run_dir, spared))
    ended: set[int] = set()
    deadline = time.monotonic() + _LIMIT
    while living := _living(records):
        for pid in living:
            kill(pid)
        ended.update(living)
        if time.monotonic() > deadline:
            log.warn("processes {pids} of an earlier run do not end", pids=sorted(living))
            break
        time.sleep(0.01)  # nothing runs yet that could be kept waiting
    if ended:
        log.info("ended {count} processes that an earlier run of this node left", count=len(ended))
    _empty(run_dir, spared)
    return len(ended)


def _records(run_dir: str, spared: Collection[str]) -> Iterator[Record]:
    for name in os.listdir(run_dir):
        if name.endswith(".pid") and os.path.join(run_dir, name[:-4]) not in spared:
            record = Record.read(os.path.join(run_dir, name))
            if record is not None:
                yield record


def _living(records: list[Record]) -> set[int]:
    if not records:
        return set()
    recorded = {record.pid for record in records if record.pid and record.born and born(record.pid) == record.born}
    return recorded.union(carriers({record.mark for record in records}))


def _empty(run_dir: str, spared: Collection[str]) -> None:
    for entry in os.scandir(run_dir):
        if os.path.splitext(entry.path)[0] in spared:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
