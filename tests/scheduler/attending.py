"""What the tests of attendance share: a ledger with one cluster, and words for what happens to its nodes."""

from __future__ import annotations

import unittest

from dispytw.scheduler import orders as o
from dispytw.scheduler.entries import PreparationState
from dispytw.scheduler.ledger import Ledger
from dispytw.values import Attempt, NodeFacts

CLUSTER, OTHER = b"c" * 16, b"o" * 16
NODE, SECOND = b"n" * 16, b"s" * 16
GENERATION = 7


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def attempt(job: int, number: int = 1) -> Attempt:
    return Attempt(uid(job), number)


def assign(job: int, number: int = 1, node: bytes = NODE, generation: int = GENERATION) -> o.Assign:
    return o.Assign(node, CLUSTER, generation, attempt(job, number))


def unshown(orders: list[o.Order]) -> list[o.Order]:
    """Without what users are told of nodes that come to be ready, and cease to be."""
    return [order for order in orders if not isinstance(order, (o.TellReady, o.TellClosed))]


class Registry(unittest.TestCase):
    """A ledger with one cluster, and words for what happens to its nodes."""

    reentrant = False
    pulse_interval: float | None = None

    def setUp(self) -> None:
        self.ledger = Ledger()
        self.ledger.cluster_opened(CLUSTER, self.reentrant, self.pulse_interval)

    def join(self, node: bytes = NODE, cpus: int = 2, incarnation: int = 1, now: float = 0.0) -> list[o.Order]:
        return self.ledger.joined(NodeFacts(node, incarnation, "a node", cpus), now)

    def reconcile(self, *words: tuple[Attempt, str], ready: bool = True, node: bytes = NODE, now: float = 0.0) -> list[o.Order]:
        return unshown(self.ledger.reconciled(node, words, {CLUSTER: GENERATION} if ready else {}, now))

    def ready(self, node: bytes = NODE, cpus: int = 2) -> list[o.Order]:
        """A node from its first word to the last before jobs."""
        self.join(node, cpus)
        self.reconcile(ready=False, node=node)
        self.ledger.wanted(CLUSTER, node)
        self.ledger.allocated(CLUSTER, node, cpus)
        return unshown(self.ledger.prepared(node, CLUSTER, GENERATION))

    def submit(self, *jobs: int) -> list[o.Order]:
        return [order for job in jobs for order in self.ledger.submitted(CLUSTER, uid(job))]

    def state(self, node: bytes = NODE) -> PreparationState:
        return self.ledger.nodes[node].preparations[CLUSTER].state

    def settled(self, orders: list[o.Order]) -> list[tuple[bytes, int]]:
        return [(order.job, order.outcome.status) for order in orders if isinstance(order, o.Settle)]
