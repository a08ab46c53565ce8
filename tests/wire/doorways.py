"""What the tests of the doorway share: two ends, the link they hope for, and a wire on which bytes go astray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.test import iosim

from dispytw.wire import doorway
from dispytw.wire.credentials import INSECURE, Credential, Secret
from dispytw.wire.doorway import Doorway, DoorwayServerFactory, Peer, Self

SECRET = Secret(b"k" * 32)
OTHER_SECRET = Secret(b"x" * 32)
CLIENT, NODE = b"c" * 16, b"n" * 16


class Ping(amp.Command):
    """Said by either end; the answer means that a link is there."""

    response = [(b"role", amp.Unicode())]


class Link(amp.AMP):
    """A link that asks as soon as it is there."""

    def __init__(self, end: End, peer: Peer) -> None:
        super().__init__()
        self.end = end
        self.peer = peer
        self.lost: Deferred[None] = Deferred()
        self.answered: Deferred[dict[str, Any]] = Deferred()

    def connectionMade(self) -> None:
        super().connectionMade()
        self.callRemote(Ping).addCallbacks(self._answered, lambda _: None)

    def _answered(self, answer: dict[str, Any]) -> None:
        self.end.answers += 1
        self.answered.callback(answer)

    @Ping.responder
    def ping(self) -> dict[str, Any]:
        return {"role": self.end.role}

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.lost.callback(None)


class End:
    """One end of a connection, and what has become of it.

    :ivar links: those that opened.
    :ivar answers: commands of this end that the other has answered.
    """

    def __init__(self, credential: Credential, uid: bytes, role: str) -> None:
        self.credential = credential
        self.uid = uid
        self.role = role
        self.links: list[Link] = []
        self.answers = 0

    def build_link(self, peer: Peer) -> Link:
        """For the doorway."""
        self.links.append(Link(self, peer))
        return self.links[-1]

    @property
    def identity(self) -> dict[str, Any]:
        """Keywords for a doorway."""
        return {"credential": self.credential, "uid": self.uid, "role": self.role, "build_link": self.build_link}


def client_end(credential: Credential = INSECURE) -> End:
    """Who dials."""
    return End(credential, CLIENT, "client")


def node_end(credential: Credential = INSECURE) -> End:
    """Who is dialled."""
    return End(credential, NODE, "node")


class Wire(iosim.FakeTransport):
    """A transport in memory, of which each byte that is written may be changed or dropped.

    :ivar meddle: gets the position of a byte and the byte; gives the byte that arrives, or None for the end of the wire.
    """

    def __init__(self, protocol: Any, isServer: bool) -> None:
        ports = (51348, 40000) if isServer else (40000, 51348)
        host, peer = (IPv4Address("TCP", "127.0.0.1", port) for port in ports)
        super().__init__(protocol, isServer, hostAddress=host, peerAddress=peer)
        self.meddle: Callable[[int, int], int | None] = lambda position, byte: byte
        self.carried = 0

    def getOutBuffer(self) -> Any:
        written = super().getOutBuffer()
        if not written:
            return written
        arriving = bytearray()
        for byte in written:
            carried = self.meddle(self.carried, byte)
            if carried is None:
                break
            arriving.append(carried)
            self.carried += 1
        return bytes(arriving)


class Keeping:
    """A transport whose other end never hangs up."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def getPeer(self) -> Any:
        return None

    def write(self, data: bytes) -> None: ...

    def loseConnection(self) -> None:
        self.told.append("lose")

    def abortConnection(self) -> None:
        self.told.append("abort")


class Pair:
    """Two doorways on one wire, without TLS; with a secret, both are told the same exporter instead.

    :ivar outcome: what the initiator was told at the end.
    """

    def __init__(self, dialling: End, dialled: End) -> None:
        self.clock = Clock()
        self.outcome: list[Any] = []
        me = Self(dialling.credential, dialling.uid, dialling.role)
        self.client: Any = Doorway(me, "127.0.0.1", dialling.build_link, self.clock, self.outcome.append)
        self.factory = DoorwayServerFactory(self.clock, now=self.clock.seconds, **dialled.identity)
        self.node: Any = self.factory.buildProtocol(None)
        self.from_client, self.from_node = Wire(self.client, False), Wire(self.node, True)

    def begin(self) -> None:
        """Connect both."""
        self.pump = iosim.connect(
            self.node, self.from_node, self.client, self.from_client, greet=False, clock=self.clock
        )
        for each in (self.client, self.node):
            if each._me.secure and each._greeting is None:
                each.handshakeCompleted()

    def run(self) -> None:
        """Connect both, and carry what they say until they say no more."""
        self.begin()
        self.pump.flush()

    def hang_up(self) -> None:
        """The wire is cut."""
        for transport in (self.from_client, self.from_node):
            transport.abortConnection()
        self.pump.flush()


def same_exporter(case: Any) -> None:
    """For the test: a transport without TLS has an exporter too."""
    case.patch(doorway, "exporter", lambda transport: b"e" * 32)
