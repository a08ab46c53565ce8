"""What running jobs say, from the node's steward to the cluster's end and back, over links in memory that may break."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.incoming import IncomingSinks
from dispytw.testing import House
from dispytw.values import Attempt, Body, Inline, Stored
from dispytw.wire.jobframes import FILE, HEARD, PROVISIONAL, REFUSED, STOPPED, UNDERWAY, Answer, Follow, Remark, Wrote


class ListeningTests(SynchronousTestCase):
    """One job that runs on one node; the test is its supervisor."""

    def setUp(self) -> None:
        self.house = House()
        self.node = self.house.node(cpus=1)
        self.client = self.house.client()
        self.client.session._sinks = IncomingSinks()
        self.cluster = self.client.cluster([self.node], reentrant=True)
        self.heard: list[Any] = []
        self.room: Deferred[None] | None = None
        end: Any = self.cluster
        end.job_provisional = self._provisional
        end.job_wrote = lambda job, wrote: self.heard.append(wrote)
        end.node_back = lambda: self.heard.append("back")
        self.said: list[Any] = []
        launcher: Any = self.node.launcher
        launcher.say = lambda computation, frames: self.said.extend(frames)
        self.house.advance(0.5)
        self.job = self.cluster.submit(1000.0)
        self.house.advance(0.5)
        self.attempt = Attempt(self.job.uid, 1)
        self.heard.clear()
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.spool = os.path.join(directory, "spool")
        os.mkdir(self.spool)
        os.mkdir(os.path.join(directory, "client"))
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(os.path.join(directory, "client"))

    def _provisional(self, job: Any, node: bytes, body: Body) -> Deferred[None] | None:
        self.heard.append(body)
        return self.room

    def say(self, number: int, body: Body, kind: str = PROVISIONAL, path: str = "", attempt: Attempt | None = None) -> None:
        """The job says something; what follows has its time."""
        frame = Remark(attempt or self.attempt, number, kind, path, body)
        self.node.steward.job_said(self.cluster.uid, frame)
        self.house.advance(1)

    def stored(self, content: bytes) -> Stored:
        path = os.path.join(self.spool, "said")
        with open(path, "wb") as file:
            file.write(content)
        return Stored(path, len(content))

    def verdicts(self) -> list[tuple[int, str]]:
        """What the job was told since the last time."""
        said = [(each.number, each.verdict) for each in self.said if isinstance(each, Answer)]
        self.said.clear()
        return said

    def cut(self) -> None:
        """The link breaks."""
        for wire in self.house.wires_of(self.node):
            wire.cut()

    def test_provisional(self) -> None:
        """A result gets to the cluster, and its answer to the job."""
        self.say(1, Inline(b"one"))
        self.say(2, Inline(b"two"))
        self.assertEqual([Inline(b"one"), Inline(b"two")], self.heard)
        self.assertEqual([(1, HEARD), (2, HEARD)], self.verdicts())

    def test_long(self) -> None:
        """A long one is streamed when it is wanted."""
        content = os.urandom(1 << 20)
        self.say(1, self.stored(content))
        self.assertEqual([Inline(content)], self.heard)
        self.assertEqual([(1, UNDERWAY), (1, HEARD)], self.verdicts())
        self.assertEqual([], os.listdir(self.spool))

    def test_no_room(self) -> None:
        """While the cluster has no room, the job waits."""
        self.room = Deferred()
        self.say(1, Inline(b"one"))
        self.assertEqual([], self.verdicts())
        self.room.callback(None)
        self.house.advance(1)
        self.assertEqual([(1, HEARD)], self.verdicts())

    def test_once(self) -> None:
        """What is told again after a new link, with its answer lost or not known yet, is heard once."""
        self.room = Deferred()
        self.say(1, Inline(b"one"))
        self.cut()
        self.house.advance(5)
        self.assertEqual(["back"], self.heard[1:])
        self.room.callback(None)
        self.cut()  # and with it the answer
        self.house.advance(5)
        self.assertEqual([Inline(b"one")], [each for each in self.heard if each != "back"])
        self.assertEqual([(1, HEARD)], self.verdicts())

    def test_link_breaks_underway(self) -> None:
        """Bytes that were underway come anew."""
        content = os.urandom(4 << 20)
        self.node.steward.job_said(self.cluster.uid, Remark(self.attempt, 1, PROVISIONAL, "", self.stored(content)))
        while (1, UNDERWAY) not in [(each.number, each.verdict) for each in self.said]:
            self.house.step(self.house.now() + 1)
        self.house.advance(0.005)
        self.cut()
        self.house.advance(10)
        self.assertEqual([Inline(content)], [each for each in self.heard if each != "back"])
        self.assertEqual([(1, UNDERWAY), (1, STOPPED), (1, UNDERWAY), (1, HEARD)], self.verdicts())

    def test_file(self) -> None:
        """A file is written where it belongs, under the directory of this moment, before the job is told so."""
        content = os.urandom(100_000)
        self.say(1, self.stored(content), FILE, "a/b.dat")
        with open("a/b.dat", "rb") as file:
            self.assertEqual(content, file.read())
        self.assertEqual([(1, UNDERWAY), (1, HEARD)], self.verdicts())
        self.assertEqual(["b.dat"], os.listdir("a"))
        self.say(2, self.stored(b""), FILE, "empty")
        self.assertEqual(0, os.path.getsize("empty"))

    def test_file_that_is_not_kept(self) -> None:
        """One that would lead elsewhere, or that cannot be written, is refused, and nothing is left."""
        os.symlink("/", "link")
        os.mkdir("dir")
        for number, path in enumerate(("link/x", "dir", "link"), 1):
            self.say(number, self.stored(b"x"), FILE, path)
            self.assertEqual([(number, REFUSED)], self.verdicts())
        self.assertEqual((["dir", "link"], []), (sorted(os.listdir(".")), os.listdir(self.spool)))

    def test_a_size_that_is_another(self) -> None:
        """A body of another size than was announced is not taken."""
        body = self.stored(b"four")
        self.say(1, Stored(body.path, 5), FILE, "x")
        self.assertEqual([(1, UNDERWAY), (1, REFUSED)], self.verdicts())
        self.assertEqual([], os.listdir("."))

    def test_attempt_that_does_not_count(self) -> None:
        """What a job's lost attempt still says is refused, and is not heard."""
        session = self.client.session
        session.ledger.jobs[self.job.uid].number = 2
        self.say(1, Inline(b"one"))
        self.assertEqual(([], [(1, REFUSED)]), (self.heard, self.verdicts()))
        self.node.steward.job_said(self.cluster.uid, Wrote(self.attempt, False, 0, b"text"))
        self.house.advance(1)
        self.assertEqual([], self.heard)
        session.ledger.jobs[self.job.uid].number = 1

    def test_no_place_for_it(self) -> None:
        """A session that keeps no such thing says so."""
        from dispytw.wire.streams import MemorySinks

        self.client.session._sinks = MemorySinks()
        self.say(1, self.stored(b"x" * 100_000))
        self.assertEqual([(1, REFUSED)], self.verdicts())

    def test_output(self) -> None:
        """What is asked for gets to the supervisor, and what comes to the cluster; of a job that is nowhere nothing is asked."""
        self.client.session.follow(self.job.uid, [(False, 5)])
        self.client.session.follow(b"?" * 16, [(False, 5)])
        self.house.advance(1)
        self.assertEqual([Follow(self.attempt, False, 5)], self.said)
        wrote = Wrote(self.attempt, True, 0, b"text")
        self.node.steward.job_said(self.cluster.uid, wrote)
        self.house.advance(1)
        self.assertEqual([wrote], self.heard)
