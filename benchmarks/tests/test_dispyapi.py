"""The lines that drive dispy and dispytw, with a cluster that misbehaves as dispy does now and then."""

from __future__ import annotations

import threading
import time
import unittest
from typing import Any
from unittest import mock

from benchmarks.contestants import LOST, dispyapi
from benchmarks.contestants.dispyapi import DispyApi

#: Seconds after which jobs say that they have ended: no test takes so long, on whatever machine.
LATER = 10_000.0


class Job:
    """A job that has ended at once, or never will."""

    Finished, Terminated = 11, 9

    def __init__(self, argument: Any, ends: bool = True, status: int = 11) -> None:
        self.finish = threading.Event()
        self.status, self.result, self.end_time = status, argument, time.time() + LATER
        if ends:
            self.finish.set()

    def __call__(self) -> Any:
        return self.result


@mock.patch.object(dispyapi, "STALLED", 0.05)
@mock.patch.object(dispyapi, "LOOK", 0.01)
class LosingJobs(unittest.TestCase):
    """A batch ends, whatever becomes of its jobs."""

    def api(self, *jobs: Any) -> DispyApi:
        """A cluster whose submit returns these."""
        api = DispyApi()
        api.cluster = mock.Mock()
        api.cluster.submit.side_effect = jobs
        return api

    def test_all_is_well(self) -> None:
        """Results in the order of the arguments, by the clock."""
        batch = self.api(Job(1), Job(2)).run([1, 2])
        self.assertEqual([1, 2], batch.results)
        self.assertLess(batch.seconds, LATER / 2)

    def test_a_job_that_never_ends(self) -> None:
        """Is lost, and the time waited for it is not counted: the last end of the others is the batch's."""
        batch = self.api(Job(1), Job(2, ends=False), Job(3)).run([1, 2, 3])
        self.assertEqual([1, LOST, 3], batch.results)
        self.assertAlmostEqual(LATER, batch.seconds, delta=LATER / 2)

    def test_a_job_that_failed(self) -> None:
        """Has no result."""
        self.assertEqual([LOST], self.api(Job(1, status=Job.Terminated)).run([1]).results)

    def test_no_job_at_all(self) -> None:
        """Where submit returns None a job is lost too, in a batch and alone."""
        self.assertEqual([1, LOST], self.api(Job(1), None).run([1, 2]).results)
        self.assertIs(LOST, self.api(None).one(1))

    def test_a_node_that_takes_no_jobs(self) -> None:
        """Is found out at the start."""
        with self.assertRaisesRegex(TimeoutError, "no result"):
            self.api(Job(0, ends=False)).warm_up()

    def test_nothing_ends(self) -> None:
        """A batch that is lost whole takes the time that it took."""
        self.assertEqual([LOST], self.api(Job(1, ends=False)).run([1]).results)
