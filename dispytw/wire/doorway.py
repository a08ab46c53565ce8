"""The doorway: a connection becomes a link here, or nothing. TLS first, and what is shown in it; then the greeting; then the transport
is handed over.

The acceptor bounds what it gives to strangers: connections, seconds, bytes, and greetings a second (`dispytw.wire.admission`).
Everything that ends without a link is told to whoever waits, once, in words that say what to do (`dispytw.wire.refusals`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dispytw.errors import AuthError, VersionError, WireError
from dispytw.wire.admission import MOST_STRANGERS, Admission, Lobby
from dispytw.wire.certificates import Certificate, openssl_words
from dispytw.wire.credentials import Credential, Insecure, certificate_of
from dispytw.wire.greeting import ROLES, Greeting, Opened, Reason, Refused, refusal
from dispytw.wire.refusals import cut_short, explain, refused_by_tls, too_slow
from dispytw.wire.tls import exporter, has_begun, shown, under_tls
from dispytw.wire.verdict import Roles, judge

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
        return not isinstance(self.credential, Insecure)

    @property
    def certificate(self) -> Certificate | None:
        """What it shows in TLS, and wants to be shown."""
        return certificate_of(self.credential)


@implementer(IHandshakeListener)
class Doorway(Protocol):
    """One connection until it is a link.

    :param me: who this end is.
    :param dialled: the host name or address that this end has dialled; None if the other end has dialled.
    :param build_link: makes what the transport is handed over to.
    :param clock: wakes us.
    :param ended: called once: with the link, with None where ``build_link`` wanted none, or with the exception that says why
        there is none.
    """

    def __init__(
        self, me: Self, dialled: str | None, build_link: BuildLink, clock: Any, ended: Callable[[Any], None]
    ) -> None:
        self.transport: Any = None
        self._me = me
        self._dialled = dialled
        self._initiator = dialled is not None
        self._roles: Roles = frozenset(ROLES)
        self._build_link = build_link
        self._clock = clock
        self._ended: Callable[[Any], None] | None = ended
        self._greeting: Greeting | None = None
        self._began = False
        self._closing = False
        self._link: Any = None
        self._where = ("", 0)
        self._deadline: Any = None

    # What the acceptor says otherwise.
    def admits(self, role: str) -> Reason | None:
        """Why a hello in this role may not be answered, if it may not."""
        return None if role in self._roles else Reason.OTHER_NAME

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
        """TLS stands: what was shown in it is judged, and the greeting is bound to it."""
        if self._began:
            return
        own = self._me.certificate
        verdict = self._roles if own is None else judge(own, lambda: shown(self.transport), self._dialled)
        if isinstance(verdict, Refused):
            self._turn_away(verdict)
        else:
            self._roles = verdict
            self._begin(exporter(self.transport))

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the greeting. Once there is a link they do not come by here."""
        if self._greeting is None:
            return self._close()
        answer, result = self._greeting.receive(data)
        if answer:
            self.transport.write(answer)
        if isinstance(result, Opened):
            self._open(result)
        elif isinstance(result, Refused):
            self._part(explain(result, _place(*self._where)))
        return None

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
    def _turn_away(self, refused: Refused) -> None:
        """What was shown is not fit, and there will be no greeting.

        Who has dialled hangs up when he has read why. If he does not, nor says anything, he is left waiting like any other silent one:
        shown out he would come again at once, and cost a handshake each time.
        """
        self._began = True
        self.transport.write(refusal(refused.reason))
        self._settle(explain(refused, _place(*self._where)))
        if self._initiator:
            self._close()

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
        """No link."""
        self._greeting = None
        self._settle(result)
        self._close()

    def _close(self) -> None:
        """Close, and if the other end does not within a second, hang up."""
        if not self._closing and self._deadline.active():
            self._closing = True
            self._deadline.reset(FAREWELL)
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
        words = openssl_words(reason.value)
        refused = refused_by_tls(words, self._me.certificate is not None) if words else None
        if refused is not None:
            return explain(refused, _place(*self._where))
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
        super().__init__(factory.me, None, factory.build_link, factory.clock, self._report)

    def connectionMade(self) -> None:
        super().connectionMade()
        self._door.entered(self)

    def admits(self, role: str) -> Reason | None:
        return super().admits(role) or (None if self._door.admits(self, self._where[0]) else Reason.BUSY)

    def has_spoken(self) -> bool:
        """Whether anything has come that may lead somewhere: under TLS, whether its handshake has begun; else it goes by time alone."""
        if not self._me.secure:
            return False
        return self._greeting is not None if self._began else has_begun(self.transport)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._door.left(self)
        super().connectionLost(reason)

    def _cut_short(self, reason: Failure) -> Exception:
        error = super()._cut_short(reason)
        no_tls = reason.check(SSL.Error) and "alert" not in openssl_words(reason.value)
        if no_tls and not self._began and not isinstance(error, AuthError):
            return explain(Refused(Reason.OLD_TLS), _place(*self._where))
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
        return under_tls(self, True, self.clock, self.me.certificate) if self.me.secure else self

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
