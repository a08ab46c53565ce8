"""What the tests of links and of their streams share: two ends, the line between them, and sinks that fail on demand."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from dispytw.errors import StreamError
from dispytw.values import Body, Inline, Stored
from dispytw.wire.streams import StreamingLink, Streams

PEER = IPv4Address("TCP", "127.0.0.1", 51348)


class Line(iosim.FakeTransport):
    """A transport that carries one box at a time, and has one producer at most."""

    def getOutBuffer(self) -> bytes | None:
        return self.stream.pop(0) if self.stream else None  # type: ignore[no-any-return]

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None and streaming
        super().registerProducer(producer, streaming)


class Pair:
    """Two ends, and the line between them."""

    def __init__(self, near: Any, far: Any) -> None:
        self.near, self.far = near, far
        self.lines = [Line(near, False, peerAddress=PEER), Line(far, True, peerAddress=PEER)]
        self.pump = iosim.connect(far, self.lines[1], near, self.lines[0], greet=False)

    def step(self) -> bool:
        """One box each way; False when there is none."""
        return bool(self.pump.pump())

    def run(self) -> None:
        """All that is to be said."""
        while self.step():
            pass

    def ask(self, command: type[amp.Command], **arguments: Any) -> Deferred[Any]:
        """Asked at the near end, carried, and answered, if it is."""
        answer: Deferred[Any] = Deferred()
        self.near.ask(command, **arguments).addCallbacks(answer.callback, answer.errback)
        self.run()
        return answer

    def lose(self, end: Any) -> None:
        """One end learns that the link is gone; what was underway is lost."""
        for line in self.lines:
            line.stream.clear()
        if end.transport is not None:
            end.connectionLost(Failure(ConnectionLost()))

    def cut(self) -> None:
        """Both learn it."""
        for end in (self.near, self.far):
            self.lose(end)


def disk_full() -> OSError:
    """What a full disk raises."""
    return OSError(errno.ENOSPC, "No space left on device")


class Sink:
    """Keeps what comes, and says what became of it; consumes at once unless it is slow.

    :ivar failing: what fails from now on: write, finish, want (finish finds that it is not what was wanted), discard.
    """

    def __init__(self, kind: bytes, slow: bool, failing: str) -> None:
        self.kind = kind
        self.slow = slow
        self.failing = failing
        self.data = b""
        self.consumed = 0
        self.ends: list[str] = []

    def write(self, data: bytes) -> int:
        if self.failing == "write":
            raise disk_full()
        self.data += data
        if not self.slow:
            self.consumed = len(self.data)
        return self.consumed

    def finish(self, digest: bytes) -> Body:
        if self.failing == "finish":
            raise disk_full()
        if self.failing == "want":
            raise StreamError("not what was wanted")
        self.ends.append("finished")
        return Inline(self.data)

    def discard(self) -> None:
        self.ends.append("discarded")
        if self.failing == "discard":
            raise disk_full()


class Sinks:
    """Makes such sinks.

    :ivar opened: by stream, in order.
    :ivar deleted: bodies that nobody took.
    :ivar slow, failing: of the next one; delete and open fail as well.
    """

    def __init__(self) -> None:
        self.opened: dict[bytes, Sink] = {}
        self.deleted: list[Body] = []
        self.slow = False
        self.failing = ""

    def open(self, stream: bytes, size: int, kind: bytes) -> Sink:
        if self.failing == "open":
            raise disk_full()
        self.opened[stream] = Sink(kind, self.slow, self.failing)
        return self.opened[stream]

    def delete(self, body: Body) -> None:
        self.deleted.append(body)
        if self.failing == "delete":
            raise disk_full()

    @property
    def only(self) -> Sink:
        """The one that was opened."""
        (sink,) = self.opened.values()
        return sink


class StreamEnd(StreamingLink):
    """One end; it counts the bytes of chunks that it has sent and that are not answered.

    :ivar sent: boxes.
    """

    def __init__(self, sinks: Any = None) -> None:
        super().__init__(lambda: 0.0)
        self.sinks = sinks or Sinks()
        self.streams = Streams(self, self.sinks)
        self.sent: list[amp.AmpBox] = []
        self.unanswered: dict[bytes, int] = {}
        self.most_unanswered = 0

    def sendBox(self, box: amp.AmpBox) -> None:
        super().sendBox(box)
        self.sent.append(box)
        if b"chunk" in box:
            self.unanswered[box[amp.ASK]] = sum(len(value) for key, value in box.items() if key.startswith(b"chunk."))
            self.most_unanswered = max(self.most_unanswered, sum(self.unanswered.values()))

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        self.unanswered.pop(box.get(amp.ANSWER, box.get(amp.ERROR, b"")), None)
        super().ampBoxReceived(box)

    def link_lost(self, reason: Failure) -> None:
        self.streams.link_lost(reason)

    def said(self, command: type[amp.Command]) -> list[amp.AmpBox]:
        """What it has sent of a command."""
        return [box for box in self.sent if box.get(amp.COMMAND) == command.commandName]


class StreamPair(Pair):
    """Two such ends."""

    def __init__(self, far: Any = None) -> None:
        super().__init__(StreamEnd(), StreamEnd(far))

    def send(self, body: Body, kind: bytes = b"", end: StreamEnd | None = None) -> Deferred[bytes]:
        """Send a body from the near end; nothing is carried yet."""
        sent: Deferred[bytes] = (end or self.near).streams.send(body, kind)
        return sent


class StreamCase(SynchronousTestCase):
    """Tests of streams, some of which come from files."""

    def stored(self, data: bytes) -> Stored:
        """A body in a file."""
        if not hasattr(self, "directory"):
            self.directory = tempfile.mkdtemp()
            self.addCleanup(shutil.rmtree, self.directory)
        path = os.path.join(self.directory, str(len(os.listdir(self.directory))))
        with open(path, "xb") as file:
            file.write(data)
        return Stored(path, len(data))


_BLOCK = b"".join(b"%08d" % number for number in range(500_000))


def content(length: int, seed: int = 0) -> bytes:
    """Bytes of which no two chunks are alike, nor two bodies of different seeds."""
    return (b"%d " % seed + _BLOCK)[:length]
