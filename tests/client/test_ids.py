"""Ids that programs give their jobs."""

from __future__ import annotations

import collections
import threading
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dispytw.client.ids import opened_id, packed_id
from dispytw.client.remains import PACKED, PLAIN
from dispytw.errors import PayloadError
from tests.client.elsewhere import run_program

EVERY_PYTHON = True

Named = collections.namedtuple("Named", "x y")  # a class of a module that can be imported


class Ids(unittest.TestCase):
    """Anything that can be packed."""

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), lambda v: st.tuples(v, v), max_leaves=4))
    def test_there_and_back(self, value: Any) -> None:
        """It comes back as it was, of the same type."""
        again = opened_id(*packed_id(value))
        self.assertEqual((type(value), value), (type(again), again))

    def test_forms(self) -> None:
        """What most programs use needs no pickle."""
        for value in (None, 7, -(2**63), 1.5, "text", b"bytes", True):
            self.assertEqual((PLAIN, value), packed_id(value))
        for value in (2**63, (1, 2), [1], Named(1, 2)):
            self.assertEqual(PACKED, packed_id(value)[0])

    def test_classes(self) -> None:
        """What can be imported is found again."""
        self.assertEqual(Named(1, "y"), opened_id(*packed_id(Named(1, "y"))))

    def test_classes_of_the_program(self) -> None:
        """A class of the main file comes along: the program that recovers has another."""
        packing = """
            import sys
            from dispytw.client.ids import packed_id
            class Point:
                def __init__(self, x):
                    self.x = x
                def doubled(self):
                    return 2 * self.x
            sys.stdout.write(packed_id(Point(21))[1].hex())
        """
        packed = run_program({"program.py": packing})
        opening = f"from dispytw.client.ids import opened_id\nprint(opened_id('packed', bytes.fromhex('{packed}')).doubled())"
        self.assertEqual("42\n", run_program({"program.py": opening}))

    def test_what_cannot_be_packed(self) -> None:
        """Is an error."""
        with self.assertRaises(PayloadError):
            packed_id(threading.Lock())
