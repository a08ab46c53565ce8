"""What a user sees of nodes, and what cluster_status is told: each event once, in order."""

from __future__ import annotations

from typing import Any

from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address, DispyNode, NodeAllocate
from dispytw.client.view import View
from dispytw.values import CANCELLED, CREATED, FINISHED, PROVISIONAL_RESULT, RUNNING, Availability, Inline, Outcome
from tests.client.test_view import ADDRESS, DONE, NODE, OTHER, ViewTestCase

BUSY = Availability(10.0, 1 << 20, 1 << 30, 50.0)


class Statuses(ViewTestCase):
    """A cluster with a cluster_status, and a callback."""

    def make(self, choices: Any = None, callback: Any = "hear", file: Any = None, status: Any = "status") -> View:
        return super().make(choices, callback, file, self._status if status == "status" else status)

    def setUp(self) -> None:
        self.told: list[tuple[int, DispyNode | None, DispyJob | None]] = []
        super().setUp()
        self.find()
        self.shown = self.view.nodes[NODE.uid]

    def _status(self, status: int, node: DispyNode | None, job: DispyJob | None) -> None:
        self.told.append((status, node, job))

    def call_all(self) -> None:
        """The callback thread does its work."""
        while self.threads.callbacks:
            self.threads.callbacks.pop(0)()

    def created(self, number: int = 1) -> DispyJob:
        job = self.submit(number)
        self.view.created(job)
        return job

    def test_a_job(self) -> None:
        """Created, Running with its node, and its end with its node: the very objects. The callback comes before the last of them."""
        job = self.created()
        self.view.job_running(job, NODE.uid, ADDRESS, 9.0)
        self.view.job_settled(job, NODE.uid, ADDRESS, DONE)
        self.call_all()
        self.assertEqual([(CREATED, None, job), (RUNNING, self.shown, job), (FINISHED, self.shown, job)], self.told)
        self.assertIs(job, self.told[0][2])
        self.assertEqual([(1, FINISHED)], self.heard)

    def test_a_short_one(self) -> None:
        """A node does not tell the start of a job that has ended a moment later: it is told all the same."""
        job = self.created()
        self.view.job_settled(job, NODE.uid, ADDRESS, DONE)
        self.call_all()
        self.assertEqual([CREATED, RUNNING, FINISHED], [status for status, _, _ in self.told])

    def test_one_that_speaks(self) -> None:
        """ProvisionalResult for each result, with the result of then, after the callback has been called about it; all are waited for."""
        told: list[Any] = []
        view = self.make(
            callback=lambda job: told.append((job.status, job.result)), status=lambda status, node, job: told.append((status, node, job.result))
        )
        self.find(view=view)
        job, shown = self.submit(view=view), view.nodes[NODE.uid]
        view.job_running(job, NODE.uid, ADDRESS, 9.0)
        self.threads.callbacks.pop(0)()
        del told[:]
        for result in (b"0", b"1"):
            self.assertIsNone(view.job_provisional(job, NODE.uid, Inline(result)))
        view.job_settled(job, NODE.uid, ADDRESS, DONE)
        while self.threads.callbacks:
            self.assertFalse(view.wait(0))
            self.threads.callbacks.pop(0)()
        self.assertTrue(view.wait(0))
        said = [((PROVISIONAL_RESULT, result), (PROVISIONAL_RESULT, shown, result)) for result in (b"0", b"1")]
        self.assertEqual([*said[0], *said[1], (FINISHED, job.result), (FINISHED, shown, job.result)], told)

    def test_one_that_never_ran(self) -> None:
        """Created, and its end, without a node where there was none."""
        first, second = self.created(1), self.created(2)
        self.view.job_settled(first, None, None, Outcome(CANCELLED))
        self.view.job_settled(second, NODE.uid, ADDRESS, Outcome(CANCELLED))
        self.call_all()
        self.assertEqual([(CANCELLED, None, first), (CANCELLED, self.shown, second)], self.told[2:])

    def test_again_elsewhere(self) -> None:
        """A reentrant job whose node was lost is told to run on the next one, shown or not."""
        self.find(OTHER, Address("10.0.0.8", 51348))
        job = self.created()
        self.view.job_running(job, NODE.uid, ADDRESS, 9.0)
        self.view.job_settled(job, OTHER.uid, Address("10.0.0.8", 51348), DONE)
        self.call_all()
        other = self.view.nodes[OTHER.uid]
        self.assertEqual([(RUNNING, self.shown, job), (RUNNING, other, job), (FINISHED, other, job)], self.told[1:])

    def test_nodes(self) -> None:
        """Ready and closed are told at each change, without a job, and not twice."""
        for _ in range(2):
            self.view.node_ready(NODE.uid)
        for _ in range(2):
            self.view.node_closed(NODE.uid, "it was closed", True)
        self.view.node_ready(NODE.uid)
        self.call_all()
        statuses = [DispyNode.Initialized, DispyNode.Closed, DispyNode.Initialized]
        self.assertEqual([(status, self.shown, None) for status in statuses], self.told)

    def test_never_ready(self) -> None:
        """What was never ready is not told to be closed; why it takes no jobs is known."""
        self.view.node_closed(NODE.uid, "setup failed", True)
        self.call_all()
        self.assertEqual(([], {NODE.uid: "setup failed"}), (self.told, self.view.obstacles))
        self.view.node_ready(NODE.uid)
        self.view.node_closed(NODE.uid, "does not have it set up any more", False)
        self.assertEqual({}, self.view.obstacles)

    def test_how_busy(self) -> None:
        """Told each time, but only the latest word to a user who is slow."""
        for _ in range(3):
            self.view.node_available(NODE.uid, BUSY)
        self.assertEqual(1, len(self.threads.callbacks))
        self.call_all()
        info = self.shown.avail_info
        assert info is not None
        self.assertEqual((10.0, 1 << 20, 1 << 30, 50.0), (info.cpu, info.memory, info.disk, info.swap))
        self.view.node_available(NODE.uid, None)
        self.assertIsNone(self.shown.avail_info)
        self.call_all()
        self.assertEqual([(DispyNode.AvailInfo, self.shown, None)] * 2, self.told)
        self.view.node_available(b"?" * 16, BUSY)
        self.assertEqual([], self.threads.callbacks)

    def test_waiting(self) -> None:
        """wait() lasts until cluster_status has heard of every end; that nodes are busy keeps nobody."""
        job = self.created()
        self.view.job_settled(job, NODE.uid, ADDRESS, DONE)
        self.view.node_available(NODE.uid, BUSY)
        while len(self.threads.callbacks) > 1:
            self.assertFalse(self.view.wait(0))
            self.threads.callbacks.pop(0)()
        self.assertTrue(self.view.wait(0))

    def test_nobody_to_tell(self) -> None:
        """A cluster without cluster_status calls nobody for it."""
        view = self.make(callback=None, status=None)
        self.find(view=view)
        job = self.submit(view=view)
        view.created(job)
        view.node_ready(NODE.uid)
        view.node_available(NODE.uid, BUSY)
        view.job_settled(job, NODE.uid, ADDRESS, DONE)
        self.assertEqual([], self.threads.callbacks)
        self.assertTrue(view.wait(0))


