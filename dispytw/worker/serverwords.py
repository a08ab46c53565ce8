"""What a server says of its jobs (`dispytw.worker.slotwords`), as its supervisor understands it.

A server says what it has seen; what came of the attempt by that is judged here.
"""

from __future__ import annotations

import os
import re
import struct

from dispytw.errors import WireError
from dispytw.values import EMPTY, Attempt, Body, Inline, Outcome, Stored
from dispytw.wire.frames import Ended, Started
from dispytw.wire.outcomes import is_time
from dispytw.worker import slotwords
from dispytw.worker.capture import NOTE, Capture
from dispytw.worker.ending import judge, not_started, opened_word
from dispytw.worker.slotwords import stored_path

_NOTED = re.compile(rb"\n\[at least (\d+) bytes of output beyond this point were dropped\]\n\Z")
_BEGUN = struct.Struct("=20sd")


def read_word(kind: int, content: bytes, out: str) -> Started | Ended:
    """What a word says.

    :param out: directory of what does not fit into a word.
    :raises WireError: when it is none.
    :raises struct.error: when it is cut off.
    """
    if kind == slotwords.BEGUN:
        tag, at = _BEGUN.unpack(content)
        return Started(attempt_of(tag), _time(at))
    if kind == slotwords.OVER:
        return _over(content, out)
    raise WireError("a word that is none")


def attempt_of(tag: bytes) -> Attempt:
    """The attempt that servers know so."""
    return Attempt(*slotwords.TAG.unpack(tag))


def _over(content: bytes, out: str) -> Ended:
    tag, began, ended, wait_status, bits, kind, *lengths = slotwords.OVERVIEW.unpack_from(content)
    parts, at = [], slotwords.OVERVIEW.size
    for length in lengths:
        parts.append(content[at : at + length])
        at += length
    if at != len(content):
        raise WireError("an end of another length than it says")
    word, stdout, stderr, tail = parts
    attempt, times = attempt_of(tag), (None if began != began else _time(began), _time(ended))
    ending = judge(
        opened_word(kind, word, stored_path(out, tag, "result")),
        wait_status,
        cancelled=bool(bits & slotwords.CANCELLED),
        program=bool(bits & slotwords.PROGRAM),
        stderr_tail=tail.decode("utf-8", "replace"),
    )
    if bits & slotwords.UNSTARTED:
        return Ended(attempt, not_started(ending.exception or "", times[1]))
    outputs = output_of(stdout), output_of(stderr)
    return Ended(
        attempt, Outcome(ending.status, ending.result, *outputs, ending.exception, *times, ending.reason, ending.error)
    )


def output_of(said: bytes) -> Body:
    """What a job has written, as a server has said it."""
    if not said:
        return EMPTY
    if said[0]:
        (_, size), path = slotwords.STORED.unpack_from(said), said[slotwords.STORED.size :]
        return Stored(path.decode("utf-8", "surrogateescape"), size)
    return Inline(said[1:])


def noted(capture: Capture, body: Body) -> Body:
    """What a server has taken of an output, with one note of all that was dropped, by whom it may be."""
    dropped, capture.dropped = capture.dropped, 0
    if not dropped or not isinstance(body, Stored):
        return body
    with open(body.path, "r+b") as copy:
        copy.seek(-min(body.size, len(NOTE) + 20), os.SEEK_END)
        earlier = _NOTED.search(copy.read())
        if earlier:
            dropped += int(earlier[1])
            copy.seek(-len(earlier[0]), os.SEEK_END)
        copy.write(NOTE % dropped)
        copy.truncate()
        return Stored(body.path, copy.tell())


def _time(seconds: float) -> float:
    if not is_time(seconds):
        raise WireError("a time that is none")
    return seconds
