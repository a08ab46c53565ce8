"""Nodes come, fall silent, come back or are given up."""

from __future__ import annotations

import unittest

from dispytw.scheduler import orders as o
from dispytw.scheduler.attendance import MOST_DEATHS, Attendance
from dispytw.scheduler.ledger import Ledger
from dispytw.values import CANCELLED, FINISHED, NodeFacts, Outcome
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, UNKNOWN
from tests.scheduler.attending import CLUSTER, GENERATION, NODE, OTHER, SECOND, Registry, assign, attempt, uid, unshown


class Joining(Registry):
    """A link opens."""

    def test_the_first_time(self) -> None:
        """The node is asked what it has, though nothing is believed to be there; it gets nothing before it has answered."""
        self.submit(1)
        self.assertEqual([o.Reconcile(NODE, ())], self.join())
        self.ledger.wanted(CLUSTER, NODE)
        self.assertEqual([], self.ledger.allocated(CLUSTER, NODE, 2))
        self.assertEqual([o.TellReady(CLUSTER, NODE)], self.ledger.prepared(NODE, CLUSTER, GENERATION))
        self.assertEqual([assign(1)], self.reconcile())

    def test_again(self) -> None:
        """The node is asked about each attempt that is believed to be there, with the incarnation and the generation that it was given to."""
        self.ready()
        self.submit(1, 2)
        self.ledger.left(NODE, 1.0)
        asked = ((attempt(1), 1, GENERATION), (attempt(2), 1, GENERATION))
        self.assertEqual([o.Reconcile(NODE, asked)], self.join(now=2.0))

    def test_while_another_link_lives(self) -> None:
        """A link that replaces another makes nobody away, but the node gets nothing before it is reconciled."""
        self.ready()
        self.assertEqual([o.Reconcile(NODE, ())], self.join(now=1.0))
        self.assertEqual([], self.submit(1))
        self.assertEqual([], self.ledger.left(NODE, 1.0))
        self.assertIn(assign(1), self.reconcile())

    def test_with_other_slots(self) -> None:
        """What the node says of itself is what counts from now on."""
        self.ready(cpus=1)
        self.assertEqual([assign(1)], self.submit(1, 2))
        self.join(cpus=3, incarnation=2)
        self.assertEqual(3, self.ledger.nodes[NODE].cpus)

    def test_with_fewer_slots_than_jobs(self) -> None:
        """It gets nothing until enough of them have ended."""
        self.ready(cpus=2)
        self.submit(1, 2, 3)
        self.join(cpus=1)
        self.reconcile((attempt(1), RUNNING), (attempt(2), RUNNING))
        self.assertNotIn(assign(3), self.ledger.ended(NODE, attempt(1), Outcome(FINISHED)))
        self.assertIn(assign(3), self.ledger.ended(NODE, attempt(2), Outcome(FINISHED)))

    def test_a_new_incarnation(self) -> None:
        """Its slots are allocated anew, and what did not work on the one before is tried again."""
        self.ready()
        self.ledger.rejected(NODE, CLUSTER, "no")
        self.assertEqual([o.Allocate(CLUSTER, NODE), o.Reconcile(NODE, ())], self.join(incarnation=2))
        self.reconcile(ready=False)
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.allocated(CLUSTER, NODE, 2))

    def test_a_new_incarnation_is_asked_for_once(self) -> None:
        """An allocation that is still open is not asked for a second time."""
        self.join()
        self.ledger.wanted(CLUSTER, NODE)
        self.assertEqual([o.Reconcile(NODE, ())], self.join(incarnation=2))

    def test_a_new_incarnation_begins_with_no_deaths(self) -> None:
        """Supervisors that died on the one before are not held against it."""
        self.ready()
        for _ in range(MOST_DEATHS - 1):
            self.ledger.supervisor_died(NODE, CLUSTER, "killed")
        self.join(incarnation=2)
        self.reconcile(ready=False)
        self.ledger.allocated(CLUSTER, NODE, 2)
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.supervisor_died(NODE, CLUSTER, "killed"))

    def test_a_new_incarnation_has_no_strays(self) -> None:
        """What an earlier one may still have run is gone with it."""
        self.ready(cpus=1)
        self.submit(1)
        self.ledger.given_up(CLUSTER, "enough")
        self.assertEqual(1, self.ledger.nodes[NODE].busy)
        self.join(cpus=1, incarnation=2)
        self.assertEqual(0, self.ledger.nodes[NODE].busy)


