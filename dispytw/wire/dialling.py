"""Dials an address and greets: one call, at whose end there is a link or the reason why there is none."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from dispytw.wire.credentials import Credential
from dispytw.wire.doorway import PATIENCE, BuildLink, Doorway, Self
from dispytw.wire.tls import under_tls


def connect(
    reactor: Any,
    host: str,
    port: int,
    *,
    credential: Credential,
    uid: bytes,
    role: str,
    build_link: BuildLink,
    timeout: float = PATIENCE,
) -> Deferred[Any]:
    """Dial and greet.

    :param timeout: seconds for connecting; the greeting gets `PATIENCE` more.
    :returns: the open link, or None where ``build_link`` wanted none. Fails with `AuthError`, `VersionError`, `WireError`, or
        with Twisted's errors of connecting; may be cancelled.
    """
    dialling = _Dialling(Self(credential, uid, role), host, build_link, reactor)
    dialling.begin(_endpoint(reactor, host, port, timeout))
    return dialling.done


class _Dialling(Factory):
    """One call of `connect`; a name with several addresses may bring several connections, of which one is kept."""

    noisy = False

    def __init__(self, me: Self, host: str, build_link: BuildLink, clock: Any) -> None:
        self.done: Deferred[Any] = Deferred(lambda _: self._hang_up())
        self._me = me
        self._host = host
        self._build_link = build_link
        self._clock = clock
        self._doorways: list[Doorway] = []

    def begin(self, endpoint: Any) -> None:
        """Dial."""
        me = self._me
        self._connecting = endpoint.connect(under_tls(self, False, self._clock, me.certificate) if me.secure else self)
        self._connecting.addErrback(self._fire)

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted's name: there is a connection."""
        doorway = Doorway(
            self._me, self._host, self._build_link, self._clock, lambda result: self._ended(doorway, result)
        )
        self._doorways.append(doorway)
        return doorway

    def _ended(self, doorway: Doorway, result: Any) -> None:
        self._doorways.remove(doorway)
        if not self._doorways or not isinstance(result, Exception):
            self._fire(result)

    def _fire(self, result: Any) -> None:
        if not self.done.called:
            (self.done.errback if isinstance(result, (Exception, Failure)) else self.done.callback)(result)

    def _hang_up(self) -> None:
        self._fire(CancelledError())
        self._connecting.cancel()
        for doorway in list(self._doorways):
            doorway.drop(CancelledError())


def _endpoint(reactor: Any, host: str, port: int, timeout: float) -> Any:
    """Addresses are dialled as they are; only names need a resolver, and its thread."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    return HostnameEndpoint(reactor, host, port, timeout)
