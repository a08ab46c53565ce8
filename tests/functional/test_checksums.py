"""The main job: `dispytw run examples/checksums.py DIR` prints what sha256sum would, through a real node, supervisor and workers."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

from tests.functional.daemons import DEADLINE, SOURCE_ROOT, Completed, Daemons

REFERENCE = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum --"

ODD_NAMES = (
    b"plain",
    b"two words",
    b"'quoted' \"twice\"",
    b"new\nline",
    b"carriage\rreturn",
    b"back\\slash",
    b"\\n",
    b"-dash",
    b"*star",
    b"\xff\xfe not UTF-8",
    "höher".encode(),
    b"sub/dir/deep",
    b"sub.first",
)


class ChecksumsCase(unittest.TestCase):
    """The example, unmodified, with the private node of `dispytw run`."""

    seconds = DEADLINE

    def setUp(self) -> None:
        self.daemons = Daemons(self, self.seconds)

    def checksums(self, *arguments: str) -> Completed:
        program = str(SOURCE_ROOT / "examples/checksums.py")
        return self.daemons.run([sys.executable, "-m", "dispytw.cli.main", "run", program, *arguments])

    def reference(self, top: Path) -> bytes:
        """What find, sort and sha256sum say of a directory."""
        return subprocess.run(REFERENCE, shell=True, cwd=top, stdout=subprocess.PIPE, check=True).stdout

    def odd_directory(self) -> Path:
        top = self.daemons.root / "odd"
        for name in ODD_NAMES:
            path = os.path.join(os.fsencode(top), name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(name * 1000)
        (top / "empty").touch()
        (top / "link").symlink_to("plain")
        (top / "linked-directory").symlink_to("sub")
        os.mkfifo(top / "fifo")
        return top


class Checksums(ChecksumsCase):
    """What it prints of small directories."""

    def test_odd_names(self) -> None:
        """Names with spaces, quotes, newlines, backslashes and bytes that are no UTF-8 come out as sha256sum writes them."""
        top = self.odd_directory()
        done = self.checksums(str(top))
        self.assertEqual(0, done.code, done)
        self.assertEqual(self.reference(top), done.stdout)
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "-"], input=done.stdout, cwd=top, check=True)

    def test_big_sparse_file(self) -> None:
        """A file of 64 MiB that takes no room on disk is hashed to its end."""
        top = self.daemons.root / "sparse"
        top.mkdir()
        with (top / "hole").open("wb") as file:
            file.truncate(64 << 20)
        done = self.checksums(str(top))
        self.assertEqual(b"3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351  hole\n", done.stdout, done)

    def test_unreadable_directory(self) -> None:
        """A directory that is not there: said on standard error, nothing on standard output, exit status 1."""
        done = self.checksums(str(self.daemons.root / "nowhere"))
        self.assertEqual((1, b""), (done.code, done.stdout), done)
        self.assertIn("No such file or directory", done.err)
