"""What is said of streams, word for word; see `tests.wire.commands`."""

from __future__ import annotations

from dispytw.node.connections import ConnectionFromScheduler
from dispytw.scheduler.connections import ConnectionFromNode
from dispytw.wire import streamcommands
from dispytw.wire.streams import CHUNK, StreamingLink
from tests.wire import commands


class StreamCommands(commands.Laws):
    """Said by either end, answered by either."""

    module = streamcommands
    answered_by = (StreamingLink, ConnectionFromNode, ConnectionFromScheduler)
    table = {
        "CancelStream": "stream: Uid -> no answer | STREAM StreamError, WIRE WireError",
        "EndStream": "stream: Uid, digest: Digest -> nothing | STREAM StreamError, WIRE WireError",
        "GrantWindow": "stream: Uid, upto: Whole -> no answer | STREAM StreamError, WIRE WireError",
        "OpenStream": "stream: Uid, size: Whole, kind: Bytes -> nothing | STREAM StreamError, WIRE WireError",
        "StreamChunk": "stream: Uid, offset: Whole, chunk: Long -> nothing | STREAM StreamError, WIRE WireError",
    }

    def test_a_whole_chunk_fits(self) -> None:
        """The longest chunk fits a box, and no value of it is wasted."""
        said = {"stream": bytes(16), "offset": 2**62, "chunk": b"c" * CHUNK}
        box = commands.over_the_wire(streamcommands.StreamChunk.makeArguments(dict(said), None))
        self.assertEqual(said, streamcommands.StreamChunk.parseArguments(box, None))
        self.assertEqual({0xFFFF}, {len(value) for key, value in box.items() if key.startswith(b"chunk.")})
