"""How fast the jobs of a supervisor are, and what follows from that.

How many a server is given ahead, how often it has to be heard, and how many jobs are few: by the time more have come, they are done.
"""

from __future__ import annotations

import attrs

#: How much of what is known each new job replaces, and seconds below which no job is taken to be.
_LEARNING, _SHORTEST = 0.1, 1e-5
#: Seconds of work that a server may have waiting in its queue, and at most how many jobs that is.
AHEAD, MOST_AHEAD = 0.03, 64
#: Of that, how much a server may do without being heard; for how many seconds at most and at least; and with how many jobs at least.
EASE, LONGEST_EASE, SHORTEST_EASE, FEWEST_AT_EASE = 1 / 3, 0.01, 0.001, 4
#: Seconds until more jobs have come, once it is known that they may; and bounds to how many jobs of one server that is.
WAY, FEWEST, MOST_FEW = 0.01, 2, 50


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
        ease = EASE * fewest * self.mean
        return min(LONGEST_EASE, ease) if fewest >= FEWEST_AT_EASE and ease >= SHORTEST_EASE else 0.0

    @property
    def few(self) -> int:
        """How many jobs of a server are done before more can have come."""
        return max(FEWEST, min(MOST_FEW, int(WAY / self.mean)))
