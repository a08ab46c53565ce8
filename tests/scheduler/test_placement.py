"""What users want of single nodes: jobs for one node alone, fewer CPUs, nodes that are left or set up anew."""

from __future__ import annotations

from dispytw.scheduler import orders as o
from dispytw.scheduler.entries import PreparationState
from dispytw.values import CANCELLED, FINISHED, Outcome
from dispytw.wire.records import NEVER_STARTED, RUNNING, STILL_ENDING, UNKNOWN
from tests.scheduler.attending import CLUSTER, GENERATION, NODE, OTHER, SECOND, Registry, assign, attempt, uid, unshown

DONE = Outcome(FINISHED, started=0.0, ended=0.001)


class Placing(Registry):
    """Two nodes of one slot each."""

    def setUp(self) -> None:
        super().setUp()
        self.ready(NODE, 1)
        self.ready(SECOND, 1)

    def pin(self, *jobs: int, node: bytes = NODE, cluster: bytes = CLUSTER) -> list[o.Order]:
        return [order for job in jobs for order in self.ledger.submitted(cluster, uid(job), node=node)]

    def end(self, job: int, node: bytes = NODE, number: int = 1) -> list[o.Order]:
        return self.ledger.ended(node, attempt(job, number), Outcome(FINISHED))

    def assigned(self, orders: list[o.Order]) -> list[tuple[int, bytes]]:
        """Which jobs were given to which nodes."""
        return [(int.from_bytes(each.attempt.job, "big"), each.node) for each in orders if isinstance(each, o.Assign)]

    def reasons(self, orders: list[o.Order]) -> list[tuple[int, str]]:
        """Which jobs were cancelled, and why."""
        ends = [each for each in orders if isinstance(each, o.Settle) and each.outcome.status == CANCELLED]
        return [(int.from_bytes(each.job, "big"), each.outcome.reason) for each in ends]


class Pinned(Placing):
    """Jobs for one node alone."""

    def test_there_only(self) -> None:
        """They wait for their node, though another has nothing to do."""
        self.assertEqual([(1, NODE)], self.assigned(self.pin(1)))
        self.assertEqual([], self.pin(2))
        self.assertEqual([(2, NODE)], self.assigned(self.end(1)))

    def test_by_age(self) -> None:
        """Each takes its turn among those that may run anywhere."""
        self.assertEqual([(1, NODE), (2, SECOND)], self.assigned(self.submit(1, 2)))
        self.submit(3)
        self.pin(4, node=SECOND)
        self.submit(5)
        self.assertEqual([(3, SECOND)], self.assigned(self.end(2, SECOND)))
        self.assertEqual([(4, SECOND)], self.assigned(self.end(3, SECOND)))
        self.assertEqual([(5, NODE)], self.assigned(self.end(1)))

    def test_younger_ones_pass_by(self) -> None:
        """Whose node is busy does not hold up those that may run elsewhere."""
        self.pin(1, 2, 3)
        self.assertEqual([(4, SECOND)], self.assigned(self.submit(4)))

    def test_the_oldest_of_all_clusters(self) -> None:
        """Between clusters the oldest is first, for whatever node it is."""
        self.ledger.cluster_opened(OTHER)
        self.ledger.wanted(OTHER, NODE)
        self.ledger.allocated(OTHER, NODE, 1)
        self.ledger.prepared(NODE, OTHER, GENERATION)
        self.pin(1)
        self.pin(2, cluster=OTHER)
        self.pin(3)
        self.assertEqual([(2, NODE)], self.assigned(self.end(1)))
        self.assertEqual([(3, NODE)], self.assigned(self.ledger.ended(NODE, attempt(2), Outcome(FINISHED))))

    def test_thousands(self) -> None:
        """Each end of a job costs a few steps, however many wait for however many nodes; and each job gets its node."""
        nodes = [uid(1000 + number) for number in range(50)]
        for node in nodes:
            self.ready(node, 1)
        orders = [order for job in range(2000) for order in self.pin(10_000 + job, node=nodes[job % 50])]
        while waiting := [order for order in orders if isinstance(order, o.Assign)]:
            orders = []
            for order in waiting:
                number = int.from_bytes(order.attempt.job, "big") - 10_000
                self.assertEqual(nodes[number % 50], order.node)
                orders += self.ledger.ended(order.node, order.attempt, Outcome(FINISHED))
        self.assertEqual(0, self.ledger.pending(CLUSTER))
        self.assertLess(len(self.ledger.clusters[CLUSTER].pinning), 500)

    def test_cancelled_in_line(self) -> None:
        """The next one takes its place."""
        self.pin(1, 2, 3)
        self.assertEqual([(2, "cancelled before it was sent")], self.reasons(self.ledger.cancelled(uid(2))))
        self.assertEqual([(3, NODE)], self.assigned(self.end(1)))
        self.assertEqual(0, self.ledger.nodes[NODE].pins)

    def test_refused(self) -> None:
        """It goes back in line for the same node."""
        self.pin(1, 2)
        self.assertEqual([(1, NODE)], self.assigned(self.ledger.refused(NODE, attempt(1), "not ready", 0.0)))

    def test_a_node_that_is_not_there(self) -> None:
        """It is settled at once, with the reason."""
        self.assertEqual([(1, "the node that it is for is not used by its cluster")], self.reasons(self.pin(1, node=b"x" * 16)))
        self.ledger.allocated(CLUSTER, NODE, 0)
        ((_, why),) = self.reasons(self.pin(2))
        self.assertEqual("a node, which it is for, has no use: no CPUs of it were allocated", why)
        self.assertEqual(0, self.ledger.pending(CLUSTER))

    def test_a_node_that_comes_to_be_of_no_use(self) -> None:
        """Setup fails there: what waits for it ends and says so. What may run elsewhere does."""
        self.ledger.node_resetup(CLUSTER, NODE)
        self.ledger.allocated(CLUSTER, NODE, 1)
        self.pin(1)
        orders = self.ledger.rejected(NODE, CLUSTER, "Traceback\nValueError: no\n")
        self.assertEqual([(1, "a node: it cannot run the computation: ValueError: no")], self.reasons(orders))

    def test_given_up(self) -> None:
        """With its cluster it is settled like others."""
        self.pin(1, 2)
        orders = self.ledger.cluster_closed(CLUSTER)
        self.assertEqual([(1, "its cluster was closed"), (2, "never sent")], self.reasons(orders))
        self.assertEqual(0, self.ledger.nodes[NODE].pins)


