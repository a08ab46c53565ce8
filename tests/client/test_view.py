"""What a user sees of a cluster: ends of jobs, nodes, callbacks."""

from __future__ import annotations

import queue
import threading
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address, Choices, NodeAllocate
from dispytw.client.placing import Placing
from dispytw.client.view import View
from dispytw.values import CANCELLED, CREATED, FINISHED, RUNNING, TERMINATED, Attempt, Inline, NodeFacts, Outcome
from dispytw.wire.jobframes import Wrote
from tests.client.watching import PATIENCE, WatchedCondition

ADDRESS = Address("10.0.0.7", 51348)
NODE = NodeFacts(b"n" * 16, 1, "node7", 4, platform="Linux-6.1-x86_64")
OTHER = NodeFacts(b"o" * 16, 1, "node8", 2)
DONE = Outcome(FINISHED, Inline(b"12345"), Inline(b"ab"), Inline(b"c"), started=10.0, ended=12.5)


class Owner:
    """A cluster that lets everybody wait."""

    is_program = True

    def __init__(self) -> None:
        self.identities: list[tuple[bytes, Any]] = []
        self.read: list[DispyJob] = []

    def refuse_to_wait(self, what: str) -> None:
        """Never."""

    def open_result(self, data: bytes) -> Any:
        return data

    def identified(self, job: bytes, value: Any) -> None:
        self.identities.append((job, value))

    def result_read(self, job: DispyJob) -> None:
        self.read.append(job)


