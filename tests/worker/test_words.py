"""A worker's last word arrives whole, once, or not at all."""

from __future__ import annotations

import os
import unittest

from dispytw.values import ERROR_LIMIT, INLINE_LIMIT, Inline, Stored
from dispytw.worker.tracebacks import shortened
from dispytw.worker.words import RAISED, RETURNED, STORED, Raised, Returned, Word, raised, stored_size


class WordTests(unittest.TestCase):
    """One room for words, and what is left in it."""

    def setUp(self) -> None:
        self.word = Word()

    def test_each_kind(self) -> None:
        """Is what was left, and is taken once."""
        longest = bytes(range(256)) * (INLINE_LIMIT // 256)
        text = shortened("\U0001f600" * 100_000)
        for kind, content, said in (
            (RETURNED, b"", Returned(Inline(b""))),
            (RETURNED, longest, Returned(Inline(longest))),
            (STORED, stored_size(1 << 40), Returned(Stored("/there", 1 << 40))),
            (RAISED, raised(text, b""), Raised(text)),
            (RAISED, raised("ValueError: x", b"p."), Raised("ValueError: x", b"p.")),
            (RAISED, raised("", b"e" * ERROR_LIMIT), Raised("", b"e" * ERROR_LIMIT)),
            (RAISED, raised(text, b"e" * ERROR_LIMIT), Raised(text)),  # no room for both: the text is what always comes home
        ):
            with self.subTest(kind=kind, size=len(content)):
                self.word.leave(kind, content)
                self.assertEqual(said, self.word.take("/there"))
                self.assertIsNone(self.word.take("/there"))

    def test_by_a_child(self) -> None:
        """It is left by one process and taken by another."""
        pid = os.fork()
        if pid == 0:
            self.word.leave(RETURNED, b"from the child")
            os._exit(0)
        os.waitpid(pid, 0)
        self.assertEqual(Returned(Inline(b"from the child")), self.word.take(""))

    def test_nonsense(self) -> None:
        """Is no word, whatever it is."""
        for kind, content in ((9, b"x"), (STORED, b"short"), (RAISED, b"len"), (RAISED, raised("", b"e" * (ERROR_LIMIT + 1)))):
            with self.subTest(kind=kind):
                self.word.leave(kind, content)
                self.assertIsNone(self.word.take(""))
        self.word._memory[:5] = b"\x01\xff\xff\xff\xff"  # a length that cannot be
        taken = self.word.take("")
        assert isinstance(taken, Returned)
        self.assertLess(taken.result.size, 1 << 20)
