"""What running jobs say and write, as the lists that `Records` arguments carry, and back; see `dispytw.wire.jobframes` for the words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from dispytw.errors import WireError
from dispytw.values import Attempt, Body, Inline
from dispytw.wire.jobframes import FILE, HEARD, KINDS, PIECE, PROVISIONAL, REFUSED, Answer, Follow, Remark, Wrote
from dispytw.wire.records import attempt_from

__all__ = ["FILE", "HEARD", "PROVISIONAL", "REFUSED", "WANTED", "Announced"]

#: An answer of whoever schedules, beside HEARD and REFUSED: let the body come.
WANTED = "wanted"
_ANSWERS = frozenset({WANTED, HEARD, REFUSED})

#: Characters of an answer's text.
_MOST_TEXT = 1000
#: Marks the stream of a body; behind it stand the attempt's job and number, and the remark's.
_MARK = b"remark"


@attrs.frozen
class Announced:
    """A remark as it arrives: its body is here if it is short, else it can be asked for.

    :param number: which remark of the attempt.
    :param size: bytes of the body.
    """

    attempt: Attempt
    number: int
    kind: str
    path: str
    size: int
    body: Inline | None

    @property
    def stream_kind(self) -> bytes:
        """How the stream of its body is marked."""
        return stream_kind(self.attempt, self.number)


def stream_kind(attempt: Attempt, number: int) -> bytes:
    """How the stream of a remark's body is marked."""
    return _MARK + attempt.job + attempt.number.to_bytes(4, "big") + number.to_bytes(8, "big")


def remark_record(remark: Remark) -> list[Any]:
    """A remark as a list; of a body in a file, the size."""
    body: Body = remark.body
    carried = body.data if isinstance(body, Inline) else body.size
    return [remark.attempt.job, remark.attempt.number, remark.number, remark.kind, remark.path, carried]


def remarks_from(records: Iterable[Any]) -> list[Announced]:
    """The remarks that records announce.

    :raises WireError: for a record of another shape.
    """
    return [_remark_from(attempt_from(record), record) for record in records]


def _remark_from(attempt: Attempt, record: Any) -> Announced:
    _expect(len(record) == 6, "a remark of another shape")
    _, _, number, kind, path, carried = record
    _expect(_is_number(number) and kind in KINDS and isinstance(path, str), "a remark without number, kind or path")
    _expect(isinstance(carried, bytes) or _is_number(carried), "a remark without a body")
    body = Inline(carried) if isinstance(carried, bytes) else None
    return Announced(attempt, number, kind, path, carried if body is None else body.size, body)


def answer_record(attempt: Attempt, number: int, verdict: str, text: str = "") -> list[Any]:
    """An answer to a remark as a list."""
    return [attempt.job, attempt.number, number, verdict, text[:_MOST_TEXT]]


def answers_from(records: Iterable[Any]) -> list[Answer]:
    """The answers in records; their verdicts are WANTED, HEARD and REFUSED.

    :raises WireError: for a record of another shape.
    """
    found = []
    for record in records:
        attempt = attempt_from(record)
        _expect(len(record) == 5 and _is_number(record[2]), "an answer of another shape")
        _expect(record[3] in _ANSWERS and isinstance(record[4], str), "an answer that is none")
        found.append(Answer(attempt, record[2], record[3], record[4]))
    return found


def follow_record(follow: Follow) -> list[Any]:
    """What is wanted of an output, as a list."""
    return [follow.attempt.job, follow.attempt.number, follow.is_stderr, follow.position]


def follows_from(records: Iterable[Any]) -> list[Follow]:
    """What is wanted of outputs.

    :raises WireError: for a record of another shape.
    """
    found = []
    for record in records:
        attempt = attempt_from(record)
        _expect(len(record) == 4 and isinstance(record[2], bool) and _is_number(record[3]), "no output and position")
        found.append(Follow(attempt, record[2], record[3]))
    return found


def wrote_record(wrote: Wrote) -> list[Any]:
    """What an attempt has written, as a list."""
    return [wrote.attempt.job, wrote.attempt.number, wrote.is_stderr, wrote.position, wrote.data]


def wrotes_from(records: Iterable[Any]) -> list[Wrote]:
    """What attempts have written.

    :raises WireError: for a record of another shape.
    """
    found = []
    for record in records:
        attempt = attempt_from(record)
        _expect(len(record) == 5 and isinstance(record[2], bool) and _is_number(record[3]), "no output and position")
        _expect(isinstance(record[4], bytes) and 0 < len(record[4]) <= PIECE, "an output that is none")
        found.append(Wrote(attempt, *record[2:]))
    return found


def _is_number(field: Any) -> bool:
    return isinstance(field, int) and not isinstance(field, bool) and 0 <= field < 2**63


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(f"a record with {what}")