class Threads:
    """Keeps what is to be called until the test has it called."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.allocations: list[tuple[Callable[[], int], Deferred[int]]] = []
        self.called_back = False

    def call_back(self, function: Callable[..., Any], job: DispyJob, then: Callable[[], Any]) -> None:
        def call() -> None:
            self.called_back = True
            try:
                function(job)
            finally:
                self.called_back = False
                then()

        self.callbacks.append(call)

    def later(self, call: Callable[[], Any]) -> None:
        call()

    def allocate(self, function: Callable[[], int]) -> Deferred[int]:
        self.allocations.append((function, Deferred()))
        return self.allocations[-1][1]

    def in_callback(self) -> bool:
        return self.called_back


class ViewTestCase(unittest.TestCase):
    """A view with two nodes."""

    def setUp(self) -> None:
        self.threads = Threads()
        self.heard: list[tuple[int, int]] = []
        self.view = self.make()

    def make(
        self, choices: dict[Address, NodeAllocate] | None = None, callback: Any = "hear", file: Any = None, status: Any = None
    ) -> View:
        """A view whose callback notes id and status."""
        hear = self._hear if callback == "hear" else callback
        placing = Placing("the cluster", Choices(choices), self.threads)
        return View(hear, placing, self.threads, lambda text: None, file, status)

    def _hear(self, job: DispyJob) -> None:
        self.heard.append((job.id, job.status))

    def submit(self, number: int = 1, view: View | None = None) -> DispyJob:
        """A job more."""
        (view or self.view).submitted()
        return DispyJob(Owner(), bytes([number]) * 16, number, 1.0)

    def find(self, node: NodeFacts = NODE, address: Address = ADDRESS, view: View | None = None) -> Any:
        """How many slots of a node the cluster uses, or the exception; None when that is not known yet."""
        answers: list[Any] = []
        (view or self.view).node_found(node, address).addBoth(answers.append)
        return getattr(answers[0], "value", answers[0]) if answers else None


class Callbacks(ViewTestCase):
    """The callback of a cluster."""

    def test_order(self) -> None:
        """Callbacks are called in the order in which jobs end, each with the very job that has its status by then."""
        jobs = [self.submit(number) for number in range(3)]
        for number, outcome in ((2, DONE), (0, Outcome(TERMINATED)), (1, Outcome(CANCELLED))):
            self.view.job_settled(jobs[number], None, None, outcome)
        for call in self.threads.callbacks:
            call()
        self.assertEqual([(2, FINISHED), (0, TERMINATED), (1, CANCELLED)], self.heard)

    def test_callbacks_of_jobs(self) -> None:
        """What is hung on a job is called in the same order, on the same thread, and is waited for; it delivers nothing."""
        job = self.submit()
        called: list[DispyJob] = []
        self.view.call_back(called.append, job)
        self.view.job_settled(job, None, None, DONE)
        self.threads.callbacks[1]()
        self.assertFalse(self.view.wait(0))
        self.threads.callbacks[0]()
        self.assertTrue(self.view.wait(0))
        self.assertEqual([job], called)

    def test_released_before_its_callback(self) -> None:
        """Whoever waits in job() goes on before the callback is even queued, so a callback may wait for jobs."""
        states: list[tuple[bool, int]] = []
        job = self.submit()
        event = job.finish
        self.threads.call_back = lambda *_: states.append((event.is_set(), self.view.unfinished))  # type: ignore[method-assign]
        self.view.job_settled(job, None, None, DONE)
        self.assertEqual([(True, 0)], states)

    def test_not_while_it_runs(self) -> None:
        """A job that begins has no callback."""
        self.find()
        self.view.job_running(self.submit(), NODE.uid, ADDRESS, 9.0)
        self.assertEqual([], self.threads.callbacks)

    def test_none(self) -> None:
        """A cluster without a callback calls nobody, and waits for nobody."""
        view = self.make(callback=None)
        view.job_settled(self.submit(view=view), None, None, DONE)
        self.assertEqual([], self.threads.callbacks)
        self.assertTrue(view.wait(0))


class Remarks(ViewTestCase):
    """Running jobs that say and write something."""

    def test_order(self) -> None:
        """Provisional results come before the end, each once, and all of them are waited for."""
        job = self.submit()
        self.find()
        for number in range(2):
            self.assertIsNone(self.view.job_provisional(job, NODE.uid, Inline(b"%d" % number)))
        self.assertEqual(2, self.view.nodes[NODE.uid].rx)
        self.assertEqual(DispyJob.ProvisionalResult, job.status)
        self.view.job_settled(job, None, None, DONE)
        self.assertEqual(0, self.view.unfinished)
        self.assertFalse(self.view.wait(0))
        for call in self.threads.callbacks:
            self.assertFalse(self.view.wait(0))
            call()
        self.assertTrue(self.view.wait(0))
        self.assertEqual([(1, DispyJob.ProvisionalResult)] * 2 + [(1, DispyJob.Finished)], self.heard)

    def test_not_delivered(self) -> None:
        """A provisional result that was read or told is not the job's delivery."""
        job = self.submit()
        self.find()
        self.view.job_provisional(job, NODE.uid, Inline(b"1"))
        self.threads.callbacks.pop()()
        self.assertEqual((0, False), (self.view.unread, job._delivered))

    def test_output(self) -> None:
        """What a job writes is asked for when it runs, told on the callback thread, and asked for anew on a new link."""
        asked: list[Any] = []
        told: list[Any] = []
        placing = Placing("the cluster", Choices(), self.threads)
        view = View(None, placing, self.threads, lambda text: None, stream=lambda *what: told.append(what[1:]),
                    ask=lambda job, outputs: asked.extend(outputs))  # fmt: skip
        self.find(view=view)
        job = self.submit(view=view)
        view.job_running(job, NODE.uid, ADDRESS, 1.0)
        view.job_wrote(job, Wrote(Attempt(job._uid, 1), True, 0, b"text"))
        view.node_back()
        self.assertEqual([(False, 0), (True, 0), (True, 4), (False, 0), (True, 4)], asked)
        self.threads.callbacks.pop()()
        self.assertEqual([("text", True)], told)

    def test_output_is_waited_for(self) -> None:
        """When nobody has to wait for the job any more, its last output is already waited for, and told before its end is."""
        told: list[Any] = []
        placing = Placing("the cluster", Choices(), self.threads)
        view = View(lambda job: told.append("end"), placing, self.threads, lambda text: None, stream=lambda *what: told.append(what[1]))
        job = self.submit(view=view)
        uncalled: list[int] = []
        changed = view._changed
        changed.notify_all = lambda: uncalled.append(view._uncalled)  # type: ignore[method-assign]
        view.job_settled(job, None, None, DONE)
        self.assertEqual([2], uncalled)
        self.assertFalse(view.wait(0))
        for call in list(self.threads.callbacks):
            call()
        self.assertEqual(["ab", "c", "end"], told)
        self.assertTrue(view.wait(0))


