"""What a user sees of a cluster: its jobs' ends, its nodes, its callbacks. Written in the reactor thread, read in any."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dispytw.client.feeds import Ask, Feeds
from dispytw.client.job import DispyJob
from dispytw.client.keeping import Keeping, NoFile
from dispytw.client.nodes import Address, DispyNode
from dispytw.client.nodeview import NodeView, Status
from dispytw.client.placing import Placing
from dispytw.client.remains import Place
from dispytw.client.remarks import Remarks, Stream
from dispytw.values import CANCELLED, PROVISIONAL_RESULT, Attempt, Body, Outcome
from dispytw.wire.jobframes import Wrote
from dispytw.wire.records import outcome_bodies

log = Logger()


class Threads(Protocol):
    """The threads that a view needs."""

    def call_back(self, function: Callable[..., Any], job: Any, then: Callable[[], Any]) -> None:
        """Call a user's callback on the callback thread."""

    def allocate(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Call a user's NodeAllocate.allocate on its own thread."""

    def in_callback(self) -> bool:
        """Whether the caller is the callback thread."""

    def later(self, call: Callable[[], Any]) -> None:
        """Have a call made in the reactor thread."""


class View(NodeView):
    """One cluster as its user sees it.

    :param callback: called with each job that has ended, or None.
    :param placing: asks how nodes are to be used.
    :param say: tells the user.
    :param file: where it is written down what must outlive this process.
    :param status: cluster_status, called with each change of a job or a node, or None.
    :param stream: called with each job that has written something, the text, and whether it was to stderr; or None.
    :param ask: asks for what a job writes.
    :ivar jobs: how many jobs it has had.
    :ivar unread: jobs that have ended and were not delivered.
    """

    def __init__(
        self,
        callback: Callable[[DispyJob], Any] | None,
        placing: Placing,
        threads: Threads,
        say: Callable[[str], None],
        file: Keeping | None = None,
        status: Status | None = None,
        stream: Stream | None = None,
        ask: Ask = lambda job, outputs: None,
    ) -> None:
        super().__init__(placing, threads, status)
        self.say = say
        self.file: Keeping = file or NoFile()
        self.began = time.time()
        self._callback = callback
        self._threads: Threads = threads
        self.jobs = 0
        self._running: dict[DispyJob, DispyNode] = {}
        self._unfinished = 0
        self._left = False
        self.unread = 0
        self.feeds = Feeds(ask)
        self.remarks = Remarks(callback, stream, self.feeds, self)

    # What the callbacks of remarks need (`dispytw.client.remarks.Callbacks`).
    def call(self, function: Callable[[DispyJob], Any], job: DispyJob, then: Callable[[], Any] = lambda: None) -> None:
        """Have a callback called, for which `wait` waits; ``then`` is called after it, in the reactor thread."""
        with self._changed:
            self._uncalled += 1

        def called() -> None:
            self._threads.later(then)
            with self._changed:
                self._uncalled -= 1
                self._changed.notify_all()

        self._threads.call_back(function, job, called)

    # The user's threads.
    @property
    def unfinished(self) -> int:
        """Jobs without a final status."""
        return self._unfinished

    def counted(self) -> tuple[int, int]:
        """How many jobs have ended, and how many there have been."""
        with self._changed:
            return self.jobs - self._unfinished, self.jobs

    def submitted(self) -> None:
        """One job more."""
        with self._changed:
            self.jobs += 1
            self._unfinished += 1

    def wait(self, timeout: float | None) -> bool:
        """Wait until all jobs have ended and, except on the callback thread, all callbacks have returned."""
        called_back = self._threads.in_callback()

        def over() -> bool:
            return (self._left or not self._unfinished) and (called_back or not self._uncalled)

        with self._changed:
            return self._changed.wait_for(over, timeout)

    def leave(self) -> None:
        """Nobody waits any more for what has not ended by now, or wants to hear of it."""
        self.say = lambda text: None
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def result_read(self, job: DispyJob) -> None:
        """A result was read: it is delivered by that, unless there is a callback to take it."""
        if self._callback is None:
            self._delivered(job)

    def call_back(self, function: Callable[[Any], Any], job: DispyJob | None) -> None:
        """Call what a program has hung on a job, on the callback thread; `wait` waits for that too."""
        with self._changed:
            self._uncalled += 1
        self._threads.call_back(function, job, self._one_called)

    def _delivered(self, job: DispyJob) -> None:
        job._delivered = True
        with self._changed:
            self.unread -= 1
        self.file.delivered(job._uid)

    # The reactor thread (`dispytw.client.session.ClusterEnd`).
    def job_running(self, job: DispyJob, node: bytes, address: Address, started: float) -> None:
        """See ClusterEnd."""
        shown = self.nodes[node]
        self._leaves(job)
        self._running[job] = shown
        shown.busy += 1
        shown.update_time = time.time()
        job._running(address.host, started)
        self._tell_running(job, shown)
        self.remarks.running(job)

    def job_provisional(self, job: DispyJob, node: bytes, body: Body) -> Deferred[Any] | None:
        """See ClusterEnd."""
        shown = self.nodes[node]
        shown.rx += body.size
        return self.remarks.heard(job, body, self._status_call(PROVISIONAL_RESULT, shown))

    def job_wrote(self, job: DispyJob, wrote: Wrote) -> None:
        """See ClusterEnd."""
        self.feeds.wrote(job, wrote)
        self.remarks.wrote(job)

    def node_back(self) -> None:
        """See ClusterEnd."""
        self.feeds.follow_all()

    def job_retried(
        self, job: DispyJob, node: bytes, attempt: Attempt, outcome: Outcome, attempts: int, seconds: float
    ) -> None:
        """See ClusterEnd."""
        self._leaves(job)
        self.file.ended(job._uid, node, outcome, attempt.number)
        self._count(self.nodes[node], outcome, 0, is_end=False)
        log.info(
            "job {job} has ended in attempt {attempts} on {node}, and is tried again in {seconds} s: {why}",
            job=job.id,
            attempts=attempts,
            node=self.nodes[node].name,
            seconds=seconds,
            why=(outcome.exception or outcome.reason).strip().rpartition("\n")[2],
        )
        job._retried(attempts)
        self.feeds.retried(job)

    def job_settled(
        self,
        job: DispyJob,
        node: bytes | None,
        address: Address | None,
        outcome: Outcome,
        sent: int = 0,
        attempts: int = 0,
    ) -> None:
        """See ClusterEnd."""
        shown = self.nodes[node] if node is not None else None
        if shown is not None and outcome.started is not None and self._running.get(job) is not shown:
            self._tell_running(job, shown)  # it was too short to be shown
        self._leaves(job)
        self.file.ended(job._uid, node, outcome)
        if shown is not None:
            self._count(shown, outcome, sent)
        with self._changed:
            self.unread += 1
        job._settled(outcome, address.host if address is not None else None, attempts)
        self.remarks.settled(job)
        with self._changed:
            self._unfinished -= 1
            self._uncalled += (self._callback is not None) + self._statuses
            self._changed.notify_all()
        if self._callback is not None:
            self._threads.call_back(self._callback, job, lambda: self._called(job))
        self._tell_status(outcome.status, shown, job, counted=True)

    def jobs_leave(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, DispyJob]]) -> bool:
        """See ClusterEnd."""
        return self.file.leaving(place, given, [(attempt, job.id) for attempt, job in jobs])

    def kept(self) -> Deferred[None] | None:
        """See ClusterEnd."""
        return self.file.kept()

    def _called(self, job: DispyJob) -> None:
        self._delivered(job)
        self._one_called()

    def _leaves(self, job: DispyJob) -> None:
        """A job that was assigned anew, or has ended, keeps no node busy."""
        shown = self._running.pop(job, None)
        if shown is not None:
            shown.busy -= 1

    @staticmethod
    def _count(shown: DispyNode, outcome: Outcome, sent: int, is_end: bool = True) -> None:
        shown.jobs_done += is_end and outcome.status != CANCELLED
        shown.update_time = time.time()
        shown.tx += sent
        shown.rx += sum(body.size for body in outcome_bodies(outcome))
        if outcome.started is not None and outcome.ended is not None:
            shown.cpu_time += max(0.0, outcome.ended - outcome.started)
