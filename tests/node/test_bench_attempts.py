"""What the node's mind decides about attempts: slots, ends, and what a client hears that comes back."""

from __future__ import annotations

from unittest import mock

from dispytw.node import bench as benches
from dispytw.node.bench import HOLD
from dispytw.node.orders import (
    End,
    Forget,
    Remove,
    Start,
    Stop,
    TellEnded,
    TellFailed,
    TellReady,
    TellStarted,
)
from dispytw.values import CANCELLED, TERMINATED, Outcome
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, UNKNOWN
from tests.node.benching import ALICE, BOB, FACTS, FINE, ONE, THREE, TWO, BenchCase, X, Y, attempt, end_orders


class Attempts(BenchCase):
    """Slots, and what becomes of attempts."""

    def test_no_more_than_slots(self) -> None:
        """What does not fit is refused; an end makes room, over all computations."""
        x, y = self.prepare(X), self.prepare(Y)
        orders, refused = self.offer(x, ONE, TWO, THREE)
        self.assertEqual([Start(X.uid, (ONE, TWO))], orders)
        self.assertEqual([(THREE, "no free slot")], refused)
        self.assertEqual(([], [(THREE, "no free slot")]), self.offer(y, THREE, wanted=Y))
        self.bench.ended(X.uid, ONE, FINE)
        self.assertEqual(1, self.bench.busy())
        self.assertEqual(([Start(Y.uid, (THREE,))], []), self.offer(y, THREE, wanted=Y))

    def test_only_for_a_supervisor_that_is_ready(self) -> None:
        """Not before, not of another generation, not by another client, not for an unknown computation."""
        refused = [(ONE, "the computation is not ready here")]
        self.bench.opened(ALICE, X, True)
        self.assertEqual(([], refused), self.offer(FACTS.incarnation << 20 | 1, ONE))
        (told,) = self.bench.ready(X.uid)
        assert isinstance(told, TellReady)
        self.assertEqual(([], refused), self.offer(told.generation + 1, ONE))
        self.assertEqual(([], refused), self.bench.offered(BOB, X.uid, told.generation, [ONE]))
        self.assertEqual(([], refused), self.offer(told.generation, ONE, wanted=Y))
        self.bench.closed(ALICE, X.uid)
        self.assertEqual(([], refused), self.offer(told.generation, ONE))

    def test_a_duplicate_starts_nothing_and_is_not_refused(self) -> None:
        """Whether the attempt runs, has ended, or has been acknowledged; also when the computation is no more."""
        generation = self.running(ONE)
        self.assertEqual(([], []), self.offer(generation, ONE))
        self.bench.ended(X.uid, ONE, FINE)
        self.assertEqual(([], []), self.offer(generation, ONE))
        self.bench.acknowledged(ONE)
        self.assertEqual(([], []), self.offer(generation, ONE))
        self.assertEqual(([], []), self.offer(generation + 1, ONE))

    def test_a_life(self) -> None:
        """Started, ended and acknowledged are each told once."""
        self.offer(self.prepare(), ONE)
        self.assertEqual([], self.bench.acknowledged(ONE))
        self.assertEqual([TellStarted(ALICE, ONE, 7.0)], self.bench.started(ONE, 7.0))
        self.assertEqual([], self.bench.started(ONE, 8.0))
        self.assertEqual([], self.bench.ended(Y.uid, ONE, FINE))
        self.assertEqual(end_orders(ONE, FINE), self.bench.ended(X.uid, ONE, FINE))
        self.assertEqual([], self.bench.ended(X.uid, ONE, Outcome(TERMINATED)))
        self.assertEqual([], self.bench.started(ONE, 9.0))
        self.assertEqual([Forget(ONE, X.uid, FINE)], self.bench.acknowledged(ONE))
        self.assertEqual([], self.bench.acknowledged(ONE))
        self.assertEqual([], self.bench.started(ONE, 9.0))

    def test_cancel(self) -> None:
        """Stops what runs, once, and only for whoever owns it."""
        self.running(ONE, TWO)
        self.assertEqual([], self.bench.cancelled(BOB, [ONE]))
        self.assertEqual([Stop(X.uid, ONE)], self.bench.cancelled(ALICE, [ONE, THREE]))
        self.assertEqual([], self.bench.cancelled(ALICE, [ONE]))
        self.bench.ended(X.uid, TWO, FINE)
        self.assertEqual([], self.bench.cancelled(ALICE, [TWO]))

    def test_what_a_supervisor_takes_with_it(self) -> None:
        """Each attempt it still had ends: Terminated, or Cancelled if that was wanted; what had ended before keeps its outcome."""
        generation = self.running(ONE, TWO)
        self.bench.ended(X.uid, ONE, FINE)
        self.offer(generation, THREE)
        self.bench.cancelled(ALICE, [THREE])
        orders = self.bench.supervisor_ended(X.uid, "killed")
        terminated = Outcome(TERMINATED, exception="the job's supervisor ended: killed", reason="killed")
        self.assertEqual(
            end_orders(TWO, terminated) + end_orders(THREE, Outcome(CANCELLED, reason="killed")),
            orders[:4],
        )
        self.assertEqual([Remove, TellFailed], [type(order) for order in orders[4:]])
        self.assertEqual(0, self.bench.busy())

    def test_what_runs_when_its_computation_is_closed(self) -> None:
        """Is Cancelled."""
        self.running(ONE)
        self.bench.closed(ALICE, X.uid)
        self.assertEqual(
            [*end_orders(ONE, Outcome(CANCELLED, reason="")), Remove(X.uid)],
            self.bench.supervisor_ended(X.uid, ""),
        )


