"""Two doorways in memory under real TLS, for what certificates have to say."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test import iosim

from dispytw.wire import tls
from dispytw.wire.certificates import Certificate
from dispytw.wire.doorway import Doorway, DoorwayServerFactory, Self
from tests.wire.doorways import End, Wire

#: Changes an end's TLS before it is used.
Alter = Callable[[SSL.Context], Any]


def only_tls_1_2(context: SSL.Context) -> None:
    """An end that knows nothing newer."""
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)


def by_openssl(context: SSL.Context) -> None:
    """An end of another make, which refuses in TLS itself what it does not know."""
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda connection, shown, number, depth, fit: bool(fit))


class Once(Factory):
    """Builds the one protocol that it was given."""

    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Any:
        return self._protocol


class TlsPair:
    """Two doorways on one wire.

    :param host: what the initiator has dialled.
    :param client: changes the initiator's TLS.
    :param node: changes the acceptor's.
    :ivar outcome: what the initiator was told at the end.
    """

    def __init__(
        self, dialling: End, dialled: End, host: str = "node.example", client: Alter | None = None, node: Alter | None = None
    ) -> None:
        self.clock = Clock()
        self.outcome: list[Any] = []
        me = Self(dialling.credential, dialling.uid, dialling.role)
        self.client = Doorway(me, host, dialling.build_link, self.clock, self.outcome.append)
        self.factory = DoorwayServerFactory(self.clock, now=self.clock.seconds, **dialled.identity)
        self.node: Any = self.factory.buildProtocol(None)
        ends = (under(self.client, False, me, self.clock, client), under(self.node, True, self.factory.me, self.clock, node))
        self.from_client, self.from_node = Wire(ends[0], False), Wire(ends[1], True)
        self._ends = ends

    def run(self) -> None:
        """Connect both, and carry what they say until they say no more."""
        client, node = self._ends
        pump = iosim.connect(node, self.from_node, client, self.from_client, greet=False, clock=self.clock)
        for _ in range(20):
            pump.flush()
            self.clock.advance(0)  # TLS gathers small writes for a turn


def context_factory(server: bool, certificate: Certificate | None, alter: Alter | None) -> Any:
    """What Twisted asks for a context, this one changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a stolen certificate's key has a class that only pyOpenSSL knows
        factory = tls.ContextFactory(server, certificate)
    if alter is not None:
        alter(factory.getContext())
    return factory


def under(doorway: Doorway, server: bool, me: Self, clock: Clock, alter: Alter | None) -> Any:
    """The doorway under TLS of its own."""
    return TLSMemoryBIOFactory(context_factory(server, me.certificate, alter), not server, Once(doorway), clock).buildProtocol(None)
