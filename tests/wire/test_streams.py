"""Streams arrive, are fair to each other, and never run ahead too far; `test_streams_failing` shows what may go wrong."""

from __future__ import annotations

import hashlib
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from dispytw.errors import StreamError
from dispytw.values import Inline
from dispytw.wire import streamcommands as said
from dispytw.wire import streams
from dispytw.wire.streams import CHUNK, IN_FLIGHT, WINDOW, MemorySinks
from tests.wire.links import StreamCase, StreamPair, content

STREAM = b"s" * 16

#: Lengths around those at which something changes.
lengths = st.builds(int.__add__, st.sampled_from([2, CHUNK, 2 * CHUNK, WINDOW, WINDOW + CHUNK, IN_FLIGHT]), st.integers(-2, 2))



class Arriving(StreamCase):
    """What is sent arrives."""

    @given(st.lists(st.tuples(lengths, st.booleans(), st.booleans()), min_size=1, max_size=4))
    @settings(deadline=None, max_examples=20)
    def test_round_trip(self, bodies: list[tuple[int, bool, bool]]) -> None:
        """Bodies of any length, in memory and in files, in both directions at once, arrive as they are."""
        pair = StreamPair()
        sent = []
        for seed, (length, in_file, back) in enumerate(bodies):
            data = content(length, seed)
            end, other = (pair.far, pair.near) if back else (pair.near, pair.far)
            sent.append((pair.send(self.stored(data) if in_file else Inline(data), end=end), other, data))
        pair.run()
        for done, other, data in sent:
            self.assertEqual(Inline(data), other.streams.take(self.successResultOf(done)))
        for end in (pair.near, pair.far):
            self.assertLessEqual(end.most_unanswered, IN_FLIGHT)
            self.assertEqual({}, end.unanswered)
        self.assertEqual([None, None], [line.producer for line in pair.lines])
        pair.cut()
        self.assertEqual([], pair.near.sinks.deleted + pair.far.sinks.deleted)

    def test_nothing(self) -> None:
        """A body of no bytes is a stream like others."""
        for body in (Inline(b""), self.stored(b"")):
            pair = StreamPair()
            done = pair.send(body)
            pair.run()
            self.assertEqual(Inline(b""), pair.far.streams.take(self.successResultOf(done)))

    def test_not_before_it_is_kept(self) -> None:
        """The sender is told when the receiver has verified and kept the body, and no earlier."""
        pair = StreamPair()
        done = pair.send(Inline(content(CHUNK)))
        while not pair.far.sinks.opened or pair.far.sinks.only.ends != ["finished"]:
            self.assertNoResult(done)
            self.assertTrue(pair.step())

    def test_it_is_the_takers(self) -> None:
        """What was received can be taken once; there is nothing else to take."""
        pair = StreamPair()
        done = pair.send(Inline(b"x"))
        for stream in (b"another", pair.near.said(said.OpenStream)[0][b"stream"]):
            self.assertRaises(StreamError, pair.far.streams.take, stream)
        pair.run()
        received = self.successResultOf(done)
        pair.far.streams.take(received)
        self.assertRaises(StreamError, pair.far.streams.take, received)

    def test_a_file_of_a_computation(self) -> None:
        """Lies where it belongs: nobody has to take it, and any number of them goes over one link."""
        pair = StreamPair()
        with mock.patch.object(streams, "MOST_INCOMING", 3):
            for _ in range(10):
                done = pair.send(Inline(b"x"), kind=b"k" * 32)
                pair.run()
                self.assertRaises(StreamError, pair.far.streams.take, self.successResultOf(done))
        self.assertEqual({(b"k" * 32, b"x")}, {(sink.kind, sink.data) for sink in pair.far.sinks.opened.values()})
        pair.cut()
        self.assertEqual([], pair.far.sinks.deleted)

    def test_said_twice(self) -> None:
        """A stream that is opened twice is opened once, while it comes and when it has come; its end, too, is an end once."""
        pair = StreamPair()
        for length, chunks in ((5, [b"hello"]), (0, [])):
            stream, digest = b"%016d" % length, hashlib.sha256(b"".join(chunks)).digest()
            for _ in range(2):
                self.assertEqual({}, self.successResultOf(pair.ask(said.OpenStream, stream=stream, size=length, kind=b"")))
            for chunk in chunks:
                pair.ask(said.StreamChunk, stream=stream, offset=0, chunk=chunk)
            for _ in range(2):
                self.assertEqual({}, self.successResultOf(pair.ask(said.EndStream, stream=stream, digest=digest)))
            self.successResultOf(pair.ask(said.OpenStream, stream=stream, size=length, kind=b""))
            self.assertEqual(["finished"], pair.far.sinks.opened[stream].ends)
            self.assertEqual(Inline(b"".join(chunks)), pair.far.streams.take(stream))

    def test_in_memory(self) -> None:
        """A client keeps results in memory, and takes no files of computations, nor more bytes than it was told to."""
        pair = StreamPair(MemorySinks(limit=5))
        good, long, file = pair.send(Inline(b"12345")), pair.send(Inline(b"123456")), pair.send(Inline(b""), kind=b"k" * 32)
        half = pair.ask(said.OpenStream, stream=STREAM, size=5, kind=b"")
        self.assertEqual(({}, Inline(b"12345")), (self.successResultOf(half), pair.far.streams.take(self.successResultOf(good))))
        for done in (long, file):
            self.failureResultOf(done, StreamError)
        pair.cut()


