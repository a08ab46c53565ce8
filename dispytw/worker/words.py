"""A worker's last word: how its job went, left in memory that it shares with its forker.

What kind of word it is stands in front and is written last, so a worker that dies while it speaks has said nothing. No descriptor is
needed, so a job that closes all of them can still say what it returned.
"""

from __future__ import annotations

import mmap
import struct
from typing import Union

import attrs

from dispytw.values import ERROR_LIMIT, INLINE_LIMIT, Body, Inline, Stored

#: Kinds: nothing was said; a result of at most `INLINE_LIMIT` bytes; a result in a file; an exception, as text and packed.
NONE, RETURNED, STORED, RAISED = range(4)

_HEAD, _LENGTH, _TEXT = struct.Struct("=BI"), struct.Struct("=Q"), struct.Struct("=I")
_leave_head = _HEAD.pack_into
#: A traceback is at most 48 K characters (`dispytw.worker.tracebacks`) and a few words, each four bytes at most.
_ROOM = max(INLINE_LIMIT, 4 * 49 * 1024)
_SIZE = _HEAD.size + _ROOM


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


@attrs.define(eq=False)
class Word:
    """Room for one word."""

    _memory: mmap.mmap = attrs.field(factory=lambda: mmap.mmap(-1, _SIZE))

    def leave(self, kind: int, content: bytes) -> None:
        """Say it, in the worker: RETURNED with a result, STORED with what `stored_size` makes of its length, RAISED with what
        `raised` makes of the exception."""
        size, memory = len(content), self._memory
        memory[5 : 5 + size] = content
        _leave_head(memory, 0, kind, size)

    def take(self, path: str) -> Said | None:
        """What was said, in the forker; the room is empty afterwards.

        :param path: where a result is that did not fit.
        :returns: None when there was no word, or something that cannot be one.
        """
        kind, size = _HEAD.unpack_from(self._memory)
        self._memory[0] = NONE
        content = self._memory[_HEAD.size : _HEAD.size + min(size, _SIZE)]
        if kind == RETURNED:
            return Returned(Inline(content))
        if kind == RAISED:
            return _opened(content)
        if kind == STORED and size == _LENGTH.size:
            return Returned(Stored(path, *_LENGTH.unpack(content)))
        return None


def raised(text: str, error: bytes) -> bytes:
    """An exception, as it is said: the length of its traceback, that, and the packed exception where there is room for it."""
    encoded = text.encode()
    if _TEXT.size + len(encoded) + len(error) > _ROOM:
        error = b""
    return _TEXT.pack(len(encoded)) + encoded + error


def _opened(content: bytes) -> Raised | None:
    """What was raised; None for what cannot be that."""
    if len(content) < _TEXT.size:
        return None
    end = _TEXT.size + _TEXT.unpack_from(content)[0]
    text, error = content[_TEXT.size : end], content[end:]
    return Raised(text.decode("utf-8", "replace"), error) if len(error) <= ERROR_LIMIT else None


def stored_size(size: int) -> bytes:
    """The length of a result that is in a file, as it is said."""
    return _LENGTH.pack(size)
