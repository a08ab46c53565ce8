"""Captures keep the head and count the rest."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

from dispytw.values import EMPTY, INLINE_LIMIT, Inline, Stored
from dispytw.worker.capture import NOTE, Capture
from dispytw.worker.serverwords import noted, output_of


def _at_once(lockf: Callable[[int, int], object], file: int, how: int) -> None:
    """A lock that is not waited for."""
    lockf(file, how | fcntl.LOCK_NB)


class ByLine(unittest.TestCase):
    """What Python writes."""

    def test_at_each_end_of_a_line(self) -> None:
        """It is there, in UTF-8, though the process dies; names of files are written as they are."""
        code = "import os; from dispytw.worker.capture import write_by_line as by; by(); print('é\\udcff'); print('x', end=''); os._exit(0)"
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": ""}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        self.assertEqual("é".encode() + b"\xff\n", done.stdout)


class CaptureTests(unittest.TestCase):
    """One capture with a cap of 100,000 bytes."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.capture = Capture.open(self.directory, cap=100_000)
        self.addCleanup(self.capture.close)

    def _write(self, data: bytes) -> None:
        os.write(self.capture.descriptor, data)

    def _take(self) -> Inline | Stored:
        return output_of(self.capture.take(os.path.join(self.directory, "taken")))

    def test_short_output_is_inline_and_taken_once(self) -> None:
        """What was written, and then nothing."""
        self._write(b"out")
        self.assertEqual(self._take(), Inline(b"out"))
        self.assertEqual(self._take(), EMPTY)
        self._write(b"next")
        self.assertEqual(self._take(), Inline(b"next"))

    def test_what_two_have_dropped(self) -> None:
        """Is one sum in one note: the slot's owner and its supervisor both cut the same file."""
        other = Capture(self.capture.descriptor, cap=100_000)
        for capture in (self.capture, other, self.capture):
            self._write(b"o" * 130_000)
            capture.cut()
        body = noted(other, self._take())
        assert isinstance(body, Stored)
        with open(body.path, "rb") as file:
            kept = file.read()
        self.assertEqual(b"o" * 100_000 + b"\n[at least 290000 bytes of output beyond this point were dropped]\n", kept)
        self.assertEqual(len(kept), body.size)
        self.assertEqual(body, noted(other, body))

    @contextmanager
    def _in_another_process(self, call: Callable[[Capture], object], within: str) -> Iterator[None]:
        """Another process does so with the same file, and in here it has come to that function of the module, where it waits."""
        other = Capture(os.dup(self.capture.descriptor), cap=100_000)
        self.addCleanup(os.close, other.descriptor)
        heard, said = os.pipe()
        go, on = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(on)

            def waits(*_: object) -> int:
                os.write(said, b".")
                os.read(go, 1)
                return 0

            try:
                with mock.patch(f"dispytw.worker.capture.{within}", waits):
                    call(other)
            finally:
                os._exit(0)
        os.close(said)
        os.close(go)
        self.assertEqual(b".", os.read(heard, 1))
        yield
        os.close(on)
        os.waitpid(child, 0)
        os.close(heard)

    def test_cut_while_it_is_taken(self) -> None:
        """It is not: a cut that comes late would make what is empty by then as long as the cap, for the next job."""
        self._write(b"o" * 100_000)
        with self._in_another_process(lambda other: other.take("/taken"), "Capture._copied"):
            self._write(b"o" * 30_000)
            self.assertEqual((130_000, 0), (self.capture.cut(), self.capture.dropped))
        self.assertEqual((0, 0), (self.capture.cut(), self.capture.dropped))

    def test_taken_while_it_is_cut(self) -> None:
        """It is not either: whoever takes it waits for that."""
        self._write(b"o" * 130_000)
        at_once = mock.patch.object(fcntl, "lockf", partial(_at_once, fcntl.lockf))
        with self._in_another_process(Capture.cut, "os.ftruncate"), at_once, self.assertRaises(BlockingIOError):
            self._take()
        self.assertEqual(100_000 + len(NOTE % 30_000), self._take().size)

    def test_where_nothing_can_be_locked(self) -> None:
        """As file systems go, it is cut and taken all the same."""
        self._write(b"o" * 130_000)
        with mock.patch.object(fcntl, "lockf", side_effect=OSError(errno.ENOLCK, "no locks")):
            self.assertEqual(100_000, self.capture.cut())
            self.assertEqual(100_000 + len(NOTE % 30_000), self._take().size)

    def test_long_output_is_a_file(self) -> None:
        """Beyond the inline limit it is copied out, whole."""
        self._write(b"o" * (INLINE_LIMIT + 1))
        taken = self._take()
        assert isinstance(taken, Stored)
        self.assertEqual(taken.size, INLINE_LIMIT + 1)
        with open(taken.path, "rb") as stored:
            self.assertEqual(stored.read(), b"o" * (INLINE_LIMIT + 1))

    def test_the_head_is_kept_however_often_it_is_cut(self) -> None:
        """Writers go on behind each cut; the file never grows past the cap for long, and the sum is counted."""
        for letter in (b"a", b"b", b"c"):
            self._write(letter * 80_000)
            self.assertLessEqual(self.capture.cut(), 100_000)
        taken = self._take()
        assert isinstance(taken, Stored)
        with open(taken.path, "rb") as stored:
            self.assertEqual(
                stored.read(),
                b"a" * 80_000 + b"b" * 20_000 + b"\n[at least 140000 bytes of output beyond this point were dropped]\n",
            )
        self._write(b"next")
        self.assertEqual(self._take(), Inline(b"next"))

    def test_whether_it_is_empty(self) -> None:
        """Until something is written, wherever that has left the file's position, and again when it was taken."""
        self.assertTrue(self.capture.is_empty())
        self._write(b"out")
        os.lseek(self.capture.descriptor, 0, os.SEEK_SET)
        self.assertFalse(self.capture.is_empty())
        self._write(b"put")
        self.assertEqual((Inline(b"output"), True), (self._take(), self.capture.is_empty()))

    def test_closed_by_a_job(self) -> None:
        """It is not empty then, but gone."""
        gone = Capture(os.dup(self.capture.descriptor), cap=1)
        os.close(gone.descriptor)
        self.assertRaises(OSError, gone.is_empty)

    def test_the_tail(self) -> None:
        """The last bytes, or all when there are fewer."""
        self._write(b"123456789")
        self.assertEqual(self.capture.tail(3), b"789")
        self.assertEqual(self.capture.tail(30), b"123456789")

    def test_nothing_is_left_in_the_directory(self) -> None:
        """A capture has no name there."""
        self.assertEqual(os.listdir(self.directory), [])
