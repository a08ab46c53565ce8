"""Whom the dispatcher works with: a link to each node, and the one for whom it schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.scheduler import orders as o
from dispytw.scheduler.earshot import Listener, SpeakingLink
from dispytw.scheduler.outfitting import FilesLink
from dispytw.values import Attempt, Availability, Body, Computation, NodeFacts, Outcome


class NodeLink(FilesLink, SpeakingLink, Protocol):
    """What the dispatcher needs of a link to a node. Deferreds fail with the errors of the commands, or `ConnectionClosed`."""

    def reconcile(self, attempts: Sequence[tuple[Attempt, int, int]]) -> Deferred[tuple[list[tuple[Attempt, str]], dict[bytes, int]]]:
        """What the node knows of the attempts and of others, and which computations are ready there."""

    def open_computation(self, computation: Computation) -> Deferred[list[bytes]]:
        """Describe the computation; the digests that the node lacks."""

    def close_computation(self, computation: bytes) -> Deferred[None]:
        """Clean up."""

    def send_body(self, body: Body) -> Deferred[bytes]:
        """Stream a job's arguments; the id under which the node holds them."""

    def run_jobs(
        self,
        computation: bytes,
        generation: int,
        jobs: Sequence[tuple[Attempt, Body, bytes | None]],
        timeouts: Mapping[Attempt, float],
    ) -> Deferred[list[tuple[Attempt, str]]]:
        """Hand over attempts, each with its body and the stream that carried it; those refused, with reasons.

        :param timeouts: seconds, of those that have a limit.
        """

    def recall_jobs(self, computation: bytes, most: int) -> Deferred[None]:
        """Get attempts back that have not started."""

    def cancel_jobs(self, attempts: Sequence[Attempt]) -> Deferred[None]:
        """Cancel attempts."""

    def drop(self, reason: str) -> None:
        """Close the link: something was said on it that must not be."""


class Customer(Listener, Protocol):
    """For whom the dispatcher works: the client's session, or the shared scheduler."""

    def computation(self, cluster: bytes, node: bytes) -> Computation:
        """The computation of a cluster, as a node is to have it."""

    def file_of(self, cluster: bytes, digest: bytes) -> Body:
        """The content of one of its files."""

    def body_of(self, job: bytes) -> Body:
        """The packed arguments of a job that is not settled."""

    def allocate(self, cluster: bytes, node: NodeFacts) -> Deferred[int]:
        """How many slots of the node the cluster may use: user code."""

    def show_running(self, job: bytes, node: bytes, started: float) -> None:
        """The job runs."""

    def settle(self, job: bytes, outcome: Outcome, node: bytes | None, attempts: int) -> None:
        """The job has its terminal status, after so many attempts that have started, or may have."""

    def show_retry(self, order: o.ShowRetry) -> None:
        """An attempt has ended, and the job is tried again after a while."""

    def leaving(self, cluster: bytes, node: bytes, attempts: Sequence[Attempt]) -> bool:
        """Attempts are about to be sent; False when they must not be yet."""

    def kept(self) -> Deferred[Any] | None:
        """Fires when all that was settled so far would outlive this process; None when that is so."""

    def node_available(self, node: bytes, available: Availability | None) -> None:
        """A node has told how busy it is."""

    def tell(self, order: o.TellAway | o.TellBack | o.TellRejected | o.TellHeld | o.TellReady | o.TellClosed) -> None:
        """Say it to the user."""
