"""Processes as the kernel tells of them: who descends from whom, what each has used, and how to end them all."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36

#: Seconds that `end_descendants` leaves to those that clean up after others.
MERCY = 2.0


@dataclass(frozen=True)
class Usage:
    """What was used up.

    :ivar user: CPU seconds in programs.
    :ivar system: CPU seconds in the kernel.
    :ivar faults: page faults that needed no disk.
    """

    user: float = 0.0
    system: float = 0.0
    faults: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.user + other.user, self.system + other.system, self.faults + other.faults)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.user - other.user, self.system - other.system, self.faults - other.faults)


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat.

    :ivar own: what the process has used.
    :ivar children: what those of its children have used that have ended and were waited for.
    :ivar started: the clock's ticks from the machine's start to the process's.
    """

    pid: int
    parent: int
    own: Usage
    children: Usage
    started: int = 0


def read(path: str) -> Process:
    """What this file tells: /proc/PID/stat, or /proc/PID/task/TID/stat.

    :raises OSError: when the process is gone.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        pid, _, rest = file.read().partition(" (")
    fields = rest.rpartition(") ")[2].split()  # the name between may hold anything
    minor, of_children = int(fields[7]), int(fields[8])
    user, system, child_user, child_system = (int(field) / _TICKS for field in fields[11:15])
    return Process(int(pid), int(fields[1]), Usage(user, system, minor), Usage(child_user, child_system, of_children), int(fields[19]))


def everybody() -> list[Process]:
    """All processes of the machine."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.append(read(f"/proc/{name}/stat"))
            except OSError:
                continue  # ended since
    return found


def descendants(pid: int, processes: list[Process] | None = None) -> list[Process]:
    """The children of a process, their children, and so on."""
    known = everybody() if processes is None else processes
    found: list[Process] = []
    parents = {pid}
    while parents:
        born = [process for process in known if process.parent in parents]
        found += born
        parents = {process.pid for process in born}
    return found


def adopt_orphans() -> None:
    """From now on a descendant whose parent ends is ours, so that `end_descendants` finds it whatever it did to hide."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(patience: float = 10.0) -> list[int]:
    """Kill every descendant of this process, each by its pid, until none is left; which these were.

    :raises TimeoutError: when some are left after so many seconds.
    """
    ended: set[int] = set()
    began = time.monotonic()
    ends = began + patience
    while left := descendants(os.getpid()):
        for process in left:
            if time.monotonic() - began > MERCY or not _cleans_up(process.pid):
                _kill(process.pid)
        _reap()
        ended.update(process.pid for process in left)
        if time.monotonic() > ends:
            raise TimeoutError(f"processes that do not end: {sorted(process.pid for process in left)}")
        time.sleep(0.01)
    return sorted(ended)


def _cleans_up(pid: int) -> bool:
    """Whether this is multiprocessing's resource tracker: it removes what the dead have left in /dev/shm, and ends by itself."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"multiprocessing.resource_tracker" in file.read()
    except OSError:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was faster


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass  # no children at all
