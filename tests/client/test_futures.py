"""job.future: a Future of the standard library's in all that wait(), as_completed() and asyncio look at."""

from __future__ import annotations

import contextlib
import threading
import unittest
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from dispytw.client.job import DispyJob
from dispytw.errors import JobFailedError, NodeLostError, ResultError
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Inline, Outcome
from tests.client.test_job import DONE, Owner, ended, made
from tests.client.watching import PATIENCE

EVERY_PYTHON = True

FAILED = Outcome(TERMINATED, exception="Traceback (most recent call last):\nValueError: x")
GONE = Outcome(CANCELLED, reason="cancelled while it ran")
LOST = Outcome(CANCELLED, exception="Cancelled", reason="node7 is gone")


class States(unittest.TestCase):
    """What a future says in each status of its job."""

    def says(self, future: Future[Any]) -> tuple[bool, bool, bool]:
        return future.running(), future.done(), future.cancelled()

    def test_one_for_each_job(self) -> None:
        """It is made when it is asked for, once, also by threads at the same time."""
        job = made()
        self.assertIsNone(job._attention)
        with ThreadPoolExecutor(4) as threads:
            futures = {id(each) for each in threads.map(lambda _: job.future, range(40))}
        self.assertEqual({id(job.future)}, futures)
        self.assertIsInstance(job.future, Future)

    def test_created_running_finished(self) -> None:
        """It follows the job."""
        job = made()
        future = job.future
        self.assertEqual((False, False, False), self.says(future))
        job._running("10.0.0.7", 1.5)
        self.assertEqual((True, False, False), self.says(future))
        with self.assertRaises(FutureTimeout):
            future.result(timeout=0)
        job._settled(DONE, "10.0.0.7")
        self.assertEqual((False, True, False), self.says(future))
        self.assertEqual((49, None), (future.result(timeout=0), future.exception(timeout=0)))

    def test_a_job_that_has_ended(self) -> None:
        """A future that is asked for late has the end at once."""
        self.assertEqual(49, ended(DONE).future.result(timeout=0))

    def test_failures(self) -> None:
        """Each raises job.error, time and again, and is no cancelled future."""
        for outcome, kind in ((FAILED, JobFailedError), (LOST, NodeLostError)):
            for job in (made(), ended(outcome)):
                future = job.future
                if job.status == DispyJob.Created:
                    job._settled(outcome, None)
                for _ in range(2):
                    with self.assertRaises(kind) as caught:
                        future.result(timeout=0)
                    self.assertIs(job.error, caught.exception)
                self.assertIs(job.error, future.exception(timeout=0))
                self.assertEqual((False, True, False), self.says(future))

    def test_a_result_that_cannot_be_opened(self) -> None:
        """ResultError, raised by result() and returned by exception()."""
        future = ended(Outcome(FINISHED, Inline(b"?"))).future
        with self.assertRaises(ResultError):
            future.result(timeout=0)
        self.assertIsInstance(future.exception(timeout=0), ResultError)

    def test_nothing_is_opened_unasked(self) -> None:
        """The reactor thread opens nothing; the first reader does, once, and the job counts as delivered."""
        owner = Owner()
        job = made(owner)
        future = job.future
        job._settled(DONE, None)
        wait([future], timeout=PATIENCE)
        self.assertEqual(([], []), (owner.opened, owner.read))
        future.result()
        future.result()
        self.assertEqual(([b"49"], [job]), (owner.opened, owner.read))