class Lost(Placing):
    """Nodes for which jobs wait go away."""

    reentrant = True

    def test_never_elsewhere(self) -> None:
        """The node is given up: jobs that were there, and those that wait for it, are cancelled, reentrant or not."""
        self.pin(1, 2)
        self.ledger.left(NODE, 100.0)
        self.assertEqual([], self.ledger.elapsed(159.0))
        orders = unshown(self.ledger.elapsed(160.0))
        text = "a node did not answer for 60 s"
        self.assertEqual([(1, f"attempt 1 on a node: {text}"), (2, text)], self.reasons(orders))
        self.assertIsNone(self.ledger.next_due())

    def test_only_waiting(self) -> None:
        """Time alone is enough to wake up for jobs that only wait."""
        self.ledger.left(NODE, 100.0)
        self.pin(1)
        self.assertEqual(160.0, self.ledger.next_due())
        self.assertEqual([(1, "a node did not answer for 60 s")], self.reasons(self.ledger.elapsed(160.0)))

    def test_there_again(self) -> None:
        """A node that has begun anew and knows nothing of the job gets it again, as it may run twice."""
        self.pin(1)
        self.join(NODE, 1)
        orders = self.reconcile((attempt(1), UNKNOWN))
        self.assertEqual([(1, NODE)], self.assigned(orders))

    def test_it_comes_back_in_time(self) -> None:
        """What waited goes there."""
        self.ledger.left(NODE, 100.0)
        self.pin(1)
        self.join(NODE, 1)
        self.assertEqual([(1, NODE)], self.assigned(self.reconcile(now=110.0)))


class NotReentrant(Placing):
    """Jobs that may run once."""

    def test_unknown(self) -> None:
        """What the node knows no more is lost."""
        self.pin(1)
        self.join(NODE, 1)
        self.assertEqual([(uid(1), CANCELLED)], self.settled(self.reconcile((attempt(1), UNKNOWN))))

    def test_never_started(self) -> None:
        """What has never started goes there again."""
        self.pin(1)
        self.join(NODE, 1)
        self.assertEqual([(1, NODE)], self.assigned(self.reconcile((attempt(1), NEVER_STARTED))))


