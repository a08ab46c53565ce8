"""The queue of a server, and the name of the attempt that a signal is meant for."""

from __future__ import annotations

import errno
import gc
import os
import tempfile
import unittest
from unittest import mock

from dispytw.values import Attempt, Inline
from dispytw.wire.frames import Started
from dispytw.worker import descriptors
from dispytw.worker.slots import Slot, order
from dispytw.worker.slotwords import begun
from tests.worker.driving import served, slot_of, tag_of

A, B = Attempt(b"A" * 16, 1), Attempt(b"A" * 16, 2)


def job(number: int) -> Attempt:
    """An attempt."""
    return Attempt(b"%016d" % number, 1)


class Passing(unittest.TestCase):
    """What a server gets, which may be executed, and then has nothing but descriptors."""

    def test_what_is_passed(self) -> None:
        """Is enough to take jobs, to speak, to write, and to know which attempt is named."""
        slot = slot_of(self)
        slot.give(job(1), Inline(b"x"))
        slot.name(A)
        inside = served(self, slot)
        self.assertEqual(order(tag_of(job(1)), Inline(b"x")), inside.take(wait=False))
        self.assertEqual((True, False), (inside.is_named(tag_of(A)), inside.is_named(tag_of(B))))
        slot.name(B)
        self.assertTrue(inside.is_named(tag_of(B)))
        inside.say(begun(tag_of(A), 1.0))
        self.assertEqual([Started(A, 1.0)], slot.hear())
        os.write(inside.stderr.descriptor, b"words")
        self.assertEqual(b"words", slot.stderr.tail(10))

    def test_all_of_it_is_ours(self) -> None:
        """No process but a server keeps any of it; and nothing is left when the slot is closed."""
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(descriptors, "_ours", set()):
            gc.collect()
            before = set(os.listdir("/dev/fd"))
            slot = Slot.open(directory)
            self.assertLessEqual(set(slot.passing), descriptors._ours)
            self.assertEqual([False] * 5, [os.get_inheritable(each) for each in slot.passing])
            slot.close()
            self.assertEqual((before, set()), (set(os.listdir("/dev/fd")), descriptors._ours))

    def test_without_memory_files(self) -> None:
        """Where the system has none, it is another file without a name."""
        with mock.patch.object(os, "memfd_create", None):
            del os.memfd_create
            slot = slot_of(self)
        inside = served(self, slot)
        slot.name(A)
        self.assertTrue(inside.is_named(tag_of(A)))


class NoRoom(unittest.TestCase):
    """A slot of which not everything can be had."""

    def test_nothing_is_left_of_it(self) -> None:
        """What was opened is closed, and no longer taken for ours: every child would close those numbers, whatever they are by then."""
        for failing in ("capture.os.open", "slots._memory", "slots.mmap.mmap", "slots.socket.socketpair"):
            with tempfile.TemporaryDirectory() as directory, mock.patch.object(descriptors, "_ours", set()):
                gc.collect()  # what other tests have let go of is closed now, and not meanwhile
                before = set(os.listdir("/dev/fd"))
                with mock.patch(f"dispytw.worker.{failing}", side_effect=OSError(errno.EMFILE, "too many")):
                    self.assertRaises(OSError, Slot.open, directory)
                gc.collect()
                self.assertEqual((before, set()), (set(os.listdir("/dev/fd")), descriptors._ours))


class SlotTests(unittest.TestCase):
    """One slot, both sides of which are here."""

    def setUp(self) -> None:
        self.slot = slot_of(self)
        self.inside = served(self, self.slot)

    def test_taken_back(self) -> None:
        """What the server has not taken comes back, in order; what it has taken does not."""
        for number in range(3):
            self.slot.give(job(number), Inline(b"x" * 48 * 1024))
        self.inside.take(wait=False)
        self.assertEqual([job(1), job(2)], self.slot.take_back())
        self.assertEqual([], self.slot.take_back())
        self.assertIsNone(self.inside.take(wait=False))

    def test_full(self) -> None:
        """A queue that takes no more says so, and nothing is lost of what it took."""
        given = 0
        while self.slot.give(job(given), Inline(bytes(1000))):
            given += 1
        self.assertEqual([job(number) for number in range(given)], self.slot.take_back())

    def test_nonsense(self) -> None:
        """What is too short for an order is passed over."""
        self.slot.orders_in.send(b"x" * 4)
        self.slot.orders_in.send(tag_of(A))
        self.slot.give(job(7), Inline(b""))
        self.assertEqual([job(7)], self.slot.take_back())

    def test_names(self) -> None:
        """One attempt is named at a time, to the process at the other end too; another attempt of the same job is another."""
        self.assertFalse(self.inside.is_named(tag_of(A)))
        child = os.fork()
        if child == 0:
            self.slot.name(B)
            os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual((False, True), (self.inside.is_named(tag_of(A)), self.inside.is_named(tag_of(B))))
        self.slot.name(A)
        self.assertEqual((True, False), (self.inside.is_named(tag_of(A)), self.inside.is_named(tag_of(B))))
