"""Computations get ready on nodes, or do not."""

from __future__ import annotations

from dispytw.scheduler import orders as o
from dispytw.scheduler.attendance import MOST_DEATHS
from dispytw.scheduler.entries import PreparationState
from tests.scheduler.attending import CLUSTER, NODE, OTHER, SECOND, Registry, assign, unshown


class Preparing(Registry):
    """A computation gets ready on a node."""

    def setUp(self) -> None:
        super().setUp()
        self.join()
        self.reconcile(ready=False)

    def test_asked_for_once(self) -> None:
        """However many entries of a cluster name the node, its slots are allocated once."""
        self.assertEqual([o.Allocate(CLUSTER, NODE)], self.ledger.wanted(CLUSTER, NODE))
        self.assertEqual([], self.ledger.wanted(CLUSTER, NODE))

    def test_nobody_asked(self) -> None:
        """A cluster that is closed wants nothing; what comes too late for it is ignored, or closed again."""
        self.assertEqual([], self.ledger.wanted(OTHER, NODE))
        self.assertEqual([], self.ledger.allocated(OTHER, NODE, 1))
        self.assertEqual([], self.ledger.rejected(NODE, OTHER, "no"))
        self.assertEqual([], self.ledger.held(NODE, OTHER, "in use"))
        self.assertEqual([], self.ledger.supervisor_died(NODE, OTHER, "killed"))
        self.assertEqual([o.Release(NODE, OTHER)], self.ledger.prepared(NODE, OTHER, 1))

    def test_allocated(self) -> None:
        """No more than the node has, and it is prepared."""
        self.ledger.wanted(CLUSTER, NODE)
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.allocated(CLUSTER, NODE, 99))
        self.assertEqual(2, self.ledger.nodes[NODE].preparations[CLUSTER].cpus)

    def test_allocated_nothing(self) -> None:
        """The cluster does not use the node."""
        for slots in (0, -1):
            self.ledger.wanted(CLUSTER, NODE)
            self.assertEqual([], self.ledger.allocated(CLUSTER, NODE, slots))
            self.assertEqual(PreparationState.UNUSED, self.state())

    def test_allocated_while_away(self) -> None:
        """It is prepared when the node is back."""
        self.ledger.wanted(CLUSTER, NODE)
        self.ledger.left(NODE, 0.0)
        self.assertEqual([], self.ledger.allocated(CLUSTER, NODE, 2))
        self.join()
        self.assertIn(o.Prepare(NODE, CLUSTER), self.reconcile(ready=False))

    def test_rejected(self) -> None:
        """The user is told why; the node gets no job of this cluster."""
        self.ledger.wanted(CLUSTER, NODE)
        self.ledger.allocated(CLUSTER, NODE, 2)
        self.assertEqual([o.TellRejected(CLUSTER, NODE, "no")], self.ledger.rejected(NODE, CLUSTER, "no"))
        self.assertEqual([], self.submit(1))

    def test_held(self) -> None:
        """The user is told by whom; when the node is free, it is tried again, for those that were turned away."""
        self.ready()
        self.ready(SECOND)
        self.assertEqual([o.TellHeld(CLUSTER, NODE, "in use")], self.ledger.held(NODE, CLUSTER, "in use"))
        self.assertEqual([assign(1, node=SECOND), assign(2, node=SECOND)], self.submit(1, 2, 3))
        self.assertEqual([o.Prepare(NODE, CLUSTER)], self.ledger.freed(NODE))
        self.assertEqual([], self.ledger.freed(NODE))
        self.assertEqual([], self.ledger.freed(SECOND))

    def test_a_supervisor_dies(self) -> None:
        """It is prepared again, and jobs wait for that; after the third time the node is rejected."""
        self.ready()
        for _ in range(MOST_DEATHS - 1):
            self.assertEqual([o.Prepare(NODE, CLUSTER)], unshown(self.ledger.supervisor_died(NODE, CLUSTER, "killed")))
        self.assertEqual([], self.submit(1))
        (told,) = self.ledger.supervisor_died(NODE, CLUSTER, "killed")
        self.assertEqual(o.TellRejected(CLUSTER, NODE, "its supervisor died 3 times: killed"), told)
        self.assertEqual(PreparationState.REJECTED, self.state())

    def test_a_supervisor_dies_while_the_node_is_away(self) -> None:
        """There is nobody to prepare it yet."""
        self.ready()
        self.ledger.left(NODE, 0.0)
        self.assertEqual([o.TellClosed(CLUSTER, NODE, "killed")], self.ledger.supervisor_died(NODE, CLUSTER, "killed"))
        self.assertEqual(PreparationState.PREPARING, self.state())
