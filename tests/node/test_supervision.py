"""The life of one supervisor, whatever dies: events in order, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from unittest import mock

from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dispytw.node import supervision
from dispytw.node.adoption import Papers
from dispytw.node.leftovers import MARK, carriers
from dispytw.node.supervision import KEPT_WITHIN, SupervisorLife
from dispytw.wire.frames import Cancel, Close, Frame, Kept
from tests.node.benching import ALICE, ONE, THREE, TWO, X
from tests.node.launching import RealLauncherCase
from tests.worker.driving import is_alive, word_from


class SupervisorLifeTests(RealLauncherCase, TestCase):
    """Real processes."""

    async def test_a_killed_supervisor_leaves_nothing(self) -> None:
        """Its workers, a process that setup() started, and its files are gone when the end is told, with what happened."""
        uid = self.launch(
            "def setup():\n    if os.fork() == 0: os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)\n    return 0\n"
        )
        pid = await self.ready(uid)
        self.start(uid, ("sleeps",), ("sleeps",))
        await self.events.next("started")
        self.assertGreaterEqual(len(carriers([uid])), 3)
        os.kill(pid, signal.SIGKILL)
        text = (await self.events.next("gone"))[2]
        self.assertIn("was killed by signal 9 (SIGKILL)", text)
        self.assertEqual(carriers([uid]), [])
        self.assertFalse(is_alive(pid))
        self.assertEqual(os.listdir(self.run) + os.listdir(self.spool), [])
        self.assertNotIn("failed", self.events.kinds(uid))

    async def test_another_node_s_supervisor(self) -> None:
        """Two nodes of one machine may run the same computation: the end of one's supervisor is no matter of the other's."""
        uid = self.launch("def setup(): return 0")
        await self.ready(uid)
        other = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: (uid + b"anothers").hex()})
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        self.launcher.close(uid)
        await self.events.next("gone")
        self.assertEqual([other.pid], carriers([uid]))

    async def test_kill(self) -> None:
        """kill() ends a supervisor that does not listen, here in an endless setup()."""
        reached = self.path("reached")
        os.mkfifo(reached)
        uid = self.launch(f"def setup():\n    open({reached!r}, 'w').write('reached')\n    while True: time.sleep(1)")
        await deferToThread(word_from, reached)
        self.launcher.kill(uid)
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["gone"])

    async def test_setup_timeout(self) -> None:
        """A setup() that takes longer than allowed has failed, and says so."""
        uid = self.launch("def setup(): time.sleep(600)", setup_timeout=0.2)
        self.assertIn("setup() did not end within 0.2 s", (await self.events.next("failed"))[2])
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["failed", "gone"])

    async def test_a_setup_that_crashes(self) -> None:
        """A death before setup() has ended is a failed setup, told with the end of the log."""
        uid = self.launch("def setup(): print('so far', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
        text = (await self.events.next("failed"))[2]
        self.assertIn("SIGSEGV", text)
        self.assertIn("so far", text)
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["failed", "gone"])

    async def test_a_supervisor_that_cannot_start(self) -> None:
        """A program that fails at once, and one that never listens."""
        for command, limit, says in (
            ((sys.executable, "-c", "raise SystemExit('no such luck')"), supervision.START_LIMIT, "no such luck"),
            ((sys.executable, "-c", "import time; time.sleep(600)"), 0.3, "did not start within 0.3 s"),
        ):
            self.patch(supervision, "START_LIMIT", limit)
            self.launcher.command = command
            uid = self.launch()
            self.assertIn(says, (await self.events.next("failed", uid))[2])
            await self.events.next("gone", uid)

    async def test_a_cleanup_that_raises(self) -> None:
        """The end is told with the traceback."""
        uid = self.launch("def cleanup(): raise ValueError('dirty')")
        await self.ready(uid)
        self.launcher.close(uid)
        text = (await self.events.next("gone"))[2]
        self.assertIn("exited with status 1", text)
        self.assertIn("ValueError: dirty", text)

    async def test_a_job_that_kills_its_supervisor(self) -> None:
        """Its attempt gets no outcome here; the end of the supervisor is told once."""
        uid = self.launch(
            "def parent_of(pid): return int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])\n"
            "def murders(): os.kill(parent_of(os.getppid()), signal.SIGKILL)"
        )
        self.start(uid, ("murders",))
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid).count("gone"), 1)
        self.assertNotIn("ended", self.events.kinds(uid))


class KeptOutcomesTests(SynchronousTestCase):
    """What a supervisor hears of outcomes that are kept; a test plays its part."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[list[Frame]] = []
        papers = Papers(X, ALICE, "alice@desk", 1)
        self.life = SupervisorLife(self.clock, papers, None, "/run/x", "/spool/x", mock.Mock(), mock.Mock())
        self.life.connected(mock.Mock(send=self.said.append))

    def test_with_the_next_word(self) -> None:
        """They are said before it, in one write, and once."""
        self.life.kept([ONE])
        self.life.kept([TWO])
        self.assertEqual([], self.said)
        self.life.send([Cancel(THREE)])
        self.assertEqual([[Kept((ONE, TWO)), Cancel(THREE)]], self.said)
        self.life.send([Cancel(THREE)])
        self.assertEqual([[Cancel(THREE)]], self.said[1:])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_without_another_word(self) -> None:
        """They are not waited for."""
        self.life.kept([ONE])
        self.clock.advance(KEPT_WITHIN / 2)
        self.life.kept([TWO])
        self.clock.advance(KEPT_WITHIN / 2)
        self.assertEqual([[Kept((ONE, TWO))]], self.said)
        self.life.kept([THREE])
        self.clock.advance(KEPT_WITHIN)
        self.assertEqual([[Kept((THREE,))]], self.said[1:])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_at_the_end(self) -> None:
        """A supervisor that is to end waits for nothing else: it hears what there is with that, and the rest at once."""
        self.life.kept([ONE])
        self.life.close(True)
        self.life.kept([TWO])
        self.assertEqual([[Kept((ONE,)), Close(True)], [Kept((TWO,))]], self.said)

    def test_many(self) -> None:
        """No frame is longer than it may be."""
        self.patch(supervision, "_MOST_KEPT", 2)
        self.life.kept([ONE, TWO, THREE])
        self.clock.advance(KEPT_WITHIN)
        self.assertEqual([[Kept((ONE, TWO)), Kept((THREE,))]], self.said)

    def test_nobody_there(self) -> None:
        """Nothing is said, and no timer is left: an outcome that comes again is said to be kept again."""
        self.life.kept([ONE])
        self.life.process_exited("")
        self.life.disconnected()
        self.life.kept([TWO])
        self.assertEqual([], self.said)
        self.assertEqual([], self.clock.getDelayedCalls())
