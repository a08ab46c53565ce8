"""The whole house in memory: clients, and any number of nodes, in one process on one Clock.

The minds, the dispatcher, the stewards and the AMP connections are the real ones; links are in memory, with a latency and a
knife, and jobs are entries in a calendar instead of processes. For our tests and for those of our users::

    house = House()
    node = house.node(cpus=2)
    client = house.client()
    cluster = client.cluster([node])
    job = cluster.submit(duration=3.0)
    house.advance(5)
    assert job.status == dispytw.DispyJob.Finished

Whatever may go wrong can be made to: `MemoryNode.crash`, `kill_daemon` and `restart`, `MemoryClient.kill`, `process.suspend` and
`resume` of either,
`House.wires` to cut, tear or hold, ``node.launcher.kill_job`` and ``kill_supervisor``. Nothing here waits, and nothing is random unless a
`random.Random` is handed in. The parts are in `dispytw.inmemory`, `dispytw.inmemoryjobs` and
`dispytw.inmemorycluster`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, TimeoutError

from dispytw.client.nodes import Address
from dispytw.client.session import Introduction, Session
from dispytw.inmemory import MemoryFiles, MemoryProcess, Peer, Transport, Wire, WorldClock
from dispytw.inmemorycluster import MemoryCluster, MemoryJob
from dispytw.inmemoryjobs import CANCELLING, STARTING, MemoryJournal, MemoryLauncher
from dispytw.node.bench import Bench
from dispytw.node.connections import ConnectionFromScheduler
from dispytw.node.keeper import Keeper
from dispytw.node.steward import Steward
from dispytw.values import (
    Attempt,
    Availability,
    NodeFacts,
    Outcome,
)
from dispytw.version import VERSION
from dispytw.wire.frames import Ended, Runs
from dispytw.wire.streams import MemorySinks

__all__ = ["House", "MemoryClient", "MemoryCluster", "MemoryJob", "MemoryNode"]

#: Seconds in which a node must be reached; that a node which is stopped gives its jobs, looking so often; and then its clients.
_CONNECTING, _ENDING, _LOOK, _TELLING = 10.0, 10.0, 0.05, 2.0


class MemoryNode:
    """A node of the house; `crash`, `stop` and `restart` it at will.

    :ivar starting: seconds that its next incarnation takes to start a body.
    :ivar cancelling: seconds that it takes to end a cancelled one.
    :ivar available: how busy it says to be.
    """

    def __init__(self, house: House, uid: bytes, cpus: int, address: Address, zombie_interval: float) -> None:
        self.house = house
        self.uid = uid
        self.cpus = cpus
        self.address = address
        self.incarnation = 0
        self._zombie_interval = zombie_interval
        self.starting, self.cancelling = STARTING, CANCELLING
        self.available = Availability(100.0, 1 << 30, 1 << 40, 100.0)
        self.journal = MemoryJournal(house.clock)
        self.launcher = MemoryLauncher(house.clock, house.wall, cpus, partial(house.body_began, self), house.body_ended)
        self.restart()

    @property
    def up(self) -> bool:
        """Whether its daemon lives."""
        return self.process.alive

    def restart(self) -> None:
        """A new incarnation: it knows what is in its journal, and takes over the supervisors that live."""
        self.incarnation += 1
        house, name = self.house, f"node{self.address.port}"
        self.process = self.journal.process = MemoryProcess(house.clock)
        self.facts = NodeFacts(self.uid, self.incarnation, name, self.cpus, "memory", (3, 11), VERSION, 1)
        self.bench = Bench(self.facts, self._zombie_interval)
        self.keeper = Keeper(self.journal, self.process)
        self.steward = Steward(self.bench, MemoryFiles(), self.keeper, self.process, house.now)
        self.steward.launcher = self.launcher
        self.launcher.setup_text = ""
        self.launcher.starting, self.launcher.cancelling = self.starting, self.cancelling
        self.house.begun(self)
        for left in self.launcher.attach(self.process, self.steward):
            owed = [Ended(attempt, outcome) for attempt, outcome in left.owed.items()]
            if left.lives:
                runs = [Runs(attempt, began, None) for attempt, began in left.runs]
                self.steward.adopt(left.papers, runs, owed, left.closing)
            else:
                self.steward.inherit(left.papers, owed)
        self.steward.retain(self.journal.owners())

    def kill_daemon(self) -> None:
        """The daemon is killed; its supervisors, and what they run, go on. Whoever had a link learns of it."""
        self.process.kill()
        for wire in self.house.wires_of(self):
            wire.cut()

    def crash(self) -> None:
        """The daemon and its supervisors are killed; what was underway is lost, and whoever had a link learns of it."""
        self.process.kill()
        self.launcher.die()
        for wire in self.house.wires_of(self):
            wire.cut()

    def stop(self) -> None:
        """It is ended by SIGTERM: takes nothing new, cancels what runs, tells it, and goes."""
        self.steward.do(self.bench.stopped())
        for computation in self.launcher.computations:
            self.launcher.close(computation)
        self._end_soon(self.house.now() + _ENDING)

    def _end_soon(self, latest: float) -> None:
        if self.launcher.computations and self.house.now() < latest:
            self.process.callLater(_LOOK, self._end_soon, latest)
        else:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        self.steward.stop()
        self.keeper.flush()
        for wire in self.house.wires_of(self):
            wire.far.loseConnection()
        self.process.callLater(_TELLING, self.crash)

    def answer(self, client: bytes) -> ConnectionFromScheduler:
        """A client has dialled and was greeted."""
        sinks, process, now = MemorySinks(), self.process, self.house.now
        return ConnectionFromScheduler(client, self.steward, self.facts, sinks, process, now, lambda: self.available)


class MemoryClient:
    """A client process of the house."""

    def __init__(self, house: House, uid: bytes, name: str) -> None:
        self.house = house
        self.uid = uid
        self.process = MemoryProcess(house.clock)
        introduction = Introduction(VERSION, name, 5.0)
        chance = random.Random(house.chance.random())
        self.session = Session(uid, self._connect, introduction, MemorySinks(), self.process, house.now, chance)

    def cluster(self, nodes: list[MemoryNode], reentrant: bool = False, pulse_interval: float | None = None) -> MemoryCluster:
        """A cluster on these nodes."""
        return MemoryCluster(self, self.house.new_uid(), nodes, reentrant, pulse_interval)

    def kill(self) -> None:
        """The program is killed; its nodes learn of it."""
        self.process.kill()
        for wire in self.house.wires_of(self):
            wire.cut()

    def _connect(self, address: Address, credential: Any, build_link: Callable[[Any], Any]) -> Deferred[Any]:
        opened: Deferred[Any] = Deferred()
        node = self.house.nodes[address]
        given_up = self.process.callLater(_CONNECTING, lambda: opened.errback(TimeoutError()))

        def known(result: Any) -> Any:
            if given_up.active():
                given_up.cancel()
            return result

        def arrive() -> None:
            if node.process.alive:
                node.process.deliver(lambda: self.process.deliver(greeted))
            else:
                self.process.deliver(refused)

        def refused() -> None:
            if not opened.called:
                opened.errback(ConnectionRefusedError())

        def greeted() -> None:
            if opened.called:
                return
            link = build_link(Peer(node.uid, "node"))
            if link is not None:
                self.house.join(link, self, node)
            opened.callback(link)

        opened.addBoth(known)
        self.house.clock.callLater(self.house.latency(), arrive)
        return opened


class House:
    """Everything, on one clock.

    :param chance: decides latencies; without one every message takes a millisecond.
    :ivar mean_latency: seconds that bytes take on average, exponentially distributed; or always, without chance.
    :ivar clock: true time; processes have reactors of their own, which wake by their machines' wall clocks.
    :ivar starts: of each job, the attempts whose bodies have begun.
    :ivar running: attempts whose bodies are being performed, each with its node.
    :ivar performed: outcomes of bodies that came to an end, by attempt.
    :ivar joined: called with each new link, its client and its node.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.clock = WorldClock()
        self.random_latency = chance is not None
        self.mean_latency = 0.003 if self.random_latency else 0.001
        self.chance = chance or random.Random(0)
        self.nodes: dict[Address, MemoryNode] = {}
        self.wires: list[tuple[Wire, MemoryClient, MemoryNode]] = []
        self.starts: dict[bytes, list[int]] = {}
        self.running: dict[Attempt, MemoryNode] = {}
        self.performed: dict[Attempt, Outcome] = {}
        self.joined: Callable[[Wire, MemoryClient, MemoryNode], None] = lambda wire, client, node: None
        self.wall_shift = 0.0
        self._uids = itertools.count(1)

    def now(self) -> float:
        """Monotonic seconds."""
        return float(self.clock.seconds())

    def wall(self) -> float:
        """Wall time; shift it at will."""
        return 1e9 + self.now() + self.wall_shift

    def wall_clock_jumps(self, seconds: float) -> None:
        """The wall clocks of all machines are set forward or back."""
        self.wall_shift += seconds
        processes = {node.process: None for node in self.nodes.values()} | {client.process: None for _, client, _ in self.wires}
        for process in processes:
            process.wall_clock_jumps(seconds)

    def new_uid(self) -> bytes:
        """A uid that no one has."""
        return next(self._uids).to_bytes(4, "big") + self.chance.randbytes(12)

    def node(self, cpus: int = 2, zombie_interval: float = 3600.0) -> MemoryNode:
        """A node more."""
        address = Address("127.0.0.1", 51348 + len(self.nodes))
        node = MemoryNode(self, self.new_uid(), cpus, address, zombie_interval)
        self.nodes[address] = node
        return node

    def client(self, name: str = "tester") -> MemoryClient:
        """A client more."""
        return MemoryClient(self, self.new_uid(), name)

    def latency(self) -> float:
        """Seconds that the next bytes take."""
        return self.chance.expovariate(1 / self.mean_latency) if self.random_latency else self.mean_latency

    def join(self, near: Any, client: MemoryClient, node: MemoryNode) -> Wire:
        """Connect a client's link to a node."""
        far = node.answer(client.uid)
        wire = Wire(
            Transport(self.clock, self.latency, client.process), Transport(self.clock, self.latency, node.process)
        )
        for end, other, protocol in ((wire.near, wire.far, near), (wire.far, wire.near, far)):
            end.other, end.protocol = other, protocol
        self.wires = [each for each in self.wires if each[0].open]
        self.wires.append((wire, client, node))
        self.joined(wire, client, node)
        far.makeConnection(wire.far)
        near.makeConnection(wire.near)
        return wire

    def wires_of(self, end: MemoryNode | MemoryClient) -> list[Wire]:
        """The links of a node or client."""
        return [wire for wire, client, node in self.wires if end in (client, node) and wire.open]

    def begun(self, node: MemoryNode) -> None:
        """A daemon begins; it has taken over nothing yet."""

    def body_began(self, node: MemoryNode, attempt: Attempt) -> None:
        """A job's body began somewhere."""
        self.starts.setdefault(attempt.job, []).append(attempt.number)
        self.running[attempt] = node

    def body_ended(self, attempt: Attempt, outcome: Outcome | None) -> None:
        """A job's body is over: it came to an end, or it was ended with its supervisor."""
        del self.running[attempt]
        if outcome is not None:
            self.performed[attempt] = outcome

    def step(self, until: float) -> bool:
        """Let time pass to the next event; False, at ``until``, when there is none before."""
        due = self.clock.next_due()
        there = due is not None and due <= until
        self.clock.advance(max(0.0, (due if there and due is not None else until) - self.now()))
        return there

    def advance(self, seconds: float) -> None:
        """Let time pass, event by event."""
        end = self.now() + seconds
        while self.step(end):
            pass
