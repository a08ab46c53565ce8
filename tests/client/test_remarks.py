"""Callbacks of running jobs: in order, each once, and never more of them waiting than there is room for."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from dispytw.client.feeds import Feeds
from dispytw.client.job import DispyJob
from dispytw.client.remarks import MOST_BYTES, MOST_WAITING, Remarks
from dispytw.values import FINISHED, Attempt, Inline, Outcome
from dispytw.wire.jobframes import Wrote
from tests.client.test_job import made

DONE = Outcome(FINISHED, Inline(b"9"), Inline(b"one two"), Inline(b"err"))


class RemarksCase(unittest.TestCase):
    """One job; callbacks are called when the test says so."""

    def setUp(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.heard: list[Any] = []
        self.feeds = Feeds(lambda job, outputs: None)
        self.job = made()

    def call(self, function: Callable[[DispyJob], Any], job: DispyJob, then: Callable[[], Any] = lambda: None) -> None:
        """See `dispytw.client.remarks.Callbacks`."""

        def call() -> None:
            function(job)
            then()

        self.waiting.append(call)

    def call_all(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()

    def remarks(self, callback: bool = True, stream: bool = False) -> Remarks:
        return Remarks(self._hear if callback else None, self._follow if stream else None, self.feeds, self)

    def _hear(self, job: DispyJob) -> None:
        self.heard.append((job is self.job, job == self.job, job.status, job.result))

    def _follow(self, job: DispyJob, text: str, is_stderr: bool) -> None:
        self.heard.append((text, is_stderr))


class ProvisionalTests(RemarksCase):
    """Provisional results."""

    def test_the_very_job(self) -> None:
        """The callback gets the job itself while it has not moved on."""
        self.assertIsNone(self.remarks().heard(self.job, Inline(b"1")))
        self.assertEqual((DispyJob.ProvisionalResult, 1), (self.job.status, self.job.result))
        self.call_all()
        self.assertEqual([(True, True, DispyJob.ProvisionalResult, 1)], self.heard)

    def test_moved_on(self) -> None:
        """When there is another result already, or the end, it gets what equals the job and has the result of then."""
        remarks = self.remarks()
        remarks.heard(self.job, Inline(b"1"))
        remarks.heard(self.job, Inline(b"2"))
        self.job._settled(DONE, None)
        self.call_all()
        self.assertEqual([(False, True, DispyJob.ProvisionalResult, number) for number in (1, 2)], self.heard)
        self.assertEqual(DispyJob.Finished, self.job.status)

    def test_the_same_result_twice(self) -> None:
        """Equal results are two events."""
        remarks = self.remarks()
        for _ in range(2):
            remarks.heard(self.job, Inline(b"1"))
        self.call_all()
        self.assertEqual([False, True], [each[0] for each in self.heard])

    def test_a_second_function(self) -> None:
        """Is called after the callback, or without one, with the same; there is room again when both have returned."""
        for callback in (True, False):
            with self.subTest(callback=callback):
                self.assert_told(self.remarks(callback), 2 if callback else 1)

    def assert_told(self, remarks: Remarks, calls: int) -> None:
        """One more than there is room for."""
        told: list[int] = []
        self.waiting.clear()
        rooms = [remarks.heard(self.job, Inline(b"1"), lambda job: told.append(job.result)) for _ in range(MOST_WAITING + 1)]
        self.assertEqual(calls * (MOST_WAITING + 1), len(self.waiting))
        room = rooms.pop()
        assert room is not None and set(rooms) == {None}
        *first, last = self.waiting
        for call in first:
            call()
        self.assertEqual((False, [1] * MOST_WAITING), (room.called, told))
        last()
        self.assertEqual((True, [1] * (MOST_WAITING + 1)), (room.called, told))

    def test_without_callback(self) -> None:
        """The job has the last one; nobody waits for anything."""
        remarks = self.remarks(callback=False)
        for number in range(2 * MOST_WAITING):
            self.assertIsNone(remarks.heard(self.job, Inline(b"%d" % number)))
        self.assertEqual((2 * MOST_WAITING - 1, []), (self.job.result, self.waiting))

    def test_flooded(self) -> None:
        """When too many wait, each further one is answered only after its callback."""
        remarks = self.remarks()
        rooms = [remarks.heard(self.job, Inline(b"1")) for _ in range(MOST_WAITING + 2)]
        self.assertEqual([True] * MOST_WAITING + [False] * 2, [room is None for room in rooms])
        late = [room for room in rooms if room is not None]
        for call in self.waiting[: MOST_WAITING + 1]:
            call()
        self.assertEqual([True, False], [room.called for room in late])
        del self.waiting[: MOST_WAITING + 1]
        self.call_all()
        self.assertTrue(late[1].called)
        self.assertIsNone(remarks.heard(self.job, Inline(b"1")))

    def test_flooded_with_bytes(self) -> None:
        """So it is when they are too long."""
        remarks = self.remarks()
        self.assertIsNone(remarks.heard(self.job, Inline(bytes(MOST_BYTES))))
        self.assertIsNotNone(remarks.heard(self.job, Inline(b"1")))


class OutputTests(RemarksCase):
    """What is told of a job's output."""

    def wrote(self, remarks: Remarks, position: int, data: bytes) -> None:
        self.feeds.wrote(self.job, Wrote(Attempt(self.job._uid, 1), False, position, data))
        remarks.wrote(self.job)

    def test_while_it_runs(self) -> None:
        """Text is told as it comes, all that has come at once to who is slow; then the rest, before the end."""
        remarks = self.remarks(stream=True)
        remarks.running(self.job)
        self.wrote(remarks, 0, b"o")
        self.wrote(remarks, 1, b"ne")
        self.assertEqual(1, len(self.waiting))
        self.call_all()
        self.call_all()
        self.wrote(remarks, 3, b" ")
        self.job._settled(DONE, None)
        remarks.settled(self.job)
        self.call_all()
        self.assertEqual([("one", False), (" two", False), ("err", True)], self.heard)
        self.assertEqual((0, 0), (len(remarks._readers), len(remarks._called)))

    def test_written_while_it_is_told(self) -> None:
        """What comes after a call has read, and before it has returned, is told by another one, though nothing more comes."""
        remarks = self.remarks(stream=True)
        remarks.running(self.job)
        follow = self._follow

        def slow(job: DispyJob, text: str, is_stderr: bool) -> None:
            follow(job, text, is_stderr)
            if text == "one":
                self.wrote(remarks, 3, b" two")

        remarks._stream = slow
        self.wrote(remarks, 0, b"one")
        self.call_all()
        self.call_all()
        self.assertEqual([("one", False), (" two", False)], self.heard)
        self.assertEqual(([], {}), (self.waiting, remarks._called))

    def test_short_job(self) -> None:
        """Of a job that nobody saw running everything is told at its end; one that is silent tells nothing."""
        remarks = self.remarks(stream=True)
        self.job._settled(DONE, None)
        remarks.settled(self.job)
        self.call_all()
        self.assertEqual([("one two", False), ("err", True)], self.heard)
        silent = made()
        silent._settled(Outcome(FINISHED), None)
        remarks.settled(silent)
        self.assertEqual([], self.waiting)

    def test_nobody_wants_it(self) -> None:
        """Without a callback for output, nothing is followed."""
        remarks = self.remarks()
        remarks.running(self.job)
        self.wrote(remarks, 0, b"one")
        self.job._settled(DONE, None)
        remarks.settled(self.job)
        self.assertEqual(([], {}), (self.waiting, self.feeds._feeds))
