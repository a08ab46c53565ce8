"""Disks that are slow: what a stream brings is taken at once and consumed later, so that the sender's window closes and opens."""

from __future__ import annotations

from dispytw.errors import StreamError
from dispytw.inmemory import MemoryProcess
from dispytw.values import Body, Inline
from dispytw.wire.streams import Sink, Streams


class SlowSinks:
    """Makes sinks that consume what they are given some time later.

    :param process: whose disk it is.
    :param streams: told what has been consumed.
    :param seconds: how much later.
    """

    def __init__(self, process: MemoryProcess, streams: Streams, seconds: float) -> None:
        self._process = process
        self._streams = streams
        self._seconds = seconds

    def open(self, stream: bytes, size: int, kind: bytes) -> Sink:
        """See `dispytw.wire.streams.Sinks`."""
        if kind:
            raise StreamError("a file that is not wanted here")
        return _SlowSink(self, stream)

    def delete(self, body: Body) -> None:
        """Nothing to do."""

    def consume_later(self, sink: _SlowSink, amount: int) -> None:
        """The disk will have it."""
        self._process.callLater(self._seconds, self._consumed, sink, amount)

    def _consumed(self, sink: _SlowSink, amount: int) -> None:
        sink.consumed = amount
        self._streams.consumed(sink.stream, amount)


class _SlowSink:
    def __init__(self, sinks: SlowSinks, stream: bytes) -> None:
        self.stream = stream
        self.consumed = 0
        self._sinks = sinks
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        self._sinks.consume_later(self, len(self._data))
        return self.consumed

    def finish(self, digest: bytes) -> Body:
        return Inline(bytes(self._data))

    def discard(self) -> None:
        self._data.clear()