class Cancelling(unittest.TestCase):
    """future.cancel() cancels the job."""

    def test_before_the_end(self) -> None:
        """Queued or running: the job is cancelled, and the future at once; what the job does then changes nothing."""
        for runs in (False, True):
            for end in (GONE, DONE, FAILED):
                owner = Owner()
                job = made(owner)
                future = job.future
                if runs:
                    job._running("10.0.0.7", 1.5)
                self.assertTrue(future.cancel())
                self.assertTrue(future.cancel())
                self.assertEqual((True, True, False), (future.cancelled(), future.done(), future.running()))
                self.assertIs(job, owner.cancelled[0])
                job._settled(end, None)
                self.assertTrue(future.cancelled())
                with self.assertRaises(CancelledError):
                    future.result()

    def test_after_the_end(self) -> None:
        """There is nothing to cancel."""
        owner = Owner()
        job = ended(DONE, owner)
        self.assertFalse(job.future.cancel())
        self.assertEqual(([], False), (owner.cancelled, job.future.cancelled()))

    def test_a_job_that_was_cancelled_otherwise(self) -> None:
        """cluster.cancel(job) cancels its future, and the job has been delivered by that."""
        owner = Owner()
        job = made(owner)
        future = job.future
        job._settled(GONE, None)
        self.assertTrue(future.cancelled())
        self.assertEqual([job], owner.read)
        self.assertRaises(CancelledError, future.exception)

    def test_a_callback_of_a_cancel_that_waits(self) -> None:
        """What is called by cancel() may wait for the reactor thread, and that for nobody."""
        job, settled = made(), threading.Event()

        def settles() -> None:
            job._settled(GONE, None)
            settled.set()

        def waits(_: Any) -> None:
            threading.Thread(target=settles).start()
            self.assertTrue(settled.wait(PATIENCE))

        job.future.add_done_callback(waits)
        self.assertTrue(job.future.cancel())
        self.assertTrue(settled.is_set())


class Waiting(unittest.TestCase):
    """The standard library's functions see what they look for."""

    def test_wait(self) -> None:
        """Each way of waiting ends at the end that it is about."""
        for how, ends in ((FIRST_COMPLETED, [DONE]), (FIRST_EXCEPTION, [DONE, FAILED]), (ALL_COMPLETED, [DONE, GONE, FAILED])):
            with self.subTest(how=how):
                jobs = [made() for _ in range(3)]
                futures = [job.future for job in jobs]
                with self._ending(jobs, ends):
                    done, _ = wait(futures, timeout=PATIENCE, return_when=how)
                self.assertLessEqual({f for f, _ in zip(futures, ends) if f.done()} - done, set(futures))
                self.assertIn(futures[len(ends) - 1], done)

    def test_as_completed(self) -> None:
        """Each as it ends, cancelled ones too."""
        jobs = [made() for _ in range(3)]
        futures = [job.future for job in jobs]
        completed = as_completed(futures, timeout=PATIENCE)
        jobs[1]._settled(DONE, None)
        self.assertIs(futures[1], next(completed))
        futures[2].cancel()
        self.assertIs(futures[2], next(completed))
        jobs[0]._settled(FAILED, None)
        self.assertEqual([futures[0]], list(completed))

    @contextlib.contextmanager
    def _ending(self, jobs: list[DispyJob], ends: list[Outcome]) -> Any:
        def end() -> None:
            for job, outcome in zip(jobs, ends):
                job._settled(outcome, None)

        thread = threading.Thread(target=end)
        thread.start()
        yield
        thread.join()


class Callbacks(unittest.TestCase):
    """add_done_callback."""

    def test_on_the_callback_thread(self) -> None:
        """The reactor thread leaves them to it; what comes after the end is called at once, as in the standard library."""
        owner, called = Owner(), []
        job = made(owner)
        job.future.add_done_callback(called.append)
        job._settled(DONE, None)
        self.assertEqual(([job.future], [job]), (called, owner.called_back))
        job.future.add_done_callback(called.append)
        self.assertEqual(([job.future] * 2, [job]), (called, owner.called_back))

    def test_none(self) -> None:
        """Without one the callback thread is left alone."""
        owner = Owner()
        job = made(owner)
        future = job.future
        job._settled(DONE, None)
        self.assertTrue(future.done())
        self.assertEqual([], owner.called_back)
