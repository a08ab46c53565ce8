"""The file in which a supervisor leaves the outcomes that no daemon has kept: what it would have said, to whoever comes later.

A log of `Ended` frames, each behind a CRC-32 of it. What is torn at the end is ignored. Nothing here imports Twisted.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable

from dispytw.errors import WireError
from dispytw.wire.frames import FRAME_LIMIT, Decoder, Ended, encode

#: How such a file's name ends.
ENDING = ".owed"

_HEAD = struct.Struct(">II")


def write(path: str, outcomes: Iterable[Ended]) -> None:
    """Make the file, whole or not at all.

    :raises OSError: when it cannot be written; nothing is left of it then.
    """
    try:
        with open(path + ".part", "wb") as file:
            for ended in outcomes:
                frame = encode(ended)
                file.write(_HEAD.pack(len(frame), zlib.crc32(frame)) + frame)
        os.replace(path + ".part", path)
    except OSError:
        if os.path.exists(path + ".part"):
            os.unlink(path + ".part")
        raise


def read(path: str) -> list[Ended]:
    """The outcomes in the file, as far as it is sound."""
    with open(path, "rb") as file:
        content = file.read()
    found: list[Ended] = []
    position = 0
    while position + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, position)
        frame = content[position + _HEAD.size : position + _HEAD.size + length]
        if length > FRAME_LIMIT + 4 or len(frame) < length or zlib.crc32(frame) != checksum:
            break
        try:
            found += [each for each in Decoder().feed(frame) if isinstance(each, Ended)]
        except WireError:
            break
        position += _HEAD.size + length
    return found
