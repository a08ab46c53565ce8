"""What a supervisor has to tell leaves together, and never later than it may."""

from __future__ import annotations

import unittest

from dispytw.values import FINISHED, Attempt, Outcome
from dispytw.wire.frames import Ended, Frame, GivenBack, Started
from dispytw.wire.jobframes import Unsaid
from dispytw.worker.gathering import FEW, GATHERING, LONGEST, MOST, Gathering


def attempt(number: int) -> Attempt:
    return Attempt(b"%016d" % number, 1)


def started(number: int) -> Frame:
    return Started(attempt(number), 1.0)


def ended(number: int) -> Frame:
    return Ended(attempt(number), Outcome(FINISHED))


class GatheringTests(unittest.TestCase):
    """Words, and times."""

    def setUp(self) -> None:
        self.gathering = Gathering()

    def add(self, *frames: Frame, now: float = 0.0) -> None:
        for frame in frames:
            self.gathering.add(frame, now)

    def test_while_there_is_work(self) -> None:
        """Ends wait for their time, and leave in the order in which they came."""
        self.add(ended(1), ended(2))
        self.add(ended(3), now=GATHERING / 2)
        self.assertEqual(3, len(self.gathering))
        self.assertEqual([], self.gathering.take(GATHERING / 2, low=False))
        self.assertEqual(GATHERING / 2, self.gathering.wait(GATHERING / 2))
        self.assertEqual([ended(1), ended(2), ended(3)], self.gathering.take(GATHERING, low=False))
        self.assertEqual(0, len(self.gathering))
        self.assertIsNone(self.gathering.wait(GATHERING))
        self.assertEqual([], self.gathering.take(2 * GATHERING, low=True))

    def test_many_of_short_jobs(self) -> None:
        """They wait longer than few do, counted from the first, but no longer than that."""
        many = [ended(number) for number in range(FEW)]
        self.add(*many[:-1])
        self.assertEqual(GATHERING, self.gathering.wait(0.0))
        self.add(many[-1], now=GATHERING / 2)
        self.assertEqual(LONGEST - GATHERING, self.gathering.wait(GATHERING))
        self.assertEqual([], self.gathering.take(GATHERING, low=False))
        self.assertEqual(many, self.gathering.take(LONGEST, low=False))

    def test_when_work_runs_low(self) -> None:
        """Ends leave at once; a start waits on, for its own time."""
        self.add(ended(1), started(2))
        self.assertEqual([ended(1)], self.gathering.take(0.0, low=True))
        self.assertEqual([], self.gathering.take(0.0, low=True))
        self.assertEqual([started(2)], self.gathering.take(GATHERING, low=True))

    def test_a_start_and_its_end(self) -> None:
        """The end is all there is to tell."""
        self.add(started(1), started(2), ended(1))
        self.assertEqual([started(2), ended(1)], self.gathering.take(GATHERING, low=False))

    def test_a_start_that_is_fresh_when_ends_leave(self) -> None:
        """It has its own time: by then there may be its end."""
        self.add(ended(1))
        self.add(started(2), now=GATHERING / 2)
        self.assertEqual([ended(1)], self.gathering.take(GATHERING, low=False))
        self.assertEqual(GATHERING / 2, self.gathering.wait(GATHERING))
        self.add(ended(2), now=GATHERING)
        self.assertEqual([ended(2)], self.gathering.take(GATHERING, low=True))
        self.assertIsNone(self.gathering.wait(GATHERING))

    def test_ends_that_are_there_when_a_start_leaves(self) -> None:
        """They leave with it, as somebody has to listen anyway."""
        self.add(started(1))
        self.add(ended(2), started(3), now=GATHERING / 2)
        self.assertEqual([started(1), ended(2)], self.gathering.take(GATHERING, low=False))
        self.assertEqual([started(3)], self.gathering.take(2 * GATHERING, low=False))

    def test_a_start_between_other_words(self) -> None:
        """It is told when there is something else, as that may be what its job says."""
        self.add(started(1), Unsaid(attempt(1), 1), ended(1))
        self.assertEqual([started(1), Unsaid(attempt(1), 1), ended(1)], self.gathering.take(0.0, low=False))

    def test_too_many(self) -> None:
        """Do not wait."""
        self.add(*map(ended, range(MOST)))
        self.assertEqual(MOST, len(self.gathering.take(0.0, low=False)))

    def test_another_word(self) -> None:
        """Does not wait, and overtakes nothing."""
        self.add(started(1), ended(2), GivenBack(()))
        self.assertEqual([started(1), ended(2), GivenBack(())], self.gathering.take(0.0, low=False))
        self.add(ended(3))
        self.assertEqual([], self.gathering.take(0.0, low=False))

    def test_nobody_there(self) -> None:
        """Nothing is kept for the next one."""
        self.add(started(1), GivenBack(()))
        self.gathering.clear()
        self.assertIsNone(self.gathering.wait(0.0))
        self.assertEqual([], self.gathering.take(GATHERING, low=True))
