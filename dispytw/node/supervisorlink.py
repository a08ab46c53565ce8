"""What joins the daemon to one supervisor: the process it executes, the environment that process gets, the connection to its socket."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import Factory, ProcessProtocol, connectionDone
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from dispytw.errors import WireError
from dispytw.node.leftovers import MARK
from dispytw.wire.frames import Decoder, Frame, encode

#: The program a supervisor is, when nothing else is asked for.
SUPERVISOR: tuple[str, ...] = (sys.executable, "-m", "dispytw.worker")

_PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_NOTICE = 3
_PATH_LIMIT = 107
_SECRET_HOLDERS = (b"CREDENTIALS_DIRECTORY", b"NOTIFY_SOCKET")


class Supervision(Protocol):
    """What process and connection report to."""

    def listening(self) -> None:
        """The supervisor's socket can be connected to."""

    def connected(self, connection: ConnectionToSupervisor) -> None:
        """The connection stands."""

    def received(self, frame: Frame) -> None:
        """The supervisor said something."""

    def disconnected(self) -> None:
        """The connection has been read to its end."""

    def process_exited(self, how: str) -> None:
        """The process has been reaped; ``how`` is empty if it ended with status 0."""


def scrubbed(environment: Mapping[bytes, bytes], mark: bytes) -> dict[bytes, bytes]:
    """A daemon's environment without what its jobs may not know, and with the supervisor's mark."""
    kept = {name: value for name, value in environment.items() if not _is_confidential(name)}
    kept[MARK.encode()] = mark.hex().encode()
    return kept


def _is_confidential(name: bytes) -> bool:
    return (
        name in _SECRET_HOLDERS or name.startswith(b"LISTEN_") or (name.startswith(b"DISPYTW_") and b"SECRET" in name)
    )


def spawn(reactor: Any, supervision: Supervision, command: Sequence[str], base: str, mark: bytes) -> int:
    """Execute a supervisor that will listen on ``base``.sock and writes to ``base``.log; returns its process id.

    It starts in the directory of the dispytw package, so that it finds the same one as this process.

    :raises OSError: when the process or the log cannot be made.
    """
    with open(os.devnull, "rb") as nothing, open(base + ".log", "ab") as log:
        process = reactor.spawnProcess(
            _SupervisorProcess(supervision),
            command[0],
            [*command, base + ".sock", str(_NOTICE)],
            env=scrubbed(os.environb, mark),
            path=_PACKAGE_PARENT,
            childFDs={0: nothing.fileno(), 1: log.fileno(), 2: log.fileno(), _NOTICE: "r"},
        )
    return int(process.pid)


def connect(reactor: Any, path: str, supervision: Supervision) -> Deferred[Any]:
    """Connect to the Unix socket at ``path``, also when that is longer than the 107 bytes of an address."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        return _connect(reactor, path, supervision)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)

    def close(result: Any) -> Any:
        os.close(directory)
        return result

    short = f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    return _connect(reactor, short, supervision).addBoth(close)


def take_over(reactor: Any, connection: socket.socket, supervision: Supervision, decoder: Decoder) -> None:
    """Give the reactor a connection that stands already.

    :param decoder: what has heard its bytes so far.
    """
    connections = _Connections(supervision, decoder)
    reactor.adoptStreamConnection(connection.fileno(), socket.AF_UNIX, connections)
    connection.close()  # the reactor has its own copy


def _connect(reactor: Any, address: str, supervision: Supervision) -> Deferred[Any]:
    connecting: Deferred[Any] = UNIXClientEndpoint(reactor, address).connect(_Connections(supervision))
    return connecting


@attrs.define(eq=False)
class _SupervisorProcess(ProcessProtocol):
    supervision: Supervision

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == _NOTICE:
            self.supervision.listening()

    def processExited(self, reason: Failure) -> None:
        self.supervision.process_exited(_how(reason.value))


def _how(reason: BaseException | None) -> str:
    if not isinstance(reason, ProcessTerminated):
        return ""
    if reason.signal is not None:
        return f"was killed by signal {reason.signal} ({signal.Signals(reason.signal).name})"
    return f"exited with status {reason.exitCode}"


@attrs.define(eq=False)
class _Connections(Factory):
    noisy = False
    supervision: Supervision
    decoder: Decoder | None = None

    def buildProtocol(self, addr: object) -> ConnectionToSupervisor:
        return ConnectionToSupervisor(self.supervision, decoder=self.decoder or Decoder())


@attrs.define(eq=False)
class ConnectionToSupervisor(StreamProtocol):
    """Frames to and from a supervisor."""

    supervision: Supervision
    transport: Any = None
    connected: int = 0
    _decoder: Decoder = attrs.field(factory=Decoder)
    _log = Logger()

    def connectionMade(self) -> None:
        """The socket is connected; to a process of this user, or not at all."""
        if _is_same_user(self.transport.getHandle()):
            self.supervision.connected(self)
        else:
            self.transport.abortConnection()

    def send(self, frames: Sequence[Frame]) -> None:
        """Say these frames, in one write."""
        self.transport.write(b"".join(map(encode, frames)))

    def dataReceived(self, data: bytes) -> None:
        """Bytes came; a supervisor that speaks nonsense is cut off, and ends."""
        try:
            for frame in self._decoder.feed(data):
                self.supervision.received(frame)
        except WireError as error:
            self._log.error("a supervisor spoke nonsense: {error}", error=error)
            self.transport.abortConnection()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Everything that was sent has been read."""
        self.supervision.disconnected()


def _is_same_user(peer: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory's mode is the guard there
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(uid == os.geteuid())
