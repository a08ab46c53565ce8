"""Many calls in one payload, and what became of them in another."""

from __future__ import annotations

import threading
import unittest

from hypothesis import given
from hypothesis import strategies as st

from dispytw.errors import PayloadError
from dispytw.wire.batches import (
    Answer,
    Batch,
    Call,
    is_batch,
    open_answers,
    open_calls,
    open_outcome,
    pack_answers,
    pack_calls,
)
from dispytw.wire.payload import pack_result
from tests.wire.test_payload import Other

EVERY_PYTHON = True

values = st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
calls = st.tuples(st.lists(values, max_size=3).map(tuple), st.dictionaries(st.text(max_size=3), values, max_size=2))
answers = st.builds(Answer, st.binary(max_size=9), st.just(""), st.just(b"")) | st.builds(Answer, st.none(), st.text(max_size=9), st.binary(max_size=9))


class Batches(unittest.TestCase):
    """There and back."""

    @given(st.lists(calls, max_size=4))
    def test_calls(self, given: list[Call]) -> None:
        """The arguments of each, in order."""
        payload = pack_calls(given, Other())
        self.assertTrue(is_batch(payload))
        self.assertEqual(given, open_calls(payload, self.fail))

    @given(st.lists(answers, max_size=4))
    def test_answers(self, given: list[Answer]) -> None:
        """Payloads and tracebacks, unopened."""
        opened = open_outcome(pack_answers(given))
        self.assertEqual(given, opened)
        self.assertIsInstance(opened, Batch)

    def test_of_one_call(self) -> None:
        """A job of one call has its result as ever."""
        payload = pack_result([1, 2], Other())
        self.assertEqual((False, [1, 2]), (is_batch(payload), open_outcome(payload)))

    def test_what_cannot_be_packed(self) -> None:
        """The argument is named, as in a job of its own."""
        with self.assertRaisesRegex(PayloadError, r"argument 2, a _thread\.lock, cannot be sent"):
            pack_calls([((1,), {}), ((1, threading.Lock()), {})], Other())

    def test_what_is_none(self) -> None:
        """Neither calls nor answers."""
        for payload in (b"b", b"b\xc1", b"b\x05", b"b\x91\x90", b"b\x91\x05"):
            with self.assertRaises(PayloadError):
                open_answers(payload)
        with self.assertRaises(PayloadError):
            open_calls(b"bx", self.fail)
