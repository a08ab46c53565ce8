"""What a collection holds, asked directly; whole programs are in test_depends and test_namespace."""

from __future__ import annotations

import math
from typing import Any
from unittest import TestCase

from dispytw.client.collecting import Collection
from dispytw.client.sources import MAIN
from dispytw.errors import ShippingError
from dispytw.wire.bundle import Constant, Entry, Source

EVERY_PYTHON = True

LEVELS = [1, 2]


class Shape:
    """A class."""

    levels = LEVELS


def area(shape: Any) -> Any:
    return isinstance(shape, Shape) and math.pi and unknown_name  # type: ignore[name-defined]  # noqa: F821


def collected(*things: Any, **options: Any) -> Collection:
    collection = Collection(homes=MAIN | {__name__}, **options)
    for thing in things:
        collection.give(thing)
    collection.follow()
    return collection


def names(collection: Collection) -> list[str]:
    return [entry.name for entry in collection.entries()]


class Collecting(TestCase):
    """From names to entries."""

    def test_transitively(self) -> None:
        """Everything that is referred to, in an order in which it can be defined; unknown names are told apart."""
        collection = collected(area)
        self.assertEqual(names(collection), ["LEVELS", "area", "Shape", "math"])
        self.assertEqual(collection.wanted, {"unknown_name"})
        self.assertIsNone(collection.python)

    def test_functions_called(self) -> None:
        """One with a source is called by its name; a lambda comes as a payload."""
        collection = collected()
        self.assertEqual(collection.called(area).name, "area")
        role = collection.called(lambda: area)
        self.assertEqual((role.name, role.function[:1]), ("", b"d"))
        self.assertIsNotNone(collection.python)
        self.assertEqual(collection.called(Shape, "area").name, "Shape.area")

    def test_pickler_asks(self) -> None:
        """A class is found by name from the moment it is collected; one made here is not."""

        class Local:
            pass

        collection = collected()
        self.assertTrue(collection.finds(Shape))
        self.assertIn("Shape", names(collection))
        self.assertTrue(collection.finds(dict))
        self.assertFalse(collection.finds(Local))
        self.assertFalse(collection.finds(lambda: 1))

    def test_on_top_of_another(self) -> None:
        """What the base has is not collected again, but it counts as taken."""
        base = collected(Shape)
        later = collected(area, base=base)
        self.assertEqual(names(later), ["area", "math"])

        with self.assertRaisesRegex(ShippingError, "'Shape' means two things"):
            collected(type("Shape", (), {}), base=base)

    def test_instead_of_what_the_base_has(self) -> None:
        """A name that overrides is collected anew; all others stay the base's."""
        base = collected(area, Shape)
        Other = type("Shape", (), {"__module__": __name__})
        later = collected(Other, base=base, explicit={"Shape": Other}, overriding=frozenset({"Shape"}))
        self.assertEqual(["Shape"], names(later))
        self.assertEqual(([], 0), (names(collected(Shape, base=base)), later.initial))

    def test_by_value(self) -> None:
        """A class made at run time is packed, where it was given by name."""
        Made = type("Made", (), {"__module__": __name__})
        (entry,) = collected(Made).entries()
        assert isinstance(entry, Constant)
        self.assertEqual((entry.name, entry.payload[:1]), ("Made", b"d"))

    def test_entries_are_of_this_module(self) -> None:
        """A definition says where it belongs."""
        entries: dict[str, Entry] = {entry.name: entry for entry in collected(Shape).entries()}
        shape = entries["Shape"]
        assert isinstance(shape, Source)
        self.assertEqual((shape.module, shape.filename), (__name__, __file__))
