"""An outcome survives being a list, whatever writes its bodies; what is no outcome is a WireError."""

from __future__ import annotations

import unittest
from typing import Any

import attrs

from dispytw.errors import WireError
from dispytw.values import ERROR_LIMIT, TERMINATED, Inline, Outcome
from dispytw.wire.outcomes import error_of, outcome_fields, outcome_of

OUTCOME = Outcome(TERMINATED, Inline(b"r"), Inline(b"o"), Inline(b"e"), "ValueError: x", 1.0, 2.0, "why", b"p.")


def written(body: Any) -> Any:
    return body.data.decode()


def read(field: Any) -> Any:
    return Inline(field.encode())


class Outcomes(unittest.TestCase):
    """There and back. What is refused field by field: tests/wire/test_records.py."""

    def test_there_and_back(self) -> None:
        """Every field, with bodies as the carrier writes them."""
        fields = outcome_fields(OUTCOME, written)
        self.assertEqual([TERMINATED, "r", "o", "e", "ValueError: x", 1.0, 2.0, "why", b"p."], fields)
        self.assertEqual(OUTCOME, outcome_of(fields, read))
        without = attrs.evolve(OUTCOME, result=None)
        self.assertEqual(without, outcome_of(outcome_fields(without, written), read))

    def test_from_before(self) -> None:
        """Eight fields: whoever wrote them knew of no packed exceptions."""
        self.assertEqual(attrs.evolve(OUTCOME, error=b""), outcome_of(outcome_fields(OUTCOME, written)[:8], read))

    def test_what_is_none(self) -> None:
        """Fewer, more, or nothing like it; a packed exception is bytes, and not too many."""
        fields = outcome_fields(OUTCOME, written)
        for wrong in (None, 7, {}, [], fields[:7], [*fields, None]):
            with self.assertRaises(WireError):
                outcome_of(wrong, read)
        for wrong in (None, "text", bytes(ERROR_LIMIT + 1)):
            self.assertRaises(WireError, error_of, wrong)
        self.assertEqual(bytes(ERROR_LIMIT), error_of(bytes(ERROR_LIMIT)))

    def test_no_clock_shows_that(self) -> None:
        """A time is a number that can be reckoned with: what is learned of durations would be nan for ever, and nothing be given out any more."""
        started = [*outcome_fields(OUTCOME, written)]
        for wrong in (float("inf"), float("-inf"), float("nan"), 1e308, "1.0"):
            for place in (5, 6):
                with self.assertRaises(WireError):
                    outcome_of([*started[:place], wrong, *started[place + 1 :]], read)
        self.assertEqual(attrs.evolve(OUTCOME, ended=1e18), outcome_of([*started[:6], 1e18, *started[7:]], read))
