"""An outcome as the list that frames and records carry; how its bodies stand there is the carrier's business."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispytw.errors import WireError
from dispytw.values import CANCELLED, ERROR_LIMIT, FINISHED, TERMINATED, Body, Outcome

_TIME = (int, float)
#: Seconds that no clock shows. With nan or infinity, what is known of durations would be none for ever.
_NO_TIME = 1e300


def outcome_fields(outcome: Outcome, body: Callable[[Body], Any]) -> list[Any]:
    """An outcome as a list.

    :param body: writes a body.
    """
    return [
        outcome.status,
        None if outcome.result is None else body(outcome.result),
        body(outcome.stdout),
        body(outcome.stderr),
        outcome.exception,
        outcome.started,
        outcome.ended,
        outcome.reason,
        outcome.error,
    ]


def outcome_of(fields: Any, body: Callable[[Any], Body]) -> Outcome:
    """The outcome that a list tells.

    Who knows of no packed exceptions leaves the last field out: a supervisor that outlives its daemon, an older node or recover file.

    :param body: reads a body.
    :raises WireError: for a list of another shape.
    """
    _expect(isinstance(fields, list) and len(fields) in (8, 9), "of another shape")
    status, result, stdout, stderr, exception, started, ended, reason = fields[:8]
    error = fields[8] if len(fields) == 9 else b""
    _expect(status in (FINISHED, TERMINATED, CANCELLED), "with a status that ends nothing")
    _expect(exception is None or isinstance(exception, str), "with an exception that is no text")
    _expect(is_time(started) and is_time(ended), "with a time that is none")
    _expect(isinstance(reason, str), "with a reason that is no text")
    return Outcome(
        status=status,
        result=None if result is None else body(result),
        stdout=body(stdout),
        stderr=body(stderr),
        exception=exception,
        started=started,
        ended=ended,
        reason=reason,
        error=error_of(error),
    )


def is_time(field: Any) -> bool:
    """Whether it is a time that a clock may show, or none."""
    return field is None or (isinstance(field, _TIME) and -_NO_TIME < field < _NO_TIME)


def error_of(field: Any) -> bytes:
    """A packed exception, as `values.Outcome` has it.

    :raises WireError: when it is none, or too long.
    """
    _expect(isinstance(field, bytes) and len(field) <= ERROR_LIMIT, "with a packed exception that is none")
    return bytes(field)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(f"an outcome {what}")
