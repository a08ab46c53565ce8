"""Who a node is, which incarnation, and that nobody else uses its directory."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from unittest import TestCase, mock

from dispytw.errors import StateDirError
from dispytw.node import statedir
from dispytw.node.statedir import StateDir, default_path


class DefaultPath(TestCase):
    """Where the directory is when nobody says."""

    def test_systemd_comes_first(self) -> None:
        """Of several directories that it gives, the first."""
        self.assertEqual(
            "/var/lib/a", default_path(51348, {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x"})
        )

    def test_then_the_users_own(self) -> None:
        """One for each port, so that two nodes of one user do not meet."""
        self.assertEqual("/x/dispytw/node-7", default_path(7, {"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/x"}))
        with mock.patch.dict(os.environ, {"HOME": "/home/somebody"}):
            self.assertEqual("/home/somebody/.local/state/dispytw/node-8", default_path(8, {}))

    def test_it_is_used(self) -> None:
        """A node that is not told otherwise opens it."""
        with tempfile.TemporaryDirectory() as root, mock.patch.dict(os.environ, {"XDG_STATE_HOME": root}):
            os.environ.pop("STATE_DIRECTORY", None)
            state = StateDir.open(None, 7)
            self.addCleanup(state.close)
            self.assertEqual(os.path.join(root, "dispytw", "node-7"), state.path)


class StateDirCase(TestCase):
    """A directory in which the state directory will be."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.path = self.root / "state"

    def open(self) -> StateDir:
        """Open it, and let go of it at the end of the test."""
        state = StateDir.open(str(self.path), 7)
        self.addCleanup(state.close)
        return state

    def reopen(self) -> tuple[bytes, int]:
        """Open it and let go of it: the uid, and the incarnation."""
        state = StateDir.open(str(self.path), 7)
        state.close()
        return state.uid, state.incarnation

    def refusal(self, path: Path | None = None) -> str:
        """Why it cannot be opened."""
        with self.assertRaises(StateDirError) as caught:
            StateDir.open(str(path or self.path), 7)
        return str(caught.exception)


class Opening(StateDirCase):
    """What is there after it was opened."""

    def test_a_new_one(self) -> None:
        """Parents are made too; it is nobody else's to read, and holds the four places."""
        self.path = self.root / "a" / "b"
        state = self.open()
        for place in (self.path, *(self.path / name for name in ("run", "store", "work", "dest", "kept", "inbox"))):
            self.assertEqual(0o700, stat.S_IMODE(place.stat().st_mode))
        self.assertEqual(
            [str(self.path / name) for name in ("run", "store", "work", "dest", "kept", "inbox")],
            [state.run, state.store, state.work, state.dest, state.kept, state.inbox],
        )
        self.assertEqual(16, len(state.uid))

    def test_a_relative_path(self) -> None:
        """Stays what it was when the process goes elsewhere."""
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.root)
        self.path = Path("state")
        self.assertEqual(os.path.join(os.getcwd(), "state"), self.open().path)

    def test_who_it_is(self) -> None:
        """The uid stays, the incarnation rises by one each time; another directory is another node."""
        uid, first = self.reopen()
        self.assertEqual(1, first)
        self.assertEqual([(uid, 2), (uid, 3)], [self.reopen(), self.reopen()])
        self.path = self.root / "other"
        self.assertNotEqual(uid, self.reopen()[0])

    def test_what_others_could_read(self) -> None:
        """Is closed to them."""
        self.path.mkdir(mode=0o755)
        self.open()
        self.assertEqual(0o700, stat.S_IMODE(self.path.stat().st_mode))


