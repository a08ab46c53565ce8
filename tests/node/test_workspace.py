"""The node's files: contents by digest, a directory for each computation, and streams that come in."""

from __future__ import annotations

import gc
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import TestCase, mock

from twisted.internet.defer import Deferred, succeed

from dispytw.errors import StreamError, UnsafePathError
from dispytw.node import workspace
from dispytw.node.statedir import StateDir
from dispytw.node.workspace import Workspace
from dispytw.values import Attempt, Computation, File, Inline, Stored
from dispytw.wire.streams import Streams

UID = b"u" * 16
STREAM, OTHER_STREAM = b"s" * 16, b"t" * 16
#: Somebody who is not root: root may write anywhere.
NOBODY = 65534


def file(path: str, content: bytes, mode: int = 0o644) -> File:
    """A file of a computation."""
    return File(path, hashlib.sha256(content).digest(), len(content), mode)


BUNDLE = file("bundle", b"code")


def computation(*files: File) -> Computation:
    """One with these files."""
    return Computation(UID, "compute", BUNDLE, files)


class WorkspaceCase(TestCase):
    """A workspace in a state directory of its own."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.state = StateDir.open(str(self.root / "state"), 7)
        self.addCleanup(self.state.close)
        self.workspace = Workspace(self.state)

    def keep(self, *contents: bytes) -> None:
        """Have these contents in the store."""
        for content in contents:
            (Path(self.state.store) / hashlib.sha256(content).hexdigest()).write_bytes(content)

    def lay_out(self, *files: File) -> Path:
        """Lay a computation out; its directory."""
        return Path(self.workspace.lay_out(computation(*files)).work_dir)

    def without_privileges(self) -> None:
        """From here to the end of the test nothing is done as root."""
        if os.geteuid() == 0:
            for place in (self.root, *self.root.rglob("*")):
                os.lchown(place, NOBODY, -1)
            os.seteuid(NOBODY)
            self.addCleanup(os.seteuid, 0)


class Store(WorkspaceCase):
    """What is here already."""

    def test_missing(self) -> None:
        """Those whose content is not here, each content once, whatever its paths are."""
        a, b, again = file("a", b"1"), file("b", b"2"), file("c", b"1")
        self.assertEqual([b"1"], [b"%d" % f.size for f in self.workspace.missing([a, again])])
        self.keep(b"2")
        self.assertEqual([hashlib.sha256(b"1").digest()], [f.digest for f in self.workspace.missing([a, b, again])])
        self.keep(b"1")
        self.assertEqual([], self.workspace.missing([a, b, again]))

    def test_it_outlives_the_daemon(self) -> None:
        """What was left on purpose stays; what had not come whole, what lay in the inbox and what nobody holds is removed."""
        self.keep(b"1", b"2", b"3")
        (Path(self.state.kept) / hashlib.sha256(b"2").hexdigest()).write_bytes(b"2")
        self.lay_out()
        (Path(self.state.work) / "stray").write_text("")
        (Path(self.state.work) / "link").symlink_to(self.state.store)
        (Path(self.state.store) / ("0" * 64 + "ab.part")).write_text("half")
        (Path(self.state.inbox) / "00").write_text("arguments")
        again = Workspace(self.state)
        again.hold(computation(file("a", b"3")))
        again.tidy()
        self.assertEqual([file("a", b"1")], again.missing([file("a", b"1"), file("b", b"2"), file("c", b"3")]))
        self.assertEqual([hashlib.sha256(b"3").hexdigest()], os.listdir(self.state.store))
        self.assertEqual([], os.listdir(self.state.work) + os.listdir(self.state.inbox))

    def test_what_is_still_owned(self) -> None:
        """Stays: directories of computations that go on, arguments of their jobs, outcomes that are owed, and what supervisors left."""
        attempt = Attempt(b"j" * 16, 2)
        body = f"{attempt.job.hex()}-2"
        for name in (f"{body}.result", f"{body}.stdout", f"{body}0.result", "a.owed", "a.papers", "b.papers", ".capture-1"):
            (Path(self.state.spool) / name).write_text("")
        for owner in (attempt, Attempt(attempt.job, 3)):
            os.makedirs(os.path.join(self.state.spool, f"{owner.job.hex()}-{owner.number}.files", "deep"))
        for name in ("mine", "other"):
            (Path(self.state.inbox) / name).write_text("")
        self.lay_out()
        (Path(self.state.work) / "stray").mkdir()
        other = Attempt(attempt.job, 3)
        self.workspace.tidy([UID], [os.path.join(self.state.inbox, "mine")], [attempt, other], ["a"], [attempt])
        self.assertEqual([attempt], self.workspace.with_own_files([attempt, other]))
        self.workspace.remove(self.workspace.own_files(attempt))
        self.assertEqual([f"{body}.result", f"{body}.stdout", "a.owed", "a.papers"], sorted(os.listdir(self.state.spool)))
        self.assertEqual(["mine"], os.listdir(self.state.inbox))
        self.assertEqual([UID.hex()], os.listdir(self.state.work))
        self.workspace.remove_bodies([attempt, Attempt(b"k" * 16, 1)])
        self.assertEqual(["a.owed", "a.papers"], sorted(os.listdir(self.state.spool)))

    def test_room(self) -> None:
        """There is room as long as what is set aside for outcomes is free."""
        self.assertTrue(self.workspace.has_room())
        with mock.patch.object(workspace, "RESERVE", 2**62):
            self.assertFalse(self.workspace.has_room())


class LayingOut(WorkspaceCase):
    """A computation's directory."""

    def test_copies_with_their_modes(self) -> None:
        """Each file where it belongs; the bundle stays in the store. Nobody else reads any of it, and its owner always can."""
        self.keep(b"1", b"2", b"code")
        places = self.workspace.lay_out(computation(file("a", b"1", 0o755), file("b/c", b"2", 0o200)))
        work = Path(places.work_dir)
        self.assertEqual(b"code", Path(places.bundle_path).read_bytes())
        self.assertEqual((b"1", b"2"), ((work / "a").read_bytes(), (work / "b/c").read_bytes()))
        modes = [stat.S_IMODE(place.stat().st_mode) for place in (work / "a", work / "b/c", work / "b", work)]
        self.assertEqual([0o755, 0o600, 0o700, 0o700], modes)
        self.assertEqual({"a", "b"}, set(os.listdir(work)))

    def test_a_job_that_writes_to_its_file(self) -> None:
        """Changes nobody else's: not the store's, not the next computation's."""
        self.keep(b"1")
        with open(self.lay_out(file("a", b"1"), file("b", b"1")) / "a", "r+b") as written:
            written.write(b"X")
        work = Path(self.state.work) / UID.hex()
        self.assertEqual((b"X", b"1"), ((work / "a").read_bytes(), (work / "b").read_bytes()))
        self.assertEqual(b"1", (Path(self.state.store) / hashlib.sha256(b"1").hexdigest()).read_bytes())

    def test_paths_that_lead_elsewhere(self) -> None:
        """Are refused, and nothing is written outside."""
        self.keep(b"1")
        for path in ("../a", "/etc/a", "a/../../a", "", "a//b"):
            with self.assertRaises(UnsafePathError):
                self.lay_out(file(path, b"1"))
            self.workspace.remove(self.workspace.release(UID))
        self.assertEqual(
            {"run", "spool", "store", "work", "dest", "kept", "inbox", "uid", "incarnation", "lock"}, set(os.listdir(self.state.path))
        )
        self.assertEqual(["state"], os.listdir(self.root))

    def test_twice(self) -> None:
        """Is an error: files of one launch never mix with another's."""
        self.lay_out()
        self.assertRaises(FileExistsError, self.lay_out)


