"""The part of the ledger that is about nodes: who is there, who is away, who is given up, and what is ready where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dispytw.scheduler.entries import ClusterEntry, JobEntry, JobState, NodeEntry, Preparation, PreparationState
from dispytw.scheduler.orders import (
    Allocate,
    Order,
    Prepare,
    Reconcile,
    Release,
    Settle,
    TellAway,
    TellBack,
    TellHeld,
    TellRejected,
    Withdraw,
)
from dispytw.values import CANCELLED, TERMINATED, TOO_MANY_ATTEMPTS, Attempt, NodeFacts, Outcome
from dispytw.wire.records import ENDED, NEVER_STARTED, UNKNOWN

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

    # What the ledger adds.
    def _dispatched(self) -> list[Order]:
        raise NotImplementedError

    def _never_started(self, job: JobEntry) -> list[Order]:
        raise NotImplementedError

    def _requeue(self, job: JobEntry) -> None:
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
        node.name, node.cpus = facts.name, facts.cpus
        self._changed(node)
        return [*orders, Reconcile(node.uid, tuple(job.belief for job in node.jobs.values()))]

    @staticmethod
    def _begin_anew(node: NodeEntry) -> list[Order]:
        """A new incarnation may have other slots, and what did not work on an earlier one may work now."""
        asked = [uid for uid, each in node.preparations.items() if each.state is not PreparationState.ALLOCATING]
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
        for cluster, preparation in node.preparations.items():
            if preparation.state in (PreparationState.ALLOCATING, PreparationState.UNUSED, PreparationState.REJECTED):
                continue
            if cluster in ready:
                preparation.state, preparation.generation = PreparationState.READY, ready[cluster]
            else:
                preparation.state = PreparationState.PREPARING
                orders.append(Prepare(node.uid, cluster))
        orders.extend(Release(node.uid, cluster) for cluster in ready if cluster not in node.preparations)
        return orders

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
        """Time has passed: nodes that were away for too long are given up, barred ones get jobs again."""
        orders: list[Order] = []
        for node in list(self._waited_for.values()):
            if node.barred_until is not None and now >= node.barred_until:
                node.barred_until = None
                self._changed(node)
            if not node.live:
                for job in list(node.jobs.values()):
                    if now >= node.since + self.clusters[job.cluster].patience:
                        orders.extend(self._lost(job, f"{node.name} did not answer for {now - node.since:.0f} s"))
        return orders + self._dispatched()

    def next_due(self) -> float | None:
        """When `elapsed` has something to do, in monotonic seconds."""
        due: float | None = None
        for node in self._waited_for.values():
            times = [] if node.barred_until is None else [node.barred_until]
            if not node.live and node.jobs:
                clusters = {job.cluster for job in node.jobs.values()}
                times.append(node.since + min(self.clusters[cluster].patience for cluster in clusters))
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
        if preparation is None:
            return []
        preparation.cpus = min(cpus, node.cpus)
        if preparation.cpus <= 0:
            preparation.state = PreparationState.UNUSED
            return []
        preparation.state = PreparationState.PREPARING
        return [Prepare(node_uid, cluster)] if node.live else []

    def prepared(self, node_uid: bytes, cluster: bytes, generation: int) -> list[Order]:
        """A supervisor is ready: jobs of the cluster may be sent to the node."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None:
            return [Release(node_uid, cluster)]
        preparation.state, preparation.generation = PreparationState.READY, generation
        node.recalling = False
        self._changed(node)
        return self._dispatched()

    def rejected(self, node_uid: bytes, cluster: bytes, text: str) -> list[Order]:
        """The computation cannot run on the node (its setup failed, say); the others go on."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None:
            return []
        preparation.state = PreparationState.REJECTED
        self._changed(node)
        return [TellRejected(cluster, node_uid, text)]

    def supervisor_died(self, node_uid: bytes, cluster: bytes, text: str) -> list[Order]:
        """A computation that was ready on the node is no more: it is prepared again, but not for ever."""
        node = self.nodes[node_uid]
        preparation = node.preparations.get(cluster)
        if preparation is None:
            return []
        preparation.deaths += 1
        if preparation.deaths >= MOST_DEATHS:
            return self.rejected(node_uid, cluster, f"its supervisor died {preparation.deaths} times: {text}")
        preparation.state = PreparationState.PREPARING
        self._changed(node)
        return [Prepare(node_uid, cluster)] if node.live else []

    def held(self, node_uid: bytes, cluster: bytes, text: str) -> list[Order]:
        """The node is in use by another client; it will say when it is free."""
        preparation = self.nodes[node_uid].preparations.get(cluster)
        if preparation is None:
            return []
        preparation.state = PreparationState.HELD
        self._changed(self.nodes[node_uid])
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
        preparation = node.preparations.get(job.cluster)
        if preparation is not None:
            preparation.busy -= 1
        job.node = None
        self._changed(node)

    def _lost(self, job: JobEntry, why: str) -> list[Order]:
        node = job.node
        assert node is not None
        self._off_node(job)
        job.losses += (f"attempt {job.number} on {self.nodes[node].name}: {why}",)
        if not self.clusters[job.cluster].reentrant or job.cancelled:
            return [self._settle(job, Outcome(CANCELLED, exception="Cancelled", reason=job.losses[-1]), node)]
        if len(job.losses) >= MOST_ATTEMPTS:
            text = "given up after these attempts:\n" + "\n".join(job.losses)
            return [self._settle(job, Outcome(TERMINATED, exception=text, reason=TOO_MANY_ATTEMPTS), node)]
        self._requeue(job)
        return []

    def _changed(self, node: NodeEntry) -> None:
        """Void the node's offers and make new ones where it has room; note whether time will change something about it."""
        node.version += 1
        if node.barred_until is not None or (node.jobs and not node.live):
            self._waited_for[node.uid] = node
        else:
            self._waited_for.pop(node.uid, None)
        if node.parked and node.jobs:
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

    def _stands(self, cluster: bytes, node_uid: bytes, version: int, parks: bool = False) -> bool:
        """Whether an offer stands: there is a free slot, or, where jobs may be parked, room behind one."""
        node = self.nodes[node_uid]
        if node.version != version:
            return False
        return node.room_for(cluster) or (parks and node.parking_for(cluster, self.clusters[cluster].depth))


__all__ = ["MOST_ATTEMPTS", "Attendance", "JobState"]
