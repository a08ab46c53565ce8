"""What a supervisor has to tell its daemon, gathered while there is work to go on with.

A word costs whoever hears it more than a short job takes. So as long as enough jobs wait here, ends are gathered for a moment, and leave
together; the daemon, and the client behind it, then think once for all of them. When what waits here runs low they leave at once, so that
no slot has to wait for its next job. A start is told a moment later: if the job has ended by then, its end is all that there is to tell.
"""

from __future__ import annotations

import attrs

from dispytw.values import Attempt
from dispytw.wire.frames import Ended, Frame, Started

#: Seconds for which starts and ends are gathered at most, and how many of them.
GATHERING, MOST = 0.03, 64


@attrs.define
class Gathering:
    """Words that have not left yet."""

    _ended: list[Frame] = attrs.field(factory=list)
    _started: dict[Attempt, Frame] = attrs.field(factory=dict)
    _since: float | None = None
    _urgent: bool = False

    def add(self, frame: Frame, now: float) -> None:
        """One word more, at this monotonic time.

        Those that are neither starts nor ends let everything leave, themselves last.
        """
        if isinstance(frame, Started):
            self._started[frame.attempt] = frame
        else:
            if not isinstance(frame, Ended):
                self._urgent = True
            elif not self._urgent:  # otherwise what leaves may be about this start
                self._started.pop(frame.attempt, None)
            self._ended.append(frame)
        if self._since is None:
            self._since = now

    def wait(self, now: float) -> float | None:
        """Seconds until what is here has to leave, None when there is nothing."""
        if self._since is None:
            return None
        return max(0.0, self._since + GATHERING - now)

    def take(self, now: float, low: bool) -> list[Frame]:
        """What leaves now.

        :param low: whether little work is left here: then no end waits.
        """
        if self._since is None:
            return []
        if self._urgent or len(self._ended) >= MOST or now >= self._since + GATHERING:
            return self._all()
        if not low or not self._ended:
            return []
        leaving, self._ended = self._ended, []
        if not self._started:
            self._since = None
        return leaving

    def clear(self) -> None:
        """Nobody is there to be told."""
        self._all()

    def _all(self) -> list[Frame]:
        leaving = [*self._started.values(), *self._ended]
        self._ended, self._since, self._urgent = [], None, False
        self._started.clear()
        return leaving
