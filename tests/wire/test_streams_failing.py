"""A stream that cannot arrive whole does not arrive, both ends know it, others are not touched, and nothing is left."""

from __future__ import annotations

import hashlib
import os
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed

from dispytw.errors import StreamError
from dispytw.values import Inline, Stored
from dispytw.wire import streamcommands as said
from dispytw.wire import streams
from dispytw.wire.streams import CHUNK, WINDOW
from tests.wire.links import StreamCase, StreamPair, content

STREAM = b"s" * 16


class Case(StreamCase):
    """Each of these shows that a stream has failed, and no more than that."""

    def assert_failed(self, pair: StreamPair, done: Deferred[bytes], text: str = "") -> None:
        """The sender knows; the receiver keeps nothing, and still takes other streams."""
        pair.run()
        self.assertIn(text, str(self.failureResultOf(done, StreamError).value))
        self.assertEqual([["discarded"]] * len(pair.far.sinks.opened), [sink.ends for sink in pair.far.sinks.opened.values()])
        pair.far.sinks.failing = ""
        other = pair.send(Inline(b"other"))
        pair.run()
        self.assertEqual(Inline(b"other"), pair.far.streams.take(self.successResultOf(other)))
        self.assertEqual({}, pair.near.unanswered)
        self.assertIsNone(pair.lines[0].producer)
        pair.cut()
        self.assertEqual([], pair.far.sinks.deleted)


class Nonsense(Case):
    """What no honest sender says."""

    def open(self, size: int = 10) -> StreamPair:
        """A pair, with a stream that was announced by hand."""
        pair = StreamPair()
        self.successResultOf(pair.ask(said.OpenStream, stream=STREAM, size=size, kind=b""))
        return pair

    def refused(self, pair: StreamPair, command: Any, **arguments: Any) -> None:
        """The stream is refused, and is one that was never opened from now on."""
        self.failureResultOf(pair.ask(command, stream=STREAM, **arguments), StreamError)
        self.assertEqual(["discarded"], pair.far.sinks.only.ends)
        self.failureResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"1"), StreamError)
        self.failureResultOf(pair.ask(said.EndStream, stream=STREAM, digest=bytes(32)), StreamError)
        self.assertRaises(StreamError, pair.far.streams.take, STREAM)
        self.assertEqual(["discarded"], pair.far.sinks.only.ends)

    def test_a_stream_that_was_not_opened(self) -> None:
        """Has no chunks, no end, and cannot be cancelled; the link lives."""
        pair = StreamPair()
        self.failureResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"1"), StreamError)
        self.failureResultOf(pair.ask(said.EndStream, stream=STREAM, digest=bytes(32)), StreamError)
        pair.ask(said.CancelStream, stream=STREAM)
        self.successResultOf(pair.ask(said.OpenStream, stream=STREAM, size=1, kind=b""))

    def test_an_offset_that_is_none(self) -> None:
        """A chunk that is not the next one: a gap, or bytes that have come."""
        for offset in (1, 5, 2**62):
            self.refused(self.open(), said.StreamChunk, offset=offset, chunk=b"1")
        pair = self.open()
        self.successResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"12345"))
        self.refused(pair, said.StreamChunk, offset=0, chunk=b"12345")

    def test_more_than_announced(self) -> None:
        """A chunk that goes beyond the size, by one byte."""
        self.refused(self.open(10), said.StreamChunk, offset=0, chunk=b"1" * 11)
        pair = self.open(10)
        self.successResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"1" * 10))
        self.refused(pair, said.StreamChunk, offset=10, chunk=b"1")

    def test_less_than_announced(self) -> None:
        """The end before all has come, though the digest is right for what has."""
        pair = self.open(10)
        self.successResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"123456789"))
        self.refused(pair, said.EndStream, digest=hashlib.sha256(b"123456789").digest())

    def test_another_digest(self) -> None:
        """All has come, and it is something else."""
        pair = self.open(5)
        self.successResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"12345"))
        self.refused(pair, said.EndStream, digest=hashlib.sha256(b"12346").digest())

    def test_beyond_the_window(self) -> None:
        """A sender that does not wait for its window is refused a chunk beyond it, whatever size it has announced."""
        pair = self.open(10 * WINDOW)
        pair.far.sinks.only.slow = True
        for offset in range(0, WINDOW + CHUNK, CHUNK):
            self.successResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=offset, chunk=b"1" * CHUNK))
        self.refused(pair, said.StreamChunk, offset=WINDOW + CHUNK, chunk=b"1")

    def test_too_many(self) -> None:
        """So many streams may be open or wait to be taken; when one is taken, or cancelled, there is room again."""
        pair = StreamPair()

        def opened(number: int) -> Deferred[Any]:
            return pair.ask(said.OpenStream, stream=b"%016d" % number, size=0, kind=b"")

        with mock.patch.object(streams, "MOST_INCOMING", 3):
            for number in range(3):
                self.successResultOf(opened(number))
            self.successResultOf(pair.ask(said.EndStream, stream=b"%016d" % 0, digest=hashlib.sha256().digest()))
            self.failureResultOf(opened(3), StreamError)
            pair.far.streams.take(b"%016d" % 0)
            self.successResultOf(opened(4))
            self.failureResultOf(opened(5), StreamError)
            pair.ask(said.CancelStream, stream=b"%016d" % 1)
            self.successResultOf(opened(6))


