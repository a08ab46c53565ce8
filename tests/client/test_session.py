"""The client's side of everything, with nodes in memory: one link to each, jobs there and back, and no end that is missed."""

from __future__ import annotations

import gc
from typing import Any
from unittest import mock

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.enrolled import Target
from dispytw.client.nodes import Address
from dispytw.client.remains import Place
from dispytw.testing import House, MemoryCluster, MemoryNode
from dispytw.values import CANCELLED, FINISHED, RUNNING, Attempt, File
from tests.client.clustering import forget_others


class AtWork(SynchronousTestCase):
    """With nodes in memory."""

    def setUp(self) -> None:
        self.house = House()
        self.node = self.house.node(cpus=2)
        self.client = self.house.client()
        self.session = self.client.session

    def also_known_as(self, host: str) -> MemoryNode:
        """The node under another name, to name it by."""
        other: Any = type("Named", (), {"address": Address(host, self.node.address.port)})()
        self.house.nodes[other.address] = self.node
        return other  # type: ignore[no-any-return]

    def cluster(self, *nodes: MemoryNode, **options: Any) -> MemoryCluster:
        """A cluster that is ready."""
        cluster = self.client.cluster(list(nodes or [self.node]), **options)
        self.house.advance(0.5)
        return cluster

    def links(self) -> int:
        """How many links lead to the node."""
        return len(self.house.wires_of(self.node))

    def closed(self, cluster: MemoryCluster) -> None:
        """Close it, at once."""
        done = cluster.close()
        self.house.advance(0.1)
        self.successResultOf(done)

    def test_there_and_back(self) -> None:
        """Jobs run, no more at a time than there are slots, and each ends once."""
        cluster = self.cluster()
        jobs = [cluster.submit(1.0) for _ in range(4)]
        self.house.advance(0.5)
        self.assertEqual([RUNNING, RUNNING, 0, 0], [job.status for job in jobs])
        self.house.advance(2)
        self.assertEqual([[FINISHED]] * 4, [[outcome.status for outcome in job.outcomes] for job in jobs])
        self.assertEqual(([], 0), (cluster.said, self.session.unfinished()))

    def test_two_names_at_once(self) -> None:
        """A node under two names gets one link, dialled by both, and the second name sends nothing on another."""
        wires = []
        self.house.joined = lambda wire, client, node: wires.append(wire)
        cluster = self.cluster(self.node, self.also_known_as("localhost"))
        jobs = [cluster.submit(0.1) for _ in range(4)]
        self.house.advance(1)
        self.assertEqual([FINISHED] * 4, [job.status for job in jobs])
        self.assertEqual(1, len(wires))

    def test_a_second_name_later(self) -> None:
        """A cluster that knows the node by another name uses the same link, and keeps it when the first has closed."""
        first, second = self.cluster(), self.cluster(self.also_known_as("localhost"))
        self.assertEqual(1, self.links())
        self.closed(first)
        job = second.submit(0.1)
        self.house.advance(1)
        self.assertEqual((FINISHED, 1), (job.status, self.links()))
        self.closed(second)
        self.assertEqual(0, self.links())

    def test_by_which_name(self) -> None:
        """A cluster is told by which name of its own it found the node, wherever the link was dialled."""
        self.cluster()
        named = self.also_known_as("localhost")
        other = self.client.cluster([named])
        found = []
        other.node_found = lambda node, address: (found.append(address), succeed(1))[1]  # type: ignore[method-assign]
        self.house.advance(0.5)
        self.assertEqual([Address("127.0.0.1", 51348)], found)
        self.assertEqual(named.address, found[0].named)

    def found(self, cluster: MemoryCluster, node: MemoryNode) -> None:
        """The cluster's search has found a node; it gives up at the first failure."""
        self.session._enrolled[cluster.uid].search = mock.Mock(failed=lambda *_: True, told=list)
        self.session.found(cluster.uid, Target(node.address, None, found=True))
        self.house.advance(0.5)

    def test_found_at_two_addresses(self) -> None:
        """A node that was found at two of its addresses gets one link, and jobs as any other."""
        cluster = self.client.cluster([])
        for node in (self.node, self.also_known_as("10.0.0.7")):
            self.found(cluster, node)
        job = cluster.submit(0.1)
        self.house.advance(1)
        self.assertEqual((FINISHED, 1, []), (job.status, self.links(), cluster.said))

    def test_found_and_written_down(self) -> None:
        """What a recover file is told of a node that was found is where it was found, and what opens it."""
        cluster = self.client.cluster([])
        places: list[Place] = []
        cluster.jobs_leave = lambda place, *_: (places.append(place), True)[1]  # type: ignore[method-assign]
        self.found(cluster, self.node)
        cluster.submit(0.1)
        self.house.advance(1)
        self.assertEqual([Place(self.node.uid, "127.0.0.1", 51348, None, False)], places)

    def test_found_and_away(self) -> None:
        """A node that was found and has proved to be ours is dialled for ever, like one that is named."""
        cluster = self.client.cluster([])
        self.found(cluster, self.node)
        job = cluster.submit(10.0)
        self.house.advance(1)
        self.node.kill_daemon()
        self.house.advance(100)
        self.node.restart()
        self.house.advance(60)
        self.assertEqual((FINISHED, 1), (job.status, self.links()))

    def test_found_and_not_there(self) -> None:
        """One that never was a node of ours is dialled no more when the search gives it up."""
        cluster = self.client.cluster([])
        self.node.crash()
        self.found(cluster, self.node)
        self.node.restart()
        self.house.advance(100)
        self.assertEqual(0, self.links())
        self.found(cluster, self.node)
        self.assertEqual(1, self.links())

    def test_links_come_back(self) -> None:
        """A link that was cut is dialled again by every name, one link results, and jobs have gone on."""
        cluster = self.cluster(self.node, self.also_known_as("localhost"))
        job = cluster.submit(10.0)
        self.house.advance(1)
        self.house.wires_of(self.node)[0].cut()
        self.house.advance(2)
        self.assertEqual((RUNNING, 1), (job.status, self.links()))
        where = "node 127.0.0.1:51348 (node51348)"
        self.assertEqual([f"{where} does not answer; 1 jobs are there", f"{where} answers again"], cluster.said)
        self.house.advance(10)
        self.assertEqual([FINISHED], [outcome.status for outcome in job.outcomes])
        self.house.wires_of(self.node)[0].cut()
        self.house.advance(2)
        self.assertEqual((1, 2), (self.links(), len(cluster.said)))

    def test_an_idle_link_comes_back(self) -> None:
        """Where no job was there is nothing to say."""
        cluster = self.cluster()
        self.house.wires_of(self.node)[0].cut()
        self.house.advance(2)
        self.assertEqual((1, []), (self.links(), cluster.said))

    def test_pulse_interval(self) -> None:
        """The smallest pulse_interval of a node's clusters decides when it is missed, whoever opened the link, by whatever name."""
        cluster = self.cluster()
        self.client.cluster([self.also_known_as("localhost")], pulse_interval=0.2)
        self.house.advance(0.5)
        cluster.submit(10.0)
        self.house.advance(0.5)
        self.house.wires_of(self.node)[0].tear()
        self.house.advance(1.5)
        self.assertIn("does not answer; 1 jobs are there", "".join(cluster.said))

    def test_pulse_interval_before_the_introduction(self) -> None:
        """A pulse_interval that comes while the node is being dialled counts as well."""
        cluster = self.client.cluster([self.node])
        self.house.advance(0.0025)
        self.client.cluster([self.node], pulse_interval=0.2)
        self.house.advance(0.5)
        cluster.submit(10.0)
        self.house.advance(0.5)
        self.house.wires_of(self.node)[0].tear()
        self.house.advance(1.5)
        self.assertIn("does not answer; 1 jobs are there", "".join(cluster.said))

    def test_another_version(self) -> None:
        """A node with another version says so when it is introduced; that is said once, by each name, and it is tried again."""
        self.node.facts = attrs.evolve(self.node.facts, version="99.0")
        cluster = self.cluster(self.node, self.also_known_as("localhost"))
        self.house.advance(100)
        refused = [text for text in cluster.said if "cannot be used" in text]
        self.assertEqual(2, len(refused), cluster.said)
        self.assertTrue(all("this node runs dispytw 99.0" in text for text in refused), refused)
        self.node.crash()
        self.node.restart()
        self.house.advance(31)
        job = cluster.submit(0.1)
        self.house.advance(1)
        self.assertEqual(FINISHED, job.status)

    def test_setup_fails(self) -> None:
        """Why a node cannot be used is said once, after its restart too, and in the reminder."""
        self.node.launcher.setup_text = "OSError: no table here"
        cluster = self.cluster()
        self.house.advance(50)
        self.node.crash()
        self.node.restart()
        self.node.launcher.setup_text = "OSError: no table here"
        self.house.advance(50)
        told = "node 127.0.0.1:51348 (node51348) is not used: OSError: no table here"
        self.assertEqual(told, cluster.said[0])
        self.assertEqual(2, len(cluster.said[1:]))
        for reminder in cluster.said[1:]:
            self.assertIn(f"127.0.0.1:51348: answered; {told}", reminder)

    def test_held(self) -> None:
        """A node that works for somebody else says for whom, and is used when it is free."""
        holder = self.house.client("somebody else").cluster([self.node])
        self.house.advance(1)
        cluster = self.cluster()
        job = cluster.submit(0.1)
        self.assertEqual(1, len(cluster.said))
        self.assertRegex(cluster.said[0], r"^node 127.0.0.1:51348 \(node51348\) is .*somebody else.*; it will be used when it is free$")
        holder.close()
        self.house.advance(2)
        self.assertEqual((FINISHED, 1), (job.status, len(cluster.said)))

    def test_no_reminder_with_a_node(self) -> None:
        """A cluster that has a node hears nothing; one whose only node went away does."""
        cluster = self.cluster()
        self.house.advance(10)
        self.assertEqual([], cluster.said)
        self.node.crash()
        self.house.advance(60)
        self.assertEqual(["no node for compute yet; 0 jobs wait. Tried:"], [text.splitlines()[0] for text in cluster.said])
        self.assertIn("connection refused", cluster.said[0])

    def test_cancel_a_running_job(self) -> None:
        """It ends where it runs, once, and its slot is free."""
        cluster = self.cluster()
        job = cluster.submit(100.0)
        self.house.advance(1)
        self.assertTrue(cluster.cancel(job))
        self.house.advance(1)
        self.assertEqual([CANCELLED], [outcome.status for outcome in job.outcomes])
        self.assertFalse(cluster.cancel(job))
        self.assertEqual([], self.node.launcher.running())

    def test_leave(self) -> None:
        """Ending by force cancels what runs and settles what was never sent."""
        cluster = self.cluster()
        jobs = [cluster.submit(100.0) for _ in range(3)]
        self.house.advance(1)
        self.session.leave()
        self.assertEqual([RUNNING, RUNNING, CANCELLED], [job.status for job in jobs])
        self.house.advance(1)
        self.assertEqual([CANCELLED] * 3, [job.status for job in jobs])

    def test_leave_what_can_be_recovered(self) -> None:
        """Jobs of clusters that are recoverable go on, but on a private node; who has such jobs is returned."""
        cluster, other = self.cluster(), self.cluster()
        jobs = [each.submit(100.0) for each in (cluster, other, cluster)]
        self.house.advance(1)
        self.assertEqual({cluster.uid}, self.session.leave({cluster.uid}))
        self.house.advance(1)
        self.assertEqual([RUNNING, CANCELLED, CANCELLED], [job.status for job in jobs])
        enrolled = self.session._enrolled[cluster.uid]
        enrolled.targets = tuple(attrs.evolve(target, private=True) for target in enrolled.targets)
        enrolled.led.clear()
        self.assertEqual(set(), self.session.leave({cluster.uid}))
        self.house.advance(1)
        self.assertEqual([CANCELLED] * 3, [job.status for job in jobs])

    def test_what_leaves(self) -> None:
        """A cluster is told what leaves, for where, and before it leaves; what it keeps back is tried again."""
        cluster = self.cluster()
        left: list[tuple[Any, ...]] = []
        answers = [False, True]
        cluster.jobs_leave = lambda *told: bool(left.append((*told, dict(self.house.starts)))) or answers.pop(0)  # type: ignore
        job = cluster.submit(0.1)
        self.house.advance(3)
        (place, given, jobs, started), again = left
        address = self.node.address
        self.assertEqual(Place(self.node.uid, address.host, address.port, None, False), place)
        self.assertEqual(((self.node.incarnation, (self.node.incarnation << 20) + 1), [(Attempt(job.uid, 1), job)], {}), (given, jobs, started))
        self.assertEqual(([(Attempt(job.uid, 2), job)], [FINISHED]), (again[2], [each.status for each in job.outcomes]))

    def test_what_leaves_for_a_node_with_two_names(self) -> None:
        """A cluster is told its own name of the node, as long as that leads there."""
        first, second = self.cluster(), self.cluster(self.also_known_as("localhost"))
        hosts: list[str] = []
        for cluster in (first, second):
            cluster.jobs_leave = lambda place, *_: bool(hosts.append(place.host)) or True  # type: ignore[method-assign]
            for _ in range(2):
                cluster.submit(0.1)
                self.house.advance(0.5)
        self.assertEqual(["127.0.0.1", "127.0.0.1", "localhost", "localhost"], hosts)
        self.closed(first)
        second.submit(0.1)
        self.house.advance(0.5)
        self.assertEqual(("localhost", FINISHED), (hosts[-1], second.jobs[-1].status))

    def test_what_is_not_kept_yet(self) -> None:
        """A job ends at once; its node owes the outcome until the cluster has kept it."""
        cluster = self.cluster()
        keeping: Deferred[None] = Deferred()
        cluster.kept = lambda: keeping  # type: ignore[method-assign]
        job = cluster.submit(0.1)
        self.house.advance(1)
        self.assertEqual((FINISHED, 1), (job.status, len(self.node.bench._placed)))
        keeping.callback(None)
        self.house.advance(0.1)
        self.assertEqual({}, self.node.bench._placed)

    def test_give_up(self) -> None:
        """Giving up settles running jobs at once, with the reason, and stops them: later jobs get their slots."""
        cluster = self.cluster()
        jobs = [cluster.submit(100.0) for _ in range(2)]
        self.house.advance(1)
        cluster.give_up()
        self.assertEqual([["given up"]] * 2, [[outcome.reason for outcome in job.outcomes] for job in jobs])
        later = cluster.submit(0.1)
        self.house.advance(1)
        self.assertEqual((FINISHED, [1, 1]), (later.status, [len(job.outcomes) for job in jobs]))

    def test_close(self) -> None:
        """Closing tells the node to clean up, closes the link, and leaves nothing to be called."""
        cluster = self.cluster()
        cluster.submit(0.1)
        self.house.advance(1)
        self.assertEqual([cluster.uid], self.node.launcher.computations)
        self.closed(cluster)
        self.assertEqual(([], 0), (self.node.launcher.computations, self.links()))
        self.assertEqual({}, self.client.process.wakes)
        self.successResultOf(cluster.close())

    def test_close_one_of_two(self) -> None:
        """The link stays for the other cluster, and closing does not wait for it."""
        first, second = self.cluster(), self.cluster()
        self.successResultOf(first.close())
        job = second.submit(0.1)
        self.house.advance(1)
        self.assertEqual((FINISHED, 1, [second.uid]), (job.status, self.links(), self.node.launcher.computations))

    def test_open_while_a_link_closes(self) -> None:
        """A cluster that is opened while the last one's link is still closing gets one of its own at once."""
        first = self.cluster()
        near = self.house.wires_of(self.node)[0].near
        lose = near.loseConnection
        near.loseConnection = lambda: self.client.process.callLater(0.05, lose)  # type: ignore[assignment, method-assign]
        first.close()
        job = self.client.cluster([self.node]).submit(0.1)
        self.house.advance(0.15)
        self.assertEqual((FINISHED, 1), (job.status, self.links()))

    def test_close_with_a_link_that_does_not(self) -> None:
        """A link that does not close holds up nobody for more than five seconds; nothing is logged."""
        forget_others(self)
        cluster = self.cluster()
        (wire,) = self.house.wires_of(self.node)
        wire.near.loseConnection = lambda: None  # type: ignore[method-assign]
        done = cluster.close()
        self.house.advance(4.9)
        self.assertNoResult(done)
        self.house.advance(0.2)
        self.successResultOf(done)
        wire.cut()
        del done
        gc.collect()
        self.assertEqual([], self.flushLoggedErrors())

    def test_close_while_it_is_prepared(self) -> None:
        """Closing a cluster whose files are on their way disturbs no other cluster, and is no error."""
        other = self.cluster()
        lacking = File(".bundle", bytes(32), 0)
        self.node.steward._files.missing = lambda files: [lacking]  # type: ignore[method-assign]
        cluster = self.client.cluster([self.node])
        self.house.advance(0.0025)
        self.closed(cluster)
        self.house.advance(1)
        self.assertEqual([], self.flushLoggedErrors())
        self.assertEqual((1, []), (self.links(), cluster.said + other.said))

    def test_close_while_it_is_allocated(self) -> None:
        """The user's answer about a node comes too late, and changes nothing."""
        cluster = self.client.cluster([self.node])
        answered: Deferred[int] = Deferred()
        cluster.node_found = lambda node, address: answered  # type: ignore[method-assign]
        self.house.advance(1)
        self.closed(cluster)
        answered.callback(2)
        self.house.advance(1)
        self.assertEqual([], self.node.launcher.computations)
