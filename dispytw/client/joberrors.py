"""What `job.error` is: the exception that a job raised, or a class of ours that says how it ended without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import msgpack

from dispytw.errors import JobError, JobExitError, JobFailedError, JobKilledError, NodeLostError
from dispytw.values import CANCELLED, TOO_MANY_ATTEMPTS, Outcome
from dispytw.wire.payload import MSGPACK

_TRACEBACK = "Traceback "
#: The line of a traceback that names the exception's class.
_RAISED = re.compile(r"[^\W\d][\w.]*(:|$)")
#: What must not be raised here because it was raised there: it would end this program.
_NOT_TO_BE_RAISED = (SystemExit, KeyboardInterrupt, GeneratorExit)


class RemoteTraceback(Exception):
    """The traceback of a job, as text; the cause of what `job.error` is.

    :ivar text: as in `job.exception`.
    """

    def __init__(self, text: str, note: str = "") -> None:
        super().__init__(text, note)
        self.text = text
        self._note = note

    def __str__(self) -> str:
        note = f"\n{self._note}" if self._note else ""
        return f'\n"""\n{self.text.rstrip()}\n"""{note}'


def is_cancelled(outcome: Outcome) -> bool:
    """Whether it was the user who ended the job; one whose node was lost has the same status."""
    return outcome.status == CANCELLED and outcome.exception != "Cancelled"


def error_of(outcome: Outcome, who: str, open_payload: Callable[[bytes], Any]) -> BaseException:
    """The error of a job that has not finished.

    :param who: job, node and attempt, in words.
    :param open_payload: opens what the job's worker has packed.
    """
    if outcome.status == CANCELLED:
        kind = CancelledError if is_cancelled(outcome) else NodeLostError
        return kind(f"{who}: {outcome.reason or 'cancelled'}")
    text = outcome.exception or outcome.reason
    text = text if text.strip() else "it ended without a result"
    error = _opened(outcome, who, text, open_payload)
    if text.startswith(_TRACEBACK) or not isinstance(error, JobError):
        _explain(error, text, who)
    return error


def _opened(outcome: Outcome, who: str, text: str, open_payload: Callable[[bytes], Any]) -> BaseException:
    if outcome.error[:1] == MSGPACK:
        return _death(outcome.error, f"{who}: {_last_line(text)}")
    if outcome.reason == TOO_MANY_ATTEMPTS:
        return NodeLostError(f"{who}: {text}")
    if not outcome.error:
        why = f" ({outcome.reason})" if outcome.reason and outcome.reason != text else ""
        return JobFailedError(f"{who}: {_last_line(text)}{why}")
    try:
        error = open_payload(outcome.error)
    except (Exception, SystemExit) as why:  # user classes may raise anything while being opened
        return JobFailedError(f"{who}: {_last_line(text)} (the exception itself cannot be opened here: {why})")
    if not isinstance(error, BaseException) or isinstance(error, _NOT_TO_BE_RAISED):
        return JobFailedError(f"{who}: {_last_line(text)}")
    return error


def _death(packed: bytes, text: str) -> BaseException:
    try:
        how, number = msgpack.unpackb(packed[len(MSGPACK) :])
    except (ValueError, TypeError):
        return JobFailedError(text)
    if how == "signal":
        return JobKilledError(text, signal=number)
    return JobExitError(text, code=number)


def _last_line(text: str) -> str:
    """The line of a traceback that says what was raised; all of what is no traceback."""
    lines = text.strip().splitlines()
    if not text.startswith(_TRACEBACK):
        return lines[0]
    return next(filter(_RAISED.match, reversed(lines)), lines[-1])


def _explain(error: BaseException, text: str, note: str) -> None:
    """Give an exception its remote traceback as cause, and say where that was; whatever the exception's class forbids."""
    try:
        error.add_note(note)  # type: ignore[attr-defined, unused-ignore]
        note = ""
    except Exception:  # Python 3.10 has no notes, and a frozen class none either: then it stands in the cause
        note = f"({note})"
    vars(BaseException)["__cause__"].__set__(error, RemoteTraceback(text, note))