class Removing(WorkspaceCase):
    """What a computation left."""

    def test_everything_goes(self) -> None:
        """And the next one can be laid out; what is not there needs no removing."""
        self.keep(b"1")
        (self.lay_out(file("a/b", b"1")) / "result").write_text("left by a job")
        self.workspace.remove(self.workspace.release(UID))
        self.assertEqual([], os.listdir(self.state.work))
        self.workspace.remove(self.workspace.release(UID))
        self.lay_out()

    def test_odd_modes(self) -> None:
        """Directories in which jobs took away every permission."""
        work = self.lay_out()
        for name in ("closed", "unwritable", "unreadable"):
            (work / name / "deep").mkdir(parents=True)
            (work / name / "deep" / "file").write_text("")
        self.without_privileges()
        for name, mode in (("closed", 0), ("unwritable", 0o500), ("unreadable", 0o300)):
            (work / name / "deep").chmod(mode)
            (work / name).chmod(mode)
        work.chmod(0)
        self.workspace.remove(self.workspace.release(UID))
        self.assertEqual([], os.listdir(self.state.work))

    def test_symlinks_are_not_followed(self) -> None:
        """Neither one in the directory nor one in its stead: what they lead to keeps content and mode."""
        elsewhere = self.root / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "precious").write_text("kept")
        (elsewhere / "directory").mkdir()
        for place in (elsewhere, elsewhere / "directory"):
            place.chmod(0o755)
        work = self.lay_out()
        (work / "link").symlink_to(elsewhere)
        self.workspace.remove(self.workspace.release(UID))
        work.symlink_to(elsewhere)
        self.workspace.remove(self.workspace.release(UID))
        work.symlink_to(self.root / "nowhere")
        self.workspace.remove(self.workspace.release(UID))
        self.assertEqual([], os.listdir(self.state.work))
        self.assertEqual("kept", (elsewhere / "precious").read_text())
        self.assertEqual([0o755, 0o755], [stat.S_IMODE(p.stat().st_mode) for p in (elsewhere, elsewhere / "directory")])


