"""A slot hears its server, and only its present one; what that has seen becomes an outcome here."""

from __future__ import annotations

import os
import socket
import struct
import unittest
from contextlib import ExitStack
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Body, Inline, Outcome, Stored
from dispytw.wire.frames import FRAME_LIMIT, Ended, Started
from dispytw.worker import descriptors, slotwords
from dispytw.worker.raising import packed_death
from dispytw.worker.serverwords import attempt_of
from dispytw.worker.slots import opened_captures, opened_pair
from dispytw.worker.slotwords import HEAD, OVER, begun, output_here, output_in_file, over, stored_path
from dispytw.worker.words import NONE, RAISED, RETURNED, STORED, raised, stored_size
from tests.worker.driving import slot_of, tag_of

ATTEMPT = Attempt(b"j" * 16, 1)
TAG = tag_of(ATTEMPT)
BEGUN, WORD = begun(TAG, 1.0), Started(ATTEMPT, 1.0)
ENDED = over(TAG, 1.0, 2.0, RETURNED, b"pr")


def said(output: Body) -> bytes:
    """What a job has written, as a server says it."""
    if isinstance(output, Stored):
        return output_in_file(output.path, output.size)
    return output_here(output.data) if output.data else b""


class SlotTests(unittest.TestCase):
    """One slot, and this test as its server."""

    def setUp(self) -> None:
        self.slot = slot_of(self)

    def says(self, words: bytes) -> list[Started | Ended]:
        """Says it, and what is heard then."""
        self.slot.theirs.sendall(words)
        return self.slot.hear()

    def ended(self, words: bytes) -> Outcome:
        """The outcome of the one attempt that is heard to have ended."""
        (frame,) = self.says(words)
        assert isinstance(frame, Ended)
        self.assertEqual(ATTEMPT, frame.attempt)
        return frame.outcome

    def test_words_in_pieces(self) -> None:
        """A word is heard when it is whole."""
        for words, heard in ((BEGUN, WORD), (ENDED, Ended(ATTEMPT, Outcome(FINISHED, Inline(b"pr"), started=1.0, ended=2.0)))):
            for number in range(len(words) - 1):
                self.assertEqual([], self.says(words[number : number + 1]))
            self.assertEqual([heard], self.says(words[-1:]))

    def test_more_than_is_read_at_once(self) -> None:
        """Many words, and the piece of one more, are heard in order."""
        many = b"".join(begun(TAG, float(number)) for number in range(3000))
        self.assertEqual([float(number) for number in range(3000)], [each.started for each in self.says(many + BEGUN[:7])])  # type: ignore[union-attr]
        self.assertEqual([WORD], self.says(BEGUN[7:]))

    def test_half_a_word_of_the_last_job(self) -> None:
        """After `renew` nothing of the last server's is left."""
        self.says(BEGUN[:5])
        self.slot.renew()
        self.assertEqual([WORD], self.says(BEGUN))

    def test_a_word_before_nonsense(self) -> None:
        """Is heard, though both have come at once."""
        self.assertEqual([WORD], self.says(BEGUN + b"\xff" * 10))
        self.assertFalse(self.slot.sound)

    def test_nonsense(self) -> None:
        """A slot whose socket carried nonsense is not sound any more, and hears nothing."""
        self.assertEqual([], self.says(b"\xff" * 10))
        self.assertFalse(self.slot.sound)
        self.assertEqual([], self.says(BEGUN))

    def test_each_kind_of_nonsense(self) -> None:
        """Whatever no server says makes the slot unsound, and what came before it counts."""
        content, size = ENDED[HEAD.size :], len(ENDED) - HEAD.size
        table = {
            "kind of word": HEAD.pack(3, 0),
            "no kind": HEAD.pack(0, 28) + BEGUN[HEAD.size :],
            "more than any word has": HEAD.pack(OVER, FRAME_LIMIT + 1),
            "a short beginning": HEAD.pack(slotwords.BEGUN, 27) + BEGUN[HEAD.size : -1],
            "a long beginning": HEAD.pack(slotwords.BEGUN, 29) + BEGUN[HEAD.size :] + b"x",
            "less than an overview": HEAD.pack(OVER, slotwords.OVERVIEW.size - 1) + content[: slotwords.OVERVIEW.size - 1],
            "less than it says": HEAD.pack(OVER, size - 1) + content[:-1],
            "more than it says": HEAD.pack(OVER, size + 1) + content + b"x",
            "half the length of an output": over(TAG, 1.0, 2.0, RETURNED, b"pr", stdout=b"\1short"),
            "a process that was stopped": over(TAG, 1.0, 2.0, NONE, b"", 0x7F),
            **{f"begun at {never}": begun(TAG, never) for never in (nan, inf, -inf, 1e300)},
            **{f"over at {never}": over(TAG, 1.0, never, RETURNED, b"pr") for never in (nan, inf, -inf)},
            **{f"over, begun at {never}": over(TAG, never, 2.0, RETURNED, b"pr") for never in (inf, -inf)},
        }
        for name, words in table.items():
            with self.subTest(name):
                self.slot = slot_of(self)
                self.assertEqual([WORD], self.says(BEGUN + words + BEGUN))
                self.assertFalse(self.slot.sound)

    @given(st.binary(max_size=200), st.integers(0, len(ENDED)))
    def test_whatever_comes(self, nonsense: bytes, cut: int) -> None:
        """Is heard, waited for, or the end of the slot, but never an exception; no more than was said is heard."""
        for words in (nonsense, BEGUN + ENDED[:cut] + nonsense, HEAD.pack(OVER, len(nonsense)) + nonsense):
            slot = slot_of(self)
            slot.theirs.sendall(words)
            heard = slot.hear()
            self.assertLessEqual(len(heard), 2 + len(nonsense) // HEAD.size)
            if words.startswith(BEGUN):
                self.assertEqual(WORD, heard[0])
            self.doCleanups()

    def test_returned(self) -> None:
        """What its worker returned, and when."""
        outcome = Outcome(FINISHED, Inline(b"pr"), started=1.0, ended=2.0)
        self.assertEqual(outcome, self.ended(ENDED))
        words = over(TAG, 1.0, 2.0, RETURNED, b"pr", bits=slotwords.CANCELLED)
        self.assertEqual(outcome, self.ended(words), "a job that returns after a cancel has Finished")

    def test_a_long_result(self) -> None:
        """Is in the slot's directory, under the attempt's name."""
        path = stored_path(self.slot.out, TAG, "result")
        self.assertEqual(self.slot.out, os.path.dirname(path))
        self.assertEqual(Stored(path, 1 << 40), self.ended(over(TAG, 1.0, 2.0, STORED, stored_size(1 << 40))).result)

    def test_outputs(self) -> None:
        """What it wrote, here or in files, whatever these are called."""
        odd = Stored("/out/\udcff é", 1 << 40)
        for stdout, stderr in ((Inline(b"out"), Inline(b"\1err")), (odd, Inline(b"")), (Inline(b"\0"), odd)):
            outcome = self.ended(over(TAG, 1.0, 2.0, RETURNED, b"pr", stdout=said(stdout), stderr=said(stderr)))
            self.assertEqual((Inline(b"pr"), stdout, stderr), (outcome.result, outcome.stdout, outcome.stderr))

    def test_raised(self) -> None:
        """What it raised, as text and packed; Cancelled if a cancel was sent to it."""
        word = raised("ValueError: x", b"p.")
        outcome = self.ended(over(TAG, 1.0, 2.0, RAISED, word))
        self.assertEqual((TERMINATED, "ValueError: x", b"p."), (outcome.status, outcome.exception, outcome.error))
        outcome = self.ended(over(TAG, 1.0, 2.0, RAISED, word, bits=slotwords.CANCELLED))
        self.assertEqual((CANCELLED, "cancelled while it ran", b""), (outcome.status, outcome.reason, outcome.error))

    def test_died(self) -> None:
        """How its process ended, with the end of what that wrote."""
        outcome = self.ended(over(TAG, 1.0, 2.0, NONE, b"", 9, tail="é, no".encode() + b"\xff"))
        self.assertEqual((TERMINATED, packed_death("signal", 9)), (outcome.status, outcome.error))
        self.assertIn("killed by signal 9", outcome.exception or "")
        self.assertIn("its stderr ended with:\né, no\ufffd", outcome.exception or "")

    def test_programs(self) -> None:
        """The exit status of a program is its result; after a cancel it is not."""
        for bits, status in ((slotwords.PROGRAM, FINISHED), (slotwords.PROGRAM | slotwords.CANCELLED, CANCELLED), (0, TERMINATED)):
            self.assertEqual(status, self.ended(over(TAG, 1.0, 2.0, NONE, b"", 3 << 8, bits)).status)

    def test_never_begun(self) -> None:
        """A time that is none is that of a body that did not begin."""
        outcome = self.ended(over(TAG, nan, 2.0, RAISED, raised("no such file", b"")))
        self.assertEqual((TERMINATED, None, 2.0), (outcome.status, outcome.started, outcome.ended))

    def test_no_process(self) -> None:
        """There could be none for it, and why."""
        outcome = self.ended(over(TAG, 1.0, 2.0, RAISED, raised("no more processes", b"p."), bits=slotwords.UNSTARTED))
        never = Outcome(TERMINATED, exception="no more processes", ended=2.0, reason="its process could not be started")
        self.assertEqual(never, outcome)

    def test_attempts(self) -> None:
        """Are what servers know, also the last one that can be."""
        for attempt in (ATTEMPT, Attempt(bytes(range(16)), (1 << 32) - 1)):
            self.assertEqual(attempt, attempt_of(tag_of(attempt)))
        self.assertRaises(struct.error, attempt_of, TAG[:-1])


class Parts(unittest.TestCase):
    """What slots are made of."""

    def test_opened(self) -> None:
        """Is ours until it is closed, and the supervisor's end of a pair never blocks."""
        slot = slot_of(self)
        with ExitStack() as opened:
            ours, theirs = opened_pair(opened)
            captures = opened_captures(opened, slot.out)
            numbers = {ours.fileno(), theirs.fileno(), *(each.descriptor for each in captures)}
            self.assertLessEqual(numbers, descriptors._ours)
            self.assertRaises(BlockingIOError, ours.recv, 1)
            self.assertEqual((socket.SOCK_STREAM, True), (theirs.type, theirs.getblocking()))
        self.assertEqual(set(), numbers & descriptors._ours)
        for number in numbers:
            self.assertRaises(OSError, os.fstat, number)
