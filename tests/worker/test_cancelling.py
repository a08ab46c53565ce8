"""The steps of a cancel, one after another; real signals are in the tests of forkers and kept workers."""

from __future__ import annotations

import signal
import unittest
from itertools import pairwise
from unittest import mock

from dispytw.values import Attempt
from dispytw.worker import cancelling as module
from dispytw.worker import timers as timers_module
from dispytw.worker.cancelling import Cancelling
from dispytw.worker.forker import FORCE
from dispytw.worker.performer import NUDGE
from dispytw.worker.server import Server
from dispytw.worker.timers import Timers

A, B = Attempt(b"a" * 16, 1), Attempt(b"b" * 16, 1)
INT, TERM, STOP, CONT = signal.SIGINT, signal.SIGTERM, signal.SIGSTOP, signal.SIGCONT


class Steps(unittest.TestCase):
    """What one server is sent, and when."""

    def setUp(self) -> None:
        self.now, self.sent, self.named, self.killed = 100.0, [], [], []
        self.timers = Timers()
        for target, name, instead in (
            (timers_module, "monotonic", lambda: self.now),
            (module.os, "kill", lambda pid, signum: self.sent.append((round(self.now - 100.0, 2), signum))),
            (module.tree, "kill", lambda pid: self.killed.append(pid)),
            (module.tree, "signal_group", lambda pid, signum: self.killed.append((pid, signum))),
        ):
            patch = mock.patch.object(target, name, instead)
            patch.start()
            self.addCleanup(patch.stop)
        self.server = Server(mock.Mock(), 77, running=A)
        self.server.slot.name = self.named.append

    def cancelling(self, forks: bool, grace: float = 1.0) -> Cancelling:
        return Cancelling(self.timers, grace, forks)

    def pass_to(self, seconds: float) -> None:
        """Time goes on in small steps."""
        while self.now < 100.0 + seconds:
            self.now += 0.01
            self.timers.run()

    def test_a_forkers_job(self) -> None:
        """SIGINT at once, SIGTERM after a grace, and after another what makes the forker kill; the attempt is named each time."""
        self.cancelling(forks=True).begin(self.server, A)
        self.pass_to(5.0)
        self.assertEqual([INT, TERM, FORCE], [signum for _, signum in self.sent if signum != NUDGE])
        at = [seconds for seconds, signum in self.sent if signum != NUDGE]
        for expected, seconds in zip((0.0, 1.0, 2.0), at):
            self.assertAlmostEqual(expected, seconds, delta=0.02)
        self.assertEqual([A] * len(self.sent), self.named)
        self.assertEqual([], self.killed)

    def test_a_supervisor_that_is_late(self) -> None:
        """As its machine slept, say: the last step waits until the job has had its grace to end, and is not sent with the one before it."""
        self.cancelling(forks=True).begin(self.server, A)
        for now, sent in ((160.0, [TERM]), (160.9, [TERM]), (161.0, [TERM, FORCE])):
            self.now = now
            self.timers.run()
            self.assertEqual(sent, [signum for _, signum in self.sent if signum not in (INT, NUDGE)])

    def test_it_is_woken(self) -> None:
        """Soon after the SIGINT, then less and less often, and no more after the grace."""
        self.cancelling(forks=True).begin(self.server, A)
        self.pass_to(5.0)
        woken = [seconds for seconds, signum in self.sent if signum == NUDGE]
        waits = [later - earlier for earlier, later in pairwise(woken)]
        self.assertLess(woken[0], 0.04)
        self.assertLess(woken[-1], 1.3)
        self.assertGreater(len(woken), 3)
        for earlier, later in pairwise(waits):
            self.assertAlmostEqual(2 * earlier, later, delta=0.03)

    def test_twice(self) -> None:
        """Is once."""
        cancelling = self.cancelling(forks=True)
        for _ in range(2):
            cancelling.begin(self.server, A)
        self.assertEqual([(0.0, INT)], self.sent)

    def test_it_ends(self) -> None:
        """At whatever moment it does, it is sent nothing any more; nor is the job that comes after it."""
        for moment in (0.01, 0.5, 1.5):
            for after in (None, B):
                self.sent.clear()
                self.now, self.server.running, self.server.cancelled = 100.0, A, None
                self.cancelling(forks=True).begin(self.server, A)
                self.pass_to(moment)
                sent, self.server.running = list(self.sent), after
                self.pass_to(5.0)
                self.assertEqual(sent, self.sent)

    def test_its_server_dies(self) -> None:
        """Nobody else has its number when that is given to another process."""
        for forks in (True, False):
            self.sent.clear()
            self.now, self.server.cancelled, self.server.wait_status = 100.0, None, None
            self.cancelling(forks).begin(self.server, A)
            self.server.wait_status = 9
            self.pass_to(5.0)
            self.assertEqual([(0.0, INT)], self.sent)

    def test_a_kept_workers_job(self) -> None:
        """It is stopped in the end, and killed with its group when it is heard that the attempt still runs."""
        cancelling = self.cancelling(forks=False)
        cancelling.begin(self.server, A)
        self.pass_to(5.0)
        self.assertEqual([INT, TERM, STOP], [signum for _, signum in self.sent if signum != NUDGE])
        self.assertEqual(A, self.server.stopping)
        self.assertEqual([], self.killed)
        cancelling.stopped(self.server)
        self.assertEqual([(77, signal.SIGKILL), 77], self.killed)
        self.assertIsNone(self.server.stopping)

    def test_a_kept_workers_job_that_had_ended(self) -> None:
        """When it has stopped it is heard that it runs another one: that goes on."""
        cancelling = self.cancelling(forks=False)
        cancelling.begin(self.server, A)
        self.pass_to(5.0)
        self.server.running = B
        cancelling.stopped(self.server)
        self.assertEqual((CONT, []), (self.sent[-1][1], self.killed))
