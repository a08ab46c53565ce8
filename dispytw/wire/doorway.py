"""The doorway: a connection becomes a link here, or nothing. TLS first, then the greeting, then the transport is handed over.

The acceptor bounds what it gives to strangers: connections, seconds, bytes, and greetings a second (`dispytw.wire.admission`).
Everything that ends without a link is told to whoever waits, once, in words that say what to do (`dispytw.wire.refusals`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dispytw.errors import AuthError, VersionError, WireError
from dispytw.wire.admission import MOST_STRANGERS, Admission, Lobby
from dispytw.wire.credentials import Credential, Secret
from dispytw.wire.greeting import Greeting, Opened, Refused
from dispytw.wire.refusals import cut_short, explain, too_slow
from dispytw.wire.tls import exporter, has_begun, under_tls

log = Logger()

#: Seconds that a greeting may take, TLS included.
PATIENCE = 10.0
#: Seconds that a refused end gets to read its refusal and hang up.
FAREWELL = 1.0


@attrs.frozen
class Peer:
    """Who is at the other end, as the greeting proved it.

    :param uid: its uid.
    :param role: client, node, scheduler or relay.
    :param host: its address.
    :param port: its port.
    :param initiator: whether it has dialled.
    :param insecure: whether it proved nothing.
    """

    uid: bytes
    role: str
    host: str
    port: int
    initiator: bool = False
    insecure: bool = False

    def __str__(self) -> str:
        return _place(self.host, self.port)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


#: Makes the protocol for an open link, or None to close it before any command.
BuildLink = Callable[[Peer], Any]


@attrs.frozen
class Self:
    """Who this end is.

    :param credential: what it proves and wants proved.
    :param uid: its uid.
    :param role: its role.
    """

    credential: Credential
    uid: bytes
    role: str

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS and wants proof."""
        return isinstance(self.credential, Secret)


@implementer(IHandshakeListener)
class Doorway(Protocol):
    """One connection until it is a link.

    :param me: who this end is.
    :param initiator: whether this end has dialled.
    :param build_link: makes what the transport is handed over to.
    :param clock: wakes us.
    :param ended: called once: with the link, with None where ``build_link`` wanted none, or with the exception that says why
        there is none.
    """

    def __init__(self, me: Self, initiator: bool, build_link: BuildLink, clock: Any, ended: Callable[[Any], None]) -> None:
        self.transport: Any = None
        self._me = me
        self._initiator = initiator
        self._build_link = build_link
        self._clock = clock
        self._ended: Callable[[Any], None] | None = ended
        self._greeting: Greeting | None = None
        self._began = False
        self._link: Any = None
        self._where = ("", 0)
        self._deadline: Any = None

    # What the acceptor says otherwise.
    def admits(self) -> bool:
        """Whether a hello may be answered."""
        return True

    # Twisted's words.
    def connectionMade(self) -> None:
        """Connected; under TLS the handshake comes first."""
        address = self.transport.getPeer()
        self._where = (str(getattr(address, "host", "")), int(getattr(address, "port", 0)))
        self._deadline = self._clock.callLater(PATIENCE, self._run_out)
        at_once = getattr(self.transport, "setTcpNoDelay", None)
        if at_once is not None:
            at_once(True)
        if not self._me.secure:
            self._begin(b"")

    def handshakeCompleted(self) -> None:
        """TLS stands: the greeting is bound to it."""
        if not self._began:
            self._begin(exporter(self.transport))

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the greeting. Once there is a link they do not come by here."""
        if self._greeting is None:
            return
        answer, result = self._greeting.receive(data)
        if answer:
            self.transport.write(answer)
        if isinstance(result, Opened):
            self._open(result)
        elif isinstance(result, Refused):
            self._part(explain(result, _place(*self._where)))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone, before the greeting was over or after."""
        self._greeting = None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self._link is not None:
            self._link.connectionLost(reason)
        else:
            self._settle(self._cut_short(reason))

    # The greeting's life.
    def _begin(self, bound_to: bytes) -> None:
        self._began = True
        me = self._me
        self._greeting = Greeting(self._initiator, me.credential, me.uid, me.role, bound_to, self.admits)
        first = self._greeting.start()
        if first:
            self.transport.write(first)

    def _open(self, opened: Opened) -> None:
        self._greeting = None
        peer = Peer(opened.uid, opened.role, *self._where, not self._initiator, not self._me.secure)
        link = self._build_link(peer)
        if link is None:
            return self._part(None)
        self._deadline.cancel()
        self._link = link
        self.dataReceived = link.dataReceived  # type: ignore[method-assign]
        link.makeConnection(self.transport)
        self._settle(link)
        if opened.rest:
            link.dataReceived(opened.rest)
        return None

    def _part(self, result: Exception | None) -> None:
        """No link: close, and if the other end does not within a second, hang up."""
        self._greeting = None
        self._deadline.reset(FAREWELL)
        self._settle(result)
        self.transport.loseConnection()

    def _run_out(self) -> None:
        self.drop(too_slow(_place(*self._where), PATIENCE))

    def drop(self, error: Exception) -> None:
        """Hang up at once, unless there is a link."""
        if self._link is None:
            self._greeting = None
            self._settle(error)
            self.transport.abortConnection()

    def _cut_short(self, reason: Failure) -> Exception:
        return cut_short(_place(*self._where), self._me.secure, self._began, reason.getErrorMessage())

    def _settle(self, result: Any) -> None:
        """Tell how it ended; only the first time counts."""
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(result)


