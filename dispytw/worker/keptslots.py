"""What belongs to a kept worker and outlives it: the slot of any worker, a queue of jobs, and the name of the attempt to be cancelled.

The queue is a pair of sockets that keep messages apart, and the supervisor holds both ends: what the worker has not taken can be taken
back, so a job that waits behind a long one goes elsewhere, and when a worker has died it is known which jobs it never took.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
from contextlib import ExitStack

import attrs

from dispytw.values import Attempt, Body, Inline
from dispytw.worker import descriptors
from dispytw.worker.servedslot import MOST
from dispytw.worker.slots import Slot, attempt_of, close_end, opened_captures, opened_pair
from dispytw.worker.slotwords import ARGUMENTS, HERE, IN_FILE, TAG

#: Keeps messages apart and in order; macOS has no sequenced packets on Unix sockets, but its datagrams there are reliable.
_MESSAGES = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


@attrs.define(eq=False)
class KeptSlot(Slot):
    """A place for one server at a time.

    :param orders_in: the supervisor's end of the queue, which never blocks.
    :param orders_out: the server's end.
    :param named: memory that both share: the attempt that SIGINT and SIGTERM are meant for.
    :param memory: a descriptor of that.
    """

    orders_in: socket.socket = attrs.field(kw_only=True)
    orders_out: socket.socket = attrs.field(kw_only=True)
    named: mmap.mmap = attrs.field(kw_only=True)
    memory: int = attrs.field(kw_only=True)

    @classmethod
    def open(cls, out: str) -> KeptSlot:
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
        return cls(
            *(ours, theirs, stdout, stderr, passing, out),
            orders_in=orders_in,
            orders_out=orders_out,
            named=named,
            memory=memory,
        )

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

    def close(self) -> None:
        """Close everything."""
        super().close()
        for end in (self.orders_in, self.orders_out):
            close_end(end)
        self.named.close()
        _close_memory(self.memory)


def order(tag: bytes, args: Body) -> bytes:
    """Run this attempt: in the bytes that a server reads."""
    return tag + HERE + args.data if isinstance(args, Inline) else tag + IN_FILE + args.path.encode("utf-8", "surrogateescape")


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
