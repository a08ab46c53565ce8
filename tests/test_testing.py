"""The whole house in memory does what a real one does, for our tests and for those of our users."""

from __future__ import annotations

import random
import unittest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw import DispyJob
from dispytw.inmemory import MemoryProcess, Transport, Wire
from dispytw.testing import House, MemoryCluster, MemoryNode
from dispytw.values import CANCELLED, FINISHED, RUNNING, TERMINAL, TERMINATED


class Ear:
    """A protocol that notes what it hears, and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.heard: list[tuple[float, Any]] = []

    def dataReceived(self, data: bytes) -> None:
        self.heard.append((round(self.clock.seconds(), 6), data))

    def connectionLost(self, reason: Any) -> None:
        self.heard.append((round(self.clock.seconds(), 6), reason.type.__name__))


class Wires(unittest.TestCase):
    """Links in memory: two ends, each in a process, and a latency."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.latencies = [0.5, 0.25, 0.125, 0.125]
        self.processes = [MemoryProcess(self.clock), MemoryProcess(self.clock)]
        ends = [Transport(self.clock, lambda: self.latencies.pop(0), process) for process in self.processes]
        self.near, self.far = ends
        self.ears = [Ear(self.clock), Ear(self.clock)]
        for end, other, ear in ((self.near, self.far, self.ears[0]), (self.far, self.near, self.ears[1])):
            end.other, end.protocol = other, ear
        self.wire = Wire(*ends)

    def heard(self, seconds: float = 10.0) -> tuple[list[tuple[float, Any]], list[tuple[float, Any]]]:
        """What both ends have heard after so many seconds."""
        for _ in range(round(seconds * 8)):
            self.clock.advance(0.125)
        near, far = self.ears
        return near.heard, far.heard

    def test_latency_and_order(self) -> None:
        """Bytes arrive after the latency, and never before those that were written earlier."""
        self.near.write(b"one")
        self.near.writeSequence([b"t", b"wo"])
        self.far.write(b"three")
        self.assertEqual(([(0.125, b"three")], [(0.5, b"one"), (0.5, b"two")]), self.heard())

    def test_cut(self) -> None:
        """What is underway is lost, and both ends learn of it at once."""
        self.near.write(b"one")
        self.clock.advance(0.25)
        self.wire.cut()
        self.assertEqual(([(0.25, "ConnectionLost")], [(0.25, "ConnectionLost")]), self.heard())
        self.assertFalse(self.wire.open)

    def test_torn(self) -> None:
        """Half-open: what is underway is lost, what is sent later too, and nobody learns of it."""
        self.near.write(b"one")
        self.wire.tear()
        self.far.write(b"two")
        self.assertEqual(([], []), self.heard())
        self.assertTrue(self.wire.open)

    def test_held(self) -> None:
        """A network that keeps everything for a while loses nothing, and mixes nothing up."""
        self.near.write(b"one")
        self.wire.hold(3.0)
        self.near.write(b"two")
        self.near.write(b"three")
        self.assertEqual(([], [(0.5, b"one"), (3.0, b"two"), (3.0, b"three")]), self.heard())

    def test_closed(self) -> None:
        """What was written before the end arrives before the end; what is written after it does not."""
        self.near.write(b"one")
        self.near.loseConnection()
        self.near.write(b"two")
        self.assertEqual(([(0.125, "ConnectionDone")], [(0.5, b"one"), (0.5, "ConnectionDone")]), self.heard())

    def test_aborted(self) -> None:
        """The other end learns of it later."""
        self.near.abortConnection()
        self.assertEqual(([(0.125, "ConnectionLost")], [(0.5, "ConnectionLost")]), self.heard())

    def test_a_suspended_process(self) -> None:
        """Hears nothing, and calls nothing, until it goes on: then all, in order."""
        called: list[str] = []
        self.processes[1].callLater(1.0, called.append, "called")
        self.processes[1].suspend()
        self.near.write(b"one")
        self.near.write(b"two")
        self.assertEqual(([], []), self.heard(2.0))
        self.assertEqual([], called)
        self.processes[1].resume()
        self.assertEqual(([(2.0, b"one"), (2.0, b"two")], ["called"]), (self.heard(1.0)[1], called))

    def test_a_killed_process(self) -> None:
        """Hears nothing any more, and calls nothing."""
        called: list[str] = []
        self.processes[1].callLater(1.0, called.append, "called")
        self.near.write(b"one")
        self.processes[1].kill()
        self.assertEqual(([], []), self.heard())
        self.assertEqual([], called)


