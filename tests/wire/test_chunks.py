"""Bodies in pieces."""

from __future__ import annotations

import os
import tempfile
from unittest import TestCase, mock

from dispytw.values import Inline, Stored
from dispytw.wire.chunks import chunks_of, write_all


class Chunks(TestCase):
    """Of bytes and of files."""

    def test_both(self) -> None:
        """The same pieces; nothing comes in none."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"12345")
            file.flush()
            for body in (Inline(b"12345"), Stored(file.name, 5)):
                self.assertEqual([b"12", b"34", b"5"], list(chunks_of(body, 2)))
                self.assertEqual([b"12345"], list(chunks_of(body, 5)))
        self.assertEqual([], list(chunks_of(Inline(b""), 2)))

    def test_a_file_that_is_gone(self) -> None:
        """Is told when the first piece is wanted."""
        chunks = chunks_of(Stored("/nowhere/file", 5), 2)
        self.assertRaises(OSError, next, chunks)


class Writing(TestCase):
    """To a descriptor."""

    def test_a_system_that_takes_little(self) -> None:
        """All of it arrives, in order; an error comes out."""
        written = os.write
        with tempfile.TemporaryFile() as file, mock.patch("os.write", lambda descriptor, data: written(descriptor, data[:3])):
            write_all(file.fileno(), b"eleven byte")
            write_all(file.fileno(), b"")
            self.assertEqual(b"eleven byte", os.pread(file.fileno(), 100, 0))
        self.assertRaises(OSError, write_all, -1, b"x")
