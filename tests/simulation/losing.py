"""Answers that get lost, and last words: what is written on a link in memory is read, and a certain answer is not carried, or is the last.

An answer gets lost with its link. After a last word the process that said it dies, before its reactor has turned once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from dispytw.inmemory import Transport, Wire


def watch(
    wire: Wire,
    wanted: Counter[bytes],
    lost: Callable[[bytes], None],
    last: Counter[bytes],
    dies: Callable[[Transport, bytes], bool],
) -> None:
    """Let the answers to commands that are ``wanted`` get lost, and those that are to be the ``last`` be just that.

    :param wanted: how many answers to each command are still to be lost.
    :param lost: called with the command's name, each time.
    :param last: how many answers to each command are still to be somebody's last words.
    :param dies: called with the end that says them and the command's name, each time; whether whoever is there will die.
    """
    # The two ends' tags may meet, which does no harm: then an answer to another command is lost.
    asked: dict[bytes, bytes] = {}

    def tap(end: Transport, data: bytes) -> bool:
        if not +wanted and not +last:
            return False
        box = _fields(data)
        if b"_command" in box:
            asked[box.get(b"_ask", b"")] = box[b"_command"]
            return False
        command = asked.get(box.get(b"_answer", b""), b"")
        if last[command] and dies(end, command):
            last[command] -= 1
            return False
        if not wanted[command]:
            return False
        wanted[command] -= 1
        lost(command)
        return True

    for end in (wire.near, wire.far):
        end.tap = partial(tap, end)


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
