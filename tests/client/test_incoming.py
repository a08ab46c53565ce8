"""Files of jobs at the client: whole or not at all, and never outside its directory."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest
from unittest import mock

from dispytw.client.incoming import MOST_EXPECTED, IncomingSinks, PartialFile, place_of
from dispytw.errors import StreamError, UnsafePathError
from dispytw.values import Body, Inline, Stored
from dispytw.wire.streams import MemorySinks, Sink


class IncomingCase(unittest.TestCase):
    """In an empty directory."""

    def setUp(self) -> None:
        self.outside = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.outside)
        self.root = os.path.join(self.outside, "root")
        os.mkdir(self.root)

    def there(self) -> list[str]:
        """Paths of all files, relative to the directory above."""
        return sorted(os.path.relpath(os.path.join(at, name), self.outside) for at, _, names in os.walk(self.outside) for name in names)


class FileTests(IncomingCase):
    """One file that comes."""

    def test_whole(self) -> None:
        """It gets its name when it is whole, over what was there."""
        os.mkdir(os.path.join(self.root, "a"))
        with open(os.path.join(self.root, "a", "x"), "w") as older:
            older.write("older and longer")
        file = PartialFile(self.root, "a/x", 4)
        self.assertEqual(2, file.write(b"ne"))
        with open(os.path.join(self.root, "a", "x")) as still:
            self.assertEqual("older and longer", still.read())
        self.assertEqual(4, file.write(b"w!"))
        self.assertEqual(Stored(os.path.join(self.root, "a", "x"), 4), file.finish(b"digest"))
        with open(os.path.join(self.root, "a", "x")) as new:
            self.assertEqual("new!", new.read())
        self.assertEqual(["root/a/x"], self.there())

    def test_not_whole(self) -> None:
        """Nothing is left of it."""
        file = PartialFile(self.root, "b/x", 4)
        file.write(b"ne")
        self.assertEqual(1, len(self.there()))
        file.discard()
        self.assertEqual([], self.there())

    def test_where_it_must_not_go(self) -> None:
        """No absolute path, none that climbs, none through a symlink or to one, none where a directory is."""
        os.symlink(self.outside, os.path.join(self.root, "link"))
        os.mkdir(os.path.join(self.root, "dir"))
        for path in ("/etc/x", "../x", "a/../../x", "link/x", "link", "dir", "", "a\\x", "C:x"):
            with self.subTest(path=path):
                with self.assertRaises(UnsafePathError):
                    place_of(self.root, path)
                with self.assertRaises(StreamError):
                    PartialFile(self.root, path, 1)
        self.assertEqual([], [path for path in self.there() if path != "root/link"])

    def test_a_symlink_that_comes_meanwhile(self) -> None:
        """Is not followed either."""
        file = PartialFile(self.root, "a/x", 1)
        file.write(b"x")
        os.rename(os.path.join(self.root, "a"), os.path.join(self.root, "b"))
        os.symlink(os.path.join(self.root, "b"), os.path.join(self.root, "a"))
        with self.assertRaisesRegex(StreamError, "a path through a symlink"):
            file.finish(b"digest")
        file.discard()
        self.assertEqual([], self.there())

    def test_no_room(self) -> None:
        """It is said before it comes."""
        with self.assertRaisesRegex(StreamError, "do not fit on the client's disk"):
            PartialFile(self.root, "x", 1 << 60)

    def test_a_directory_that_cannot_be_made(self) -> None:
        """Where a file is already, say, or nobody may write."""
        with open(os.path.join(self.root, "file"), "w"):
            pass
        with self.assertRaisesRegex(StreamError, "the client cannot keep it"):
            PartialFile(self.root, "file/x", 1)
        with mock.patch("os.open", side_effect=PermissionError(13, "Permission denied")), self.assertRaisesRegex(StreamError, "Permission denied"):
            PartialFile(self.root, "x", 1)


class Expectation:
    """A stream that is expected, and what becomes of it."""

    def __init__(self) -> None:
        self.became: list[object] = []

    def open(self, size: int) -> Sink:
        return MemorySinks().open(b"", size, b"")

    def arrived(self, body: Body) -> None:
        self.became.append(body)

    def lost(self) -> None:
        self.became.append("lost")


class SinksTests(unittest.TestCase):
    """Which streams are taken."""

    def test_what_is_expected(self) -> None:
        """Is taken once, and it is said when it is there, or lost."""
        sinks, first, second = IncomingSinks(), Expectation(), Expectation()
        sinks.expect(b"one", first)
        sinks.expect(b"two", second)
        one, two = sinks.open(b"s", 2, b"one"), sinks.open(b"t", 2, b"two")
        self.assertEqual(2, one.write(b"ab"))
        self.assertEqual(Inline(b"ab"), one.finish(b"digest"))
        two.discard()
        self.assertEqual(([Inline(b"ab")], ["lost"]), (first.became, second.became))
        with self.assertRaises(StreamError):
            sinks.open(b"u", 2, b"one")

    def test_what_never_comes(self) -> None:
        """Is forgotten, when there is too much of it."""
        sinks = IncomingSinks()
        for number in range(MOST_EXPECTED + 1):
            sinks.expect(b"%d" % number, Expectation())
        self.assertEqual(MOST_EXPECTED, len(sinks._expected))
        with self.assertRaises(StreamError):
            sinks.open(b"s", 2, b"0")
        sinks.open(b"s", 2, b"1")

    def test_what_is_not(self) -> None:
        """Is refused, as any file is; bodies are taken as ever."""
        with self.assertRaises(StreamError):
            IncomingSinks().open(b"s", 2, b"d" * 32)
        sink = IncomingSinks().open(b"s", 2, b"")
        sink.write(b"ab")
        self.assertEqual(Inline(b"ab"), sink.finish(b""))
