"""The part of the ledger that is about nodes: who is there, who is away, who is given up, and what is ready where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dispytw.scheduler.entries import ClusterEntry, JobEntry, JobState, NodeEntry, Preparation, PreparationState, waits
from dispytw.scheduler.orders import (
    Allocate,
    Order,
    Prepare,
    Reconcile,
    Release,
    Settle,
    TellAway,
    TellBack,
    TellClosed,
    TellHeld,
    TellReady,
    TellRejected,
    Withdraw,
)
from dispytw.scheduler.policy import Rests
from dispytw.values import CANCELLED, TERMINATED, TOO_MANY_ATTEMPTS, Attempt, NodeFacts, Outcome
from dispytw.wire.records import ENDED, NEVER_STARTED, STILL_ENDING, UNKNOWN

#: Attempts that may have started before a reentrant job is given up.
MOST_ATTEMPTS = 4
#: Supervisors of one computation that may die on one node before the node is rejected for it.
MOST_DEATHS = 3


class Attendance:
    """Nodes and preparations; `dispytw.scheduler.ledger.Ledger` adds the jobs."""

    def __init__(self) -> None:
        self.clusters: dict[bytes, ClusterEntry] = {}
        self.jobs: dict[bytes, JobEntry] = {}
        self.nodes: dict[bytes, NodeEntry] = {}
        self._sequence = 0
        self._waited_for: dict[bytes, NodeEntry] = {}
        self._parking: dict[bytes, NodeEntry] = {}
        self._rests: Rests[JobEntry] = Rests()

    # What the ledger adds.
    def _dispatched(self) -> list[Order]:
        raise NotImplementedError

    def _never_started(self, job: JobEntry) -> list[Order]:
        raise NotImplementedError

    def _requeue(self, job: JobEntry) -> list[Order]:
        raise NotImplementedError

    def _unpinned(self, node: NodeEntry, cluster: bytes, why: str) -> list[Order]:
        raise NotImplementedError

    def _settle(self, job: JobEntry, outcome: Outcome, node: bytes | None) -> Settle:
        raise NotImplementedError

    # Nodes come, go, and come back.
    def joined(self, facts: NodeFacts, now: float) -> list[Order]:
        """A link to a node is open. Nothing is given to it before it has been reconciled."""
        node = self.nodes.get(facts.uid)
        if node is None:
            node = NodeEntry(facts.uid, self._next_sequence(), facts.name, facts.cpus, facts.incarnation, now)
            self.nodes[facts.uid] = node
        elif node.live:
            node.live, node.since = False, now
        orders: list[Order] = []
        if node.incarnation != facts.incarnation:
            node.incarnation = facts.incarnation
            node.strays.clear()
            orders = self._begin_anew(node)
        node.name, node.offered = facts.name, facts.cpus
        node.count_cpus()
        self._changed(node)
        return [*orders, Reconcile(node.uid, tuple(job.belief for job in node.jobs.values()))]

    @staticmethod
    def _begin_anew(node: NodeEntry) -> list[Order]:
        """A new incarnation may have other slots, and what did not work on an earlier one may work now."""
        as_it_is = (PreparationState.ALLOCATING, PreparationState.CLOSED)
        asked = [uid for uid, each in node.preparations.items() if each.state not in as_it_is]
        for uid in asked:
            preparation = node.preparations[uid]
            preparation.state, preparation.cpus, preparation.deaths = PreparationState.ALLOCATING, 0, 0
        return [Allocate(uid, node.uid) for uid in asked]

    def reconciled(
        self, node_uid: bytes, attempts: Iterable[tuple[Attempt, str]], ready: Mapping[bytes, int], now: float
    ) -> list[Order]:
        """A node has said what it knows of the attempts it was asked about, and of others it has for us.

        :param attempts: each with a word of `dispytw.wire.records`.
        :param ready: computations that are ready there, with their generations.
        """
        node = self.nodes[node_uid]
        orders: list[Order] = [TellBack(node.uid)] if node.missed else []
        node.missed, node.live, node.recalling = False, True, False
        node.strays.clear()
        for attempt, word in attempts:
            orders.extend(self._reconciled_attempt(node, attempt, word))
        orders.extend(self._reconciled_computations(node, ready))
        self._changed(node)
        return orders + self._dispatched()

    def _reconciled_attempt(self, node: NodeEntry, attempt: Attempt, word: str) -> list[Order]:
        job = self._current(node.uid, attempt)
        if job is None:
            if word in (ENDED, UNKNOWN, NEVER_STARTED):
                return []
            node.strays.add(attempt)
            return [Withdraw(node.uid, attempt)]
        if word == NEVER_STARTED:
            return self._never_started(job)
        if word == UNKNOWN:
            return self._lost(job, f"{node.name} no longer knows it")
        return [Withdraw(node.uid, attempt)] if job.cancelled and word != ENDED else []

    def _reconciled_computations(self, node: NodeEntry, ready: Mapping[bytes, int]) -> list[Order]:
        orders: list[Order] = []
        unwanted = [uid for uid in ready if uid not in node.preparations or node.preparations[uid].is_over(ready[uid])]
        orders.extend(Release(node.uid, cluster) for cluster in unwanted)
        for cluster, preparation in node.preparations.items():
            if preparation.state not in (PreparationState.PREPARING, PreparationState.READY, PreparationState.HELD):
                continue
            if cluster in ready and cluster not in unwanted:
                preparation.state, preparation.generation = PreparationState.READY, ready[cluster]
                orders.extend(self._shown(node, cluster))
            else:
                orders.extend(self._no_more(node, cluster, f"{node.name} does not have it set up any more"))
                preparation.state = PreparationState.PREPARING
                orders.append(Prepare(node.uid, cluster))
        return orders

    def _shown(self, node: NodeEntry, cluster: bytes) -> list[Order]:
        """The computation is ready: the user is told once."""
        preparation = node.preparations[cluster]
        told, preparation.shown = preparation.shown, True
        return [] if told else [TellReady(cluster, node.uid)]

    @staticmethod
    def _no_more(node: NodeEntry, cluster: bytes, why: str) -> list[Order]:
        """What was ready is no more: the user is told, if he had been told that it was."""
        preparation = node.preparations[cluster]
        told, preparation.shown = preparation.shown, False
        return [TellClosed(cluster, node.uid, why, bool(preparation.obstacle))] if told else []

    def left(self, node_uid: bytes, now: float) -> list[Order]:
        """The link to a node is gone, or silent: it is away. Its jobs stay as they are."""
        node = self.nodes.get(node_uid)
        if node is None or not node.live:
            return []
        node.live, node.since = False, now
        self._changed(node)
        if not node.jobs:
            return []
        node.missed = True
        return [TellAway(node_uid, len(node.jobs))]

    def elapsed(self, now: float) -> list[Order]:
        """Time has passed: nodes that were away for too long are given up, barred ones get jobs again, and jobs have rested."""
        orders: list[Order] = []
        for job in self._rests.over(now, _rests):
            orders.extend(self._requeue(job))
        for node in list(self._waited_for.values()):
            if node.barred_until is not None and now >= node.barred_until:
                node.barred_until = None
                self._changed(node)
            if not node.live:
                for job in list(node.jobs.values()):
                    if now >= node.since + self.clusters[job.cluster].patience:
                        orders.extend(self._lost(job, f"{node.name} did not answer for {now - node.since:.0f} s", gone=True))
                orders.extend(self._waited_in_vain(node, now))
        return orders + self._dispatched()

    def _waited_in_vain(self, node: NodeEntry, now: float) -> list[Order]:
        """What was to run on a node that has been away for too long, and there only, never will."""
        orders: list[Order] = []
        why = f"{node.name} did not answer for {now - node.since:.0f} s"
        for cluster in [uid for uid in node.preparations if now >= node.since + self.clusters[uid].patience]:
            orders.extend(self._unpinned(node, cluster, why))
            orders.extend(self._no_more(node, cluster, why))
        self._changed(node)
        return orders

    def next_due(self) -> float | None:
        """When `elapsed` has something to do, in monotonic seconds."""
        due = self._rests.next_due(_rests)
        for node in self._waited_for.values():
            times = [] if node.barred_until is None else [node.barred_until]
            if not node.live:
                clusters = {job.cluster for job in node.jobs.values()} | set(node.hoping)
                times.extend(node.since + self.clusters[cluster].patience for cluster in clusters)
            for time in times:
                due = time if due is None else min(due, time)
        return due

    # Computations get ready on nodes.
    def wanted(self, cluster: bytes, node_uid: bytes) -> list[Order]:
        """A cluster may use a node that has joined."""
        node = self.nodes[node_uid]
        if cluster in node.preparations or cluster not in self.clusters:
            return []
        node.preparations[cluster] = Preparation()
        return [Allocate(cluster, node_uid)]

    def allocated(self, cluster: bytes, node_uid: bytes, cpus: int) -> list[Order]:
        """The user's NodeAllocate has spoken: this many slots, none at 0."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None or preparation.state is PreparationState.CLOSED:
            return []
        preparation.cpus = min(cpus, node.offered)
        if preparation.cpus <= 0:
            return self._unused(node, cluster)
        if preparation.state is PreparationState.ALLOCATING:
            preparation.state = PreparationState.PREPARING
            return [Prepare(node_uid, cluster)] if node.live else []
        self._changed(node)
        return self._dispatched()

    def _unused(self, node: NodeEntry, cluster: bytes) -> list[Order]:
        preparation = node.preparations[cluster]
        release = [Release(node.uid, cluster)] if preparation.generation and node.live else []
        preparation.state = PreparationState.UNUSED
        why = preparation.obstacle
        return [*release, *self._no_more(node, cluster, why), *self._unpinned(node, cluster, why)]

    def prepared(self, node_uid: bytes, cluster: bytes, generation: int) -> list[Order]:
        """A supervisor is ready: jobs of the cluster may be sent to the node."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None:
            return [Release(node_uid, cluster)]
        if preparation.is_over(generation):
            return []  # said before it heard that it is to end
        preparation.state, preparation.generation = PreparationState.READY, generation
        node.recalling = False
        self._changed(node)
        return self._shown(node, cluster) + self._dispatched()

    def rejected(self, node_uid: bytes, cluster: bytes, text: str) -> list[Order]:
        """The computation cannot run on the node (its setup failed, say); the others go on."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None or preparation.state is PreparationState.CLOSED:
            return []
        preparation.state, preparation.text = PreparationState.REJECTED, text
        self._changed(node)
        why = preparation.obstacle
        return [
            TellRejected(cluster, node_uid, text),
            *self._no_more(node, cluster, why),
            *self._unpinned(node, cluster, f"{node.name}: {why}"),
        ]

    def supervisor_died(self, node_uid: bytes, cluster: bytes, text: str) -> list[Order]:
        """A computation that was ready on the node is no more: it is prepared again, but not for ever."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None or preparation.state in (PreparationState.ALLOCATING, PreparationState.CLOSED):
            return []
        preparation.deaths += 1
        if preparation.deaths >= MOST_DEATHS:
            return self.rejected(node_uid, cluster, f"its supervisor died {preparation.deaths} times: {text}")
        preparation.state = PreparationState.PREPARING
        self._changed(node)
        return [*self._no_more(node, cluster, text), *([Prepare(node_uid, cluster)] if node.live else [])]

    def held(self, node_uid: bytes, cluster: bytes, text: str) -> list[Order]:
        """The node is in use by another client; it will say when it is free."""
        preparation = self.nodes[node_uid].preparations.get(cluster)
        if preparation is None or preparation.state is PreparationState.CLOSED:
            return []
        preparation.state = PreparationState.HELD
        self._changed(self.nodes[node_uid])
        if text == STILL_ENDING and preparation.generation == preparation.retired:
            return []  # as it was asked to
        return [TellHeld(cluster, node_uid, text)]

    def freed(self, node_uid: bytes) -> list[Order]:
        """The other client has left the node."""
        orders: list[Order] = []
        for cluster, preparation in self.nodes[node_uid].preparations.items():
            if preparation.state is PreparationState.HELD:
                preparation.state = PreparationState.PREPARING
                orders.append(Prepare(node_uid, cluster))
        return orders

    # Shared by both parts.
    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _current(self, node: bytes, attempt: Attempt) -> JobEntry | None:
        job = self.jobs.get(attempt.job)
        return job if job is not None and job.number == attempt.number and job.node == node else None

    def _stray_gone(self, node_uid: bytes, attempt: Attempt) -> None:
        node = self.nodes.get(node_uid)
        if node is not None and attempt in node.strays:
            node.strays.discard(attempt)
            self._changed(node)

    def _off_node(self, job: JobEntry) -> None:
        assert job.node is not None
        node = self.nodes[job.node]
        del node.jobs[job.uid]
        node.loose -= job.pinned is None
        preparation = node.preparations.get(job.cluster)
        if preparation is not None:
            preparation.busy -= 1
        job.node = None
        self._changed(node)

    def _lost(self, job: JobEntry, why: str, gone: bool = False) -> list[Order]:
        """Nobody knows what became of a job's attempt.

        :param gone: whether its node is given up with it.
        """
        node = job.node
        assert node is not None
        self._off_node(job)
        job.begun += job.state is JobState.ASSIGNED  # nobody knows, but it may have
        job.losses += (f"attempt {job.number} on {self.nodes[node].name}: {why}",)
        if not self.clusters[job.cluster].reentrant or job.cancelled or (gone and job.pinned is not None):
            return [self._settle(job, Outcome(CANCELLED, exception="Cancelled", reason=job.losses[-1]), node)]
        if len(job.losses) >= MOST_ATTEMPTS:
            text = "given up after these attempts:\n" + "\n".join(job.losses)
            return [self._settle(job, Outcome(TERMINATED, exception=text, reason=TOO_MANY_ATTEMPTS), node)]
        return self._requeue(job)

    def _changed(self, node: NodeEntry) -> None:
        """Void the node's offers and make new ones where it has room; note whether time will change something about it."""
        node.version += 1
        if node.barred_until is not None or (not node.live and (node.jobs or node.hoping)):
            self._waited_for[node.uid] = node
        else:
            self._waited_for.pop(node.uid, None)
        if node.loose and node.parked:
            self._parking[node.uid] = node
        else:
            self._parking.pop(node.uid, None)
            node.recalled = 0
        load = node.busy / node.cpus if node.cpus else 1.0
        for uid in node.preparations:
            cluster = self.clusters.get(uid)
            if cluster is not None and (node.room_for(uid) or node.parking_for(uid, cluster.depth)):
                cluster.candidates.offer(load, node.order, node.uid, node.version)
                cluster.candidates.thin(64 + 4 * len(self.nodes), lambda n, v, u=uid: self._stands(u, n, v))  # type: ignore[misc]
        if node.pins:
            self._offer_to_pinned(node)

    def _offer_to_pinned(self, node: NodeEntry) -> None:
        """Jobs that are for this node alone come up in their clusters by age: each cluster's oldest has an offer."""
        for uid, preparation in node.preparations.items():
            cluster = self.clusters[uid]
            has_room = preparation.pins and (node.room_for(uid, True) or node.parking_for(uid, cluster.depth, True))
            head = preparation.queue.head(waits) if has_room else None
            if head is not None:
                pinning = cluster.pinning
                pinning.offer(head[0], node.order, node.uid, node.version)
                pinning.thin(64 + 4 * len(self.nodes), lambda n, v: self.nodes[n].version == v)

    def _stands(self, cluster: bytes, node_uid: bytes, version: int, parks: bool = False, pinned: bool = False) -> bool:
        """Whether an offer stands: there is a free slot, or, where jobs may be parked, room behind one."""
        node = self.nodes[node_uid]
        if node.version != version:
            return False
        return node.room_for(cluster, pinned) or (parks and node.parking_for(cluster, self.clusters[cluster].depth, pinned))


def _rests(job: JobEntry, sequence: int) -> bool:
    return job.state is JobState.RESTING and job.sequence == sequence


__all__ = ["MOST_ATTEMPTS", "Attendance", "JobState"]
