"""Nothing is written for a cluster that wants no recover file."""

from __future__ import annotations

import unittest

from dispytw.client.keeping import Keeping, NoFile
from dispytw.client.remains import Place
from dispytw.values import CANCELLED, Attempt, Outcome


class NoFileTests(unittest.TestCase):
    """What stands in the file's place."""

    def test_nothing_is_held_up(self) -> None:
        """Everything may leave, nodes may forget at once, and nothing has to be removed."""
        file: Keeping = NoFile()
        self.assertIsNone(file.path)
        self.assertTrue(file.leaving(Place(b"n" * 16, "host", 1, None, False), 1, [(Attempt(b"j" * 16, 1), 5)]))
        file.identified(b"j" * 16, "id")
        file.ended(b"j" * 16, None, Outcome(CANCELLED))
        file.delivered(b"j" * 16)
        self.assertEqual((None, None), (file.kept(), file.flush()))
        file.leave()
        file.remove()
