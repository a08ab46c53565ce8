"""A client's end of a link to a node, in memory, for tests of what is said on it."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.test import iosim

from dispytw.node.connections import ConnectionFromScheduler
from dispytw.values import Availability, Computation, NodeFacts
from dispytw.wire import nodecommands as ask
from dispytw.wire import schedulercommands as tell
from dispytw.wire.records import attempt_from, computation_record, outcome_from
from dispytw.wire.remarkrecords import remarks_from, wrotes_from
from dispytw.wire.streams import MemorySinks, StreamingLink, Streams
from tests.node.benching import ALICE, X
from tests.node.stewarding import StewardCase

FACTS = NodeFacts(b"n" * 16, 3, "here", 2, "Linux-6", (3, 11), "2.5.1", 4711)


class Client(StreamingLink):
    """The other end, which writes down what it is told."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(now=clock.seconds)
        self.streams = Streams(self, MemorySinks())
        self.told: list[tuple[Any, ...]] = []
        self.signs = 0

    def introduce(self, version: str = "2.0", heartbeat: float = 5.0, name: str = "alice@desk", pulse: float = 0.0) -> Any:
        return self.ask(ask.Introduce, version=version, python=[3, 11], name=name, heartbeat=heartbeat, pulse=pulse)

    @tell.ComputationReady.responder
    def ready(self, computation: bytes, generation: int) -> dict[str, Any]:
        self.told.append(("ready", computation, generation))
        return {}

    @tell.ComputationFailed.responder
    def failed(self, computation: bytes, generation: int, text: str) -> dict[str, Any]:
        self.told.append(("failed", computation, generation, text))
        return {}

    @tell.JobsStarted.responder
    def started(self, jobs: list[Any]) -> dict[str, Any]:
        self.told.append(("started", *[(attempt_from(record), record[2]) for record in jobs]))
        return {}

    @tell.JobsEnded.responder
    def ended(self, jobs: list[Any]) -> dict[str, Any]:
        self.told.append(
            ("ended", *[(attempt_from(record), outcome_from(record[2], self.streams.take)) for record in jobs])
        )
        return {}

    @tell.JobsRemarked.responder
    def remarked(self, remarks: list[Any]) -> dict[str, Any]:
        self.told.append(("remarked", *remarks_from(remarks)))
        return {}

    @tell.JobsWrote.responder
    def wrote(self, outputs: list[Any]) -> dict[str, Any]:
        self.told.append(("wrote", *wrotes_from(outputs)))
        return {}

    @tell.NodeFreed.responder
    def freed(self) -> dict[str, Any]:
        self.told.append(("freed",))
        return {}

    @tell.NodeAvailable.responder
    def available(self, available: list[Any]) -> dict[str, Any]:
        self.told.append(("available", available))
        return {}

    @tell.Heartbeat.responder
    def heartbeat(self) -> dict[str, Any]:
        self.signs += 1
        return {}


class ConnectionCase(StewardCase):
    """A real steward, and Alice's client, connected to it."""

    def setUp(self) -> None:
        super().setUp()
        self.steward = self.make()
        self.pumps: list[Any] = []
        self.transports: list[Any] = []
        self.client, self.node = self.connect(ALICE)
        self.addCleanup(self.no_timer_is_left)

    def connect(self, uid: bytes) -> tuple[Client, ConnectionFromScheduler]:
        """A client, and the node's end of its link."""
        client = Client(self.clock)
        busy = Availability(75.0, 1 << 30, 1 << 40, 100.0)
        node = ConnectionFromScheduler(uid, self.steward, FACTS, MemorySinks(), self.clock, self.clock.seconds, lambda: busy)
        address, other = IPv4Address("TCP", "10.0.0.9", 51348), IPv4Address("TCP", "10.0.0.7", 4000)
        ends = (
            iosim.FakeTransport(node, True, hostAddress=address, peerAddress=other),
            iosim.FakeTransport(client, False, hostAddress=other, peerAddress=address),
        )
        self.transports += ends
        self.pumps.append(iosim.connect(node, ends[0], client, ends[1], greet=False))
        return client, node

    def flush(self) -> None:
        """Carry what is said until nothing is said any more."""
        for pump in self.pumps:
            pump.flush()

    def answered(self, command: type[amp.Command], client: Client | None = None, **arguments: Any) -> dict[str, Any]:
        """The answer to an ask."""
        asked = (client or self.client).ask(command, **arguments)
        self.flush()
        answer: dict[str, Any] = self.successResultOf(asked)
        return answer

    def refused(
        self, error: type[Exception], command: type[amp.Command], client: Client | None = None, **arguments: Any
    ) -> str:
        """The text of the error that an ask is answered with."""
        return self.failed_with(error, (client or self.client).ask(command, **arguments))

    def failed_with(self, error: type[Exception], asked: Any) -> str:
        """The text of the error that the ask is answered with; AMP wants it caught before the answer comes."""
        caught: list[Any] = []
        asked.addErrback(caught.append)
        self.flush()
        (failure,) = caught
        self.assertTrue(failure.check(error), failure)
        return str(failure.value)

    def introduce(self, client: Client | None = None, **words: Any) -> dict[str, Any]:
        """Introduce a client."""
        asked = (client or self.client).introduce(**words)
        self.flush()
        answer: dict[str, Any] = self.successResultOf(asked)
        return answer

    def advance(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass while the link carries."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.flush()

    def opened(self, wanted: Computation = X) -> int:
        """A computation that is ready; its generation."""
        self.answered(ask.OpenComputation, computation=computation_record(wanted))
        self.steward.supervisor_ready(wanted.uid)
        self.flush()
        generation = self.client.told.pop()[2]
        assert isinstance(generation, int)
        return generation

    def no_timer_is_left(self) -> None:
        for transport in self.transports:
            transport.abortConnection()
        self.flush()
        self.steward.stop()
        self.steward.keeper.stop()
        self.clock.advance(0.1)
        self.assertEqual([], self.clock.getDelayedCalls())
