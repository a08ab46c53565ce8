"""The part of a supervisor that is about running jobs: what they say (`dispytw.worker.ear`), what they write (`dispytw.worker.following`).

It stands between those two, the jobs and the daemon, and knows what of it the daemon's absence or slowness costs: remarks wait, lines for
the log stand in the supervisor's own, and nothing is followed.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Protocol

from dispytw.values import Attempt
from dispytw.wire.frames import Frame, Setup
from dispytw.wire.jobframes import Answer, Follow, Limits, Logged
from dispytw.worker.capture import Capture
from dispytw.worker.daemonlink import DaemonConnection
from dispytw.worker.ear import Ear
from dispytw.worker.following import Follower
from dispytw.worker.timers import Timers
from dispytw.worker.voice import voice

#: Bytes that may wait for the daemon before lines for its log are not sent any more.
_MOST_UNSENT = 1024 * 1024


class SpeakingJobs(Protocol):
    """What is to be known of jobs; `dispytw.worker.jobs.Jobs` tells it."""

    def is_here(self, attempt: Attempt) -> bool:
        """Whether the attempt runs or waits here."""

    def is_running(self, attempt: Attempt) -> bool:
        """Whether it may speak, by what its server has said until now."""

    def capture(self, attempt: Attempt, is_stderr: bool) -> Capture | None:
        """One of its outputs; None while it does not run."""


class Hearing:
    """Hears the jobs of one supervisor.

    :param ear: a listening socket, and the path under which jobs find it.
    :param say: says something to the daemon that is there, after all that it was told before.
    """

    def __init__(
        self,
        ear: tuple[socket.socket, str],
        watch: Callable[[socket.socket, Callable[[], None]], None],
        unwatch: Callable[[socket.socket], None],
        timers: Timers,
        say: Callable[[Frame], None],
    ) -> None:
        self._say = say
        self.jobs: SpeakingJobs | None = None
        self.daemon: DaemonConnection | None = None
        listener, voice.ear = ear
        self._ear = Ear(listener, watch, unwatch, self._tell, self._is_running)
        self._follower = Follower(self._tell, timers, self._is_here, self._capture, self._is_running)

    def set_up(self, setup: Setup) -> None:
        """The computation is known."""

    def connected(self, daemon: DaemonConnection) -> None:
        """A daemon has come, and knows where the supervisor stands."""
        self.daemon = daemon
        for remark in self._ear.standing():
            daemon.send(remark)

    def daemon_lost(self) -> None:
        """It is gone."""
        self.daemon = None
        self._follower.daemon_lost()

    def received(self, frame: Frame) -> None:
        """The daemon says something that is about running jobs, or not."""
        if isinstance(frame, Answer):
            self._ear.answered(frame)
        elif isinstance(frame, Follow):
            self._follower.follow(frame)
        elif isinstance(frame, Limits):
            voice.max_file_size = frame.max_file_size

    def ended(self, attempt: Attempt) -> None:
        """A job has ended."""
        self._ear.ended(attempt)
        self._follower.ended(attempt)

    def _tell(self, frame: Frame) -> None:
        if self.daemon is not None and not (isinstance(frame, Logged) and self.daemon.unsent > _MOST_UNSENT):
            self._say(frame)
        elif isinstance(frame, Logged):
            print(f"job {frame.attempt}: {frame.text}", file=sys.stderr)

    def _is_here(self, attempt: Attempt) -> bool:
        return self.jobs is not None and self.jobs.is_here(attempt)

    def _is_running(self, attempt: Attempt) -> bool:
        return self.jobs is not None and self.jobs.is_running(attempt)

    def _capture(self, attempt: Attempt, is_stderr: bool) -> Capture | None:
        return self.jobs.capture(attempt, is_stderr) if self.jobs is not None else None
