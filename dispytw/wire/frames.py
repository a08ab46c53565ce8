"""What a node's daemon, its supervisors and their workers say to each other: length-prefixed frames on a Unix socket.

The conversation: the daemon connects, and the supervisor says where it stands: what it `Runs`, each outcome that no daemon has kept
(`Ended`), and last `Standing`. To a new one the daemon says `Setup`, once; the supervisor opens the bundle, runs the user's setup() and
answers `Ready` or `SetupFailed`. From then on the daemon says `Start` for each attempt, and `Cancel` if need be; the supervisor answers
`Started` when the job's process exists, unless the job ends a moment later, and `Ended` when that and everything it left behind are gone.
It keeps each outcome until the daemon says `Kept`. A supervisor runs as many jobs at a time as its *width*; the others wait, and `Recall`
gets those back that have not started (`GivenBack`). `Close` asks for the end: running jobs are cancelled, cleanup() is run, and the
closed connection is the answer.

Whoever serves a slot, a kept worker or a forker, talks to its supervisor in fewer bytes (`dispytw.worker.slotwords`).

What a running job says goes the same way; see `dispytw.wire.jobframes`.

A frame is its length (4 bytes, big-endian) and a msgpack list: a code, then the fields. Bodies above 48 KiB are named by their path, as
both ends live on one machine and belong to one user. Nothing here imports Twisted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import msgpack

from dispytw.errors import WireError
from dispytw.values import EMPTY, JOB, START_METHODS, WORKER, Attempt, Body, Inline, Outcome, Stored
from dispytw.wire import jobframes
from dispytw.wire.outcomes import outcome_fields, outcome_of
from dispytw.wire.records import attempt_from as _attempt

#: Bytes of the longest frame: three inline bodies and a traceback, several times over.
FRAME_LIMIT = 1024 * 1024
_LENGTH = struct.Struct(">I")
_pack = msgpack.Packer(use_bin_type=True, unicode_errors="surrogatepass").pack
_number = (int, float)


@attrs.frozen
class Setup:
    """Daemon to supervisor, first and once: become the supervisor of this computation.

    :param bundle: path of the packed code.
    :param cwd: the computation's directory, with its files laid out; jobs run there.
    :param program: path of the program relative to ``cwd``, or None for a function.
    :param facts: names a job can read: dispy_node_name and so on.
    :param out: directory for results and output above `values.INLINE_LIMIT`; whoever gets their paths deletes them.
    :param grace: seconds between the steps of a cancel (SIGINT, SIGTERM, SIGKILL).
    :param lease: seconds for which the supervisor goes on without a daemon.
    :param spool: path of the file that gets the outcomes which no daemon has kept when the supervisor ends.
    :param width: how many jobs may run at the same time; others wait here.
    :param isolation: ``job`` or ``worker``; see `values.Computation`.
    :param max_jobs_per_worker: jobs after which a kept worker is replaced, or None.
    :param start_method: ``fork``, ``spawn``, or None for what the platform has.
    """

    bundle: str
    cwd: str
    program: str | None
    facts: dict[str, str]
    out: str
    grace: float = 2.0
    lease: float = 3600.0
    spool: str = ""
    width: int = 1
    isolation: str = JOB
    max_jobs_per_worker: int | None = None
    start_method: str | None = None


@attrs.frozen
class Start:
    """Daemon to supervisor: run this attempt now, for so many seconds at most; the daemon has counted a slot for it."""

    attempt: Attempt
    args: Body
    timeout: float | None = None


@attrs.frozen
class Cancel:
    """Daemon to supervisor: end this attempt; means nothing when it has ended."""

    attempt: Attempt


@attrs.frozen
class Recall:
    """Daemon to supervisor: give up at most so many attempts that have not started, the last ones first."""

    most: int


@attrs.frozen
class GivenBack:
    """Supervisor to daemon, the answer: these never started, and never will here."""

    attempts: tuple[Attempt, ...]


@attrs.frozen
class Close:
    """Daemon to supervisor: cancel what runs, run the user's cleanup() if told so, and end."""

    cleanup: bool = True


@attrs.frozen
class Ready:
    """Supervisor to daemon: setup() succeeded, or there is none."""


