"""The names of typing without typing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import unittest

from dispytw.lighttyping import NamedTuple, Protocol

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Point(NamedTuple):
    """A point."""

    x: int
    y: int = 0

    def mirrored(self) -> Point:
        """The other way round."""
        return self._replace(x=self.y, y=self.x)


class Walks(Protocol):
    """Something that walks."""

    def walk(self, steps: int) -> int:
        """So far."""


class NamedTuples(unittest.TestCase):
    """They are what those of typing are."""

    def test_fields(self) -> None:
        """By place and by name, with defaults and methods."""
        self.assertEqual((1, 0), Point(1))
        self.assertEqual(Point(2, 1), Point(x=1, y=2).mirrored())
        self.assertEqual(("x", "y"), Point._fields)
        self.assertEqual("Point(x=1, y=0)", repr(Point(1)))
        self.assertRaises(TypeError, Point)
        self.assertRaises(AttributeError, setattr, Point(1), "z", 1)

    def test_what_it_is_called(self) -> None:
        """It has its own name, module, and words on what it is; so it can be pickled."""
        self.assertEqual((__name__, "Point", "A point."), (Point.__module__, Point.__qualname__, Point.__doc__))
        copied = pickle.loads(pickle.dumps(Point(1, 2)))
        self.assertEqual((Point, Point(1, 2)), (type(copied), copied))

    def test_a_protocol(self) -> None:
        """Is a class that others may be written after."""

        class Walker(Walks):
            def walk(self, steps: int) -> int:
                return steps

        self.assertEqual(3, Walker().walk(3))


class Light(unittest.TestCase):
    """What it is for."""

    def test_typing_is_not_loaded(self) -> None:
        """Neither by it nor by the front door; ``-S`` as a site may load anything."""
        code = "import dispytw, dispytw.lighttyping, sys; sys.exit('typing' in sys.modules)"
        subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, check=True, timeout=60)
