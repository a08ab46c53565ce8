"""What a cluster writes down of its jobs, when, and what happens while it cannot."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.recoverfile import AGAIN, GATHERING, RecoverFile, begin_file
from dispytw.client.recoverlog import create_log, replay
from dispytw.client.remains import Owned, Place, Remains
from dispytw.errors import ClusterClosedError, RecoverFileError
from dispytw.values import FINISHED, INLINE_LIMIT, TERMINATED, Attempt, Inline, Outcome, Stored
from dispytw.wire.credentials import INSECURE

NODE = b"n" * 16
PLACE = Place(NODE, "host7", 51348, INSECURE, False)
OWNED = Owned(b"c" * 16, b"t" * 16, "compute", False, 1e9, 77)
FAILED = Outcome(TERMINATED, exception="no")
FINE = Outcome(FINISHED, Inline(b"r"))
LARGE = Outcome(FINISHED, Inline(b"x" * (INLINE_LIMIT + 1)), stderr=Inline(b"y" * (INLINE_LIMIT + 2)))


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


class FileTestCase(SynchronousTestCase):
    """A file, a clock, and a reactor thread that runs what is posted when the test says so."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.clock = Clock()
        self.said: list[str] = []
        self.posted: list[Callable[[], Any]] = []
        self.in_thread: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.log = create_log(os.path.join(self.directory, "rec"))
        self.addCleanup(self.log.close)
        self.file = RecoverFile(self.log, self.clock, self.posted.append, self.said.append, self._call)

    def tearDown(self) -> None:
        self.file.leave()
        self.assertEqual([], self.clock.getDelayedCalls())

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.in_thread.append((done, lambda: function(*arguments)))
        return done

    def disk(self) -> None:
        """The thread that waits for the disk does its work."""
        while self.in_thread:
            done, call = self.in_thread.pop(0)
            try:
                done.callback(call())
            except OSError as error:
                done.errback(error)

    def read(self) -> list[list[Any]]:
        """What is in the file by now."""
        found: list[Any] = []
        with open(self.log.path, "rb") as file:
            file.readline()
            replay(file, found.append)
        return found

    def remains(self) -> Remains:
        """What `recover_jobs` would find."""
        bodies = self.log.bodies
        remains = Remains(lambda name: Stored(f"{bodies}/{name.decode()}", os.path.getsize(f"{bodies}/{name.decode()}")))
        for record in self.read():
            remains.take(record)
        return remains

    def kinds(self) -> list[str]:
        """The kinds of the records in the file."""
        return [record[0] for record in self.read()]

    def leaves(self, *jobs: int, place: Place = PLACE) -> bool:
        """Jobs leave for a node; the number is the id."""
        return self.file.leaving(place, (3, 9), [(Attempt(uid(job), 1), job) for job in jobs])

    def delivered(self, job: int) -> None:
        """A program has a job's result."""
        self.file.delivered(uid(job))
        while self.posted:
            self.posted.pop(0)()

    def full(self) -> Any:
        """A disk without room, as long as the block lasts."""
        return mock.patch("dispytw.client.recoverlog.write_all", side_effect=OSError(errno.ENOSPC, "No space left on device"))


class Retrying(FileTestCase):
    """A job that is tried again."""

    def test_while_it_rests(self) -> None:
        """What its last attempt ended with is written, should the program be killed now; the node may forget it then."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, FAILED, 1)
        kept = self.file.kept()
        assert kept is not None
        self.clock.advance(GATHERING)
        self.assertTrue(kept.called)
        self.assertEqual(FAILED, self.remains().jobs[uid(1)].outcome)

    def test_sent_again_at_once(self) -> None:
        """Before that is written: it is the later attempt that will be looked for."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, FAILED, 1)
        self.file.leaving(PLACE, (3, 9), [(Attempt(uid(1), 2), 1)])
        self.clock.advance(GATHERING)
        (job,) = self.remains().unfinished
        self.assertEqual((Attempt(uid(1), 2), ["node", "sent", "sent", "ended"]), (job.attempt, self.kinds()))
        self.file.ended(uid(1), NODE, FINE)
        self.clock.advance(GATHERING)
        self.assertEqual(FINE, self.remains().jobs[uid(1)].outcome)