class _AcceptingDoorway(Doorway):
    """A doorway that a stranger has come to."""

    def __init__(self, factory: DoorwayServerFactory) -> None:
        self._door = factory
        super().__init__(factory.me, False, factory.build_link, factory.clock, self._report)

    def connectionMade(self) -> None:
        super().connectionMade()
        self._door.entered(self)

    def admits(self) -> bool:
        return self._door.admits(self, self._where[0])

    def has_spoken(self) -> bool:
        """Whether anything has come: under TLS, whether its handshake has begun; else it goes by time alone."""
        return self._me.secure and (self._began or has_begun(self.transport))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._door.left(self)
        super().connectionLost(reason)

    def _cut_short(self, reason: Failure) -> Exception:
        error = super()._cut_short(reason)
        if reason.check(SSL.Error) and not self._began:
            return AuthError(f"{_place(*self._where)} does not speak TLS 1.3: if it runs with --insecure, leave that out")
        return error

    def _report(self, result: Any) -> None:
        if not isinstance(result, Exception):
            self._door.left(self)
        elif isinstance(result, (AuthError, VersionError)) and self._door.may_log(self._where[0]):
            log.warn("refused {peer}: {error}", peer=_place(*self._where), error=result)
        else:
            log.debug("no link to {peer}: {error}", peer=_place(*self._where), error=result)


class DoorwayServerFactory(Factory):
    """Accepts connections and makes links of those that greet.

    :param clock: a reactor; wakes us.
    :param credential: what peers must prove, and are proved.
    :param uid: this end's uid.
    :param role: this end's role.
    :param build_link: makes the protocol for an open link.
    :param now: monotonic seconds.
    :param most: connections that may be there without having greeted.
    """

    noisy = False

    def __init__(
        self,
        clock: Any,
        credential: Credential,
        uid: bytes,
        role: str,
        build_link: BuildLink,
        now: Callable[[], float] = time.monotonic,
        most: int = MOST_STRANGERS,
    ) -> None:
        self.me = Self(credential, uid, role)
        self.build_link = build_link
        self.clock = clock
        self._now = now
        self._admission = Admission(now())
        self._lobby: Lobby[_AcceptingDoorway] = Lobby(_AcceptingDoorway.has_spoken, most)

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted's name."""
        return _AcceptingDoorway(self)

    def listening(self) -> Any:
        """The factory to listen with: this one, under TLS unless it is insecure."""
        return under_tls(self, True, self.clock) if self.me.secure else self

    @property
    def strangers(self) -> int:
        """Connections that are there and have not greeted."""
        return len(self._lobby)

    def entered(self, doorway: _AcceptingDoorway) -> None:
        """A stranger has come; when there are too many, one must go."""
        pushed = self._lobby.enter(doorway)
        if pushed is not None:
            pushed.drop(WireError("too many connections have not greeted, and this one must go"))

    def admits(self, doorway: _AcceptingDoorway, host: str) -> bool:
        """Whether its hello may be answered."""
        admitted = self._admission.admits(host, self._now())
        if admitted:
            self._lobby.greets(doorway)
        return admitted

    def left(self, doorway: _AcceptingDoorway) -> None:
        """A stranger is one no more."""
        self._lobby.leave(doorway)

    def may_log(self, host: str) -> bool:
        """Whether a line about the address may be logged."""
        return self._admission.may_log(host, self._now())


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
    dialling = _Dialling(Self(credential, uid, role), build_link, reactor)
    dialling.begin(_endpoint(reactor, host, port, timeout))
    return dialling.done


class _Dialling(Factory):
    """One call of `connect`; a name with several addresses may bring several connections, of which one is kept."""

    noisy = False

    def __init__(self, me: Self, build_link: BuildLink, clock: Any) -> None:
        self.done: Deferred[Any] = Deferred(lambda _: self._hang_up())
        self._me = me
        self._build_link = build_link
        self._clock = clock
        self._doorways: list[Doorway] = []

    def begin(self, endpoint: Any) -> None:
        """Dial."""
        self._connecting = endpoint.connect(under_tls(self, False, self._clock) if self._me.secure else self)
        self._connecting.addErrback(self._fire)

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted's name: there is a connection."""
        doorway = Doorway(self._me, True, self._build_link, self._clock, lambda result: self._ended(doorway, result))
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
