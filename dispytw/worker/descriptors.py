"""Which descriptors are ours, so that no process forked from this one keeps them.

Descriptors that the user's setup() opens must reach the jobs; ours (the daemon's connection, other slots' sockets) must not, or a job could
speak in the supervisor's name and a dead supervisor's connection would never be seen to end. A hook after fork closes ours in
*every* forked child, those of setup() and of jobs included; what is exec'd loses them by close-on-exec.

Every page that the hook touches is copied for every job, so it does as little as it can.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
from functools import partial

from dispytw.worker import forking

_ours: set[int] = set()
_passed: tuple[int, ...] = ()
#: In a worker: the descriptors it was passed, each with what it was then; user code may close any number and open it anew.
_identities: dict[int, tuple[int, int]] = {}


def keep(descriptor: int) -> int:
    """Declare a descriptor ours; returns it."""
    os.set_inheritable(descriptor, False)
    _ours.add(descriptor)
    return descriptor


def drop(descriptor: int) -> None:
    """The descriptor is about to be closed."""
    _ours.discard(descriptor)


def fork(passing: tuple[int, ...]) -> int:
    """Fork; in the child only ``passing`` remain of our descriptors. Returns what `os.fork` returns."""
    global _passed
    _passed = passing
    closing = tuple(_ours.difference(passing))
    try:
        return forking.fork(partial(_close_in_child, closing))
    finally:
        _passed = ()


def identity(descriptor: int) -> tuple[int, int]:
    """What a descriptor is, whatever its number."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def guard(descriptor: int, known: tuple[int, int] | None = None) -> None:
    """In a worker, before the user's code: this one is ours as long as it is what it is now.

    :param known: its identity, where that was looked up before the fork.
    """
    _identities[descriptor] = known or identity(descriptor)


def is_ours(descriptor: int) -> bool:
    """Whether a guarded descriptor is still the same."""
    try:
        return _identities.get(descriptor) == identity(descriptor)
    except OSError:
        return False


def _close_in_child(closing: tuple[int, ...]) -> None:
    """What `_after_fork_in_child` does, when it was known before the fork."""
    _forget_wakeup()
    for descriptor in closing:
        os.close(descriptor)
    _ours.clear()


def _after_fork_in_child() -> None:
    if _ours:
        _forget_wakeup()
        for descriptor in _ours.difference(_passed):
            os.close(descriptor)
        _ours.clear()
    elif _identities:
        for descriptor in filter(is_ours, list(_identities)):
            os.close(descriptor)
        _identities.clear()


def _forget_wakeup() -> None:
    """A signal must not write to a descriptor that is closed here and may be opened anew; unless it is setup()'s own."""
    wakeup = _signal.set_wakeup_fd(-1)
    if wakeup != -1 and wakeup not in _ours:
        _signal.set_wakeup_fd(wakeup)


os.register_at_fork(after_in_child=_after_fork_in_child)