class Named(WorkspaceCase):
    """Directories that are shared by name, and what is left on purpose."""

    def opened(self, uid: int, *files: File, dest_path: str = "", keeps: bool = False) -> bytes:
        """A computation that is here, with its files laid out."""
        made = Computation(bytes([uid]) * 16, "compute", BUNDLE, files, dest_path=dest_path, keeps=keeps)
        self.keep(*(b"%d" % size for size in range(3)))
        self.workspace.hold(made)
        self.work = Path(self.workspace.lay_out(made).work_dir)
        return made.uid

    def close(self, uid: bytes) -> None:
        """It is closed."""
        self.workspace.remove(self.workspace.release(uid))

    def contents(self) -> list[str]:
        """Of the store, and what is kept."""
        return sorted(os.listdir(self.state.store) + os.listdir(self.state.kept))

    def test_close_leaves_nothing(self) -> None:
        """Neither directory nor content, with a name of its own or without."""
        for dest_path in ("", "a/b"):
            uid = self.opened(1, file("a", b"0"), file("b", b"1"), file("c", b"2"), dest_path=dest_path)
            self.keep(b"code")
            (self.work / "result").write_text("left by a job")
            self.close(uid)
            self.assertEqual([], self.contents() + os.listdir(self.state.work) + os.listdir(self.state.dest))

    def test_left_on_purpose(self) -> None:
        """Directory and contents stay, over restarts too, until one is closed that does not keep them."""
        self.close(self.opened(1, file("a", b"0"), dest_path="a/b", keeps=True))
        (self.work / "result").write_text("left by a job")
        again = Workspace(self.state)
        again.tidy()
        self.assertEqual([], again.missing([file("x", b"0")]))
        self.assertEqual(["a", "result"], sorted(os.listdir(self.work)))
        first = self.work
        self.workspace = again
        uid = self.opened(2, file("a", b"0"), dest_path="a/b")
        self.assertEqual((first, "left by a job"), (self.work, (self.work / "result").read_text()))
        self.close(uid)
        self.assertFalse(first.exists())
        self.workspace.tidy()
        self.assertEqual([], self.contents())

    def test_left_without_a_name(self) -> None:
        """It stays where nobody looks for it but its user."""
        self.close(self.opened(1, file("a", b"0"), keeps=True))
        again = Workspace(self.state)
        again.tidy()
        self.assertEqual(b"0", (self.work / "a").read_bytes())

    def test_several_at_once(self) -> None:
        """The last one to be closed decides."""
        for last_keeps in (True, False):
            first = self.opened(1, file("a", b"0"), dest_path="d", keeps=not last_keeps)
            last = self.opened(2, file("b", b"1"), dest_path="d", keeps=last_keeps)
            self.close(first)
            self.assertEqual(["a", "b"], sorted(os.listdir(self.work)))
            self.close(last)
            self.assertEqual(last_keeps, self.work.exists())

    def test_names_do_not_lie_in_each_other(self) -> None:
        """The end of one whose name is the beginning of another's takes nothing from that."""
        inner = self.opened(1, file("b", b"0"), dest_path="a/b")
        place = self.work
        self.close(self.opened(2, dest_path="a"))
        self.assertEqual(["b"], os.listdir(place))
        self.close(inner)
        self.assertEqual([], os.listdir(self.state.dest))

    def test_a_file_that_is_open(self) -> None:
        """Stays what it was for who has it open; the place holds the new one, whole."""
        self.opened(1, file("a", b"0"), dest_path="d")
        with open(self.work / "a") as old:
            self.opened(2, file("a", b"1"), dest_path="d")
            self.assertEqual(("0", "1"), (old.read(), (self.work / "a").read_text()))

    def test_one_that_returns(self) -> None:
        """Its supervisor died: its files need not travel anew."""
        uid = self.opened(1, file("a", b"0"))
        self.workspace.remove(self.workspace.release(uid, returns=True))
        self.assertFalse(self.work.exists())
        self.assertEqual([], self.workspace.missing([file("a", b"0")]))
        self.close(uid)
        self.assertEqual([file("a", b"0")], self.workspace.missing([file("a", b"0")]))

    def test_files_that_come_later(self) -> None:
        """For the computation they go to its directory and stay as long as it; for an attempt to one of its own."""
        uid, attempt = self.opened(1), Attempt(b"j" * 16, 2)
        self.workspace.hold_files(uid, [file("later/a", b"0")])
        self.workspace.lay_out_later(uid, [file("later/a", b"0")])
        self.assertEqual(b"0", (self.work / "later/a").read_bytes())
        self.workspace.hold_files(uid, [file("a", b"1")], attempt)
        self.workspace.lay_out_later(uid, [file("a", b"1")], attempt)
        self.workspace.remove(self.workspace.laid_out_for(uid, attempt))
        own = Path(self.state.spool) / f"{attempt.job.hex()}-2.files"
        self.assertEqual((b"1", ["later"]), ((own / "a").read_bytes(), os.listdir(self.work)))
        self.workspace.remove(self.workspace.own_files(attempt))
        self.assertEqual([], os.listdir(self.state.spool))
        self.close(uid)
        self.assertEqual([hashlib.sha256(b"2").hexdigest()], self.contents())
        with self.assertRaisesRegex(FileNotFoundError, "just been closed"):
            self.workspace.lay_out_later(uid, [file("a", b"1")])

    def test_a_link_in_the_way(self) -> None:
        """That a job has made: nothing is written through it."""
        uid = self.opened(1, file("a", b"0"))
        (self.work / "out").symlink_to(self.root)
        for path in ("out/x", "out"):
            with self.assertRaises(UnsafePathError):
                self.workspace.lay_out_later(uid, [file(path, b"0")])
        self.assertEqual((["state"], []), (os.listdir(self.root), os.listdir(self.state.inbox)))