@attrs.frozen
class SetupFailed:
    """Supervisor to daemon: the bundle could not be opened or setup() failed; the supervisor ends.

    :param text: traceback, or what setup() returned.
    """

    text: str


@attrs.frozen
class Started:
    """Supervisor to daemon: the attempt was given its process at ``started``, wall time in seconds."""

    attempt: Attempt
    started: float


@attrs.frozen
class Ended:
    """Supervisor to daemon: the attempt has ended so, its processes are gone, its slot is free."""

    attempt: Attempt
    outcome: Outcome


@attrs.frozen
class Kept:
    """Daemon to supervisor: these outcomes are kept elsewhere, forget them."""

    attempts: tuple[Attempt, ...]


@attrs.frozen
class Runs:
    """Supervisor to a daemon that has just connected: this attempt is here.

    :param started: wall time at which it was given its process, None if it waits for one.
    :param args: the file of its arguments, which the daemon deletes when it has ended.
    """

    attempt: Attempt
    started: float | None
    args: Stored | None


@attrs.frozen
class Standing:
    """Supervisor to a daemon that has just connected, last: now you know where I stand.

    :param ready: whether it has been set up.
    :param closing: whether it is about to end, and takes nothing new.
    """

    ready: bool
    closing: bool = False


_Said = Ready | SetupFailed | Started | Ended | GivenBack | Runs | Standing
Frame = Setup | Start | Cancel | Recall | Close | Kept | _Said | jobframes.JobFrame


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(f"a frame with {what}")


def _text(field: Any) -> str:
    _expect(isinstance(field, str), "no text where one belongs")
    return str(field)


def _time(field: Any) -> float:
    _expect(isinstance(field, _number), "no time where one belongs")
    return float(field)


def _optional(form: Callable[[Any], Any], field: Any) -> Any:
    return None if field is None else form(field)


def _attempt_fields(attempt: Attempt) -> list[Any]:
    return [attempt.job, attempt.number]


def _body_fields(body: Body) -> Any:
    return body.data if isinstance(body, Inline) else [body.path, body.size]


def _body(field: Any) -> Body:
    if isinstance(field, bytes):
        return Inline(field) if field else EMPTY
    path, size = field
    _expect(isinstance(path, str) and isinstance(size, int) and size >= 0, "no body where one belongs")
    return Stored(path, size)


def _count(field: Any) -> int:
    _expect(isinstance(field, int) and field > 0, "no number where one belongs")
    return int(field)


def _setup(*fields: Any) -> Setup:
    bundle, cwd, program, facts, out, grace, lease, spool, width, isolation, most, method = fields
    _expect(isinstance(facts, dict), "facts that are none")
    _expect(isolation in (JOB, WORKER), "an isolation that is none")
    _expect(method is None or method in START_METHODS, "a start method that is none")
    return Setup(
        bundle=_text(bundle),
        cwd=_text(cwd),
        program=_optional(_text, program),
        facts={_text(name): _text(fact) for name, fact in facts.items()},
        out=_text(out),
        grace=_time(grace),
        lease=_time(lease),
        spool=_text(spool),
        width=_count(width),
        isolation=isolation,
        max_jobs_per_worker=_optional(_count, most),
        start_method=method,
    )


def _packed_attempts(attempts: tuple[Attempt, ...]) -> bytes:
    """Twenty bytes for each: cheaper than lists, and not bound by the length of one."""
    return b"".join([attempt.job + attempt.number.to_bytes(4, "big") for attempt in attempts])


def _unpacked_attempts(field: Any) -> tuple[Attempt, ...]:
    _expect(isinstance(field, bytes) and len(field) % 20 == 0, "attempts that are none")
    places = range(0, len(field), 20)
    return tuple(Attempt(field[at : at + 16], int.from_bytes(field[at + 16 : at + 20], "big")) for at in places)


def _stored(field: Any) -> Stored:
    body = _body(field)
    if not isinstance(body, Stored):
        raise WireError("a frame with no file where one belongs")
    return body


