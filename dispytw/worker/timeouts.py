"""Limits to the time that jobs may take: counted from their start here, enforced by the steps of a cancel.

What a job ends with then is Terminated, and says why; one that catches the KeyboardInterrupt and returns has finished, as after a cancel. A
cancel that came before the time was over is a cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

import attrs

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt
from dispytw.wire.frames import Cancel, Ended, Frame, GivenBack, Start, Started
from dispytw.worker.timers import Timers


@attrs.define(eq=False)
class Timeouts:
    """Listens to what the daemon says and is told.

    :param cancel: begins to end an attempt.
    """

    timers: Timers
    cancel: Callable[[Attempt], None]
    _limits: dict[Attempt, float] = attrs.field(factory=dict)
    _due: dict[Attempt, float] = attrs.field(factory=dict)
    _overdue: set[Attempt] = attrs.field(factory=set)
    _looking: float = math.inf

    def received(self, frame: Frame) -> None:
        """Something has come from the daemon, and is about to be done."""
        if isinstance(frame, Start) and frame.timeout is not None:
            self._limits[frame.attempt] = frame.timeout
        elif isinstance(frame, Cancel) and frame.attempt not in self._overdue:
            self._forget(frame.attempt)

    def told(self, frame: Frame) -> Frame:
        """Something is about to be told to the daemon; what is told in its place."""
        if not self._limits:
            return frame
        if isinstance(frame, Started) and frame.attempt in self._limits:
            self._due[frame.attempt] = monotonic() + self._limits[frame.attempt]
            self._look_at(self._due[frame.attempt])
        elif isinstance(frame, Ended) and frame.attempt in self._limits:
            return self._ended(frame)
        elif isinstance(frame, GivenBack):
            for attempt in frame.attempts:
                self._forget(attempt)
        return frame

    def _ended(self, frame: Ended) -> Ended:
        attempt, outcome = frame.attempt, frame.outcome
        seconds, overdue = self._limits[attempt], attempt in self._overdue
        self._forget(attempt)
        self._overdue.discard(attempt)
        if overdue and outcome.status == CANCELLED:
            text = f"TimeoutError: it ran longer than its timeout of {seconds:g} s"
            exception = f"{outcome.exception.rstrip()}\n{text}" if outcome.exception else text
            outcome = attrs.evolve(outcome, status=TERMINATED, exception=exception, reason=f"timed out after {seconds:g} s")
        elif overdue and outcome.status == FINISHED:
            outcome = attrs.evolve(outcome, reason=f"returned when its timeout of {seconds:g} s was over")
        return Ended(attempt, outcome)

    def _forget(self, attempt: Attempt) -> None:
        self._limits.pop(attempt, None)
        self._due.pop(attempt, None)

    def _look_at(self, due: float) -> None:
        if due < self._looking:
            self._looking = due
            self.timers.after(max(0.0, due - monotonic()), self._look)

    def _look(self) -> None:
        now = monotonic()
        self._looking = math.inf
        for attempt in [each for each, due in self._due.items() if due <= now]:
            del self._due[attempt]
            self._overdue.add(attempt)
            self.cancel(attempt)
        if self._due:
            self._look_at(min(self._due.values()))
