"""What a job raised, on its way home: the exception itself where it can travel, beside the text that always does."""

from __future__ import annotations

import struct

from dispytw.lighttyping import Any, Protocol
from dispytw.plain import ERROR_LIMIT

#: First byte of a payload that is plain msgpack.
MSGPACK_FORMAT = b"m"
#: In msgpack, the head of a list of two, and of a number of four bytes, which follow.
_PAIR, _NUMBER = b"\x92", struct.Struct(">Bi")
_FOUR_BYTES = 0xD2


class ErrorPacker(Protocol):
    """What knows which classes the other end has."""

    def pack_error(self, error: BaseException) -> bytes:
        """The exception as a payload; raises what packing raises."""


def packed_error(error: BaseException, namespace: ErrorPacker | None) -> bytes:
    """An exception as `values.Outcome` has it, or nothing where it cannot be packed, or takes more than `ERROR_LIMIT` bytes.

    :param namespace: packs it; None for a program, which has none.
    """
    if isinstance(error, SystemExit):
        return packed_death("exit", _status(error.code))
    if namespace is None:
        return b""
    try:
        packed = namespace.pack_error(error)
    except (
        BaseException
    ):  # a class of the user's may raise anything while it is pickled; the traceback's text tells what happened
        return b""
    return packed if len(packed) <= ERROR_LIMIT else b""


def packed_death(how: str, number: int) -> bytes:
    """How a process ended, as `values.Outcome` has it.

    :param how: ``exit`` or ``signal``.
    :param number: its exit status, or the signal's.
    """
    text = how.encode()
    return MSGPACK_FORMAT + _PAIR + bytes([0xA0 + len(text)]) + text + _NUMBER.pack(_FOUR_BYTES, number)


def _status(code: Any) -> int:
    """The exit status that Python would make of it."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
