"""What the tests of the dispatcher share: links that say nothing of their own accord, and a customer who remembers what he was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.scheduler import orders as o
from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.scheduler.ledger import Ledger
from dispytw.values import INLINE_LIMIT, Attempt, Body, Computation, File, Inline, NodeFacts, Outcome

CLUSTER, OTHER = b"c" * 16, b"o" * 16
NODE, SECOND = b"n" * 16, b"s" * 16
GENERATION = 7
FILES = {b"1" * 32: Inline(b"one"), b"2" * 32: Inline(b"two")}
ARGS = Inline(b"args")
LARGE = Inline(b"x" * (INLINE_LIMIT + 1))


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def attempt(job: int, number: int = 1) -> Attempt:
    return Attempt(uid(job), number)


class FakeLink:
    """See `dispytw.scheduler.neighbours.NodeLink`; the test answers.

    :ivar said: what was asked of the node: the method's name and its arguments.
    :ivar dropped: why the link was closed.
    """

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.dropped: list[str] = []
        self._unanswered: list[tuple[str, Deferred[Any]]] = []

    def _ask(self, *words: Any) -> Deferred[Any]:
        self.said.append(words)
        answer: Deferred[Any] = Deferred()
        self._unanswered.append((words[0], answer))
        return answer

    def heard(self, kind: str) -> list[Any]:
        """What was asked with this name; a lone argument without its tuple."""
        return [words[1] if len(words) == 2 else words[1:] for words in self.said if words[0] == kind]

    def answer(self, kind: str, value: Any) -> None:
        """The oldest of these that waits gets its answer, or its failure."""
        index = next(index for index, (each, _) in enumerate(self._unanswered) if each == kind)
        _, waiting = self._unanswered.pop(index)
        (waiting.errback if isinstance(value, Exception) else waiting.callback)(value)

    def reconcile(self, attempts: Sequence[tuple[Attempt, int, int]]) -> Deferred[Any]:
        return self._ask("reconcile", list(attempts))

    def open_computation(self, computation: Computation) -> Deferred[list[bytes]]:
        return self._ask("open", computation.uid)

    def close_computation(self, computation: bytes) -> Deferred[None]:
        return self._ask("close", computation)

    def send_file(self, digest: bytes, body: Body) -> Deferred[Any]:
        return self._ask("file", digest, body)

    def place_files(self, computation: bytes, files: Sequence[File], attempt: Attempt | None = None) -> Deferred[list[bytes]]:
        return self._ask("place", computation, list(files), attempt)

    def send_body(self, body: Body) -> Deferred[bytes]:
        return self._ask("body", body)

    def run_jobs(
        self, computation: bytes, generation: int, jobs: Sequence[Any], timeouts: Mapping[Attempt, float]
    ) -> Deferred[list[tuple[Attempt, str]]]:
        return self._ask("run", computation, generation, list(jobs), *([dict(timeouts)] if timeouts else []))

    def recall_jobs(self, computation: bytes, most: int) -> Deferred[None]:
        return self._ask("recall", computation, most)

    def cancel_jobs(self, attempts: Sequence[Attempt]) -> Deferred[None]:
        return self._ask("cancel", list(attempts))

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)


class FakeCustomer:
    """See `dispytw.scheduler.neighbours.Customer`."""

    def __init__(self) -> None:
        self.computations = {each: Computation(each, "compute", File(".bundle", b"0" * 32, 0)) for each in (CLUSTER, OTHER)}
        self.bodies: dict[bytes, Body] = {}
        self.allocations: list[tuple[bytes, NodeFacts, Deferred[int]]] = []
        self.running: list[tuple[bytes, bytes, float]] = []
        self.settled: list[tuple[bytes, Outcome, bytes | None]] = []
        self.told: list[Any] = []
        self.shown: list[Any] = []
        self.availability: list[Any] = []
        self.left: list[tuple[bytes, bytes, list[Attempt]]] = []
        self.lets_leave = True
        self.keeping: Deferred[Any] | None = None

    def computation(self, cluster: bytes, node: bytes) -> Computation:
        return self.computations[cluster]

    def file_of(self, cluster: bytes, digest: bytes) -> Body:
        assert cluster in self.computations
        return FILES[digest]

    def body_of(self, job: bytes) -> Body:
        return self.bodies[job]

    def allocate(self, cluster: bytes, node: NodeFacts) -> Deferred[int]:
        self.allocations.append((cluster, node, Deferred()))
        return self.allocations[-1][2]

    def show_running(self, job: bytes, node: bytes, started: float) -> None:
        self.running.append((job, node, started))

    def show_retry(self, order: Any) -> None:
        self.told.append(order)

    def settle(self, job: bytes, outcome: Outcome, node: bytes | None, attempts: int) -> None:
        del self.bodies[job]
        self.settled.append((job, outcome, node))

    def leaving(self, cluster: bytes, node: bytes, attempts: Sequence[Attempt]) -> bool:
        self.left.append((cluster, node, list(attempts)))
        return self.lets_leave

    def kept(self) -> Deferred[Any] | None:
        return self.keeping

    def node_available(self, node: bytes, available: Any) -> None:
        self.availability.append((node, available))

    def tell(self, order: Any) -> None:
        (self.shown if isinstance(order, (o.TellReady, o.TellClosed)) else self.told).append(order)

    @property
    def ends(self) -> list[tuple[bytes, int]]:
        """Who was settled, and with which status."""
        return [(job, outcome.status) for job, outcome, _ in self.settled]


class Dispatching(SynchronousTestCase):
    """A dispatcher with one cluster; nodes come as a test needs them."""

    reentrant = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger()
        self.customer = FakeCustomer()
        self.dispatcher = Dispatcher(self.ledger, self.customer, self.clock, self.clock.seconds)
        self.dispatcher.do(self.ledger.cluster_opened(CLUSTER, self.reentrant))

    def tearDown(self) -> None:
        self.dispatcher.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def join(self, node: bytes = NODE, cpus: int = 4, incarnation: int = 1) -> FakeLink:
        """A link opens, and waits to be reconciled."""
        link = FakeLink()
        self.dispatcher.joined(link, NodeFacts(node, incarnation, "a node", cpus))
        return link

    def connect(self, node: bytes = NODE, cpus: int = 4) -> FakeLink:
        """A node with an empty desk."""
        link = self.join(node, cpus)
        link.answer("reconcile", ([], {}))
        return link

    def want(self, link: FakeLink, node: bytes = NODE, cluster: bytes = CLUSTER) -> None:
        """A cluster opens its computation on a node, and the node has been asked for it."""
        self.dispatcher.do(self.ledger.wanted(cluster, node))
        self.customer.allocations[-1][2].callback(99)
        self.assertEqual(cluster, link.heard("open")[-1])

    def ready(self, node: bytes = NODE, cpus: int = 4) -> FakeLink:
        """A node that takes jobs."""
        link = self.connect(node, cpus)
        self.want(link, node)
        link.answer("open", [])
        self.dispatcher.ready(node, CLUSTER, GENERATION)
        return link

    def submit(self, *jobs: int, body: Body = ARGS, cluster: bytes = CLUSTER) -> None:
        for job in jobs:
            self.customer.bodies[uid(job)] = body
            self.dispatcher.do(self.ledger.submitted(cluster, uid(job)))

    def cancel(self, job: int) -> None:
        self.dispatcher.do(self.ledger.cancelled(uid(job)))

    def turn(self) -> None:
        """The reactor's turn is over."""
        self.clock.advance(0)

    def sent(self, link: FakeLink) -> list[Attempt]:
        """Attempts that were handed over, in their order."""
        return [each[0] for _, _, jobs in link.heard("run") for each in jobs]