class Waiting(ViewTestCase):
    """wait()."""

    def test_nothing_to_wait_for(self) -> None:
        """Without jobs there is no wait."""
        self.assertTrue(self.view.wait(None))

    def test_for_jobs(self) -> None:
        """It waits for every job, however it ends."""
        view = self.make(callback=None)
        jobs = [self.submit(number, view) for number in range(2)]
        self.assertFalse(view.wait(0))
        view.job_settled(jobs[0], None, None, DONE)
        self.assertEqual((1, 2), (view.unfinished, view.jobs))
        self.assertFalse(view.wait(0))
        view.job_settled(jobs[1], None, None, Outcome(CANCELLED))
        self.assertEqual((0, 2), (view.unfinished, view.jobs))
        self.assertTrue(view.wait(0))

    def test_for_callbacks(self) -> None:
        """It waits for the callbacks of those jobs too, one that raises included."""

        def wrong(job: DispyJob) -> None:
            raise ZeroDivisionError

        view = self.make(callback=wrong)
        view.job_settled(self.submit(view=view), None, None, DONE)
        self.assertFalse(view.wait(0))
        with self.assertRaises(ZeroDivisionError):
            self.threads.callbacks[0]()
        self.assertTrue(view.wait(0))

    def test_in_a_callback(self) -> None:
        """On the callback thread it waits for jobs only: for its own callback it would wait for ever."""
        waited: list[bool] = []
        view = self.make(callback=lambda job: waited.append(view.wait(0)))
        for number in range(2):
            view.job_settled(self.submit(number, view), None, None, DONE)
        self.threads.callbacks[0]()
        left = self.submit(9, view)
        self.threads.callbacks[1]()
        self.assertEqual([True, False], waited)
        view.job_settled(left, None, None, DONE)
        self.assertFalse(view.wait(0))

    def test_released(self) -> None:
        """A thread that waits goes on with the last job, or the last callback."""
        for callback in (None, "hear"):
            view, waited = self.make(callback=callback), queue.SimpleQueue()
            view._changed = changed = WatchedCondition()
            job = self.submit(view=view)
            threading.Thread(target=lambda view=view, waited=waited: waited.put(view.wait(None)), daemon=True).start()  # type: ignore[misc]
            self.assertTrue(changed.waiting.wait(PATIENCE))
            if callback is not None:
                changed.waiting.clear()
            view.job_settled(job, None, None, DONE)
            if callback is not None:
                self.assertTrue(changed.waiting.wait(PATIENCE))  # again: for the callback
                self.threads.callbacks[0]()
            self.assertTrue(waited.get(timeout=PATIENCE))

    def test_a_job_more_from_a_callback(self) -> None:
        """A job that a callback submits is waited for as well."""
        view = self.make(callback=lambda job: len(more) or more.append(self.submit(2, view)))
        more: list[DispyJob] = []
        view.job_settled(self.submit(1, view), None, None, DONE)
        self.threads.callbacks[0]()
        self.assertFalse(view.wait(0))
        view.job_settled(more[0], None, None, DONE)
        self.threads.callbacks[1]()
        self.assertTrue(view.wait(0))

    def test_counting_under_contention(self) -> None:
        """No job is lost count of when many threads submit."""
        begin = threading.Barrier(4)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: (begin.wait(PATIENCE), [self.view.submitted() for _ in range(500)]), range(4)))
        self.assertEqual((2000, 2000), (self.view.unfinished, self.view.jobs))


