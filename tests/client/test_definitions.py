"""Definitions, found in their files and cut out of them."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable
from typing import Any
from unittest import TestCase

from dispytw.client.definitions import absolute_name, described, imported_from, inner_source, top_source
from dispytw.client.definitions import described as renamed

EVERY_PYTHON = True

Pair = collections.namedtuple("Pair", "a b")
square = lambda n: n * n  # noqa: E731
alias = described


@functools.lru_cache(maxsize=None)  # noqa: UP033 (two lines to cut)
def cached(n: int) -> int:
    return n


def made(n: int) -> Callable[[], int]:
    return lambda: n


from_factory = made(1)

if True:

    def in_a_branch() -> None:
        pass

else:

    def in_a_branch() -> None:
        raise AssertionError


class Kept:
    """A class with another in it."""


def top(name: str) -> Any:
    return top_source(name, globals()[name], globals())


class TopLevel(TestCase):
    """Statements of a module."""

    def test_definitions(self) -> None:
        """Functions with their decorators, classes, and assignments that make a class or a lambda."""
        self.assertTrue(top("cached").text.startswith("@functools.lru_cache"))
        self.assertEqual(top("cached").line, cached.__wrapped__.__code__.co_firstlineno)
        self.assertEqual(top("Pair").text, 'Pair = collections.namedtuple("Pair", "a b")\n')
        self.assertTrue(top("square").text.startswith("square = lambda"))
        self.assertTrue(top("Kept").text.startswith("class Kept:"))
        self.assertEqual((top("Kept").name, top("Kept").module), ("Kept", __name__))

    def test_branches(self) -> None:
        """A function defined twice is told by the branch that was taken, or not at all."""
        found = top("in_a_branch")
        self.assertTrue(found is None or "AssertionError" not in found.text)

    def test_what_no_statement_makes(self) -> None:
        """The value of a call is not made by calling again, and an import makes nothing."""
        self.assertIsNone(top("from_factory"))
        self.assertIsNone(top("described"))
        self.assertIsNone(top("alias"))

    def test_imports(self) -> None:
        """Where a name was imported from, under its name there."""
        self.assertEqual(imported_from("renamed", globals()), ("dispytw.client.definitions", "described"))
        self.assertIsNone(imported_from("Kept", globals()))
        self.assertIs(renamed, described)


class Inner(TestCase):
    """Functions in functions."""

    def test_independent_and_not(self) -> None:
        """One that uses nothing of its surroundings is told by source, others are not."""
        outside = 1

        def independent(n: int = 2) -> int:
            return n

        def closed() -> int:
            return outside

        def by_default(n: int = outside) -> int:
            return n

        source = inner_source(independent)
        assert source is not None
        self.assertEqual((source.line, source.text[:28]), (independent.__code__.co_firstlineno, "        def independent(n: i"))
        self.assertIsNone(inner_source(closed))
        self.assertIsNone(inner_source(by_default))
        self.assertIsNone(inner_source(Inner.test_independent_and_not))


class Words(TestCase):
    """Names in messages and statements."""

    def test_relative_imports(self) -> None:
        """Dots count from the package."""
        self.assertEqual(absolute_name("a.b", 0, ""), "a.b")
        self.assertEqual(absolute_name("x", 1, "p.q"), "p.q.x")
        self.assertEqual(absolute_name("", 2, "p.q"), "p")
        self.assertIsNone(absolute_name("x", 3, "p.q"))
        self.assertIsNone(absolute_name("x", 1, ""))

    def test_described(self) -> None:
        """What it is and where."""
        self.assertIn(f"top ({__file__}:", described(top))
        self.assertIn("class", described(Kept))
        self.assertEqual(described(5), "the value 5")
        self.assertLess(len(described("x" * 1000)), 100)
