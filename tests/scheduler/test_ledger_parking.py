"""Jobs that are given to a node before it has a slot for them, because those that run there are short."""

from __future__ import annotations

from dispytw.scheduler import orders as o
from dispytw.scheduler.entries import HORIZON, ClusterEntry
from dispytw.values import FINISHED, MOST_PARKED, JobOptions, NodeFacts, Outcome
from tests.scheduler.attending import CLUSTER, NODE, OTHER, SECOND, Registry, assign, attempt, uid

EVERY_PYTHON = False

SHORT = Outcome(FINISHED, started=1.0, ended=1.0 + HORIZON / 3.5)
LONG = Outcome(FINISHED, started=1.0, ended=9.0)


class Durations(Registry):
    """What is known of how long bodies take."""

    def test_depth(self) -> None:
        """As many jobs as are done within the horizon; none when nothing is known, or one takes longer; there is a most."""
        cluster = ClusterEntry(CLUSTER, False, None)
        depths = []
        for seconds in (None, HORIZON * 1.5, HORIZON, HORIZON / 4, 0.0):
            cluster.mean = seconds
            depths.append(cluster.depth)
        self.assertEqual([0, 0, 1, 4, MOST_PARKED], depths)

    def test_learned(self) -> None:
        """The mean follows what comes, and one long job among many short ones ends the parking."""
        cluster = ClusterEntry(CLUSTER, False, None)
        for _ in range(50):
            cluster.learned(0.001)
        self.assertGreater(cluster.depth, 10)
        cluster.learned(5.0)
        self.assertEqual(0, cluster.depth)


class Parking(Registry):
    """A node of one slot, on which a job has just shown to be short."""

    def setUp(self) -> None:
        super().setUp()
        self.ready(cpus=1)
        self.submit(1)

    def end(self, job: int, outcome: Outcome = SHORT, number: int = 1) -> list[o.Order]:
        """An attempt ends; what is ordered then, but for its settling."""
        return self.ledger.ended(NODE, attempt(job, number), outcome)[1:]

    def test_not_before_something_is_known(self) -> None:
        """The second job waits for the first."""
        self.assertEqual([], self.submit(2))

    def test_as_many_as_are_done_within_the_horizon(self) -> None:
        """One for the slot, three behind it, the fifth waits here; each end makes room for one."""
        self.submit(2, 3, 4, 5, 6)
        self.assertEqual([assign(job) for job in (2, 3, 4, 5)], self.end(1))
        self.assertEqual([assign(6)], self.end(2))

    def test_long_jobs_are_not_parked(self) -> None:
        """A node gets the next when its slot is free."""
        self.submit(2, 3)
        self.assertEqual([assign(2)], self.end(1, LONG))

    def test_a_free_slot_first(self) -> None:
        """An idle node gets a job before any is parked elsewhere."""
        self.ready(SECOND, cpus=1)
        self.submit(2, 3, 4)
        given = [(order.node, order.attempt.job) for order in self.end(1) if isinstance(order, o.Assign)]
        self.assertEqual([(NODE, uid(3))], given[:1])

    def test_not_while_another_cluster_waits(self) -> None:
        """Then slots are given out one by one, to the oldest job of both."""
        self.ledger.cluster_opened(OTHER)
        self.submit(2, 3)
        self.ledger.submitted(OTHER, uid(4))
        self.assertEqual([assign(2)], self.end(1))

    def test_not_where_another_cluster_has_jobs(self) -> None:
        """All slots must be the cluster's own."""
        self.end(1)
        self.ledger.cluster_opened(OTHER)
        self.ledger.wanted(OTHER, NODE)
        self.ledger.allocated(OTHER, NODE, 1)
        self.ledger.prepared(NODE, OTHER, 9)
        self.ledger.submitted(OTHER, uid(9))
        self.assertEqual([], self.submit(2, 3))

    def test_not_beyond_a_share(self) -> None:
        """A cluster that was allocated a part of the slots has no more there than that."""
        self.ready(SECOND, cpus=2)
        self.ledger.nodes[SECOND].preparations[CLUSTER].cpus = 1
        self.submit(2, 3, 4, 5, 6, 7, 8)
        self.end(1)
        self.assertEqual(1, len(self.ledger.nodes[SECOND].jobs))

    def test_cancelled_while_it_waits(self) -> None:
        """Is Cancelled at once, as it would be here; the node is told, and what it says of it later changes nothing."""
        self.submit(2, 3)
        self.end(1)
        orders = self.ledger.cancelled(uid(3))
        self.assertEqual([o.Withdraw(NODE, attempt(3)), (uid(3), 8)], [orders[0], *self.settled(orders)])
        self.assertEqual([], self.settled(self.ledger.ended(NODE, attempt(3), SHORT)))
        self.assertEqual([], self.settled(self.ledger.cancelled(uid(2))))

    def test_an_idle_node_gets_half(self) -> None:
        """A long job blocks the slot, and another node comes: it gets half of what waits behind."""
        self.submit(2, 3, 4, 5)
        self.end(1)
        self.assertEqual([o.Recall(NODE, CLUSTER, 2)], self.ready(SECOND, cpus=1))
        self.assertEqual([], self.ledger.started(NODE, attempt(2), 1.0)[1:])
        orders = self.ledger.given_back(NODE, [attempt(5), attempt(4)])
        self.assertEqual([assign(4, 2, SECOND), assign(5, 2, SECOND)], orders[:2])

    def test_in_vain(self) -> None:
        """A node that had nothing to give back is not asked again before something has ended there."""
        self.submit(2, 3, 4, 5)
        self.end(1)
        self.ready(SECOND, cpus=1)
        self.assertEqual([], self.ledger.given_back(NODE, []))
        self.assertEqual([o.Recall(NODE, CLUSTER, 1)], self.end(2))

    def test_nobody_is_asked_twice(self) -> None:
        """Before it has answered."""
        self.submit(2, 3, 4, 5)
        self.end(1)
        self.ready(SECOND, cpus=1)
        self.assertEqual([], self.end(2))

    def test_given_back_late(self) -> None:
        """A job that was cancelled meanwhile is settled; one that is somewhere else by now is left alone."""
        self.submit(2, 3)
        self.end(1)
        self.ledger.cancelled(uid(2))
        orders = self.ledger.given_back(NODE, [attempt(2), attempt(1)])
        self.assertEqual([(uid(2), 8)], self.settled(orders))

    def test_a_new_link(self) -> None:
        """What was asked on the old one is asked again."""
        self.submit(2, 3, 4, 5)
        self.end(1)
        self.ready(SECOND, cpus=1)
        self.ledger.left(NODE, 1.0)
        self.ledger.joined(NodeFacts(NODE, 1, "a node", 1), 2.0)
        orders = self.reconcile(*((attempt(job), "handed") for job in (2, 3, 4, 5)), now=2.0)
        self.assertFalse(self.ledger.nodes[NODE].recalling and not orders)


