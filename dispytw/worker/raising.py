"""What a job raised, on its way home: the exception itself where it can travel, beside the text that always does."""

from __future__ import annotations

from typing import Any, Protocol

from dispytw.values import ERROR_LIMIT
from dispytw.worker.ending import packed_death


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
    except BaseException:  # a class of the user's may raise anything while it is pickled; the traceback's text tells what happened
        return b""
    return packed if len(packed) <= ERROR_LIMIT else b""


def _status(code: Any) -> int:
    """The exit status that Python would make of it."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
