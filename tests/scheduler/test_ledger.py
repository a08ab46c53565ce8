"""The ledger decides what becomes of each job: one by one in the states that matter, and as laws over histories that nobody has written."""

from __future__ import annotations

import unittest

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from dispytw.node.bench import Bench
from dispytw.node.orders import TellReady
from dispytw.scheduler import orders as o
from dispytw.scheduler.ledger import BARRED, NEVER_SENT, NO_SLOT, STOPPING, Ledger
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Computation, File, NodeFacts, Outcome
from dispytw.wire.records import HANDED
from tests.scheduler.attending import unshown
from tests.scheduler.histories import Histories

CLUSTER, OTHER = b"c" * 16, b"o" * 16
NODE, SECOND = b"n" * 16, b"s" * 16
DONE = Outcome(FINISHED)
STOPPED = Outcome(CANCELLED, reason="cancelled by its node")


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def first(number: int) -> Attempt:
    """The first attempt of a job."""
    return Attempt(uid(number), 1)


def again(number: int, attempt: int = 2) -> Attempt:
    return Attempt(uid(number), attempt)


def assign(attempt: Attempt, node: bytes = NODE, cluster: bytes = CLUSTER) -> o.Assign:
    return o.Assign(node, cluster, 7, attempt)


def cancelled(number: int, reason: str, node: bytes | None = None) -> o.Settle:
    return o.Settle(uid(number), Outcome(CANCELLED, reason=reason), node)


class Desk(unittest.TestCase):
    """A ledger with one cluster; nodes come as a test needs them."""

    reentrant = False

    def setUp(self) -> None:
        self.ledger = Ledger()
        self.ledger.cluster_opened(CLUSTER, self.reentrant)

    def node(self, cpus: int = 2, node: bytes = NODE, cluster: bytes = CLUSTER, slots: int = 99) -> list[o.Order]:
        """One more, ready for the cluster; what the ledger ordered last."""
        if node not in self.ledger.nodes:
            self.ledger.joined(NodeFacts(node, 1, "a node", cpus), 0.0)
            self.ledger.reconciled(node, [], {}, 0.0)
        self.ledger.wanted(cluster, node)
        self.ledger.allocated(cluster, node, slots)
        return unshown(self.ledger.prepared(node, cluster, 7))

    def submit(self, *numbers: int, cluster: bytes = CLUSTER) -> list[o.Order]:
        return [order for number in numbers for order in self.ledger.submitted(cluster, uid(number))]


class Submitting(Desk):
    """Jobs in line, and who is next."""

    def test_nobody_to_do_it(self) -> None:
        """Without a node a job waits."""
        self.assertEqual([], self.submit(1))
        self.assertEqual(1, self.ledger.pending(CLUSTER))

    def test_a_node_comes(self) -> None:
        """As many jobs as it has slots, the oldest first."""
        self.submit(1, 2, 3)
        self.assertEqual([assign(first(1)), assign(first(2))], self.node(cpus=2))

    def test_a_free_slot(self) -> None:
        """A job is assigned as it is submitted; one too many waits for an end."""
        self.node(cpus=1)
        self.assertEqual([assign(first(1))], self.submit(1, 2))
        self.assertEqual([o.Settle(uid(1), DONE, NODE), assign(first(2))], self.ledger.ended(NODE, first(1), DONE))

    def test_slots_that_become_free_together(self) -> None:
        """Nothing is given out before the last end of many has come; then all that is free."""
        self.node(cpus=2)
        self.submit(1, 2, 3, 4)
        self.assertEqual([o.Settle(uid(1), DONE, NODE)], self.ledger.ended(NODE, first(1), DONE, 0.0, more=True))
        self.assertEqual([], self.ledger.ended(NODE, first(1), DONE, 0.0, more=True), "nor at one that is known already")
        given = [assign(first(3)), assign(first(4))]
        self.assertEqual([o.Settle(uid(2), DONE, NODE), *given], self.ledger.ended(NODE, first(2), DONE))

    def test_who_speaks(self) -> None:
        """A job's current attempt, on the node where that is; nobody else, and nobody for a job that is not there."""
        self.node()
        self.submit(1, 2, 3)
        self.assertTrue(self.ledger.speaks(NODE, first(1)))
        self.assertTrue(self.ledger.speaks(NODE, first(2)))
        for node, attempt in ((b"?" * 16, first(1)), (NODE, again(1)), (NODE, first(3)), (NODE, first(9))):
            self.assertFalse(self.ledger.speaks(node, attempt))
        self.ledger.ended(NODE, first(1), Outcome(FINISHED))
        self.assertFalse(self.ledger.speaks(NODE, first(1)))

    def test_submitted_twice(self) -> None:
        """Is submitted once."""
        self.submit(1, 1)
        self.assertEqual([assign(first(1))], self.node())
        self.assertEqual(1, self.ledger.pending(CLUSTER))

    def test_the_least_loaded_node(self) -> None:
        """Jobs spread: each goes where the least part of the slots is in use."""
        self.node(cpus=4)
        self.node(cpus=2, node=SECOND)
        nodes = [order.node for order in self.submit(1, 2, 3, 4) if isinstance(order, o.Assign)]
        self.assertEqual([NODE, SECOND, NODE, NODE], nodes)

    def test_the_oldest_of_all_clusters(self) -> None:
        """Between clusters the job that was submitted first goes first."""
        self.ledger.cluster_opened(OTHER)
        self.node(cpus=1)
        self.node(cluster=OTHER)
        self.submit(1)
        self.submit(2, cluster=OTHER)
        self.submit(3)
        self.assertEqual(assign(first(2), cluster=OTHER), self.ledger.ended(NODE, first(1), DONE)[-1])

    def test_a_cluster_s_share(self) -> None:
        """A cluster that was allocated one slot uses one, and leaves the others to whoever comes later."""
        self.ledger.cluster_opened(OTHER)
        self.node(cpus=2, slots=1)
        self.node(cluster=OTHER)
        self.assertEqual([assign(first(1))], self.submit(1, 2))
        self.assertEqual([assign(first(3), cluster=OTHER)], self.submit(3, cluster=OTHER))