class Leaving(FileTestCase):
    """What must be written before something else may happen."""

    def test_before_it_leaves(self) -> None:
        """A batch is one write, with its node when that is the first."""
        with mock.patch.object(self.log, "append", wraps=self.log.append) as append:
            self.assertTrue(self.leaves(1, 2) and self.leaves(3))
        self.assertEqual((2, ["node", "sent", "sent"]), (append.call_count, self.kinds()))
        remains = self.remains()
        self.assertEqual([1, 2, 3], [job.number for job in remains.jobs.values()])
        self.assertEqual(["Insecure"], remains.places[NODE][0].login)

    def test_another_address(self) -> None:
        """A node that is dialled elsewhere is written down again."""
        self.leaves(1)
        self.leaves(2, place=Place(NODE, "localhost", 51348, INSECURE, False))
        self.assertEqual(["host7", "localhost"], [place.host for place in self.remains().places[NODE]])

    def test_ids(self) -> None:
        """An id is there when the assignment returns; ids that are no numbers are not sent along."""
        self.file.identified(uid(1), "a")
        self.assertEqual(["id"], self.kinds())
        self.file.leaving(PLACE, (3, 9), [(Attempt(uid(1), 1), "a")])
        job = self.remains().jobs[uid(1)]
        self.assertEqual((("plain", "a"), None), (job.given_id, job.number))

    def test_an_id_that_cannot_be_packed(self) -> None:
        """It is said, and harms nothing else."""
        self.file.identified(uid(1), threading.Lock())
        self.assertEqual(([], 1), (self.kinds(), len(self.said)))
        self.assertIn("recover_jobs would not know it", self.said[0])


