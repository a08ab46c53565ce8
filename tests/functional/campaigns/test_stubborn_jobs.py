"""A cancelled job that will not end is ended."""

from __future__ import annotations

import json
import unittest

from tests.functional.campaigns import campaign
from tests.functional.daemons import Daemons
from tests.functional.test_deaths import CANCELLED, FAMILY


@campaign
class StubbornJobs(unittest.TestCase):
    """Jobs that catch the KeyboardInterrupt of a cancel and go on."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node = self.daemons.node("--cpus", "1")

    def test_with_a_grandchild_in_its_own_session(self) -> None:
        """Within ten seconds nothing is left of it, not even a grandchild that called setsid and ignores SIGTERM."""
        done = self.daemons.program(FAMILY, self.node.address, "stubborn")
        self.assertEqual(0, done.code, done)
        told = json.loads(done.out)
        print(f"\na stubborn job and its family were gone {told['seconds']:.2f} s after the cancel")
        self.assertEqual((CANCELLED, []), (told["status"], told["left"]))
        self.assertLess(told["seconds"], 10)
