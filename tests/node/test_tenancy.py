"""Computations that change hands: adopted from an earlier incarnation, or taken over by another client."""

from __future__ import annotations

from dispytw.errors import NodeHeldError, RefusedError
from dispytw.node.bench import Bench
from dispytw.node.orders import BringBack, End, Keep, Reassign, Stop, TellEnded, TellFreed, TellReady, TellStarted
from dispytw.values import Attempt
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, UNKNOWN
from tests.node.benching import ALICE, BOB, FACTS, FINE, ONE, THREE, TWO, ZOMBIE, BenchCase, X, Y, attempt, owed

EVERY_PYTHON = False

#: A generation of an earlier incarnation.
EARLIER = (2 << 20) + 1


class Adopted(BenchCase):
    """A supervisor of an earlier incarnation's: ONE runs there, TWO waits, THREE has ended."""

    def setUp(self) -> None:
        self.bench = Bench(FACTS, ZOMBIE, parked=0)
        self.bench.adopted(ALICE, "alice@desk", X, EARLIER, 100.0)
        self.bench.handed_over(X.uid, [(ONE, 5.0), (TWO, None)])
        self.inherited = self.bench.recalled([owed(THREE, FINE)], 100.0, kept=False, name="alice@desk")

    def test_what_was_owed(self) -> None:
        """Is kept and told."""
        self.assertEqual([Keep(owed(THREE, FINE)), TellEnded(ALICE, THREE, FINE)], self.inherited)

    def test_its_client_comes_back(self) -> None:
        """And finds everything as it was; what was not handed over has never started; the generation is the same."""
        self.bench.connected(ALICE, "alice@desk")
        asked = [(each, 2, EARLIER) for each in (ONE, TWO, THREE, attempt(4))]
        orders, words, ready = self.bench.reconciled(ALICE, asked)
        self.assertEqual({ONE: RUNNING, TWO: HANDED, THREE: ENDED, attempt(4): NEVER_STARTED}, dict(words))
        self.assertEqual([TellStarted(ALICE, ONE, 5.0), TellEnded(ALICE, THREE, FINE)], orders)
        self.assertEqual([(X.uid, EARLIER)], ready)
        self.assertEqual([TellReady(ALICE, X.uid, EARLIER)], self.bench.opened(ALICE, X, True))

    def test_other_generations(self) -> None:
        """Of what was given to a supervisor that was not adopted nothing is known."""
        self.bench.connected(ALICE, "alice@desk")
        self.assertEqual(UNKNOWN, self.words(attempt(4), incarnation=2, generation=EARLIER + 1)[attempt(4)])

    def test_slots_are_counted(self) -> None:
        """What runs there takes slots; new attempts run there too."""
        self.bench.connected(ALICE, "alice@desk")
        self.assertEqual([(attempt(4), "no free slot")], self.offer(EARLIER, attempt(4))[1])
        self.bench.ended(X.uid, ONE, FINE)
        self.assertEqual([], self.offer(EARLIER, attempt(4))[1])

    def test_it_holds_the_node(self) -> None:
        """Until its client has stayed away for too long."""
        self.bench.connected(BOB, "bob@desk")
        self.assert_held("in use by alice@desk")
        self.assertEqual(100.0 + ZOMBIE, self.bench.next_due())
        self.assertEqual([Stop(X.uid, ONE), Stop(X.uid, TWO)], self.bench.elapsed(100.0 + ZOMBIE))
        for each in (ONE, TWO):
            self.bench.ended(X.uid, each, FINE)
        self.bench.kept([ONE, TWO, THREE])
        self.assertEqual([End(X.uid)], self.bench.elapsed(100.0 + ZOMBIE))
        self.assertIn(TellFreed(BOB), self.bench.supervisor_ended(X.uid, ""))
        self.assertEqual([BringBack(ALICE)], self.bench.connected(ALICE, "alice@desk"))

    def test_one_that_is_closing(self) -> None:
        """Is not ready, and is waited for."""
        self.bench.connected(ALICE, "alice@desk")
        self.bench.adopted(ALICE, "alice@desk", Y, EARLIER + 1, 100.0, closing=True)
        self.assertEqual([(X.uid, EARLIER)], self.bench.reconciled(ALICE, [])[2])
        with self.assertRaises(NodeHeldError):
            self.bench.opened(ALICE, Y, True)
        self.assertIn(TellFreed(ALICE), self.bench.supervisor_ended(Y.uid, ""))