class Files(Case):
    """Files that are not what they were when they were announced."""

    def test_a_file_that_grew(self) -> None:
        """Longer than announced, by a byte or by chunks, whether its end was at the end of a chunk or not."""
        for announced, length in ((10, 11), (CHUNK, CHUNK + 1), (CHUNK, 3 * CHUNK), (CHUNK + 5, CHUNK + 6), (0, 1)):
            pair = StreamPair()
            body = self.stored(content(length))
            self.assert_failed(pair, pair.send(Stored(body.path, announced)), "grew")

    def test_a_file_that_shrank(self) -> None:
        """Shorter than announced."""
        for announced, length in ((10, 9), (CHUNK + 1, CHUNK), (3 * CHUNK, CHUNK), (1, 0)):
            pair = StreamPair()
            body = self.stored(content(length))
            self.assert_failed(pair, pair.send(Stored(body.path, announced)), "shrank")

    def test_changed_on_the_way(self) -> None:
        """A file that is cut, or appended to, while it is sent."""
        for length, text in ((WINDOW, "shrank"), (5 * WINDOW, "grew")):
            pair = StreamPair()
            body = self.stored(content(3 * WINDOW))
            done = pair.send(body)
            for _ in range(5):
                pair.step()
            os.truncate(body.path, length)
            self.assert_failed(pair, done, text)

    def test_a_file_that_is_gone(self) -> None:
        """There is none, or it is a directory."""
        gone = self.stored(b"12345")
        os.unlink(gone.path)
        for path in (gone.path, os.path.dirname(gone.path)):
            pair = StreamPair()
            self.assert_failed(pair, pair.send(Stored(path, 5)), "reading failed")

    def test_very_many_that_are_gone(self) -> None:
        """Each fails for itself, however many wait; one that is there arrives."""
        gone = self.stored(b"12345")
        os.unlink(gone.path)
        pair = StreamPair()
        pair.near.streams.pauseProducing()
        dones = [pair.send(gone) for _ in range(streams.MOST_OUTGOING + 500)]
        there = pair.send(Inline(b"x"))
        pair.near.streams.resumeProducing()
        pair.run()
        for done in dones:
            self.failureResultOf(done, StreamError)
        self.successResultOf(there)