class Gathering(FileTestCase):
    """Outcomes and deliveries are written a moment later, together."""

    def test_together(self) -> None:
        """One write for all that ended in that moment."""
        self.leaves(1, 2, 3)
        for job in (1, 2, 3):
            self.file.ended(uid(job), NODE, FINE)
        self.delivered(1)
        self.assertEqual(["node", "sent"], self.kinds())
        with mock.patch.object(self.log, "append", wraps=self.log.append) as append:
            self.clock.advance(GATHERING)
        self.assertEqual(1, append.call_count)
        remains = self.remains()
        self.assertEqual([uid(2), uid(3)], list(remains.jobs))
        self.assertEqual((FINE, NODE), (remains.jobs[uid(2)].outcome, remains.jobs[uid(2)].node))

    def test_delivered_at_once(self) -> None:
        """An outcome that was delivered within the moment is not written."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, LARGE)
        self.delivered(1)
        self.clock.advance(GATHERING)
        self.assertEqual(["node", "sent", "delivered"], self.kinds())
        self.assertEqual(["rec"], os.listdir(self.directory))

    def test_posts(self) -> None:
        """Any number of deliveries wakes the reactor once for each write."""
        self.leaves(1, 2, 3)
        self.file.delivered(uid(1))
        self.file.delivered(uid(2))
        self.assertEqual(1, len(self.posted))
        self.posted.pop()()
        self.file.delivered(uid(3))
        self.assertEqual(0, len(self.posted))
        self.clock.advance(GATHERING)
        self.assertEqual({}, self.remains().jobs)
        self.file.delivered(uid(4))
        self.assertEqual(1, len(self.posted))

    def test_no_need_to_wake(self) -> None:
        """Where a write is to come anyway, the reactor is left in peace."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, FINE)
        self.file.delivered(uid(1))
        self.assertEqual([], self.posted)
        self.clock.advance(GATHERING)
        self.assertEqual({}, self.remains().jobs)

    def test_without_a_reactor(self) -> None:
        """A result that is read after the application has stopped its reactor is no error."""
        with mock.patch.object(self.file, "_post", side_effect=ClusterClosedError("the reactor has stopped")):
            self.file.delivered(uid(1))

    def test_kept(self) -> None:
        """What waits for an outcome waits until it is written, or delivered; no longer."""
        self.leaves(1, 2)
        self.assertIsNone(self.file.kept())
        self.file.ended(uid(1), NODE, FINE)
        kept = self.file.kept()
        assert kept is not None
        self.assertNoResult(kept)
        self.clock.advance(GATHERING)
        self.successResultOf(kept)
        self.assertIsNone(self.file.kept())
        self.file.ended(uid(2), NODE, FINE)
        kept = self.file.kept()
        self.delivered(2)
        self.assertNoResult(kept)
        self.clock.advance(GATHERING)
        self.successResultOf(kept)

    def test_large_bodies(self) -> None:
        """They are written outside the reactor thread, to files beside, which go when their job is delivered."""
        self.leaves(1, 2)
        self.file.ended(uid(1), NODE, LARGE)
        kept = self.file.kept()
        self.clock.advance(GATHERING)
        self.file.ended(uid(2), NODE, FINE)
        later = self.file.kept()
        self.assertEqual((["node", "sent"], 1), (self.kinds(), len(self.in_thread)))
        self.assertNoResult(kept)
        self.disk()
        self.successResultOf(kept)
        self.assertNoResult(later)
        outcome = self.remains().jobs[uid(1)].outcome
        assert outcome is not None and isinstance(outcome.result, Stored) and isinstance(outcome.stderr, Stored)
        with open(outcome.result.path, "rb") as file:
            self.assertEqual(Inline(file.read()), LARGE.result)
        self.assertEqual(0o600, os.stat(outcome.result.path).st_mode & 0o777)
        self.assertEqual(0o700, os.stat(self.log.bodies).st_mode & 0o777)
        self.clock.advance(GATHERING)
        self.successResultOf(later)
        self.delivered(1)
        self.clock.advance(GATHERING)
        self.assertEqual([], os.listdir(self.log.bodies))

    def test_kept_while_it_is_being_written(self) -> None:
        """An outcome that is told again while its body is written waits for that."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, LARGE)
        self.clock.advance(GATHERING)
        again = self.file.kept()
        self.assertNoResult(again)
        self.disk()
        self.successResultOf(again)

    def test_written_anew(self) -> None:
        """When it has grown, outside the reactor thread; if that fails, it is as it was."""
        self.file._compaction._limit = 10
        self.leaves(1, 2)
        self.delivered(1)
        self.clock.advance(GATHERING)
        self.disk()
        self.assertEqual(["node", "sent"], self.kinds())
        self.file._compaction._limit = 10
        self.delivered(2)
        self.clock.advance(GATHERING)
        with self.full():
            self.disk()
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.assertEqual(["node", "sent", "delivered"], self.kinds())

    def test_flush(self) -> None:
        """It is written at once, if there is anything."""
        self.assertIsNone(self.file.flush())
        self.leaves(1, 2)
        self.file.ended(uid(1), NODE, FINE)
        self.successResultOf(self.file.flush())
        self.assertEqual(FINE, self.remains().jobs[uid(1)].outcome)
        self.file.delivered(uid(1))
        self.successResultOf(self.file.flush())
        self.assertEqual([uid(2)], list(self.remains().jobs))


class Full(FileTestCase):
    """A disk without room."""

    def test_nothing_leaves(self) -> None:
        """Until there is room; the user is told once."""
        with self.full():
            self.assertFalse(self.leaves(1) or self.leaves(1))
        self.assertEqual(1, len(self.said))
        self.assertRegex(self.said[0], "^the recover file .*/rec cannot be written: No space left on device; until it can, no more jobs")
        self.assertTrue(self.leaves(1))
        self.assertEqual(["node", "sent"], self.kinds())
        with self.full():
            self.leaves(2)
        self.assertEqual(2, len(self.said))

    def test_ids_come_later(self) -> None:
        """What could not be written goes before what is written next, in its order."""
        with self.full():
            self.file.identified(uid(1), "a")
            self.file.identified(uid(1), "b")
        self.leaves(2)
        self.assertEqual(["id", "id", "node", "sent"], self.kinds())
        self.assertEqual(("plain", "b"), self.remains().jobs[uid(1)].given_id)

    def test_no_answers(self) -> None:
        """Answers wait, and nothing that came meanwhile is forgotten."""
        self.leaves(1, 2, 3)
        self.file.ended(uid(1), NODE, FINE)
        first = self.file.kept()
        with self.full():
            self.clock.advance(GATHERING)
            self.file.ended(uid(2), NODE, FINE)
            second = self.file.kept()
            self.delivered(3)
            self.clock.advance(AGAIN)
            self.clock.advance(AGAIN)
            self.assertNoResult(first)
            self.assertNoResult(second)
        self.assertEqual((1, ["node", "sent"]), (len(self.said), self.kinds()))
        self.clock.advance(AGAIN)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual({uid(1): FINE, uid(2): FINE}, {job.uid: job.outcome for job in self.remains().jobs.values()})

    def test_no_room_for_a_body(self) -> None:
        """A body that could be written in part only is tried again; no part stays."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, LARGE)
        kept = self.file.kept()
        self.clock.advance(GATHERING)
        with mock.patch("builtins.open", side_effect=_without_room):
            self.disk()
        self.assertNoResult(kept)
        self.assertEqual(([], 1), (os.listdir(self.log.bodies), len(self.said)))
        self.clock.advance(AGAIN)
        self.disk()
        self.disk()
        self.successResultOf(kept)


