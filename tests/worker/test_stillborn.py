"""Servers that end before they have taken a job."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest

from dispytw.values import TERMINATED
from dispytw.worker.raising import packed_death
from dispytw.worker.slots import Slot
from dispytw.worker.stillborn import TOO_MANY, Stillborn


class StillbornTests(unittest.TestCase):
    """One slot of a supervisor."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.slot = Slot.open(directory)
        self.addCleanup(self.slot.close)
        self.stillborn = Stillborn()

    def test_too_many(self) -> None:
        """The first ones mean nothing; then each is the end of a job, which tells how its process ended and what that has written."""
        for _ in range(TOO_MANY - 1):
            self.assertIsNone(self.stillborn.ended(self.slot, 256))
        os.write(self.slot.stderr.descriptor, b"ImportError: nothing there")
        for tail in ("\nits stderr ended with:\nImportError: nothing there", ""):
            outcome = self.stillborn.ended(self.slot, 256)
            assert outcome is not None
            self.assertEqual((TERMINATED, packed_death("exit", 1)), (outcome.status, outcome.error))
            text = f"no process could be made ready for the job: the job's process exited with status 1 without a result{tail}"
            self.assertEqual(text, outcome.exception)

    def test_a_beginning(self) -> None:
        """Of one that has taken a job the count begins anew."""
        self.stillborn.count = TOO_MANY - 1
        self.stillborn.count = 0
        self.assertIsNone(self.stillborn.ended(self.slot, 9))

    def test_what_it_has_written(self) -> None:
        """Is not the next job's output."""
        for capture in (self.slot.stdout, self.slot.stderr):
            os.write(capture.descriptor, b"words")
        self.stillborn.ended(self.slot, 9)
        self.assertEqual([b"", b""], [capture.tail(10) for capture in (self.slot.stdout, self.slot.stderr)])