class TornFiles(StateDirCase):
    """Files that somebody or something has damaged."""

    def test_an_unreadable_uid_or_incarnation_makes_a_new_node(self) -> None:
        """What was accepted under the old uid must never be taken for ours: its incarnations cannot be told apart from new ones."""
        torn = [("uid", content) for content in (b"", b"zz" * 16, b"\xff" * 32, b"00 " * 11, b"0" * 34)]
        torn += [("incarnation", content) for content in (b"", b"-1", b"1 2", b"\xff")]
        for name, content in torn:
            with self.subTest(name=name, content=content):
                uid, _ = self.reopen()
                (self.path / name).write_bytes(content)
                other, incarnation = self.reopen()
                self.assertNotEqual(uid, other)
                self.assertEqual(16, len(other))
                self.assertEqual((other, incarnation + 1), self.reopen())

    def test_a_missing_one(self) -> None:
        """Makes a new node too."""
        for name in ("uid", "incarnation"):
            uid, _ = self.reopen()
            (self.path / name).unlink()
            self.assertNotEqual(uid, self.reopen()[0])

    def test_a_write_that_was_cut(self) -> None:
        """Leaves what was there before: files are replaced whole."""
        before = self.reopen()
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")):
            self.assertIn("No space left", self.refusal())
        self.assertEqual((before[0], before[1] + 1), self.reopen())


class Holding(StateDirCase):
    """One daemon at a time."""

    def test_a_second_daemon(self) -> None:
        """Is told who holds it and what to do."""
        first = self.open()
        (self.path / "lock").write_text("4711\n")
        text = self.refusal()
        self.assertIn("in use by the node with process id 4711; stop it, or name another with --state-dir", text)
        self.assertIn(str(self.path), text)
        self.assertEqual(first.incarnation, int((self.path / "incarnation").read_text()))

    def test_the_holder_writes_its_pid(self) -> None:
        """Over whatever an earlier one has written."""
        self.reopen()
        (self.path / "lock").write_text("999999999999\n")
        self.open()
        self.assertEqual(f"{os.getpid()}\n", (self.path / "lock").read_text())
        (self.path / "lock").write_text("")
        self.assertIn("process id unknown", self.refusal())

    def test_closing(self) -> None:
        """Lets another have it."""
        self.reopen()
        self.open()

    def test_a_failed_opening(self) -> None:
        """Does not hold it."""
        self.reopen()
        with mock.patch.object(statedir, "_identity", side_effect=OSError("no")):
            self.refusal()
        self.open()

    def test_children_do_not_inherit_it(self) -> None:
        """A supervisor that outlives its daemon would keep the directory held."""
        self.assertFalse(os.get_inheritable(self.open()._lock))


class Refusing(StateDirCase):
    """What is not ours alone is not used."""

    def test_a_file(self) -> None:
        """Is no directory."""
        self.path.write_text("")
        self.assertIn("cannot be used", self.refusal())

    def test_a_symlink(self) -> None:
        """Is followed once, as systemd gives one to its services; what it leads to has to be ours."""
        real = self.root / "real"
        real.mkdir(mode=0o700)
        self.path.symlink_to(real)
        state = StateDir.open(str(self.path), 0)
        self.addCleanup(state.close)
        self.assertEqual(str(real), state.path)
        self.path.unlink()
        other = self.root / "open to all"
        other.mkdir()
        other.chmod(0o777)
        self.path.symlink_to(other)
        self.assertIn("can be written by others", self.refusal())

    def test_what_others_may_write(self) -> None:
        """Is refused, with what to do, and left as it is."""
        for mode in (0o770, 0o707, 0o722):
            self.path.mkdir(exist_ok=True)
            self.path.chmod(mode)
            self.assertIn("can be written by others: chmod 700 it", self.refusal())
            self.assertEqual(mode, stat.S_IMODE(self.path.stat().st_mode))

    def test_another_users(self) -> None:
        """Is refused."""
        self.path.mkdir()
        with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1):
            self.assertIn("belongs to another user", self.refusal())

    def test_a_lock_that_leads_elsewhere(self) -> None:
        """Is not followed."""
        self.reopen()
        (self.path / "lock").unlink()
        (self.root / "target").write_text("kept")
        (self.path / "lock").symlink_to(self.root / "target")
        self.assertIn("cannot be used", self.refusal())
        self.assertEqual("kept", (self.root / "target").read_text())

    def test_a_place_that_cannot_be_made(self) -> None:
        """Is one line, not a traceback."""
        (self.root / "file").write_text("")
        self.assertIn("cannot be used", self.refusal(self.root / "file" / "state"))
