"""What running jobs write, for somebody who follows it: looked at as often as the captures are, and only for whom it was asked."""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs

from dispytw.values import Attempt
from dispytw.wire.frames import Frame
from dispytw.wire.jobframes import PIECE, Follow, Wrote
from dispytw.worker.capture import Capture
from dispytw.worker.timers import Timers

#: Seconds between two looks.
LOOK = 0.1


@attrs.define(eq=False)
class Follower:
    """Follows the outputs of one supervisor's jobs.

    :param tell: takes the frames meant for the daemon.
    :param is_here: whether an attempt runs or waits here.
    :param capture: the capture of one output of a running attempt; None while it does not run.
    :param is_running: whether an attempt still runs, after a look at what its worker has said.
    """

    tell: Callable[[Frame], None]
    timers: Timers
    is_here: Callable[[Attempt], bool]
    capture: Callable[[Attempt, bool], Capture | None]
    is_running: Callable[[Attempt], bool]
    _wanted: dict[tuple[Attempt, bool], int] = attrs.field(factory=dict)
    _looking: bool = False

    def follow(self, wanted: Follow) -> None:
        """Somebody wants to know what comes next; asked anew, it is from the new position."""
        if self.is_here(wanted.attempt):
            self._wanted[wanted.attempt, wanted.is_stderr] = wanted.position
            self._look_soon()

    def ended(self, attempt: Attempt) -> None:
        """What an attempt has written comes with its outcome."""
        if self._wanted:
            self._wanted.pop((attempt, False), None)
            self._wanted.pop((attempt, True), None)

    def daemon_lost(self) -> None:
        """Whoever wants to follow says so to the next one."""
        self._wanted.clear()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self.timers.after(LOOK, self._look)

    def _look(self) -> None:
        self._looking = False
        for (attempt, is_stderr), position in list(self._wanted.items()):
            data = self._written(attempt, is_stderr, position)
            # A kept worker goes on to its next job by itself, but says so before: what was read until then is this one's.
            if data and self.is_running(attempt):
                self._wanted.pop((attempt, is_stderr), None)
                self.tell(Wrote(attempt, is_stderr, position, data))
        if self._wanted:
            self._look_soon()

    def _written(self, attempt: Attempt, is_stderr: bool, position: int) -> bytes:
        capture = self.capture(attempt, is_stderr)
        if capture is None:
            return b""
        room = min(PIECE, capture.cap - position)
        return os.pread(capture.descriptor, room, position) if room > 0 else b""
