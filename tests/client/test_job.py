"""DispyJob: every attribute in each status, one end for whoever waits, and a result that is opened once."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import threading
import tracemalloc
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dispytw.client import job as module
from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address, Choices
from dispytw.client.placing import Placing
from dispytw.client.session import Introduction, Session, Target
from dispytw.client.view import View
from dispytw.errors import PayloadError, ReactorThreadError, ResultError
from dispytw.values import CANCELLED, FINISHED, TERMINAL, TERMINATED, Computation, File, Inline, Outcome, Stored
from dispytw.wire.streams import MemorySinks
from tests.client.watching import PATIENCE, WatchedLock

EVERY_PYTHON = True

DONE = Outcome(FINISHED, Inline(b"49"), Inline(b"out"), Inline(b"err"), started=2.0, ended=3.0)


class Owner:
    """A cluster whose payloads are numbers as text."""

    def __init__(self, is_program: bool = False) -> None:
        self.is_program = is_program
        self.opened: list[bytes] = []
        self.refusals: list[str] = []
        self.refuses = False
        self.identities: list[tuple[bytes, Any]] = []
        self.read: list[DispyJob] = []
        self.cancelled: list[DispyJob] = []
        self.called_back: list[DispyJob] = []

    def refuse_to_wait(self, what: str) -> None:
        self.refusals.append(what)
        if self.refuses:
            raise ReactorThreadError(what)

    def open_result(self, data: bytes) -> Any:
        self.opened.append(data)
        if not data.isdigit():
            raise PayloadError(f"no number: {data!r}")
        return int(data)

    def identified(self, job: bytes, value: Any) -> None:
        self.identities.append((job, value))

    def result_read(self, job: DispyJob) -> None:
        self.read.append(job)

    def cancel_soon(self, job: DispyJob) -> None:
        self.cancelled.append(job)

    def call_back(self, function: Callable[[DispyJob], Any], job: DispyJob) -> None:
        self.called_back.append(job)
        function(job)


def made(owner: Owner | None = None) -> DispyJob:
    """A job that was just submitted."""
    return DispyJob(owner or Owner(), b"u" * 16, 7, 1.0)


def ended(outcome: Outcome, owner: Owner | None = None) -> DispyJob:
    """A job that has ended so, on a node."""
    job = made(owner)
    job._running("10.0.0.7", 1.5)
    job._settled(outcome, "10.0.0.7")
    return job


def attributes(job: DispyJob) -> dict[str, Any]:
    """All that a program may read."""
    names = "status ip_addr start_time end_time submit_time result stdout stderr exception reason"
    return {name: getattr(job, name) for name in names.split()}


class Attributes(unittest.TestCase):
    """What a program reads in each status."""

    def check(self, job: DispyJob, **expected: Any) -> None:
        """Attributes that are not expected to be anything are None."""
        nothing = {**dict.fromkeys(attributes(job)), "submit_time": 1.0, "reason": ""}
        self.assertEqual({**nothing, **expected}, attributes(job))

    def test_created(self) -> None:
        """Before it runs only its submission is known."""
        self.check(made(), status=DispyJob.Created)
        self.assertEqual("<DispyJob 7: Created>", repr(made()))

    def test_running(self) -> None:
        """While it runs, the node and when it began."""
        job = made()
        job._running("10.0.0.7", 1.5)
        self.check(job, status=DispyJob.Running, ip_addr="10.0.0.7", start_time=1.5)
        self.assertEqual("<DispyJob 7: Running>", repr(job))

    def test_finished(self) -> None:
        """Result, output, and both times by the node's clock."""
        where = {"ip_addr": "10.0.0.7", "start_time": 2.0, "end_time": 3.0}
        self.check(ended(DONE), status=DispyJob.Finished, result=49, stdout="out", stderr="err", **where)

    def test_terminated(self) -> None:
        """No result, but the traceback, and what was written until then."""
        outcome = Outcome(TERMINATED, None, Inline(b"half"), exception="Traceback", started=2.0, ended=3.0)
        where = {"ip_addr": "10.0.0.7", "start_time": 2.0, "end_time": 3.0}
        self.check(ended(outcome), status=DispyJob.Terminated, stdout="half", stderr="", exception="Traceback", **where)

    def test_lost(self) -> None:
        """The seed's words for a node that was given up: no result, no output, 'Cancelled', and why."""
        job = ended(Outcome(CANCELLED, exception="Cancelled", reason="node7 did not answer"))
        self.check(
            job,
            status=DispyJob.Cancelled,
            ip_addr="10.0.0.7",
            start_time=1.5,
            exception="Cancelled",
            reason="node7 did not answer",
        )

    def test_cancelled_before_it_was_sent(self) -> None:
        """It never had a node."""
        job = made()
        job._settled(Outcome(CANCELLED, reason="cancelled before it was sent"), None)
        self.check(job, status=DispyJob.Cancelled, stdout="", stderr="", reason="cancelled before it was sent")

    def test_ended_unseen(self) -> None:
        """A job whose beginning was not told has its node all the same."""
        job = made()
        job._settled(DONE, "10.0.0.7")
        self.assertEqual(("10.0.0.7", 2.0, 3.0), (job.ip_addr, job.start_time, job.end_time))

    def test_ended_without_a_node(self) -> None:
        """A job that waited to be assigned anew keeps the node that it ran on last."""
        job = made()
        job._running("10.0.0.7", 1.5)
        job._settled(Outcome(CANCELLED, reason="cancelled before it was sent"), None)
        self.assertEqual(("10.0.0.7", 1.5), (job.ip_addr, job.start_time))

    def test_of_a_program(self) -> None:
        """A program's result is its exit status, its output bytes."""
        job = ended(DONE, Owner(is_program=True))
        self.assertEqual((49, b"out", b"err"), (job.result, job.stdout, job.stderr))

    def test_output_that_is_no_text(self) -> None:
        """A function's output is always str, whatever it wrote."""
        self.assertEqual("a\ufffdb", ended(Outcome(FINISHED, Inline(b"1"), Inline(b"a\xffb"))).stdout)

    def test_bodies_in_files(self) -> None:
        """What was too large to be carried around is read where it lies."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "body")
            with open(path, "wb") as file:
                file.write(b"123")
            stored = Stored(path, 3)
            job = ended(Outcome(FINISHED, stored, stored, stored))
            self.assertEqual((123, "123", "123"), (job.result, job.stdout, job.stderr))

    def test_id(self) -> None:
        """The id is the program's to set, to anything; what is not named in the manual cannot be set by mistake."""
        job = made()
        self.assertEqual(7, job.id)
        job.id = ("a", 1)
        self.assertEqual(("a", 1), job.id)
        with self.assertRaises(AttributeError):
            job.idd = 5  # type: ignore[attr-defined]
        for name in ("result", "stdout", "stderr", "exception", "end_time", "reason"):
            with self.assertRaises(AttributeError):
                setattr(job, name, 5)

    def test_an_id_is_told(self) -> None:
        """Each time that it is set, until the job has been delivered; the number that it is made with is not."""
        owner = Owner()
        job = made(owner)
        job.id = "a"
        job.id = "b"
        job._delivered = True
        job.id = "c"
        self.assertEqual([(b"u" * 16, "a"), (b"u" * 16, "b")], owner.identities)

    def test_a_read_result_is_told(self) -> None:
        """Once, at the first read, whatever the outcome; before the end there is nothing to read."""
        for outcome in (DONE, Outcome(TERMINATED, exception="ValueError"), Outcome(FINISHED, Inline(b"?"))):
            owner = Owner()
            self.assertIsNone(made(owner).result)
            job = ended(outcome, owner)
            self.assertEqual([], owner.read)
            for _ in range(2):
                with contextlib.suppress(ResultError):
                    job()
            self.assertEqual([job], owner.read)

    def test_constants(self) -> None:
        """dispy's numbers: a final status is greater than a provisional one."""
        names = ["Created", "Running", "ProvisionalResult", "Cancelled", "Terminated", "Abandoned", "Finished"]
        self.assertEqual([5, 6, 7, 8, 9, 10, 11], [getattr(DispyJob, name) for name in names])
        self.assertLess(DispyJob.ProvisionalResult, min(TERMINAL))

    def test_as_a_key(self) -> None:
        """A job is itself and no other: it can be found in lists, sets and dicts, whatever its id."""
        job, other = made(), made()
        self.assertTrue(job in [other, job] and job in {job} and job not in [other])


