"""The recover file as bytes: whole records survive, torn ones do not, and nobody but its user's one process touches it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from dispytw.client import recoverlog
from dispytw.client.recoverlog import MAGIC, RecoverLog, create_log, framed, reopen_log, replay
from dispytw.errors import RecoverFileBusyError, RecoverFileError, RecoverFileMissingError, RecoverFileUnsafeError

records = st.lists(st.lists(st.binary(max_size=40) | st.integers(-5, 2**40) | st.text(max_size=9) | st.none(), max_size=4), max_size=6)


class LogTestCase(unittest.TestCase):
    """With a directory."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "rec")

    def log(self) -> RecoverLog:
        """A new log, closed when the test ends."""
        log = create_log(self.path)
        self.addCleanup(log.close)
        return log

    def left(self, *content: Any) -> None:
        """A log that somebody has left."""
        log = create_log(self.path)
        log.append(*map(framed, content))
        log.close()

    def read(self) -> list[Any]:
        """What is in the file."""
        found: list[Any] = []
        log = reopen_log(self.path, found.append)
        log.close()
        return found


class Replaying(LogTestCase):
    """What is read again."""

    def test_there_and_back(self) -> None:
        """Records come back in their order; a log that was opened again goes on where it ended."""
        self.left(["a", 1], ["b", b"\xff"])
        log = reopen_log(self.path, lambda record: None)
        log.append(framed(["c", None]))
        log.close()
        self.assertEqual([["a", 1], ["b", b"\xff"], ["c", None]], self.read())

    @given(records, st.integers(0, 2**20), st.none() | st.binary(max_size=30))
    def test_torn_tails(self, content: list[Any], cut: int, rubbish: bytes | None) -> None:
        """Cut anywhere, with anything after it, what was whole before the cut is read and nothing else."""
        frames = [framed(record) for record in content]
        whole = b"".join(frames)
        data = whole[: cut % (len(whole) + 1)] + (rubbish or b"")
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            found: list[Any] = []
            end = replay(file, found.append)
        kept = 0
        while kept < len(frames) and sum(map(len, frames[: kept + 1])) <= cut % (len(whole) + 1):
            kept += 1
        self.assertEqual(content[:kept], found[:kept])
        self.assertLessEqual(sum(map(len, frames[:kept])), end)
        if rubbish is None:
            self.assertEqual((kept, sum(map(len, frames[:kept]))), (len(found), end))

    def test_a_changed_byte(self) -> None:
        """A record that does not check ends the file; what is written next stands in its place."""
        self.left(["a"], ["b"], ["c"])
        with open(self.path, "r+b") as file:
            file.seek(len(MAGIC + framed(["a"])) + 9)
            file.write(b"?")
        self.assertEqual([["a"]], self.read())
        log = reopen_log(self.path, lambda record: None)
        log.append(framed(["d"]))
        log.close()
        self.assertEqual([["a"], ["d"]], self.read())

    def test_killed_at_once(self) -> None:
        """A program that was killed before it had written anything has left nothing, and that is no error."""
        for start in (b"", MAGIC[:5], MAGIC):
            with open(self.path, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(start)
            self.assertEqual([], self.read())


class Making(LogTestCase):
    """New files."""

    def test_its_users_alone(self) -> None:
        """Nobody else may read it, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        self.assertEqual(0o600, os.stat(self.log().path).st_mode & 0o777)

    def test_names_that_are_taken(self) -> None:
        """What is there stays as it is: the next file gets a number."""
        with open(self.path, "w") as file:
            file.write("precious")
        self.assertEqual([f"{self.path}-2", f"{self.path}-3"], [self.log().path, self.log().path])
        with open(self.path) as file:
            self.assertEqual("precious", file.read())

    def test_where_none_can_be_made(self) -> None:
        """It says where, why and what to do."""
        self.path = os.path.join(self.path, "nowhere", "rec")
        with self.assertRaisesRegex(RecoverFileError, "nowhere/rec cannot be made: No such file or directory; name one elsewhere"):
            self.log()

    def test_no_room_for_the_first_line(self) -> None:
        """Nothing is left of it."""
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(recoverlog, "write_all", side_effect=full), self.assertRaisesRegex(RecoverFileError, "No space left"):
            self.log()
        self.assertFalse(os.path.exists(self.path))

    def test_removed(self) -> None:
        """With the directory beside it; what is appended then goes nowhere, and twice is once."""
        log = self.log()
        os.mkdir(log.bodies)
        for _ in range(2):
            log.remove()
        log.append(framed(["late"]))
        self.assertEqual([], os.listdir(os.path.dirname(self.path)))

    def test_removed_by_its_user(self) -> None:
        """That is no error."""
        log = self.log()
        os.unlink(self.path)
        log.remove()


class Full(LogTestCase):
    """A disk without room."""

    def test_all_or_none(self) -> None:
        """What was written in part is taken back, so that what comes later can be read."""
        log = self.log()
        log.append(framed(["a"]))
        write = os.write

        def some(descriptor: int, data: Any) -> int:
            if len(data) < 10:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data[:7])

        with mock.patch("os.write", some), self.assertRaises(OSError):
            log.append(framed(["b" * 20]))
        log.append(framed(["c"]))
        log.close()
        self.assertEqual([["a"], ["c"]], self.read())

    def test_in_pieces(self) -> None:
        """A write that takes less than it was given is continued."""
        log, write = self.log(), os.write
        with mock.patch("os.write", lambda descriptor, data: write(descriptor, data[:3])):
            log.append(framed(["abcdefg"]))
        log.close()
        self.assertEqual([["abcdefg"]], self.read())


class Opening(LogTestCase):
    """Files that others have left, or that are something else."""

    def refused(self, kind: type[RecoverFileError], text: str) -> None:
        """With this error; nothing has been read, and nothing changed."""
        before = Path(self.path).read_bytes() if os.path.isfile(self.path) else None
        with self.assertRaisesRegex(RecoverFileError, text) as caught:
            reopen_log(self.path, lambda record: self.fail("it was read"))
        self.assertIs(kind, type(caught.exception))
        if before is not None:
            self.assertEqual(before, Path(self.path).read_bytes())

    def test_missing(self) -> None:
        """There is none."""
        self.refused(RecoverFileMissingError, "there is no recover file .*/rec: it is removed when a program ends well")

    def test_in_use(self) -> None:
        """Its program runs."""
        self.log()
        self.refused(RecoverFileBusyError, "rec is in use: its program still runs")

    def test_free_when_its_program_has_ended(self) -> None:
        """... though a process that was forked from it lives on: that has closed its copy."""
        log = self.log()
        ours, theirs = multiprocessing.get_context("fork").Pipe()
        pid = os.fork()
        if not pid:
            try:
                ours.close()
                theirs.send("forked")
                theirs.recv()
            finally:
                os._exit(0)
        try:
            theirs.close()
            ours.recv()
            log.close()
            self.assertEqual([], self.read())
        finally:
            ours.send("end")
            os.waitpid(pid, 0)

    def test_of_another_user(self) -> None:
        """Owner and mode are looked at before anything is read."""
        self.left(["a"])
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            self.refused(RecoverFileUnsafeError, "belongs to another user")
        with mock.patch("os.open", side_effect=PermissionError(errno.EACCES, "Permission denied")):
            self.refused(RecoverFileUnsafeError, "is not yours to read")

    def test_written_by_others(self) -> None:
        """What others could have changed, or read, is not trusted."""
        for mode in (0o640, 0o602):
            self.path += "x"
            self.left(["a"])
            os.chmod(self.path, mode)
            self.refused(RecoverFileUnsafeError, "others can read or write .*: chmod 600")

    def test_a_link(self) -> None:
        """A symbolic link is not followed."""
        os.symlink(os.devnull, self.path)
        self.refused(RecoverFileUnsafeError, "is a symbolic link")

    def test_something_else(self) -> None:
        """A file of another kind stays as it is; so does what is no file."""
        with open(self.path, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("#!/bin/sh\n" * 9)
        self.refused(RecoverFileError, "is no recover file, or one of another version")
        os.unlink(self.path)
        os.mkdir(self.path)
        self.refused(RecoverFileError, "cannot be opened as a recover file: Is a directory")
        os.rmdir(self.path)
        os.mkfifo(self.path, 0o600)
        self.refused(RecoverFileError, "is no file at all")

    def test_damaged(self) -> None:
        """Records that check and are none of ours are said to be damage."""
        self.left(["a"])
        with self.assertRaisesRegex(RecoverFileError, "rec is damaged: KeyError"):
            reopen_log(self.path, lambda record: {}[record[0]])

    def test_recovered_meanwhile(self) -> None:
        """Who waits for the file while somebody else recovers finds that it is gone."""
        self.left(["a"])
        lock = recoverlog.fcntl.flock

        def late(descriptor: int, how: int) -> None:
            os.unlink(self.path)
            lock(descriptor, how)

        with mock.patch.object(recoverlog.fcntl, "flock", late), self.assertRaisesRegex(RecoverFileMissingError, "any more"):
            reopen_log(self.path, lambda record: None)