class Reconciling(Registry):
    """What a node says of each attempt, and what becomes of it."""

    def setUp(self) -> None:
        super().setUp()
        self.ready()
        self.submit(1)
        self.ledger.left(NODE, 1.0)
        self.join(now=2.0)

    def test_there(self) -> None:
        """Handed over, running or ended: the job stays where it is, and its outcome counts."""
        self.assertEqual([o.TellBack(NODE)], self.reconcile((attempt(1), HANDED)))
        for word in (RUNNING, ENDED):
            self.join()
            self.assertEqual([], self.reconcile((attempt(1), word)), "nobody was told that it does not answer")
        self.assertEqual([(uid(1), FINISHED)], self.settled(self.ledger.ended(NODE, attempt(1), Outcome(FINISHED))))

    def test_never_started(self) -> None:
        """It is assigned anew, reentrant or not: somebody who can know has said so."""
        self.assertEqual([o.TellBack(NODE), assign(1, 2)], self.reconcile((attempt(1), NEVER_STARTED)))

    def test_unknown(self) -> None:
        """It may have run: the job is lost."""
        orders = self.reconcile((attempt(1), UNKNOWN))
        self.assertEqual([(uid(1), CANCELLED)], self.settled(orders))
        self.assertIn("a node no longer knows it", orders[1].outcome.reason)  # type: ignore[union-attr]

    def test_cancelled_meanwhile(self) -> None:
        """The cancel may have been lost, so it is said again; not of what has ended."""
        self.ledger.cancelled(uid(1))
        self.assertEqual([o.TellBack(NODE)], self.reconcile((attempt(1), ENDED)))
        for word in (HANDED, RUNNING):
            self.join()
            self.assertEqual([o.Withdraw(NODE, attempt(1))], self.reconcile((attempt(1), word)))

    def test_cancelled_and_never_started(self) -> None:
        """Nobody wants it again."""
        self.ledger.cancelled(uid(1))
        self.assertEqual([(uid(1), CANCELLED)], self.settled(self.reconcile((attempt(1), NEVER_STARTED))))

    def test_somebody_nobody_wants(self) -> None:
        """An attempt that was superseded is stopped, and keeps its slot until it has ended."""
        self.reconcile((attempt(1), RUNNING), (attempt(9), RUNNING))
        self.assertEqual([], self.submit(2))
        self.assertEqual([assign(2)], self.ledger.ended(NODE, attempt(9), Outcome(FINISHED)))

    def test_what_nobody_wants_is_stopped(self) -> None:
        """But only where there is something to stop."""
        for word in (HANDED, RUNNING):
            self.assertIn(o.Withdraw(NODE, attempt(9)), self.reconcile((attempt(9), word)))
        for word in (ENDED, NEVER_STARTED, UNKNOWN):
            self.assertNotIn(o.Withdraw(NODE, attempt(9)), self.reconcile((attempt(9), word)))
            self.assertEqual(1, self.ledger.nodes[NODE].busy)

    def test_the_first_answer_of_all(self) -> None:
        """Tells nobody that the node is back: it has never been away."""
        self.join(SECOND)
        self.assertEqual([], self.reconcile(node=SECOND)[:-1])

    def test_a_computation_that_is_not_there(self) -> None:
        """Is prepared again; nothing is sent for it meanwhile."""
        orders = self.reconcile((attempt(1), RUNNING), ready=False)
        self.assertIn(o.Prepare(NODE, CLUSTER), orders)
        self.assertEqual([], self.submit(2))

    def test_a_computation_of_another_generation(self) -> None:
        """Jobs are sent for the generation that is there now."""
        self.ledger.reconciled(NODE, [(attempt(1), RUNNING)], {CLUSTER: 9}, 2.0)
        self.assertEqual([assign(2, generation=9)], self.submit(2))

    def test_a_computation_that_nobody_wants(self) -> None:
        """Is closed."""
        self.assertIn(o.Release(NODE, OTHER), self.ledger.reconciled(NODE, [], {OTHER: 1}, 2.0))

    def test_a_computation_that_was_held(self) -> None:
        """Whoever held the node may have left while it was away: it is tried again."""
        self.ledger.held(NODE, CLUSTER, "in use")
        self.assertIn(o.Prepare(NODE, CLUSTER), self.reconcile(ready=False))

    def test_a_computation_that_was_rejected(self) -> None:
        """A reconcile changes nothing about that, nor about a node that the cluster does not use."""
        self.ledger.rejected(NODE, CLUSTER, "no")
        self.assertNotIn(o.Prepare(NODE, CLUSTER), self.reconcile(ready=False))
        self.join(SECOND)
        self.ledger.wanted(CLUSTER, SECOND)
        self.assertNotIn(o.Prepare(SECOND, CLUSTER), self.reconcile(ready=False, node=SECOND))
        self.ledger.allocated(CLUSTER, SECOND, 0)
        self.assertNotIn(o.Prepare(SECOND, CLUSTER), self.reconcile(ready=False, node=SECOND))


