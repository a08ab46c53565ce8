"""A program is killed a hundred times, at moments that a seed chooses, and every job comes home, once."""

from __future__ import annotations

import random
import unittest
from collections import Counter

from tests.functional.campaigns import campaign
from tests.functional.daemons import Daemons
from tests.functional.killing import MOMENTS, Found, Killing

#: Seconds by which the writing of a delivery may lag behind it.
LATE = 0.1


@campaign
class ClientKilled(unittest.TestCase):
    """Kills in turn at each of the moments."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=900)
        self.killing = Killing(self, self.daemons, self.daemons.node("--cpus", "2"), LATE)
        self.kills: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        print()

    def say(self, seed: int, moment: str, found: Found) -> None:
        """A line for one kill."""
        self.kills[moment] += 1
        self.met["jobs running"] += bool(set(found.started) - found.called)
        late = max(found.late.values(), default=0.0)
        print(
            f"seed {seed:3}, {moment}: {len(found.started)} started, {len(found.called)} called back, {len(found.recovered)} recovered, "
            f"{len(found.late)} both (delivered at most {1000 * late:.0f} ms before)",
            flush=True,
        )

    def tearDown(self) -> None:
        print(f"kills: {dict(self.kills)}; of these {dict(self.met)}")

    def test_killed(self) -> None:
        """Forty times: whatever has started comes home or was called back."""
        for seed in range(40):
            moment = MOMENTS[seed % 4]
            directory = self.killing.kill(moment, seed)
            self.say(seed, moment, self.killing.check(directory, self.killing.recover(directory)))

    def test_recovering_is_killed_too(self) -> None:
        """Thirty times, and begun again: nothing is missed, and nothing comes twice."""
        for seed in range(100, 130):
            moment = MOMENTS[seed % 4]
            directory = self.killing.kill(moment, seed)
            found = self.killing.recover_killed(directory, random.Random(seed))
            self.say(seed, moment, self.killing.check(directory, found))

    def test_the_node_is_killed_too(self) -> None:
        """Thirty times the node's daemon is killed in between, and started again."""
        for seed in range(200, 230):
            moment = MOMENTS[seed % 4]
            directory = self.killing.kill(moment, seed)
            node = self.killing.node
            node.kill()
            self.killing.node = self.daemons.node("--cpus", "2", port=node.port, state_dir=node.state_dir)
            self.say(seed, moment, self.killing.check(directory, self.killing.recover(directory)))
