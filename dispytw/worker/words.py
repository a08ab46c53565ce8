"""A worker's last word: how its job went, left in memory that it shares with its forker.

What kind of word it is stands in front and is written last, so a worker that dies while it speaks has said nothing. No descriptor is
needed, so a job that closes all of them can still say what it returned.
"""

from __future__ import annotations

import mmap
import struct

from dispytw.plain import INLINE_LIMIT

#: Kinds: nothing was said; a result of at most `INLINE_LIMIT` bytes; a result in a file; an exception, as text and packed.
NONE, RETURNED, STORED, RAISED = range(4)

HEAD, LENGTH, TEXT = struct.Struct("=BI"), struct.Struct("=Q"), struct.Struct("=I")
#: A traceback is at most 48 K characters (`dispytw.worker.tracebacks`) and a few words, each four bytes at most.
_ROOM = max(INLINE_LIMIT, 4 * 49 * 1024)
_WORD = HEAD.size
_SIZE = _WORD + _ROOM


class Word:
    """Room for one word.

    :ivar memory: its kind and size, as `HEAD` has them, and the word.
    """

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, _SIZE)

    def leave(self, kind: int, content: bytes) -> None:
        """Say it: RETURNED with a result, STORED with what `stored_size` makes of its length, RAISED with what `raised` makes of the
        exception. A worker does it itself (`dispytw.worker.performer.worker`)."""
        memory = self.memory
        memory[_WORD : _WORD + len(content)] = content
        HEAD.pack_into(memory, 0, kind, len(content))

    def take(self) -> tuple[int, bytes]:
        """Its kind and what was said, in the forker; the room is empty afterwards."""
        memory = self.memory
        kind, size = HEAD.unpack_from(memory)
        memory[0] = NONE
        return kind, memory[_WORD : _WORD + min(size, _ROOM)]


def raised(text: str, error: bytes) -> bytes:
    """An exception, as it is said: the length of its traceback, that, and the packed exception where there is room for it."""
    encoded = text.encode()
    if TEXT.size + len(encoded) + len(error) > _ROOM:
        error = b""
    return TEXT.pack(len(encoded)) + encoded + error


def stored_size(size: int) -> bytes:
    """The length of a result that is in a file, as it is said."""
    return LENGTH.pack(size)