class Overtaking(Registry):
    """A node of one slot, on which jobs are parked behind one that takes its time."""

    def setUp(self) -> None:
        super().setUp()
        self.ready(cpus=1)
        self.submit(1, 2)
        self.assertEqual([assign(2)], self.ledger.ended(NODE, attempt(1), SHORT)[1:])
        self.ledger.started(NODE, attempt(2), 1.0)

    def urgent(self, job: int, priority: int = 1, cluster: bytes = CLUSTER) -> list[o.Order]:
        """One with this priority is submitted."""
        return self.ledger.submitted(cluster, uid(job), JobOptions(priority=priority))

    def test_before_those_that_are_parked(self) -> None:
        """They are got back, and all are given out anew, in their order."""
        self.assertEqual([assign(3), assign(4)], self.submit(3, 4))
        self.assertEqual([assign(5), o.Recall(NODE, CLUSTER, 3)], self.urgent(5))
        self.assertEqual([], self.urgent(6, priority=2), "it was asked already")
        back = self.ledger.given_back(NODE, [attempt(5), attempt(4), attempt(3)])
        self.assertEqual([assign(6), assign(5, 2), assign(3, 2)], back)
        self.assertEqual([o.Recall(NODE, CLUSTER, 3)], self.urgent(7, priority=3), "whatever it has answered")

    def test_nobody_to_overtake(self) -> None:
        """Those that are parked have its priority, or a higher one; or nothing is parked."""
        self.ledger.ended(NODE, attempt(2), LONG)
        self.urgent(3)
        self.assertEqual([], self.urgent(4))
        self.assertEqual([], self.urgent(5, priority=0))

    def test_the_same_for_all(self) -> None:
        """Jobs that all have one priority, whichever, overtake nobody; nor does the first of all that have another."""
        for job in (3, 4):
            self.assertEqual([assign(job)], self.urgent(job, priority=-1))
        self.assertEqual([assign(5), o.Recall(NODE, CLUSTER, 3)], self.urgent(5, priority=0))

    def test_of_another_cluster(self) -> None:
        """Which may use the node: what is parked there is got back for its jobs too."""
        self.submit(3)
        self.ledger.cluster_opened(OTHER)
        self.assertEqual([], self.urgent(8, cluster=OTHER))
        self.ledger.wanted(OTHER, NODE)
        self.ledger.allocated(OTHER, NODE, 1)
        self.ledger.prepared(NODE, OTHER, 9)
        self.assertEqual([o.Recall(NODE, CLUSTER, 1)], self.urgent(9, cluster=OTHER))
        self.assertEqual([], self.ledger.given_back(NODE, [attempt(3)]))
        given = [order.attempt for order in self.ledger.ended(NODE, attempt(2), SHORT) if isinstance(order, o.Assign)]
        self.assertEqual([attempt(8)], given)
