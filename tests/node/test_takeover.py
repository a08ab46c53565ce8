"""What a client that is gone has left on a bench becomes another's, if he can show its token."""

from __future__ import annotations

import unittest

from dispytw.errors import RefusedError
from dispytw.node.bench import HOLD, Bench
from dispytw.node.orders import End, TellEnded, TellFreed
from dispytw.node.takeover import taken_over
from dispytw.values import FINISHED, Attempt, Computation, File, Inline, NodeFacts, Outcome
from dispytw.wire.records import ENDED, RUNNING

DEAD, NEXT, THIRD = b"d" * 16, b"n" * 16, b"t" * 16
TOKEN = b"k" * 16
X = Computation(b"x" * 16, "compute", File(".bundle", bytes(32), 0), token=TOKEN)
Y = Computation(b"y" * 16, "other", File(".bundle", bytes(32), 0), token=b"l" * 16)
ONE, TWO = Attempt(b"1" * 16, 1), Attempt(b"2" * 16, 1)
FINE = Outcome(FINISHED, Inline(b"r"))


class TakeOver(unittest.TestCase):
    """A bench where one job runs and another has ended, when their client goes."""

    def setUp(self) -> None:
        self.bench = Bench(NodeFacts(b"N" * 16, 1, "node7", 4))
        self.bench.connected(DEAD, "dead")
        self.open(X)
        self.bench.offered(DEAD, X.uid, self.bench._opened[X.uid].generation, [ONE, TWO])
        self.bench.started(ONE, 1.0)
        self.bench.ended(X.uid, TWO, FINE)
        self.bench.connected(NEXT, "next")

    def open(self, computation: Computation) -> None:
        """It is ready."""
        self.bench.opened(DEAD, computation, True)
        self.bench.ready(computation.uid)

    def take(self, client: bytes = NEXT, computation: Computation = X, token: bytes = TOKEN) -> bool:
        """Take over."""
        return taken_over(self.bench, client, computation.uid, token)

    def test_everything(self) -> None:
        """What runs and what is owed is the successor's, and so is the hold; a reconcile tells it all."""
        self.bench.disconnected(DEAD, 10.0)
        self.assertTrue(self.take())
        orders, words, ready = self.bench.reconciled(NEXT, [(ONE, 1)])
        self.assertEqual({ONE: RUNNING, TWO: ENDED}, dict(words))
        self.assertIn(TellEnded(NEXT, TWO, FINE), orders)
        self.assertEqual([X.uid], [uid for uid, _ in ready])
        self.assertEqual("next", self.bench.holder_name())
        self.assertEqual([TellEnded(NEXT, ONE, FINE)], self.bench.ended(X.uid, ONE, FINE))
        self.assertEqual([End(X.uid)], self.bench.closed(NEXT, X.uid))

    def test_the_dead_is_forgotten(self) -> None:
        """Its time is over, and nothing more comes of it."""
        self.bench.disconnected(DEAD, 10.0)
        self.take()
        self.assertIsNone(self.bench.next_due())
        self.assertEqual([], self.bench.elapsed(10.0 + 2 * HOLD))
        self.assertEqual(2, len(self.bench._placed))

    def test_after_the_hold(self) -> None:
        """Of a computation that has ended here, what is owed can be taken, whoever holds the node by now."""
        self.bench.ended(X.uid, ONE, FINE)
        self.bench.disconnected(DEAD, 10.0)
        self.bench.closed(DEAD, X.uid)
        self.bench.supervisor_ended(X.uid, "closed")
        self.bench.opened(NEXT, Y, True)
        self.bench.connected(THIRD, "third")
        self.assertTrue(self.take(THIRD))
        orders, _, _ = self.bench.reconciled(THIRD, [])
        self.assertEqual([TellEnded(THIRD, ONE, FINE), TellEnded(THIRD, TWO, FINE)], orders)
        self.assertEqual("next", self.bench.holder_name())

    def test_again(self) -> None:
        """Twice is once; a successor that is gone itself gives way to the next."""
        self.bench.disconnected(DEAD, 10.0)
        self.assertTrue(self.take() and self.take())
        self.bench.connected(THIRD, "third")
        with self.assertRaisesRegex(RefusedError, "next is still connected to this node"):
            self.take(THIRD)
        self.bench.disconnected(NEXT, 20.0)
        self.assertTrue(self.take(THIRD))
        self.assertEqual("third", self.bench.holder_name())

    def test_refused(self) -> None:
        """A wrong token, or a client that lives: nothing changes hands."""
        with self.assertRaisesRegex(RefusedError, "dead is still connected to this node"):
            self.take()
        self.bench.disconnected(DEAD, 10.0)
        with self.assertRaisesRegex(RefusedError, "the token is not that of the computation"):
            self.take(token=bytes(16))
        self.assertEqual("dead", self.bench.holder_name())

    def test_unknown(self) -> None:
        """Of what is not here nothing is known."""
        self.assertFalse(self.take(computation=Y, token=Y.token))

    def test_one_of_two(self) -> None:
        """The hold stays with the dead until its last computation has been taken over, or has ended."""
        self.open(Y)
        self.bench.disconnected(DEAD, 10.0)
        self.take()
        self.assertEqual("dead", self.bench.holder_name())
        self.bench.closed(NEXT, X.uid)
        self.bench.connected(THIRD, "third")
        self.assertTrue(self.take(THIRD, Y, Y.token))
        self.assertEqual("third", self.bench.holder_name())

    def test_somebody_waits(self) -> None:
        """Whoever was turned away is told when the successor closes."""
        self.bench._waiting[THIRD] = None
        self.bench.disconnected(DEAD, 10.0)
        self.take()
        self.bench.closed(NEXT, X.uid)
        self.assertIn(TellFreed(THIRD), self.bench.supervisor_ended(X.uid, "closed"))
