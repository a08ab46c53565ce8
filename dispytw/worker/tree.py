"""The processes below a supervisor: who they are, and how none of them is left behind.

Supervisor and workers are *subreapers* (prctl(2)): a process orphaned below a running job becomes the child of that job's worker, and when
the worker ends, of the supervisor. So when a job has ended, each direct child of the supervisor that is neither a worker nor was there when
setup() returned was left by an ended job, and is killed; its own children then come up one level and are found by the next look.
Where the platform has no subreapers (macOS), the process group is what can be killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Collection
from functools import partial

from dispytw.lighttyping import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

#: Loaded before any fork: a forked child should not need the dynamic linker.
_libc = ctypes.PyDLL(None) if sys.platform == "linux" else None
_prctl, _waitpid = (_libc.prctl, _libc.waitpid) if _libc is not None else (None, None)


def adopt_orphans() -> None:
    """Become the parent of every process that is orphaned below this one."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def leave_orphans() -> None:
    """Let processes that are orphaned below this one go to who adopts them above."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def dying_with_parent() -> Callable[[], object]:
    """Makes what lets a process be killed when its parent ends."""
    return _live_on if _prctl is None else partial(_prctl, _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _live_on() -> None:
    """Where that cannot be had."""


def die_with(parent: int) -> None:
    """Let this process be killed when its parent ends; ends it at once if ``parent`` is no longer the parent."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def children() -> set[int]:
    """Process ids of the direct children of this process, whichever thread made them, those not yet reaped included."""
    try:
        return set().union(*map(_children_of_thread, os.listdir("/proc/self/task")))
    except FileNotFoundError:
        return _children_by_psutil()


def has_children() -> bool:
    """Whether this process has a direct child, ended or not: one question to the kernel, where `children` reads a file for each thread."""
    if not hasattr(os, "waitid"):
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children_and_orphans() -> set[int]:
    """The children that the main thread made, and the orphans given to it: the kernel gives them to the oldest thread."""
    try:
        return _children_of_thread(str(os.getpid()))
    except FileNotFoundError:
        return _children_by_psutil()


def _children_of_thread(thread: str) -> set[int]:
    try:
        listing = os.open(f"/proc/self/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
    except ProcessLookupError:
        return set()  # it ended meanwhile
    try:
        listed = b"".join(iter(lambda: os.read(listing, 4096), b""))
    finally:
        os.close(listing)
    return set(map(int, listed.split()))


def _children_by_psutil() -> set[int]:
    import psutil

    return {child.pid for child in psutil.Process().children()}


def kill(pid: int) -> None:
    """SIGKILL to one process, which may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def signal_group(leader: int, signum: int) -> None:
    """A signal to the process group of ``leader``, which may be gone or not exist yet."""
    try:
        os.killpg(leader, signum)
    except (ProcessLookupError, PermissionError):
        pass  # macOS answers EPERM for a group of nothing but zombies


def reap_last(pid: int) -> int | None:
    """`reap` for a child that is the only one which is not an orphan: what it leaves comes up, is seen, and swept."""
    if _prctl is None:
        return reap(pid)
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended == pid or not ended:
            return status if ended else None


def reap(pid: int) -> int | None:
    """The wait status of a child if it has ended, else None; kills the rest of its process group before its id becomes free."""
    if hasattr(os, "waitid"):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        signal_group(pid, signal.SIGKILL)
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    if not hasattr(os, "waitid"):
        signal_group(pid, signal.SIGKILL)
    return status


def is_stopped(pid: int) -> bool:
    """Whether a child has obeyed SIGSTOP; it may be asked until the child goes on."""
    return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None


def is_childless() -> bool:
    """Whether this process has no children, after those that have ended were reaped."""
    if _waitpid is not None:
        while (pid := _waitpid(-1, None, os.WNOHANG)) > 0:
            pass
        return bool(pid < 0)  # an exception would copy a few pages, for each job
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def sweep(spared: Collection[int]) -> bool:
    """Kill and reap every child that is not spared, and what comes up from below it.

    :returns: whether none is left; if not, SIGCHLD will tell of the next one's end.
    """
    while True:
        strays = _children_and_orphans().difference(spared)
        if not strays:
            return True
        reaped = [pid for pid in strays if _end(pid)]
        if not reaped:
            return False


def _end(pid: int) -> bool:
    kill(pid)
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def ended_resource_tracker() -> int:
    """The process that removes shared memory which setup() did not: told to end, as no one will use any. 0 if there is none."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker: Any = getattr(module, "_resource_tracker", None)
    if getattr(tracker, "_fd", None) is None or not tracker._pid:
        return 0
    os.close(tracker._fd)
    tracker._fd = None
    return int(tracker._pid)
