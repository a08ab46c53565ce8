"""A fork that does what a worker needs and nothing else.

`os.fork` makes the child repair what other threads may have held: every lock of `threading` and `logging`, the interpreter's own. In a
process of one thread nobody held anything, and that repair is most of what a short job costs, for each page that it touches is copied.
So where there is one thread, the C library's fork is called and the rest is done here: the random numbers get a seed of their own, and
whatever others have registered with `os.register_at_fork` is called.
"""

from __future__ import annotations

import _random
import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

_registered: list[dict[str, Callable[[], Any]]] = []
#: Holds the interpreter's lock while it is called: the child goes on as its owner.
_fork: Callable[[], int] | None = ctypes.PyDLL(None, use_errno=True).fork if sys.platform == "linux" else None

_bare = False
#: What a child of a bare fork does before anything else, in the order of what it mends.
_repairs: list[Callable[[], Any]] = []


def note_registrations() -> None:
    """From now on, know what is registered with `os.register_at_fork`; called before any module that is not ours is imported."""
    register = os.register_at_fork

    def noted(**hooks: Callable[[], Any]) -> None:
        register(**hooks)
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
        _repairs.append(partial(_random.Random.seed, random._inst))


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
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def _call(hooks: dict[str, Callable[[], Any]], when: str) -> None:
    if when not in hooks:
        return
    try:
        hooks[when]()
    except BaseException:  # as with os.fork, which writes what a hook raises, and goes on
        traceback.print_exc()

