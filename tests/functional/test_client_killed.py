"""A program is killed, and its jobs come home. Few kills here; a hundred in tests/functional/campaigns/test_client_killed.py."""

from __future__ import annotations

import random
import unittest

from tests.functional.daemons import Daemons
from tests.functional.killing import BEFORE, IN_CALLBACK, RUNNING, UNACKNOWLEDGED, Killing

EVERY_PYTHON = False

#: Seconds by which the writing of deliveries may be late on a machine that has other things to do; the campaign is stricter.
LATE = 1.0


class ClientKilled(unittest.TestCase):
    """Each at one moment."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        node = self.daemons.node("--cpus", "2")
        self.killing = Killing(self, self.daemons, node, LATE)

    def test_while_jobs_run(self) -> None:
        """Jobs that run go on, and come home with the last id that they had."""
        directory = self.killing.kill(RUNNING, 1)
        found = self.killing.check(directory, self.killing.recover(directory))
        self.assertTrue(found.started and found.recovered, found)

    def test_before_outcomes_were_kept(self) -> None:
        """Outcomes that the program had and had not written down are told again; killed in its midst, recovering begins anew."""
        directory = self.killing.kill(UNACKNOWLEDGED, 2)
        recovered = self.killing.recover_killed(directory, random.Random(1))
        self.assertTrue(self.killing.check(directory, recovered).recovered)

    def test_in_a_callback(self) -> None:
        """The job whose callback had not returned comes home."""
        directory = self.killing.kill(IN_CALLBACK, 3)
        found = self.killing.check(directory, self.killing.recover(directory))
        self.assertTrue(found.recovered, found)

    def test_at_the_beginning(self) -> None:
        """Jobs that were not sent are absent, or Cancelled and 'never sent'."""
        directory = self.killing.kill(BEFORE, 4)
        self.killing.check(directory, self.killing.recover(directory))
