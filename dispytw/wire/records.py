"""Values as the lists that `Records` arguments carry, and back; what arrives is checked here and trusted inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs

from dispytw.errors import WireError
from dispytw.values import (
    EMPTY,
    JOB,
    START_METHODS,
    WORKER,
    Attempt,
    Availability,
    Body,
    Computation,
    File,
    Inline,
    Outcome,
)
from dispytw.wire.outcomes import outcome_fields, outcome_of

T = TypeVar("T")

#: What a node says of an attempt in a reconcile.
ENDED = "ended"
RUNNING = "running"
HANDED = "handed"
NEVER_STARTED = "never started"
UNKNOWN = "unknown"
WORDS = frozenset({ENDED, RUNNING, HANDED, NEVER_STARTED, UNKNOWN})

#: The limit that a job's record may name.
TIMEOUT = "timeout"
#: Why a node that is the client's own has to be waited for: what it ran there under the same name is not over yet.
STILL_ENDING = "still ending what it ran here before"

#: Bytes of records after which a batch is sent and a new one begun.
BATCH_BYTES = 512 * 1024
_OVERHEAD = 256
#: Characters of an exception, and of a reason.
_MOST_TEXT = 64 * 1024
_MOST_REASON = 2000


def attempt_from(record: Any) -> Attempt:
    """The attempt that a record begins with.

    :raises WireError: when it does not begin with a job's uid and a positive number.
    """
    try:
        job, number = record[0], record[1]
    except (TypeError, IndexError, KeyError):
        raise WireError("a record without job and number") from None
    if not (isinstance(job, bytes) and len(job) == 16 and isinstance(number, int) and 0 < number < 2**32):
        raise WireError("a record whose job or number is none")
    return Attempt(job, number)


def attempts_with(records: Iterable[Any], form: Callable[[Any], T]) -> list[tuple[Attempt, T]]:
    """Each record's attempt, and what ``form`` makes of the field after it.

    :raises WireError: for a record of another shape.
    """
    found = []
    for record in records:
        attempt = attempt_from(record)
        try:
            found.append((attempt, form(record[2])))
        except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise WireError(f"a record whose third field is none: {error!r:.200}") from None
    return found


def limits_record(timeout: float | None) -> list[Any]:
    """What follows a job's body in its record: nothing where there is no limit to its time."""
    return [] if timeout is None else [{TIMEOUT: timeout}]


def timeouts_from(records: Iterable[Any]) -> dict[Attempt, float]:
    """Seconds that bodies may take, of those records that say so.

    :raises WireError: for a limit of another shape.
    """
    found = {}
    for record in records:
        if len(record) == 3:
            continue
        limits = record[3]
        _expect(len(record) == 4 and isinstance(limits, dict) and limits.keys() <= {TIMEOUT}, "limits that are none")
        for seconds in limits.values():
            _expect(isinstance(seconds, (int, float)) and 0 < seconds < math.inf, "a timeout that is none")
            found[attempt_from(record)] = float(seconds)
    return found


def beliefs_from(records: Iterable[Any]) -> list[tuple[Attempt, int, int]]:
    """Each record's attempt, with the incarnation and the generation that it was given to.

    :raises WireError: for a record of another shape.
    """
    found = []
    for record in records:
        attempt = attempt_from(record)
        _expect(len(record) == 4 and all(isinstance(each, int) for each in record[2:]), "no incarnation or generation")
        found.append((attempt, record[2], record[3]))
    return found


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise WireError(f"a record with {what}")


def body_record(body: Body, streams: dict[str, bytes]) -> Any:
    """A body as it stands in a record: its bytes, or [stream id, size] when ``streams`` names its file."""
    if isinstance(body, Inline):
        return body.data
    return [streams[body.path], body.size]


def body_from(record: Any, take: Callable[[bytes], Body]) -> Body:
    """The body that a record names.

    :param take: gives the body of a received stream, by id.
    :raises WireError: for anything else than bytes or a received stream of the size named.
    """
    if isinstance(record, bytes):
        return Inline(record) if record else EMPTY
    _expect(isinstance(record, list) and len(record) == 2 and isinstance(record[0], bytes), "a body that is none")
    body = take(record[0])
    _expect(body.size == record[1], "a body of another size than its stream")
    return body


def outcome_record(outcome: Outcome, streams: dict[str, bytes]) -> list[Any]:
    """An outcome as a list; bodies in files are named by their streams."""
    if outcome.exception is not None or outcome.reason:
        exception = None if outcome.exception is None else _shortened(outcome.exception)
        outcome = attrs.evolve(outcome, exception=exception, reason=outcome.reason[:_MOST_REASON])
    return outcome_fields(outcome, lambda body: body_record(body, streams))


def _shortened(text: str) -> str:
    if len(text) <= _MOST_TEXT:
        return text
    half = _MOST_TEXT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def outcome_from(record: Any, take: Callable[[bytes], Body]) -> Outcome:
    """The outcome that a record tells.

    :raises WireError: for a record of another shape.
    """
    return outcome_of(record, lambda body: body_from(body, take))


