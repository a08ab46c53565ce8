"""Where names were written, and where a definition can be had."""

from __future__ import annotations

import functools
import math
import typing
from collections import OrderedDict as Ordered
from unittest import TestCase

from dispytw.client.scopes import Known, Scope, is_definition, located, where
from dispytw.wire.bundle import Constant, Import

EVERY_PYTHON = True

T = typing.TypeVar("T")


class Outer:
    """A class with another in it."""

    class Inner:
        pass


Short = Outer.Inner


class Places(TestCase):
    """Scopes and what is in them."""

    def test_scopes(self) -> None:
        """A function's globals, a class's module."""
        self.assertIs(Scope.of(Places.test_scopes).names, globals())
        self.assertEqual(Scope.of(Outer).module, __name__)
        self.assertEqual(Scope.of_module("no_such_module").names, {})

    def test_definitions(self) -> None:
        """Functions, classes and what decorators make of them; values are none."""
        for definition in (Outer, located, math.sin, functools.lru_cache(located), T):
            self.assertTrue(is_definition(definition), definition)
        for value in (1, "x", Outer(), [], functools.partial(located)):
            self.assertFalse(is_definition(value), value)

    def test_where(self) -> None:
        """By the import that brought it, by its own name, or only here."""
        scope = Scope(globals(), __name__)
        self.assertEqual(where("Ordered", Ordered, scope), ("collections", "OrderedDict"))
        self.assertEqual(where("Short", Short, scope), (__name__, "Outer.Inner"))
        self.assertEqual(where("Outer", Outer, scope), (__name__, "Outer"))
        self.assertEqual(where("anything", lambda: 1, scope), (__name__, "anything"))

    def test_located(self) -> None:
        """The very thing, not one of its name."""
        self.assertTrue(located(Outer.Inner, __name__, "Outer.Inner"))
        self.assertFalse(located(Outer, __name__, "Outer.Inner"))
        self.assertFalse(located(Outer, "no_such_module", "Outer"))

    def test_known_by_name(self) -> None:
        """An entry without its payload is still being packed, and an import leads elsewhere."""
        self.assertTrue(Known(1, Constant("n", b"p"), "m").is_named)
        self.assertFalse(Known(1, Constant("n", b""), "m").is_named)
        self.assertFalse(Known(1, Import("n", "m", ""), "m").is_named)