class OnTheDisk(BenchCase):
    """Outcomes that are owed, and only on the disk."""

    def test_recalled(self) -> None:
        """When their client is back, and not before; told, and acknowledged like any other."""
        self.bench.retained(ALICE, X.uid, X.token)
        self.assertEqual([], self.bench.connected(BOB, "bob@desk"))
        self.assertEqual([BringBack(ALICE)], self.bench.connected(ALICE, "alice@desk"))
        self.assertEqual([TellEnded(ALICE, ONE, FINE)], self.bench.recalled([owed(ONE, FINE)], 1.0))
        self.assertEqual({ONE: ENDED}, self.words(ONE, incarnation=1))
        self.bench.acknowledged(ONE)
        self.assertEqual([], self.bench.recalled([owed(ONE, FINE)], 1.0))
        self.assertEqual([], self.bench.connected(ALICE, "alice@desk"))

    def test_they_hold_nothing(self) -> None:
        """The node serves others."""
        self.bench.retained(ALICE, X.uid, X.token)
        self.bench.opened(BOB, Y, True)

    def test_no_room(self) -> None:
        """While the disk has none, nothing new is taken: it has never started."""
        generation = self.prepare()
        self.bench.disk_has_room(False)
        self.assertEqual(([], [(ONE, "no room on the disk")]), self.offer(generation, ONE))
        self.assertEqual({ONE: NEVER_STARTED}, self.words(ONE))
        self.bench.disk_has_room(True)
        self.assertEqual([], self.offer(generation, ONE)[1])


class TakenOver(BenchCase):
    """Bob shows the token of Alice's computation."""

    def test_from_a_client_that_is_gone(self) -> None:
        """Its attempts, its outcomes and the node are Bob's; Alice is told nothing more."""
        generation = self.running(ONE, TWO)
        self.bench.ended(X.uid, ONE, FINE)
        self.bench.disconnected(ALICE, 1.0)
        self.assertEqual(([Reassign(X.uid, BOB)], True), self.bench.taken_over(BOB, X.uid, X.token))
        orders, words, ready = self.bench.reconciled(BOB, [])
        self.assertEqual(({ONE: ENDED, TWO: RUNNING}, [(X.uid, generation)]), (dict(words), ready))
        self.assertEqual({BOB}, {order.client for order in orders})  # type: ignore[union-attr]
        self.assertEqual([BOB, BOB], [order.client for order in self._clients_of(TWO)])
        self.bench.connected(ALICE, "alice@desk")
        self.assertEqual(([], [], []), self.bench.reconciled(ALICE, []))
        self.assert_held("in use by bob@desk", ALICE)
        self.assertEqual([End(X.uid)], self.bench.closed(BOB, X.uid))

    def _clients_of(self, each: Attempt) -> list[TellEnded]:
        keep, told = self.bench.ended(X.uid, each, FINE)
        assert isinstance(keep, Keep) and isinstance(told, TellEnded)
        return [keep.owed, told]  # type: ignore[list-item]

    def test_the_rest_stays(self) -> None:
        """What Bob does not take over is still Alice's, also when he is through with his."""
        self.prepare(X)
        generation = self.prepare(Y)
        self.offer(generation, ONE, wanted=Y)
        self.bench.disconnected(ALICE, 1.0)
        self.bench.taken_over(BOB, X.uid, X.token)
        self.bench.closed(BOB, X.uid)
        self.bench.supervisor_ended(X.uid, "")
        self.bench.connected(ALICE, "alice@desk")
        self.assertEqual("alice@desk", self.bench.holder_name())
        self.assertEqual({ONE: HANDED}, self.words())

    def test_on_the_disk(self) -> None:
        """What is only there is Bob's too."""
        self.bench.disconnected(ALICE, 1.0)
        self.bench.retained(ALICE, X.uid, X.token)
        self.assertEqual(([Reassign(X.uid, BOB)], True), self.bench.taken_over(BOB, X.uid, X.token))
        self.assertEqual([TellEnded(BOB, ONE, FINE)], self.bench.recalled([owed(ONE, FINE, BOB)], 1.0))
        self.assertEqual([], self.bench.connected(ALICE, "alice@desk"))

    def test_nothing_is_here(self) -> None:
        """Is no error: it has ended long ago, or was never here."""
        self.assertEqual(([], False), self.bench.taken_over(BOB, X.uid, X.token))

    def test_another_token(self) -> None:
        """Is refused, whatever there is of the computation."""
        self.running(ONE)
        self.bench.disconnected(ALICE, 1.0)
        self.bench.retained(ALICE, Y.uid, Y.token)
        for uid in (X.uid, Y.uid):
            with self.assertRaisesRegex(RefusedError, "token"):
                self.bench.taken_over(BOB, uid, b"t" * 16)
        self.assertEqual({}, dict(self.bench.reconciled(BOB, [])[1]))

    def test_a_client_that_is_there(self) -> None:
        """Keeps what it has; its own computation nobody has to take over."""
        self.running(ONE)
        with self.assertRaisesRegex(RefusedError, "alice@desk is still connected"):
            self.bench.taken_over(BOB, X.uid, X.token)
        self.assertTrue(self.bench.taken_over(ALICE, X.uid, X.token)[1])