class Parking(Placing):
    """Short jobs wait on the node itself."""

    def setUp(self) -> None:
        super().setUp()
        self.pin(900)
        self.ledger.ended(NODE, attempt(900), DONE)

    def test_parked(self) -> None:
        """Those for this node alone wait there too, and are not fetched back for others."""
        self.assertEqual([(1, NODE), (2, NODE), (3, NODE)], self.assigned(self.pin(1, 2, 3)))
        self.assertEqual([(uid(1), FINISHED)], self.settled(orders := self.end(1)))
        self.assertEqual(1, len(orders))

    def test_what_might_run_elsewhere_is_fetched_back(self) -> None:
        """Some of what waits may run on the idle node; what comes back and may not is sent there again."""
        self.pin(50, node=SECOND)
        self.pin(1)
        self.assertEqual([(2, NODE), (3, NODE)], self.assigned(self.submit(2) + self.pin(3)))
        self.assertIn(o.Recall(NODE, CLUSTER, 1), self.ledger.ended(SECOND, attempt(50), Outcome(FINISHED)))
        self.assertEqual([(2, SECOND), (3, NODE)], self.assigned(self.ledger.given_back(NODE, [attempt(2), attempt(3)])))

    def test_nobody_parks_before_another_cluster(self) -> None:
        """Where a job of another cluster waits for this very node, a slot gets free for it."""
        self.ledger.cluster_opened(OTHER)
        self.ledger.wanted(OTHER, NODE)
        self.ledger.allocated(OTHER, NODE, 1)
        self.ledger.prepared(NODE, OTHER, GENERATION)
        self.ledger.left(SECOND, 0.0)
        self.pin(1)
        self.pin(2, cluster=OTHER)
        self.assertEqual([], self.submit(3) + self.pin(4))
        self.assertEqual([(2, NODE)], self.assigned(self.end(1)))


class Limited(Placing):
    """Fewer slots than the node has."""

    def setUp(self) -> None:
        Registry.setUp(self)
        self.ready(NODE, 4)

    def test_fewer(self) -> None:
        """What runs goes on; no job begins before there is room under the limit."""
        self.submit(1, 2, 3, 4, 5)
        self.assertEqual([], self.ledger.node_limited(NODE, 2))
        self.assertEqual([], self.assigned(self.end(1) + self.end(2)))
        self.assertEqual([(5, NODE)], self.assigned(self.end(3)))

    def test_none(self) -> None:
        """Nothing begins there, pinned or not, until the limit is lifted."""
        self.ledger.node_limited(NODE, 0)
        self.assertEqual([], self.submit(1) + self.pin(2))
        self.assertEqual([(1, NODE), (2, NODE)], self.assigned(self.ledger.node_limited(NODE, None)))

    def test_how_many(self) -> None:
        """At most what there is; negative numbers leave as many free; it holds for a node that comes back with others."""
        node = self.ledger.nodes[NODE]
        for wanted, used in ((9, 4), (3, 3), (-1, 3), (-4, 0), (-9, 0), (None, 4)):
            self.ledger.node_limited(NODE, wanted)
            self.assertEqual(used, node.cpus, wanted)
        self.ledger.node_limited(NODE, -1)
        self.join(NODE, 8, incarnation=2)
        self.assertEqual(7, node.cpus)

    def test_nothing_is_parked(self) -> None:
        """A node that knows nothing of the limit would begin what waits there: what does is fetched back, and no more is sent."""
        self.submit(1)
        self.ledger.ended(NODE, attempt(1), DONE)
        self.assertEqual(6, len(self.pin(2, 3, 4, 5, 6, 7)))
        self.assertEqual([o.Recall(NODE, CLUSTER, 2)], self.ledger.node_limited(NODE, 2))
        self.assertEqual([], self.ledger.given_back(NODE, [attempt(6), attempt(7)]))
        self.assertEqual([], self.submit(8))
        self.assertEqual([], self.assigned(self.end(2) + self.end(3)))


    def test_nothing_is_parked_by_who_may_not_have_more(self) -> None:
        """Nor by a cluster whose share is all that the limit leaves: the node has more slots than that, and would use them."""
        self.ledger.node_limited(NODE, 2)
        self.ledger.allocated(CLUSTER, NODE, 2)
        self.submit(1)
        self.ledger.ended(NODE, attempt(1), DONE)
        self.assertEqual([(2, NODE), (3, NODE)], self.assigned(self.pin(2, 3, 4)))