class Receivers(Case):
    """Receivers that cannot keep what comes, or do not want it."""

    def test_a_full_disk(self) -> None:
        """When the sink is opened, when it writes, when it finishes: the sender is told why."""
        for failing in ("open", "write", "finish"):
            pair = StreamPair()
            pair.far.sinks.failing = failing
            self.assert_failed(pair, pair.send(Inline(content(3 * CHUNK))), "No space left")

    def test_not_what_was_wanted(self) -> None:
        """A file whose content is not what its digest says."""
        pair = StreamPair()
        pair.far.sinks.failing = "want"
        self.assert_failed(pair, pair.send(Inline(b"x"), kind=b"k" * 32), "not what was wanted")

    def test_what_cannot_be_discarded(self) -> None:
        """A sink that fails while it is discarded changes nothing for others: it is logged."""
        pair = StreamPair()
        pair.far.sinks.failing = "discard"
        self.assert_failed(pair, pair.send(Stored(self.stored(b"12").path, 1)), "grew")
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))

    def test_the_middle_one(self) -> None:
        """Of three streams at the same time, one fails: the other two arrive."""
        pair = StreamPair()
        dones = [pair.send(Inline(content(20 * CHUNK, seed))) for seed in range(3)]
        while len(pair.far.sinks.opened) < 3:
            pair.step()
        list(pair.far.sinks.opened.values())[1].failing = "write"
        pair.run()
        self.failureResultOf(dones[1], StreamError)
        for seed in (0, 2):
            self.assertEqual(Inline(content(20 * CHUNK, seed)), pair.far.streams.take(self.successResultOf(dones[seed])))

    def test_cancelled(self) -> None:
        """A stream that its sender gives up is discarded."""
        pair = StreamPair()
        pair.ask(said.OpenStream, stream=STREAM, size=10, kind=b"")
        pair.ask(said.StreamChunk, stream=STREAM, offset=0, chunk=b"12345")
        pair.ask(said.CancelStream, stream=STREAM)
        pair.ask(said.CancelStream, stream=STREAM)
        self.assertEqual(["discarded"], pair.far.sinks.only.ends)
        self.failureResultOf(pair.ask(said.StreamChunk, stream=STREAM, offset=5, chunk=b"67890"), StreamError)


