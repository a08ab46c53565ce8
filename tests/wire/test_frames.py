"""Frames survive the journey, in pieces of any size, and nonsense is refused."""

from __future__ import annotations

import struct
import unittest
from typing import get_args

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from dispytw.errors import WireError
from dispytw.values import CANCELLED, ERROR_LIMIT, FINISHED, TERMINATED, Attempt, Inline, Outcome, Stored
from dispytw.wire import frames, jobframes
from dispytw.wire.frames import FRAME_LIMIT, Decoder, Frame, encode

texts = st.text(st.characters())  # lone surrogates too: file names that are no UTF-8
times = st.floats(0, 2e9)
counts = st.integers(1, 2**31)
sizes = st.integers(0, 2**63 - 1)
attempts = st.builds(Attempt, st.binary(min_size=16, max_size=16), st.integers(1, 2**31))
bodies = st.one_of(st.builds(Inline, st.binary(max_size=300)), st.builds(Stored, texts, st.integers(0, 2**40)))
outcomes = st.builds(
    Outcome,
    status=st.sampled_from([FINISHED, TERMINATED, CANCELLED]),
    result=st.none() | bodies,
    stdout=bodies,
    stderr=bodies,
    exception=st.none() | texts,
    started=st.none() | times,
    ended=st.none() | times,
    reason=texts,
    error=st.binary(max_size=100),
)
any_frame: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        frames.Setup,
        *(texts, texts, st.none() | texts, st.dictionaries(texts, texts, max_size=5), texts, times, times, texts),
        *(counts, st.sampled_from(["job", "worker"]), st.none() | counts, st.sampled_from([None, "fork", "spawn"])),
    ),
    st.builds(frames.Recall, counts),
    st.builds(frames.GivenBack, st.lists(attempts, max_size=5).map(tuple)),
    st.builds(frames.Start, attempts, bodies, st.none() | times),
    st.builds(frames.Cancel, attempts),
    st.builds(frames.Close, st.booleans()),
    st.just(frames.Ready()),
    st.builds(frames.SetupFailed, texts),
    st.builds(frames.Started, attempts, times),
    st.builds(frames.Ended, attempts, outcomes),
    st.builds(frames.Kept, st.lists(attempts, max_size=100).map(tuple)),
    st.builds(frames.Runs, attempts, st.none() | times, st.none() | st.builds(Stored, texts, st.integers(0, 2**40))),
    st.builds(frames.Standing, st.booleans(), st.booleans()),
    st.builds(jobframes.Limits, sizes),
    st.builds(jobframes.Remark, attempts, sizes, st.sampled_from(["provisional", "file"]), texts, bodies),
    st.builds(jobframes.Answer, attempts, sizes, st.sampled_from(["underway", "stopped", "heard", "refused"]), texts),
    st.builds(jobframes.Unsaid, attempts, sizes),
    st.builds(jobframes.Logged, st.none() | attempts, sizes, texts),
    st.builds(jobframes.Follow, attempts, st.booleans(), sizes),
    st.builds(jobframes.Wrote, attempts, st.booleans(), sizes, st.binary(max_size=300)),
)


def framed(packed: bytes) -> bytes:
    return struct.pack(">I", len(packed)) + packed


class FramesTests(unittest.TestCase):
    """The laws of `encode` and `Decoder`."""

    @given(st.lists(any_frame, max_size=5), st.lists(st.integers(1, 50), max_size=20))
    def test_round_trip_in_pieces(self, said: list[Frame], sizes: list[int]) -> None:
        """What is said is heard, in order, however it is cut."""
        stream = b"".join(map(encode, said))
        decoder, heard = Decoder(), []
        for size in [*sizes, len(stream) + 1]:
            piece, stream = stream[:size], stream[size:]
            heard += decoder.feed(piece)
        self.assertEqual(heard, said)

    def test_every_kind_of_frame_has_its_form(self) -> None:
        """No kind of frame is missing in the tables, nor in the strategy above."""
        kinds = set(get_args(Frame))
        self.assertEqual(kinds, set(frames._FIELDS))
        self.assertEqual(len(kinds), len(frames._OPENERS))

    @given(st.binary(max_size=200))
    def test_nonsense_is_a_wire_error(self, packed: bytes) -> None:
        """Whatever bytes a frame holds, it opens or is refused with WireError."""
        try:
            Decoder().feed(framed(packed))
        except WireError:
            pass

    def test_frames_that_are_refused(self) -> None:
        """Wrong codes, counts and types."""
        for fields in ([], [99], [5, 1], [3, [b"short", 1]], [3, [bytes(16), 0]], [2, [bytes(16), 1], ["p", -1]], [2, [bytes(16), 1], 7],
                       [8, [bytes(16), 1], [5, None, b"", b"", None, None, None, ""]], [6, 7], [7, [bytes(16), 1], "now"], [[1]], [{}],
                       [8, [bytes(16), 1], [9, None, b"", b"", None, None, None, "", "no bytes"]],
                       [8, [bytes(16), 1], [9, None, b"", b"", None, None, None, "", bytes(ERROR_LIMIT + 1)]], [20, b"x" * 19], [20, [1]], [21, [bytes(16), 1], None, b"inline"]):  # fmt: skip
            with self.subTest(fields=fields), self.assertRaises(WireError):
                Decoder().feed(framed(msgpack.packb(fields)))

    def test_frames_from_before(self) -> None:
        """A supervisor that outlives its daemon, and a journal, may know of no packed exceptions."""
        attempt, old = Attempt(bytes(16), 1), [9, None, b"", b"", "ValueError: x", None, None, ""]
        heard = Decoder().feed(framed(msgpack.packb([8, [attempt.job, 1], old])))
        self.assertEqual([frames.Ended(attempt, Outcome(TERMINATED, exception="ValueError: x"))], heard)

    def test_the_limit_holds_at_both_ends(self) -> None:
        """A frame that is too long is neither sent nor waited for."""
        with self.assertRaises(WireError):
            encode(frames.SetupFailed("x" * FRAME_LIMIT))
        with self.assertRaises(WireError):
            Decoder().feed(struct.pack(">I", FRAME_LIMIT + 1))
