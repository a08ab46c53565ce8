"""What running jobs say, as frames: those of `dispytw.wire.frames` that are about a job between its start and its end.

The conversation: a job connects to its supervisor's *ear*, a Unix socket, says one `Remark` (a provisional result, or a file), and waits
for its `Answer`. The supervisor numbers the remarks of each attempt and passes them to the daemon, which passes them to the client; the
answer comes back the same way. A job that waits no longer closes its connection (`Unsaid`). A supervisor without a daemon keeps what is
unanswered, and says it to the next one. A line for the node's log (`Logged`) is not answered.

`Follow` asks for what an attempt writes to one of its outputs, from a position on; the supervisor answers with one `Wrote`, as soon as
there is something, and waits for the next `Follow`: so nothing is sent that nobody has asked for, and nothing gathers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from dispytw.errors import WireError
from dispytw.values import Attempt, Body, Inline, Stored
from dispytw.wire.records import attempt_from

#: Kinds of remarks.
PROVISIONAL, FILE = "provisional", "file"
KINDS = frozenset({PROVISIONAL, FILE})

#: Answers. The first two do not end the wait: bytes travel, so that time does not count; they do not any more.
UNDERWAY, STOPPED, HEARD, REFUSED = "underway", "stopped", "heard", "refused"
VERDICTS = frozenset({UNDERWAY, STOPPED, HEARD, REFUSED})

#: Bytes of output in one `Wrote`.
PIECE = 128 * 1024
#: Bytes of a line for the node's log.
LONGEST_LINE = 8 * 1024


@attrs.frozen
class Limits:
    """Daemon to supervisor, before the first job: how large a file may be that a job sends, in bytes; 0 for no limit."""

    max_file_size: int


@attrs.frozen
class Remark:
    """Job to supervisor, supervisor to daemon: the attempt says this.

    :param number: counted from 1 by the supervisor for each attempt; 0 as the job says it.
    :param kind: PROVISIONAL or FILE.
    :param path: where a file goes, relative to the client's directory.
    :param body: a payload, or a file's content; whoever answers the remark deletes its file.
    """

    attempt: Attempt
    number: int
    kind: str
    path: str
    body: Body


@attrs.frozen
class Answer:
    """Daemon to supervisor, supervisor to job: what has become of a remark; ``text`` says why it is refused."""

    attempt: Attempt
    number: int
    verdict: str
    text: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the remark is done with."""
        return self.verdict in (HEARD, REFUSED)


@attrs.frozen
class Unsaid:
    """Supervisor to daemon: the job no longer waits for the answer to this remark."""

    attempt: Attempt
    number: int


@attrs.frozen
class Logged:
    """Job to supervisor, supervisor to daemon: a line for the node's log, of this level of the logging module.

    :param attempt: None for setup() and cleanup().
    """

    attempt: Attempt | None
    level: int
    text: str


@attrs.frozen
class Follow:
    """Daemon to supervisor: say what the attempt writes to one output, from this position on, once there is something."""

    attempt: Attempt
    is_stderr: bool
    position: int


@attrs.frozen
class Wrote:
    """Supervisor to daemon, the answer: these bytes are at that position."""

    attempt: Attempt
    is_stderr: bool
    position: int
    data: bytes


JobSaid = Remark | Unsaid | Logged | Wrote
JobFrame = Limits | Answer | Follow | JobSaid
#: What a supervisor may say, for whoever looks at the type.
SAID = (Remark, Unsaid, Logged, Wrote)
#: And what it is told.
TO_JOBS = (Limits, Answer, Follow)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(f"a frame with {what}")


def _fields_of(attempt: Attempt) -> list[Any]:
    return [attempt.job, attempt.number]


def _number(field: Any) -> int:
    _expect(isinstance(field, int) and not isinstance(field, bool) and 0 <= field < 2**63, "no number where one belongs")
    return int(field)


def _text(field: Any) -> str:
    _expect(isinstance(field, str), "no text where one belongs")
    return str(field)


def _one_of(words: frozenset[str], field: Any) -> str:
    _expect(isinstance(field, str) and field in words, "a word that is none")
    return str(field)


def _body(field: Any) -> Body:
    if isinstance(field, bytes):
        return Inline(field)
    path, size = field
    return Stored(_text(path), _number(size))


def _bytes(field: Any) -> bytes:
    _expect(isinstance(field, bytes), "no bytes where they belong")
    return bytes(field)


def _remark(attempt: Any, number: Any, kind: Any, path: Any, body: Any) -> Remark:
    return Remark(attempt_from(attempt), _number(number), _one_of(KINDS, kind), _text(path), _body(body))


FIELDS: dict[type, Callable[[Any], list[Any]]] = {
    Limits: lambda f: [40, f.max_file_size],
    Remark: lambda f: [
        *(41, _fields_of(f.attempt), f.number, f.kind, f.path),
        f.body.data if isinstance(f.body, Inline) else [f.body.path, f.body.size],
    ],
    Answer: lambda f: [42, _fields_of(f.attempt), f.number, f.verdict, f.text],
    Unsaid: lambda f: [43, _fields_of(f.attempt), f.number],
    Logged: lambda f: [44, None if f.attempt is None else _fields_of(f.attempt), f.level, f.text],
    Follow: lambda f: [45, _fields_of(f.attempt), f.is_stderr, f.position],
    Wrote: lambda f: [46, _fields_of(f.attempt), f.is_stderr, f.position, f.data],
}

OPENERS: dict[Any, Callable[..., JobFrame]] = {
    40: lambda most: Limits(_number(most)),
    41: _remark,
    42: lambda attempt, number, verdict, text: Answer(
        attempt_from(attempt), _number(number), _one_of(VERDICTS, verdict), _text(text)
    ),
    43: lambda attempt, number: Unsaid(attempt_from(attempt), _number(number)),
    44: lambda attempt, level, text: Logged(
        None if attempt is None else attempt_from(attempt), _number(level), _text(text)
    ),
    45: lambda attempt, stderr, position: Follow(attempt_from(attempt), bool(stderr), _number(position)),
    46: lambda attempt, stderr, position, data: Wrote(attempt_from(attempt), bool(stderr), _number(position), _bytes(data)),
}