def outcome_bodies(outcome: Outcome) -> list[Body]:
    """The bodies of an outcome, for whoever must stream or delete their files."""
    bodies: list[Body] = [outcome.stdout, outcome.stderr]
    return bodies if outcome.result is None else [outcome.result, *bodies]


def outcome_weight(outcome: Outcome) -> int:
    """About how many bytes the outcome takes in a box."""
    inline = sum(body.size for body in outcome_bodies(outcome) if isinstance(body, Inline))
    text = min(len(outcome.exception or ""), _MOST_TEXT) + min(len(outcome.reason), _MOST_REASON)
    return _OVERHEAD + inline + 4 * text + len(outcome.error)


def body_weight(body: Body) -> int:
    """About how many bytes a job with this body takes in a box."""
    return _OVERHEAD + (body.size if isinstance(body, Inline) else 0)


def file_record(file: File) -> list[Any]:
    """A file as a list."""
    return [file.path, file.digest, file.size, file.mode]


def file_from(record: Any) -> File:
    """The file that a record describes.

    :raises WireError: for a record of another shape.
    """
    _expect(isinstance(record, list) and len(record) == 4, "a file of another shape")
    path, digest, size, mode = record
    _expect(isinstance(path, str) and isinstance(digest, bytes) and len(digest) == 32, "a file without path or digest")
    _expect(isinstance(size, int) and size >= 0 and isinstance(mode, int) and 0 <= mode <= 0o777, "a file's size or mode")
    return File(path, digest, size, mode)


def computation_record(computation: Computation) -> list[Any]:
    """A computation as a list."""
    return [
        computation.uid,
        computation.name,
        file_record(computation.bundle),
        [file_record(file) for file in computation.files],
        computation.program,
        None if computation.python is None else list(computation.python),
        computation.setup_timeout,
        computation.token,
        computation.isolation,
        computation.max_jobs_per_worker,
        computation.dest_path,
        computation.keeps,
        computation.start_method,
    ]


def computation_from(record: Any) -> Computation:
    """The computation that a record describes.

    :raises WireError: for a record of another shape.
    """
    _expect(isinstance(record, list) and len(record) in (12, 13), "a computation of another shape")
    uid, name, bundle, files, program, python, setup_timeout, token, isolation, most_jobs, dest_path, keeps, method = (*record, None)[:13]
    _expect(isinstance(uid, bytes) and len(uid) == 16 and isinstance(name, str), "a computation without uid or name")
    _expect(isinstance(files, list), "files that are no list")
    _expect(program is None or isinstance(program, str), "a program that is no path")
    _expect(setup_timeout is None or isinstance(setup_timeout, (int, float)), "a setup timeout that is no number")
    _expect(isinstance(token, bytes) and len(token) == 16, "a computation without a token")
    _expect(isolation in (JOB, WORKER), "an isolation that is none")
    _expect(most_jobs is None or (isinstance(most_jobs, int) and most_jobs > 0), "a number of jobs that is none")
    _expect(isinstance(dest_path, str) and _is_directory(dest_path) and isinstance(keeps, bool), "a directory that is none")
    _expect(method is None or method in START_METHODS, "a start method that is none")
    return Computation(
        uid=uid,
        name=name[:200],
        bundle=file_from(bundle),
        files=tuple(file_from(file) for file in files),
        program=program,
        python=minor_from(python),
        setup_timeout=setup_timeout,
        token=token,
        isolation=isolation,
        max_jobs_per_worker=most_jobs,
        dest_path=dest_path,
        keeps=keeps,
        start_method=method,
    )


def availability_record(available: Availability | None) -> list[Any]:
    """How busy a machine is, as a list; empty when it is not known."""
    return [] if available is None else [available.cpu, available.memory, available.disk, available.swap]


def availability_from(record: Any) -> Availability | None:
    """What such a list tells.

    :raises WireError: for a record of another shape.
    """
    if record == []:
        return None
    _expect(isinstance(record, list) and len(record) == 4, "an availability of another shape")
    cpu, memory, disk, swap = record
    _expect(all(isinstance(each, (int, float)) and 0 <= each < 2**63 for each in record), "an availability that is none")
    return Availability(float(cpu), int(memory), int(disk), float(swap))


def _is_directory(path: str) -> bool:
    """Whether this is plainly relative, or empty."""
    return not path or ("\0" not in path and {"", ".", ".."}.isdisjoint(path.split("/")))


def minor_from(record: Any) -> tuple[int, int] | None:
    """A Python version, (major, minor), or None.

    :raises WireError: for anything else than None or two small integers.
    """
    if record is None:
        return None
    _expect(isinstance(record, list) and len(record) >= 2, "a Python version of another shape")
    major, minor = record[0], record[1]
    _expect(isinstance(major, int) and isinstance(minor, int), "a Python version that is no number")
    return (major, minor)
