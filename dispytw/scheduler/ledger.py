"""The mind of scheduling: which job is where, and what to do next.

Every method is an event, every return value a list of orders (`dispytw.scheduler.orders`). The ledger reads no clock, opens no
socket and knows no Twisted: ``now`` is monotonic seconds, an argument. It alone decides what becomes of a job:

- a job gets one terminal status, by one `Settle`, and is forgotten with it;
- a job that is not reentrant is given out again only after somebody who can know has said that it never started;
- a node gets no more jobs than it has slots, over all clusters, counting attempts that the ledger no longer wants but that may
  still run there (*strays*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dispytw.scheduler.attendance import Attendance
from dispytw.scheduler.entries import ClusterEntry, JobEntry, JobState, NodeEntry, PreparationState
from dispytw.scheduler.orders import Assign, Order, Recall, Release, Settle, ShowRunning, Withdraw
from dispytw.values import CANCELLED, Attempt, Outcome

#: Reason of a refusal that says the node is full, whatever the ledger believed.
NO_SLOT = "no free slot"
#: Reason of a refusal that says the node will soon be gone.
STOPPING = "the node is being stopped"
#: Reason of a refusal that says the node could not keep an outcome.
NO_ROOM = "no room on the disk"
#: Seconds for which a node that said one of these gets nothing new.
BARRED = 1.0

NEVER_SENT = "never sent"


class Ledger(Attendance):
    """The scheduler's state: clusters, jobs, and (inherited) the nodes and who is there."""

    def cluster_opened(self, cluster: bytes, reentrant: bool = False, pulse_interval: float | None = None) -> list[Order]:
        """A cluster exists.

        :param reentrant: whether its jobs may be started again on another node.
        :param pulse_interval: seconds; a node silent for five of them is given up.
        """
        self.clusters[cluster] = ClusterEntry(cluster, reentrant, pulse_interval)
        return []

    def cluster_closed(self, cluster: bytes) -> list[Order]:
        """A cluster is no more: jobs that are left are given up, and every node is told to clean up."""
        if cluster not in self.clusters:
            return []
        orders = self.given_up(cluster, "its cluster was closed")
        del self.clusters[cluster]
        for node in self.nodes.values():
            if node.preparations.pop(cluster, None) is not None and node.live:
                orders.append(Release(node.uid, cluster))
        return orders

    def submitted(self, cluster: bytes, job: bytes) -> list[Order]:
        """A job was submitted. Saying it twice changes nothing."""
        if job in self.jobs:
            return []
        mine = self.clusters[cluster]
        entry = JobEntry(job, cluster, self._next_sequence())
        self.jobs[job] = mine.jobs[job] = entry
        mine.queue.push(entry.sequence, entry)
        return self._dispatched()

    def started(self, node: bytes, attempt: Attempt, wall: float) -> list[Order]:
        """A node has begun an attempt."""
        job = self._current(node, attempt)
        if job is None or job.state is not JobState.ASSIGNED:
            return []
        job.state = JobState.RUNNING
        return [ShowRunning(job.uid, node, wall)]

    def ended(self, node: bytes, attempt: Attempt, outcome: Outcome) -> list[Order]:
        """An attempt has ended on a node. Its outcome counts if the attempt is current; in any case the node may forget it."""
        job = self._current(node, attempt)
        if job is None:
            self._stray_gone(node, attempt)
            return self._dispatched()
        self._learn(job, outcome)
        if outcome.status == CANCELLED and not job.cancelled:
            return self._lost(job, outcome.reason or "cancelled by its node") + self._dispatched()
        self._off_node(job)
        return [self._settle(job, outcome, node), *self._dispatched()]

    def refused(self, node: bytes, attempt: Attempt, reason: str, now: float) -> list[Order]:
        """An attempt that was sent, or was to be sent, never started on the node."""
        job = self._current(node, attempt)
        if job is None:
            self._stray_gone(node, attempt)
            return self._dispatched()
        entry = self.nodes[node]
        orders = self._never_started(job)
        if reason in (NO_SLOT, STOPPING, NO_ROOM):
            entry.barred_until = now + BARRED
            self._changed(entry)
        return orders + self._dispatched()

    def given_back(self, node: bytes, attempts: Iterable[Attempt]) -> list[Order]:
        """Attempts that waited on a node never started there, as it was asked for; none says that all have begun."""
        orders: list[Order] = []
        self.nodes[node].recalling = False
        for attempt in attempts:
            job = self._current(node, attempt)
            if job is None:
                self._stray_gone(node, attempt)
            else:
                orders.extend(self._never_started(job))
        return orders + self._dispatched()

    def _learn(self, job: JobEntry, outcome: Outcome) -> None:
        if outcome.started is not None and outcome.ended is not None:
            self.clusters[job.cluster].learned(max(0.0, outcome.ended - outcome.started))

    def cancelled(self, job: bytes) -> list[Order]:
        """The user wants a job to end; a settled one keeps its status."""
        entry = self.jobs.get(job)
        if entry is None:
            return []
        if entry.state is JobState.QUEUED:
            return [self._settle(entry, Outcome(CANCELLED, reason="cancelled before it was sent"), None)]
        if entry.cancelled:
            return []
        assert entry.node is not None
        node = self.nodes[entry.node]
        if entry.state is JobState.ASSIGNED and node.live and node.waits(entry):
            return self._withdrawn(entry, node, Outcome(CANCELLED, reason="cancelled before it started"))
        entry.cancelled = True
        return [Withdraw(node.uid, entry.attempt)] if node.live else []

    def speaks(self, node: bytes, attempt: Attempt) -> bool:
        """Whether what an attempt says on a node is its job's to say: it is current there."""
        return node in self.nodes and self._current(node, attempt) is not None

    def given_up(self, cluster: bytes, why: str) -> list[Order]:
        """The user waits no longer for any job of the cluster: each is settled now, and stopped where it runs."""
        orders: list[Order] = []
        for job in list(self.clusters[cluster].jobs.values()):
            if job.node is None:
                orders.append(self._settle(job, Outcome(CANCELLED, reason=NEVER_SENT), None))
                continue
            orders.extend(self._withdrawn(job, self.nodes[job.node], Outcome(CANCELLED, reason=why)))
        return orders

    def _withdrawn(self, job: JobEntry, node: NodeEntry, outcome: Outcome) -> list[Order]:
        """Settle a job that is on a node, and stop it there."""
        attempt = job.attempt
        self._off_node(job)
        orders: list[Order] = []
        if node.live:
            node.strays.add(attempt)
            self._changed(node)
            orders.append(Withdraw(node.uid, attempt))
        return [*orders, self._settle(job, outcome, node.uid)]

    def unsent_given_up(
        self, clusters: Iterable[bytes], goes_on: Callable[[bytes, bytes], bool] = lambda cluster, node: False
    ) -> list[Order]:
        """Jobs that have not left are settled as Cancelled, 'never sent'; the others are cancelled where they are.

        :param goes_on: whether a cluster's jobs on a node are left alone instead.
        """
        orders: list[Order] = []
        for cluster in clusters:
            for job in list(self.clusters[cluster].jobs.values()):
                if job.node is None:
                    orders.append(self._settle(job, Outcome(CANCELLED, reason=NEVER_SENT), None))
                elif not goes_on(cluster, job.node):
                    orders.extend(self.cancelled(job.uid))
        return orders

    def pending(self, cluster: bytes) -> int:
        """How many jobs of the cluster have no terminal status."""
        entry = self.clusters.get(cluster)
        return 0 if entry is None else len(entry.jobs)

    def _settle(self, job: JobEntry, outcome: Outcome, node: bytes | None) -> Settle:
        del self.jobs[job.uid]
        cluster = self.clusters.get(job.cluster)
        if cluster is not None:
            cluster.jobs.pop(job.uid, None)
        job.sequence = -1
        return Settle(job.uid, outcome, node)

    def _never_started(self, job: JobEntry) -> list[Order]:
        node = job.node
        self._off_node(job)
        if job.cancelled:
            return [self._settle(job, Outcome(CANCELLED, reason="cancelled before it started"), node)]
        self._requeue(job)
        return []

    def _requeue(self, job: JobEntry) -> None:
        job.state = JobState.QUEUED
        self.clusters[job.cluster].queue.push(job.sequence, job)

    def _dispatched(self) -> list[Order]:
        orders: list[Order] = []
        while True:
            heads = self._heads()
            choice = self._choice(heads)
            if choice is None:
                return orders if heads else orders + self._recalls()
            orders.append(self._assign(*choice))

    def _heads(self) -> list[ClusterEntry]:
        """The clusters that have jobs waiting, that of the oldest job first."""
        heads = []
        for cluster in self.clusters.values():
            head = cluster.queue.head(_waits)
            if head is not None:
                heads.append((head[0], cluster))
        return [cluster for _, cluster in sorted(heads, key=lambda pair: pair[0])]

    def _choice(self, heads: list[ClusterEntry]) -> tuple[ClusterEntry, bytes] | None:
        """The oldest job that has a node with room, as its cluster and that node; jobs are parked for one cluster at a time only."""
        for cluster in heads:
            node = self._best(cluster, parks=len(heads) == 1)
            if node is not None:
                return cluster, node
        return None

    def _best(self, cluster: ClusterEntry, parks: bool) -> bytes | None:
        return cluster.candidates.best(lambda uid, version: self._stands(cluster.uid, uid, version, parks))

    def _recalls(self) -> list[Order]:
        """Nothing waits here: let a node with nothing to do get half of what waits on another one."""
        orders: list[Order] = []
        for uid in {job.cluster for node in self._parking.values() for job in node.jobs.values()} if self._parking else ():
            cluster = self.clusters[uid]
            mine = [node for node in self._parking.values() if self._may_recall(node, uid)]
            if mine and self._best(cluster, parks=False) is not None:
                node = max(mine, key=lambda each: each.parked)
                node.recalling, node.recalled = True, len(node.jobs)
                orders.append(Recall(node.uid, uid, (node.parked + 1) // 2))
        return orders

    @staticmethod
    def _may_recall(node: NodeEntry, cluster: bytes) -> bool:
        """Whether the node is there, has the cluster's jobs only, and was not asked in vain since anything ended there."""
        preparation = node.preparations.get(cluster)
        alone = preparation is not None and preparation.busy == len(node.jobs)
        return alone and node.live and not node.recalling and node.recalled != len(node.jobs)

    def _assign(self, cluster: ClusterEntry, node_uid: bytes) -> Assign:
        job = cluster.queue.pop()
        node = self.nodes[node_uid]
        job.state, job.node, job.incarnation = JobState.ASSIGNED, node_uid, node.incarnation
        job.number += 1
        node.jobs[job.uid] = job
        preparation = node.preparations[cluster.uid]
        preparation.busy += 1
        job.generation = preparation.generation
        assert preparation.state is PreparationState.READY
        self._changed(node)
        return Assign(node_uid, cluster.uid, preparation.generation, job.attempt)


def _waits(job: JobEntry, sequence: int) -> bool:
    return job.state is JobState.QUEUED and job.sequence == sequence
