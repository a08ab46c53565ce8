"""The whole house in memory: a client, and any number of nodes, in one process on one Clock.

The minds, the dispatcher, the stewards and the AMP connections are the real ones; links are in memory, with a latency and a
knife, and jobs are entries in a calendar instead of processes. For our tests and for those of our users::

    house = House()
    node = house.node(cpus=2)
    client = house.client()
    cluster = client.cluster([node])
    job = cluster.submit(duration=3.0)
    house.advance(5)
    assert job.status == dispytw.DispyJob.Finished

Nothing here waits, and nothing is random unless a `random.Random` is handed in. The parts are in `dispytw.inmemory`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock

from dispytw.client.nodes import Address
from dispytw.client.session import Introduction, Session, Target
from dispytw.inmemory import MemoryFiles, MemoryLauncher, Peer, Transport, Wire
from dispytw.node.bench import Bench
from dispytw.node.connections import ConnectionFromScheduler
from dispytw.node.steward import Steward
from dispytw.values import RUNNING, Attempt, Computation, File, Inline, NodeFacts, Outcome
from dispytw.version import VERSION
from dispytw.wire.streams import MemorySinks

_BUNDLE = File(".bundle", b"\0" * 32, 0)


class MemoryNode:
    """A node of the house; `crash` and `restart` it at will."""

    def __init__(self, house: House, uid: bytes, cpus: int, address: Address) -> None:
        self.house = house
        self.uid = uid
        self.cpus = cpus
        self.address = address
        self.incarnation = 0
        self.up = False
        self.links: list[ConnectionFromScheduler] = []
        self.restart()

    def restart(self) -> None:
        """A new incarnation, which knows nothing of the earlier one."""
        self.incarnation += 1
        house, name = self.house, f"node{self.address.port}"
        self.facts = NodeFacts(self.uid, self.incarnation, name, self.cpus, "memory", (3, 11), VERSION, 1)
        self.bench = Bench(self.facts)
        self.steward = Steward(self.bench, MemoryFiles(), house.clock, house.now)
        self.launcher = MemoryLauncher(house.clock, house.wall, self.steward, house.body_began)
        self.steward.launcher = self.launcher
        self.up = True

    def crash(self) -> None:
        """The daemon and its supervisors are killed; what was underway is lost."""
        self.up = False
        self.launcher.die()
        for wire in self.house.wires_of(self):
            wire.cut()
        self.steward.stop()

    def answer(self, client: bytes) -> ConnectionFromScheduler:
        """A client has dialled and was greeted."""
        link = ConnectionFromScheduler(client, self.steward, self.facts, MemorySinks(), self.house.clock, self.house.now)
        self.links.append(link)
        return link


class MemoryJob:
    """What became of a job."""

    def __init__(self, uid: bytes) -> None:
        self.uid = uid
        self.status = 0
        self.outcomes: list[Outcome] = []

    @property
    def outcome(self) -> Outcome | None:
        """Its end."""
        return self.outcomes[-1] if self.outcomes else None


class MemoryCluster:
    """A cluster of the house; also its own `dispytw.client.session.ClusterEnd`."""

    def __init__(self, client: MemoryClient, uid: bytes, nodes: list[MemoryNode], reentrant: bool, pulse: float | None) -> None:
        self.client = client
        self.uid = uid
        self.jobs: list[MemoryJob] = []
        self.said: list[str] = []
        targets = [Target(node.address, None) for node in nodes]
        computation = Computation(uid, "compute", _BUNDLE)
        client.session.open_cluster(computation, {}, self, targets, reentrant=reentrant, pulse_interval=pulse)

    def submit(self, duration: float = 1.0) -> MemoryJob:
        """A job that takes so many seconds."""
        job = MemoryJob(self.client.house.new_uid())
        self.jobs.append(job)
        self.client.session.submit(self.uid, job.uid, Inline(str(duration).encode()), job)
        return job

    def cancel(self, job: MemoryJob) -> bool:
        """Cancel it."""
        return self.client.session.cancel(job.uid)

    def close(self) -> Deferred[Any]:
        """Clean up."""
        return self.client.session.close_cluster(self.uid)

    def node_found(self, node: NodeFacts, address: Address) -> Deferred[int]:
        """All of it."""
        return succeed(node.cpus)

    def job_running(self, job: MemoryJob, node: bytes, address: Address, started: float) -> None:
        """See ClusterEnd."""
        job.status = RUNNING

    def job_settled(self, job: MemoryJob, node: bytes | None, address: Address | None, outcome: Outcome) -> None:
        """See ClusterEnd."""
        job.status = outcome.status
        job.outcomes.append(outcome)

    def say(self, text: str) -> None:
        """See ClusterEnd."""
        self.said.append(text)


class MemoryClient:
    """A client process of the house."""

    def __init__(self, house: House, uid: bytes, name: str) -> None:
        self.house = house
        introduction = Introduction(VERSION, name, 5.0)
        self.session = Session(
            uid, self._connect, introduction, MemorySinks(), house.clock, house.now, random.Random(house.chance.random())
        )
        self.uid = uid

    def cluster(self, nodes: list[MemoryNode], reentrant: bool = False, pulse_interval: float | None = None) -> MemoryCluster:
        """A cluster on these nodes."""
        return MemoryCluster(self, self.house.new_uid(), nodes, reentrant, pulse_interval)

    def _connect(self, address: Address, credential: Any, build_link: Callable[[Any], Any]) -> Deferred[Any]:
        node = self.house.nodes[address]
        if not node.up:
            return fail(ConnectionRefusedError())
        link = build_link(Peer(node.uid, "node"))
        if link is None:
            return succeed(None)
        self.house.join(link, node.answer(self.uid), node)
        return succeed(link)


class House:
    """Everything, on one clock.

    :param chance: decides latencies; without one every message takes a millisecond.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.clock = Clock()
        self.random_latency = chance is not None
        self.chance = chance or random.Random(0)
        self.nodes: dict[Address, MemoryNode] = {}
        self.wires: list[tuple[Wire, MemoryNode]] = []
        self.starts: dict[bytes, list[int]] = {}
        self.wall_shift = 0.0
        self._uids = itertools.count(1)

    def now(self) -> float:
        """Monotonic seconds."""
        return float(self.clock.seconds())

    def wall(self) -> float:
        """Wall time; shift it at will."""
        return 1e9 + self.now() + self.wall_shift

    def new_uid(self) -> bytes:
        """A uid that no one has."""
        return next(self._uids).to_bytes(4, "big") + self.chance.randbytes(12)

    def node(self, cpus: int = 2) -> MemoryNode:
        """A node more."""
        address = Address("127.0.0.1", 51348 + len(self.nodes))
        node = MemoryNode(self, self.new_uid(), cpus, address)
        self.nodes[address] = node
        return node

    def client(self, name: str = "tester") -> MemoryClient:
        """A client more."""
        return MemoryClient(self, self.new_uid(), name)

    def latency(self) -> float:
        """Seconds that the next bytes take."""
        return self.chance.expovariate(1 / 0.003) if self.random_latency else 0.001

    def join(self, near: Any, far: Any, node: MemoryNode) -> Wire:
        """Connect two protocols."""
        ends = Transport(self.clock, self.latency), Transport(self.clock, self.latency)
        ends[0].other, ends[1].other = ends[1], ends[0]
        ends[0].protocol, ends[1].protocol = near, far
        wire = Wire(*ends)
        self.wires = [pair for pair in self.wires if pair[0].open]
        self.wires.append((wire, node))
        far.makeConnection(ends[1])
        near.makeConnection(ends[0])
        return wire

    def wires_of(self, node: MemoryNode) -> list[Wire]:
        """The links of a node."""
        return [wire for wire, end in self.wires if end is node and wire.open]

    def body_began(self, attempt: Attempt) -> None:
        """A job's body began somewhere."""
        self.starts.setdefault(attempt.job, []).append(attempt.number)

    def advance(self, seconds: float) -> None:
        """Let time pass, event by event."""
        end = self.now() + seconds
        while True:
            calls: list[Any] = list(self.clock.getDelayedCalls())
            due = min((float(call.getTime()) for call in calls), default=None)
            if due is None or due > end:
                break
            self.clock.advance(max(0.0, due - self.now()))
        self.clock.advance(max(0.0, end - self.now()))
