"""Networks in memory: machines whose sockets send datagrams to each other, by address and by broadcast."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from dispytw.discovery.interfaces import ANY, Interface, is_near

LOOPBACK = Interface("127.0.0.1", 8)


@attrs.define(eq=False)
class Socket:
    """A UDP socket of a machine; a transport to its protocol."""

    machine: Machine
    protocol: Any
    host: str
    port: int
    longest: int
    shared: bool = False
    may_broadcast: bool = False
    open: bool = True
    trouble: OSError | None = None
    socket: Any = None

    def setBroadcastAllowed(self, allowed: bool) -> None:
        self.may_broadcast = allowed

    def write(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self.trouble is not None:
            raise self.trouble
        assert self.open, "sent by a socket that is closed"
        self.machine.sent.append((datagram, self.host, *addr))
        self.machine.send(self, datagram, *addr)

    def hears(self, host: str, port: int) -> bool:
        """Whether what is sent there reaches it."""
        return self.open and self.port == port and self.host in (ANY, host)

    def receive(self, datagram: bytes, host: str, port: int) -> None:
        """Something comes."""
        self.protocol.datagramReceived(datagram[: self.longest], (host, port))

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return succeed(None)


class Machine(Clock):
    """A machine with interfaces, and the reactor of its one process.

    :ivar sent: every datagram that left a socket: bytes, the socket's address, where it went.
    :ivar taken: (address, port) that other programs have.
    """

    def __init__(self, *interfaces: Interface) -> None:
        super().__init__()
        self.interfaces = [LOOPBACK, *interfaces]
        self.lan = [self]
        self.sockets: list[Socket] = []
        self.sent: list[tuple[bytes, str, str, int]] = []
        self.taken: set[tuple[str, int]] = set()
        self.looks = 0
        self._ports = iter(range(40000, 50000))

    def joined(self, *others: Machine) -> None:
        """These machines are on one cable."""
        for machine in (self, *others):
            machine.lan = [self, *others]

    def find(self) -> list[Interface]:
        """Its interfaces."""
        self.looks += 1
        return list(self.interfaces)

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Socket:
        """Twisted's name."""
        return self._opened(port or next(self._ports), protocol, interface or ANY, maxPacketSize, False)

    def adoptDatagramPort(self, fileDescriptor: int, addressFamily: int, protocol: Any, maxPacketSize: int = 8192) -> Socket:
        """Twisted's name; the real socket has told where."""
        with socket.socket(fileno=os.dup(fileDescriptor)) as real:
            host, port = real.getsockname()
        return self._opened(port, protocol, host, maxPacketSize, True)

    def _opened(self, port: int, protocol: Any, host: str, longest: int, shared: bool) -> Socket:
        if (host, port) in self.taken:
            raise CannotListenError(host, port, OSError(errno.EADDRINUSE, "Address already in use"))
        opened = Socket(self, protocol, host, port, longest, shared)
        protocol.transport = opened
        self.sockets.append(opened)
        return opened

    def send(self, source: Socket, datagram: bytes, host: str, port: int) -> None:
        """A datagram leaves."""
        for machine in self.lan:
            via = next((each for each in self.interfaces if host == each.broadcast or is_near(host, [each])), None)
            there = via is not None and any(each.network == via.network for each in machine.interfaces)
            if there and via is not None and (machine is self or not via.network.is_loopback):
                for each in [each for each in machine.sockets if each.hears(host, port)]:
                    each.receive(datagram, via.address, source.port)

    def open_sockets(self) -> list[tuple[str, int]]:
        """Where it hears."""
        return sorted((each.host, each.port) for each in self.sockets if each.open)
