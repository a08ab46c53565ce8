"""Answers that get lost: what is written on a link in memory is read, and the link breaks instead of carrying a certain answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from dispytw.inmemory import Wire


def watch(wire: Wire, wanted: Counter[bytes], lost: Callable[[bytes], None]) -> None:
    """Let the answers to commands that are ``wanted`` get lost.

    :param wanted: how many answers to each command are still to be lost.
    :param lost: called with the command's name, each time.
    """
    # The two ends' tags may meet, which does no harm: then an answer to another command is lost.
    asked: dict[bytes, bytes] = {}

    def tap(data: bytes) -> bool:
        if not +wanted:
            return False
        box = _fields(data)
        if b"_command" in box:
            asked[box.get(b"_ask", b"")] = box[b"_command"]
            return False
        command = asked.get(box.get(b"_answer", b""), b"")
        if not wanted[command]:
            return False
        wanted[command] -= 1
        lost(command)
        return True

    wire.near.tap = wire.far.tap = tap


def _fields(data: bytes) -> dict[bytes, bytes]:
    """The keys and values of the first AMP box in the bytes that are needed here."""
    found: dict[bytes, bytes] = {}
    position = 0
    while position + 2 <= len(data):
        length = int.from_bytes(data[position : position + 2], "big")
        if not length:
            break
        key = data[position + 2 : position + 2 + length]
        position += 2 + length
        length = int.from_bytes(data[position : position + 2], "big")
        if key in (b"_command", b"_ask", b"_answer"):
            found[key] = data[position + 2 : position + 2 + length]
        position += 2 + length
    return found
