"""A fork that does what a worker needs and nothing else.

`os.fork` makes the child repair what other threads may have held: every lock of `threading` and `logging`, the interpreter's own. In a
process of one thread nobody held anything, and that repair is most of what a short job costs, for each page that it touches is copied.
So where there is one thread, the C library's fork is called and the rest is done here: the random numbers get a seed of their own, and
whatever others have registered with `os.register_at_fork` is called.
"""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial

from dispytw.lighttyping import Any, NoReturn

_registered: list[dict[str, Callable[[], Any]]] = []
#: Holds the interpreter's lock while it is called: the child goes on as its owner.
_libc = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None
_fork: Callable[[], int] | None = _libc.fork if _libc is not None else None
#: `os._exit`; called as a worker calls other things, it copies fewer pages.
leave: Callable[[int], NoReturn] = _libc._exit if _libc is not None else os._exit

#: Modules whose hooks repair locks, of which none is held where there is one thread; random numbers are seen to here.
_NEEDLESS = {"logging", "random", "threading"}

_bare = False
#: What a child of a bare fork does before anything else, in the order of what it mends.
_repairs: list[Callable[[], Any]] = []


def note_registrations() -> None:
    """From now on, know what is registered with `os.register_at_fork`; called before any module that is not ours is imported."""
    register = os.register_at_fork

    def noted(**hooks: Callable[[], Any]) -> None:
        register(**hooks)
        if not all(getattr(hook, "__module__", None) in _NEEDLESS for hook in hooks.values()):
            _registered.append(hooks)

    os.register_at_fork = noted  # type: ignore[assignment]


def look_at_threads() -> None:
    """Decide how to fork from now on: setup() has run, and nothing of the user's runs here any more."""
    global _bare
    try:
        _bare = _fork is not None and len(os.listdir("/proc/self/task")) == 1
    except FileNotFoundError:
        _bare = False
    random = sys.modules.get("random")
    if random is not None:
        import _random

        _repairs.append(partial(_random.Random.seed, random._inst))


def simplest() -> Callable[[], int] | None:
    """The C library's fork, where no more has to be done than `repairs`; -1 means that `failure` tells why there is no process."""
    return _fork if _bare and not _registered else None


def repairs() -> tuple[Callable[[], Any], ...]:
    """What a child of that has to call."""
    return tuple(_repairs)


def staying(fork: Callable[[], int]) -> Callable[[], int]:
    """Makes a fork whose child begins on the processor that its parent is on, which is about to sleep: what both need is in its caches.

    From then on it runs wherever its parent may. The kernel would look for an idle processor; a short job is over before that is worth it.
    """
    libc, allowed = _libc, os.sched_getaffinity(0) if _libc is not None else set()
    if libc is None or len(allowed) < 2 or not hasattr(libc, "sched_getcpu"):
        return fork
    size = max(allowed) // 64 * 8 + 8
    everywhere, each = _mask(allowed, size), {processor: _mask({processor}, size) for processor in allowed}
    is_on, stay_on = libc.sched_getcpu, libc.sched_setaffinity

    def fork_here() -> int:
        stay_on(0, size, each.get(is_on(), everywhere))
        pid = fork()
        stay_on(0, size, everywhere)
        return pid

    return fork_here


def _mask(processors: set[int], size: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(sum(1 << processor for processor in processors).to_bytes(size, sys.byteorder), size)


def failure() -> OSError:
    """Why the C library's fork has failed."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def tidy() -> None:
    """Before many forks: give back what the C library keeps of memory that was freed, or each child might sort it, and copy it for that."""
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def fork(in_child: Callable[[], None]) -> int:
    """Fork; returns what `os.fork` returns.

    :param in_child: called in the child when the C library's fork was used, in the place of what it has registered.
    :raises OSError: when there can be no more processes.
    """
    if not _bare or _fork is None:
        return os.fork()
    for hooks in reversed(_registered):
        _call(hooks, "before")
    pid = _fork()
    if pid == 0:
        for repair in _repairs:
            repair()
        in_child()
    for hooks in _registered:
        _call(hooks, "after_in_child" if pid == 0 else "after_in_parent")
    if pid < 0:
        raise failure()
    return pid


def _call(hooks: dict[str, Callable[[], Any]], when: str) -> None:
    if when not in hooks:
        return
    try:
        hooks[when]()
    except BaseException:  # as with os.fork, which writes what a hook raises, and goes on
        traceback.print_exc()
