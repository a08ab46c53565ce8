"""Many calls in one job: their arguments in one payload, and what became of each in another.

The arguments are a format byte, ``b``, before the payload of a list of ``(args, kwargs)``. The result is the same byte before a msgpack
list with an entry for each call: ``[payload of what it returned]``, or ``[traceback, error]`` of what it raised, the error as in
`values.Outcome`. So a call whose result cannot be packed, or opened, spoils no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dispytw.errors import PayloadError
from dispytw.lighttyping import Any, NamedTuple
from dispytw.wire.late import msgpack
from dispytw.wire.payload import Shipped, open_result, open_value, pack_arguments, pack_value

BATCHED = b"b"

Call = tuple[tuple[Any, ...], dict[str, Any]]


class Answer(NamedTuple):
    """What became of one call.

    :param result: payload of what it returned; None when it raised.
    :param exception: the traceback, when it raised.
    :param error: the exception itself, as in `values.Outcome`.
    """

    result: bytes | None
    exception: str = ""
    error: bytes = b""


class Batch(list[Answer]):
    """What became of the calls of one job, in their order."""


def is_batch(payload: bytes) -> bool:
    """Whether these are the arguments, or the results, of many calls."""
    return payload[:1] == BATCHED


def pack_calls(calls: list[Call], shipped: Shipped) -> bytes:
    """Pack the arguments of many calls.

    :raises PayloadError: when one cannot be packed; it is named.
    """
    try:
        return BATCHED + pack_value(calls, shipped).data
    except PayloadError:
        for args, kwargs in calls:
            pack_arguments(args, kwargs, shipped)  # names it
        raise


def open_calls(payload: bytes, define: Callable[[bytes], None]) -> list[Call]:
    """Open what `pack_calls` packed.

    :raises PayloadError: when it cannot be opened here.
    """
    calls: list[Call] = open_value(payload[len(BATCHED) :], define)
    return calls


def pack_answers(answers: Iterable[Answer]) -> bytes:
    """Pack what became of the calls."""
    entries = [[a.exception, a.error] if a.result is None else [a.result] for a in answers]
    return BATCHED + bytes(msgpack().packb(entries, unicode_errors="surrogatepass"))


def open_outcome(payload: bytes) -> Any:
    """Open the result of a job, of one call or of many.

    :raises PayloadError: when it cannot be opened here.
    """
    return open_answers(payload) if is_batch(payload) else open_result(payload)


def open_answers(payload: bytes) -> Batch:
    """Open what `pack_answers` packed; what the calls returned stays packed.

    :raises PayloadError: when it is something else.
    """
    try:
        entries = msgpack().unpackb(payload[len(BATCHED) :], unicode_errors="surrogatepass")
        return Batch(Answer(entry[0]) if len(entry) == 1 else Answer(None, entry[0], entry[1]) for entry in entries)
    except (ValueError, TypeError, IndexError) as error:
        raise PayloadError(f"the results of many calls cannot be opened: {error}") from error
