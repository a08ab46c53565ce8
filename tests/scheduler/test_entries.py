"""What the ledger remembers, and the two questions it asks its entries: is there room, and how long to wait for a silent node."""

from __future__ import annotations

import unittest

from dispytw.scheduler.entries import ClusterEntry, JobEntry, NodeEntry, Preparation, PreparationState
from dispytw.values import Attempt

CLUSTER, OTHER = b"c" * 16, b"o" * 16


def a_node(cpus: int = 2, slots: int = 2) -> NodeEntry:
    """One that is live, with the cluster ready on it."""
    node = NodeEntry(b"n" * 16, 1, "node", cpus, 1, 0.0, live=True)
    node.preparations[CLUSTER] = Preparation(PreparationState.READY, generation=1, cpus=slots)
    return node


def a_job(number: int) -> JobEntry:
    return JobEntry(bytes([number]) * 16, CLUSTER, number)


class Job(unittest.TestCase):
    """A job's entry."""

    def test_the_current_attempt(self) -> None:
        """It names the job and the number of its last dispatch."""
        job = a_job(1)
        job.number = 3
        self.assertEqual(Attempt(job.uid, 3), job.attempt)


class Room(unittest.TestCase):
    """Whether a node may be given a job of a cluster."""

    def test_a_live_node_with_a_free_slot(self) -> None:
        """Has room."""
        self.assertTrue(a_node().room_for(CLUSTER))

    def test_a_node_that_does_not_answer(self) -> None:
        """Gets nothing."""
        node = a_node()
        node.live = False
        self.assertFalse(node.room_for(CLUSTER))

    def test_a_barred_node(self) -> None:
        """Gets nothing until the bar is taken away, whatever time it names."""
        node = a_node()
        node.barred_until = 0.0
        self.assertFalse(node.room_for(CLUSTER))

    def test_a_full_node(self) -> None:
        """Jobs of all clusters count, and attempts that nobody wants any more but that may still run there."""
        node = a_node(cpus=2)
        node.jobs[b"1"] = a_job(1)
        self.assertTrue(node.room_for(CLUSTER))
        node.strays.add(Attempt(b"2" * 16, 1))
        self.assertEqual(2, node.busy)
        self.assertFalse(node.room_for(CLUSTER))

    def test_more_jobs_than_slots(self) -> None:
        """A node that came back with fewer slots than it has jobs is full."""
        node = a_node(cpus=1)
        node.jobs.update({b"1": a_job(1), b"2": a_job(2)})
        self.assertFalse(node.room_for(CLUSTER))

    def test_the_cluster_s_own_share(self) -> None:
        """A cluster that may use one slot of two does not get the second."""
        node = a_node(cpus=2, slots=1)
        node.preparations[CLUSTER].busy = 1
        node.jobs[b"1"] = a_job(1)
        self.assertFalse(node.room_for(CLUSTER))

    def test_a_cluster_that_is_not_ready_there(self) -> None:
        """Jobs go only where setup() has run."""
        node = a_node()
        self.assertFalse(node.room_for(OTHER))
        for state in PreparationState:
            node.preparations[CLUSTER].state = state
            self.assertEqual(state is PreparationState.READY, node.room_for(CLUSTER), state)


class Patience(unittest.TestCase):
    """Seconds until a node that does not answer is given up."""

    def test_with_a_pulse_interval(self) -> None:
        """Five of them, whether jobs may run twice or not."""
        for reentrant in (True, False):
            self.assertEqual(10.0, ClusterEntry(CLUSTER, reentrant, 2.0).patience)

    def test_without(self) -> None:
        """A minute for jobs that may run again, an hour for those that may not."""
        self.assertEqual(60.0, ClusterEntry(CLUSTER, True, None).patience)
        self.assertEqual(3600.0, ClusterEntry(CLUSTER, False, None).patience)