class HouseCase(SynchronousTestCase):
    """Tests of a house; an error that anybody in it logs fails them."""

    def house(self, nodes: int = 1, cpus: int = 2, **options: Any) -> tuple[House, list[MemoryNode], MemoryCluster]:
        """A house with one client, and a cluster that is ready on its nodes."""
        house = House()
        rooms = [house.node(cpus) for _ in range(nodes)]
        cluster = house.client().cluster(rooms, **options)
        house.advance(2)
        return house, rooms, cluster

    def statuses(self, cluster: MemoryCluster) -> list[int]:
        """Of all its jobs."""
        return [job.status for job in cluster.jobs]

    def assert_settled_once(self, cluster: MemoryCluster) -> None:
        """Every job has one outcome, and its status."""
        for job in cluster.jobs:
            self.assertEqual([job.status], [outcome.status for outcome in job.outcomes])
            self.assertIn(job.status, TERMINAL)


class Jobs(HouseCase):
    """One job, there and back, and many."""

    def test_as_the_docstring_shows(self) -> None:
        """The example that users read first."""
        house = House()
        node = house.node(cpus=2)
        client = house.client()
        cluster = client.cluster([node])
        job = cluster.submit(duration=3.0)
        house.advance(5)
        self.assertEqual(DispyJob.Finished, job.status)

    def test_a_job(self) -> None:
        """Runs for as long as it says, on the wall clock of its node, and has one outcome."""
        house, _, cluster = self.house()
        job = cluster.submit(duration=3.0)
        self.assertIsNone(job.outcome)
        house.advance(1)
        self.assertEqual(RUNNING, job.status)
        house.advance(3)
        assert job.outcome is not None and job.outcome.started is not None and job.outcome.ended is not None
        self.assertEqual(FINISHED, job.status)
        self.assertAlmostEqual(3.0, job.outcome.ended - job.outcome.started, places=3)
        self.assertEqual([1], house.starts[job.uid])

    def test_slots(self) -> None:
        """No more jobs than slots run at the same time; all of them come to an end."""
        house, nodes, cluster = self.house(nodes=2, cpus=2)
        for _ in range(10):
            cluster.submit(duration=1.0)
        most = 0
        for _ in range(60):
            house.advance(0.1)
            most = max(most, *(list(house.running.values()).count(node) for node in nodes))
        self.assertEqual(2, most)
        self.assertEqual([FINISHED] * 10, self.statuses(cluster))
        self.assertEqual(10, len(house.performed))
        self.assert_settled_once(cluster)

    def test_allocated_by_the_user(self) -> None:
        """The user's code says how many slots of a node are used; when it raises, the user is told."""
        house = House()
        node = house.node(cpus=4)
        frugal, broken = house.client().cluster([node]), house.client().cluster([house.node()])
        frugal.allocate = lambda facts: 1

        def raises(facts: Any) -> int:
            raise ValueError("no idea")

        broken.allocate = raises
        for _ in range(3):
            frugal.submit(duration=5.0)
        house.advance(4)
        self.assertEqual(1, list(house.running.values()).count(node))
        self.assertTrue(any("no idea" in text for text in broken.said), broken.said)

    def test_large_arguments(self) -> None:
        """Arguments that do not fit a box go ahead as a stream."""
        house, _, cluster = self.house()
        cluster.submit(duration=0.5, padding=3_000_000)
        house.advance(3)
        self.assertEqual([FINISHED], self.statuses(cluster))

    def test_cancels(self) -> None:
        """A job that waits, one that runs, and one that has ended already, which keeps its status."""
        house, _, cluster = self.house(cpus=1)
        ended = cluster.submit(duration=0.1)
        house.advance(1)
        running, waiting = cluster.submit(duration=50.0), cluster.submit(duration=50.0)
        house.advance(1)
        self.assertEqual([False, True, True], [cluster.cancel(job) for job in (ended, waiting, running)])
        house.advance(1)
        self.assertEqual([FINISHED, CANCELLED, CANCELLED], self.statuses(cluster))
        self.assertNotIn(waiting.uid, house.starts)
        self.assert_settled_once(cluster)

    def test_given_up(self) -> None:
        """Every job is settled at once, and stopped where it runs."""
        house, _, cluster = self.house(cpus=1)
        for _ in range(3):
            cluster.submit(duration=50.0)
        house.advance(1)
        cluster.give_up()
        self.assertEqual([CANCELLED] * 3, self.statuses(cluster))
        house.advance(1)
        self.assertEqual({}, house.running)

    def test_closed(self) -> None:
        """The nodes clean up; the link goes, and nothing is left of the client."""
        house, nodes, cluster = self.house(nodes=2)
        cluster.submit(duration=0.1)
        house.advance(1)
        closed = cluster.close()
        house.advance(6)
        self.successResultOf(closed)
        self.assertEqual([[], []], [node.launcher.computations for node in nodes])
        self.assertEqual([[], []], [house.wires_of(node) for node in nodes])
        house.advance(100)
        self.assertEqual([], house.clock.getDelayedCalls())


