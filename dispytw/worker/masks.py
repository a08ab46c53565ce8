"""Which signals are blocked in a forker and in its workers: changed by the C library itself.

`signal.pthread_sigmask` makes a set of what was blocked before, which costs a worker as many copied pages as calling a short function.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see dispytw.worker.performer
import ctypes
import signal
import sys
from collections.abc import Callable, Collection
from functools import partial

_INT = (int(signal.SIGINT),)
_SIZE = 128  # bytes of a sigset_t, the largest known

_libc = ctypes.PyDLL(None) if sys.platform == "linux" else None
#: What is blocked while a body runs, and the same with SIGINT; as sets, and as the C library's.
_body: Collection[int] = ()
_body_set, _int_set = ctypes.create_string_buffer(_SIZE), ctypes.create_string_buffer(_SIZE)
_set = _libc.sigprocmask if _libc is not None else None


def hold(signals: Collection[int]) -> None:
    """In a forker: block these signals, and remember what its workers let through: all that was not blocked before, and SIGINT."""
    global _body
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, signals)
    _body = tuple(int(signum) for signum in before if signum not in _INT)
    if _libc is not None:
        _libc.sigemptyset(_body_set)
        _libc.sigemptyset(_int_set)
        for signum in _body:
            _libc.sigaddset(_body_set, signum)
        _libc.sigaddset(_int_set, *_INT)


def letting_through() -> Callable[[], object]:
    """Makes `let_through`, for a worker."""
    if _set is None:
        return let_through
    return partial(_set, int(signal.SIG_SETMASK), _body_set, None)


def blocking() -> Callable[[], object]:
    """Makes `block`, for a worker."""
    if _set is None:
        return block
    return partial(_set, int(signal.SIG_BLOCK), _int_set, None)


def let_through() -> None:
    """In a worker, before the body: raises KeyboardInterrupt a moment later if SIGINT came before."""
    if _set is None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, _body)
    else:
        _set(_signal.SIG_SETMASK, _body_set, None)


def block() -> None:
    """In a worker, after the body: SIGINT has to wait."""
    if _set is None:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _INT)
    else:
        _set(_signal.SIG_BLOCK, _int_set, None)
