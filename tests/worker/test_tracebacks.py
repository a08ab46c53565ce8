"""Tracebacks for the user."""

from __future__ import annotations

import unittest

from dispytw.worker.tracebacks import shortened, text_of


class TracebacksTests(unittest.TestCase):
    """Text of errors."""

    def _text(self, error: BaseException) -> str:
        try:
            raise error
        except BaseException as raised:
            return text_of(raised)

    def test_the_users_frames(self) -> None:
        """The traceback names the line that raised."""
        text = self._text(ValueError("why"))
        self.assertIn("raise error", text)
        self.assertTrue(text.endswith("ValueError: why\n"))

    def test_text_that_is_no_utf8(self) -> None:
        """A lone surrogate, as file names have, becomes its escape."""
        self.assertIn("\\udcff", self._text(ValueError("\udcff")))

    def test_a_long_text_keeps_both_ends(self) -> None:
        """Its beginning and end are kept, and how much is missing is said; a short one is left alone."""
        self.assertEqual(shortened("short"), "short")
        text = shortened("a" + "x" * 100_000 + "z")
        self.assertLess(len(text), 50_000)
        self.assertTrue(text.startswith("a") and text.endswith("z"))
        self.assertIn("characters left out", text)
