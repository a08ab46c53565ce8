"""What a supervisor has to tell its daemon, gathered while there is work to go on with.

A word costs whoever hears it more than a short job takes. So as long as enough jobs wait here, ends are gathered for a moment, and leave
together; the daemon, and the client behind it, then think once for all of them. The shorter the jobs, the more there is to gather: where
only few have ended after a moment, they leave; many are waited for a little longer. When no more jobs wait here than have ended, the ends
leave at once, so that no slot has to wait for its next job.

A start is told when its job has run for a moment: of one that has ended by then, its end is all that there is to tell.
"""

from __future__ import annotations

import attrs

from dispytw.values import Attempt
from dispytw.wire.frames import Ended, Frame, Started

#: Seconds after which a start is told, and ends if they are few; seconds after which ends are told in any case.
GATHERING, LONGEST = 0.03, 0.1
#: How many ends are few, and how many are told at once.
FEW, MOST = 8, 128


@attrs.define
class Gathering:
    """Words that have not left yet."""

    _ended: list[Frame] = attrs.field(factory=list)
    _started: dict[Attempt, tuple[Frame, float]] = attrs.field(factory=dict)
    _since: float = 0.0
    _urgent: bool = False

    def __len__(self) -> int:
        """How many ends have not left."""
        return len(self._ended)

    def add(self, frame: Frame, now: float) -> None:
        """One word more, at this monotonic time.

        Those that are neither starts nor ends let everything leave, themselves last.
        """
        if isinstance(frame, Started):
            self._started[frame.attempt] = frame, now
            return
        if not isinstance(frame, Ended):
            self._urgent = True
        elif not self._urgent:  # otherwise what leaves may be about this start
            self._started.pop(frame.attempt, None)
        if not self._ended:
            self._since = now
        self._ended.append(frame)

    def wait(self, now: float) -> float | None:
        """Seconds until something of this has to leave, None when there is nothing."""
        due = self._due()
        return None if due is None else max(0.0, due - now)

    def take(self, now: float, low: bool) -> list[Frame]:
        """What leaves now.

        :param low: whether little work is left here: then no end waits.
        """
        due = self._due()
        if due is None:
            return []
        if self._urgent:
            return self._all()
        if now < due and not (self._ended and (low or len(self._ended) >= MOST)):
            return []
        started = [attempt for attempt, (_, came) in self._started.items() if now >= came + GATHERING]
        leaving = [self._started.pop(attempt)[0] for attempt in started] + self._ended
        self._ended = []
        return leaving

    def clear(self) -> None:
        """Nobody is there to be told."""
        self._all()

    def _due(self) -> float | None:
        """When something has to leave: the starts are in the order in which they came."""
        dues = [came + GATHERING for _, came in self._started.values()][:1]
        if self._ended:
            dues.append(self._since + (GATHERING if len(self._ended) < FEW else LONGEST))
        return min(dues, default=None)

    def _all(self) -> list[Frame]:
        leaving = [*(frame for frame, _ in self._started.values()), *self._ended]
        self._ended, self._urgent = [], False
        self._started.clear()
        return leaving
