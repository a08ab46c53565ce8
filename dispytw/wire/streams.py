"""Bytes beyond a box: streams of chunks on the same link, in both directions, fair to each other and to commands.

A body too large for a box is streamed *before* the command whose record names it: the receiver's `Streams` keeps it, verified, under the
stream's id until that command takes it. What nobody takes is deleted with the link. A computation's file is where it belongs at once.

Two brakes, for two dangers. At most 1 MiB of chunks is unanswered on a link: a chunk is answered when it is received, so commands never
wait behind more than that. And each stream may be at most one window ahead of what its sink has consumed: a slow sink stalls its own
stream, no other. The transport is never paused for reading.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dispytw.errors import SourceError, StreamError
from dispytw.values import Body, Inline
from dispytw.wire import streamcommands as said
from dispytw.wire.chunks import chunks_of
from dispytw.wire.limits import Link

log = Logger()

#: Bytes of one chunk, of a stream's window, and of all unanswered chunks of a link.
CHUNK = 4 * 0xFFFF
WINDOW = 4 * CHUNK
IN_FLIGHT = 1024 * 1024
#: Streams that may come in at the same time, and that may wait to be taken; fewer are sent at once, more wait for their turn.
MOST_INCOMING = 1024
MOST_OUTGOING = 256


class Sink(Protocol):
    """Where the bytes of one incoming stream go."""

    def write(self, data: bytes) -> int:
        """Take bytes; how many were consumed so far, in all."""

    def finish(self, digest: bytes) -> Body:
        """All bytes have come and have this sha256: keep them.

        :raises StreamError: when they are not what was wanted. Whatever it raises, `discard` follows.
        """

    def discard(self) -> None:
        """Keep nothing."""


class Sinks(Protocol):
    """Makes sinks for one end's incoming streams."""

    def open(self, stream: bytes, size: int, kind: bytes) -> Sink:
        """A sink for a stream of ``size`` bytes.

        :param kind: a file's digest, or empty for a body.
        :raises StreamError: when such a stream is not wanted, or too large.
        """

    def delete(self, body: Body) -> None:
        """A body that nobody has taken."""


class MemorySinks:
    """Keeps bodies in memory: for a client, whose results end there anyway.

    :param limit: the most bytes of one stream.
    """

    def __init__(self, limit: int = 2**40) -> None:
        self._limit = limit

    def open(self, stream: bytes, size: int, kind: bytes) -> Sink:
        """See Sinks."""
        if kind or size > self._limit:
            raise StreamError(f"a stream of {size} bytes that is not wanted here")
        return _MemorySink()

    def delete(self, body: Body) -> None:
        """Nothing to do."""


class _MemorySink:
    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(self._data)

    def finish(self, digest: bytes) -> Body:
        return Inline(bytes(self._data))

    def discard(self) -> None:
        self._data.clear()


@attrs.define(eq=False)
class _Outgoing:
    kind: bytes
    size: int
    digest: bytes
    chunks: Iterator[bytes]
    stream: bytes = attrs.field(factory=lambda: secrets.token_bytes(16))
    done: Deferred[bytes] = attrs.field(factory=Deferred)
    window: int = WINDOW
    offset: int = 0
    sha: Any = attrs.field(factory=hashlib.sha256)


@attrs.define(eq=False)
class _Incoming:
    kind: bytes
    size: int
    sink: Sink
    received: int = 0
    granted: int = WINDOW
    sha: Any = attrs.field(factory=hashlib.sha256)


def _delete(delete: Callable[..., None], *what: Any) -> None:
    """Call what deletes something; where it cannot, the rest is deleted all the same."""
    try:
        delete(*what)
    except OSError:
        log.failure("what a stream brought could not be deleted")