class Losing(Case):
    """The link goes."""

    def assert_nothing_left(self, pair: StreamPair) -> None:
        """Every sink has come to one end, and whatever was kept was taken or is deleted."""
        for end in (pair.near, pair.far):
            ends = [sink.ends for sink in end.sinks.opened.values()]
            self.assertTrue(all(each in (["finished"], ["discarded"]) for each in ends), ends)
            self.assertEqual(ends.count(["finished"]), len(end.sinks.deleted))

    def test_at_every_stage(self) -> None:
        """After each box, and whichever end learns it first: what was sent has arrived or has failed, and nothing is left."""
        for first in ("near", "far"):
            stage, going = 0, True
            while going:
                pair = StreamPair()
                dones = [pair.send(Inline(content(2 * CHUNK + 7))), pair.send(Inline(b"x")), pair.send(Inline(b"y"), end=pair.far)]
                outcomes: list[Any] = []
                for done in dones:
                    done.addBoth(outcomes.append)
                going = all(pair.step() for _ in range(stage))
                pair.lose(getattr(pair, first))
                pair.cut()
                self.assertEqual(3, len(outcomes), (first, stage))
                self.assertTrue(all(isinstance(each, bytes) or each.check(ConnectionClosed) for each in outcomes))
                self.assert_nothing_left(pair)
                stage += 1
            self.assertGreater(stage, 8)

    @given(st.integers(0, 60), st.sampled_from(["near", "far"]), st.booleans(), st.integers(1, 40))
    @settings(deadline=None, max_examples=25)
    def test_in_the_middle_of_much(self, stage: int, first: str, slow: bool, count: int) -> None:
        """The same with many streams, some of which wait for their turn, and sinks that stall them."""
        with mock.patch.object(streams, "MOST_OUTGOING", 10):
            pair = StreamPair()
            pair.far.sinks.slow = slow
            outcomes: list[Any] = []
            for number in range(count):
                pair.send(Inline(content(2 * WINDOW if number % 8 == 0 else number, number))).addBoth(outcomes.append)
            for _ in range(stage):
                pair.step()
            pair.lose(getattr(pair, first))
            pair.cut()
        self.assertEqual(count, len(outcomes))
        self.assert_nothing_left(pair)

    def test_very_many(self) -> None:
        """A thousand streams, none of which has been answered, fail one by one."""
        pair = StreamPair()
        dones = [pair.send(Inline(b"x")) for _ in range(1000)]
        pair.cut()
        for done in dones:
            self.failureResultOf(done, ConnectionClosed)

    def stalled(self) -> StreamPair:
        """A stream waits for a window that does not come."""
        pair = StreamPair()
        pair.far.sinks.slow = True
        done = pair.send(Inline(content(2 * WINDOW)))
        pair.run()
        self.assertNoResult(done)
        done.addErrback(lambda failure: failure.trap(ConnectionClosed))
        return pair

    def test_sent_too_late(self) -> None:
        """On a link that is gone, and on one that we have closed and that does not know it yet, a stream fails at once."""
        for known in (True, False):
            pair = self.stalled()
            pair.cut() if known else pair.near.abort()
            self.failureResultOf(pair.send(Inline(content(CHUNK))), ConnectionClosed)
            self.failureResultOf(pair.send(Inline(b"")), ConnectionClosed)
            self.failureResultOf(pair.send(Stored("/nowhere/at/all", 5)), ConnectionClosed)
            pair.cut()

    def test_consumed_too_late(self) -> None:
        """A slow sink that goes on when the link is closed, or gone, grants nothing to nobody."""
        pair = self.stalled()
        (stream,) = pair.far.sinks.opened
        pair.far.abort()
        pair.far.streams.consumed(stream, WINDOW)
        pair.cut()
        pair.far.streams.consumed(stream, WINDOW)
        self.assertEqual(["discarded"], pair.far.sinks.only.ends)

    def test_what_was_taken_stays(self) -> None:
        """Of three bodies the one that was taken is not deleted."""
        pair = StreamPair()
        dones = [pair.send(Inline(content(5, seed))) for seed in range(3)]
        pair.run()
        pair.far.streams.take(self.successResultOf(dones[1]))
        pair.cut()
        self.assertEqual([Inline(content(5, 0)), Inline(content(5, 2))], pair.far.sinks.deleted)

    def test_what_cannot_be_deleted(self) -> None:
        """Does not keep the rest from being deleted, nor the end from learning that the link is gone."""
        for failing in ("discard", "delete"):
            pair = StreamPair()
            pair.far.sinks.failing = failing
            for seed in range(3):
                pair.send(Inline(content(5, seed)))
            pair.run()
            for number in range(3):
                pair.ask(said.OpenStream, stream=b"%016d" % number, size=5, kind=b"")
            pair.cut()
            self.assertEqual(3, len(pair.far.sinks.deleted))
            self.assertEqual([["finished"]] * 3 + [["discarded"]] * 3, [sink.ends for sink in pair.far.sinks.opened.values()])
            self.assertEqual(3, len(self.flushLoggedErrors(OSError)))
            self.successResultOf(pair.far.closed)

    def test_the_transport_stops_its_producer(self) -> None:
        """As TCP does before it says that the connection is lost: nothing more is read from files."""
        pair = StreamPair()
        dones = [pair.send(self.stored(content(3 * WINDOW))) for _ in range(3)]
        pair.near.streams.stopProducing()
        with mock.patch("builtins.open", side_effect=AssertionError("opened")):
            pair.cut()
        for done in dones:
            self.failureResultOf(done, ConnectionClosed)
