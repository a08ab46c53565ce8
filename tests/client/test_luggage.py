"""Files on their way to nodes: where they go, what they hold, and what is no file."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from unittest import TestCase, mock

from dispytw.client import luggage
from dispytw.client.luggage import Luggage, checked_directory, described_file, files_in, place_of

EVERY_PYTHON = True


class Files(TestCase):
    """In a directory of their own, which is the current one."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)

    def write(self, path: str, content: bytes = b"content", mode: int = 0o644) -> str:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def test_places(self) -> None:
        """Under the current directory their own, from elsewhere flat."""
        self.assertEqual("a/b", place_of("a/b"))
        self.assertEqual("a/b", place_of(os.path.abspath("a/./b")))
        self.assertEqual("b", place_of("../a/b"))
        self.assertEqual("b", place_of("/a/b"))
        self.assertEqual(".", place_of("."))

    def test_described(self) -> None:
        """Size, digest and mode are the file's, in whatever pieces it is read."""
        self.write("sub/script", b"12345", 0o750)
        with mock.patch.object(luggage, "_CHUNK", 2):
            file = described_file("sub/script", "here")
        self.assertEqual(("sub/script", 5, 0o750), (file.path, file.size, stat.S_IMODE(file.mode)))
        self.assertEqual(hashlib.sha256(b"12345").digest(), file.digest)
        self.assertEqual("other", described_file("sub/script", "here", "other").path)

    def test_what_is_no_file(self) -> None:
        """It is named, with the parameter that named it."""
        with self.assertRaisesRegex(FileNotFoundError, "depends.3.: there is no file 'none'"):
            described_file("none", "depends[3]")
        with self.assertRaisesRegex(OSError, "send_file: '.' is no ordinary file"):
            described_file(".", "send_file")
        self.write("secret")
        denied = mock.patch.object(luggage, "digest_of", side_effect=PermissionError(13, "Permission denied"))
        with denied, self.assertRaisesRegex(PermissionError, "here: 'secret' cannot be read: Permission denied"):
            described_file("secret", "here")

    def test_directories(self) -> None:
        """Their files in a fixed order, without what Python leaves there; links are followed, but not in a circle."""
        for path in ("tree/b", "tree/a", "tree/sub/c", "tree/__pycache__/d", "outside/e"):
            self.write(path)
        os.symlink("../outside/e", "tree/link")
        os.symlink("../../outside", "tree/sub/around")
        self.assertEqual(["a", "b", "link", "sub/c", "sub/around/e"], list(files_in("tree")))
        os.symlink("nowhere", "tree/sub/broken")
        with self.assertRaisesRegex(FileNotFoundError, "tree/sub/broken"):
            Luggage().add("tree", "depends[0]")
        os.unlink("tree/sub/broken")
        os.symlink("..", "tree/sub/up")
        with self.assertRaisesRegex(OSError, "tree/sub/up.*in a circle"):
            Luggage().add("tree", "depends[0]")

    def test_unreadable_directory(self) -> None:
        """One that cannot be looked into is an error, not an empty one."""
        denied = mock.patch.object(os, "scandir", side_effect=PermissionError(13, "Permission denied", "tree"))
        with denied, self.assertRaises(PermissionError):
            list(files_in("tree"))

    def test_directories_on_nodes(self) -> None:
        """dest_path names one below the node's own place, however it is written; what would lead out of there is refused."""
        for path, directory in ((None, ""), ("", ""), ("/", ""), (".", ""), ("a", "a"), ("/a//b/", "a/b"), ("a/./c/../b", "a/b")):
            self.assertEqual(directory, checked_directory(path))
        for wrong in ("..", "../a", "a/../../b", "a\\b", "c:/a", "x" * 300):
            with self.assertRaisesRegex(ValueError, "dest_path: "):
                checked_directory(wrong)
        with self.assertRaisesRegex(TypeError, "dest_path must be .* not 3"):
            checked_directory(3)  # type: ignore[arg-type]

    def test_gathering(self) -> None:
        """Files, directories and bytes; the later of two with one place stands."""
        gathered = Luggage()
        gathered.add(self.write("tree/a", b"1"), "here")
        gathered.add(self.write("b", b"2"), "here")
        gathered.add("tree", "here")
        gathered.add_bytes("b", b"3")
        self.assertEqual("program", gathered.add_file(self.write("program"), "here", mode=0o755))
        self.assertEqual({"tree/a": 1, "b": 1, "program": 7}, {place: file.size for place, file in gathered.files.items()})
        self.assertEqual(0o755, gathered.files["program"].mode)
        self.assertEqual(b"3", gathered.contents[gathered.files["b"].digest])
        self.assertEqual(os.path.abspath("tree/a"), gathered.contents[gathered.files["tree/a"].digest])