class Provisional(unittest.TestCase):
    """A job that says something before its end."""

    def setUp(self) -> None:
        self.owner = Owner()
        self.job = made(self.owner)
        self.job._running("10.0.0.7", 1.5)

    def test_attributes(self) -> None:
        """Its status and result are those of the last provisional result; nothing else is known yet. It is opened once."""
        self.job._said(Inline(b"1"))
        self.job._said(Inline(b"2"))
        self.assertEqual((DispyJob.ProvisionalResult, 2, 2), (self.job.status, self.job.result, self.job.result))
        self.assertEqual((None, None, None, ""), (self.job.stdout, self.job.exception, self.job.end_time, self.job.reason))
        self.assertEqual(([b"2"], []), (self.owner.opened, self.owner.read))
        self.assertEqual("<DispyJob 7: ProvisionalResult>", repr(self.job))

    def test_call(self) -> None:
        """job() returns it at once, and again; the end's result takes its place, and is what is delivered."""
        self.job._said(Inline(b"1"))
        self.assertEqual((1, 1), (self.job(), self.job()))
        self.job._settled(DONE, "10.0.0.7")
        self.assertEqual((49, 49, DispyJob.Finished), (self.job(), self.job.result, self.job.status))
        self.assertEqual([self.job], self.owner.read)

    def test_none_at_the_end(self) -> None:
        """A job that is cancelled after all has no result."""
        self.job._said(Inline(b"1"))
        self.assertEqual(1, self.job())
        self.job._settled(Outcome(CANCELLED), None)
        self.assertIsNone(self.job())

    def test_timeout(self) -> None:
        """job(timeout=…) gives up waiting after so long, and the job goes on; what is there already is returned at once."""
        with self.assertRaisesRegex(TimeoutError, "^job 7 has not ended within 0.01 s$"):
            self.job(timeout=0.01)
        self.job._said(Inline(b"1"))
        self.assertEqual(1, self.job(timeout=0.01))
        self.job._settled(DONE, "10.0.0.7")
        self.assertEqual(49, self.job(timeout=0.01))

    def test_clear(self) -> None:
        """job(clear=True) resets the event, so that the next call waits for what comes next; the end is never cleared."""
        self.job._said(Inline(b"1"))
        self.assertEqual(1, self.job(clear=True))
        self.assertFalse(self.job.finish.is_set())
        with ThreadPoolExecutor(1) as pool:
            self.job._asked().event = event = _WaitedEvent()
            waiting = pool.submit(self.job, clear=True)
            self.assertTrue(event.waited.wait(PATIENCE))
            self.job._said(Inline(b"2"))
            self.assertEqual(2, waiting.result(PATIENCE))
            self.assertFalse(event.is_set())
        self.job._settled(DONE, None)
        self.assertEqual([49, 49], [self.job(clear=True) for _ in range(2)])
        self.assertTrue(self.job.finish.is_set())

    def test_finish(self) -> None:
        """The event is set, whether it was asked for before or afterwards."""
        finish = self.job.finish
        self.assertFalse(finish.is_set())
        self.job._said(Inline(b"1"))
        self.assertTrue(finish.is_set())
        other = made()
        other._said(Inline(b"1"))
        self.assertTrue(other.finish.is_set())

    def test_another_attempt(self) -> None:
        """A job that is run again has said nothing yet."""
        self.job._said(Inline(b"1"))
        self.assertTrue(self.job.finish.is_set())
        self.job._running("10.0.0.8", 2.5)
        self.assertEqual((DispyJob.Running, None), (self.job.status, self.job.result))
        self.assertFalse(self.job.finish.is_set())

    def test_tried_again(self) -> None:
        """A job that waits for its next attempt has said nothing."""
        self.job._said(Inline(b"1"))
        self.assertTrue(self.job.finish.is_set())
        self.job._retried(1)
        self.assertEqual((DispyJob.Created, None, False), (self.job.status, self.job.result, self.job.finish.is_set()))

    def test_one_that_cannot_be_opened(self) -> None:
        """Raises each time it is read; the next one may be fine."""
        self.job._said(Inline(b"?"))
        for _ in range(2):
            with self.assertRaises(ResultError):
                self.job()
        self.job._said(Inline(b"2"))
        self.assertEqual(2, self.job())