class Nodes(ViewTestCase):
    """What the cluster uses of a node, and what is shown of it."""

    def test_shown(self) -> None:
        """A node that is found is shown at once, with its address, name and slots."""
        self.assertEqual(4, self.find())
        shown = self.view.nodes[NODE.uid]
        self.assertEqual(("10.0.0.7", 51348, "node7", 4, 4), (shown.ip_addr, shown.port, shown.name, shown.cpus, shown.avail_cpus))

    def test_who_decides(self) -> None:
        """The entry that named the address decides, not another one with the same port."""
        seven, eight = NodeAllocate("node7", cpus=1), NodeAllocate("node8", cpus=2)
        choices = {Address("node7", 51348): seven, Address("node8", 51348): eight, Address("10.0.0.9", 51348): NodeAllocate("10.0.0.9", cpus=3)}
        view = self.make(choices)
        self.assertEqual(2, self.find(OTHER, Address("10.0.0.8", 51348, named=Address("node8", 51348)), view))
        self.assertEqual(1, self.find(NODE, Address("10.0.0.7", 51348, named=Address("node7", 51348)), view))
        third = NodeFacts(b"t" * 16, 1, "node9", 4)
        self.assertEqual(3, self.find(third, Address("10.0.0.9", 51348), view))
        self.assertEqual([2, 1, 3], [shown.cpus for shown in view.nodes.values()])

    def test_nobody_decides(self) -> None:
        """Where nobody has said anything all slots are used."""
        self.assertEqual(4, self.find(view=self.make({Address("elsewhere", 51348): NodeAllocate("elsewhere", cpus=1)})))


class Counters(ViewTestCase):
    """What print_status shows."""

    def setUp(self) -> None:
        super().setUp()
        self.find()
        self.find(OTHER, Address("10.0.0.8", 51348))
        self.shown, self.other = self.view.nodes.values()

    def run_job(self, number: int = 1, node: NodeFacts = NODE) -> DispyJob:
        """A job that runs."""
        job = self.submit(number)
        self.view.job_running(job, node.uid, ADDRESS, 9.0)
        return job

    def test_running(self) -> None:
        """A job keeps one slot busy from its start to its end, and knows its node."""
        job = self.run_job()
        self.assertEqual((1, RUNNING, "10.0.0.7", 9.0), (self.shown.busy, job.status, job.ip_addr, job.start_time))
        self.view.job_settled(job, NODE.uid, ADDRESS, DONE)
        self.assertEqual((0, FINISHED), (self.shown.busy, job.status))

    def test_what_a_job_adds(self) -> None:
        """One job, its seconds, and the bytes of its result and output."""
        self.view.job_settled(self.run_job(), NODE.uid, ADDRESS, DONE)
        self.view.job_settled(self.run_job(), NODE.uid, ADDRESS, Outcome(TERMINATED, started=1.0, ended=2.0))
        self.assertEqual((2, 3.5, 8), (self.shown.jobs_done, self.shown.cpu_time, self.shown.rx))
        self.assertEqual((0, 0.0, 0), (self.other.jobs_done, self.other.cpu_time, self.other.rx))
        self.assertGreater(self.shown.update_time, self.view.began - 1)

    def test_cancelled(self) -> None:
        """A cancelled job was not done."""
        self.view.job_settled(self.run_job(), NODE.uid, ADDRESS, Outcome(CANCELLED, started=1.0, ended=2.0))
        self.assertEqual((0, 1.0, 0), (self.shown.jobs_done, self.shown.cpu_time, self.shown.busy))

    def test_a_clock_that_was_set_back(self) -> None:
        """No job takes less than no time."""
        self.view.job_settled(self.run_job(), NODE.uid, ADDRESS, Outcome(FINISHED, started=9.0, ended=2.0))
        self.assertEqual(0.0, self.shown.cpu_time)

    def test_end_before_start(self) -> None:
        """A job whose end is the first that is heard of it keeps no slot busy."""
        self.view.job_settled(self.submit(), NODE.uid, ADDRESS, DONE)
        self.assertEqual((0, 1), (self.shown.busy, self.shown.jobs_done))

    def test_assigned_anew(self) -> None:
        """A job whose node was given up keeps the next one busy, not the first, and no count falls below none."""
        job = self.run_job()
        self.view.job_running(job, OTHER.uid, Address("10.0.0.8", 51348), 20.0)
        self.assertEqual((0, 1, "10.0.0.8"), (self.shown.busy, self.other.busy, job.ip_addr))
        self.view.job_settled(job, OTHER.uid, Address("10.0.0.8", 51348), DONE)
        self.assertEqual((0, 0), (self.shown.busy, self.other.busy))

    def test_queued_again_and_cancelled(self) -> None:
        """A job that was to be assigned anew and was cancelled instead keeps nobody busy."""
        job = self.run_job()
        self.view.job_settled(job, None, None, Outcome(CANCELLED))
        self.assertEqual((0, "10.0.0.7"), (self.shown.busy, job.ip_addr))

    @given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([NODE, OTHER, None]))))
    def test_busy(self, steps: list[tuple[int, NodeFacts | None]]) -> None:
        """Whatever jobs do, the slots that are shown busy are those of jobs that run."""
        jobs = [self.submit(number) for number in range(6)]
        where: dict[int, NodeFacts] = {}
        for number, node in steps:
            if node is None:
                self.view.job_settled(jobs[number], None, None, DONE)
                where.pop(number, None)
            else:
                self.view.job_running(jobs[number], node.uid, ADDRESS, 1.0)
                where[number] = node
            busy = [list(where.values()).count(node) for node in (NODE, OTHER)]
            self.assertEqual(busy, [self.shown.busy, self.other.busy])
        for job in jobs:
            self.view.job_settled(job, None, None, DONE)


