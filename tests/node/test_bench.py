"""What the node's mind decides about clients, computations and time. Attempts are in test_bench_attempts, laws over any history in
test_bench_laws."""

from __future__ import annotations

from dispytw.errors import RefusedError
from dispytw.node.bench import Bench
from dispytw.node.orders import (
    End,
    Keep,
    Remove,
    Stop,
    TellEnded,
    TellFailed,
    TellFreed,
    TellReady,
)
from dispytw.values import CANCELLED, NodeFacts, Outcome
from dispytw.wire.records import ENDED, RUNNING
from tests.node.benching import ALICE, BOB, FINE, ONE, THREE, TWO, BenchCase, X, Y, computation


class Holding(BenchCase):
    """Who holds the node, and for how long."""

    def test_the_first_client_holds_it(self) -> None:
        """Others are turned away with its name."""
        self.assertEqual("", self.bench.holder_name())
        self.assert_launch(X, ALICE, self.bench.opened(ALICE, X, True))
        self.assertEqual("alice@desk", self.bench.holder_name())
        self.assert_held("in use by alice@desk")

    def test_until_its_last_computation_is_removed(self) -> None:
        """Then those that were turned away are told, once."""
        self.prepare(X)
        self.bench.opened(ALICE, Y, False)
        self.assert_held("in use by alice@desk", wanted=computation("z"))
        self.assertEqual([Remove(Y.uid)], self.bench.closed(ALICE, Y.uid))
        self.assertEqual([End(X.uid)], self.bench.closed(ALICE, X.uid))
        self.assert_held("in use by alice@desk", wanted=computation("z"))
        self.assertEqual([Remove(X.uid), TellFreed(BOB)], self.bench.supervisor_ended(X.uid, ""))
        self.assert_launch(X, BOB, self.bench.opened(BOB, X, True))
        self.bench.closed(BOB, X.uid)
        self.assertEqual([Remove(X.uid)], self.bench.supervisor_ended(X.uid, ""))

    def test_one_that_went_away_is_not_told(self) -> None:
        """Who was turned away and left is forgotten."""
        self.bench.opened(ALICE, X, False)
        self.assert_held("in use by alice@desk")
        self.bench.disconnected(BOB, 0.0)
        self.assertEqual([Remove(X.uid)], self.bench.closed(ALICE, X.uid))

    def test_closing_after_the_supervisor_died(self) -> None:
        """A computation that is no more still ends its client's hold when it is closed."""
        self.prepare()
        self.bench.supervisor_ended(X.uid, "killed")
        self.assert_held("in use by alice@desk")
        self.assertEqual([TellFreed(BOB)], self.bench.closed(ALICE, X.uid))

    def test_only_its_own_client_closes_it(self) -> None:
        """And a computation that is unknown means nothing."""
        self.prepare()
        self.assertEqual([], self.bench.closed(BOB, X.uid))
        self.assertEqual([], self.bench.closed(BOB, Y.uid))
        self.assertEqual("alice@desk", self.bench.holder_name())

    def test_bytecode_of_another_python(self) -> None:
        """Is refused, with both versions and what to do; the node stays free. The same version is taken."""
        with self.assertRaisesRegex(
            RefusedError, r"^z holds bytecode of Python 3\.12, this node runs 3\.11: start the node with "
        ):
            self.bench.opened(ALICE, computation("z", python=(3, 12)), True)
        self.assertIsNone(self.bench.holder)
        same = computation("z", python=(3, 11))
        self.assert_launch(same, ALICE, self.bench.opened(ALICE, same, True))


