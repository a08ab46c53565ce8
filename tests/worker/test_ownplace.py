"""A job in a directory of its own: what it sees there, where it is, and that the next one is back."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from unittest import TestCase, mock

from dispytw.wire.bundle import OWN_PLACE
from dispytw.worker import ownplace


class OwnPlace(TestCase):
    """Beside the directory of all jobs, in which it begins."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        root = Path(os.path.realpath(directory.name))
        self.shared, self.own = root / "shared", root / "own"
        for place in (self.shared, self.own):
            (place / "sub").mkdir(parents=True)
        for path in ("common", "both", "sub/common", "only/inner"):
            self.write(self.shared / path, "shared")
        for path in ("mine", "both", "sub/mine"):
            self.write(self.own / path, "own")
        os.chdir(self.shared)
        path = mock.patch.object(sys, "path", [str(self.shared), "/elsewhere"])
        names = mock.patch.dict(vars(sys.modules["__main__"]), {"dispy_job_path": str(self.shared)})
        for each in (path, names):
            each.start()
            self.addCleanup(each.stop)
        self.addCleanup(setattr, ownplace, "_at", None)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def enter(self, payload: bytes = OWN_PLACE + b"arguments") -> bytes:
        return ownplace.enter(payload, str(self.own), str(self.shared))

    def job_path(self) -> object:
        return vars(sys.modules["__main__"])["dispy_job_path"]

    def test_what_it_sees(self) -> None:
        """Its own files first, and everything that is shared; directories that both have hold what both have."""
        self.assertEqual(b"arguments", self.enter())
        self.assertEqual(["both", "common", "mine", "only", "sub"], sorted(os.listdir(".")))
        self.assertEqual(["common", "mine"], sorted(os.listdir("sub")))
        texts = [Path(path).read_text() for path in ("both", "common", "mine", "sub/common", "sub/mine", "only/inner")]
        self.assertEqual(["own", "shared", "own", "shared", "own", "shared"], texts)

    def test_what_it_writes(self) -> None:
        """New files are its own; the shared ones are left as they are where it replaces them, and changed where it writes to them."""
        self.enter()
        Path("new").write_text("new")
        Path("common").write_text("changed")
        os.replace("mine", "only.tmp")
        self.assertEqual({"common", "both", "sub", "only"}, set(os.listdir(self.shared)))
        self.assertEqual(("changed", "shared"), ((self.shared / "common").read_text(), (self.shared / "both").read_text()))

    def test_where_it_is(self) -> None:
        """Directory, dispy_job_path and module path are its own, until the next job begins."""
        self.enter()
        self.assertEqual((str(self.own), str(self.own), [str(self.own), "/elsewhere"]), (os.getcwd(), self.job_path(), sys.path))
        ownplace.leave()
        back = (os.getcwd(), self.job_path(), sys.path)
        self.assertEqual((str(self.shared), str(self.shared), [str(self.shared), "/elsewhere"]), back)
        ownplace.leave()

    def test_most_jobs(self) -> None:
        """Have none, and stay where they are."""
        self.assertEqual(b"pickled", self.enter(b"pickled"))
        ownplace.leave()
        self.assertEqual((str(self.shared), str(self.shared)), (os.getcwd(), self.job_path()))

    def test_files_that_are_not_there(self) -> None:
        """Are an error before the body begins."""
        with self.assertRaises(FileNotFoundError):
            ownplace.enter(OWN_PLACE, str(self.own / "gone"), str(self.shared))

    def test_environment(self) -> None:
        """Of a program."""
        found = ownplace.environment_at("/own", {"PATH": "/shared:/bin", "dispy_job_path": "/shared", "A": "b"})
        self.assertEqual({"PATH": "/own:/shared:/bin", "dispy_job_path": "/own", "A": "b"}, found)
