"""The daemon at the other end of the supervisor's socket: frames in, frames out, and whether it is still there.

One object is one connection; a supervisor whose daemon is gone can be given another. It is over when it has been read to its end, never
before: what a daemon that is gone had handed over is still heard.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

import attrs

from dispytw.errors import WireError
from dispytw.wire.frames import Decoder, Frame, encode
from dispytw.worker import descriptors


def is_same_user(peer: socket.socket) -> bool:
    """Whether the process at the other end of a Unix socket belongs to this user, where the platform can tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory's mode is the guard there
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(uid == os.geteuid())


def listening(path: str, most: int = 4) -> socket.socket:
    """A listening Unix socket; bound from within its directory, as a path may be longer than the 107 bytes of an address.

    :param most: connections that may wait to be accepted.
    """
    os.chdir(os.path.dirname(path))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.path.basename(path))
    listener.listen(most)
    descriptors.keep(listener.fileno())
    return listener


@attrs.define(eq=False)
class DaemonConnection:
    """A daemon's connection, which never blocks.

    :param connection: the accepted socket.
    :param received: called with each frame.
    :param lost: called once, when the daemon is gone or says what it may not.
    """

    connection: socket.socket
    received: Callable[[Frame], None]
    lost: Callable[[], None]
    open: bool = True
    _decoder: Decoder = attrs.field(factory=Decoder)
    _unsent: bytearray = attrs.field(factory=bytearray)

    def __attrs_post_init__(self) -> None:
        self.connection.setblocking(False)
        descriptors.keep(self.connection.fileno())

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits for the socket to take it."""
        return self.open and bool(self._unsent)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the socket to take them."""
        return len(self._unsent)

    def send(self, frame: Frame) -> None:
        """Let the frame leave with the next `flush`."""
        if self.open:
            self._unsent += encode(frame)

    def flush(self) -> None:
        """Write what the socket takes now; what a daemon that is gone cannot hear is forgotten."""
        try:
            while self.wants_to_write:
                del self._unsent[: self.connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def drain(self, seconds: float) -> None:
        """Write everything, waiting for the socket up to so many seconds each time."""
        if not self.wants_to_write:
            return
        self.connection.settimeout(seconds)
        try:
            self.connection.sendall(self._unsent)
        except OSError:
            pass  # it is gone
        self._unsent.clear()

    def read(self) -> None:
        """Take what has come."""
        try:
            received = self.connection.recv(1 << 16)
            frames = self._decoder.feed(received)
        except BlockingIOError:
            return
        except (OSError, WireError):
            return self._end()
        if not received:
            return self._end()
        for frame in frames:
            self.received(frame)

    def close(self) -> None:
        """Close without telling anybody here."""
        if self.open:
            self.open = False
            descriptors.drop(self.connection.fileno())
            self.connection.close()

    def _end(self) -> None:
        self.lost()
        self.close()
