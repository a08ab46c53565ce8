"""The file that a supervisor leaves: what was written is read, and what is torn is not."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest

from dispytw.values import FINISHED, Attempt, Inline, Outcome, Stored
from dispytw.wire import spool
from dispytw.wire.frames import Ended

EVERY_PYTHON = False

OWED = [
    Ended(Attempt(bytes(15) + bytes([n]), n), Outcome(FINISHED, Inline(b"x" * n), stdout=Stored(f"/f{n}", 10**6)))
    for n in range(1, 5)
]


class SpoolTests(unittest.TestCase):
    """One file in a directory of its own."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="spool-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "a" + spool.ENDING)

    def test_round_trip(self) -> None:
        """All outcomes come back, in order, with the names of their files."""
        spool.write(self.path, OWED)
        self.assertEqual(OWED, spool.read(self.path))
        self.assertEqual(["a.owed"], os.listdir(self.directory))

    def test_torn_anywhere(self) -> None:
        """A file that ends too early holds what was whole before."""
        spool.write(self.path, OWED)
        with open(self.path, "rb") as file:
            whole = file.read()
        for length in range(len(whole)):
            with open(self.path, "wb") as file:
                file.write(whole[:length])
            found = spool.read(self.path)
            self.assertEqual(OWED[: len(found)], found)
            self.assertLess(len(found), len(OWED))

    def test_spoilt(self) -> None:
        """A byte that has changed ends it there."""
        spool.write(self.path, OWED)
        with open(self.path, "r+b") as file:
            file.seek(20)
            file.write(b"\xff")
        self.assertEqual([], spool.read(self.path))

    def test_no_room(self) -> None:
        """A file that cannot be written leaves nothing."""
        with self.assertRaises(OSError):
            spool.write(os.path.join(self.directory, "none", "a"), OWED)
        os.mkdir(self.path)
        with self.assertRaises(OSError):
            spool.write(self.path, OWED)
        self.assertEqual(["a.owed"], os.listdir(self.directory))
