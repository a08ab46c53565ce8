"""How many jobs servers are given ahead, and when they need not be heard."""

from __future__ import annotations

import unittest

from dispytw.worker.pace import (
    AHEAD,
    FEWEST,
    FEWEST_AT_EASE,
    LONGEST_EASE,
    MOST_AHEAD,
    MOST_FEW,
    SHORTEST_EASE,
    WAY,
    Pace,
)


class PaceTests(unittest.TestCase):
    """What is known of jobs, and what follows."""

    def test_nothing_is_known(self) -> None:
        """Nobody is given more than he runs, or left unheard."""
        self.assertEqual((0, 0.0), (Pace().ahead, Pace().ease(0)))

    def test_learning(self) -> None:
        """The mean of the last jobs; a clock that went back does not make it negative."""
        pace = Pace()
        for _ in range(100):
            pace.ended(0.002)
        self.assertAlmostEqual(0.002, pace.mean, delta=0.0001)
        for _ in range(1000):
            pace.ended(-5.0)
        self.assertGreater(pace.mean, 0.0)
        self.assertEqual(MOST_AHEAD, pace.ahead)

    def test_ahead(self) -> None:
        """As many as are done in some time; one that takes longer is not waited behind."""
        self.assertEqual([0, 1, 3], [Pace(AHEAD / jobs).ahead for jobs in (0.9, 1.1, 3.1)])

    def test_ease(self) -> None:
        """No server runs out of jobs meanwhile, though they be three times as fast as thought; and it is never for long."""
        for mean in (0.00001, 0.0001, 0.001, 0.004):
            pace = Pace(mean)
            for fewest in range(MOST_AHEAD):
                with self.subTest(mean=mean, fewest=fewest):
                    ease = pace.ease(fewest)
                    self.assertLessEqual(ease, min(LONGEST_EASE, fewest * mean / 3 * 1.001))
                    self.assertEqual(fewest >= FEWEST_AT_EASE and fewest * mean / 3 >= SHORTEST_EASE, ease > 0)

    def test_few(self) -> None:
        """What is done before more has come; of jobs that take no time, not more than can be had."""
        self.assertEqual([FEWEST, FEWEST, 5, MOST_FEW], [Pace(mean).few for mean in (1.0, WAY / 1.5, WAY / 5.1, 0.00001)])
