"""The checkout as Twisted's plugin system sees it. What an installed wheel does is tried by the tox environments pkg and pkg-editable."""

from __future__ import annotations

import sys
import unittest

from tests.functional.daemons import Daemons


class Twistd(unittest.TestCase):
    """twistd, with our directory on the path."""

    def test_lists_dispynode(self) -> None:
        """`twistd --help` knows dispynode, and says what it is."""
        done = Daemons(self).run([sys.executable, "-m", "twisted", "--help"])
        self.assertEqual(0, done.code, done)
        self.assertRegex(done.out, r"dispynode +Runs jobs sent by dispytw")
