"""A node's mind for tests, with two clients that are connected."""

from __future__ import annotations

import unittest

from dispytw.errors import NodeHeldError
from dispytw.node.bench import Bench
from dispytw.node.orders import Keep, Launch, Order, Owed, TellEnded, TellReady
from dispytw.values import FINISHED, Attempt, Computation, File, NodeFacts, Outcome

FACTS = NodeFacts(b"n" * 16, incarnation=3, name="here", cpus=2, python=(3, 11))
ALICE, BOB = b"a" * 16, b"b" * 16
ZOMBIE = 600.0
FINE = Outcome(FINISHED, started=5.0, ended=6.0)


def computation(name: str = "x", python: tuple[int, int] | None = None) -> Computation:
    """One of that name, which makes its uid too."""
    return Computation(name.encode() * 16, name, File("bundle", bytes(32), 0), python=python)


X, Y = computation("x"), computation("y")


def attempt(number: int) -> Attempt:
    """The first dispatch of a job."""
    return Attempt(b"%016d" % number, 1)


ONE, TWO, THREE = map(attempt, (1, 2, 3))


def owed(each: Attempt, outcome: Outcome, client: bytes = ALICE, wanted: Computation = X) -> Owed:
    """An outcome that is owed."""
    return Owed(each, client, wanted.uid, wanted.token, outcome)


def end_orders(each: Attempt, outcome: Outcome) -> list[Order]:
    """What follows of an end: it is kept and told."""
    return [Keep(owed(each, outcome)), TellEnded(ALICE, each, outcome)]


class BenchCase(unittest.TestCase):
    """A node of two slots, and two clients that are connected.

    :cvar parked: attempts that may wait behind each slot.
    """

    parked = 0

    def setUp(self) -> None:
        self.bench = Bench(FACTS, ZOMBIE, self.parked)
        self.bench.connected(ALICE, "alice@desk")
        self.bench.connected(BOB, "bob@desk")

    def prepare(self, wanted: Computation = X, client: bytes = ALICE) -> int:
        """Open a computation, until its supervisor is ready; its generation."""
        self.bench.opened(client, wanted, True)
        (told,) = self.bench.ready(wanted.uid)
        assert isinstance(told, TellReady)
        return told.generation

    def running(self, *attempts: Attempt, wanted: Computation = X) -> int:
        """Prepare, and have the attempts run."""
        generation = self.prepare(wanted)
        self.offer(generation, *attempts, wanted=wanted)
        for each in attempts:
            self.bench.started(each, 5.0)
        return generation

    def offer(
        self, generation: int, *attempts: Attempt, wanted: Computation = X
    ) -> tuple[list[Order], list[tuple[Attempt, str]]]:
        """Alice hands attempts over."""
        return self.bench.offered(ALICE, wanted.uid, generation, attempts)

    def words(self, *asked: Attempt, incarnation: int = FACTS.incarnation, generation: int = 0) -> dict[Attempt, str]:
        """What Alice is told in a reconcile."""
        return dict(self.bench.reconciled(ALICE, [(each, incarnation, generation) for each in asked])[1])

    def assert_launch(self, wanted: Computation, client: bytes, orders: list[Order]) -> None:
        """This is launched for this client, as a generation that has not been before."""
        (launch,) = orders
        assert isinstance(launch, Launch)
        self.assertEqual((wanted, client), (launch.computation, launch.client))
        self.assertGreater(launch.generation, FACTS.incarnation << 20)

    def assert_held(self, text: str, client: bytes = BOB, wanted: Computation = Y) -> None:
        """The client is turned away with these words."""
        with self.assertRaises(NodeHeldError) as caught:
            self.bench.opened(client, wanted, True)
        self.assertEqual(text, str(caught.exception))