class Leaving(Placing):
    """A cluster leaves a node, spares it, or comes back."""

    def test_idle(self) -> None:
        """It is left at once, and gets nothing more."""
        orders = self.ledger.node_closed(CLUSTER, NODE)
        self.assertEqual([o.Release(NODE, CLUSTER), o.TellClosed(CLUSTER, NODE, "it was closed", is_over=True)], orders)
        self.assertEqual([(1, SECOND)], self.assigned(self.submit(1, 2)))

    def test_when_its_jobs_are_done(self) -> None:
        """Those that run there, and those that wait for it."""
        self.pin(1, 2)
        self.assertEqual([], self.ledger.node_closed(CLUSTER, NODE))
        self.assertEqual([(3, "a node, which it is for, has no use: it gets no new jobs of this cluster")], self.reasons(self.pin(3)))
        self.assertEqual([(2, NODE)], self.assigned(self.end(1)))
        self.assertIn(o.Release(NODE, CLUSTER), self.end(2))

    def test_at_once(self) -> None:
        """What runs is cancelled there, what waits here."""
        self.pin(1, 2)
        orders = self.ledger.node_closed(CLUSTER, NODE, terminate=True)
        self.assertEqual([(2, "a node is left")], self.reasons(orders))
        self.assertIn(o.Withdraw(NODE, attempt(1)), orders)
        self.assertNotIn(o.Release(NODE, CLUSTER), orders)
        self.assertIn(o.Release(NODE, CLUSTER), self.ledger.ended(NODE, attempt(1), Outcome(CANCELLED)))

    def test_while_it_is_away(self) -> None:
        """It is told when it is there again; no new link, and no new incarnation, brings it back into use."""
        self.ledger.left(NODE, 0.0)
        self.assertEqual([], unshown(self.ledger.node_closed(CLUSTER, NODE)))
        self.join(NODE, 1)
        self.assertEqual([o.Release(NODE, CLUSTER)], self.reconcile())
        self.assertEqual([o.Reconcile(NODE, ())], self.join(NODE, 1, incarnation=2))
        self.assertEqual([], self.ledger.wanted(CLUSTER, NODE))
        self.assertEqual([], self.ledger.prepared(NODE, CLUSTER, 9))

    def test_late_words(self) -> None:
        """What was on its way when it was left changes nothing."""
        self.ledger.node_closed(CLUSTER, NODE)
        words = [self.ledger.rejected(NODE, CLUSTER, "no"), self.ledger.held(NODE, CLUSTER, "in use")]
        words += [self.ledger.supervisor_died(NODE, CLUSTER, "killed"), self.ledger.allocated(CLUSTER, NODE, 1)]
        self.assertEqual([[]] * 4, words)
        self.assertEqual(PreparationState.CLOSED, self.state())

    def test_and_back(self) -> None:
        """The user's NodeAllocate is asked again, and the node set up again."""
        self.ledger.node_closed(CLUSTER, NODE)
        self.assertEqual([o.Release(NODE, CLUSTER), o.Allocate(CLUSTER, NODE)], self.ledger.node_allocated(CLUSTER, NODE))
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.allocated(CLUSTER, NODE, 1))
        self.pin(1)
        self.assertEqual([(1, NODE)], self.assigned(self.ledger.prepared(NODE, CLUSTER, GENERATION + 1)))

    def test_spared(self) -> None:
        """It gets nothing new, but what waits for it alone; then it is used again, without being set up again."""
        self.pin(1, 2)
        self.ledger.node_deallocated(CLUSTER, NODE)
        self.assertEqual([(2, NODE)], self.assigned(self.end(1)))
        self.end(2)
        self.assertEqual([(3, SECOND)], self.assigned(self.submit(3, 4)))
        self.assertEqual([o.Allocate(CLUSTER, NODE)], self.ledger.node_allocated(CLUSTER, NODE))
        self.assertEqual([(4, NODE)], self.assigned(self.ledger.allocated(CLUSTER, NODE, 1)))

    def test_allocated_anew(self) -> None:
        """A node in use may get more slots, fewer or none; one that was not used comes into use."""
        self.ledger.node_allocated(CLUSTER, NODE)
        self.assertEqual(
            [o.Release(NODE, CLUSTER), o.TellClosed(CLUSTER, NODE, "no CPUs of it were allocated", is_over=True)],
            self.ledger.allocated(CLUSTER, NODE, 0),
        )
        self.assertEqual([o.Allocate(CLUSTER, NODE)], self.ledger.node_allocated(CLUSTER, NODE))
        self.assertEqual([], self.ledger.node_allocated(CLUSTER, NODE), "it is being asked already")
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.allocated(CLUSTER, NODE, 1))

    def test_a_node_that_is_not_used(self) -> None:
        """There is nothing to leave, and nobody has asked for it."""
        self.join(b"x" * 16)
        self.assertEqual([], self.ledger.node_closed(CLUSTER, b"x" * 16) + self.ledger.node_deallocated(CLUSTER, b"x" * 16))
        self.assertEqual([], self.ledger.node_allocated(CLUSTER, b"x" * 16))


