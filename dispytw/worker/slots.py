"""What belongs to a slot and outlives its jobs: a pair of sockets to hear who serves it, and two captures for its output."""

from __future__ import annotations

import os
import re
import socket
import struct
from contextlib import ExitStack

import attrs

from dispytw.errors import WireError
from dispytw.values import EMPTY, Attempt, Body, Inline, Outcome, Stored
from dispytw.wire.frames import FRAME_LIMIT, Ended, Started
from dispytw.wire.outcomes import is_time
from dispytw.worker import descriptors, slotwords
from dispytw.worker.capture import NOTE, Capture
from dispytw.worker.ending import judge, not_started, opened_word
from dispytw.worker.slotwords import stored_path

_NOTED = re.compile(rb"\n\[at least (\d+) bytes of output beyond this point were dropped\]\n\Z")
_BEGUN = struct.Struct("=20sd")


@attrs.define(eq=False)
class Slot:
    """A place for one job at a time.

    :param ours: the supervisor's end of the socket, which never blocks.
    :param theirs: the server's end.
    :param passing: the descriptors that a server of this slot needs.
    :param out: directory of what does not fit into a word.
    :param sound: False once the socket carried what nobody should have written; such a slot is not used again.
    """

    ours: socket.socket
    theirs: socket.socket
    stdout: Capture
    stderr: Capture
    passing: tuple[int, ...]
    out: str
    sound: bool = True
    _gathered: bytearray = attrs.field(factory=bytearray)

    def hear(self) -> list[Started | Ended]:
        """What was said since the last time; what came before nonsense counts, or a job that has begun would begin again."""
        heard: list[Started | Ended] = []
        while self.sound:
            try:
                said = self.ours.recv(1 << 16)
                self.sound = bool(said)  # both ends are open here, so an end of words is nonsense: a job has shut the socket down
                self._gathered += said
                self._open(heard)
            except BlockingIOError:
                break
            except (WireError, struct.error, ValueError):
                self.sound = False
        return heard

    def _open(self, heard: list[Started | Ended]) -> None:
        """Everything that is there to its end."""
        gathered, at, head = self._gathered, 0, slotwords.HEAD.size
        try:
            while len(gathered) - at >= head:
                kind, size = slotwords.HEAD.unpack_from(gathered, at)
                if size > FRAME_LIMIT:
                    raise WireError(f"{size} bytes are announced; the limit is {FRAME_LIMIT}")
                if len(gathered) - at - head < size:
                    break
                content = bytes(gathered[at + head : at + head + size])
                at += head + size
                heard.append(_opened(kind, content, self.out))
        finally:
            del gathered[:at]

    def renew(self) -> None:
        """Forget the last job, half a word of it included."""
        self._gathered.clear()

    def close(self) -> None:
        """Close everything; nothing may be registered on ``ours`` any more."""
        for end in (self.ours, self.theirs):
            close_end(end)
        self.stdout.close()
        self.stderr.close()


def _opened(kind: int, content: bytes, out: str) -> Started | Ended:
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


def opened_pair(opened: ExitStack, kind: int = socket.SOCK_STREAM) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, of which the first never blocks; closed with ``opened``, as when what else a slot needs cannot be had."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    for end in (ours, theirs):
        descriptors.keep(end.fileno())
        opened.callback(close_end, end)
    ours.setblocking(False)
    theirs.setblocking(True)  # setup() may have given new sockets a timeout
    return ours, theirs


def opened_captures(opened: ExitStack, directory: str) -> tuple[Capture, Capture]:
    """Two captures, closed with ``opened``."""
    stdout = Capture.open(directory)
    opened.callback(stdout.close)
    stderr = Capture.open(directory)
    opened.callback(stderr.close)
    return stdout, stderr


def close_end(end: socket.socket) -> None:
    """Close a socket of ours."""
    descriptors.drop(end.fileno())
    end.close()