class Running(Desk):
    """An attempt that began."""

    def setUp(self) -> None:
        super().setUp()
        self.node(cpus=1)
        self.submit(1)

    def test_started(self) -> None:
        """The job is shown as running, once."""
        self.assertEqual([o.ShowRunning(uid(1), NODE, 1e9)], self.ledger.started(NODE, first(1), 1e9))
        self.assertEqual([], self.ledger.started(NODE, first(1), 1e9))

    def test_somebody_else_s_word(self) -> None:
        """Another node, or another attempt, says nothing about this one."""
        self.node(node=SECOND)
        for node, attempt in ((SECOND, first(1)), (NODE, again(1)), (b"?" * 16, first(1))):
            self.assertEqual([], self.ledger.started(node, attempt, 1e9))
            self.assertEqual([], self.ledger.ended(node, attempt, DONE))
            self.assertEqual([], self.ledger.refused(node, attempt, "full", 0.0))
        self.assertEqual([o.Settle(uid(1), DONE, NODE)], self.ledger.ended(NODE, first(1), DONE))

    def test_ended(self) -> None:
        """One end, whether the start was told or not; whatever comes later changes nothing."""
        self.assertEqual([o.Settle(uid(1), DONE, NODE)], self.ledger.ended(NODE, first(1), DONE))
        self.assertEqual(0, self.ledger.pending(CLUSTER))
        for event in (self.ledger.started(NODE, first(1), 0.0), self.ledger.ended(NODE, first(1), DONE)):
            self.assertEqual([], event)
        self.assertEqual([], self.ledger.cancelled(uid(1)))

    def test_stopped_by_its_node(self) -> None:
        """A job that is not reentrant is Cancelled, and says why."""
        (settled,) = self.ledger.ended(NODE, first(1), STOPPED)
        assert isinstance(settled, o.Settle)
        self.assertEqual((CANCELLED, "Cancelled"), (settled.outcome.status, settled.outcome.exception))
        self.assertEqual("attempt 1 on a node: cancelled by its node", settled.outcome.reason)