class Sinks(WorkspaceCase):
    """Where streams go."""

    def setUp(self) -> None:
        super().setUp()
        self.sinks = self.workspace.sinks()

    def names(self, place: str) -> list[str]:
        """What lies there."""
        return sorted(os.listdir(os.path.join(self.state.path, place)))

    def test_a_body(self) -> None:
        """Grows under another name, and has its own when it is whole."""
        sink = self.sinks.open(STREAM, 6, b"")
        self.assertEqual([STREAM.hex() + ".part"], self.names("inbox"))
        self.assertEqual([3, 6], [sink.write(b"abc"), sink.write(b"def")])
        body = sink.finish(hashlib.sha256(b"abcdef").digest())
        self.assertEqual(Stored(os.path.join(self.state.inbox, STREAM.hex()), 6), body)
        self.assertEqual([STREAM.hex()], self.names("inbox"))
        self.assertEqual(b"abcdef", (Path(self.state.inbox) / STREAM.hex()).read_bytes())
        self.assertEqual(0o600, stat.S_IMODE(os.stat(os.path.join(self.state.inbox, STREAM.hex())).st_mode))

    def test_a_body_that_nobody_takes(self) -> None:
        """Is deleted, once; what is in the store stays, and so does what is not ours."""
        sink = self.sinks.open(STREAM, 0, b"")
        body = sink.finish(hashlib.sha256().digest())
        self.sinks.delete(body)
        self.sinks.delete(body)
        self.sinks.delete(Inline(b"x"))
        self.assertEqual([], self.names("inbox"))
        self.keep(b"1")
        outside = self.root / "outside"
        outside.write_text("")
        for path in (os.path.join(self.state.store, self.names("store")[0]), str(outside)):
            self.sinks.delete(Stored(path, 1))
            self.assertTrue(os.path.exists(path))

    def test_a_stream_that_is_given_up(self) -> None:
        """Leaves nothing."""
        for kind in (b"", b"d" * 32):
            sink = self.sinks.open(STREAM, 3, kind)
            sink.write(b"ab")
            sink.discard()
        self.assertEqual([], self.names("inbox") + self.names("store"))

    def test_the_same_content_twice_at_once(self) -> None:
        """Two clients' links, or two files: both arrive, and the store has it once."""
        digest = hashlib.sha256(b"ab").digest()
        self.workspace.hold(computation(file("a", b"ab")))
        first, second = self.sinks.open(STREAM, 2, digest), self.workspace.sinks().open(OTHER_STREAM, 2, digest)
        first.write(b"a")
        second.write(b"ab")
        self.assertEqual(Stored(os.path.join(self.state.store, digest.hex()), 2), second.finish(digest))
        first.write(b"b")
        self.assertEqual(Stored(os.path.join(self.state.store, digest.hex()), 2), first.finish(digest))
        self.assertEqual([digest.hex()], self.names("store"))
        self.assertEqual([], self.workspace.missing([file("a", b"ab")]))

    def test_a_content_that_nobody_needs(self) -> None:
        """Any more, when it has come: it leaves nothing."""
        digest = hashlib.sha256(b"ab").digest()
        self.workspace.hold(computation(file("a", b"ab")))
        sink = self.sinks.open(STREAM, 2, digest)
        self.workspace.remove(self.workspace.release(UID))
        sink.write(b"ab")
        with self.assertRaisesRegex(StreamError, "nobody here needs it"):
            sink.finish(digest)
        sink.discard()
        self.assertEqual([], self.names("store"))

    def test_a_stream_id_that_is_in_use(self) -> None:
        """By another link: it cannot write into what comes in there."""
        sink = self.sinks.open(STREAM, 2, b"")
        self.assertRaises(OSError, self.workspace.sinks().open, STREAM, 2, b"")
        sink.write(b"ab")
        sink.finish(hashlib.sha256(b"ab").digest())
        self.assertEqual(b"ab", (Path(self.state.inbox) / STREAM.hex()).read_bytes())

    def test_what_is_not_what_its_digest_says(self) -> None:
        """Is refused and leaves nothing, whichever way it is found out."""
        sink = self.sinks.open(STREAM, 2, b"d" * 32)
        sink.write(b"ab")
        self.assertRaises(StreamError, sink.finish, hashlib.sha256(b"ab").digest())
        sink.discard()
        self.assertEqual([], self.names("store"))

    def test_a_digest_of_another_length(self) -> None:
        """Names no file: not even one elsewhere."""
        for kind in (b"d" * 31, b"d" * 33, b"x"):
            self.assertRaises(StreamError, self.sinks.open, STREAM, 2, kind)
        self.assertEqual([], self.names("store"))

    def test_a_disk_that_is_too_small(self) -> None:
        """Is said before anything is sent, with both numbers."""
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)) as asked:
            with self.assertRaisesRegex(StreamError, "1001 bytes do not fit: 1000 are free on the node's disk"):
                self.sinks.open(STREAM, 1001, b"")
            self.sinks.open(STREAM, 1000, b"").discard()
        asked.assert_called_with(self.state.path)
        self.assertEqual([], self.names("inbox"))

    def test_short_writes(self) -> None:
        """A disk that takes less than it is given at once gets the rest."""
        write = os.write
        with mock.patch("os.write", lambda descriptor, data: write(descriptor, bytes(data)[:2])):
            sink = self.sinks.open(STREAM, 5, b"")
            self.assertEqual(5, sink.write(b"abcde"))
        sink.finish(hashlib.sha256(b"abcde").digest())
        self.assertEqual(b"abcde", (Path(self.state.inbox) / STREAM.hex()).read_bytes())