class Shown(ViewTestCase):
    """What is shown of a node."""

    def test_one_object(self) -> None:
        """Stands for a node as long as its cluster lives, whatever address and slots it comes back with."""
        self.find()
        shown = self.view.nodes[NODE.uid]
        self.find(address=Address("10.0.0.9", 5, named=Address("seven.example", 5)))
        self.assertIs(shown, self.view.nodes[NODE.uid])
        self.assertEqual(("10.0.0.9", 5), (shown.ip_addr, shown.port))
        self.assertEqual({"10.0.0.7", "10.0.0.9", "seven.example"}, self.view.names[NODE.uid])

    def test_slots(self) -> None:
        """Those that this cluster uses: its NodeAllocate's word, the limit of the program, what there is."""
        view = self.make({ADDRESS: NodeAllocate("10.0.0.7", cpus=3)})
        self.find(view=view)
        shown = view.nodes[NODE.uid]
        self.assertEqual((3, 4), (shown.cpus, shown.avail_cpus))
        for limit, cpus in ((2, 2), (4, 3), (0, 0)):
            view.node_limited(NODE.uid, limit)
            self.assertEqual(cpus, shown.cpus)
        view.node_limited(b"?" * 16, 1)

    def test_no_slots(self) -> None:
        """A node that gets none takes no jobs; until NodeAllocate is asked again."""
        entry = NodeAllocate("10.0.0.7", cpus=-4)
        view = self.make({ADDRESS: entry})
        self.assertEqual(0, self.find(view=view))
        self.assertEqual({NODE.uid: "its NodeAllocate gives it no CPUs"}, view.obstacles)
        entry.cpus = 1
        self.find(view=view)
        self.assertEqual({}, view.obstacles)

    def test_waiting_for_one(self) -> None:
        """Whoever waits for nodes is woken by the next."""
        self.assertFalse(self.view.wait_for_nodes(0, 0))
        self.find()
        self.assertTrue(self.view.wait_for_nodes(0, 0))
        self.assertFalse(self.view.wait_for_nodes(0, 1))