class Refusing(Desk):
    """An attempt that never started."""

    def setUp(self) -> None:
        super().setUp()
        self.node(cpus=1)
        self.submit(1, 2)

    def test_takes_its_old_place(self) -> None:
        """It goes again before those that were submitted later, as another attempt, reentrant or not."""
        self.assertEqual([assign(again(1))], self.ledger.refused(NODE, first(1), "not ready", 0.0))

    def test_a_node_that_is_left_alone(self) -> None:
        """A node that says it has no slot, or is being stopped, gets nothing for a second."""
        for number, reason in enumerate((NO_SLOT, STOPPING), 1):
            now = 100.0 * number
            self.assertEqual([], self.ledger.refused(NODE, again(1, number), reason, now))
            self.assertEqual(now + BARRED, self.ledger.next_due())
            self.assertEqual([], self.ledger.elapsed(now + 0.9))
            self.assertEqual([assign(again(1, number + 1))], self.ledger.elapsed(now + 1.0))
            self.assertIsNone(self.ledger.next_due())

    def test_the_words_are_the_node_s(self) -> None:
        """A bench refuses in the words that the ledger knows."""
        bench = Bench(NodeFacts(NODE, 1, "a node", 1), parked=0)
        bench.connected(b"client", "somebody")
        bench.opened(b"client", Computation(CLUSTER, "compute", File(".bundle", b"0" * 32, 0)), complete=True)
        (ready,) = bench.ready(CLUSTER)
        assert isinstance(ready, TellReady)
        refusals = [(first(2), NO_SLOT)]
        self.assertEqual(refusals, bench.offered(b"client", CLUSTER, ready.generation, [first(1), first(2)])[1])
        bench.stopped()
        self.assertEqual([(first(3), STOPPING)], bench.offered(b"client", CLUSTER, ready.generation, [first(3)])[1])

    def test_cancelled_meanwhile(self) -> None:
        """Nobody wants it again: it is settled, and its slot is the next one's."""
        self.ledger.cancelled(uid(1))
        orders = self.ledger.refused(NODE, first(1), "withdrawn", 0.0)
        self.assertEqual([cancelled(1, "cancelled before it started", NODE), assign(first(2))], orders)

    def test_given_up_meanwhile(self) -> None:
        """A stray that never started frees its slot."""
        self.ledger.cluster_opened(OTHER)
        self.node(cluster=OTHER)
        self.ledger.given_up(CLUSTER, "enough")
        self.assertEqual([], self.submit(3, cluster=OTHER))
        self.assertEqual([assign(first(3), cluster=OTHER)], self.ledger.refused(NODE, first(1), "withdrawn", 0.0))


class Cancelling(Desk):
    """The user does not want it any more."""

    def test_in_line(self) -> None:
        """It is settled at once, and the others move up."""
        self.submit(1, 2)
        self.assertEqual([cancelled(1, "cancelled before it was sent")], self.ledger.cancelled(uid(1)))
        self.assertEqual([assign(first(2))], self.node())

    def test_on_a_node(self) -> None:
        """Its attempt is withdrawn, once; what came of it is its end, be it Finished."""
        self.node()
        self.submit(1, 2)
        self.assertEqual([o.Withdraw(NODE, first(1))], self.ledger.cancelled(uid(1)))
        self.assertEqual([], self.ledger.cancelled(uid(1)))
        self.assertEqual([o.Settle(uid(1), DONE, NODE)], self.ledger.ended(NODE, first(1), DONE))
        self.ledger.cancelled(uid(2))
        self.assertEqual([o.Settle(uid(2), STOPPED, NODE)], self.ledger.ended(NODE, first(2), STOPPED))

    def test_on_a_node_that_is_away(self) -> None:
        """It is withdrawn when the node is back."""
        self.node()
        self.submit(1)
        self.ledger.left(NODE, 0.0)
        self.assertEqual([], self.ledger.cancelled(uid(1)))
        self.ledger.joined(NodeFacts(NODE, 1, "a node", 2), 1.0)
        self.assertIn(o.Withdraw(NODE, first(1)), self.ledger.reconciled(NODE, [(first(1), HANDED)], {CLUSTER: 7}, 1.0))

    def test_nobody(self) -> None:
        """A job that is not there is none to cancel."""
        self.assertEqual([], self.ledger.cancelled(uid(1)))