def _without_room(descriptor: int, mode: str) -> Any:
    os.close(descriptor)
    raise OSError(errno.ENOSPC, "No space left on device")


class Ending(FileTestCase):
    """The file is removed, or left."""

    def test_removed(self) -> None:
        """After that nothing is written, nothing waits, and no timer runs."""
        self.leaves(1, 2)
        self.file.ended(uid(1), NODE, LARGE)
        kept = self.file.kept()
        self.file.remove()
        self.successResultOf(kept)
        self.file.ended(uid(2), NODE, FINE)
        self.delivered(1)
        self.assertEqual(([], []), (self.clock.getDelayedCalls(), os.listdir(self.directory)))

    def test_removed_while_a_body_is_written(self) -> None:
        """Nothing is left of that either."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, LARGE)
        kept = self.file.kept()
        self.clock.advance(GATHERING)
        self.file.remove()
        self.disk()
        self.disk()
        self.successResultOf(kept)
        self.assertEqual([], os.listdir(self.directory))

    def test_left(self) -> None:
        """The file stays as it is, free for others; who waits for what is not in it is not answered."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, FINE)
        kept = self.file.kept()
        self.file.leave()
        self.assertNoResult(kept)
        self.assertIsNone(self.remains().jobs[uid(1)].outcome)

    def test_resting(self) -> None:
        """Nothing more is written once what is being written is."""
        self.leaves(1)
        self.file.ended(uid(1), NODE, LARGE)
        self.clock.advance(GATHERING)
        resting = self.file.rest()
        self.assertNoResult(resting)
        self.disk()
        self.disk()
        self.successResultOf(resting)


class Beginning(FileTestCase):
    """The file of a new cluster."""

    def begin(self, name: Any) -> RecoverFile:
        """It."""
        reactor: Any = self.clock
        reactor.getThreadPool = lambda: None
        bridge: Any = type("Bridge", (), {"reactor": reactor, "post": self.posted.append})
        file = begin_file(name, OWNED, [INSECURE], bridge, self.said.append)
        self.addCleanup(file.remove)
        return file

    def test_named(self) -> None:
        """As the program says, and it begins with the computation."""
        file = self.begin(os.path.join(self.directory, "mine"))
        remains = Remains(lambda name: self.fail("no body"))
        with open(file.path or "", "rb") as opened:
            opened.readline()
            replay(opened, remains.take)
        self.assertEqual((OWNED, []), (remains.owned, self.said))

    def test_taken(self) -> None:
        """A file of that name is left alone, and the user is told which it is now."""
        file = self.begin(os.path.join(self.directory, "rec"))
        self.assertEqual(f"{self.log.path}-2", file.path)
        self.assertRegex(self.said[0], "/rec is there already, .* this cluster's recover file is .*/rec-2$")

    def test_default(self) -> None:
        """The manual's name, in the current directory; two in one second get different ones, which is nothing to talk about."""
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        with mock.patch("time.strftime", return_value="_dispy_20260102030405"):
            names = [os.path.relpath(self.begin(None).path or "") for _ in range(2)]
        self.assertEqual((["_dispy_20260102030405", "_dispy_20260102030405-2"], []), (names, self.said))
        self.assertRegex(os.path.basename(self.begin(None).path or ""), r"^_dispy_\d{14}$")

    def test_no_room(self) -> None:
        """A file that cannot be begun is an error, and is not left."""
        writes = [None, OSError(errno.ENOSPC, "No space left on device")]
        with mock.patch("dispytw.client.recoverlog.write_all", side_effect=writes), self.assertRaisesRegex(RecoverFileError, "No space"):
            self.begin(os.path.join(self.directory, "mine"))
        self.assertEqual(["rec"], os.listdir(self.directory))


