"""await job: in a task of asyncio, and in a coroutine of Twisted's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError as DeferredCancelled
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.awaiting import deferred_of
from dispytw.client.job import DispyJob
from dispytw.errors import JobFailedError
from tests.client.test_futures import FAILED, GONE
from tests.client.test_job import DONE, Owner, ended, made
from tests.client.watching import PATIENCE

EVERY_PYTHON = True


async def awaits(job: DispyJob) -> Any:
    return await job


class InAsyncio(SynchronousTestCase):
    """A loop runs, and the job ends in another thread."""

    def end(self, job: DispyJob, outcome: Any) -> None:
        """As the reactor thread does."""
        thread = threading.Thread(target=job._settled, args=(outcome, None))
        thread.start()
        thread.join()

    def awaited(self, outcome: Any) -> Any:
        """Await a job that ends after the waiting has begun."""

        async def main() -> Any:
            job = made()
            task = asyncio.ensure_future(awaits(job))
            await asyncio.sleep(0)
            self.assertFalse(task.done())
            self.end(job, outcome)
            return await asyncio.wait_for(task, PATIENCE)

        return asyncio.run(main())

    def test_its_result(self) -> None:
        """Before and after the end; several at a time."""
        self.assertEqual(49, self.awaited(DONE))

        async def gathered() -> list[Any]:
            return await asyncio.gather(*[awaits(ended(DONE)) for _ in range(3)])

        self.assertEqual([49] * 3, asyncio.run(gathered()))

    def test_what_it_raises(self) -> None:
        """As job.future.result() does; that a job was cancelled does not cancel the task."""
        self.assertRaises(JobFailedError, self.awaited, FAILED)
        self.assertRaises(CancelledError, self.awaited, GONE)

    def test_a_task_that_is_cancelled(self) -> None:
        """Cancels the job; its end then disturbs nobody."""
        owner = Owner()

        async def main() -> None:
            job = made(owner)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(awaits(job), 0.001)
            self.assertEqual([job], owner.cancelled)
            self.end(job, GONE)

        asyncio.run(main())

    def test_a_loop_that_is_closed(self) -> None:
        """A job that ends after its loop is told to nobody, though the loop was not closed yet when that was looked at."""

        async def main(job: DispyJob) -> asyncio.AbstractEventLoop:
            task = asyncio.ensure_future(awaits(job))
            await asyncio.sleep(0)
            task.cancel()
            return asyncio.get_running_loop()

        for seen in (True, False):
            job = made()
            loop = asyncio.run(main(job))
            with mock.patch.object(loop, "is_closed", return_value=seen):
                self.end(job, DONE)
            self.assertEqual([], self.flushLoggedErrors())

    def test_a_coroutine_of_twisteds_beside_a_loop(self) -> None:
        """Under Twisted's asyncio reactor a loop runs, but whoever is no task of it waits by a Deferred."""

        def main() -> None:
            job = made()
            waiting = ensureDeferred(awaits(job))
            job._settled(DONE, None)
            self.assertEqual(49, self.successResultOf(waiting))
            loop.stop()

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        loop.call_soon(main)
        loop.run_forever()


class InTwisted(SynchronousTestCase):
    """No loop runs."""

    def test_a_coroutine(self) -> None:
        """Its result, or what it raised."""
        for outcome, kind in ((DONE, None), (FAILED, JobFailedError), (GONE, CancelledError)):
            job = made()
            waiting = ensureDeferred(awaits(job))
            self.assertNoResult(waiting)
            job._settled(outcome, None)
            if kind is None:
                self.assertEqual(49, self.successResultOf(waiting))
            else:
                self.failureResultOf(waiting, kind)

    def test_a_deferred(self) -> None:
        """At once for a job that has ended; cancelling it cancels the job, whose end then disturbs nobody."""
        self.assertEqual(49, self.successResultOf(deferred_of(ended(DONE))))
        owner = Owner()
        job = made(owner)
        deferred: Deferred[Any] = deferred_of(job)
        deferred.cancel()
        self.failureResultOf(deferred, DeferredCancelled)
        job._settled(GONE, None)
        self.assertEqual([job], owner.cancelled)

    def test_beside_a_future(self) -> None:
        """Whoever waits in another way as well, earlier or later, disturbs nobody."""
        job = made()
        waiting = deferred_of(job)
        future = job.future
        job._settled(DONE, None)
        self.assertEqual((49, 49), (self.successResultOf(waiting), future.result(timeout=0)))
