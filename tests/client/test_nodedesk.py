"""What clusters want of single nodes, with nodes in memory: jobs for one of them, fewer CPUs, nodes that are left or set up anew."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.session import Target
from dispytw.testing import House, MemoryCluster, MemoryJob, MemoryNode
from dispytw.values import CANCELLED, FINISHED, RUNNING, Availability, Computation, File

BUSY = Availability(10.0, 1 << 20, 1 << 30, 50.0)


class Desk(SynchronousTestCase):
    """Two nodes with two CPUs each, and a cluster that uses both."""

    def setUp(self) -> None:
        self.house = House()
        self.nodes = [self.house.node(cpus=2), self.house.node(cpus=2)]
        self.client = self.house.client()
        self.session = self.client.session
        self.cluster = self.open(self.nodes)
        self.uid = self.cluster.uid

    def open(self, nodes: list[MemoryNode], **options: Any) -> MemoryCluster:
        """A cluster that is ready."""
        cluster = self.client.cluster(nodes, **options)
        self.house.advance(0.5)
        return cluster

    def where(self, *jobs: MemoryJob) -> list[int | None]:
        """The number of the node on which each job's body runs."""
        places = {attempt.job: self.nodes.index(node) for attempt, node in self.house.running.items()}
        return [places.get(job.uid) for job in jobs]


class Jobs(Desk):
    """Jobs for one node alone."""

    def test_there_and_back(self) -> None:
        """They run on that node only, two at a time, beside others that go where there is room."""
        pinned = [self.cluster.submit(1.0, node=self.nodes[1]) for _ in range(4)]
        others = [self.cluster.submit(1.0) for _ in range(2)]
        self.house.advance(0.5)
        self.assertEqual([1, 1, None, None, 0, 0], self.where(*pinned, *others))
        self.house.advance(1.0)
        self.assertEqual([1, 1], self.where(*pinned[2:]))
        self.house.advance(1.0)
        self.assertEqual({FINISHED}, {job.status for job in pinned + others})

    def test_what_runs_where(self) -> None:
        """As it is known here, and as the node sees it; a node without a link says nothing."""
        job = self.cluster.submit(5.0, node=self.nodes[1])
        self.house.advance(0.5)
        uids = [node.uid for node in self.nodes]
        self.assertEqual([[], [job]], [self.session.jobs_at(self.uid, uid) for uid in uids])
        asked = [self.session.ask_for_jobs(self.uid, uid) for uid in uids]
        self.house.advance(0.1)
        self.assertEqual([[], [job]], [self.successResultOf(each) for each in asked])
        self.nodes[1].crash()
        self.house.advance(0.1)
        self.assertIsNone(self.successResultOf(self.session.ask_for_jobs(self.uid, uids[1])))

    def test_asked_while_its_link_breaks(self) -> None:
        """That is no answer either."""
        asked = self.session.ask_for_jobs(self.uid, self.nodes[1].uid)
        self.nodes[1].crash()
        self.house.advance(0.1)
        self.assertIsNone(self.successResultOf(asked))

    def test_a_node_that_fails(self) -> None:
        """Is not taken for one that has no jobs: what it says is logged, and its link begins anew."""
        links = self.house.wires_of(self.nodes[1])
        with mock.patch.object(self.nodes[1].bench, "running", side_effect=ArithmeticError("no idea")):
            asked = self.session.ask_for_jobs(self.uid, self.nodes[1].uid)
            self.house.advance(0.1)
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(2, len(self.flushLoggedErrors()), "the node's, and ours")
        self.house.advance(2.0)
        self.assertNotEqual(links, self.house.wires_of(self.nodes[1]))


