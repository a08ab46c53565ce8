"""Things to do later, for a loop that sleeps in a selector."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from time import monotonic

import attrs


@attrs.define
class Timers:
    """A heap of calls by their time. There is no way to take one back: what is called looks whether it is still wanted."""

    _due: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    _order: itertools.count[int] = attrs.field(factory=itertools.count)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once, so many seconds from now."""
        heapq.heappush(self._due, (monotonic() + seconds, next(self._order), call))

    def wait(self) -> float | None:
        """Seconds until the next call is due, 0 if it is overdue, None if there is none."""
        return max(0.0, self._due[0][0] - monotonic()) if self._due else None

    def run(self) -> None:
        """Make the calls that are due now."""
        now = monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