class Leaving(Registry):
    """A node is away."""

    def test_its_jobs_stay(self) -> None:
        """The user is told how many there are; nothing is decided, and nothing new is sent there."""
        self.ready(cpus=3)
        self.submit(1, 2)
        self.assertEqual([o.TellAway(NODE, 2)], self.ledger.left(NODE, 1.0))
        self.assertEqual([], self.submit(3))
        self.assertEqual(3, self.ledger.pending(CLUSTER))

    def test_twice(self) -> None:
        """Is once; and who never came cannot leave."""
        self.ready()
        self.ledger.left(NODE, 1.0)
        self.assertEqual([], self.ledger.left(NODE, 2.0))
        self.assertEqual([], self.ledger.left(SECOND, 2.0))
        self.assertEqual(1.0, self.ledger.nodes[NODE].since)

    def test_an_hour_for_what_may_not_run_twice(self) -> None:
        """Then its jobs are given up, and say why; not before."""
        self.ready()
        self.submit(1)
        self.ledger.left(NODE, 100.0)
        self.assertEqual(3700.0, self.ledger.next_due())
        self.assertEqual([], self.ledger.elapsed(3699.9))
        orders = self.ledger.elapsed(3700.0)
        self.assertEqual([(uid(1), CANCELLED)], self.settled(orders))
        self.assertIn("did not answer for 3600 s", orders[0].outcome.reason)  # type: ignore[union-attr]
        self.assertIsNone(self.ledger.next_due())

    def test_an_unanswered_reconcile_does_not_count(self) -> None:
        """A node that connects again and again without an answer is given up all the same."""
        self.ready()
        self.submit(1)
        self.ledger.left(NODE, 0.0)
        for now in (1000.0, 2000.0, 3000.0):
            self.join(now=now)
        self.assertEqual([(uid(1), CANCELLED)], self.settled(self.ledger.elapsed(3600.0)))

    def test_patience_begins_when_the_link_ends(self) -> None:
        """However long it lived: a link that is replaced, and then not reconciled, is waited for an hour like any other."""
        self.ready()
        self.submit(1)
        self.join(now=10_000.0)
        self.assertEqual([], self.ledger.elapsed(13_599.0))
        self.assertEqual([(uid(1), CANCELLED)], self.settled(self.ledger.elapsed(13_600.0)))

    def test_a_node_without_jobs(self) -> None:
        """It is given up like others: the user is told once. Nothing is due then, and nothing for a node that was never ready."""
        self.ready()
        self.join(SECOND)
        self.ledger.left(NODE, 0.0)
        self.ledger.left(SECOND, 0.0)
        self.assertEqual(3600.0, self.ledger.next_due())
        self.assertEqual([], self.ledger.elapsed(3599.0))
        self.assertEqual([o.TellClosed(CLUSTER, NODE, "a node did not answer for 3600 s")], self.ledger.elapsed(3600.0))
        self.assertIsNone(self.ledger.next_due())
        self.join()
        self.assertEqual([o.TellReady(CLUSTER, NODE)], self.ledger.reconciled(NODE, [], {CLUSTER: GENERATION}, 3601.0))

    def test_the_first_of_all_that_is_due(self) -> None:
        """Bars and silent nodes of any cluster: who wakes the ledger is told the earliest."""
        self.ready()
        self.ready(SECOND)
        self.submit(1, 2)
        self.ledger.left(NODE, 50.0)
        self.ledger.left(SECOND, 40.0)
        self.assertEqual(3640.0, self.ledger.next_due())
        self.ledger.nodes[NODE].barred_until = 30.0
        self.assertEqual(30.0, self.ledger.next_due())


