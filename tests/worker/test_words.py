"""A worker's last word arrives whole, once, or not at all."""

from __future__ import annotations

import os
import unittest

from dispytw.values import ERROR_LIMIT, INLINE_LIMIT, Inline, Stored
from dispytw.worker.ending import Raised, Returned, opened_word
from dispytw.worker.tracebacks import shortened
from dispytw.worker.words import HEAD, NONE, RAISED, RETURNED, STORED, Word, raised, stored_size


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
                taken = self.word.take()
                self.assertEqual((kind, content), taken)
                self.assertEqual(said, opened_word(*taken, "/there"))
                self.assertEqual(NONE, self.word.take()[0])

    def test_by_a_child(self) -> None:
        """It is left by one process and taken by another."""
        pid = os.fork()
        if pid == 0:
            self.word.leave(RETURNED, b"from the child")
            os._exit(0)
        os.waitpid(pid, 0)
        self.assertEqual((RETURNED, b"from the child"), self.word.take())

    def test_half_a_word(self) -> None:
        """What kind it is stands there last: a worker that dies before has said nothing."""
        self.word.memory[HEAD.size : HEAD.size + 4] = b"half"
        self.assertEqual(NONE, self.word.take()[0])

    def test_a_length_that_cannot_be(self) -> None:
        """A job has written to that memory: nobody reads beyond it."""
        self.word.memory[: HEAD.size] = HEAD.pack(RETURNED, 0xFFFFFFFF)
        kind, content = self.word.take()
        self.assertEqual((RETURNED, len(self.word.memory) - HEAD.size), (kind, len(content)))
