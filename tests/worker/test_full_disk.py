"""What has no room on the disk waits for it: results in their workers, outputs in the supervisor."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import unittest
from typing import Any
from unittest import mock

from dispytw.values import FINISHED, Attempt, Stored
from dispytw.wire.jobframes import Logged
from dispytw.worker import performer
from dispytw.worker.capture import Capture
from dispytw.worker.serverwords import output_of
from dispytw.worker.slotwords import stored_path
from dispytw.worker.words import STORED, stored_size
from tests.worker.driving import SupervisorTestCase, content, tag_of

EVERY_PYTHON = False

TAG = tag_of(Attempt(b"j" * 16, 1))


class ResultTests(unittest.TestCase):
    """A worker whose result is long."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="full-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = stored_path(self.directory, TAG, "result")

    def test_it_is_tried_again(self) -> None:
        """Until it fits; what was written of it makes room meanwhile."""
        waits: list[float] = []
        left: list[list[str]] = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            left.append(os.listdir(self.directory))

        full = [OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota"), None]

        def opening(*args: Any) -> Any:
            file = real(*args)
            fault = full.pop(0)
            if fault is not None:
                file.close()
                raise fault
            return file

        real = open
        with mock.patch.object(performer, "open", opening, create=True), mock.patch("time.sleep", wait):
            word = performer.as_word(bytes(100_000), self.directory, TAG)
        self.assertEqual(((STORED, stored_size(100_000)), [1.0, 1.0], [[], []]), (word, waits, left))
        self.assertEqual(100_000, os.path.getsize(self.path))

    def test_other_faults(self) -> None:
        """Are the job's end."""
        with self.assertRaises(FileNotFoundError):
            performer.as_word(bytes(100_000), os.path.join(self.directory, "none"), TAG)


class OutputTests(SupervisorTestCase):
    """A supervisor that has to keep a long output."""

    def test_it_is_taken_when_there_is_room(self) -> None:
        """The job has not ended before; nothing of what it wrote is lost, to either output."""
        driver = self.supervisor("def speaks(): os.write(1, b'o' * 100_000); os.write(2, b'e' * 10); open('spoken', 'w').close()")
        attempt = Attempt(b"%016d" % 1, 1)
        obstacle = stored_path(driver.out, tag_of(attempt), "stdout")
        os.makedirs(obstacle)  # no file can be made there
        self.assertEqual(attempt, driver.begin("speaks"))
        line = driver.hear_a(Logged)
        self.assertEqual(attempt, line.attempt)
        self.assertIn("cannot be stored", line.text)
        os.rmdir(obstacle)
        outcome = driver.outcome(attempt)
        self.assertEqual(FINISHED, outcome.status)
        self.assertEqual((b"o" * 100_000, b"e" * 10), (content(outcome.stdout), content(outcome.stderr)))

    def test_a_capture_that_has_no_room(self) -> None:
        """Has not been taken, and nothing is left of the try."""
        directory = tempfile.mkdtemp(prefix="full-")
        self.addCleanup(shutil.rmtree, directory)
        capture = Capture.open(directory)
        self.addCleanup(capture.close)
        os.write(capture.descriptor, b"x" * 100_000)
        with self.assertRaises(OSError):
            capture.take(os.path.join(directory, "none", "stdout"))
        self.assertEqual([], os.listdir(directory))
        self.assertEqual(Stored(path := os.path.join(directory, "stdout"), 100_000), output_of(capture.take(path)))
