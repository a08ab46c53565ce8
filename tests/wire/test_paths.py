"""No path that came from elsewhere leads out of its root."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest

from hypothesis import given
from hypothesis import strategies as st

from dispytw.errors import UnsafePathError
from dispytw.wire.paths import join_under, safe_parts

#: Paths that no honest end sends.
UNSAFE = (
    "", "/", "//", "/etc/passwd", "//server/share", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "a/../../b",
    "a//b", "a/", "a/b/", "\0", "a\0b", "a/b\0", "..\\a", "a\\b", "\\\\server\\share", "\\a", "C:", "C:/a", "C:a", "c:\\a",
    "a" * 256, "é" * 128, "a/" * 64 + "a", "a" * 250 + ("/" + "b" * 250) * 16, "\ud800", "a/\udfff/b",
)  # fmt: skip
#: Paths that look odd, and are none the worse.
SAFE = (
    "a", "a/b", ".hidden", "..a", "a..", "...", "a b", " ", "-rf", "~", "~root", "$HOME", "*", "ab:c", "ab:/c", "a/C:", "caf\udce9",
    "é" * 127, "a" * 255, "/".join("a" * 64), "\n", "a;b", "日本/語", "con",
)  # fmt: skip

#: Strings made of what paths, and attacks on them, are made of.
hostile = st.lists(
    st.sampled_from(["/", "..", ".", "a", "link", "\\", "\0", "C:", "~", "etc", "\ud800", "\udce9", "x" * 300, " "]), max_size=8
).map("".join)


class Parts(unittest.TestCase):
    """The form of a path, whatever there may be on the disk."""

    def test_unsafe(self) -> None:
        """Absolute, climbing, empty, too long, or read otherwise by some system: refused."""
        for path in UNSAFE:
            with self.subTest(path=path[:40]), self.assertRaises(UnsafePathError):
                safe_parts(path)

    def test_safe(self) -> None:
        """Whatever else a file may be called is left as it is."""
        for path in SAFE:
            with self.subTest(path=path[:40]):
                self.assertEqual(tuple(path.split("/")), safe_parts(path))

    def test_a_refusal_is_bounded(self) -> None:
        """What is said of a path is short, and can be printed, however it looks."""
        for path in ("a" * 100_000, "a/../" + "\ud800\n" * 1000, "C:/" + "b/" * 60):
            with self.assertRaises(UnsafePathError) as caught:
                safe_parts(path)
            self.assertLess(len(str(caught.exception)), 2500)
            self.assertTrue(str(caught.exception).encode("utf-8").isascii())


class Places(unittest.TestCase):
    """Places below a root on the disk."""

    def setUp(self) -> None:
        base = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, base)
        self.root = os.path.join(base, "root")
        for directory in ("root/a/etc", "root/x", "outside"):
            os.makedirs(os.path.join(base, directory))
        for file in ("root/file", "outside/file"):
            open(os.path.join(base, file), "x").close()
        self.outside = os.path.join(base, "outside")

    def link(self, target: str, *place: str) -> None:
        """A symlink below the root."""
        os.symlink(target, os.path.join(self.root, *place))

    def test_a_place(self) -> None:
        """Below the root, whether it exists, wholly or in part, or not."""
        for path in ("file", "a", "a/etc/new", "new", "new/newer", "file/below"):
            self.assertEqual(os.path.join(self.root, path), join_under(self.root, path))

    def test_unsafe(self) -> None:
        """The form is looked at first."""
        for path in UNSAFE:
            with self.subTest(path=path[:40]), self.assertRaises(UnsafePathError):
                join_under(self.root, path)

    def test_symlinks(self) -> None:
        """No symlink is followed: not the first part, not the last, not one that leads nowhere or stays inside."""
        self.link(self.outside, "first")
        self.link(os.path.join(self.outside, "file"), "a", "last")
        self.link("/nowhere", "dangling")
        self.link("x", "inside")
        self.link("loop", "loop")
        for path in ("first", "first/file", "first/new", "a/last", "dangling", "dangling/new", "inside", "inside/new", "loop/a"):
            with self.subTest(path=path), self.assertRaises(UnsafePathError):
                join_under(self.root, path)

    def test_the_root_is_ours(self) -> None:
        """The root itself may be reached by a symlink: it did not come from elsewhere."""
        self.link("a", "b")
        root = os.path.join(self.root, "b")
        self.assertEqual(os.path.join(root, "etc"), join_under(root, "etc"))

    def test_too_long_for_the_disk(self) -> None:
        """Each part is short enough, and the whole is not."""
        with self.assertRaises(UnsafePathError):
            join_under(os.path.join(self.root, "r" * 200), "/".join(["b" * 250] * 16))

    def test_whatever_is_given(self) -> None:
        """Any string is refused, or names a place that is really below the root."""
        self.link(self.outside, "link")
        self.link(self.outside, "a", "link")

        @given(hostile | st.text("./aé\ud800\udce9", max_size=30) | st.text(max_size=30) | st.sampled_from(UNSAFE + SAFE))
        def stays_below(path: str) -> None:
            try:
                place = join_under(self.root, path)
            except UnsafePathError:
                return
            self.assertEqual(place, os.path.normpath(place))
            self.assertEqual(self.root, os.path.commonpath([self.root, os.path.realpath(place)]))
            self.assertNotEqual(self.root, os.path.realpath(place))

        stays_below()