_FIELDS: dict[type, Callable[[Any], list[Any]]] = {
    Setup: lambda f: [
        *(1, f.bundle, f.cwd, f.program, f.facts, f.out, f.grace, f.lease, f.spool),
        *(f.width, f.isolation, f.max_jobs_per_worker, f.start_method),
    ],
    Start: lambda f: [2, _attempt_fields(f.attempt), _body_fields(f.args), *([] if f.timeout is None else [f.timeout])],
    Cancel: lambda f: [3, _attempt_fields(f.attempt)],
    Close: lambda f: [4, f.cleanup],
    Ready: lambda f: [5],
    SetupFailed: lambda f: [6, f.text],
    Started: lambda f: [7, _attempt_fields(f.attempt), f.started],
    Ended: lambda f: [8, _attempt_fields(f.attempt), outcome_fields(f.outcome, _body_fields)],
    Recall: lambda f: [23, f.most],
    GivenBack: lambda f: [24, _packed_attempts(f.attempts)],
    Kept: lambda f: [20, _packed_attempts(f.attempts)],
    Runs: lambda f: [21, _attempt_fields(f.attempt), f.started, _optional(_body_fields, f.args)],
    Standing: lambda f: [22, f.ready, f.closing],
    **jobframes.FIELDS,
}

_OPENERS: dict[Any, Callable[..., Frame]] = {
    1: _setup,
    2: lambda attempt, args, timeout=None: Start(_attempt(attempt), _body(args), _optional(_time, timeout)),
    3: lambda attempt: Cancel(_attempt(attempt)),
    4: lambda cleanup: Close(bool(cleanup)),
    5: lambda: Ready(),
    6: lambda text: SetupFailed(_text(text)),
    7: lambda attempt, started: Started(_attempt(attempt), _time(started)),
    8: lambda attempt, outcome: Ended(_attempt(attempt), outcome_of(outcome, _body)),
    23: lambda most: Recall(_count(most)),
    24: lambda attempts: GivenBack(_unpacked_attempts(attempts)),
    20: lambda attempts: Kept(_unpacked_attempts(attempts)),
    21: lambda attempt, started, args: Runs(_attempt(attempt), _optional(_time, started), _optional(_stored, args)),
    22: lambda ready, closing: Standing(bool(ready), bool(closing)),
    **jobframes.OPENERS,
}


def encode(frame: Frame) -> bytes:
    """A frame as the bytes that travel.

    :raises WireError: when it is longer than `FRAME_LIMIT`.
    """
    packed: bytes = _pack(_FIELDS[type(frame)](frame))
    if len(packed) > FRAME_LIMIT:
        raise WireError(f"a {type(frame).__name__} frame of {len(packed)} bytes; the limit is {FRAME_LIMIT}")
    return _LENGTH.pack(len(packed)) + packed


def _open(packed: bytes) -> Frame:
    try:
        code, *fields = msgpack.unpackb(
            packed,
            raw=False,
            unicode_errors="surrogatepass",
            max_str_len=FRAME_LIMIT,
            max_bin_len=FRAME_LIMIT,
            max_array_len=64,
            max_map_len=1024,
            max_ext_len=0,
        )
        return _OPENERS[code](*fields)
    except WireError:
        raise
    except Exception as error:  # msgpack raises half a dozen kinds; whatever it was, this is no frame
        raise WireError(f"a frame that cannot be opened: {error!r}") from error


@attrs.define
class Decoder:
    """Frames out of a stream of bytes that comes in pieces of any size."""

    _gathered: bytearray = attrs.field(factory=bytearray)

    def feed(self, received: bytes) -> list[Frame]:
        """Take the next bytes of the stream.

        :returns: the frames that are now whole, in order.
        :raises WireError: at a frame that is too long or cannot be opened; the stream is of no use any more.
        """
        return list(self.each(received))

    def each(self, received: bytes) -> Iterator[Frame]:
        """The same, frame by frame: those before one that cannot be opened count."""
        self._gathered += received
        position = 0
        try:
            while len(self._gathered) - position >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._gathered, position)
                if length > FRAME_LIMIT:
                    raise WireError(f"a frame of {length} bytes announced; the limit is {FRAME_LIMIT}")
                end = position + _LENGTH.size + length
                if end > len(self._gathered):
                    break
                frame = _open(bytes(self._gathered[position + _LENGTH.size : end]))
                position = end
                yield frame
        finally:
            del self._gathered[:position]