class _WaitedEvent(threading.Event):
    """Says when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.set()
        return super().wait(timeout)


class _HeldEvent(threading.Event):
    """Knows whether it was set while nobody else could ask for it."""

    held = False

    def set(self) -> None:
        self.held = module._GUARD.locked()
        super().set()


class Waiting(unittest.TestCase):
    """job() and job.finish."""

    def test_whoever_waits_is_released(self) -> None:
        """Every thread that waits gets the result of the one end, and the status is set by then."""
        job = made()
        started = threading.Barrier(9)

        def waits() -> tuple[Any, int, bool]:
            started.wait(PATIENCE)
            return job(), job.status, job.finish.is_set()

        with ThreadPoolExecutor(8) as threads:
            waiting = [threads.submit(waits) for _ in range(8)]
            started.wait(PATIENCE)
            job._running("10.0.0.7", 1.5)
            job._settled(DONE, "10.0.0.7")
            self.assertEqual([(49, FINISHED, True)] * 8, [each.result(PATIENCE) for each in waiting])

    def test_status_and_event(self) -> None:
        """Whoever sees a status that is final finds the event set: who asks for it in between waits until it is."""
        for settle in (lambda job: job._settled(DONE, None), lambda job: job._said(Inline(b"1"))):
            job = made()
            job._asked().event = event = _HeldEvent()
            settle(job)
            self.assertEqual((True, True), (event.is_set(), event.held))

    def test_no_end_is_missed(self) -> None:
        """A wait that begins as the job ends returns, in whatever order the two happen."""
        with ThreadPoolExecutor(2) as threads:
            for _ in range(200):
                job = made()
                both = threading.Barrier(2)
                waiting = threads.submit(lambda job=job, both=both: (both.wait(PATIENCE), job())[1])  # type: ignore[misc]
                both.wait(PATIENCE)
                job._settled(DONE, None)
                self.assertEqual(49, waiting.result(PATIENCE))

    def test_finish(self) -> None:
        """The event is the same for all; it is set by the end, and made set when the end is past."""
        job = made()
        event = job.finish
        self.assertIs(event, job.finish)
        job._running("10.0.0.7", 1.5)
        self.assertFalse(event.is_set())
        job._settled(DONE, "10.0.0.7")
        self.assertTrue(event.is_set())
        self.assertTrue(ended(DONE).finish.is_set())

    def test_no_event_unasked(self) -> None:
        """A job that nobody waits for has no event and no lock."""
        job = made()
        self.assertIsNone(job._attention)
        job._settled(DONE, None)
        self.assertIsNone(job._attention)
        job()
        job = made()
        assert job.finish and job._attention is not None
        self.assertEqual((None, None), (job._attention.future, job._attention.error))

    def test_in_the_reactor_thread(self) -> None:
        """Where waiting would never end it is refused, naming the job; a job that has ended can be called anywhere."""
        owner = Owner()
        owner.refuses = True
        job = made(owner)
        with self.assertRaisesRegex(ReactorThreadError, "job 7"):
            job()
        job._settled(DONE, None)
        self.assertEqual(49, job())
        self.assertEqual(["job 7"], owner.refusals)

    def test_no_result(self) -> None:
        """A job that did not finish gives None, at once."""
        self.assertIsNone(ended(Outcome(TERMINATED, exception="Traceback"))())
        self.assertIsNone(ended(Outcome(CANCELLED))(clear=True))


class Opening(unittest.TestCase):
    """The result is bytes until somebody reads it."""

    def test_unread(self) -> None:
        """Nothing is opened unasked, nor by reading anything else."""
        owner = Owner()
        job = ended(DONE, owner)
        self.assertEqual(("out", "err", None), (job.stdout, job.stderr, job.exception))
        self.assertEqual([], owner.opened)

    def test_opened_once(self) -> None:
        """However many threads come while it is being opened, it is opened once, and all get the same object."""
        lock = WatchedLock()

        class Slow(Owner):
            def open_result(self, data: bytes) -> Any:
                self.opened.append(data)
                if len(self.opened) == 1:
                    lock.wait_for(4)  # the reader that is here, and three more
                return [data]

        owner = Slow()
        job = ended(DONE, owner)
        job._asked().lock = lock  # type: ignore[assignment]
        with ThreadPoolExecutor(4) as threads:
            read = list(threads.map(lambda _: job.result, range(4), timeout=PATIENCE))
        self.assertEqual([b"49"], owner.opened)
        self.assertEqual(1, len({id(each) for each in read}))
        self.assertIs(job(), read[0])

    def test_none_is_a_result(self) -> None:
        """A result of None is opened once, like any other."""

        class Nothing(Owner):
            def open_result(self, data: bytes) -> Any:
                self.opened.append(data)

        owner = Nothing()
        job = ended(DONE, owner)
        self.assertEqual((None, None, None), (job.result, job.result, job()))
        self.assertEqual(1, len(owner.opened))

    def test_a_result_that_asks_for_itself(self) -> None:
        """A class that reads its own job while it is opened does not wait for itself."""
        jobs: list[DispyJob] = []

        class Curious(Owner):
            def open_result(self, data: bytes) -> Any:
                self.opened.append(data)
                return jobs[0].result if len(self.opened) == 1 else 5

        jobs.append(ended(DONE, Curious()))
        with ThreadPoolExecutor(1) as threads:
            self.assertEqual(5, threads.submit(jobs[0]).result(PATIENCE))

    def test_a_result_that_cannot_be_opened(self) -> None:
        """ResultError, each time and by either way, with its cause; it is tried once, and the status stays."""
        owner = Owner()
        job = ended(Outcome(FINISHED, Inline(b"?")), owner)
        for read in (job, lambda: job.result, job):
            with self.assertRaisesRegex(ResultError, "the result of job 7 cannot be opened here: no number") as caught:
                read()
            self.assertIsInstance(caught.exception.__cause__, PayloadError)
        self.assertEqual(([b"?"], FINISHED), (owner.opened, job.status))


class Memory(unittest.TestCase):
    """A million queued jobs must fit a small machine."""

    def test_a_queued_job(self) -> None:
        """A queued job takes at most 800 bytes in all, with its arguments, what the session and the view keep, and a list."""
        cluster, number = b"k" * 16, 10_000
        clock, owner = Clock(), Owner()
        hear: Any = self.fail
        session = Session(b"c" * 16, lambda *_: Deferred(), Introduction("1", "me", 5.0), MemorySinks(), clock, clock.seconds)
        view = View(hear, Placing(owner, Choices(), _NoThreads()), _NoThreads(), hear)
        target = Target(Address("10.0.0.7", 51348), None)
        session.open_cluster(Computation(cluster, "compute", File(".bundle", bytes(32), 0)), {}, view, [target])

        def submit(count: int) -> DispyJob:
            job = DispyJob(owner, os.urandom(16), 1000 + count, clock.seconds() + count)
            view.submitted()
            session.submit(cluster, job._uid, Inline(os.urandom(14)), job)  # as long as the payload of one small integer
            return job

        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            jobs = [submit(count) for count in range(number)]
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual((number, number), (session.unfinished(), view.unfinished))
        self.assertLessEqual((after - before) / len(jobs), 800)


class _NoThreads:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)