@implementer(IPushProducer)
class Streams:
    """The streams of one link, and its transport's one producer.

    :param link: carries the commands; inherits from `StreamingLink`.
    :param sinks: where incoming bytes go.
    """

    def __init__(self, link: Link, sinks: Sinks) -> None:
        self._link = link
        self._sinks = sinks
        self._waiting: deque[_Outgoing] = deque()
        self._open: set[bytes] = set()
        self._outgoing: OrderedDict[bytes, _Outgoing] = OrderedDict()
        self._incoming: dict[bytes, _Incoming] = {}
        self._kept: dict[bytes, Body] = {}
        self._in_flight = 0
        self._pumping = False
        self._paused = False
        self._producing = False

    # Sending.
    def send(self, body: Body, kind: bytes = b"", digest: bytes = b"") -> Deferred[bytes]:
        """Send a body. The Deferred gives the stream's id when the receiver has verified and kept it.

        It fails with `StreamError`, or with ConnectionClosed when the link ends first.

        :param digest: the sha256 that it has if nobody has changed it, or empty.
        """
        outgoing = _Outgoing(kind, body.size, digest, chunks_of(body, CHUNK))
        self._waiting.append(outgoing)
        self._pump()
        return outgoing.done

    def _pump(self) -> None:
        """Open streams and send chunks, one of each stream in turn, as far as the brakes allow."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._open_streams()
            while not self._paused and self._in_flight + CHUNK <= IN_FLIGHT and (outgoing := self._next_outgoing()):
                self._send_chunk(outgoing)
                self._open_streams()
        finally:
            self._pumping = False
        self._produce(bool(self._outgoing))

    def _open_streams(self) -> None:
        while self._waiting and len(self._open) < MOST_OUTGOING:
            outgoing = self._waiting.popleft()
            self._open.add(outgoing.stream)
            self._outgoing[outgoing.stream] = outgoing
            opened = self._link.ask(said.OpenStream, stream=outgoing.stream, size=outgoing.size, kind=outgoing.kind)
            opened.addErrback(self._settled, outgoing)

    def _next_outgoing(self) -> _Outgoing | None:
        for stream, outgoing in self._outgoing.items():
            if outgoing.offset < min(outgoing.size, outgoing.window) or outgoing.offset >= outgoing.size:
                self._outgoing.move_to_end(stream)
                return outgoing
        return None

    def _send_chunk(self, outgoing: _Outgoing) -> None:
        try:
            chunk = next(outgoing.chunks, b"")
        except OSError as error:
            return self._give_up(outgoing, SourceError(f"reading failed: {error}"))
        if not chunk:
            return self._end(outgoing)
        outgoing.sha.update(chunk)
        offset, outgoing.offset = outgoing.offset, outgoing.offset + len(chunk)
        if outgoing.offset > outgoing.size:
            return self._give_up(outgoing, SourceError("the file grew while it was sent"))
        self._in_flight += len(chunk)
        sent = self._link.ask(said.StreamChunk, stream=outgoing.stream, offset=offset, chunk=chunk)
        sent.addBoth(self._chunk_answered, len(chunk), outgoing)

    def _chunk_answered(self, answer: Any, size: int, outgoing: _Outgoing) -> None:
        self._in_flight -= size
        if isinstance(answer, Failure):
            self._settled(answer, outgoing)
        else:
            self._pump()

    def _end(self, outgoing: _Outgoing) -> None:
        if outgoing.offset != outgoing.size or outgoing.digest not in (b"", outgoing.sha.digest()):
            return self._give_up(outgoing, SourceError("the file shrank or was changed before it was sent"))
        self._outgoing.pop(outgoing.stream)
        ended = self._link.ask(said.EndStream, stream=outgoing.stream, digest=outgoing.sha.digest())
        ended.addBoth(self._settled, outgoing)

    def _give_up(self, outgoing: _Outgoing, error: Exception) -> None:
        self._link.ask(said.CancelStream, stream=outgoing.stream)
        self._settled(Failure(error), outgoing)

    def _settled(self, answer: Any, outgoing: _Outgoing) -> None:
        self._outgoing.pop(outgoing.stream, None)
        self._open.discard(outgoing.stream)
        if not outgoing.done.called:
            outgoing.done.callback(answer if isinstance(answer, Failure) else outgoing.stream)
        self._pump()

    def window_granted(self, stream: bytes, upto: int) -> None:
        """The receiver can take more of a stream."""
        outgoing = self._outgoing.get(stream)
        if outgoing is not None:
            outgoing.window = max(outgoing.window, upto)
            self._pump()

    # The transport's producer.
    def _produce(self, wanted: bool) -> None:
        if self._link.transport is None or wanted == self._producing:
            return
        self._producing = wanted
        if wanted:
            self._link.transport.registerProducer(self, True)
        else:
            self._link.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """The transport's buffer is full: chunks wait, commands do not."""
        self._paused = True

    def resumeProducing(self) -> None:
        """There is room again."""
        self._paused = False
        self._pump()

    def stopProducing(self) -> None:
        """The transport is closed."""
        self._paused = True

    # Receiving.
    def opened(self, stream: bytes, size: int, kind: bytes) -> None:
        """A stream is announced. Twice is once.

        :raises StreamError: when it is not wanted.
        """
        if stream in self._incoming or stream in self._kept:
            return
        if len(self._incoming) + len(self._kept) >= MOST_INCOMING:
            raise StreamError("too many streams at once")
        try:
            self._incoming[stream] = _Incoming(kind, size, self._sinks.open(stream, size, kind))
        except OSError as error:
            raise self._refuse(stream, f"it cannot be kept: {error}") from None

    def received(self, stream: bytes, offset: int, chunk: bytes) -> None:
        """A chunk has come.

        :raises StreamError: when it does not fit where it claims to belong, or cannot be kept.
        """
        incoming = self._incoming.get(stream)
        if incoming is None:
            raise StreamError("a chunk of a stream that was not opened")
        end = offset + len(chunk)
        if offset != incoming.received or end > incoming.size or end > incoming.granted + CHUNK:
            raise self._refuse(stream, "a chunk where none was expected")
        incoming.sha.update(chunk)
        incoming.received = end
        try:
            self.consumed(stream, incoming.sink.write(chunk))
        except OSError as error:
            raise self._refuse(stream, f"it cannot be kept: {error}") from None

    def consumed(self, stream: bytes, amount: int) -> None:
        """A sink has consumed so many bytes of its stream, in all: more may come."""
        incoming = self._incoming.get(stream)
        if incoming is None:
            return
        upto = amount + WINDOW
        if upto - incoming.granted >= WINDOW // 2 and incoming.granted < incoming.size:
            incoming.granted = upto
            self._link.ask(said.GrantWindow, stream=stream, upto=upto)

    def ended(self, stream: bytes, digest: bytes) -> None:
        """All of a stream has come. Twice is once, until it is taken.

        :raises StreamError: when it is not what was announced.
        """
        if stream in self._kept:
            return
        incoming = self._incoming.get(stream)
        if incoming is None:
            raise StreamError("the end of a stream that was not opened")
        if incoming.received != incoming.size or incoming.sha.digest() != digest:
            raise self._refuse(stream, "it is not what was announced")
        try:
            body = incoming.sink.finish(digest)
        except OSError as error:
            raise self._refuse(stream, f"it cannot be kept: {error}") from None
        del self._incoming[stream]
        if not incoming.kind:
            self._kept[stream] = body

    def cancelled(self, stream: bytes) -> None:
        """The sender has given a stream up."""
        self._refuse(stream, "cancelled")

    def _refuse(self, stream: bytes, why: str) -> StreamError:
        incoming = self._incoming.pop(stream, None)
        if incoming is not None:
            _delete(incoming.sink.discard)
        return StreamError(f"stream {stream.hex()[:8]}: {why}")

    def take(self, stream: bytes) -> Body:
        """The body of a stream that was received; it is the caller's now.

        :raises StreamError: when there is none.
        """
        if stream not in self._kept:
            raise StreamError(f"stream {stream.hex()[:8]} was not received")
        return self._kept.pop(stream)

    def link_lost(self, reason: Any) -> None:
        """The link is gone: what was underway is discarded, what nobody took is deleted."""
        for outgoing in list(self._outgoing.values()):
            self._settled(Failure(ConnectionLost()), outgoing)
        for incoming in self._incoming.values():
            _delete(incoming.sink.discard)
        for body in self._kept.values():
            _delete(self._sinks.delete, body)
        self._incoming.clear()
        self._kept.clear()


class StreamingLink(Link):
    """A link that carries streams; its subclasses set ``streams``."""

    streams: Streams

    @said.OpenStream.responder
    def open_stream(self, stream: bytes, size: int, kind: bytes) -> dict[str, Any]:
        self.streams.opened(stream, size, kind)
        return {}

    @said.StreamChunk.responder
    def stream_chunk(self, stream: bytes, offset: int, chunk: bytes) -> dict[str, Any]:
        self.streams.received(stream, offset, chunk)
        return {}

    @said.EndStream.responder
    def end_stream(self, stream: bytes, digest: bytes) -> dict[str, Any]:
        self.streams.ended(stream, digest)
        return {}

    @said.GrantWindow.responder
    def grant_window(self, stream: bytes, upto: int) -> dict[str, Any]:
        self.streams.window_granted(stream, upto)
        return {}

    @said.CancelStream.responder
    def cancel_stream(self, stream: bytes) -> dict[str, Any]:
        self.streams.cancelled(stream)
        return {}
