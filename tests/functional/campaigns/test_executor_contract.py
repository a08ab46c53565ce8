"""All of CPython's contract of executors."""

from __future__ import annotations

import unittest

from tests.functional.campaigns import campaign
from tests.functional.daemons import Daemons
from tests.functional.test_executor import CONTRACT


@campaign
class Contract(unittest.TestCase):
    """tests/functional/contract.py, whole. Which names of CPython's are in it: tests/client/test_executor.py."""

    def test_all_of_it(self) -> None:
        """Every test passes, and nothing is left on the node."""
        daemons = Daemons(self, seconds=120)
        done = daemons.program(CONTRACT, daemons.node("--cpus", "2").address)
        self.assertEqual(0, done.code, done)
        self.assertGreater(len(set(done.out.split())), 70)
