"""The nouns: frozen, comparable, and with the numbers that dispy's programs know."""

from __future__ import annotations

import inspect
import unittest

import attrs

from dispytw import values
from dispytw.values import (
    ABANDONED,
    CANCELLED,
    CREATED,
    EMPTY,
    FINISHED,
    INLINE_LIMIT,
    PROVISIONAL_RESULT,
    RUNNING,
    TERMINAL,
    TERMINATED,
    Attempt,
    Availability,
    Body,
    Computation,
    Equipped,
    File,
    Inline,
    JobOptions,
    NodeFacts,
    Outcome,
    Stored,
)
from dispytw.wire.streams import CHUNK

NOUNS = [value for value in vars(values).values() if inspect.isclass(value) and attrs.has(value)]


class Statuses(unittest.TestCase):
    """A job's status."""

    def test_dispys_numbers(self) -> None:
        """Programs keep these in files, and compare them."""
        self.assertEqual(
            (5, 6, 7, 8, 9, 10, 11),
            (CREATED, RUNNING, PROVISIONAL_RESULT, CANCELLED, TERMINATED, ABANDONED, FINISHED),
        )

    def test_what_ends_a_job(self) -> None:
        """Every final status is greater than every other."""
        self.assertEqual({CANCELLED, TERMINATED, ABANDONED, FINISHED}, TERMINAL)
        self.assertLess(max(CREATED, RUNNING, PROVISIONAL_RESULT), min(TERMINAL))


class Nouns(unittest.TestCase):
    """Values that travel between rooms."""

    def test_frozen(self) -> None:
        """Nobody changes what another has been given."""
        for value in (
            Inline(b""), Stored("/a", 1), Outcome(FINISHED), File("a", b"d" * 32, 1),
            Computation(b"u" * 16, "compute", File("a", b"d" * 32, 1)), NodeFacts(b"n" * 16, 1, "node", 4), JobOptions(),
            Availability(99.0, 1, 2, 100.0), Equipped(b"d", (), {}),
        ):  # fmt: skip
            field = attrs.fields(type(value))[0].name
            with self.subTest(value=type(value).__name__), self.assertRaises(attrs.exceptions.FrozenInstanceError):
                setattr(value, field, getattr(value, field))
            self.assertIn(type(value), NOUNS)
            self.assertEqual(hash(value), hash(attrs.evolve(value)))
        self.assertEqual(9, len(NOUNS))
        with self.assertRaises(AttributeError):
            Attempt(b"j" * 16, 1).number = 2  # type: ignore[misc]

    def test_every_field_is_explained(self) -> None:
        """A noun of more than one field says what each is, unless its name alone does."""
        for noun in NOUNS:
            names = [field.name for field in attrs.fields(noun)]
            unexplained = [name for name in names if f":param {name}: " not in (noun.__doc__ or "")]
            self.assertEqual([], unexplained if len(names) > 1 else [], noun.__name__)

    def test_attempts_have_an_order(self) -> None:
        """By job, then by number; so whatever is said of many attempts is said in one order."""
        attempts = [Attempt(b"b", 1), Attempt(b"a", 10), Attempt(b"a", 2)]
        self.assertEqual([Attempt(b"a", 2), Attempt(b"a", 10), Attempt(b"b", 1)], sorted(attempts))
        self.assertEqual(1, len({Attempt(b"a", 2), Attempt(b"a", 2)}))

    def test_an_attempt_in_a_log(self) -> None:
        """The beginning of its job's uid, and its number."""
        self.assertEqual("6a6a6a6a/3", str(Attempt(b"j" * 16, 3)))

    def test_bodies(self) -> None:
        """Both kinds know their length."""
        bodies: list[Body] = [Inline(b"12345"), Stored("/a", 5)]
        self.assertEqual([5, 5], [body.size for body in bodies])
        self.assertEqual(0, EMPTY.size)

    def test_an_outcome_of_little(self) -> None:
        """An attempt that never began has no result, no output and no times."""
        outcome = Outcome(CANCELLED)
        self.assertEqual((None, EMPTY, EMPTY), (outcome.result, outcome.stdout, outcome.stderr))
        self.assertEqual((None, None, None, ""), (outcome.exception, outcome.started, outcome.ended, outcome.reason))

    def test_what_is_inline_fits_one_chunk(self) -> None:
        """Nothing that travels in a record is longer than what a stream sends at once."""
        self.assertEqual(49152, INLINE_LIMIT)
        self.assertLess(INLINE_LIMIT, CHUNK)
