"""Output of running jobs that is followed, with the test as the daemon."""

from __future__ import annotations

import os
import tempfile
import unittest

from dispytw.values import FINISHED, Attempt
from dispytw.wire.frames import Frame, Ready
from dispytw.wire.jobframes import PIECE, Follow, Wrote
from dispytw.worker.capture import Capture
from dispytw.worker.following import Follower
from dispytw.worker.timers import Timers
from tests.worker.driving import Driver, SupervisorTestCase, content, opened

SOURCE = """
def writes(first, second, gate):
    os.write(1, first)
    os.write(2, b"err")
    open(gate).read()
    os.write(1, second)
def quick(text): os.write(1, text)
def asks(): return dispy_provisional_result(1)
"""


class FollowerTests(unittest.TestCase):
    """The follower alone."""

    def test_a_worker_that_went_on_meanwhile(self) -> None:
        """What was read is not told when the attempt turns out not to run any more: it may be the next one's."""
        told: list[Frame] = []
        timers, runs = Timers(), [True, False]
        with tempfile.TemporaryDirectory() as directory:
            capture = Capture.open(directory)
            os.write(capture.descriptor, b"text")
            attempt = Attempt(b"j" * 16, 1)
            follower = Follower(told.append, timers, lambda _: True, lambda *_: capture, lambda _: runs.pop(0))
            for _ in range(2):
                follower.follow(Follow(attempt, False, 0))
                follower._look()
            capture.close()
        self.assertEqual([Wrote(attempt, False, 0, b"text")], told)
        follower.ended(attempt)
        self.assertEqual({}, follower._wanted)

    def test_only_as_much_as_is_kept(self) -> None:
        """A piece is bounded, and ends where the capture does."""
        told: list[Frame] = []
        attempt = Attempt(b"j" * 16, 1)
        with tempfile.TemporaryDirectory() as directory:
            capture = Capture.open(directory, cap=PIECE + 10)
            os.write(capture.descriptor, bytes(PIECE + 20))
            follower = Follower(told.append, Timers(), lambda _: True, lambda *_: capture, lambda _: True)
            for position in (0, PIECE, PIECE + 10):
                follower.follow(Follow(attempt, False, position))
                follower._look()
            capture.close()
        self.assertEqual([PIECE, 10], [len(frame.data) for frame in told if isinstance(frame, Wrote)])


class FollowingCase(SupervisorTestCase):
    """One supervisor, of which jobs wait at a gate."""

    isolation = "job"
    start_method: str | None = None

    def setUp(self) -> None:
        self.driver: Driver = self.supervisor(SOURCE, isolation=self.isolation, width=1, start_method=self.start_method)
        self.driver.hear_a(Ready)
        self.gate = self.driver.path("gate")
        os.mkfifo(self.gate)

    def open_the_gate(self) -> None:
        with open(self.gate, "w"):
            pass


class FollowingTests(FollowingCase):
    """In processes of their own."""

    def test_piece_by_piece(self) -> None:
        """Each wish is answered once, from its position on; in the end the outcome has it all."""
        attempt = self.driver.begin("writes", b"one", b" two", self.gate)
        self.assertEqual(Wrote(attempt, False, 0, b"one"), self.driver.follow(attempt))
        self.assertEqual(Wrote(attempt, True, 1, b"rr"), self.driver.follow(attempt, True, 1))
        self.assertEqual(Wrote(attempt, False, 0, b"one"), self.driver.follow(attempt), "asked anew")
        self.driver.say(Follow(attempt, False, 3))
        self.open_the_gate()
        outcome = self.driver.outcome(attempt)
        self.assertEqual((FINISHED, b"one two", b"err"), (outcome.status, content(outcome.stdout), content(outcome.stderr)))

    def test_only_of_the_job(self) -> None:
        """A wish for one job never brings what the next in the same place writes, and one that comes late brings nothing."""
        for _ in range(5):
            attempt = self.driver.begin("quick", b"x" * 1000)
            self.driver.say(Follow(attempt, False, 0))
            after = self.driver.begin("quick", b"y" * 1000)
            self.driver.outcome(attempt)
            self.driver.say(Follow(attempt, False, 0))
            self.driver.outcome(after)
        wrote = [frame for frame in self.driver.frames if isinstance(frame, Wrote)]
        self.assertTrue(all(set(frame.data) == {ord("x")} for frame in wrote), wrote)

    def test_one_that_waits(self) -> None:
        """Of a job that has not begun, it comes when there is something."""
        first = self.driver.begin("writes", b"one", b"", self.gate)
        second = self.driver.begin("writes", b"two", b"", self.gate)
        self.driver.say(Follow(second, False, 0))
        self.driver.follow(first)
        self.open_the_gate()
        wrote = self.driver.hear_a(Wrote)
        self.assertEqual(Wrote(second, False, 0, b"two"), wrote)
        self.open_the_gate()
        self.driver.outcome(second)

    def test_nobody_asks(self) -> None:
        """Then nothing is said."""
        attempt = self.driver.begin("writes", b"one", b"two", self.gate)
        self.driver.started(attempt)
        self.open_the_gate()
        self.driver.outcome(attempt)

        def is_one(frame: Frame) -> bool:
            return isinstance(frame, Wrote)

        self.assertEqual([], list(filter(is_one, self.driver.frames)))


class KeptFollowingTests(FollowingTests):
    """In kept workers, which go on to their next job by themselves."""

    isolation = "worker"

    def test_several_in_a_row(self) -> None:
        """What is said in a job that a worker has just begun is heard, though the supervisor did not know yet."""
        attempts = [self.driver.begin("asks") for _ in range(20)]
        for attempt in attempts:
            remark = self.driver.remark(attempt)
            self.assertEqual(1, remark.number)
            self.driver.answer(remark)
        self.assertEqual([0] * 20, [opened(self.driver.outcome(attempt).result) for attempt in attempts])
