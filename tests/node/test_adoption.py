"""Supervisors that outlive their daemon: found, heard, and taken over; and what others left."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dispytw.node.adoption import Orphan, Papers, Remains, find_orphans, find_remains
from dispytw.node.leftovers import Record, born, carriers
from dispytw.values import CANCELLED, FINISHED, Computation, File
from dispytw.wire import spool
from dispytw.wire.frames import Ended, Ready, Runs, Standing
from tests.node.benching import FINE, ONE, TWO, X
from tests.node.launching import RealLauncherCase
from tests.worker.driving import DEADLINE, Driver, is_alive, word_from

SOURCE = """
import os
def compute(name, *args): return globals()[name](*args)
def fine(): return "fine"
def waits():
    with open("ready", "w") as ready: ready.write(str(os.getpid()))
    open("gate").read(); return "went on"
"""
PAPERS = Papers(X, b"a" * 16, "alice@desk", 7, is_ready=True)


def temporary(test: SynchronousTestCase) -> str:
    """A directory for one test."""
    directory = tempfile.mkdtemp(prefix="adoption-")
    test.addCleanup(shutil.rmtree, directory)
    return directory


class Left(SynchronousTestCase):
    """What lies in the spool."""

    def setUp(self) -> None:
        self.spool = temporary(self)
        self.left = os.path.join(self.spool, "a")

    def test_papers(self) -> None:
        """Come back as they were written; torn ones are none, and nobody minds."""
        PAPERS.write(self.left + ".papers")
        self.assertEqual({"a": PAPERS}, find_remains(self.spool))
        with open(self.left + ".papers", "rb") as file:
            whole = file.read()
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            with open(self.left + ".papers", "wb") as file:
                file.write(whole[:size])
            self.assertEqual({}, find_remains(self.spool))

    def test_outcomes_in_a_file(self) -> None:
        """Stay, with the papers, until each of them is kept."""
        PAPERS.write(self.left + ".papers")
        spool.write(self.left + ".owed", [Ended(ONE, FINE), Ended(TWO, FINE)])
        remains = Remains.found(self.left)
        self.assertEqual([Ended(ONE, FINE), Ended(TWO, FINE)], remains.outcomes)
        self.assertFalse(remains.forget([ONE]))
        self.assertEqual(["a.owed", "a.papers"], sorted(os.listdir(self.spool)))
        self.assertTrue(remains.forget([ONE, TWO]))
        self.assertEqual([], os.listdir(self.spool))

    def test_nothing_was_left(self) -> None:
        """The papers are of no use any more."""
        PAPERS.write(self.left + ".papers")
        self.assertEqual([], Remains.found(self.left).outcomes)
        self.assertEqual([], os.listdir(self.spool))


class Finding(SynchronousTestCase):
    """Real supervisors whose daemon, this process, lets go of them."""

    def setUp(self) -> None:
        self.run, self.spool = temporary(self), temporary(self)
        self.driver = Driver(SOURCE, lease=20.0)
        self.addCleanup(self.driver.stop)
        self.driver.start().hear_a(Ready)
        for name in ("ready", "gate"):
            os.mkfifo(os.path.join(self.driver.work, name))
        os.symlink(self.driver.path("s"), os.path.join(self.run, "a.sock"))
        assert self.driver.process is not None
        self.pid = self.driver.process.pid
        self.put(PAPERS, Record(X.uid, self.pid, born(self.pid)))

    def put(self, papers: Papers, record: Record) -> None:
        papers.write(os.path.join(self.spool, "a.papers"))
        record.write(os.path.join(self.run, "a.pid"))

    def find(self, patience: float = 20.0) -> list[Orphan]:
        found = find_orphans(self.run, self.spool, Logger(), patience)
        for orphan in found:
            self.addCleanup(orphan.connection.close)
        return found

    def test_one_that_works(self) -> None:
        """Says what runs and what is owed, and is handed over with its connection."""
        done = self.driver.begin("fine")
        outcome = self.driver.outcome(done)
        runs = self.driver.begin("waits")
        started = self.driver.started(runs)
        word_from(os.path.join(self.driver.work, "ready"))
        self.driver.disappear()
        (orphan,) = self.find()
        self.assertEqual(("a", PAPERS, self.pid), (orphan.name, orphan.papers, orphan.record.pid))
        self.assertEqual([Runs(runs, started, None)], orphan.runs)
        self.assertEqual([Ended(done, outcome)], orphan.owed)
        self.assertEqual(Standing(True), orphan.standing)

    def test_one_that_was_not_ready(self) -> None:
        """Is left to be swept."""
        self.driver.disappear()
        self.put(Papers(X, b"a" * 16, "alice@desk", 7), Record(X.uid, self.pid, born(self.pid)))
        self.assertEqual([], self.find())

    def test_another_process(self) -> None:
        """Neither a pid that somebody else has by now, nor a socket on which somebody else listens."""
        self.driver.disappear()
        self.put(PAPERS, Record(X.uid, self.pid, "1"))
        self.assertEqual([], self.find())
        self.put(PAPERS, Record(X.uid, os.getpid(), born(os.getpid())))
        self.assertEqual([], self.find())

    def test_one_that_does_not_answer(self) -> None:
        """Is waited for a while, and then left to be swept."""
        os.unlink(os.path.join(self.run, "a.sock"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.run, "a.sock"))
            listener.listen()
            self.put(PAPERS, Record(X.uid, os.getpid(), born(os.getpid())))
            self.assertEqual([], self.find(patience=0.1))

    def test_one_that_is_dead(self) -> None:
        """Is not there any more."""
        self.driver.disappear()
        assert self.driver.process is not None
        self.driver.process.kill()
        self.driver.process.wait()
        self.assertEqual([], self.find())


class Adopting(RealLauncherCase, TestCase):
    """The launcher of a later daemon, and a supervisor that is no child of it."""

    def setUp(self) -> None:
        super().setUp()
        self._attempts = 100  # the driver counts from 1
        self.driver = Driver(SOURCE, lease=20.0)
        self.addCleanup(self.driver.stop)
        self.uid = os.urandom(16)
        environment = {**os.environ, "DISPYTW_COMPUTATION": self.uid.hex()}
        self.driver.start(environment).hear_a(Ready)
        for name in ("ready", "gate"):
            os.mkfifo(os.path.join(self.driver.work, name))
        assert self.driver.process is not None
        self.pid = self.driver.process.pid
        os.symlink(self.driver.path("s"), os.path.join(self.run, "a.sock"))
        self.papers = Papers(Computation(self.uid, "compute", File("bundle", bytes(32), 0)), b"a" * 16, "alice", 9, True)
        self.papers.write(os.path.join(self.spool, "a.papers"))
        Record(self.uid, self.pid, born(self.pid)).write(os.path.join(self.run, "a.pid"))

    def adopt(self) -> Orphan:
        self.driver.disappear()
        (orphan,) = find_orphans(self.run, self.spool, Logger())
        self.launcher.adopt(orphan)
        return orphan

    async def test_it_serves(self) -> None:
        """What ran is told of; new jobs run; closed, it ends, and nothing of it is left."""
        attempt = self.driver.begin("waits")
        self.driver.started(attempt)
        word_from(os.path.join(self.driver.work, "ready"))
        self.adopt()
        (new,) = self.start(self.uid, ("fine",))
        self.assertEqual(FINISHED, (await self.outcome(self.uid, new)).status)
        with open(os.path.join(self.driver.work, "gate"), "w"):
            pass
        self.assertEqual(FINISHED, (await self.outcome(self.uid, attempt)).status)
        self.launcher.close(self.uid)
        self.assertEqual("", (await self.events.next("gone", self.uid))[2])
        self.assertEqual([], os.listdir(self.run) + os.listdir(self.spool))
        self.assertEqual([], carriers([self.uid]))

    async def test_it_dies(self) -> None:
        """Its end is seen although it is no child; all it started is swept."""
        attempt = self.driver.begin("waits")
        self.driver.started(attempt)
        worker = int(word_from(os.path.join(self.driver.work, "ready")))
        self.adopt()
        watched = os.pidfd_open(worker)
        self.addCleanup(os.close, watched)
        assert self.driver.process is not None
        self.driver.process.kill()
        self.assertIn("has died", (await self.events.next("gone", self.uid))[2])
        self.assertEqual([watched], select.select([watched], [], [], DEADLINE)[0])
        self.assertNotIn("failed", self.events.kinds(self.uid))

    async def test_it_changes_hands(self) -> None:
        """Its papers name the new client, so that a later daemon knows as well."""
        self.adopt()
        self.launcher.change_hands(self.uid, b"b" * 16, "bob")
        papers = find_remains(self.spool)["a"]
        self.assertEqual((b"b" * 16, "bob", True), (papers.client, papers.name, papers.is_ready))

    async def test_cancel_and_kill(self) -> None:
        """Reach it as they would a child."""
        attempt = self.driver.begin("waits")
        self.driver.started(attempt)
        word_from(os.path.join(self.driver.work, "ready"))
        self.adopt()
        self.launcher.cancel(self.uid, attempt)
        self.assertEqual(CANCELLED, (await self.outcome(self.uid, attempt)).status)
        self.launcher.kill(self.uid)
        await self.events.next("gone", self.uid)
        self.assertFalse(is_alive(self.pid))

    async def test_outcomes_that_are_left(self) -> None:
        """When it ends and nobody has kept its outcomes, they are told from its file, which stays until they are kept."""
        self.events.keeps = None
        uid = self.launch()
        (attempt,) = self.start(uid, ("fine",))
        outcome = await self.outcome(uid, attempt)
        self.launcher.close(uid)
        await self.events.next("gone", uid)
        self.assertEqual([("ended", uid, attempt, outcome)] * 2, [event for event in self.events.told if event[0] == "ended"])
        self.assertEqual(2, len([name for name in os.listdir(self.spool) if name.endswith((".owed", ".papers"))]) - 1)
        self.launcher.kept(uid, [attempt])
        self.assertEqual(["a.papers"], os.listdir(self.spool))

