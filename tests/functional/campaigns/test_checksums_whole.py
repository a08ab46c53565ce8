"""The main job on whole trees: the manifest of `dispytw run examples/checksums.py DIR` is the one that sha256sum makes, byte by byte."""

from __future__ import annotations

import sysconfig
import time
from pathlib import Path

from tests.functional.campaigns import campaign
from tests.functional.test_checksums import ChecksumsCase

INSTALLED = Path("/usr/lib/python3")


@campaign
class WholeTrees(ChecksumsCase):
    """The example on more than one job's worth of files."""

    seconds = 120

    def test_installed_packages(self) -> None:
        """A large tree of ordinary files: /usr/lib/python3, or where there is none the standard library."""
        self.assert_same_manifest(INSTALLED if INSTALLED.is_dir() else Path(sysconfig.get_path("stdlib")))

    def test_odd_names_beside_a_big_sparse_file(self) -> None:
        """Odd file names, and a file of 1 GB that takes no room on disk."""
        top = self.odd_directory()
        with (top / "hole").open("wb") as file:
            file.truncate(10**9)
        self.assert_same_manifest(top)

    def assert_same_manifest(self, top: Path) -> None:
        began = time.monotonic()
        done = self.checksums(str(top))
        seconds = time.monotonic() - began
        self.assertEqual(0, done.code, done)
        count = done.stdout.count(b"\n")
        print(f"\n{top}: {count} files in {seconds:.1f} s")
        self.assertGreater(count, 10)
        self.assertEqual(self.reference(top), done.stdout)
