"""The part of the ledger that is about what users want of single nodes: jobs for one node alone, CPUs to use, nodes to leave or renew.

A job that is for one node alone, a *pinned* one, waits in a queue that its cluster has there. It takes its turn by priority and age, as if
it were in line with the others: the first job that may run on a free slot gets it. It never runs elsewhere; where it cannot run any more it
ends as Cancelled and says why.
"""

from __future__ import annotations

from dispytw.scheduler.attendance import Attendance
from dispytw.scheduler.entries import JobEntry, JobState, NodeEntry, Preparation, PreparationState, Wish, waits
from dispytw.scheduler.orders import Allocate, Order, Recall, Release
from dispytw.values import CANCELLED, Outcome


class Placement(Attendance):
    """What is wanted of single nodes."""

    def __init__(self) -> None:
        super().__init__()
        self._departing: dict[tuple[bytes, bytes], None] = {}

    # What the ledger adds.
    def cancelled(self, job: bytes) -> list[Order]:
        """The user wants a job to end."""
        raise NotImplementedError

    # Events.
    def node_limited(self, node_uid: bytes, cpus: int | None) -> list[Order]:
        """No more than so many slots of a node are to be used, over all clusters; what runs there goes on.

        :param cpus: 0 for none, negative to leave as many free, None for all.
        """
        node = self.nodes[node_uid]
        node.wanted = cpus
        node.count_cpus()
        self._changed(node)
        return self._dispatched() + self._unpark(node)

    def _unpark(self, node: NodeEntry) -> list[Order]:
        """Jobs that wait on the node would begin there in slots that are not to be used."""
        if node.cpus >= node.offered or not node.parked or not node.live:
            return []
        node.recalling, node.recalled = True, len(node.jobs)
        return [Recall(node.uid, cluster, node.parked) for cluster in dict.fromkeys(job.cluster for job in node.jobs.values())]

    def node_allocated(self, cluster: bytes, node_uid: bytes) -> list[Order]:
        """The cluster is to use a node that it has met, whatever became of it before: the user's NodeAllocate is asked again."""
        preparation = self.nodes[node_uid].preparations.get(cluster)
        if preparation is None:
            return []
        preparation.wish = Wish.USE
        self._departing.pop((node_uid, cluster), None)
        if preparation.state in (PreparationState.CLOSED, PreparationState.REJECTED):
            return self.node_resetup(cluster, node_uid)
        if preparation.state is PreparationState.UNUSED:
            preparation.state = PreparationState.ALLOCATING
        elif preparation.state is PreparationState.ALLOCATING:
            return []
        return [Allocate(cluster, node_uid)]

    def node_deallocated(self, cluster: bytes, node_uid: bytes) -> list[Order]:
        """The cluster gives a node no new jobs, but for those that wait for it alone."""
        node, preparation = self._preparation(cluster, node_uid)
        if preparation is not None and preparation.wish is Wish.USE:
            preparation.wish = Wish.SPARE
            self._changed(node)
        return []

    def node_closed(self, cluster: bytes, node_uid: bytes, terminate: bool = False) -> list[Order]:
        """The cluster leaves a node when the jobs are done that are there, or wait for it alone.

        :param terminate: whether these are cancelled.
        """
        return self._wish(cluster, node_uid, Wish.LEAVE, terminate)

    def node_resetup(self, cluster: bytes, node_uid: bytes, terminate: bool = False) -> list[Order]:
        """A node is to be set up anew when the jobs are done that are there: cleanup, NodeAllocate, setup.

        :param terminate: whether these, and those that wait for the node alone, are cancelled.
        """
        return self._wish(cluster, node_uid, Wish.RENEW, terminate)

    def _wish(self, cluster: bytes, node_uid: bytes, wish: Wish, terminate: bool) -> list[Order]:
        node, preparation = self._preparation(cluster, node_uid)
        if preparation is None:
            return []
        orders: list[Order] = []
        preparation.wish = wish
        self._departing[node_uid, cluster] = None
        self._changed(node)
        if terminate:
            orders += self._unpinned(node, cluster, f"{node.name} is left")
            orders += [order for job in list(node.jobs.values()) if job.cluster == cluster for order in self.cancelled(job.uid)]
        return orders + self._dispatched()

    def _preparation(self, cluster: bytes, node_uid: bytes) -> tuple[NodeEntry, Preparation | None]:
        node = self.nodes[node_uid]
        return node, node.preparations.get(cluster)

    def jobs_at(self, cluster: bytes, node_uid: bytes) -> list[bytes]:
        """The cluster's jobs that have a slot of a node, as far as is known."""
        node = self.nodes.get(node_uid)
        if node is None:
            return []
        first = set(node.first_in_line)
        mine = [job for job in node.jobs.values() if job.cluster == cluster]
        return [job.uid for job in mine if job.state is JobState.RUNNING or job.uid in first]

    # Nodes that are left, or set up anew, as soon as nothing is to be done there.
    def _departures(self) -> list[Order]:
        orders: list[Order] = []
        for node_uid, cluster in list(self._departing):
            node, preparation = self._preparation(cluster, node_uid)
            if preparation is None:
                del self._departing[node_uid, cluster]
            elif not preparation.busy and (preparation.wish is Wish.RENEW or not preparation.pins or preparation.obstacle):
                del self._departing[node_uid, cluster]
                orders.extend(self._parted(node, cluster, preparation))
        return orders

    def _parted(self, node: NodeEntry, cluster: bytes, preparation: Preparation) -> list[Order]:
        renew, asking = preparation.wish is Wish.RENEW, preparation.state is PreparationState.ALLOCATING
        preparation.retired, preparation.deaths, preparation.wish = preparation.generation, 0, Wish.USE
        preparation.state = PreparationState.ALLOCATING if renew else PreparationState.CLOSED
        why = "it is set up anew" if renew else preparation.obstacle
        orders: list[Order] = [] if asking or not node.live else [Release(node.uid, cluster)]
        orders += self._no_more(node, cluster, why)
        if renew and not asking:
            orders.append(Allocate(cluster, node.uid))
        self._changed(node)
        return orders

    # Jobs for one node alone.
    def _pinned(self, job: JobEntry, node_uid: bytes, anew: bool = True) -> list[Order]:
        """Queue a job where it is to run.

        :param anew: whether it has just been submitted.
        """
        node = self.nodes.get(node_uid)
        preparation = None if node is None else node.preparations.get(job.cluster)
        if node is None or preparation is None:
            return [self._settle(job, Outcome(CANCELLED, reason="the node that it is for is not used by its cluster"), None)]
        why = preparation.obstacle
        if anew and preparation.wish in (Wish.SPARE, Wish.LEAVE):
            why = "it gets no new jobs of this cluster"
        if why:
            return [self._settle(job, Outcome(CANCELLED, reason=f"{node.name}, which it is for, has no use: {why}"), None)]
        job.state, job.in_line = JobState.QUEUED, True
        preparation.queue.push(job.sequence, job, job.options.priority)
        self._count(node, preparation, 1)
        return []

    def _count(self, node: NodeEntry, preparation: Preparation, number: int) -> None:
        preparation.pins += number
        node.pins += number
        self._changed(node)

    def _off_queue(self, job: JobEntry) -> None:
        """A job that waited for one node alone does so no longer."""
        if job.in_line:
            assert job.pinned is not None
            job.in_line = False
            node = self.nodes[job.pinned]
            self._count(node, node.preparations[job.cluster], -1)

    def _unpinned(self, node: NodeEntry, cluster: bytes, why: str) -> list[Order]:
        """Jobs that wait for this node alone will not run."""
        orders: list[Order] = []
        queue = node.preparations[cluster].queue
        while (head := queue.head(waits)) is not None:
            orders.append(self._settle(head[1], Outcome(CANCELLED, reason=why), None))
        return orders
