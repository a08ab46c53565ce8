"""The queue of a kept worker, and the name of the attempt that a signal is meant for."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import tempfile
import unittest
from typing import Any
from unittest import mock

from dispytw.values import Attempt, Inline
from dispytw.wire.frames import Ready, Start, encode
from dispytw.worker import descriptors
from dispytw.worker.keptslots import KeptSlot

A, B = Attempt(b"A" * 16, 1), Attempt(b"A" * 16, 2)


def start(number: int, body: bytes = b"") -> Start:
    """A job."""
    return Start(Attempt(b"%016d" % number, 1), Inline(body))


class ForStrangers(unittest.TestCase):
    """A slot whose worker is executed, and has nothing but descriptors."""

    def test_what_is_passed(self) -> None:
        """Is enough to take jobs, to speak, to write, and to know which attempt is named."""
        with tempfile.TemporaryDirectory() as directory:
            slot = KeptSlot.open_to_strangers(directory)
            self.addCleanup(slot.close)
            slot.give(start(1))
            slot.name(A)
            theirs = KeptSlot.handed(tuple(map(os.dup, slot.passing)))
            self.addCleanup(theirs.close)
            self.assertEqual(start(1), theirs.take(wait=False))
            self.assertEqual((True, False), (theirs.is_named(A), theirs.is_named(B)))
            slot.name(B)
            self.assertTrue(theirs.is_named(B))
            theirs.theirs.sendall(encode(Ready()))
            self.assertEqual([Ready()], slot.hear())
            os.write(theirs.stderr.descriptor, b"words")
            self.assertEqual(b"words", slot.stderr.tail(10))

    def test_without_memory_files(self) -> None:
        """Where the system has none, it is another file without a name."""
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(os, "memfd_create", None):
            del os.memfd_create
            slot = KeptSlot.open_to_strangers(directory)
            slot.name(A)
            self.assertTrue(slot.is_named(A))
            slot.close()


class NoRoom(unittest.TestCase):
    """A slot of which not everything can be had."""

    def test_nothing_is_left_of_it(self) -> None:
        """What was opened is closed, and no longer taken for ours: every child would close those numbers, whatever they are by then."""
        makers: list[tuple[Any, str]] = [(KeptSlot.open, "dispytw.worker.capture.os.open")]
        makers.append((KeptSlot.open_to_strangers, "dispytw.worker.keptslots._memory"))
        for make, failing in makers:
            with tempfile.TemporaryDirectory() as directory, mock.patch.object(descriptors, "_ours", set()):
                gc.collect()  # what other tests have let go of is closed now, and not meanwhile
                before = set(os.listdir("/dev/fd"))
                with mock.patch(failing, side_effect=OSError(errno.EMFILE, "too many")):
                    self.assertRaises(OSError, make, directory)
                gc.collect()
                self.assertEqual((before, set()), (set(os.listdir("/dev/fd")), descriptors._ours))


class KeptSlotTests(unittest.TestCase):
    """One slot, both ends of which are here."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.slot = KeptSlot.open(directory)
        self.addCleanup(self.slot.close)

    def test_in_order(self) -> None:
        """Jobs are taken in the order in which they were given, each once; then there is none."""
        jobs = [start(number, b"x" * 48 * 1024) for number in range(3)]
        for job in jobs:
            self.assertTrue(self.slot.give(job))
        self.assertEqual(jobs, [self.slot.take(wait=False) for _ in jobs])
        self.assertIsNone(self.slot.take(wait=False))

    def test_taken_back(self) -> None:
        """What the worker has not taken comes back, in order; what it has taken does not."""
        for number in range(3):
            self.slot.give(start(number))
        self.slot.take(wait=False)
        self.assertEqual([start(1), start(2)], self.slot.take_back())
        self.assertEqual([], self.slot.take_back())
        self.assertIsNone(self.slot.take(wait=False))

    def test_full(self) -> None:
        """A queue that takes no more says so, and nothing is lost of what it took."""
        given = 0
        while self.slot.give(start(given, bytes(1000))):
            given += 1
        self.assertEqual(given, len(self.slot.take_back()))

    def test_nonsense(self) -> None:
        """What no supervisor says is passed over."""
        self.slot.orders_in.send(b"x" * 40)
        self.slot.orders_in.send(encode(Ready()))
        self.slot.give(start(7))
        self.assertEqual([start(7)], self.slot.take_back())

    def test_names(self) -> None:
        """One attempt is named at a time, to the process at the other end too; another attempt of the same job is another."""
        self.assertFalse(self.slot.is_named(A))
        child = os.fork()
        if child == 0:
            self.slot.name(B)
            os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual((False, True), (self.slot.is_named(A), self.slot.is_named(B)))
        self.slot.name(A)
        self.assertEqual((True, False), (self.slot.is_named(A), self.slot.is_named(B)))
