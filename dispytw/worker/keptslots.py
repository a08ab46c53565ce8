"""What belongs to a kept worker and outlives it: the slot of any worker, a queue of jobs, and the name of the attempt to be cancelled.

The queue is a pair of sockets that keep messages apart, and the supervisor holds both ends: what the worker has not taken can be taken
back, so a job that waits behind a long one goes elsewhere, and when a worker has died it is known which jobs it never took.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import sys
import tempfile
from contextlib import ExitStack

import attrs

from dispytw.errors import WireError
from dispytw.values import Attempt
from dispytw.wire.frames import Decoder, Frame, Start, encode
from dispytw.worker import descriptors
from dispytw.worker.capture import CAP, Capture
from dispytw.worker.slots import Slot, close_end, opened_captures, opened_pair

#: Keeps messages apart and in order; macOS has no sequenced packets on Unix sockets, but its datagrams there are reliable.
_MESSAGES = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
#: Bytes of the longest message: an inline body and an attempt.
_MOST = 64 * 1024

_NAME = struct.Struct(">16sI")


@attrs.define(eq=False)
class KeptSlot(Slot):
    """A place for one kept worker at a time.

    :param orders_in: the supervisor's end of the queue, which never blocks.
    :param orders_out: the worker's end.
    :param named: memory that both share: the attempt that SIGINT and SIGTERM are meant for.
    :param memory: a descriptor of that, for a worker that is no copy of the supervisor; else -1.
    """

    orders_in: socket.socket = attrs.field(kw_only=True)
    orders_out: socket.socket = attrs.field(kw_only=True)
    named: mmap.mmap = attrs.field(factory=lambda: mmap.mmap(-1, _NAME.size))
    memory: int = -1

    @classmethod
    def open(cls, directory: str) -> KeptSlot:
        """A new slot, whose capture files are in ``directory``."""
        with ExitStack() as opened:
            ours, theirs = opened_pair(opened)
            orders_in, orders_out = opened_pair(opened, _MESSAGES)
            stdout, stderr = opened_captures(opened, directory)
            opened.pop_all()
        passing = (theirs.fileno(), stdout.descriptor, stderr.descriptor, orders_out.fileno())
        return cls(ours, theirs, stdout, stderr, passing, orders_in=orders_in, orders_out=orders_out)

    @classmethod
    def open_to_strangers(cls, directory: str) -> KeptSlot:
        """A new slot for workers that are executed, which have nothing but descriptors."""
        with ExitStack() as opened:
            slot = cls.open(directory)
            opened.callback(slot.close)
            slot.memory = descriptors.keep(_memory())
            slot.named = mmap.mmap(slot.memory, _NAME.size)
            slot.passing = (*slot.passing, slot.memory)
            opened.pop_all()
        return slot

    @classmethod
    def handed(cls, passed: tuple[int, ...]) -> KeptSlot:
        """In such a worker: the slot whose `passing` was passed. The supervisor's ends are not there."""
        theirs, stdout, stderr, orders_out, memory = passed
        nothing = socket.socket()
        nothing.close()
        return cls(
            nothing,
            socket.socket(fileno=theirs),
            Capture(stdout, CAP),
            Capture(stderr, CAP),
            passed,
            orders_in=nothing,
            orders_out=socket.socket(fileno=orders_out),
            named=mmap.mmap(memory, _NAME.size),
            memory=memory,
        )

    # The supervisor's.
    def give(self, start: Start) -> bool:
        """Put a job into the queue; False when the queue is full."""
        try:
            self.orders_in.send(encode(start))
            return True
        except (BlockingIOError, OSError):
            return False

    def take_back(self) -> list[Start]:
        """Everything that the worker has not taken."""
        starts: list[Start] = []
        while True:
            try:
                starts += _starts(self.orders_out.recv(_MOST, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return starts

    def name(self, attempt: Attempt) -> None:
        """Say which attempt the next signal is meant for."""
        self.named[:] = _NAME.pack(attempt.job, attempt.number)

    # The worker's.
    def is_named(self, attempt: Attempt) -> bool:
        """Whether a signal that has come is meant for this attempt."""
        return self.named[:] == _NAME.pack(attempt.job, attempt.number)

    def take(self, wait: bool) -> Start | None:
        """The next job; None when there is none and nobody wants to wait."""
        try:
            starts = _starts(self.orders_out.recv(_MOST, 0 if wait else socket.MSG_DONTWAIT))
        except BlockingIOError:
            return None
        return starts[0] if starts else None

    def close(self) -> None:
        """Close everything."""
        super().close()
        for end in (self.orders_in, self.orders_out):
            close_end(end)
        self.named.close()
        if self.memory >= 0:
            descriptors.drop(self.memory)
            os.close(self.memory)


def _memory() -> int:
    """Room for a name, without a path: of memory where that can be had, as a disk may be full."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("named")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.write(descriptor, bytes(_NAME.size))
    return descriptor


def _starts(message: bytes) -> list[Start]:
    """The job in a message, which nobody but a supervisor should have written."""
    try:
        frames: list[Frame] = Decoder().feed(message)
    except WireError:
        return []
    return [frame for frame in frames if isinstance(frame, Start)]