class Trouble(HouseCase):
    """What may go wrong, and what becomes of jobs then."""

    def test_a_node_crashes(self) -> None:
        """And starts again: a reentrant job is performed once more, another is Cancelled, and its reason says why."""
        for reentrant, status, starts in ((True, FINISHED, [1, 2]), (False, CANCELLED, [1])):
            house, (node,), cluster = self.house(reentrant=reentrant)
            job = cluster.submit(duration=5.0)
            house.advance(1)
            node.crash()
            self.assertEqual((False, {}), (node.up, house.running))
            house.advance(1)
            self.assertEqual(RUNNING, job.status)
            node.restart()
            self.assertEqual((True, 2), (node.up, node.incarnation))
            house.advance(60)
            self.assertEqual((status, starts), (job.status, house.starts[job.uid]))
            self.assert_settled_once(cluster)
            if not reentrant:
                self.assertIn("no longer knows it", job.outcomes[0].reason)

    def test_a_node_that_does_not_come_back(self) -> None:
        """Its reentrant jobs go to another after a minute; the user is told that it does not answer."""
        house, (gone, other), cluster = self.house(nodes=2, cpus=1, reentrant=True)
        jobs = [cluster.submit(duration=5.0) for _ in range(2)]
        house.advance(1)
        gone.crash()
        house.advance(58)
        self.assertEqual([FINISHED, RUNNING], sorted((job.status for job in jobs), reverse=True))
        self.assertTrue(any("does not answer; 1 jobs are there" in text for text in cluster.said), cluster.said)
        house.advance(20)
        self.assertEqual([FINISHED, FINISHED], self.statuses(cluster))
        self.assertEqual([[1], [1, 2]], sorted(house.starts.values()))
        self.assertTrue(other.up)

    def test_a_link_is_cut(self) -> None:
        """A job goes on, and its outcome comes over the next link: it is started once."""
        house, (node,), cluster = self.house()
        job = cluster.submit(duration=5.0)
        house.advance(1)
        (wire,) = house.wires_of(node)
        wire.cut()
        house.advance(1)
        self.assertNotIn(wire, house.wires_of(node))
        house.advance(10)
        self.assertEqual((FINISHED, [1]), (job.status, house.starts[job.uid]))
        self.assert_settled_once(cluster)

    def test_a_link_is_half_open(self) -> None:
        """Nobody is told: five silent heartbeats make the node away, and a new link brings the outcome."""
        house, (node,), cluster = self.house()
        job = cluster.submit(duration=1.0)
        house.advance(0.5)
        (wire,) = house.wires_of(node)
        wire.tear()
        house.advance(20)
        self.assertEqual((RUNNING, True), (job.status, wire.open))
        house.advance(20)
        self.assertEqual((FINISHED, [1], False), (job.status, house.starts[job.uid], wire.open))

    def test_a_slow_network(self) -> None:
        """Held for less than five heartbeats, a link stays."""
        house, (node,), cluster = self.house()
        (wire,) = house.wires_of(node)
        wire.hold(15.0)
        job = cluster.submit(duration=1.0)
        house.advance(40)
        self.assertEqual((FINISHED, [wire]), (job.status, house.wires_of(node)))

    def test_a_supervisor_crashes(self) -> None:
        """Its jobs are Terminated and say so; the computation is made ready again for the others."""
        house, (node,), cluster = self.house(cpus=1)
        killed, later = cluster.submit(duration=5.0), cluster.submit(duration=1.0)
        house.advance(1)
        node.launcher.kill_supervisor(cluster.uid)
        house.advance(5)
        self.assertEqual([TERMINATED, FINISHED], [killed.status, later.status])
        assert killed.outcome is not None and killed.outcome.exception is not None
        self.assertIn("SIGKILL", killed.outcome.exception)
        self.assert_settled_once(cluster)

    def test_a_job_is_killed(self) -> None:
        """It alone is Terminated."""
        house, (node,), cluster = self.house(cpus=2)
        jobs = [cluster.submit(duration=2.0) for _ in range(2)]
        house.advance(1)
        (attempt,) = [attempt for attempt in node.launcher.running() if attempt.job == jobs[0].uid]
        node.launcher.kill_job(attempt)
        house.advance(3)
        self.assertEqual([TERMINATED, FINISHED], self.statuses(cluster))

    def test_setup_fails(self) -> None:
        """The node is rejected with the reason; nothing is started there."""
        house = House()
        node = house.node()
        node.launcher.setup_text = "no such module"
        cluster = house.client().cluster([node])
        cluster.submit()
        house.advance(5)
        self.assertEqual(({}, [0]), (house.starts, self.statuses(cluster)))
        self.assertTrue(any("no such module" in text for text in cluster.said), cluster.said)

    def test_a_node_is_stopped(self) -> None:
        """It cancels what runs, tells it, and goes: a reentrant job is performed elsewhere."""
        house, nodes, cluster = self.house(nodes=2, cpus=1, reentrant=True)
        job = cluster.submit(duration=3.0)
        house.advance(1)
        (busy,) = house.running.values()
        busy.stop()
        house.advance(10)
        self.assertEqual([busy], [node for node in nodes if not node.up])
        self.assertEqual((FINISHED, 2), (job.status, len(house.starts[job.uid])))

    def test_a_suspended_node(self) -> None:
        """A laptop that sleeps for ten minutes: its jobs go on by true time, and their outcomes are told when it wakes."""
        house, (node,), cluster = self.house()
        job = cluster.submit(duration=5.0)
        house.advance(1)
        node.process.suspend()
        house.advance(600)
        self.assertEqual(RUNNING, job.status)
        node.process.resume()
        house.advance(60)
        self.assertEqual((FINISHED, [1]), (job.status, house.starts[job.uid]))
        self.assert_settled_once(cluster)

    def test_the_wall_clock_jumps(self) -> None:
        """By an hour, forward: what was to be done within the hour is done, but no link is lost over it, and no job."""
        house, (node,), cluster = self.house()
        wires = house.wires_of(node)
        job = cluster.submit(duration=5.0)
        house.advance(1)
        woken: list[float] = []
        node.process.callLater(3600.0, lambda: woken.append(house.now()))
        house.wall_clock_jumps(3600.0)
        house.advance(30)
        self.assertEqual((FINISHED, wires, 1), (job.status, house.wires_of(node), len(woken)))

    def test_the_wall_clock_is_set_back(self) -> None:
        """By an hour: what a process waits for comes an hour late, and whatever else happens in the world comes when it is due."""
        house, (node,), _ = self.house()
        happened: list[str] = []
        node.process.callLater(1.0, lambda: happened.append("woken"))
        house.clock.callLater(2.0, lambda: happened.append("world"))
        house.wall_clock_jumps(-3600.0)
        house.advance(3)
        self.assertEqual(["world"], happened)
        house.advance(3600)
        self.assertEqual(["world", "woken"], happened)

    def test_nobody_answers(self) -> None:
        """A node that is down when the client comes: after three seconds the user is told; when it is up, jobs run."""
        house = House()
        node = house.node()
        node.crash()
        cluster = house.client().cluster([node])
        job = cluster.submit(duration=1.0)
        house.advance(4)
        self.assertTrue(any("nothing listens there" in text for text in cluster.said), cluster.said)
        node.restart()
        house.advance(60)
        self.assertEqual(FINISHED, job.status)

    def test_two_clients_for_one_node(self) -> None:
        """The second waits, is told for whom, and gets the node when the first has left it."""
        house = House()
        node = house.node()
        first, second = house.client("alice").cluster([node]), house.client("bob").cluster([node])
        house.advance(2)
        jobs = [first.submit(duration=5.0), second.submit(duration=1.0)]
        house.advance(20)
        self.assertEqual([FINISHED, 0], [job.status for job in jobs])
        self.assertTrue(any("in use by alice" in text for text in second.said), second.said)
        first.close()
        house.advance(10)
        self.assertEqual([FINISHED, FINISHED], [job.status for job in jobs])

    def test_a_client_is_killed(self) -> None:
        """Its node is free for another when what it ran has ended, and a minute has passed."""
        house, (node,), cluster = self.house()
        cluster.submit(duration=5.0)
        house.advance(1)
        cluster.client.kill()
        other = house.client("bob").cluster([node])
        job = other.submit(duration=1.0)
        house.advance(30)
        self.assertEqual(0, job.status)
        house.advance(120)
        self.assertEqual(FINISHED, job.status)

    @given(st.integers(0, 2**32))
    @settings(deadline=None, max_examples=4)
    def test_one_seed_one_history(self, seed: int) -> None:
        """The same chance gives the same house, whatever is done to it; every job has one outcome."""

        def history() -> list[Any]:
            chance = random.Random(seed)
            house = House(chance)
            nodes = [house.node(cpus=2) for _ in range(2)]
            cluster = house.client().cluster(nodes, reentrant=True)
            for _ in range(12):
                cluster.submit(duration=chance.uniform(0, 5))
            for _ in range(4):
                house.advance(chance.uniform(0, 4))
                node = chance.choice(nodes)
                trouble = chance.randrange(3)
                if trouble == 0 and node.up:
                    node.crash()
                    node.restart()
                elif house.wires_of(node):
                    chance.choice([Wire.cut, Wire.tear])(house.wires_of(node)[0])
            house.advance(150)
            self.assert_settled_once(cluster)
            return [(job.uid, job.outcomes, house.starts.get(job.uid)) for job in cluster.jobs]

        self.assertEqual(history(), history())