class Braking(StreamCase):
    """Who may send how much."""

    def test_so_many_unanswered(self) -> None:
        """However many streams there are, and however much room in their windows, so many bytes and no more are unanswered."""
        pair = StreamPair()
        dones = [pair.send(Inline(content(WINDOW, seed))) for seed in range(3)]
        self.assertLessEqual(pair.near.most_unanswered, IN_FLIGHT)
        self.assertGreater(pair.near.most_unanswered, IN_FLIGHT - CHUNK)
        pair.run()
        for done in dones:
            self.successResultOf(done)
        self.assertLessEqual(pair.near.most_unanswered, IN_FLIGHT)

    def test_a_small_one_is_not_stuck(self) -> None:
        """A stream that is sent behind a big one overtakes it: only what was underway already, and every other chunk, comes before."""
        pair = StreamPair()
        big = pair.send(Inline(content(60 * CHUNK)))
        for _ in range(8):
            pair.step()
        (stream,) = pair.far.sinks.opened
        before = len(pair.far.sinks.opened[stream].data)
        small = pair.send(Inline(content(3 * CHUNK)))
        while not small.called:
            self.assertTrue(pair.step())
        self.assertNoResult(big)
        self.assertLessEqual(len(pair.far.sinks.opened[stream].data) - before, IN_FLIGHT + 5 * CHUNK)
        pair.run()
        self.successResultOf(big)

    def test_in_turn(self) -> None:
        """Streams that are underway at the same time get a chunk each, one after the other."""
        pair = StreamPair()
        pair.near.streams.pauseProducing()
        for seed in range(3):
            pair.send(Inline(content(4 * CHUNK, seed)))
        pair.near.streams.resumeProducing()
        pair.run()
        order = [box[b"stream"] for box in pair.near.said(said.StreamChunk)]
        self.assertEqual(list(pair.far.sinks.opened) * 4, order)

    def test_a_slow_sink(self) -> None:
        """A sink that consumes nothing stalls its own stream at its window; another passes it by; when it consumes, all arrives."""
        pair = StreamPair()
        pair.far.sinks.slow = True
        slow = pair.send(Inline(content(3 * WINDOW)))
        pair.run()
        sink = pair.far.sinks.only
        (stream,) = pair.far.sinks.opened
        self.assertEqual(WINDOW, len(sink.data))
        pair.far.sinks.slow = False
        quick = pair.send(Inline(content(2 * WINDOW, 1)))
        pair.run()
        self.successResultOf(quick)
        self.assertEqual(WINDOW, len(sink.data))
        sink.consumed = WINDOW
        pair.far.streams.consumed(stream, WINDOW)
        pair.run()
        self.assertEqual(2 * WINDOW, len(sink.data))
        pair.far.streams.consumed(stream, 2 * WINDOW)
        pair.run()
        self.assertEqual(Inline(content(3 * WINDOW)), pair.far.streams.take(self.successResultOf(slow)))

    @given(lengths, st.lists(st.integers(CHUNK // 2, WINDOW), min_size=1, max_size=10))
    @settings(deadline=None, max_examples=15)
    def test_the_window(self, length: int, amounts: list[int]) -> None:
        """Whatever a sink consumes when, the stream is never more than a window and a chunk ahead of it, and arrives."""
        pair = StreamPair()
        pair.far.sinks.slow = True
        length += 2 * WINDOW
        done = pair.send(Inline(content(length)))
        for round_ in range(1000):
            pair.run()
            sink = pair.far.sinks.only
            self.assertLessEqual(len(sink.data) - sink.consumed, WINDOW + CHUNK)
            if sink.ends:
                break
            sink.consumed = min(len(sink.data), sink.consumed + amounts[round_ % len(amounts)])
            pair.far.streams.consumed(*pair.far.sinks.opened, sink.consumed)
        self.assertEqual(Inline(content(length)), pair.far.streams.take(self.successResultOf(done)))

    def test_grants_that_mean_nothing(self) -> None:
        """A window never shrinks; a stream that is not underway has none."""
        pair = StreamPair()
        pair.near.streams.pauseProducing()
        done = pair.send(Inline(content(2 * WINDOW)))
        pair.near.streams.window_granted(pair.near.said(said.OpenStream)[0][b"stream"], 1)
        pair.near.streams.window_granted(STREAM, 1)
        pair.far.streams.consumed(STREAM, 1)
        pair.near.streams.resumeProducing()
        self.assertEqual(WINDOW, sum(pair.near.unanswered.values()))
        pair.run()
        self.successResultOf(done)
        self.assertLess(len(pair.far.said(said.GrantWindow)), 5)

    def test_a_full_transport(self) -> None:
        """Chunks wait until the transport has room again; commands do not."""
        pair = StreamPair()
        done = pair.send(Inline(content(IN_FLIGHT + CHUNK)))
        pair.near.streams.pauseProducing()
        sent = len(pair.near.said(said.StreamChunk))
        pair.run()
        self.assertEqual(sent, len(pair.near.said(said.StreamChunk)))
        self.failureResultOf(pair.ask(said.EndStream, stream=STREAM, digest=bytes(32)), StreamError)
        self.assertIs(pair.near.streams, pair.lines[0].producer)
        pair.near.streams.resumeProducing()
        pair.run()
        self.successResultOf(done)
        self.assertIsNone(pair.lines[0].producer)

    def test_very_many(self) -> None:
        """More streams than may come in at a time wait for their turn; all arrive, and none is refused."""
        pair = StreamPair()
        pair.near.streams.pauseProducing()
        with mock.patch.object(streams, "MOST_OUTGOING", 3), mock.patch.object(streams, "MOST_INCOMING", 3):
            dones = [pair.send(Inline(b"%d" % number)).addCallback(pair.far.streams.take) for number in range(20)]
            pair.run()
            self.assertEqual(3, len(pair.far.sinks.opened))
            pair.near.streams.resumeProducing()
            pair.run()
        self.assertEqual([Inline(b"%d" % number) for number in range(20)], [self.successResultOf(done) for done in dones])
        self.assertLess(2 * streams.MOST_OUTGOING, streams.MOST_INCOMING)
