"""The cluster and the job of the house in memory (`dispytw.testing`): what a program would see of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from dispytw.client.nodes import Address
from dispytw.client.remains import Place
from dispytw.client.session import Target
from dispytw.values import (
    CREATED,
    PLAIN,
    RUNNING,
    Attempt,
    Availability,
    Body,
    Computation,
    File,
    Inline,
    JobOptions,
    NodeFacts,
    Outcome,
)
from dispytw.wire.jobframes import Wrote

_BUNDLE = File(".bundle", b"\0" * 32, 0)


class MemoryJob:
    """What became of a job."""

    def __init__(self, uid: bytes) -> None:
        self.uid = uid
        self.status = 0
        self.outcomes: list[Outcome] = []

    @property
    def outcome(self) -> Outcome | None:
        """Its end."""
        return self.outcomes[-1] if self.outcomes else None


class MemoryCluster:
    """A cluster of the house; also its own `dispytw.client.session.ClusterEnd`.

    :ivar said: what its user was told.
    :ivar heard: what it was told of nodes, as (what, the node's uid, …).
    :ivar allocate: how many slots of a node it uses; may raise.
    """

    def __init__(self, client: Any, uid: bytes, nodes: list[Any], reentrant: bool, pulse: float | None) -> None:
        self.client = client
        self.uid = uid
        self.reentrant = reentrant
        self.jobs: list[MemoryJob] = []
        self.said: list[str] = []
        self.heard: list[tuple[Any, ...]] = []
        self.allocate: Callable[[NodeFacts], int] = lambda node: node.cpus
        targets = [Target(node.address, None) for node in nodes]
        computation = Computation(uid, "compute", _BUNDLE)
        client.session.open_cluster(computation, {}, self, targets, reentrant=reentrant, pulse_interval=pulse)

    def submit(
        self, duration: float = 1.0, padding: int = 0, options: JobOptions = PLAIN, node: Any = None
    ) -> MemoryJob:
        """A job that takes so many seconds, with so many bytes of arguments that mean nothing; for one node alone, if given.

        :param duration: with a minus in front the job raises after those seconds.
        """
        job = MemoryJob(self.client.house.new_uid())
        self.jobs.append(job)
        body = Inline(str(duration).encode() + b" " * padding)
        self.client.session.submit(self.uid, job.uid, body, job, options, None if node is None else node.uid)
        return job

    def cancel(self, job: MemoryJob) -> bool:
        """Cancel it."""
        return bool(self.client.session.cancel(job.uid))

    def give_up(self) -> None:
        """Settle every job now."""
        self.client.session.give_up(self.uid, "given up")

    def close(self) -> Deferred[Any]:
        """Clean up."""
        closed: Deferred[Any] = self.client.session.close_cluster(self.uid)
        return closed

    def node_found(self, node: NodeFacts, address: Address) -> Deferred[int]:
        """The user's code answers a little later."""
        answered: Deferred[int] = Deferred()

        def answer() -> None:
            try:
                answered.callback(self.allocate(node))
            except Exception as error:
                answered.errback(error)

        self.client.process.callLater(0.001, answer)
        return answered

    def node_ready(self, node: bytes) -> None:
        """See ClusterEnd."""
        self.heard.append(("ready", node))

    def node_closed(self, node: bytes, why: str, is_over: bool) -> None:
        """See ClusterEnd."""
        self.heard.append(("closed", node, why, is_over))

    def node_available(self, node: bytes, available: Availability | None) -> None:
        """See ClusterEnd."""
        self.heard.append(("available", node, available))

    def node_limited(self, node: bytes, cpus: int) -> None:
        """See ClusterEnd."""
        self.heard.append(("limited", node, cpus))

    def job_running(self, job: MemoryJob, node: bytes, address: Address, started: float) -> None:
        """See ClusterEnd."""
        job.status = RUNNING

    def job_provisional(self, job: MemoryJob, node: bytes, body: Body) -> None:
        """See ClusterEnd."""

    def job_wrote(self, job: MemoryJob, wrote: Wrote) -> None:
        """See ClusterEnd."""

    def node_back(self) -> None:
        """See ClusterEnd."""

    def job_retried(
        self, job: MemoryJob, node: bytes, attempt: Attempt, outcome: Outcome, attempts: int, seconds: float
    ) -> None:
        """See ClusterEnd."""
        job.status = CREATED

    def job_settled(
        self, job: MemoryJob, node: bytes | None, address: Address | None, outcome: Outcome, sent: int = 0, attempts: int = 0
    ) -> None:
        """See ClusterEnd."""
        job.status = outcome.status
        job.outcomes.append(outcome)

    def jobs_leave(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, MemoryJob]]) -> bool:
        """See ClusterEnd: nothing is written down."""
        return True

    def kept(self) -> None:
        """See ClusterEnd."""

    def say(self, text: str) -> None:
        """See ClusterEnd."""
        self.said.append(text)