class Computations(BenchCase):
    """A computation's stages."""

    def test_it_is_launched_when_its_files_are_there(self) -> None:
        """Once, however often it is described."""
        self.assertEqual([], self.bench.opened(ALICE, X, False))
        self.assertFalse(self.bench.launching(X.uid))
        self.assert_launch(X, ALICE, self.bench.opened(ALICE, X, True))
        self.assertTrue(self.bench.launching(X.uid))
        self.assertEqual([], self.bench.opened(ALICE, X, True))

    def test_ready_is_told_again_when_asked_again(self) -> None:
        """With the generation that is there."""
        self.bench.opened(ALICE, X, True)
        (told,) = self.bench.ready(X.uid)
        self.assertIsInstance(told, TellReady)
        self.assertEqual([], self.bench.ready(X.uid))
        self.assertEqual([told], self.bench.opened(ALICE, X, True))
        self.assertFalse(self.bench.launching(X.uid))

    def test_generations_rise(self) -> None:
        """Each supervisor has its own, above all those of earlier incarnations."""
        first = self.prepare(X)
        second = self.prepare(Y)
        self.bench.supervisor_ended(X.uid, "killed")
        third = self.prepare(X)
        self.assertLess(first, second)
        self.assertLess(second, third)
        earlier = Bench(NodeFacts(b"n" * 16, 2, "here", 2))
        earlier.connected(ALICE, "")
        earlier.opened(ALICE, X, True)
        (told,) = earlier.ready(X.uid)
        assert isinstance(told, TellReady)
        self.assertLess(told.generation, first)

    def test_a_failed_setup(self) -> None:
        """Is told, and told again when asked again; the end of its supervisor adds nothing."""
        self.bench.opened(ALICE, X, True)
        (told,) = self.bench.setup_failed(X.uid, "no table")
        assert isinstance(told, TellFailed)
        self.assertEqual((ALICE, X.uid, "no table"), (told.client, told.computation, told.text))
        self.assertEqual([told], self.bench.opened(ALICE, X, True))
        self.assertEqual([], self.bench.ready(X.uid))
        self.assertEqual([], self.bench.supervisor_ended(X.uid, "exited"))
        self.assertEqual([told], self.bench.opened(ALICE, X, True))
        self.assertEqual([Remove(X.uid)], self.bench.closed(ALICE, X.uid))

    def test_a_failed_one_that_is_closed_early(self) -> None:
        """Its files stay until its supervisor has ended."""
        self.bench.opened(ALICE, X, True)
        self.bench.setup_failed(X.uid, "no table")
        self.assertEqual([End(X.uid)], self.bench.closed(ALICE, X.uid))
        self.assertEqual([Remove(X.uid)], self.bench.supervisor_ended(X.uid, "exited"))

    def test_closing_while_it_is_launched(self) -> None:
        """It is ended, once, and nothing more is told of it."""
        self.bench.opened(ALICE, X, True)
        self.assertEqual([End(X.uid)], self.bench.closed(ALICE, X.uid))
        self.assertFalse(self.bench.launching(X.uid))
        for silent in (
            self.bench.closed(ALICE, X.uid),
            self.bench.ready(X.uid),
            self.bench.setup_failed(X.uid, "late"),
        ):
            self.assertEqual([], silent)
        self.assertEqual([Remove(X.uid)], self.bench.supervisor_ended(X.uid, ""))

    def test_opening_while_it_still_ends(self) -> None:
        """Its client has to wait too, and is told when it may come again, even if it holds the node with another one."""
        self.prepare(X)
        self.prepare(Y)
        self.bench.closed(ALICE, X.uid)
        self.assert_held("still ending what it ran here before", ALICE, X)
        self.assertEqual([Remove(X.uid), TellFreed(ALICE)], self.bench.supervisor_ended(X.uid, ""))
        self.assert_launch(X, ALICE, self.bench.opened(ALICE, X, True))

    def test_a_supervisor_that_dies(self) -> None:
        """Its files go, its client is told, and the computation may come again."""
        generation = self.prepare()
        died = TellFailed(ALICE, X.uid, generation, "its supervisor ended: killed")
        self.assertEqual([Remove(X.uid, returns=True), died], self.bench.supervisor_ended(X.uid, "killed"))
        self.assertEqual([], self.bench.supervisor_ended(X.uid, "killed"))
        self.assert_launch(X, ALICE, self.bench.opened(ALICE, X, True))

    def test_what_is_said_of_unknown_ones(self) -> None:
        """Means nothing."""
        for orders in (
            self.bench.ready(X.uid),
            self.bench.setup_failed(X.uid, ""),
            self.bench.supervisor_ended(X.uid, ""),
        ):
            self.assertEqual([], orders)


