"""A slot from inside: orders come one by one, and what is said goes to the supervisor and nowhere else."""

from __future__ import annotations

import os
import threading
import unittest

from dispytw.values import Attempt, Inline, Stored
from dispytw.wire.frames import Started
from dispytw.worker import descriptors
from dispytw.worker.performer import read_order
from dispytw.worker.slots import close_end, order
from dispytw.worker.slotwords import FORM, begun
from tests.worker.driving import served, slot_of, tag_of

A, B = Attempt(b"A" * 16, 1), Attempt(b"A" * 16, 2)


class ServedSlotTests(unittest.TestCase):
    """One slot, both sides of which are here."""

    def setUp(self) -> None:
        self.slot = slot_of(self)
        self.inside = served(self, self.slot)

    def test_in_order(self) -> None:
        """Jobs are taken in the order in which they were given, each once; then there is none."""
        jobs = [(Attempt(b"%016d" % number, 1), bytes([number]) * 48 * 1024) for number in range(3)]
        for attempt, data in jobs:
            self.assertTrue(self.slot.give(attempt, Inline(data)))
        for attempt, data in jobs:
            taken = self.inside.take(wait=False)
            assert taken is not None
            self.assertEqual((tag_of(attempt), data), (taken[:FORM], read_order(taken)))
        self.assertIsNone(self.inside.take(wait=False))

    def test_long_arguments(self) -> None:
        """Are where the order says, whatever the file is called."""
        path = os.path.join(self.slot.out, "\udcff é")
        with open(path, "wb") as file:
            file.write(b"y" * 100_000)
        self.slot.give(A, Stored(path, 100_000))
        taken = self.inside.take(wait=True)
        assert taken is not None
        self.assertEqual(b"y" * 100_000, read_order(taken))

    def test_waiting(self) -> None:
        """Who waits gets the next one when it is given."""
        taken: list[bytes | None] = []
        waiting = threading.Thread(target=lambda: taken.append(self.inside.take(wait=True)))
        waiting.start()
        self.slot.give(A, Inline(b"x"))
        waiting.join()
        self.assertEqual([order(tag_of(A), Inline(b"x"))], taken)

    def test_no_more(self) -> None:
        """Where there will be none, nobody waits; what is too short for an order is none."""
        self.slot.orders_in.send(tag_of(A))
        self.assertIsNone(self.inside.take(wait=True))
        close_end(self.slot.orders_in)
        self.assertIsNone(self.inside.take(wait=True))

    def test_names(self) -> None:
        """One attempt is named at a time; another attempt of the same job is another."""
        self.assertEqual((False, False), (self.inside.is_named(tag_of(A)), self.inside.is_named(tag_of(B))))
        for named, seen in ((A, (True, False)), (B, (False, True)), (A, (True, False))):
            self.slot.name(named)
            self.assertEqual(seen, (self.inside.is_named(tag_of(A)), self.inside.is_named(tag_of(B))))

    def test_what_it_writes(self) -> None:
        """Is in the supervisor's captures."""
        os.write(self.inside.stdout.descriptor, b"out")
        os.write(self.inside.stderr.descriptor, b"err")
        self.assertEqual((b"out", b"err"), (self.slot.stdout.tail(10), self.slot.stderr.tail(10)))

    def test_said(self) -> None:
        """Words arrive whole, though the socket takes them in pieces."""
        many = begun(tag_of(A), 1.0) * 100_000
        speaking = threading.Thread(target=self.inside.say, args=(many,))
        speaking.start()
        heard: list[object] = []
        while len(heard) < 100_000:
            heard += self.slot.hear()
        speaking.join()
        self.assertEqual([Started(A, 1.0)] * 100_000, heard)

    def test_what_is_private(self) -> None:
        """The socket and the queue: who has neither can speak for no server, nor take its jobs."""
        words, orders = self.inside.private
        os.close(os.dup(words))
        os.close(os.dup(orders))
        self.assertEqual((self.inside.passed[0], self.inside.passed[3]), (words, orders))

    def _in_child(self, closing: bool) -> int:
        """Say it in a child, where a body has replaced the socket or has not; its exit status."""
        heard, said = os.pipe()
        pid = os.fork()
        if pid == 0:
            descriptors.guard(self.inside.words)
            if closing:
                os.dup2(said, self.inside.words)
            self.inside.say_if_ours(b"")
            self.inside.say_if_ours(begun(tag_of(A), 1.0))
            os._exit(0)
        os.close(said)
        with open(heard, "rb") as pipe:
            self.assertEqual(b"", pipe.read(), "it is not ours to write to")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_a_socket_that_a_body_has_replaced(self) -> None:
        """Is not written to; the process ends, as it cannot say how its jobs go."""
        self.assertEqual(1, self._in_child(closing=True))
        self.assertEqual([], self.slot.hear())
        self.assertEqual(0, self._in_child(closing=False))
        self.assertEqual([Started(A, 1.0)], self.slot.hear())
