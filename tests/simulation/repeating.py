"""What is said twice: whoever answers gets a command a second time, and has to give the same answer, and no error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.protocols import amp

#: The tag of the second asking; tags of AMP's own are shorter.
AGAIN = b"once again"


def watch(link: Any, wanted: Counter[bytes], repeated: Callable[[bytes], None], refuse: Callable[[str], None]) -> None:
    """Let commands that are ``wanted`` arrive twice in a row.

    What names a stream is left out: its body is the receiver's own once it has been taken, and nobody says that again.

    :param link: the one that answers.
    :param wanted: how many of each command are still to be repeated.
    :param repeated: called with the command's name, each time.
    :param refuse: called when the second answer is not the first.
    """
    receive, send = link.ampBoxReceived, link.sendBox
    answers: dict[bytes, dict[bytes, bytes]] = {}

    def received(box: amp.AmpBox) -> None:
        command, tag = box.get(amp.COMMAND, b""), box.get(amp.ASK)
        if tag is None or not wanted[command]:
            return receive(box)
        second, kept = amp.AmpBox({**box, amp.ASK: AGAIN}), len(link.streams._kept)
        answers[tag] = {}
        receive(box)
        first = answers.pop(tag)
        if first and len(link.streams._kept) == kept and not link._dropped:
            wanted[command] -= 1
            repeated(command)
            answers[AGAIN] = {}
            receive(second)
            again = answers.pop(AGAIN)
            if first != again:
                refuse(f"{command.decode()} was said twice, and answered by {first}, then by {again}")

    def sent(box: amp.AmpBox) -> None:
        tag = box.get(amp.ANSWER, box.get(amp.ERROR, b""))
        if tag in answers:
            answers[tag] = {**box, amp.ANSWER if amp.ANSWER in box else amp.ERROR: b""}
        if tag != AGAIN:
            send(box)

    link.ampBoxReceived, link.sendBox = received, sent
