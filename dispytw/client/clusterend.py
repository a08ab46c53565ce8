"""What the session, in the reactor thread, needs of the other end of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.client.nodes import Address
from dispytw.client.remains import Place
from dispytw.values import Attempt, Availability, Body, NodeFacts, Outcome
from dispytw.wire.jobframes import Wrote


class ClusterEnd(Protocol):
    """The other end of a cluster, which knows user code. Called in the reactor thread; must not wait."""

    def node_found(self, node: NodeFacts, address: Address) -> Deferred[int]:
        """How many slots of the node the cluster uses."""

    def node_ready(self, node: bytes) -> None:
        """A node was set up for the cluster: jobs can run there."""

    def node_closed(self, node: bytes, why: str, is_over: bool) -> None:
        """No job can run on a node any more; unless it is over, until it is ready again."""

    def node_available(self, node: bytes, available: Availability | None) -> None:
        """A node has told how busy it is."""

    def node_limited(self, node: bytes, cpus: int) -> None:
        """No more than so many CPUs of a node are used from now on, over all clusters."""

    def job_running(self, job: Any, node: bytes, address: Address, started: float) -> None:
        """A job runs."""

    def job_provisional(self, job: Any, node: bytes, body: Body) -> Deferred[Any] | None:
        """A running job has a provisional result; the Deferred fires when there is room for another one, None when that is so."""

    def job_wrote(self, job: Any, wrote: Wrote) -> None:
        """A running job has written what was asked for."""

    def node_back(self) -> None:
        """A link to a node is open: what was asked on an earlier one is to be asked anew."""

    def job_settled(
        self, job: Any, node: bytes | None, address: Address | None, outcome: Outcome, sent: int = 0, attempts: int = 0
    ) -> None:
        """A job has its final status, after so many attempts that have started, or may have; ``sent`` bytes of arguments it took."""

    def job_retried(self, job: Any, node: bytes, attempt: Attempt, outcome: Outcome, attempts: int, seconds: float) -> None:
        """An attempt has ended, one of so many by now, and the job is tried again after so many seconds."""

    def jobs_leave(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, Any]]) -> bool:
        """Attempts are about to be sent, each with its job; False when they must not leave yet."""

    def kept(self) -> Deferred[None] | None:
        """Fires when every outcome that was brought would outlive this process; None when that is so."""

    def say(self, text: str) -> None:
        """Tell the user."""