class Renewing(Placing):
    """A node is set up anew."""

    def test_when_its_jobs_are_done(self) -> None:
        """It is cleaned up, NodeAllocate asked, and set up; what waits for it waits for that."""
        self.pin(1, 2)
        self.assertEqual([], self.ledger.node_resetup(CLUSTER, NODE))
        orders = self.end(1)
        self.assertEqual([o.TellClosed(CLUSTER, NODE, "it is set up anew")], [each for each in orders if each not in unshown(orders)])
        self.assertEqual([o.Release(NODE, CLUSTER), o.Allocate(CLUSTER, NODE)], unshown(orders)[1:])
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.allocated(CLUSTER, NODE, 1))
        orders = self.ledger.prepared(NODE, CLUSTER, GENERATION + 1)
        self.assertEqual([o.TellReady(CLUSTER, NODE), assign(2, generation=GENERATION + 1)], orders)

    def test_a_late_word_of_the_old_one(self) -> None:
        """Is not taken for the new one's."""
        self.ledger.node_resetup(CLUSTER, NODE)
        self.ledger.allocated(CLUSTER, NODE, 1)
        self.pin(1)
        self.assertEqual([], self.ledger.prepared(NODE, CLUSTER, GENERATION))

    def test_while_the_old_one_ends(self) -> None:
        """The node cannot take it yet, as it was asked to: nobody is told. If somebody else has got it meanwhile, the user is."""
        self.ledger.node_resetup(CLUSTER, NODE)
        self.ledger.allocated(CLUSTER, NODE, 1)
        self.assertEqual([], self.ledger.held(NODE, CLUSTER, STILL_ENDING))
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.freed(NODE))
        self.assertEqual([o.TellHeld(CLUSTER, NODE, "in use by bob")], self.ledger.held(NODE, CLUSTER, "in use by bob"))
        self.ledger.freed(NODE)
        self.ledger.prepared(NODE, CLUSTER, GENERATION + 1)
        self.assertEqual([o.TellHeld(CLUSTER, NODE, STILL_ENDING)], self.ledger.held(NODE, CLUSTER, STILL_ENDING))

    def test_while_it_is_away(self) -> None:
        """What was set up before is released when the node is there again."""
        self.ledger.left(NODE, 0.0)
        self.assertEqual([o.Allocate(CLUSTER, NODE)], unshown(self.ledger.node_resetup(CLUSTER, NODE)))
        self.assertEqual([], self.ledger.allocated(CLUSTER, NODE, 1))
        self.join(NODE, 1)
        self.assertEqual([o.Release(NODE, CLUSTER), o.Prepare(NODE, CLUSTER)], self.reconcile())

    def test_a_rejected_node(self) -> None:
        """Gets another try."""
        self.ledger.rejected(NODE, CLUSTER, "setup failed")
        orders = self.ledger.node_resetup(CLUSTER, NODE)
        self.assertEqual([o.Release(NODE, CLUSTER), o.Allocate(CLUSTER, NODE)], orders)


class Asked(Placing):
    """Which jobs are where."""

    def test_jobs_at(self) -> None:
        """Those of the cluster that have a slot there; none that wait there, and none of a node that is not known."""
        self.pin(900)
        self.ledger.ended(NODE, attempt(900), DONE)
        self.pin(1, 2, 3)
        self.assertEqual([uid(1)], self.ledger.jobs_at(CLUSTER, NODE))
        self.ledger.started(NODE, attempt(2), 1.0)
        self.assertEqual([uid(1), uid(2)], self.ledger.jobs_at(CLUSTER, NODE))
        self.assertEqual([], self.ledger.jobs_at(CLUSTER, SECOND) + self.ledger.jobs_at(CLUSTER, b"x" * 16))
        self.assertEqual([], self.ledger.jobs_at(OTHER, NODE))

    def test_what_runs_stays(self) -> None:
        """A reconcile changes nothing about it."""
        self.pin(1)
        self.join(NODE, 1)
        self.assertEqual([], self.reconcile((attempt(1), RUNNING)))
        self.assertEqual([uid(1)], self.ledger.jobs_at(CLUSTER, NODE))