class GivingUp(Desk):
    """The user waits for none of them any more."""

    def setUp(self) -> None:
        super().setUp()
        self.node(cpus=1)
        self.submit(1, 2)

    def test_everything(self) -> None:
        """Each job is settled now: what runs is stopped and keeps its slot until it has ended; what waits was never sent."""
        orders = [o.Withdraw(NODE, first(1)), cancelled(1, "enough", NODE), cancelled(2, NEVER_SENT)]
        self.assertEqual(orders, self.ledger.given_up(CLUSTER, "enough"))
        self.assertEqual([], self.submit(3))
        self.assertEqual([assign(first(3))], self.ledger.ended(NODE, first(1), DONE))

    def test_on_a_node_that_is_away(self) -> None:
        """There is nobody to tell; when it is back with the attempt, it is told to stop it."""
        self.ledger.left(NODE, 0.0)
        self.assertEqual([cancelled(1, "enough", NODE), cancelled(2, NEVER_SENT)], self.ledger.given_up(CLUSTER, "enough"))
        self.ledger.joined(NodeFacts(NODE, 1, "a node", 1), 1.0)
        orders = self.ledger.reconciled(NODE, [(first(1), HANDED)], {CLUSTER: 7}, 1.0)
        self.assertEqual([o.TellBack(NODE), o.Withdraw(NODE, first(1))], orders)
        self.assertEqual([], self.submit(3))

    def test_only_what_was_not_sent(self) -> None:
        """At a forced end: what waits is settled, what was sent is cancelled and comes to its own end."""
        orders = self.ledger.unsent_given_up([CLUSTER])
        self.assertEqual([o.Withdraw(NODE, first(1)), cancelled(2, NEVER_SENT)], orders)
        self.assertEqual([o.Settle(uid(1), STOPPED, NODE)], self.ledger.ended(NODE, first(1), STOPPED))

    def test_what_goes_on(self) -> None:
        """... or it is left alone, where somebody can fetch what becomes of it."""
        self.assertEqual([cancelled(2, NEVER_SENT)], self.ledger.unsent_given_up([CLUSTER], lambda cluster, node: True))
        asked: list[tuple[bytes, bytes]] = []
        orders = self.ledger.unsent_given_up([CLUSTER], lambda cluster, node: bool(asked.append((cluster, node))))
        self.assertEqual(([o.Withdraw(NODE, first(1))], [(CLUSTER, NODE)]), (orders, asked))

    def test_a_cluster_closes(self) -> None:
        """Its jobs are given up and its nodes told to clean up; a second time means nothing."""
        orders = self.ledger.cluster_closed(CLUSTER)
        self.assertEqual(o.Release(NODE, CLUSTER), orders[-1])
        self.assertEqual("its cluster was closed", orders[1].outcome.reason)  # type: ignore[union-attr]
        self.assertEqual((0, []), (self.ledger.pending(CLUSTER), self.ledger.cluster_closed(CLUSTER)))

    def test_a_cluster_closes_while_its_node_is_away(self) -> None:
        """The node is told when it is back and still has the computation."""
        self.ledger.left(NODE, 0.0)
        self.assertNotIn(o.Release(NODE, CLUSTER), self.ledger.cluster_closed(CLUSTER))
        self.ledger.joined(NodeFacts(NODE, 1, "a node", 1), 1.0)
        self.assertIn(o.Release(NODE, CLUSTER), self.ledger.reconciled(NODE, [], {CLUSTER: 7}, 1.0))


class Losing(Desk):
    """Attempts of a reentrant cluster that nobody can account for."""

    reentrant = True

    def test_another_node(self) -> None:
        """A job whose node stopped it runs again, in its old place."""
        self.node(cpus=1)
        self.submit(1, 2)
        self.assertEqual([assign(again(1))], self.ledger.ended(NODE, first(1), STOPPED))

    def test_four_times(self) -> None:
        """Then it is given up: Terminated, and its exception names the attempts."""
        self.node(cpus=1)
        self.submit(1)
        for number in (1, 2, 3):
            self.assertEqual([assign(again(1, number + 1))], self.ledger.ended(NODE, again(1, number), STOPPED))
        (settled,) = self.ledger.ended(NODE, again(1, 4), STOPPED)
        assert isinstance(settled, o.Settle) and settled.outcome.exception is not None
        self.assertEqual((TERMINATED, "too many attempts"), (settled.outcome.status, settled.outcome.reason))
        self.assertEqual([f"attempt {n} on a node: cancelled by its node" for n in (1, 2, 3, 4)], settled.outcome.exception.split("\n")[1:])

    def test_a_refusal_is_no_loss(self) -> None:
        """An attempt that never started does not count."""
        self.node(cpus=1)
        self.submit(1)
        for number in range(1, 10):
            self.assertEqual([assign(again(1, number + 1))], self.ledger.refused(NODE, again(1, number), "not ready", 0.0))

    def test_a_cancelled_one(self) -> None:
        """Is not run again."""
        self.node(cpus=1)
        self.submit(1)
        self.ledger.cancelled(uid(1))
        self.ledger.left(NODE, 0.0)
        (settled,) = unshown(self.ledger.elapsed(60.0))
        self.assertEqual(CANCELLED, settled.outcome.status)  # type: ignore[union-attr]


class Laws(unittest.TestCase):
    """Whatever happens."""

    def test_any_history(self) -> None:
        """At most one end per job and one start unless reentrant, never more than the slots, first in first out, nothing lost."""
        search = settings(
            max_examples=60, stateful_step_count=50, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        run_state_machine_as_test(Histories, settings=search)

