"""One life of the house: a plan made of a seed, and the steps that follow."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from dispytw.inmemory import Transport, Wire
from dispytw.testing import MemoryClient, MemoryJob, MemoryNode
from dispytw.values import PLAIN, JobOptions, NodeFacts
from dispytw.wire.streams import WINDOW
from tests.simulation import losing, repeating, tables
from tests.simulation.bothends import LawfulBenchWatch, LawfulLedgerWatch
from tests.simulation.calm import Calm
from tests.simulation.faults import FAULTS, LATER, vanish
from tests.simulation.laws import LawfulCluster, LawfulHouse, check_end, check_node, check_nothing_left
from tests.simulation.slowness import SlowSinks
from tests.simulation.watching import Broken, Record

#: Seconds in which jobs are submitted and faults happen; then everything heals.
TROUBLE = 40.0
#: Seconds after which a job without a status is taken to hang.
HANGS = 2 * 3600.0 + 600.0
FEWEST_JOBS, FEWEST_FAULTS = 50, 10
#: Bytes of arguments that do not fit the window of their stream.
LARGE = WINDOW + WINDOW // 2


@attrs.define(eq=False)
class World:
    """A house, its plan, and what occurred.

    :ivar faults: how often each kind of fault was done.
    :ivar hits: how often each hit a node on which a body was being performed.
    :ivar quick: clusters most of whose jobs are short.
    :ivar large: jobs whose arguments are longer than the window of their stream.
    :ivar at_join: what a user does soon after his client has got its next link, by client.
    """

    seed: int
    record: Record = attrs.field(factory=Record)
    faults: Counter[str] = attrs.field(factory=Counter)
    hits: Counter[str] = attrs.field(factory=Counter)
    house: LawfulHouse = attrs.field(init=False)
    nodes: list[MemoryNode] = attrs.field(factory=list)
    clients: list[MemoryClient] = attrs.field(factory=list)
    clusters: list[LawfulCluster] = attrs.field(factory=list)
    closed: set[bytes] = attrs.field(factory=set)
    chance: random.Random = attrs.field(init=False)
    _ledgers: dict[bytes, LawfulLedgerWatch] = attrs.field(factory=dict)
    _plan: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    quick: set[bytes] = attrs.field(factory=set)
    losing: Counter[bytes] = attrs.field(factory=Counter)
    large: set[bytes] = attrs.field(factory=set)
    last_words: Counter[bytes] = attrs.field(factory=Counter)
    repeating: Counter[bytes] = attrs.field(factory=Counter)
    at_join: dict[bytes, Callable[[], None]] = attrs.field(factory=dict)
    _slow: dict[bytes, float] = attrs.field(factory=dict)
    _checked: int = 0

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.house = LawfulHouse(random.Random(self.chance.random()))
        self.house.mean_latency = self.chance.choice((0.003, 0.003, 0.3))
        self.house.joined = self._joined
        self.record.performed = self.house.performed
        self.house.begun = self.watch_bench  # type: ignore[method-assign]

    # The plan.
    def live(self) -> None:
        """The whole life.

        :raises Broken: when a law does not hold.
        """
        self._furnish()
        self._plan_jobs()
        self._plan_faults()
        for when, _, action in sorted(self._plan, key=lambda each: each[:2]):
            self._pass_until(when)
            action()
        self._pass_until(TROUBLE)
        self._complete_faults()
        self._heal()
        self._complete_jobs()
        self._settle()
        self._close()

    def _complete_faults(self) -> None:
        """Faults that did not come about, as there was nothing to hit, come now."""
        while sum(self.faults.values()) < FEWEST_FAULTS:
            self._pass_until(self.house.now() + 0.5)
            self._fault(self.chance.choice(("cut", "crash", "hold", "suspend")))

    def _complete_jobs(self) -> None:
        """Jobs that did not come about, as there was no cluster, come now."""
        if not self.open_clusters():
            self._cluster(self.clients[0])
        while sum(len(cluster.jobs) for cluster in self.clusters) < FEWEST_JOBS:
            self._submit()

    def open_clusters(self) -> list[LawfulCluster]:
        return [c for c in self.clusters if c.uid not in self.closed and c.client.process.alive]

    def _later(self, when: float, action: Callable[[], None]) -> None:
        self._plan.append((when, len(self._plan), action))

    def _furnish(self) -> None:
        chance = self.chance
        zombie = chance.choice((3600.0, 8.0))
        for _ in range(chance.randint(3, 5)):
            node = self.house.node(chance.randint(1, 3), zombie)
            node.starting, node.cancelling = chance.choice((0.001, 0.05, 0.8)), chance.choice((0.005, 0.2, 3.0))
            node.crash()
            node.restart()
            self.nodes.append(node)
            if chance.random() < 0.3:
                self._slow[node.uid] = chance.choice((0.01, 0.3))
        self._client()
        for _ in range(chance.randint(1, 2)):
            self._cluster(self.clients[0])
        if chance.random() < 0.4:
            self._later(chance.uniform(0, TROUBLE / 2), lambda: self._cluster(self._client()))

    def _client(self) -> MemoryClient:
        client = self.house.client(f"client {len(self.clients)}")
        self.clients.append(client)
        watch = LawfulLedgerWatch(f"client{len(self.clients)}", client.session.ledger, tables.LEDGER, self.record, self.house.now)
        watch.begin()
        self._ledgers[client.uid] = watch
        return client

    def watch_bench(self, node: MemoryNode) -> None:
        name = f"{node.facts.name}.{node.incarnation}"
        LawfulBenchWatch(name, node.bench, tables.BENCH, self.record, self.house.now).begin()

    def _cluster(self, client: MemoryClient) -> None:
        chance = self.chance
        reentrant, pulse = chance.random() < 0.5, chance.choice((None, 1.0))
        nodes = [node for node in self.nodes if chance.random() < 0.8] or self.nodes[:1]
        cluster = LawfulCluster(client, self.house.new_uid(), nodes, reentrant, pulse)
        if chance.random() < 0.4:
            self.quick.add(cluster.uid)
        quirk = chance.random()
        if quirk < 0.1:
            cluster.allocate = _refusing
        elif quirk < 0.3:
            cluster.allocate = lambda node: node.cpus - 1
        self.clusters.append(cluster)
        self.say(f"cluster {cluster.uid.hex()[:8]} reentrant {reentrant} pulse {pulse} nodes {len(nodes)}")

    def _plan_jobs(self) -> None:
        for _ in range(self.chance.randint(FEWEST_JOBS, FEWEST_JOBS + 20)):
            self._later(self.chance.choice((0.0, self.chance.uniform(0, TROUBLE * 0.8))), self._submit)

    def _submit(self) -> None:
        open_clusters = self.open_clusters()
        if open_clusters:
            self.submit_to(self.chance.choice(open_clusters))

    def submit_to(self, cluster: LawfulCluster, node: MemoryNode | None = None, seconds: float | None = None) -> None:
        """A user submits a job, as soon as his program runs; perhaps for one node alone, and of a known length."""
        scales = (0.0, 0.002, 0.01, 0.01, 0.01, 3.0) if cluster.uid in self.quick else (0.0, 0.2, 2.0, 2.0, 12.0)
        duration = min(self.chance.choice(scales) * self.chance.expovariate(1.0), 40.0)
        options = PLAIN
        if self.chance.random() < 0.3:
            retries, backoff = self.chance.choice((0, 1, 3)), self.chance.choice((0.0, 0.5, 5.0))
            timeout = self.chance.choice((None, None, 0.3))
            options = JobOptions(timeout, retries, backoff, self.chance.choice((-1, 0, 7)))
            duration = -duration if self.chance.random() < 0.6 else duration
        duration = duration if seconds is None else seconds
        padding = self.chance.choices((0, 120_000, LARGE), (0.92, 0.07, 0.01))[0]
        place = self.chance.random()

        def submit() -> None:
            uid = self.house.new_uid
            job: list[MemoryJob] = []

            def known(*args: Any) -> bytes:
                made = uid()
                self.house.reentrant[made] = cluster.reentrant
                self.house.retries[made] = options.retries
                self._ledgers[cluster.client.uid].clusters[made.hex()[:8]] = cluster.uid
                if padding == LARGE:
                    self.large.add(made)
                return made

            self.house.new_uid = known  # type: ignore[method-assign]
            try:
                job.append(cluster.submit(round(duration, 3), padding, options, node or self._place(cluster, place)))
            finally:
                self.house.new_uid = uid  # type: ignore[method-assign]

        cluster.client.process.deliver(submit)

    def _place(self, cluster: LawfulCluster, place: float) -> MemoryNode | None:
        """For which node alone one job in five is: one that the cluster has met."""
        ledger = cluster.client.session.ledger
        met = [node for node in self.nodes if node.uid in ledger.nodes and cluster.uid in ledger.nodes[node.uid].preparations]
        return met[int(place * 5 * len(met))] if met and place < 0.2 else None

    # Faults.
    def _plan_faults(self) -> None:
        for _ in range(self.chance.randint(FEWEST_FAULTS + 4, FEWEST_FAULTS + 14)):
            names = list(FAULTS)
            name = self.chance.choices(names, [FAULTS[each][1] for each in names])[0]
            self._later(self.chance.uniform(0.1, TROUBLE), lambda name=name: self._fault(name))  # type: ignore[misc]
        if self.seed % 10 == 0:
            self._later(self.chance.uniform(1, TROUBLE), self._wall_clock_jumps)

    def _fault(self, name: str) -> None:
        hit = FAULTS[name][0](self)
        if hit is None or name in LATER:
            return  # nothing to hit; or it is counted when it happens
        self.faults[name] += 1
        self.hits[name] += hit
        self.say(f"fault {name}, hits bodies: {hit}")

    def _wall_clock_jumps(self) -> None:
        seconds = self.chance.choice((3600.0, -3600.0))
        self.faults["wall clock jumps"] += 1
        self.hits["wall clock jumps"] += bool(self.house.running)
        if self.chance.random() < 0.5:
            self._fault("cut")  # whoever has just lost a link looks at the clock
        self.say(f"the wall clocks jump by {seconds}")
        self.house.wall_clock_jumps(seconds)

    def _joined(self, wire: Wire, client: MemoryClient, node: MemoryNode) -> None:
        def happened(name: str, command: bytes) -> None:
            name = f"{name}: {command.decode()}"
            self.faults[name] += 1
            self.hits[name] += bool(node.launcher.running())
            self.say(name)

        def dies(end: Transport, command: bytes) -> bool:
            mortal = node if end is wire.far else client
            if mortal is self.clients[0] or not mortal.process.alive:
                return False
            happened("last words", command)
            self.house.clock.callLater(-1e-9, vanish, self, mortal)  # before its reactor turns
            return True

        losing.watch(wire, self.losing, partial(happened, "answer lost"), self.last_words, dies)
        for end in (wire.near, wire.far):
            repeating.watch(end.protocol, self.repeating, partial(happened, "said twice"), self.record.refuse)
        if node.uid in self._slow:
            wire.far.protocol.streams._sinks = SlowSinks(node.process, wire.far.protocol.streams, self._slow[node.uid])
        act = self.at_join.pop(client.uid, None)
        if act is not None:
            self.house.clock.callLater(self.chance.uniform(1, 4) * self.house.mean_latency, client.process.deliver, act)

    # Time.
    def _pass_until(self, when: float) -> None:
        while self.house.step(when):
            self._check()

    def _check(self) -> None:
        if self.record.broken:
            raise self.record.broken[0]
        if self._checked != len(self.record.lines):
            self._checked = len(self.record.lines)
            for node in self.nodes:
                check_node(node)

    def _heal(self) -> None:
        """Everything works again: processes go on, nodes are up, and nothing more gets lost."""
        for planned in (self.losing, self.last_words, self.repeating):
            planned.clear()
        for process in [*(node.process for node in self.nodes), *(client.process for client in self.clients)]:
            process.resume()
        for node in self.nodes:
            if not node.up or node.bench.stopping:
                if node.up:
                    node.crash()
                node.restart()
            node.journal.full = False
        for cluster in self.open_clusters():
            for node in cluster.client.session.ledger.nodes:
                cluster.client.session.limit_node(node, 99)
                cluster.client.session.allocate_node(cluster.uid, node)
        self.say("healed")

    def _settle(self) -> None:
        calm, deadline = Calm(self, self.house.now()), self.house.now() + HANGS
        while self._unsettled() and self.house.now() < deadline:
            self._pass_until(self.house.now() + 30.0)
            calm.look()
        check_end([c for c in self.clusters if c.client.process.alive])

    def _unsettled(self) -> bool:
        living = [cluster for cluster in self.clusters if cluster.client.process.alive]
        waiting = [cluster for cluster in living if any(not job.outcomes for job in cluster.jobs)]
        for cluster in living:
            if cluster not in waiting:
                cluster.close()  # it may hold nodes that others wait for
            elif not self._can_run(cluster):
                cluster.give_up()
        return bool(waiting)

    def _can_run(self, cluster: LawfulCluster) -> bool:
        """Whether some node may still take its jobs: not where setup failed everywhere, or NodeAllocate refused them all."""
        preparations = [n.preparations[cluster.uid] for n in cluster.client.session.ledger.nodes.values() if cluster.uid in n.preparations]
        states = [preparation.state.value for preparation in preparations]
        if any(preparation.pins and preparation.state.value == "held" for preparation in preparations):
            return False  # by somebody who may wait for what is held for this one
        return not states or any(state not in ("rejected", "unused", "closed") for state in states)

    def _close(self) -> None:
        for cluster in self.clusters:
            if cluster.client.process.alive:
                cluster.close()
        self._pass_until(self.house.now() + (130.0 if self.house.wall_shift >= 0 else 3800.0))
        check_nothing_left(self.nodes, sum(len(cluster.jobs) for cluster in self.clusters))
        left = [wake for client in self.clients for wake in client.process.wakes]
        if left:
            raise Broken(f"{len(left)} calls are left in clients that have closed everything: {left}")

    def say(self, text: str) -> None:
        self.record.lines.append(f"{self.house.now():.6f} {text}")


def _refusing(node: NodeFacts) -> int:
    if node.cpus == 1:
        raise ValueError("NodeAllocate does not like it")
    return 0 if node.cpus == 2 else node.cpus