class Link:
    """A link that only writes down what is asked on it."""

    transport = None

    def ask(self, command: Any, **arguments: Any) -> Deferred[Any]:
        return succeed({})


class ThroughStreams(WorkspaceCase):
    """Sinks and `dispytw.wire.streams` together, when things go wrong."""

    def setUp(self) -> None:
        super().setUp()
        link: Any = Link()
        self.streams = Streams(link, self.workspace.sinks())
        gc.collect()  # what other tests have let go of is closed now, and not meanwhile
        self.descriptors = os.listdir("/proc/self/fd")

    def fails(self, call: Callable[..., None], *args: Any) -> str:
        """The refusal; nothing is left of the stream, not even an open file."""
        with self.assertRaises(StreamError) as caught:
            call(*args)
        self.assertEqual([], os.listdir(self.state.store) + os.listdir(self.state.inbox))
        self.assertEqual(self.descriptors, os.listdir("/proc/self/fd"))
        return str(caught.exception)

    def test_a_file_that_changed_after_it_was_named(self) -> None:
        """Is refused as such, and the link goes on."""
        self.streams.opened(STREAM, 2, b"d" * 32)
        self.streams.received(STREAM, 0, b"ab")
        text = self.fails(self.streams.ended, STREAM, hashlib.sha256(b"ab").digest())
        self.assertIn("the content is not what its digest says", text)

    def test_a_disk_that_fills_up(self) -> None:
        """While bytes come, or when the file gets its name."""
        full = OSError(28, "No space left on device")
        self.streams.opened(STREAM, 4, b"")
        with mock.patch("os.write", side_effect=full):
            self.assertIn("No space left", self.fails(self.streams.received, STREAM, 0, b"ab"))
        self.streams.opened(OTHER_STREAM, 2, b"")
        self.streams.received(OTHER_STREAM, 0, b"ab")
        with mock.patch("os.rename", side_effect=full):
            self.assertIn("No space left", self.fails(self.streams.ended, OTHER_STREAM, hashlib.sha256(b"ab").digest()))

    def test_a_link_that_is_cut(self) -> None:
        """Leaves neither half a file nor one that nobody took; a computation's file stays."""
        self.workspace.hold(computation(file("a", b"ab")))
        self.streams.opened(STREAM, 4, b"")
        self.streams.received(STREAM, 0, b"ab")
        for stream, kind in ((OTHER_STREAM, b""), (b"v" * 16, hashlib.sha256(b"ab").digest())):
            self.streams.opened(stream, 2, kind)
            self.streams.received(stream, 0, b"ab")
            self.streams.ended(stream, hashlib.sha256(b"ab").digest())
        self.streams.link_lost(None)
        self.assertEqual([], os.listdir(self.state.inbox))
        self.assertEqual([hashlib.sha256(b"ab").hexdigest()], os.listdir(self.state.store))
        self.assertEqual(self.descriptors, os.listdir("/proc/self/fd"))
