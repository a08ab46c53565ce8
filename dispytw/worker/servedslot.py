"""A slot, as the process that serves it has it: a queue of orders, a socket to say how they went, and two outputs.

Its other side, and what these are, is `dispytw.worker.slots`. They come as descriptors, whether the process was forked or executed.
"""

from __future__ import annotations

import mmap
import os
from _socket import MSG_DONTWAIT  # socket itself brings ten modules, and this process is copied for every job
from _socket import socket as Socket

from dispytw.worker import descriptors
from dispytw.worker.capture import CAP, Capture
from dispytw.worker.slotwords import ARGUMENTS, TAG

#: Bytes of the longest message: an inline body and an attempt.
MOST = 64 * 1024


class ServedSlot:
    """A slot from inside.

    :param passed: its descriptors, in the order of `dispytw.worker.slots.Slot.passing`.
    :ivar stdout: one of its outputs; ``stderr`` is the other.
    """

    __slots__ = ("_named", "_orders", "_room", "passed", "stderr", "stdout", "words")

    def __init__(self, passed: tuple[int, ...]) -> None:
        self.words, stdout, stderr, orders, named = self.passed = passed
        self.stdout, self.stderr = Capture(stdout, CAP), Capture(stderr, CAP)
        self._orders = Socket(fileno=orders)
        self._orders.setblocking(True)  # setup() may have given new sockets a timeout
        self._room = memoryview(bytearray(MOST))  # new room for every order would be more pages to copy
        self._named = mmap.mmap(named, TAG.size)

    @property
    def private(self) -> tuple[int, int]:
        """Descriptors that no worker needs: the socket's, and the queue's."""
        return self.words, self._orders.fileno()

    def take(self, wait: bool) -> bytes | None:
        """The next order; None when there is none and nobody wants to wait, or there will be none."""
        try:
            size = self._orders.recv_into(self._room, 0, 0 if wait else MSG_DONTWAIT)
        except BlockingIOError:
            return None
        return self._room[:size].tobytes() if size >= ARGUMENTS else None

    def is_named(self, tag: bytes) -> bool:
        """Whether a signal that has come is meant for this attempt."""
        return self._named[:] == tag

    def say(self, words: bytes) -> None:
        """Say it to the supervisor."""
        while words:
            words = words[os.write(self.words, words) :]

    def say_if_ours(self, words: bytes) -> None:
        """The same where bodies run in this process; if one has closed the socket the process ends, as what is there now is not ours."""
        if words and descriptors.is_ours(self.words):
            self.say(words)
        elif words:
            os._exit(1)
