"""What supervisors and servers say to each other, byte for byte; what a supervisor makes of it is told in the tests of serverwords."""

from __future__ import annotations

import struct
import unittest

from dispytw.values import INLINE_LIMIT, Attempt, Inline, Stored
from dispytw.worker import slotwords
from dispytw.worker.performer import read_order
from dispytw.worker.servedslot import MOST
from dispytw.worker.slots import order
from dispytw.worker.slotwords import (
    ARGUMENTS,
    FORM,
    HEAD,
    OVERVIEW,
    TAG,
    begun,
    output_here,
    output_in_file,
    over,
    stored_path,
)

ATTEMPT = Attempt(bytes(range(16)), 7)
NAME = TAG.pack(*ATTEMPT)


class OrderTests(unittest.TestCase):
    """The supervisor's half."""

    def test_arguments_that_are_short(self) -> None:
        """Come with the order, and the longest fit into one message."""
        for data in (b"", b"s/not/a/path", bytes(range(256)) * (INLINE_LIMIT // 256)):
            said = order(NAME, Inline(data))
            self.assertEqual((NAME, slotwords.HERE, data), (said[:FORM], said[FORM:ARGUMENTS], said[ARGUMENTS:]))
            self.assertEqual(data, read_order(said))
            self.assertLessEqual(len(said), MOST)

    def test_arguments_that_are_long(self) -> None:
        """Are named by their file, whatever its name is."""
        said = order(NAME, Stored("/spool/\udcff é", 100_000))
        self.assertEqual(NAME + slotwords.IN_FILE + b"/spool/\xff " + "é".encode(), said)


class ServersWordsTests(unittest.TestCase):
    """The server's half."""

    def test_begun(self) -> None:
        """The attempt and a wall time, behind how much that is."""
        said = begun(NAME, 1.5)
        self.assertEqual((slotwords.BEGUN, len(said) - HEAD.size), HEAD.unpack_from(said))
        self.assertEqual(NAME + struct.pack("=d", 1.5), said[HEAD.size :])

    def test_over(self) -> None:
        """Everything that belongs to it, in the order in which the overview has the lengths."""
        said = over(NAME, 1.5, 2.5, 3, b"word", 9, 5, b"out", b"error", b"t")
        self.assertEqual((slotwords.OVER, len(said) - HEAD.size), HEAD.unpack_from(said))
        self.assertEqual((NAME, 1.5, 2.5, 9, 5, 3, 4, 3, 5, 1), OVERVIEW.unpack_from(said, HEAD.size))
        self.assertEqual(b"wordouterrort", said[HEAD.size + OVERVIEW.size :])

    def test_the_shortest(self) -> None:
        """A job that returned and wrote nothing needs no more than its word."""
        said = over(NAME, 1.5, 2.5, 1, b"w")
        self.assertEqual((NAME, 1.5, 2.5, 0, 0, 1, 1, 0, 0, 0), OVERVIEW.unpack_from(said, HEAD.size))
        self.assertEqual(HEAD.size + OVERVIEW.size + 1, len(said))

    def test_outputs(self) -> None:
        """Nothing is nothing; what is here cannot be taken for a file, whatever it begins with."""
        for data in (b"text", b"\1text", b"\0"):
            self.assertEqual(b"\0" + data, output_here(data))
        self.assertEqual(slotwords.STORED.pack(1, 1 << 40) + b"/out/\xff", output_in_file("/out/\udcff", 1 << 40))

    def test_where_long_bodies_go(self) -> None:
        """A name for each attempt and kind, which other parts of dispytw look for."""
        self.assertEqual("/out/000102030405060708090a0b0c0d0e0f-7.result", stored_path("/out", NAME, "result"))
        self.assertEqual("/out/000102030405060708090a0b0c0d0e0f-8.stdout", stored_path("/out", TAG.pack(ATTEMPT.job, 8), "stdout"))