class Nodes(Desk):
    """Which nodes a cluster uses."""

    def test_left(self) -> None:
        """A node that is closed finishes what runs there, and is free for other clients then; it comes back when it is wanted."""
        job = self.cluster.submit(1.0, node=self.nodes[1])
        self.house.advance(0.5)
        self.session.close_node(self.uid, self.nodes[1].uid, False)
        self.assertEqual(RUNNING, job.status)
        self.house.advance(1.0)
        self.assertEqual((FINISHED, None), (job.status, self.nodes[1].bench.holder))
        self.assertEqual(("closed", self.nodes[1].uid, "it was closed", True), self.cluster.heard[-1])
        jobs = [self.cluster.submit(1.0) for _ in range(3)]
        self.house.advance(0.5)
        self.assertEqual([0, 0, None], self.where(*jobs))
        self.session.allocate_node(self.uid, self.nodes[1].uid)
        self.house.advance(0.4)
        self.assertEqual([1], self.where(jobs[2]))

    def test_left_at_once(self) -> None:
        """What runs is cancelled, and what waits for it."""
        jobs = [self.cluster.submit(9.0, node=self.nodes[1]) for _ in range(3)]
        self.house.advance(0.5)
        self.session.close_node(self.uid, self.nodes[1].uid, True)
        self.house.advance(1.0)
        self.assertEqual([CANCELLED] * 3, [job.status for job in jobs])
        self.assertIsNone(self.nodes[1].bench.holder)

    def test_spared(self) -> None:
        """A node that is deallocated gets nothing new."""
        self.session.deallocate_node(self.uid, self.nodes[1].uid)
        jobs = [self.cluster.submit(1.0) for _ in range(3)]
        self.house.advance(0.5)
        self.assertEqual([0, 0, None], self.where(*jobs))

    def test_set_up_anew(self) -> None:
        """Cleanup, NodeAllocate and setup, with another supervisor; what waits for the node runs then."""
        jobs = [self.cluster.submit(1.0, node=self.nodes[1]) for _ in range(3)]
        self.house.advance(0.5)
        before = self.nodes[1].bench._opened[self.uid].generation
        self.cluster.allocate = lambda node: 1
        self.session.resetup_node(self.uid, self.nodes[1].uid, False)
        self.house.advance(1.5)
        self.assertEqual([None, None, 1], self.where(*jobs))
        self.assertGreater(self.nodes[1].bench._opened[self.uid].generation, before)
        self.assertEqual(["ready", "closed", "ready"], [what for what, uid, *_ in self.cluster.heard if uid == self.nodes[1].uid])

    def test_set_up_anew_at_once(self) -> None:
        """What runs there is cancelled, and what waits for it; what comes then runs when it is set up again."""
        jobs = [self.cluster.submit(60.0, node=self.nodes[1]) for _ in range(3)]
        self.house.advance(0.5)
        before = self.nodes[1].bench._opened[self.uid].generation
        self.session.resetup_node(self.uid, self.nodes[1].uid, True)
        self.house.advance(1.0)
        self.assertEqual([CANCELLED] * 3, [job.status for job in jobs])
        later = self.cluster.submit(1.0, node=self.nodes[1])
        self.house.advance(0.5)
        self.assertEqual([1], self.where(later))
        self.assertGreater(self.nodes[1].bench._opened[self.uid].generation, before)

    def test_another_try(self) -> None:
        """A node that could not run the computation gets another one; the user is told again if it fails again."""
        self.nodes[1].crash()
        self.nodes[1].restart()
        self.nodes[1].launcher.setup_text = "Traceback\nValueError: not yet"
        self.house.advance(40.0)
        for _ in range(2):
            self.assertIn("ValueError: not yet", self.cluster.said.pop())
            self.session.resetup_node(self.uid, self.nodes[1].uid, False)
            self.house.advance(1.0)
        self.nodes[1].launcher.setup_text = ""
        self.session.resetup_node(self.uid, self.nodes[1].uid, False)
        self.house.advance(1.0)
        self.assertEqual(("ready", self.nodes[1].uid), self.cluster.heard[-1])

    def test_more_of_them(self) -> None:
        """A cluster gets more nodes later; who is named twice is used once."""
        third = self.house.node(cpus=1)
        for _ in range(2):
            self.session.extend(self.uid, [Target(third.address, None)])
        self.house.advance(0.5)
        self.assertEqual(("ready", third.uid), self.cluster.heard[-1])
        self.assertEqual(3, len(self.session._enrolled[self.uid].targets))
        done = self.cluster.close()
        self.house.advance(0.5)
        self.successResultOf(done)
        self.assertEqual([None] * 3, [node.bench.holder for node in (*self.nodes, third)])

    def test_now(self) -> None:
        """A node that is looked for at ever longer intervals is looked for at once."""
        self.nodes[1].crash()
        self.house.advance(120.0)
        self.nodes[1].restart()
        self.session.dial_again([Target(self.nodes[1].address, None), Target(self.nodes[0].address, "unknown")])
        self.house.advance(0.5)
        self.assertEqual(("ready", self.nodes[1].uid), self.cluster.heard[-1])

    def test_its_own_computation(self) -> None:
        """A node gets the computation with what was added for it; the others get what all get."""
        bundle = File(".bundle", b"\1" * 32, 0)
        other = Computation(self.uid, "compute", bundle)
        self.session.use_variant(self.uid, self.nodes[1].uid, other, {})
        self.session.resetup_node(self.uid, self.nodes[1].uid, False)
        self.house.advance(0.5)
        digests = [node.bench._opened[self.uid].computation.bundle.digest for node in self.nodes]
        self.assertEqual([b"\0" * 32, b"\1" * 32], digests)
        self.session.use_variant(self.uid, self.nodes[1].uid, None, {})
        self.assertEqual(b"\0" * 32, self.session.computation(self.uid, self.nodes[1].uid).bundle.digest)

    def test_a_cluster_that_is_closed(self) -> None:
        """Nothing is done for it."""
        node = self.nodes[0].uid
        self.cluster.close()
        self.house.advance(0.5)
        self.session.extend(self.uid, [])
        self.session.use_variant(self.uid, node, None, {})
        self.session.allocate_node(self.uid, node)
        self.session.deallocate_node(self.uid, node)
        self.session.close_node(self.uid, node, True)
        self.session.resetup_node(self.uid, node, True)
        self.assertEqual({}, self.session._enrolled)