class Reconciling(BenchCase):
    """What a client hears that comes back."""

    def test_a_word_for_each(self) -> None:
        """Those listed, and those that were not; what may have been missed is told again."""
        generation = self.running(ONE)
        self.bench.ended(X.uid, ONE, FINE)
        self.offer(generation, TWO, THREE)
        self.bench.started(TWO, 7.0)
        orders, words, ready = self.bench.reconciled(ALICE, [(THREE, 3, generation), (attempt(4), 3, generation)])
        self.assertEqual({ONE: ENDED, TWO: RUNNING, THREE: HANDED, attempt(4): NEVER_STARTED}, dict(words))
        self.assertEqual(4, len(words))
        self.assertEqual([TellEnded(ALICE, ONE, FINE), TellStarted(ALICE, TWO, 7.0)], orders)
        self.assertEqual([(X.uid, generation)], ready)

    def test_nothing_of_others(self) -> None:
        """Another client hears of none of it, and is not told that what runs never started."""
        self.running(ONE)
        self.assertEqual(([], [(ONE, UNKNOWN)], []), self.bench.reconciled(BOB, [(ONE, 3, 0)]))

    def test_only_computations_that_are_ready(self) -> None:
        """Not one that is being launched, nor one that is ending."""
        self.prepare(X)
        self.bench.closed(ALICE, X.uid)
        self.bench.opened(ALICE, Y, True)
        self.assertEqual(([], [], []), self.bench.reconciled(ALICE, []))

    def test_another_incarnation(self) -> None:
        """What an earlier daemon accepted may have started there: unknown."""
        self.assertEqual({ONE: UNKNOWN}, self.words(ONE, incarnation=2))
        self.assertEqual({ONE: NEVER_STARTED}, self.words(ONE, incarnation=3))

    def test_what_was_refused(self) -> None:
        """Has never started."""
        self.offer(self.running(ONE, TWO), THREE)
        self.assertEqual(NEVER_STARTED, self.words(THREE)[THREE])

    def test_what_was_acknowledged(self) -> None:
        """Is not said never to have started."""
        self.running(ONE)
        self.bench.ended(X.uid, ONE, FINE)
        self.bench.acknowledged(ONE)
        self.assertEqual({ONE: UNKNOWN}, self.words(ONE))

    def test_what_was_given_up(self) -> None:
        """A client that comes back too late, to a disk that has nothing any more, does not learn that the job never ran."""
        self.running(ONE)
        self.bench.ended(X.uid, ONE, FINE)
        self.bench.kept([ONE])
        self.bench.disconnected(ALICE, 100.0)
        self.assertEqual([End(X.uid)], self.bench.elapsed(100.0 + HOLD))
        self.bench.connected(ALICE, "alice@desk")
        self.assertEqual({ONE: UNKNOWN}, self.words(ONE))

    def test_what_is_remembered_is_bounded(self) -> None:
        """The oldest acknowledged attempts go; those whose client never heard of their end are not pushed out by them."""
        with mock.patch.object(benches, "_REMEMBERED", 2):
            generation = self.running(ONE)
            self.bench.ended(X.uid, ONE, FINE)
            self.bench.kept([ONE])
            self.bench.disconnected(ALICE, 100.0)
            self.bench.elapsed(100.0 + HOLD)
            self.bench.connected(ALICE, "alice@desk")
            self.bench.supervisor_ended(X.uid, "")
            generation = self.prepare()
            for number in range(2, 6):
                self.offer(generation, attempt(number))
                self.bench.ended(X.uid, attempt(number), FINE)
                self.bench.acknowledged(attempt(number))
            words = self.words(*(attempt(number) for number in range(1, 6)))
        self.assertEqual([UNKNOWN, NEVER_STARTED, NEVER_STARTED, UNKNOWN, UNKNOWN], list(words.values()))
