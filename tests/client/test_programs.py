"""Arguments of programs: whatever a command line can hold arrives, and nothing else is sent."""

from __future__ import annotations

import os
import pathlib
import unittest

from hypothesis import example, given
from hypothesis import strategies as st

from dispytw.client.programs import pack_strings
from dispytw.worker import performer


def arrived(*args: object) -> list[bytes]:
    """The arguments as a program gets them from a worker."""
    return [os.fsencode(each) for each in performer._strings(pack_strings(args, {}))]


class Packing(unittest.TestCase):
    """What is sent."""

    @given(st.lists(st.binary(max_size=20), max_size=5))
    @example([b"\xff/caf\xe9"])
    def test_any_bytes(self, arguments: list[bytes]) -> None:
        """Names of files that are no text arrive byte for byte, as os.listdir gave them."""
        self.assertEqual(arguments, arrived(*map(os.fsdecode, arguments)))

    def test_numbers_and_paths(self) -> None:
        """Numbers and paths go as their text."""
        self.assertEqual([b"1", b"-2.5", b"a/b", b""], arrived(1, -2.5, pathlib.Path("a") / "b", ""))

    def test_what_is_no_string(self) -> None:
        """Anything else raises TypeError, which says which argument it was."""
        for wrong in (None, b"bytes", ["list"], object()):
            with self.assertRaisesRegex(TypeError, "^submit: argument 2 of a program must be a string, not "):
                pack_strings(("fine", wrong), {})

    def test_keywords(self) -> None:
        """A program takes no keyword arguments; they are named."""
        with self.assertRaisesRegex(TypeError, "no keyword arguments, but size, way came"):
            pack_strings(("a",), {"way": 1, "size": 2})
