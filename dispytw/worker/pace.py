"""How fast the jobs of a supervisor are, and what follows from that: how many a server is given ahead, and how often it has to be heard."""

from __future__ import annotations

import attrs

#: How much of what is known each new job replaces, and seconds below which no job is taken to be.
_LEARNING, _SHORTEST = 0.1, 1e-5
#: Seconds of work that a server may have waiting in its queue, and at most how many jobs that is.
AHEAD, MOST_AHEAD = 0.03, 64
#: Of that, how much a server may do without being heard; for how many seconds at most; and with how many jobs at least.
EASE, LONGEST_EASE, FEWEST_AT_EASE = 1 / 3, 0.01, 4


@attrs.define
class Pace:
    """What is known of how long jobs take.

    :ivar mean: seconds; at first, as long as nobody knows, too many.
    """

    mean: float = 1.0

    def ended(self, seconds: float) -> None:
        """A job has taken so long."""
        self.mean += _LEARNING * (max(_SHORTEST, seconds) - self.mean)

    @property
    def ahead(self) -> int:
        """How many jobs a server may be given besides the one that it runs."""
        return min(MOST_AHEAD, int(AHEAD / self.mean))

    def ease(self, fewest: int) -> float:
        """Seconds for which servers that have so many jobs in their queues, at least, need not be heard: none will run out of them."""
        return min(LONGEST_EASE, EASE * fewest * self.mean) if fewest >= FEWEST_AT_EASE else 0.0
