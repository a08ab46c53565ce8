"""What belongs to a slot and outlives its jobs: a pair of sockets to hear the worker, and two captures for its output."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import attrs

from dispytw.errors import WireError
from dispytw.wire.frames import Decoder, Frame
from dispytw.worker import descriptors
from dispytw.worker.capture import Capture


@attrs.define(eq=False)
class Slot:
    """A place for one job at a time.

    :param ours: the supervisor's end of the socket, which never blocks.
    :param theirs: the worker's end.
    :param passing: the descriptors that a worker in this slot needs.
    :ivar identity: what the worker's end of the socket is, whatever its number.
    :param sound: False once the socket carried what nobody should have written; such a slot is not used again.
    """

    ours: socket.socket
    theirs: socket.socket
    stdout: Capture
    stderr: Capture
    passing: tuple[int, ...]
    sound: bool = True
    identity: tuple[int, int] = attrs.field(init=False)
    _decoder: Decoder = attrs.field(factory=Decoder)

    def __attrs_post_init__(self) -> None:
        self.identity = descriptors.identity(self.theirs.fileno())

    @classmethod
    def open(cls, directory: str) -> Slot:
        """A new slot, whose capture files are in ``directory``."""
        with ExitStack() as opened:
            ours, theirs = opened_pair(opened)
            stdout, stderr = opened_captures(opened, directory)
            opened.pop_all()
        return cls(ours, theirs, stdout, stderr, (theirs.fileno(), stdout.descriptor, stderr.descriptor))

    def hear(self) -> list[Frame]:
        """What the worker said since the last time; what came before nonsense counts, or a job that has begun would begin again."""
        frames: list[Frame] = []
        while self.sound:
            try:
                for frame in self._decoder.each(self.ours.recv(1 << 16)):
                    frames.append(frame)
            except BlockingIOError:
                break
            except WireError:
                self.sound = False
        return frames

    def renew(self) -> None:
        """Forget the last job, half a frame of it included."""
        self._decoder = Decoder()

    def close(self) -> None:
        """Close everything; nothing may be registered on ``ours`` any more."""
        for end in (self.ours, self.theirs):
            close_end(end)
        self.stdout.close()
        self.stderr.close()


def opened_pair(opened: ExitStack, kind: int = socket.SOCK_STREAM) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, of which the first never blocks; closed with ``opened``, as when what else a slot needs cannot be had."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    for end in (ours, theirs):
        descriptors.keep(end.fileno())
        opened.callback(close_end, end)
    ours.setblocking(False)
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
