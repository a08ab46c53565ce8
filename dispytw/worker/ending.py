"""How an attempt ended, judged from its worker's word and how its process went. Pure: no process is touched here."""

from __future__ import annotations

import os
import signal

import attrs
import msgpack

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Body, Inline
from dispytw.worker.words import Raised, Returned, Said

#: First byte of a payload that is plain msgpack.
MSGPACK_FORMAT = b"m"

#: Why a job that ran when it was cancelled has ended.
CANCELLED_REASON = "cancelled while it ran"


@attrs.frozen
class Ending:
    """The part of an outcome that tells why; the fields are those of `values.Outcome`."""

    status: int
    result: Body | None = None
    exception: str | None = None
    reason: str = ""
    error: bytes = b""


def judge(word: Said | None, wait_status: int, *, cancelled: bool, program: bool, stderr_tail: str = "") -> Ending:
    """Why the attempt ended.

    A job that returns after it was cancelled has finished: it caught the KeyboardInterrupt. Any other end after a cancel is a
    cancelled job.

    :param word: what the worker said; None when it died without a word, or became a program.
    :param wait_status: as `os.waitpid` gives it.
    :param cancelled: whether a cancel was sent to it.
    :param program: whether it is a program computation, whose exit status is its result.
    :param stderr_tail: the end of what it wrote to stderr, quoted when there is no word.
    """
    if isinstance(word, Returned):
        return Ending(FINISHED, result=word.result)
    if isinstance(word, Raised):
        return _failed(word.exception, word.error, cancelled)
    code = os.waitstatus_to_exitcode(wait_status)
    if program and code >= 0 and not (cancelled and code):
        return Ending(FINISHED, result=Inline(MSGPACK_FORMAT + msgpack.packb(code)))
    how = packed_death("exit", code) if code >= 0 else packed_death("signal", -code)
    return _failed(_quoting(_death(code, cancelled, program), stderr_tail), how, cancelled)


def packed_death(how: str, number: int) -> bytes:
    """How a process ended, as `values.Outcome` has it.

    :param how: ``exit`` or ``signal``.
    :param number: its exit status, or the signal's.
    """
    return MSGPACK_FORMAT + bytes(msgpack.packb([how, number]))


def _failed(exception: str, error: bytes, cancelled: bool) -> Ending:
    if cancelled:
        return Ending(CANCELLED, exception=exception, reason=CANCELLED_REASON)
    return Ending(TERMINATED, exception=exception, error=error)


def _death(code: int, cancelled: bool, program: bool) -> str:
    if code >= 0:
        return (
            f"the program exited with status {code}"
            if program
            else f"the job's process exited with status {code} without a result"
        )
    hint = " perhaps by the kernel, which ran out of memory" if code == -signal.SIGKILL and not cancelled else ""
    return f"killed by signal {-code} ({_name(-code)}){hint}"


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return "a real-time signal"


def _quoting(text: str, stderr_tail: str) -> str:
    return f"{text}\nits stderr ended with:\n{stderr_tail}" if stderr_tail.strip() else text
