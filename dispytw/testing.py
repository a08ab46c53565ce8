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

Nothing here waits, and nothing is random unless a `random.Random` is handed in.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from dispytw.client.nodes import Address
from dispytw.client.session import Session, Target
from dispytw.node.bench import Bench
from dispytw.node.connections import ConnectionFromScheduler
from dispytw.node.steward import Steward
from dispytw.scheduler.connections import Introduction
from dispytw.values import (
    CANCELLED,
    FINISHED,
    RUNNING,
    Attempt,
    Body,
    Computation,
    File,
    Inline,
    NodeFacts,
    Outcome,
)
from dispytw.version import VERSION
from dispytw.wire.streams import MemorySinks

_BUNDLE = File(".bundle", b"\0" * 32, 0)


@attrs.frozen
class Peer:
    """Who is at the other end, as a greeting would say."""

    uid: bytes
    role: str
    host: str = "127.0.0.1"


class Transport:
    """One end of a link in memory: what is written arrives at the other end after the latency, in order."""

    disconnecting = False

    def __init__(self, clock: Clock, latency: Callable[[], float]) -> None:
        self._clock = clock
        self._latency = latency
        self._due = 0.0
        self.protocol: Any = None
        self.other: Transport | None = None
        self.open = True

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.open and not self.disconnecting:
            self._later(lambda other: other.protocol.dataReceived(data))

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Send bytes."""
        self.write(b"".join(pieces))

    def _later(self, call: Callable[[Transport], Any]) -> None:
        self._due = max(self._due, self._clock.seconds() + self._latency())
        other = self.other

        def arrive() -> None:
            if other is not None and other.open:
                call(other)

        self._clock.callLater(self._due - self._clock.seconds(), arrive)

    def loseConnection(self) -> None:
        """Close, after what was written has arrived."""
        if self.open and not self.disconnecting:
            self.disconnecting = True
            self._later(lambda other: other.lost(ConnectionDone()))
            self._clock.callLater(0, self.lost, ConnectionDone())

    def abortConnection(self) -> None:
        """Close at once; the other end learns of it later."""
        if self.open:
            self._later(lambda other: other.lost(ConnectionLost()))
            self._clock.callLater(0, self.lost, ConnectionLost())

    def lost(self, reason: Exception) -> None:
        """This end is closed."""
        if self.open:
            self.open = False
            self.protocol.connectionLost(Failure(reason))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """There is always room: nothing is paused."""

    def unregisterProducer(self) -> None:
        """See registerProducer."""

    def getPeer(self) -> Address:
        """The other end's address."""
        return Address("127.0.0.1", 1)

    def getHost(self) -> Address:
        """This end's address."""
        return Address("127.0.0.1", 1)


@attrs.define(eq=False)
class Wire:
    """A link in memory."""

    near: Transport
    far: Transport

    def cut(self) -> None:
        """What is underway is lost; both ends learn of it, each when it may."""
        for end in (self.near, self.far):
            end.other = None
        for end in (self.near, self.far):
            end.lost(ConnectionLost())

    @property
    def open(self) -> bool:
        """Whether either end still believes in it."""
        return self.near.open or self.far.open


class MemoryFiles:
    """A workspace without a disk: every file is here already."""

    bundle_path = ""
    work_dir = ""

    def missing(self, files: Iterable[File]) -> list[File]:
        """None."""
        return []

    def lay_out(self, computation: Computation) -> MemoryFiles:
        """Nothing to do."""
        return self

    def remove(self, computation: bytes) -> None:
        """Nothing to do."""


class MemoryLauncher:
    """Supervisors and jobs as entries in a calendar. A job's body is its duration, as text.

    :param events: the steward.
    :param started: called with each attempt whose body begins.
    """

    def __init__(self, clock: Clock, wall: Callable[[], float], events: Steward, started: Callable[[Attempt], None]) -> None:
        self._clock = clock
        self._wall = wall
        self._events = events
        self._started = started
        self._calls: dict[Attempt, Any] = {}
        self._begun: dict[Attempt, tuple[bytes, float]] = {}
        self._supervisors: dict[bytes, Any] = {}
        self.setup_text = ""
        self.dead = False

    def launch(self, computation: Computation, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """setup() takes 10 ms."""
        self._supervisors[computation.uid] = self._clock.callLater(0.01, self._set_up, computation.uid)

    def _set_up(self, computation: bytes) -> None:
        if self.setup_text:
            self._events.setup_failed(computation, self.setup_text)
            self._gone(computation, "setup failed")
        else:
            self._events.supervisor_ready(computation)

    def start(self, computation: bytes, attempts: list[tuple[Attempt, Body]]) -> None:
        """Bodies begin after 1 ms."""
        for attempt, body in attempts:
            assert isinstance(body, Inline)
            self._begun[attempt] = (computation, 0.0)
            self._calls[attempt] = self._clock.callLater(0.001, self._begin, attempt, float(body.data or b"0"))

    def _begin(self, attempt: Attempt, duration: float) -> None:
        computation, _ = self._begun[attempt]
        self._begun[attempt] = (computation, self._wall())
        self._started(attempt)
        self._calls[attempt] = self._clock.callLater(duration, self._end, attempt, FINISHED)
        self._events.job_started(computation, attempt, self._wall())

    def _end(self, attempt: Attempt, status: int) -> None:
        del self._calls[attempt]
        computation, started = self._begun.pop(attempt)
        self._events.job_ended(computation, attempt, Outcome(status, started=started, ended=self._wall()))

    def running(self) -> list[Attempt]:
        """Attempts that are here."""
        return list(self._begun)

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """The job ends 5 ms later."""
        call = self._calls.get(attempt)
        if call is not None:
            call.cancel()
            self._calls[attempt] = self._clock.callLater(0.005, self._end, attempt, CANCELLED)

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        """cleanup() takes no time."""
        self._clock.callLater(0, self.crash, computation, "closed")

    def crash(self, computation: bytes, text: str = "killed by signal 9 (SIGKILL)") -> None:
        """A supervisor dies, and its jobs with it."""
        if self.dead or computation not in self._supervisors:
            return
        for attempt in [attempt for attempt, (uid, _) in self._begun.items() if uid == computation]:
            self._calls.pop(attempt).cancel()
            del self._begun[attempt]
        self._gone(computation, text)

    def _gone(self, computation: bytes, text: str) -> None:
        call = self._supervisors.pop(computation)
        if call.active():
            call.cancel()
        self._events.supervisor_ended(computation, text)

    def die(self) -> None:
        """The node is gone, and everything on it."""
        self.dead = True
        for call in (*self._calls.values(), *self._supervisors.values()):
            if call.active():
                call.cancel()
        self._calls.clear()
        self._begun.clear()
        self._supervisors.clear()

    @property
    def computations(self) -> list[bytes]:
        """Those that have a supervisor."""
        return list(self._supervisors)


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
        self.steward = Steward(self.bench, MemoryFiles(), house.clock, house.now)  # type: ignore[arg-type]
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
            calls = self.clock.getDelayedCalls()
            due = min((call.getTime() for call in calls), default=None)
            if due is None or due > end:
                break
            self.clock.advance(max(0.0, due - self.now()))
        self.clock.advance(max(0.0, end - self.now()))
