"""What is too large to stand in a recover file."""

from __future__ import annotations

import errno
import os
import tempfile
import unittest
from typing import Any
from unittest import mock

from dispytw.client.bodies import store_body, stored_body
from dispytw.errors import StreamError


class Bodies(unittest.TestCase):
    """In a directory that is made at need."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "bodies")

    def test_there_and_back(self) -> None:
        """Each is found by its name, for its user alone."""
        self.addCleanup(os.umask, os.umask(0))
        one, two = store_body(self.path, b"one"), store_body(self.path, b"number two")
        self.assertEqual([one, two], [stored_body(self.path, os.path.basename(each.path).encode()) for each in (one, two)])
        with open(two.path, "rb") as file:
            self.assertEqual(b"number two", file.read())
        self.assertEqual([0o700, 0o600], [os.stat(path).st_mode & 0o777 for path in (self.path, one.path)])

    def test_gone(self) -> None:
        """What is not there is an error, and no name leads out of the directory."""
        os.mkdir(self.path)
        for name in (b"gone", os.fsencode(__file__), b"../" + os.path.basename(self.path).encode()):
            with self.assertRaisesRegex(StreamError, "is not there"):
                stored_body(self.path, name)

    def test_no_room(self) -> None:
        """Nothing is left of what could be written in part."""

        def full(descriptor: int, mode: str) -> Any:
            os.close(descriptor)
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch("builtins.open", full), self.assertRaises(OSError):
            store_body(self.path, b"one")
        self.assertEqual([], os.listdir(self.path))
