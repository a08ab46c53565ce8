"""A job as it was when it said something."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.defer import Deferred

from dispytw.client.job import DispyJob
from dispytw.client.snapshot import JobSnapshot
from dispytw.errors import JobFailedError
from dispytw.values import FINISHED, TERMINATED, Inline, Outcome
from tests.client.test_job import Owner

EVERY_PYTHON = True


class SnapshotTests(unittest.TestCase):
    """Of a job that has said 1, then 2, and has ended with 3."""

    def setUp(self) -> None:
        self.owner = Owner()
        self.job = DispyJob(self.owner, b"u" * 16, 7, 1.0)
        self.job._running("10.0.0.7", 1.5)
        self.job._said(Inline(b"1"))
        self.snapshot = JobSnapshot(self.job, Inline(b"1"))
        self.job._said(Inline(b"2"))
        self.job._settled(Outcome(FINISHED, Inline(b"3"), Inline(b"out"), exception=None, ended=2.0), "10.0.0.7")

    def test_stays_as_it_was(self) -> None:
        """Status and result, and what the job did not have yet."""
        snapshot = self.snapshot
        self.assertEqual((DispyJob.ProvisionalResult, 1), (snapshot.status, snapshot.result))
        self.assertEqual(("10.0.0.7", 1.5, None), (snapshot.ip_addr, snapshot.start_time, snapshot.end_time))
        self.assertEqual((None, None, ""), (snapshot.stdout, snapshot.exception, snapshot.reason))
        self.assertEqual((DispyJob.Finished, 3), (self.job.status, self.job.result))
        self.assertEqual("<DispyJob 7: ProvisionalResult>", repr(snapshot))

    def test_is_the_job(self) -> None:
        """It is equal to it, both ways, finds it in lists and takes it out of dicts."""
        other = DispyJob(self.owner, b"v" * 16, 8, 1.0)
        self.assertTrue(self.snapshot == self.job and self.job == self.snapshot)
        self.assertFalse(self.snapshot != self.job or self.snapshot == other or other == self.snapshot)
        self.assertEqual(self.snapshot, JobSnapshot(self.job, Inline(b"2")))
        self.assertIn(self.snapshot, [other, self.job])
        self.assertEqual("mine", {self.job: "mine"}.pop(self.snapshot))
        self.assertIsInstance(self.snapshot, DispyJob)

    def test_acts_on_the_job(self) -> None:
        """An id that is set is the job's; its uid, end and call are too."""
        self.snapshot.id = "new"
        self.assertEqual(("new", "new"), (self.job.id, self.snapshot.id))
        self.assertEqual(self.job._uid, self.snapshot._uid)
        self.assertTrue(self.snapshot.finish.is_set())
        self.assertEqual(3, self.snapshot())

    def test_whoever_waits_for_it(self) -> None:
        """Waits for the job, as it is awaited or by its future; its own error is that of its time."""

        async def awaits() -> Any:
            return await self.snapshot

        found: list[Any] = []
        Deferred.fromCoroutine(awaits()).addCallback(found.append)
        self.assertEqual([3, 3], [*found, self.snapshot.future.result()])
        failed = DispyJob(self.owner, b"w" * 16, 9, 1.0)
        failed._settled(Outcome(TERMINATED, exception="ValueError: x"), None)
        self.assertIsInstance(failed.error, JobFailedError)
        self.assertIsNone(JobSnapshot(failed, Inline(b"1")).error)

    def test_is_not_delivered(self) -> None:
        """Reading its result is not reading the job's."""
        self.assertEqual(1, self.snapshot.result)
        self.assertEqual([], self.owner.read)
