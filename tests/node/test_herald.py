"""When a node says that it is here."""

from __future__ import annotations

import itertools
import random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dispytw.node.herald import JITTER, QUIET, VARIANCE, Herald


class Porch:
    """Remembers when something was announced."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.trouble = ""
        self.done: list[str] = []
        self.announced: list[float] = []

    def open(self) -> str:
        self.done.append("open")
        return self.trouble

    def announce(self) -> None:
        self.announced.append(self.clock.seconds())

    def close(self) -> Deferred[None]:
        self.done.append("close")
        return succeed(None)


class Heralding(SynchronousTestCase):
    """A node, free or not, in the course of time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.porch = Porch(self.clock)
        self.free = True

    def herald(self, ping_interval: float | None = None, seed: int = 1) -> Herald:
        """A herald that has begun."""
        herald = Herald(self.porch, lambda: self.free, self.clock, self.clock.seconds, ping_interval, random.Random(seed))
        herald.begin()
        self.addCleanup(herald.stop)
        return herald

    def advance(self, seconds: float) -> list[float]:
        """When it announced in these seconds."""
        before = len(self.porch.announced)
        self.clock.pump([0.05] * round(seconds * 20))
        return self.porch.announced[before:]

    def test_at_the_start(self) -> None:
        """Once, a moment later, which is not the same on all machines."""
        times = []
        for seed in range(8):
            self.herald(seed=seed)
            (time,) = self.advance(2)
            times.append(time - (self.clock.seconds() - 2))
        self.assertEqual(["open"] * 8, self.porch.done)
        self.assertLessEqual(max(times), JITTER + 0.06)
        self.assertGreater(len({round(time, 2) for time in times}), 3)
        self.assertEqual([], self.advance(600))

    def test_freed(self) -> None:
        """When its client has left it, if nobody else was faster."""
        herald = self.herald()
        self.advance(60)
        herald.freed()
        self.assertEqual(1, len(self.advance(1)))
        self.advance(60)
        herald.freed()
        self.free = False
        self.assertEqual([], self.advance(60))

    def test_often_freed(self) -> None:
        """A node that short programs use one after another says so every few seconds at most."""
        herald = self.herald()
        for _ in range(1200):
            herald.freed()
            self.advance(0.05)
        self.assertLessEqual(len(self.porch.announced), 60 / QUIET + 1)
        self.assertGreaterEqual(len(self.porch.announced), 60 / QUIET - 1)

    def test_ping_interval(self) -> None:
        """A free node says it again and again; one that is in use does not."""
        herald = self.herald(ping_interval=10)
        times = self.advance(100)
        for before, after in itertools.pairwise(times):
            self.assertApproximates(10, after - before, 10 * VARIANCE + 0.06)
        self.assertGreaterEqual(len(times), 9)
        self.free = False
        self.assertEqual([], self.advance(100))
        self.free = True
        herald.freed()
        self.assertGreaterEqual(len(self.advance(1)), 1)

    def test_held_at_the_start(self) -> None:
        """A node that has taken over what an earlier daemon left is not free."""
        self.free = False
        self.herald()
        self.assertEqual([], self.advance(60))

    def test_trouble(self) -> None:
        """What cannot be heard is said, and the node goes on."""
        self.porch.trouble = "UDP port 5: taken"
        with capturedLogs() as logged:
            self.herald()
        (event,) = [each for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual("UDP port 5: taken", event["trouble"])

    def test_stop(self) -> None:
        """Nothing is said any more, and no call is left."""
        herald = self.herald(ping_interval=1)
        self.advance(5)
        self.successResultOf(herald.stop())
        herald.freed()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual("close", self.porch.done[-1])
