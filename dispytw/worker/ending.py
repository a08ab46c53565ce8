"""How an attempt ended, judged from its worker's word and how its process went. Pure: no process is touched here."""

from __future__ import annotations

import os
import signal
from typing import Union

import attrs
import msgpack

from dispytw.values import CANCELLED, ERROR_LIMIT, FINISHED, TERMINATED, Body, Inline, Outcome, Stored
from dispytw.worker.raising import MSGPACK_FORMAT, packed_death
from dispytw.worker.words import LENGTH, RAISED, RETURNED, STORED, TEXT

#: Why a job that ran when it was cancelled has ended.
CANCELLED_REASON = "cancelled while it ran"


@attrs.frozen
class Returned:
    """The body returned this."""

    result: Body


@attrs.frozen
class Raised:
    """The body, or what was before it, raised this: its traceback, and the exception itself as in `values.Outcome`."""

    exception: str
    error: bytes = b""


Said = Union[Returned, Raised]


@attrs.frozen
class Ending:
    """The part of an outcome that tells why; the fields are those of `values.Outcome`."""

    status: int
    result: Body | None = None
    exception: str | None = None
    reason: str = ""
    error: bytes = b""


def opened_word(kind: int, content: bytes, path: str) -> Said | None:
    """A worker's word; None when there was none, or something that cannot be one.

    :param kind: as `dispytw.worker.words` has them.
    :param path: where a result is that did not fit.
    """
    if kind == RETURNED:
        return Returned(Inline(content))
    if kind == RAISED:
        return _raised(content)
    if kind == STORED and len(content) == LENGTH.size:
        return Returned(Stored(path, *LENGTH.unpack(content)))
    return None


def _raised(content: bytes) -> Raised | None:
    """What was raised; None for what cannot be that."""
    if len(content) < TEXT.size:
        return None
    end = TEXT.size + TEXT.unpack_from(content)[0]
    text, error = content[TEXT.size : end], content[end:]
    return Raised(text.decode("utf-8", "replace"), error) if len(error) <= ERROR_LIMIT else None


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


def not_started(text: str, ended: float) -> Outcome:
    """The outcome of an attempt for which no process could be made.

    :param text: why.
    """
    return Outcome(TERMINATED, exception=text, ended=ended, reason="its process could not be started")


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
