"""Where the time of a job goes: CPU seconds and page faults of each process, and of each thread of the client, divided by jobs.

Read from /proc before and after a batch. ``python3 benchmarks/profile.py`` is ``python3 benchmarks/run.py --profile``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    door = Path(__file__).with_name("run.py")
    os.execv(sys.executable, [sys.executable, str(door), "--profile", *sys.argv[1:]])

from benchmarks import processes
from benchmarks.cells import MIB, Count, Reading
from benchmarks.processes import Usage

#: Seconds that the batch aims at.
AIM = 1.1


def profile(contestant: Any) -> Reading:
    """Where a no-op job's time goes, by figures that begin with ``"noop: "``; see `profiled`."""
    return profiled(contestant, range(_size(contestant)), "noop")


def profile_echo64(contestant: Any) -> Reading:
    """Where the time of a 64 MiB echo goes, by figures that begin with ``"echo64: "``; see `profiled`."""
    return profiled(contestant, [os.urandom(64 * MIB)], "echo64")


def profiled(contestant: Any, arguments: Sequence[Any], name: str) -> Reading:
    """Figures ``"noop: daemon user"`` and ``"noop: daemon system"`` (µs a job), ``"noop: daemon faults"`` …, and ``"noop: wall"``.

    :param contestant: one that has a ``node``: the process of the daemon.
    :param name: what the figures begin with.
    """
    size, count = len(arguments), Count()
    before, began = usages(contestant.node.pid), time.perf_counter()
    batch = contestant.run(arguments)
    seconds, after = time.perf_counter() - began, usages(contestant.node.pid)
    count.add(arguments, batch)
    figures = {f"{name}: wall": 1e6 * seconds / size}
    for role, usage in after.items():
        used = usage - before.get(role, Usage())
        if used != Usage():
            figures[f"{name}: {role} user"] = 1e6 * used.user / size
            figures[f"{name}: {role} system"] = 1e6 * used.system / size
            figures[f"{name}: {role} faults"] = used.faults / size
    return Reading(figures, count.jobs, count.lost)


#: The cells that know dispytw's processes.
PROFILES = {cell.__name__: cell for cell in (profile, profile_echo64)}


def _size(contestant: Any) -> int:
    """How many jobs last about as long as wanted."""
    size, seconds = 16, contestant.run(range(16)).seconds
    while seconds < 0.3:
        size *= 4
        seconds = contestant.run(range(size)).seconds
    return max(1, int(size / seconds * AIM))


def usages(daemon: int) -> dict[str, Usage]:
    """What each role has used so far: workers that have ended are in what the children of their forkers have used."""
    found = _threads()
    everybody = processes.everybody()
    found["daemon"] = next(process.own for process in everybody if process.pid == daemon)
    supervisors = [process for process in everybody if process.parent == daemon]
    found["supervisor"] = sum((process.own for process in supervisors), Usage())
    parents = {process.pid for process in supervisors}
    zygote, *servers = sorted(
        (process for process in everybody if process.parent in parents), key=lambda process: (process.started, process.pid)
    )
    found["zygote"] = zygote.own + zygote.children
    own = sum((process.own for process in servers), Usage())
    below = [process.children for process in servers]
    below += [each.own + each.children for process in servers for each in processes.descendants(process.pid, everybody)]
    forked = sum(below, Usage())
    found.update({"workers": own} if forked == Usage() else {"forkers": own, "workers": forked})
    return found


def _threads() -> dict[str, Usage]:
    """This process is the client: what each of its threads has used."""
    found: dict[str, Usage] = {}
    for thread in threading.enumerate():
        role = "client, main thread" if thread is threading.main_thread() else f"client, {thread.name}"
        try:
            found[role] = found.get(role, Usage()) + processes.read(f"/proc/self/task/{thread.native_id}/stat").own
        except OSError:
            continue  # ended since
    return found
