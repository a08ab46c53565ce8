"""Histories of a ledger that nobody has written: anything that may happen, in any order, as a Hypothesis state machine."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dispytw.values import CANCELLED, FINISHED, TERMINATED, JobOptions
from dispytw.wire.records import HANDED
from tests.scheduler.fleet import Fleet, Node

T = TypeVar("T")

OPTIONS = st.builds(JobOptions, retries=st.sampled_from([0, 0, 1, 2]), backoff=st.sampled_from([0.0, 5.0]), priority=st.integers(-1, 1))
WISHES = ["limit", "allocated", "deallocated", "closed", "resetup"]
PULSES = st.sampled_from([None, 0.2, 20.0])


class Histories(RuleBasedStateMachine):
    """Anything that may happen, in any order; `Fleet` checks the laws at each step."""

    @initialize(cpus=st.lists(st.integers(1, 3), min_size=1, max_size=3), jobs=st.integers(0, 6), ready=st.booleans())
    def begin(self, cpus: list[int], jobs: int, ready: bool) -> None:
        """Some nodes, a cluster of either kind, and jobs; perhaps they are on their way already."""
        self.fleet = Fleet()
        for each in cpus:
            self.fleet.connect(self.fleet.add_node(each))
        self.fleet.open_cluster(True, None)
        self.fleet.open_cluster(False, None)
        for number in range(jobs):
            self.fleet.submit(self.fleet.open[number % 2])
        if ready:
            self.traffic("willing", 3)
            self.fleet.flush()

    @staticmethod
    def chosen(things: list[T], number: int) -> T:
        return things[number % len(things)]

    # What the user does.
    @rule(which=st.integers(0, 9), jobs=st.integers(1, 3), options=OPTIONS)
    def submit(self, which: int, jobs: int, options: JobOptions) -> None:
        for _ in range(jobs):
            self.fleet.submit(self.chosen(self.fleet.open, which), options)

    @precondition(lambda self: self.fleet.jobs)
    @rule(which=st.integers(0, 99), how=st.sampled_from(["cancel"] * 5 + ["leave", "give up", "close"]), pulse=PULSES)
    def regret(self, which: int, how: str, pulse: float | None) -> None:
        """A job is cancelled, or a cluster waits no longer; one that closes makes room for another."""
        cluster = self.chosen(self.fleet.open, which)
        if how == "cancel":
            self.fleet.cancel(self.chosen(self.fleet.jobs[::-1], which))
        elif how == "leave":
            self.fleet.do(self.fleet.ledger.unsent_given_up([cluster]))
        elif how == "give up":
            self.fleet.do(self.fleet.ledger.given_up(cluster, "enough"))
        else:
            self.fleet.close(cluster)
            self.fleet.open_cluster(self.fleet.reentrant[cluster], pulse)

    @precondition(lambda self: self.fleet.ledger.nodes)
    @rule(which=st.integers(0, 99), where=st.integers(0, 9), jobs=st.integers(1, 3), options=OPTIONS)
    def submit_to_a_node(self, which: int, where: int, jobs: int, options: JobOptions) -> None:
        """Jobs for one node alone."""
        for _ in range(jobs):
            self.fleet.submit(self.chosen(self.fleet.open, which), options, self.chosen(list(self.fleet.ledger.nodes), where))

    @precondition(lambda self: self.fleet.ledger.nodes)
    @rule(which=st.integers(0, 99), where=st.integers(0, 9), what=st.sampled_from(WISHES), number=st.integers(0, 3))
    def wish(self, which: int, where: int, what: str, number: int) -> None:
        """A node is to be used otherwise."""
        self.fleet.wish(what, self.chosen(self.fleet.open, which), self.chosen(list(self.fleet.ledger.nodes), where), number)

    # What goes over the links.
    @rule(mood=st.sampled_from(["willing", "willing", "rejects", "is held"]), slots=st.integers(0, 3))
    def traffic(self, mood: str, slots: int) -> None:
        """Everything underway arrives; the first sentence that asks a node for something finds it in this mood."""
        for _ in range(3):
            self.fleet.flush()
            for node in self.fleet.nodes:
                mood = self.empty(node, mood)
            for order in list(self.fleet.allocations):
                self.fleet.allocate(order, slots)

    def empty(self, node: Node, mood: str) -> str:
        while node.line is not None and (node.line.to_node or node.line.to_client):
            if node.line.to_node:
                asked = node.line.to_node[0][0] in ("open", "run")
                self.fleet.node_reads(node, mood)
                mood = "willing" if asked else mood
            if node.line.to_client:
                self.fleet.client_hears(node)
        return mood

    @rule(which=st.integers(0, 9), read=st.integers(0, 2), heard=st.integers(0, 2), flush=st.booleans())
    def a_few_words(self, which: int, read: int, heard: int, flush: bool) -> None:
        """Some of what is underway arrives on one link."""
        if flush:
            self.fleet.flush()
        node = self.chosen(self.fleet.nodes, which)
        while node.line is not None and node.line.to_node and read:
            self.fleet.node_reads(node)
            read -= 1
        while node.line is not None and node.line.to_client and heard:
            self.fleet.client_hears(node)
            heard -= 1

    @rule(which=st.integers(0, 9), what=st.sampled_from(["cut", "connect", "crash"]), read=st.integers(0, 3), back=st.booleans())
    def links(self, which: int, what: str, read: int, back: bool) -> None:
        """A link breaks or is replaced, or its node dies; perhaps the node is back at once."""
        node = self.chosen(self.fleet.nodes, which)
        if what == "cut":
            self.fleet.cut(node, read)
        elif what == "crash":
            node = self.fleet.crash(node)
        if back or what == "connect":
            self.fleet.connect(node, read)

    @rule(seconds=st.sampled_from([0.5, 1.0, 61.0, 3601.0]))
    def elapse(self, seconds: float) -> None:
        self.fleet.elapse(seconds)

    # What nodes do.
    @precondition(lambda self: any(node.unended for node in self.fleet.nodes))
    @rule(which=st.integers(0, 99), status=st.sampled_from([None, FINISHED, TERMINATED, CANCELLED]), many=st.booleans())
    def work(self, which: int, status: int | None, many: bool) -> None:
        """Jobs begin, or end."""
        placed = [(node, attempt) for node in self.fleet.nodes for attempt in node.unended]
        for node, attempt in placed if many else [self.chosen(placed, which)]:
            if node.words[attempt] == HANDED and status != CANCELLED:
                self.fleet.begin(node, attempt)
            if status is not None:
                self.fleet.end(node, attempt, status)

    @rule(which=st.integers(0, 99), what=st.sampled_from(["dies", "freed"]))
    def trouble(self, which: int, what: str) -> None:
        """A supervisor dies, or whoever held a node has left it."""
        ready = [(node, cluster) for node in self.fleet.nodes for cluster in node.ready]
        if what == "freed":
            self.chosen(self.fleet.nodes, which).tell("freed")
        elif ready:
            self.fleet.supervisor_dies(*self.chosen(ready, which))

    def teardown(self) -> None:
        """When all is well again, every job has its end, and no slot is taken."""
        if not hasattr(self, "fleet"):
            return
        self.fleet.heal()
        assert set(self.fleet.settled) == set(self.fleet.jobs), "a job was forgotten"
        assert not self.fleet.ledger.jobs
        for node in self.fleet.ledger.nodes.values():
            assert not node.busy, "a slot was lost"
