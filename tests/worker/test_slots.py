"""A slot hears its worker, and only its present one."""

from __future__ import annotations

import shutil
import tempfile
import unittest

from dispytw.values import Attempt
from dispytw.wire.frames import Started, encode
from dispytw.worker.slots import Slot

WORD = Started(Attempt(b"j" * 16, 1), 1.0)


class SlotTests(unittest.TestCase):
    """One slot, and this test as the worker."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.slot = Slot.open(directory)
        self.addCleanup(self.slot.close)

    def test_words_in_pieces(self) -> None:
        """A word is heard when it is whole."""
        said = encode(WORD)
        self.slot.theirs.sendall(said[:5])
        self.assertEqual(self.slot.hear(), [])
        self.slot.theirs.sendall(said[5:])
        self.assertEqual(self.slot.hear(), [WORD])

    def test_half_a_word_of_the_last_job(self) -> None:
        """After `renew` nothing of the last worker's is left."""
        self.slot.theirs.sendall(encode(WORD)[:5])
        self.slot.hear()
        self.slot.renew()
        self.slot.theirs.sendall(encode(WORD))
        self.assertEqual(self.slot.hear(), [WORD])

    def test_a_word_before_nonsense(self) -> None:
        """Is heard, though both have come at once."""
        self.slot.theirs.sendall(encode(WORD) + b"\xff" * 10)
        self.assertEqual(self.slot.hear(), [WORD])
        self.assertFalse(self.slot.sound)

    def test_nonsense(self) -> None:
        """A slot whose socket carried nonsense is not sound any more, and hears nothing."""
        self.slot.theirs.sendall(b"\xff" * 10)
        self.assertEqual(self.slot.hear(), [])
        self.assertFalse(self.slot.sound)
        self.assertEqual(self.slot.hear(), [])
