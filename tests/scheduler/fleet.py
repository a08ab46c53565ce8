"""Nodes as honest as real ones, with links that may be cut at any moment, and a ledger whose orders are carried out on them.

What is said on a link arrives in order, one sentence at a time, or is lost with the link. Whatever the ledger orders and whatever
becomes of an attempt is checked against the laws of scheduling, which are the assertions in here.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from dispytw.scheduler import orders as o
from dispytw.scheduler.attendance import MOST_ATTEMPTS
from dispytw.scheduler.entries import JobState
from dispytw.scheduler.ledger import NO_SLOT, Ledger
from dispytw.values import CANCELLED, FINISHED, PLAIN, TERMINAL, TERMINATED, Attempt, JobOptions, NodeFacts, Outcome
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, UNKNOWN

NOT_READY = "the computation is not ready here"


@attrs.define(eq=False)
class Line:
    """A link: what is underway on it, each way."""

    to_node: deque[tuple[Any, ...]] = attrs.field(factory=deque)
    to_client: deque[tuple[Any, ...]] = attrs.field(factory=deque)
    reconciled: bool = False


@attrs.define(eq=False)
class Node:
    """A machine: what really is on it."""

    uid: bytes
    cpus: int
    incarnation: int = 1
    generation: int = 0
    line: Line | None = None
    ready: dict[bytes, int] = attrs.field(factory=dict)
    words: dict[Attempt, str] = attrs.field(factory=dict)
    clusters: dict[Attempt, bytes] = attrs.field(factory=dict)
    owed: dict[Attempt, Outcome] = attrs.field(factory=dict)
    cancelled: set[Attempt] = attrs.field(factory=set)
    acknowledged: set[Attempt] = attrs.field(factory=set)

    @property
    def unended(self) -> list[Attempt]:
        """Attempts that take a slot."""
        return [attempt for attempt, word in self.words.items() if word != ENDED]

    def tell(self, *words: Any) -> None:
        """Say it to the client, if there is a link."""
        if self.line is not None:
            self.line.to_client.append(words)


class Fleet:
    """The ledger, its nodes, and everything between them. Each method is something that may happen."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.now = 0.0
        self.nodes: list[Node] = []
        self.reentrant: dict[bytes, bool] = {}
        self.open: list[bytes] = []
        self.jobs: list[bytes] = []
        self.settled: dict[bytes, Outcome] = {}
        self.unwanted: set[bytes] = set()
        self.pinned: dict[bytes, bytes] = {}
        self.attempts: defaultdict[bytes, list[Attempt]] = defaultdict(list)
        self.never_started: set[Attempt] = set()
        self.options: dict[bytes, JobOptions] = {}
        self.retried: set[Attempt] = set()
        self.starts: Counter[bytes] = Counter()
        self.allocations: list[o.Allocate] = []
        self._outgoing: defaultdict[bytes, list[o.Assign]] = defaultdict(list)
        self._withdrawn: defaultdict[bytes, list[Attempt]] = defaultdict(list)
        self._uids: Iterator[bytes] = (number.to_bytes(16, "big") for number in range(1, 10_000))

    # What the ledger orders.
    def do(self, orders: list[o.Order]) -> None:
        """Carry out what the ledger has answered to one event, and check it."""
        for order in orders:
            getattr(self, f"_{type(order).__name__.lower()}")(order)
        self._check_order(orders)
        self._check_slots()

    def _assign(self, order: o.Assign) -> None:
        job, node = order.attempt.job, self.node(order.node)
        earlier = self.attempts[job]
        assert job not in self.settled and job not in self.unwanted, "a job that is settled or cancelled was assigned"
        assert node.line is not None and node.line.reconciled, "a node was given a job before it was reconciled"
        assert order.attempt.number == len(earlier) + 1
        assert self.pinned.get(job, order.node) == order.node, "a job that is for one node was given to another"
        may_have_run = [attempt for attempt in earlier if attempt not in self.never_started | self.retried]
        if self.reentrant[order.cluster]:
            assert len(may_have_run) < MOST_ATTEMPTS, "a job was assigned a fifth time"
        else:
            assert not may_have_run, "a job that is not reentrant was assigned again, and may have started"
        earlier.append(order.attempt)
        self._outgoing[order.node].append(order)

    def _withdraw(self, order: o.Withdraw) -> None:
        assert self.node(order.node).line is not None
        self._withdrawn[order.node].append(order.attempt)

    def _settle(self, order: o.Settle) -> None:
        assert order.job not in self.settled, "a job was settled twice"
        assert order.outcome.status in TERMINAL
        self.settled[order.job] = order.outcome

    def _showretry(self, order: o.ShowRetry) -> None:
        assert order.outcome.status == TERMINATED and order.job not in self.settled | self.unwanted
        assert order.attempt not in self.retried
        self.retried.add(order.attempt)
        mine = sum(each.job == order.job for each in self.retried)
        assert mine <= self.options[order.job].retries, "a job is tried again more often than was asked for"
        assert mine <= order.attempts

    def _showrunning(self, order: o.ShowRunning) -> None:
        assert order.job not in self.settled, "a settled job was shown as running"
        assert self.starts[order.job] > 0

    def _reconcile(self, order: o.Reconcile) -> None:
        self._say(order.node, "reconcile", order.attempts)

    def _prepare(self, order: o.Prepare) -> None:
        self._say(order.node, "open", order.cluster)

    def _release(self, order: o.Release) -> None:
        self._say(order.node, "close", order.cluster)

    def _allocate(self, order: o.Allocate) -> None:
        self.allocations.append(order)

    def _say(self, node: bytes, *words: Any) -> None:
        line = self.node(node).line
        assert line is not None, "something was said to a node that has no link"
        line.to_node.append(words)

    def _tell(self, order: Any) -> None:
        """The user reads it."""

    _tellaway = _tellback = _tellrejected = _tellheld = _tellready = _tellclosed = _tell

    def _check_order(self, orders: list[o.Order]) -> None:
        """By priority, then first in, first out inside a cluster, and no slot idle while somebody waits for it; so, too, those of one node."""
        assigned: defaultdict[bytes, list[tuple[int, int]]] = defaultdict(list)
        there: defaultdict[tuple[bytes, bytes], list[tuple[int, int]]] = defaultdict(list)
        for order in orders:
            if isinstance(order, o.Assign):
                line = there[order.cluster, order.node] if order.attempt.job in self.pinned else assigned[order.cluster]
                line.append(self._rank(order.attempt.job))
        assert all(line == sorted(line) for line in there.values()), "jobs for one node were assigned out of order"
        for uid, cluster in self.ledger.clusters.items():
            queued = [job for job in cluster.jobs.values() if job.state is JobState.QUEUED]
            for job in (job for job in queued if job.pinned is not None):
                assert not self.ledger.nodes[job.pinned].room_for(uid, pinned=True), "a job waits for a node that has an idle slot"  # type: ignore[index]
            waiting = [self._rank(job.uid) for job in queued if job.pinned is None]
            assert assigned[uid] == sorted(assigned[uid]), "jobs of one event were assigned out of order"
            assert not assigned[uid] or not waiting or assigned[uid][-1] < min(waiting), "a job has overtaken an older one"
            idle = [node.name for node in self.ledger.nodes.values() if node.room_for(uid)]
            assert not (waiting and idle), "a job waits and a slot is idle"

    def _rank(self, job: bytes) -> tuple[int, int]:
        return -self.options[job].priority, self.jobs.index(job)

    def _check_slots(self) -> None:
        """What is on a node, or may be, never exceeds its slots, nor a cluster's share of them."""
        for node in self.ledger.nodes.values():
            assert len(node.jobs) + len(node.strays) <= node.offered, "more attempts than slots"
            assert node.pins == sum(each.pins for each in node.preparations.values())
            for uid, preparation in node.preparations.items():
                pins = sum(job.in_line and job.cluster == uid and job.pinned == node.uid for job in self.ledger.jobs.values())
                assert preparation.pins == pins, "a job that waits for a node was miscounted"
                assert preparation.busy == sum(job.cluster == uid for job in node.jobs.values())

    def node(self, uid: bytes) -> Node:
        """By its uid."""
        return next(node for node in self.nodes if node.uid == uid)

    # What the user does.
    def open_cluster(self, reentrant: bool, pulse_interval: float | None) -> bytes:
        """A cluster, which wants every node."""
        uid = next(self._uids)
        self.reentrant[uid] = reentrant
        self.open.append(uid)
        self.do(self.ledger.cluster_opened(uid, reentrant, pulse_interval))
        for node in self.nodes:
            if node.line is not None:
                self.do(self.ledger.wanted(uid, node.uid))
        return uid

    def submit(self, cluster: bytes, options: JobOptions = PLAIN, node: bytes | None = None) -> bytes:
        """A job, perhaps for one node alone."""
        uid = next(self._uids)
        self.jobs.append(uid)
        self.options[uid] = options
        if node is not None:
            self.pinned[uid] = node
        self.do(self.ledger.submitted(cluster, uid, options, node))
        return uid

    def wish(self, what: str, cluster: bytes, node: bytes, number: int) -> None:
        """The user wants something of a node."""
        if what == "limit":
            before = self.ledger.nodes[node].busy
            self.do(self.ledger.node_limited(node, number - 1))
            assert self.ledger.nodes[node].busy <= max(before, self.ledger.nodes[node].cpus), "a job went over the limit"
        elif what in ("closed", "resetup"):
            self.do(getattr(self.ledger, f"node_{what}")(cluster, node, number == 0))
        else:
            self.do(getattr(self.ledger, f"node_{what}")(cluster, node))

    def cancel(self, job: bytes) -> None:
        """The user does not want it any more."""
        self.unwanted.add(job)
        self.do(self.ledger.cancelled(job))

    def close(self, cluster: bytes) -> None:
        """A cluster goes."""
        self.open.remove(cluster)
        self.do(self.ledger.cluster_closed(cluster))

    def allocate(self, order: o.Allocate, slots: int) -> None:
        """NodeAllocate has spoken."""
        self.allocations.remove(order)
        self.do(self.ledger.allocated(order.cluster, order.node, slots))

    def elapse(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.do(self.ledger.elapsed(self.now))
        due = self.ledger.next_due()
        assert due is None or due > self.now, "what is due was not done: whoever wakes the ledger would spin"

    # What links do.
    def add_node(self, cpus: int) -> Node:
        """A machine, without a link."""
        node = Node(next(self._uids), cpus)
        self.nodes.append(node)
        return node

    def connect(self, node: Node, read: int = 0) -> None:
        """A link opens; an older one is replaced, and of what was underway on it the node has read so much."""
        self._break(node, read)
        node.line = Line()
        unsent = self._outgoing.pop(node.uid, [])
        self._withdrawn.pop(node.uid, None)
        orders = self.ledger.joined(NodeFacts(node.uid, node.incarnation, "node", node.cpus), self.now)
        self._unsent(node, (order.attempt for order in unsent))
        self.do(orders)
        for cluster in self.open:
            self.do(self.ledger.wanted(cluster, node.uid))

    def cut(self, node: Node, read: int = 0) -> None:
        """The link breaks; what was underway is lost, but for what the node has read of it."""
        self._break(node, read)
        self.do(self.ledger.left(node.uid, self.now))

    def _break(self, node: Node, read: int) -> None:
        while node.line is not None and node.line.to_node and read > 0:
            self.node_reads(node)
            read -= 1
        node.line = None

    def flush(self) -> None:
        """The reactor's turn ends: what was ordered in it leaves."""
        outgoing, self._outgoing = self._outgoing, defaultdict(list)
        withdrawn, self._withdrawn = self._withdrawn, defaultdict(list)
        for uid, orders in outgoing.items():
            node = self.node(uid)
            line, dropped = node.line, set(withdrawn[uid])
            sent = [order for order in orders if line is not None and order.attempt not in dropped]
            self._unsent(node, [order.attempt for order in orders if order not in sent])
            if line is not None:
                line.to_node.extend(("run", order) for order in sent)
            withdrawn[uid] = [each for each in withdrawn[uid] if each not in {order.attempt for order in orders}]
        for uid, attempts in withdrawn.items():
            if (line := self.node(uid).line) is not None:
                line.to_node.extend(("cancel", attempt) for attempt in attempts)

    def _unsent(self, node: Node, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self._refused(node, attempt, "not sent")

    def _refused(self, node: Node, attempt: Attempt, reason: str) -> None:
        self.never_started.add(attempt)
        self.do(self.ledger.refused(node.uid, attempt, reason, self.now))

    # What nodes do.
    def node_reads(self, node: Node, mood: str = "willing") -> None:
        """A node takes the next sentence from its link; in another mood it refuses, rejects, or is held by somebody else."""
        assert node.line is not None
        kind, said, *_ = node.line.to_node.popleft()
        if kind == "run":
            self._node_runs(node, said, mood)
        elif kind == "cancel":
            node.cancelled.add(said)
        elif kind == "acknowledge" and said in node.owed:
            del node.owed[said], node.words[said], node.clusters[said]
            node.acknowledged.add(said)
        elif kind == "open":
            self._node_opens(node, said, mood)
        elif kind == "close" and node.ready.pop(said, None) is not None:
            self._end_all(node, said, CANCELLED)
        elif kind == "reconcile":
            self._node_reconciles(node, said)

    def _node_runs(self, node: Node, order: o.Assign, mood: str) -> None:
        assert len(node.unended) < node.cpus, "a node was sent more than it has slots for"
        if node.ready.get(order.cluster) != order.generation:
            return node.tell("refused", order.attempt, NOT_READY)
        if mood != "willing":
            return node.tell("refused", order.attempt, NO_SLOT if mood == "rejects" else NOT_READY)
        node.words[order.attempt], node.clusters[order.attempt] = HANDED, order.cluster

    def _node_opens(self, node: Node, cluster: bytes, mood: str) -> None:
        if mood == "willing" and cluster not in node.ready:
            node.generation += 1
            node.ready[cluster] = (node.incarnation << 20) + node.generation
        if cluster in node.ready:
            return node.tell("ready", cluster, node.ready[cluster])
        node.tell(mood, cluster)

    def _node_reconciles(self, node: Node, asked: tuple[tuple[Attempt, int, int], ...]) -> None:
        words = list(node.words.items())
        for attempt, incarnation, _ in asked:
            if attempt not in node.words:
                never = incarnation == node.incarnation and attempt not in node.acknowledged
                words.append((attempt, NEVER_STARTED if never else UNKNOWN))
        node.tell("words", words, dict(node.ready))
        for attempt, word in node.words.items():
            if word != HANDED:
                node.tell(*(("started", attempt) if word == RUNNING else ("ended", attempt, node.owed[attempt])))

    def begin(self, node: Node, attempt: Attempt) -> None:
        """A job's body begins."""
        node.words[attempt] = RUNNING
        self.starts[attempt.job] += 1
        assert self.starts[attempt.job] <= (MOST_ATTEMPTS if self.reentrant[node.clusters[attempt]] else 1), "started too often"
        node.tell("started", attempt)

    def end(self, node: Node, attempt: Attempt, status: int) -> None:
        """A job ends."""
        node.words[attempt] = ENDED
        node.owed[attempt] = Outcome(status, reason="a test")
        node.tell("ended", attempt, node.owed[attempt])

    def _end_all(self, node: Node, cluster: bytes, status: int) -> None:
        for attempt in node.unended:
            if node.clusters[attempt] == cluster:
                self.end(node, attempt, status)

    def supervisor_dies(self, node: Node, cluster: bytes) -> None:
        """And its jobs with it."""
        generation = node.ready.pop(cluster)
        self._end_all(node, cluster, TERMINATED)
        node.tell("died", cluster, generation)

    def crash(self, node: Node) -> Node:
        """The daemon dies with all it had, and starts again."""
        self.cut(node)
        successor = Node(node.uid, node.cpus, node.incarnation + 1)
        self.nodes[self.nodes.index(node)] = successor
        return successor

    # What the client hears.
    def client_hears(self, node: Node) -> None:
        """The next sentence of a node arrives."""
        assert node.line is not None
        kind, *said = node.line.to_client.popleft()
        ledger, uid = self.ledger, node.uid
        if kind == "words":
            node.line.reconciled = True
            self.never_started.update(attempt for attempt, word in said[0] if word == NEVER_STARTED)
            self.do(ledger.reconciled(uid, said[0], said[1], self.now))
        elif kind == "refused":
            self._refused(node, *said)
        elif kind == "started":
            self.do(ledger.started(uid, said[0], 1e9))
        elif kind == "ended":
            self.do(ledger.ended(uid, *said, self.now))
            node.line.to_node.append(("acknowledge", said[0]))
        elif kind == "ready":
            self.do(ledger.prepared(uid, *said))
        elif kind == "died":
            self.do(ledger.supervisor_died(uid, said[0], "killed"))
        elif kind == "freed":
            self.do(ledger.freed(uid))
        else:
            event = {"rejects": ledger.rejected, "is held": ledger.held}[kind]
            self.do(event(uid, said[0], "a test"))

    # And in the end.
    def heal(self) -> None:
        """Links open where there are none, all is said and heard, every job ends, and one node more takes who is still without."""
        self.add_node(2)
        for node in self.nodes:
            if node.line is None:
                self.connect(node)
            self.do(self.ledger.node_limited(node.uid, None))
            node.tell("freed")
        for _ in range(1000):
            if not self._calm_down():
                return
        raise AssertionError("there is no end to it")

    def _calm_down(self) -> bool:
        busy = bool(self.allocations or self._outgoing or self._withdrawn or self.ledger.next_due() is not None)
        for order in list(self.allocations):
            self.allocate(order, 2)
        self.flush()
        for node in self.nodes:
            line = node.line
            assert line is not None
            busy = busy or bool(line.to_node or line.to_client or node.unended)
            while line.to_node:
                self.node_reads(node)
            while line.to_client:
                self.client_hears(node)
            for attempt in node.unended:
                if node.words[attempt] == HANDED:
                    self.begin(node, attempt)
                self.end(node, attempt, FINISHED)
        self.elapse(1.0)
        return busy
