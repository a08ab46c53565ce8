"""The sockets of discovery: a node's end, which answers and announces, and a client's, which asks and hears."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import psutil
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from dispytw.discovery.beacon import SIZE, TOKEN, Answering, Hearing, Presence, packed
from dispytw.discovery.interfaces import ANY, Interface, chosen, interfaces_of, is_near

log = Logger()

#: Seconds for which the machine's interfaces are taken to stay as they are.
STEADY = 10.0
#: What is read of a datagram: one byte more than any of ours has.
_READ = SIZE + 1
#: Datagrams that are read before others get their turn.
AT_ONCE = 256


def find_interfaces() -> list[Interface]:
    """The machine's interfaces, as they are now."""
    return interfaces_of(psutil.net_if_addrs(), psutil.net_if_stats(), socket.AF_INET)


class Surroundings:
    """The machine's interfaces, looked up at most every ten seconds.

    :param now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float], find: Callable[[], list[Interface]] = find_interfaces) -> None:
        self._now = now
        self._find = find
        self._known: list[Interface] = []
        self._at: float | None = None

    def look(self) -> list[Interface]:
        """The interfaces; those known before where the machine does not say."""
        if self._at is None or self._now() - self._at >= STEADY:
            self._at = self._now()
            try:
                self._known = self._find()
            except OSError as error:  # one went while it was looked at, or a sandbox does not let us
                log.warn("this machine's network interfaces cannot be listed: {error}", error=error)
        return self._known


class InTurn:
    """A real socket that pretends, after each so many datagrams, that there are no more.

    Twisted reads on until it has read so many bytes: a flood of empty datagrams would never let it do anything else.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self._left = AT_ONCE

    def recvfrom(self, size: int) -> Any:
        """Read a datagram."""
        if not self._left:
            self._left = AT_ONCE
            raise BlockingIOError(errno.EWOULDBLOCK, "it is the turn of others")
        self._left -= 1
        return self._real.recvfrom(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class DiscoverySocket(DatagramProtocol):
    """One socket.

    :param heard: called with each datagram, the host and port that it came from, and this.
    """

    noisy = False

    def __init__(self, heard: Callable[[bytes, str, int, DiscoverySocket], None]) -> None:
        self._heard = heard

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Twisted's name: something has come."""
        self._heard(datagram, addr[0], addr[1], self)

    def say(self, datagram: bytes, host: str, port: int) -> str:
        """Send a datagram; what went wrong, or nothing."""
        transport: Any = self.transport
        try:
            transport.write(datagram, (host, port))
        except OSError as error:
            return str(error.strerror or error)
        return ""


def open_ear(reactor: Any, ear: DiscoverySocket, host: str, port: int, shared: bool = False) -> Any:
    """Let an ear hear at an address; it may send to broadcast addresses.

    :param port: UDP port; 0 for a free one.
    :param shared: whether other programs may have the same one: what is broadcast reaches them all.
    :raises CannotListenError: when it is taken.
    """
    if shared:
        opened = _open_shared(reactor, ear, host, port)
    else:
        opened = reactor.listenUDP(port, ear, interface=host, maxPacketSize=_READ)
        opened.setBroadcastAllowed(True)
    opened.socket = InTurn(opened.socket)
    return opened


def _open_shared(reactor: Any, ear: DiscoverySocket, host: str, port: int) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.setblocking(False)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            mine.bind((host, port))
        except OSError as error:
            raise CannotListenError(host, port, error) from None
        return reactor.adoptDatagramPort(mine.fileno(), socket.AF_INET, ear, maxPacketSize=_READ)  # which takes a copy


class Answerer:
    """A node's end: answers who asks, and says that the node is here.

    On a single address it hears what is sent to that address or broadcast on its network; otherwise everything. Neighbours only are
    answered, so that no datagram with an invented source makes it write to strangers.

    :param presence: what it says of the node.
    :param host: the address on which the node listens.
    :param port: its UDP port for questions; announcements go to the port below.
    :param now: monotonic seconds.
    """

    def __init__(
        self, reactor: Any, presence: Presence, host: str, port: int, now: Callable[[], float], surroundings: Surroundings | None = None
    ) -> None:
        self.answering = Answering(now())
        self._reactor = reactor
        self._presence = presence
        self._host = host
        self._port = port
        self._now = now
        self._surroundings = surroundings or Surroundings(now)
        self._open: list[tuple[DiscoverySocket, Any]] = []

    def _near(self) -> list[Interface]:
        return chosen(self._surroundings.look(), [self._host])

    def open(self) -> str:
        """Hear questions.

        :returns: why not all of them can be heard, or nothing.
        """
        if not self._near():
            return f"{self._host} is on no IPv4 network with a broadcast address"
        troubles = [self._open_at(self._host, False)]
        if self._host != ANY:
            troubles += [self._open_at(interface.broadcast, True) for interface in self._near()]
        return "; ".join(filter(None, troubles))

    def _open_at(self, host: str, shared: bool) -> str:
        ear = DiscoverySocket(self._heard)
        try:
            self._open.append((ear, open_ear(self._reactor, ear, host, self._port, shared)))
        except (CannotListenError, OSError) as error:
            return f"UDP port {self._port} on {host}: {getattr(error, 'socketError', error)}"
        return ""

    def _heard(self, data: bytes, host: str, port: int, ear: DiscoverySocket) -> None:
        if len(data) != SIZE or not port or not is_near(host, self._near()):
            self.answering.dropped += 1
            return
        answer = self.answering.heard(data, host, self._presence, self._now())
        if answer is not None:
            ear.say(answer, host, port)

    def announce(self) -> None:
        """Tell the neighbours that the node is here."""
        if self._open and self._port > 1:
            ear, _ = self._open[0]
            for interface in self._near():
                ear.say(packed(self._presence), interface.broadcast, self._port - 1)

    def close(self) -> Deferred[Any]:
        """Hear and say no more; fires when the sockets are closed."""
        opened, self._open = self._open, []
        heard = self.answering
        log.debug(
            "of those who asked for nodes {answered} got an answer and {refused} asked too often; {dropped} datagrams meant nothing",
            answered=heard.answered,
            refused=heard.refused,
            dropped=heard.dropped,
        )
        return _closed(transport for _, transport in opened)


@attrs.frozen
class Sighting:
    """A node has let a client know that it is here.

    :param host: the address that its datagram came from.
    :param port: its TCP port.
    :param asked: its UDP port for questions.
    :param via: the address of this machine on whose network it was heard.
    :param name: for people.
    """

    host: str
    port: int
    asked: int
    via: str
    name: str = ""


class Asker:
    """A client's end: asks which nodes are there, and hears answers and announcements.

    It asks from each interface's own address, so that only who was asked there can answer; and it hears announcements at the
    broadcast addresses, at a port that it shares with every other client of the machine, and does without where that is taken.

    :param heard: called with each sighting.
    :param now: monotonic seconds.
    """

    def __init__(
        self,
        reactor: Any,
        heard: Callable[[Sighting], None],
        now: Callable[[], float],
        surroundings: Surroundings | None = None,
        new_token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.hearing = Hearing(now())
        self._reactor = reactor
        self._tell = heard
        self._now = now
        self._surroundings = surroundings or Surroundings(now)
        self._new_token = new_token
        self._asking: dict[str, tuple[DiscoverySocket, Any]] = {}
        self._listening: dict[tuple[str, int], Any] = {}

    def ask(self, port: int, hosts: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Ask at a UDP port, on these of this machine's addresses or on all, and hear announcements there from now on.

        :returns: each address that was asked, with what went wrong, or nothing.
        """
        question = self.hearing.asked(self._new_token(TOKEN), port, self._now())
        asked = []
        for interface in chosen(self._surroundings.look(), hosts):
            self._listen(interface, port)
            asked += [(place, self._ask_at(interface, place, port, question)) for place in interface.places]
        return asked

    def _ask_at(self, interface: Interface, place: str, port: int, question: bytes) -> str:
        try:
            ear = self._ear(interface)
        except (CannotListenError, OSError) as error:  # the address has just gone
            return str(getattr(error, "socketError", error))
        return ear.say(question, place, port)

    def _ear(self, interface: Interface) -> DiscoverySocket:
        if interface.address not in self._asking:
            ear = DiscoverySocket(lambda data, host, _, __: self._heard(data, host, interface, None))
            self._asking[interface.address] = (ear, open_ear(self._reactor, ear, interface.address, 0))
        return self._asking[interface.address][0]

    def _listen(self, interface: Interface, port: int) -> None:
        place = interface.broadcast, port - 1
        if place in self._listening or port < 2:
            return
        ear = DiscoverySocket(lambda data, host, _, __: self._heard(data, host, interface, port))
        try:
            self._listening[place] = open_ear(self._reactor, ear, *place, shared=True)
        except (CannotListenError, OSError) as error:
            log.debug("announcements of nodes cannot be heard at {place}: {error}", place=place, error=error)

    def _heard(self, data: bytes, host: str, interface: Interface, announced_at: int | None) -> None:
        if len(data) != SIZE or not is_near(host, [interface]):
            self.hearing.dropped += 1
            return
        hint = self.hearing.heard(data, host, self._now(), announced_at)
        if hint is not None:
            presence, port = hint
            self._tell(Sighting(host, presence.port, port, interface.address, presence.name))

    def _transports(self) -> list[Any]:
        return [*(transport for _, transport in self._asking.values()), *self._listening.values()]

    def close(self) -> Deferred[Any]:
        """Hear and say no more, until somebody asks again; fires when the sockets are closed."""
        transports = self._transports()
        self._asking, self._listening = {}, {}
        return _closed(transports)

    def abandon(self) -> None:
        """In a forked copy of this process: close its copies of the sockets."""
        for transport in self._transports():
            transport.socket.close()


def _closed(transports: Iterable[Any]) -> Deferred[Any]:
    return DeferredList([maybeDeferred(transport.stopListening) for transport in transports])
