"""Dialling: addresses and names, giving up, and several connections of one name."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.errors import WireError
from dispytw.wire.dialling import _Dialling, connect
from dispytw.wire.doorway import Self
from tests.wire.doorways import CLIENT, Keeping, client_end


class Dialling(SynchronousTestCase):
    """What `connect` does with a reactor."""

    def dial(self, host: str) -> tuple[Any, Any]:
        """A reactor, and the Deferred of a call of `connect`."""
        reactor = MemoryReactorClock()
        return reactor, connect(reactor, host, 51348, **client_end().identity)

    def test_addresses_need_no_resolver(self) -> None:
        """They are dialled at once, without a thread."""
        for host in ("127.0.0.1", "::1"):
            reactor, _ = self.dial(host)
            self.assertEqual((host, 51348), reactor.tcpClients[0][:2])

    def test_given_up_while_dialling(self) -> None:
        """Cancelling ends the attempt."""
        reactor, done = self.dial("127.0.0.1")
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertTrue(reactor.connectors[0].stoppedConnecting)

    def test_given_up_while_greeting(self) -> None:
        """Cancelling hangs up."""
        reactor, done = self.dial("127.0.0.1")
        dialled = reactor.tcpClients[0][2].buildProtocol(None)
        transport = Keeping()
        dialled.makeConnection(transport)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(["abort"], transport.told)

    def test_two_connections_of_one_name(self) -> None:
        """Where a name has several addresses, one that fails does not speak for the other."""
        dialling = _Dialling(Self(client_end().credential, CLIENT, "client"), "a", lambda peer: None, MemoryReactorClock())
        first, second = dialling.buildProtocol(None), dialling.buildProtocol(None)
        first._settle(WireError("first"))
        self.assertNoResult(dialling.done)
        second._settle(WireError("second"))
        self.assertEqual("second", str(self.failureResultOf(dialling.done, WireError).value))