class Limits(Desk):
    """CPUs that are used, over all clusters."""

    def test_fewer(self) -> None:
        """Every cluster is told, and no more jobs run than that; more again, and they do."""
        other = self.open(self.nodes)
        uid = self.nodes[0].uid
        self.assertEqual(1, self.session.limit_node(uid, 1))
        self.assertEqual([("limited", uid, 1)] * 2, [self.cluster.heard[-1], other.heard[-1]])
        jobs = [cluster.submit(5.0, node=self.nodes[0]) for cluster in (self.cluster, other)]
        self.house.advance(0.5)
        self.assertEqual([0, None], self.where(*jobs))
        self.assertEqual(2, self.session.limit_node(uid, 7))
        self.house.advance(0.5)
        self.assertEqual([0, 0], self.where(*jobs))

    def test_while_jobs_run(self) -> None:
        """Jobs of which there are more than that go on, and the node counts as healthy: it is not given up."""
        cluster = self.open(self.nodes[:1], pulse_interval=1.0)
        jobs = [cluster.submit(60.0) for _ in range(2)]
        self.house.advance(0.5)
        self.assertEqual(0, self.session.limit_node(self.nodes[0].uid, 0))
        self.house.advance(61.0)
        self.assertEqual([FINISHED] * 2, [job.status for job in jobs])
        self.assertEqual(["ready", "limited"], [what for what, *_ in cluster.heard if what != "available"])

    def test_what_is_possible(self) -> None:
        """At most what there is; negative leaves as many free, if there are as many; an unknown node has none."""
        uid = self.nodes[0].uid
        self.assertEqual([0, 2, 1, 0, -1], [self.session.limit_node(uid, cpus) for cpus in (0, 9, -1, -2, -3)])
        self.assertEqual(-1, self.session.limit_node(b"?" * 16, 1))


class Telling(Desk):
    """What clusters hear of nodes."""

    def test_ready_and_closed(self) -> None:
        """Each once, as long as nothing changes; and the end of the cluster is the end of its nodes."""
        self.cluster.submit(60.0, node=self.nodes[0])
        self.house.advance(1.0)
        self.house.wires_of(self.nodes[0])[0].cut()
        self.house.advance(70.0)
        self.assertEqual([("ready", node.uid) for node in self.nodes], sorted(self.cluster.heard))
        self.cluster.close()
        closed = [("closed", node.uid, "its cluster was closed", False) for node in self.nodes]
        self.assertEqual(closed, self.cluster.heard[2:])

    def test_begun_anew(self) -> None:
        """A node whose supervisors died with it is closed, and ready again when it is set up again."""
        self.nodes[0].crash()
        self.nodes[0].restart()
        self.house.advance(40.0)
        heard = [(what, *more) for what, uid, *more in self.cluster.heard if uid == self.nodes[0].uid]
        name = self.nodes[0].facts.name
        self.assertEqual([("ready",), ("closed", f"{name} does not have it set up any more", False), ("ready",)], heard)

    def test_given_up(self) -> None:
        """A node that is away for five pulses is closed."""
        cluster = self.open(self.nodes[:1], pulse_interval=1.0)
        self.nodes[0].crash()
        self.house.advance(4.5)
        self.assertNotIn("closed", [what for what, *_ in cluster.heard])
        self.house.advance(2.0)
        self.assertIn("closed", [what for what, *_ in cluster.heard])

    def test_how_busy(self) -> None:
        """Known when a node is found; told at pulse_interval, to clusters that use the node, and only if one of them wants it."""
        found = []
        self.nodes[0].available = BUSY
        self.house.advance(10.0)
        self.assertNotIn("available", [what for what, *_ in self.cluster.heard])
        cluster = self.client.cluster(self.nodes[:1], pulse_interval=2.0)
        cluster.allocate = lambda node: found.append(node.available) or 1  # type: ignore[func-returns-value]
        self.house.advance(0.5)
        self.house.advance(6.5)
        told = ("available", self.nodes[0].uid, BUSY)
        self.assertEqual([3, 3], [each.heard.count(told) for each in (cluster, self.cluster)])
        self.assertEqual([Availability(100.0, 1 << 30, 1 << 40, 100.0)], found, "as the node introduced itself")
        self.session.resetup_node(cluster.uid, self.nodes[0].uid, False)
        self.house.advance(0.5)
        self.assertEqual(BUSY, found[-1])