class LeavingReentrant(Registry):
    """Jobs that may run again."""

    reentrant = True

    def test_a_minute(self) -> None:
        """Then they run elsewhere."""
        self.ready()
        self.submit(1)
        self.ledger.left(NODE, 100.0)
        self.ready(SECOND)
        self.assertEqual([], self.ledger.elapsed(159.9))
        self.assertEqual([assign(1, 2, SECOND)], unshown(self.ledger.elapsed(160.0)))

    def test_unknown(self) -> None:
        """So do those that a node no longer knows."""
        self.ready()
        self.submit(1)
        self.join(incarnation=2)
        self.reconcile((attempt(1), UNKNOWN))
        self.ledger.allocated(CLUSTER, NODE, 2)
        self.assertEqual([assign(1, 2)], self.ledger.prepared(NODE, CLUSTER, GENERATION))


class LeavingWithAPulse(Registry):
    """The program has said how long."""

    pulse_interval = 2.0

    def test_five_pulses(self) -> None:
        """Then the jobs are given up, reentrant or not."""
        self.ready()
        self.submit(1)
        self.ledger.left(NODE, 100.0)
        self.assertEqual(110.0, self.ledger.next_due())
        self.assertEqual([(uid(1), CANCELLED)], self.settled(self.ledger.elapsed(110.0)))

    def test_each_cluster_has_its_own(self) -> None:
        """On one silent node one cluster's job is given up, and another's still waited for."""
        self.ledger.cluster_opened(OTHER)
        self.ready()
        self.ledger.wanted(OTHER, NODE)
        self.ledger.allocated(OTHER, NODE, 2)
        self.ledger.prepared(NODE, OTHER, GENERATION)
        self.ledger.submitted(OTHER, uid(2))
        self.submit(1)
        self.ledger.left(NODE, 0.0)
        self.assertEqual(10.0, self.ledger.next_due())
        self.assertEqual([(uid(1), CANCELLED)], self.settled(self.ledger.elapsed(10.0)))
        self.assertEqual(3600.0, self.ledger.next_due())


class Alone(unittest.TestCase):
    """Attendance is only half of a ledger."""

    def test_void_offers_do_not_pile_up(self) -> None:
        """However often a node changes, a cluster keeps few offers of it."""
        ledger = Ledger()
        ledger.cluster_opened(CLUSTER)
        ledger.joined(NodeFacts(NODE, 1, "a node", 4), 0.0)
        ledger.reconciled(NODE, [], {}, 0.0)
        ledger.wanted(CLUSTER, NODE)
        ledger.allocated(CLUSTER, NODE, 4)
        for _ in range(1000):
            ledger.prepared(NODE, CLUSTER, 1)
        self.assertLess(len(ledger.clusters[CLUSTER].candidates._heap), 100)

    def test_jobs_are_the_ledger_s(self) -> None:
        """By itself it cannot say what becomes of them."""
        self.assertRaises(NotImplementedError, Attendance().elapsed, 0.0)
