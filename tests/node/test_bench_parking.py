"""Attempts that wait on a node behind those that run, and how they are got back."""

from __future__ import annotations

from dispytw.node.orders import GetBack, Start, TellGivenBack
from dispytw.values import CANCELLED, Outcome
from dispytw.wire.records import HANDED, NEVER_STARTED
from tests.node.benching import ALICE, BOB, FACTS, FINE, ONE, THREE, TWO, BenchCase, X, Y, attempt

EVERY_PYTHON = False


class Parking(BenchCase):
    """A node of two slots, behind each of which one attempt may wait."""

    parked = 1

    def test_a_few_more_than_slots(self) -> None:
        """All are the supervisor's at once, which runs as many as there are slots; then it is enough."""
        generation = self.prepare()
        attempts = tuple(map(attempt, range(1, 6)))
        orders, refused = self.offer(generation, *attempts)
        self.assertEqual([Start(X.uid, attempts[:4])], orders)
        self.assertEqual([(attempts[4], "no free slot")], refused)

    def test_not_beside_another_computation(self) -> None:
        """Two supervisors know nothing of each other: together they get no more than there are slots."""
        x, y = self.prepare(X), self.prepare(Y)
        self.offer(x, ONE)
        self.assertEqual([(THREE, "no free slot")], self.offer(y, TWO, THREE, wanted=Y)[1])
        self.bench.ended(X.uid, ONE, FINE)
        self.assertEqual([], self.offer(y, THREE, attempt(4), wanted=Y)[1])
        self.assertEqual([(ONE.__class__(b"%016d" % 9, 1), "no free slot")], self.offer(x, attempt(9))[1])

    def test_recalled(self) -> None:
        """The supervisor is asked; what it gives up is told, and is not here any more."""
        self.offer(self.prepare(), ONE, TWO, THREE)
        self.assertEqual([GetBack(X.uid, 2)], self.bench.asked_back(ALICE, X.uid, 2))
        self.assertEqual([TellGivenBack(ALICE, (THREE,))], self.bench.given_back(X.uid, [THREE]))
        self.assertEqual(2, self.bench.busy())
        words = dict(self.bench.reconciled(ALICE, [(TWO, FACTS.incarnation, 0), (THREE, FACTS.incarnation, 0)])[1])
        self.assertEqual((HANDED, NEVER_STARTED), (words[TWO], words[THREE]))

    def test_nothing_to_give_back(self) -> None:
        """Is said too, also of a computation that is not ready, or another client's."""
        self.offer(self.prepare(), ONE)
        self.assertEqual([TellGivenBack(ALICE, ())], self.bench.given_back(X.uid, []))
        self.assertEqual([TellGivenBack(ALICE, ())], self.bench.asked_back(ALICE, Y.uid, 1))
        self.assertEqual([TellGivenBack(BOB, ())], self.bench.asked_back(BOB, X.uid, 1))
        self.assertEqual([], self.bench.given_back(Y.uid, [ONE]))

    def test_only_what_waits(self) -> None:
        """What has begun or ended meanwhile stays what it is, whatever a supervisor says."""
        self.offer(self.prepare(), ONE, TWO, THREE)
        self.bench.started(ONE, 5.0)
        self.bench.ended(X.uid, TWO, Outcome(CANCELLED))
        self.assertEqual([TellGivenBack(ALICE, (THREE,))], self.bench.given_back(X.uid, [ONE, TWO, THREE]))