class Time(BenchCase):
    """What passes with a client that is gone."""

    def test_an_idle_client(self) -> None:
        """With nothing running and nothing owed its hold ends with its link."""
        self.prepare()
        self.assert_held("in use by alice@desk")
        self.assertEqual([End(X.uid)], self.bench.disconnected(ALICE, 100.0))
        self.assertEqual([Remove(X.uid), TellFreed(BOB)], self.bench.supervisor_ended(X.uid, ""))
        self.assertIsNone(self.bench.next_due())

    def test_an_idle_client_whose_supervisor_had_died(self) -> None:
        """Holds nothing either."""
        self.prepare()
        self.bench.supervisor_ended(X.uid, "killed")
        self.assert_held("in use by alice@desk")
        self.assertEqual([TellFreed(BOB)], self.bench.disconnected(ALICE, 100.0))
        self.assertIsNone(self.bench.next_due())

    def test_outcomes_owed(self) -> None:
        """Are kept at hand for a minute, and the hold with them; longer when they could not be written."""
        self.running(ONE)
        self.bench.ended(X.uid, ONE, FINE)
        self.assertEqual([], self.bench.disconnected(ALICE, 100.0))
        self.assertIsNone(self.bench.next_due())
        self.bench.elapsed(160.0)
        self.assertEqual({ONE: ENDED}, self.words(), "it is not on the disk")
        self.bench.kept([ONE])
        self.assertEqual(160.0, self.bench.next_due())
        self.assertEqual([End(X.uid)], self.bench.elapsed(160.0))
        self.assertEqual({}, self.words())
        self.assertEqual([], self.bench.elapsed(161.0))

    def test_running_jobs_of_a_silent_client(self) -> None:
        """Go on for the zombie interval, are then stopped once, and hold the node until they have ended."""
        self.running(ONE)
        self.bench.disconnected(ALICE, 100.0)
        self.assertEqual(700.0, self.bench.next_due())
        self.assertEqual([], self.bench.elapsed(699.9))
        self.assertEqual([Stop(X.uid, ONE)], self.bench.elapsed(700.0))
        self.assertEqual([], self.bench.elapsed(701.0))
        self.assert_held("in use by alice@desk")
        self.bench.ended(X.uid, ONE, Outcome(CANCELLED))
        self.bench.kept([ONE])
        self.assertEqual([End(X.uid)], self.bench.elapsed(702.0))

    def test_waiting_jobs_of_a_silent_client(self) -> None:
        """Are stopped with those that run: one that was handed over and has not begun as well."""
        self.offer(self.running(ONE), TWO)
        self.bench.disconnected(ALICE, 100.0)
        self.assertEqual([Stop(X.uid, ONE), Stop(X.uid, TWO)], self.bench.elapsed(700.0))
        self.assertEqual([], self.bench.elapsed(701.0))

    def test_a_client_that_comes_back(self) -> None:
        """Finds everything as it was, and nothing is due any more."""
        self.running(ONE)
        self.bench.disconnected(ALICE, 100.0)
        self.bench.connected(ALICE, "alice@desk")
        self.assertIsNone(self.bench.next_due())
        self.assertEqual([], self.bench.elapsed(10_000.0))
        self.assertEqual({ONE: RUNNING}, self.words(ONE))

    def test_a_client_that_left_while_its_computation_ended(self) -> None:
        """What is owed to it is at hand for a minute though the node is free, and then only on the disk."""
        self.running(ONE)
        self.bench.closed(ALICE, X.uid)
        self.bench.disconnected(ALICE, 100.0)
        orders = self.bench.supervisor_ended(X.uid, "")
        self.assertIsNone(self.bench.holder)
        self.assertEqual({ONE: ENDED}, self.words())
        self.assertEqual([Keep, TellEnded], [type(order) for order in orders[:2]])
        self.bench.kept([ONE])
        self.assertEqual(160.0, self.bench.next_due())
        self.assertEqual([], self.bench.elapsed(160.0))
        self.assertEqual({}, self.words())
        self.assertIsNone(self.bench.next_due())

    def test_a_client_that_nobody_knows(self) -> None:
        """Its leaving means nothing."""
        self.assertEqual([], self.bench.disconnected(b"c" * 16, 1.0))
        self.assertIsNone(self.bench.next_due())


class Stopping(BenchCase):
    """The end of the node."""

    def test_what_runs_is_stopped(self) -> None:
        """Once; what was cancelled already, or has ended, is not."""
        generation = self.running(ONE, TWO)
        self.bench.ended(X.uid, ONE, FINE)
        self.offer(generation, THREE)
        self.bench.cancelled(ALICE, [THREE])
        self.assertEqual([Stop(X.uid, TWO)], self.bench.stopped())
        self.assertEqual([], self.bench.stopped())

    def test_nothing_new_is_taken(self) -> None:
        """Neither attempts nor computations."""
        generation = self.running(ONE)
        self.bench.stopped()
        self.assertEqual(([], [(TWO, "the node is being stopped")]), self.offer(generation, TWO, ONE))
        with self.assertRaisesRegex(RefusedError, "being stopped"):
            self.bench.opened(ALICE, Y, True)

    def test_jobs_whose_supervisor_is_killed(self) -> None:
        """Were cancelled by the node: they may run elsewhere."""
        self.running(ONE)
        self.bench.stopped()
        (_, told, *_) = self.bench.supervisor_ended(X.uid, "killed")
        self.assertEqual(TellEnded(ALICE, ONE, Outcome(CANCELLED, reason="killed")), told)

    def test_what_is_owed(self) -> None:
        """Counts until it is acknowledged, and only while its client is there to do so."""
        self.running(ONE, TWO)
        self.assertFalse(self.bench.owes())
        for each in (ONE, TWO):
            self.bench.ended(X.uid, each, FINE)
        self.assertTrue(self.bench.owes())
        self.bench.acknowledged(ONE)
        self.assertTrue(self.bench.owes())
        self.bench.disconnected(ALICE, 1.0)
        self.assertFalse(self.bench.owes())
        self.bench.connected(ALICE, "alice@desk")
        self.bench.acknowledged(TWO)
        self.assertFalse(self.bench.owes())
