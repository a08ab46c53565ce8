"""What a server is given and outlives it: a slot, which is a queue of jobs, a socket to hear of them, two captures for what they write, and
the name of the attempt to be cancelled.

The queue is a pair of sockets that keep messages apart, and the supervisor holds both ends: what the server has not taken can be taken
back, so a job that waits behind a long one goes elsewhere, and when a server has died it is known which jobs it never took.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import sys
from contextlib import ExitStack

import attrs

from dispytw.errors import WireError
from dispytw.values import Attempt, Body, Inline
from dispytw.wire.frames import FRAME_LIMIT, Ended, Started
from dispytw.worker import descriptors, slotwords
from dispytw.worker.capture import Capture
from dispytw.worker.servedslot import MOST
from dispytw.worker.serverwords import attempt_of, read_word
from dispytw.worker.slotwords import ARGUMENTS, HERE, IN_FILE, TAG

#: Keeps messages apart and in order; macOS has no sequenced packets on Unix sockets, but its datagrams there are reliable.
_MESSAGES = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


@attrs.define(eq=False)
class Slot:
    """A place for one server at a time.

    :param ours: the supervisor's end of the socket, which never blocks.
    :param theirs: the server's end.
    :param passing: the descriptors that a server of this slot needs.
    :param out: directory of what does not fit into a word.
    :param orders_in: the supervisor's end of the queue, which never blocks.
    :param orders_out: the server's end.
    :param named: memory that both share: the attempt that SIGINT and SIGTERM are meant for.
    :param memory: a descriptor of that.
    :ivar sound: False once the socket carried what nobody should have written; such a slot is not used again.
    """

    ours: socket.socket
    theirs: socket.socket
    stdout: Capture
    stderr: Capture
    passing: tuple[int, ...]
    out: str
    orders_in: socket.socket
    orders_out: socket.socket
    named: mmap.mmap
    memory: int
    sound: bool = True
    _gathered: bytearray = attrs.field(factory=bytearray)

    @classmethod
    def open(cls, out: str) -> Slot:
        """A new slot, whose captures' files are in the directory ``out``."""
        with ExitStack() as opened:
            ours, theirs = opened_pair(opened)
            orders_in, orders_out = opened_pair(opened, _MESSAGES)
            stdout, stderr = opened_captures(opened, out)
            memory = descriptors.keep(_memory())
            opened.callback(_close_memory, memory)
            named = mmap.mmap(memory, TAG.size)
            opened.pop_all()
        passing = (theirs.fileno(), stdout.descriptor, stderr.descriptor, orders_out.fileno(), memory)
        return cls(ours, theirs, stdout, stderr, passing, out, orders_in, orders_out, named, memory)

    def give(self, attempt: Attempt, args: Body) -> bool:
        """Put a job into the queue; False when the queue is full."""
        try:
            self.orders_in.send(order(TAG.pack(*attempt), args))
            return True
        except OSError:
            return False

    def take_back(self) -> list[Attempt]:
        """Everything that the server has not taken."""
        attempts: list[Attempt] = []
        while True:
            try:
                taken = self.orders_out.recv(MOST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return attempts
            if not taken:
                self.sound = False  # a job has shut the queue down
                return attempts
            if len(taken) >= ARGUMENTS:  # nobody but a supervisor should have written anything else
                attempts.append(attempt_of(taken[: TAG.size]))

    def name(self, attempt: Attempt) -> None:
        """Say which attempt the next signal is meant for."""
        self.named[:] = TAG.pack(*attempt)

    def hear(self) -> list[Started | Ended]:
        """What was said since the last time; what came before nonsense counts, or a job that has begun would begin again."""
        heard: list[Started | Ended] = []
        while self.sound:
            try:
                said = self.ours.recv(1 << 16)
                self.sound = bool(said)  # both ends are open here, so an end of words is nonsense: a job has shut the socket down
                self._gathered += said
                self._read(heard)
            except BlockingIOError:
                break
            except (WireError, struct.error, ValueError):
                self.sound = False
        return heard

    def _read(self, heard: list[Started | Ended]) -> None:
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
                heard.append(read_word(kind, content, self.out))
        finally:
            del gathered[:at]

    def renew(self) -> None:
        """Forget the last job, half a word of it included."""
        self._gathered.clear()

    def close(self) -> None:
        """Close everything; nothing may be registered on ``ours`` any more."""
        for end in (self.ours, self.theirs, self.orders_in, self.orders_out):
            close_end(end)
        self.stdout.close()
        self.stderr.close()
        self.named.close()
        _close_memory(self.memory)


def order(tag: bytes, args: Body) -> bytes:
    """Run this attempt: in the bytes that a server reads."""
    return tag + HERE + args.data if isinstance(args, Inline) else tag + IN_FILE + args.path.encode("utf-8", "surrogateescape")


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


def _memory() -> int:
    """Room for a name, without a path: of memory where that can be had, as a disk may be full."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("named")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.write(descriptor, bytes(TAG.size))
    return descriptor


def _close_memory(descriptor: int) -> None:
    descriptors.drop(descriptor)
    os.close(descriptor)
