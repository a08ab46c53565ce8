"""TLS 1.3 and nothing older, and an exporter that two ends share and nobody else."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dispytw.wire.tls import context_factory, exporter, under_tls


@implementer(IHandshakeListener)
class End(Protocol):
    """Notes what it shares with the other end."""

    shared = b""
    lost: Any = None

    def handshakeCompleted(self) -> None:
        self.shared = exporter(self.transport)

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self.lost = reason


def end(server: bool) -> tuple[Any, StringTransport]:
    """A protocol under TLS, and what it writes to."""
    wrapped = under_tls(Factory.forProtocol(End), server, Clock()).buildProtocol(None)
    transport = StringTransport()
    transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
    wrapped.makeConnection(transport)
    return wrapped, transport


def handshake() -> tuple[Any, Any]:
    """Two ends, as far as they get."""
    (client, from_client), (server, from_server) = end(False), end(True)
    while from_client.value() or from_server.value():
        for source, target in ((from_client, server), (from_server, client)):
            said = source.value()
            source.clear()
            if said:
                target.dataReceived(said)
    return client, server


class Handshake(SynchronousTestCase):
    """What two ends make out."""

    def test_what_is_written(self) -> None:
        """Leaves at once, not a turn of the reactor later."""
        client, _ = handshake()
        client.wrappedProtocol.transport.write(b"a box")
        self.assertNotEqual(b"", client.transport.value())

    def test_version(self) -> None:
        """It is TLS 1.3."""
        client, server = handshake()
        self.assertEqual(["TLSv1.3"] * 2, [each.getHandle().get_protocol_version_name() for each in (client, server)])

    def test_nothing_older(self) -> None:
        """An end that knows only TLS 1.2 gets nowhere."""
        old = SSL.Context(SSL.TLS_METHOD)
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.patch(context_factory(False, None), "_context", old)
        client, server = handshake()
        self.assertEqual((b"", b""), (client.wrappedProtocol.shared, server.wrappedProtocol.shared))
        self.assertTrue(server.transport.disconnecting)

    def test_exporter(self) -> None:
        """Both ends of a connection have the same 32 bytes, another connection has others."""
        (one, other), (third, _) = handshake(), handshake()
        self.assertEqual(32, len(one.wrappedProtocol.shared))
        self.assertEqual(one.wrappedProtocol.shared, other.wrappedProtocol.shared)
        self.assertNotEqual(one.wrappedProtocol.shared, third.wrappedProtocol.shared)

    def test_one_certificate_a_process(self) -> None:
        """Made once, in memory."""
        self.assertIs(context_factory(True, None), context_factory(True, None))
