"""The mind of scheduling: which job is where, and what to do next.

Every method is an event, every return value a list of orders (`dispytw.scheduler.orders`). The ledger reads no clock, opens no
socket and knows no Twisted: ``now`` is monotonic seconds, an argument. It alone decides what becomes of a job:

- a job gets one terminal status, by one `Settle`, and is forgotten with it;
- a job that is not reentrant is given out again only after somebody who can know has said that it never started, or, where its user has
  asked for retries, that it has ended;
- a node gets no more jobs than it has slots, over all clusters, counting attempts that the ledger no longer wants but that may
  still run there (*strays*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from dispytw.scheduler.entries import ClusterEntry, JobEntry, JobState, NodeEntry, PreparationState, waits
from dispytw.scheduler.orders import Assign, Order, Recall, Release, Settle, ShowRetry, ShowRunning, Withdraw
from dispytw.scheduler.placement import Placement
from dispytw.scheduler.policy import Queue, Rank
from dispytw.values import CANCELLED, PLAIN, TERMINATED, Attempt, JobOptions, Outcome

#: Reason of a refusal that says the node is full, whatever the ledger believed.
NO_SLOT = "no free slot"
#: Reason of a refusal that says the node will soon be gone.
STOPPING = "the node is being stopped"
#: Reason of a refusal that says the node could not keep an outcome.
NO_ROOM = "no room on the disk"
#: Seconds for which a node that said one of these gets nothing new.
BARRED = 1.0

NEVER_SENT = "never sent"
NOT_AGAIN = "not sent again"


class Ledger(Placement):
    """The scheduler's state: clusters, jobs, and (inherited) the nodes, who is there, and what users want of each."""

    def __init__(self) -> None:
        super().__init__()
        self._lowest: int | None = None  # of all priorities so far

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
        for node in self.nodes.values():
            if cluster in node.preparations:
                orders.extend(self._no_more(node, cluster, "its cluster was closed"))
        del self.clusters[cluster]
        for node in self.nodes.values():
            if node.preparations.pop(cluster, None) is not None and node.live:
                orders.append(Release(node.uid, cluster))
        return orders

    def submitted(self, cluster: bytes, job: bytes, options: JobOptions = PLAIN, node: bytes | None = None) -> list[Order]:
        """A job was submitted. Saying it twice changes nothing.

        :param node: the node that it is for; None for whichever has room first. It waits for its turn there by its age, like others.
        """
        if job in self.jobs:
            return []
        mine = self.clusters[cluster]
        entry = JobEntry(job, cluster, self._next_sequence(), options=options, pinned=node)
        self.jobs[job] = mine.jobs[job] = entry
        if node is None:
            mine.queue.push(entry.sequence, entry, options.priority)
        orders = [] if node is None else self._pinned(entry, node)
        return orders + self._dispatched() + self._overtakes(entry)

    def _overtakes(self, job: JobEntry) -> list[Order]:
        """A job has come that goes before others: those which are parked where it might run are got back, and given out in their order."""
        priority = job.options.priority
        if self._lowest is None or priority <= self._lowest:
            self._lowest = priority
            return []
        orders: list[Order] = []
        for node in self._parking.values():
            behind = next((each for each in node.in_wait if each.options.priority < priority), None)
            if behind is not None and job.cluster in node.preparations and self._may_recall(node, behind.cluster):
                node.recalling = True
                orders.append(Recall(node.uid, behind.cluster, node.parked))
        return orders

    def started(self, node: bytes, attempt: Attempt, wall: float) -> list[Order]:
        """A node has begun an attempt."""
        job = self._current(node, attempt)
        if job is None or job.state is not JobState.ASSIGNED:
            return []
        job.state = JobState.RUNNING
        job.begun += 1
        return [ShowRunning(job.uid, node, wall)]

    def ended(self, node: bytes, attempt: Attempt, outcome: Outcome, now: float = 0.0, more: bool = False) -> list[Order]:
        """An attempt has ended on a node. Its outcome counts if the attempt is current; in any case the node may forget it.

        :param now: where a job is to be tried again, its rest begins then.
        :param more: whether another end follows at once: then what is free now is given out with what that one frees.
        """
        job = self._current(node, attempt)
        if job is None:
            self._stray_gone(node, attempt)
        orders = [] if job is None else self._ended(job, node, outcome, now)
        return orders if more else orders + self._dispatched()

    def _ended(self, job: JobEntry, node: bytes, outcome: Outcome, now: float) -> list[Order]:
        self._learn(job, outcome)
        if outcome.status == CANCELLED and not job.cancelled:
            return self._lost(job, outcome.reason or "cancelled by its node")
        self._off_node(job)
        job.begun += job.state is JobState.ASSIGNED and (outcome.started is not None or outcome.status == TERMINATED)
        if outcome.status == TERMINATED and job.failures < job.options.retries and not job.cancelled:
            return [self._rested(job, outcome, node, now)]
        if outcome.status == TERMINATED and job.failures:
            reasons = [outcome.reason] if outcome.reason else []
            outcome = attrs.evolve(outcome, reason="; ".join([*reasons, f"attempt {job.begun}, and no retry is left"]))
        return [self._settle(job, outcome, node)]

    def _rested(self, job: JobEntry, outcome: Outcome, node: bytes, now: float) -> ShowRetry:
        job.state = JobState.RESTING
        job.failures += 1
        self._rests.push(now + job.options.backoff, job.sequence, job)
        return ShowRetry(job.uid, outcome, node, job.attempt, job.begun, job.options.backoff)

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
        if entry.state is JobState.RESTING:
            return [self._settle(entry, Outcome(CANCELLED, reason="cancelled before it was tried again"), None)]
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
                orders.append(self._settle(job, Outcome(CANCELLED, reason=NOT_AGAIN if job.begun else NEVER_SENT), None))
                continue
            orders.extend(self._withdrawn(job, self.nodes[job.node], Outcome(CANCELLED, reason=why)))
        return orders

    def _withdrawn(self, job: JobEntry, node: NodeEntry, outcome: Outcome) -> list[Order]:
        """Settle a job that is on a node, and stop it there."""
        attempt = job.attempt
        self._off_node(job)
        job.begun += job.state is JobState.ASSIGNED  # nobody knows, but it may have
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
                    orders.append(self._settle(job, Outcome(CANCELLED, reason=NOT_AGAIN if job.begun else NEVER_SENT), None))
                elif not goes_on(cluster, job.node):
                    orders.extend(self.cancelled(job.uid))
        return orders

    def pending(self, cluster: bytes) -> int:
        """How many jobs of the cluster have no terminal status."""
        entry = self.clusters.get(cluster)
        return 0 if entry is None else len(entry.jobs)

    def _settle(self, job: JobEntry, outcome: Outcome, node: bytes | None) -> Settle:
        del self.jobs[job.uid]
        job.sequence = -1
        self._off_queue(job)
        cluster = self.clusters.get(job.cluster)
        if cluster is not None:
            cluster.jobs.pop(job.uid, None)
        return Settle(job.uid, outcome, node, job.begun)

    def _never_started(self, job: JobEntry) -> list[Order]:
        node = job.node
        self._off_node(job)
        if job.cancelled:
            return [self._settle(job, Outcome(CANCELLED, reason="cancelled before it started"), node)]
        return self._requeue(job)

    def _requeue(self, job: JobEntry) -> list[Order]:
        if job.pinned is not None:
            return self._pinned(job, job.pinned, anew=False)
        job.state = JobState.QUEUED
        self.clusters[job.cluster].queue.push(job.sequence, job, job.options.priority)
        return []

    def _dispatched(self) -> list[Order]:
        orders = self._departures()
        while True:
            heads = self._heads()
            choice = self._choice(heads)
            if choice is None:
                return orders if heads else orders + self._recalls()
            orders.append(self._assign(*choice))

    def _heads(self) -> list[ClusterEntry]:
        """The clusters that have jobs waiting: that of the highest priority first, among equals that of the oldest job."""
        heads = []
        for cluster in self.clusters.values():
            head = cluster.queue.head(waits)
            if head is not None:
                heads.append((head[0], cluster))
        return [cluster for _, cluster in sorted(heads, key=lambda pair: pair[0])]

    def _choice(self, heads: list[ClusterEntry]) -> tuple[ClusterEntry, bytes, Queue[JobEntry]] | None:
        """The first job that has a node with room: its cluster, that node, its queue; jobs are parked for one cluster at a time only."""
        pinned = self._oldest_pinned(heads)
        for cluster in heads:
            if pinned is not None and pinned[0] < cluster.queue.first:
                break
            node = self._best(cluster, parks=len(heads) == 1)
            if node is not None:
                return cluster, node, cluster.queue
        return None if pinned is None else pinned[1:]

    def _oldest_pinned(self, heads: list[ClusterEntry]) -> tuple[Rank, ClusterEntry, bytes, Queue[JobEntry]] | None:
        """Of the jobs that are for a node alone which has room, the first, with its rank."""
        found = None
        for cluster in self.clusters.values():
            if not cluster.pinning:
                continue
            parks = not heads or heads == [cluster]
            node = cluster.pinning.best(lambda uid, version: self._stands(cluster.uid, uid, version, parks, pinned=True))  # noqa: B023
            if node is not None:
                queue = self.nodes[node].preparations[cluster.uid].queue
                head = queue.head(waits)
                assert head is not None
                if found is None or head[0] < found[0]:
                    found = (head[0], cluster, node, queue)
        return found

    def _best(self, cluster: ClusterEntry, parks: bool) -> bytes | None:
        return cluster.candidates.best(lambda uid, version: self._stands(cluster.uid, uid, version, parks))

    def _recalls(self) -> list[Order]:
        """Nothing waits here: let a node with nothing to do get half of what waits on another one that was not asked in vain just now."""
        orders: list[Order] = []
        there = (uid for node in self._parking.values() for uid, each in node.preparations.items() if each.busy)
        for uid in dict.fromkeys(there):
            cluster = self.clusters[uid]
            mine = [node for node in self._parking.values() if node.recalled != len(node.jobs) and self._may_recall(node, uid)]
            if mine and self._is_anyone_idle(cluster):
                node = max(mine, key=lambda each: each.parked)
                node.recalling, node.recalled = True, len(node.jobs)
                orders.append(Recall(node.uid, uid, (node.parked + 1) // 2))
        return orders

    def _is_anyone_idle(self, cluster: ClusterEntry) -> bool:
        """Whether a node has room for one more now: then the least loaded of those that take one has."""
        node = self._best(cluster, parks=True)
        return node is not None and self.nodes[node].room_for(cluster.uid)

    @staticmethod
    def _may_recall(node: NodeEntry, cluster: bytes) -> bool:
        """Whether the node is there, has the cluster's jobs only, and may have one that can come back."""
        preparation = node.preparations.get(cluster)
        alone = preparation is not None and preparation.busy == len(node.jobs)
        return alone and node.live and not node.recalling and node.may_give_back

    def _assign(self, cluster: ClusterEntry, node_uid: bytes, queue: Queue[JobEntry]) -> Assign:
        job = queue.pop()
        self._off_queue(job)
        node = self.nodes[node_uid]
        job.state, job.node, job.incarnation = JobState.ASSIGNED, node_uid, node.incarnation
        job.number += 1
        node.jobs[job.uid] = job
        node.loose += job.pinned is None
        preparation = node.preparations[cluster.uid]
        preparation.busy += 1
        job.generation = preparation.generation
        assert preparation.state is PreparationState.READY
        self._changed(node)
        return Assign(node_uid, cluster.uid, preparation.generation, job.attempt, job.options.timeout)