class Retries(ViewTestCase):
    """A job that is tried again."""

    def test_shown(self) -> None:
        """It waits again, keeps no slot busy, counts its attempts, and is called back about once, when it has ended."""
        self.find()
        (shown,) = self.view.nodes.values()
        job = self.submit()
        failed = Outcome(TERMINATED, exception="Traceback\nValueError: no", started=1.0, ended=2.0)
        self.view.job_running(job, NODE.uid, ADDRESS, 9.0)
        self.assertEqual(1, job.attempts)
        with capturedLogs() as logged:
            self.view.job_retried(job, NODE.uid, Attempt(job._uid, 1), failed, 1, 2.5)
        self.assertEqual((CREATED, 1, 0, 1, None, []), (job.status, job.attempts, shown.busy, self.view.unfinished, job.exception, self.heard))
        self.assertEqual(f"job 1 has ended in attempt 1 on {NODE.name}, and is tried again in 2.5 s: ValueError: no", formatEvent(logged[0]))
        self.view.job_running(job, NODE.uid, ADDRESS, 12.0)
        self.assertEqual((RUNNING, 2), (job.status, job.attempts))
        self.assertEqual((0, 1.0), (shown.jobs_done, shown.cpu_time))
        self.view.job_settled(job, NODE.uid, ADDRESS, DONE, attempts=2)
        self.assertEqual((FINISHED, 2, DONE.started), (job.status, job.attempts, job.start_time))
        (call,) = self.threads.callbacks
        call()
        self.assertEqual([(1, FINISHED)], self.heard)

    def test_written_down(self) -> None:
        """What the attempt ended with, and which it was."""
        file = mock.Mock()
        view = self.make(file=file)
        self.find(view=view)
        failed = Outcome(TERMINATED)
        job = self.submit(view=view)
        view.job_retried(job, NODE.uid, Attempt(job._uid, 3), failed, 2, 0.0)
        file.ended.assert_called_once_with(job._uid, NODE.uid, failed, 3)
        self.assertEqual(2, job.attempts)
