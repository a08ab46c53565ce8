"""How a job that runs is cancelled: KeyboardInterrupt, then SIGTERM, then SIGKILL, a grace apart, each only while it still runs.

A forker takes all three as signals that name an attempt. A kept worker takes the first two so, and nothing can be named to SIGKILL: the
worker is stopped, heard, and killed only if the attempt still runs then.
"""

from __future__ import annotations

import os
import signal
from functools import partial

import attrs

from dispytw.values import Attempt
from dispytw.worker import tree
from dispytw.worker.forker import FORCE
from dispytw.worker.performer import NUDGE
from dispytw.worker.server import Server
from dispytw.worker.timers import Timers

#: Seconds after a cancel's SIGINT until it is made sure that the job has noticed, for the first time; each next wait is twice as long.
_INSIST = 0.02


@attrs.frozen
class Cancelling:
    """The steps of a cancel.

    :param grace: seconds between them.
    :param forks: whether servers are forkers.
    """

    timers: Timers
    grace: float
    forks: bool

    def begin(self, server: Server, attempt: Attempt) -> None:
        """Cancel the attempt that the server has begun; nothing where that was done before."""
        if server.cancelled == attempt:
            return
        server.cancelled = attempt
        self._signal(server, attempt, signal.SIGINT)
        self.timers.after(_INSIST, partial(self._insist, server, attempt, 2 * _INSIST))
        self.timers.after(self.grace, partial(self._terminate, server, attempt))

    def _terminate(self, server: Server, attempt: Attempt) -> None:
        """However late this comes, the job has the whole grace until the last step."""
        self._signal(server, attempt, signal.SIGTERM)
        last = partial(self._signal, server, attempt, FORCE) if self.forks else partial(self._stop, server, attempt)
        self.timers.after(self.grace, last)

    def _signal(self, server: Server, attempt: Attempt, signum: int) -> None:
        """A signal by name: the server ignores it if it has another job by then."""
        if server.runs(attempt):
            server.slot.name(attempt)
            os.kill(server.pid, signum)

    def _insist(self, server: Server, attempt: Attempt, wait: float) -> None:
        self._signal(server, attempt, NUDGE)
        if wait < self.grace:
            self.timers.after(wait, partial(self._insist, server, attempt, 2 * wait))

    def _stop(self, server: Server, attempt: Attempt) -> None:
        if server.runs(attempt):
            server.stopping = attempt
            os.kill(server.pid, signal.SIGSTOP)

    def stopped(self, server: Server) -> None:
        """The server has stopped as it was to, and everything that it said before has been heard."""
        attempt, server.stopping = server.stopping, None
        if server.running == attempt:
            tree.signal_group(server.pid, signal.SIGKILL)
            tree.kill(server.pid)
        else:
            os.kill(server.pid, signal.SIGCONT)
