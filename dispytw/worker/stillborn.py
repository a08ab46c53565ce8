"""Servers that end before they have taken a job: now and then that is an accident, and another one takes what was meant for them. When it
happens again and again, each try takes a job with it, which tells why; otherwise there would be tries without end.
"""

from __future__ import annotations

import time

import attrs

from dispytw.values import TERMINATED, Outcome
from dispytw.worker.ending import judge
from dispytw.worker.forker import TAIL
from dispytw.worker.slots import Slot

#: How many in a row are no accident any more.
TOO_MANY = 3


@attrs.define
class Stillborn:
    """Counts those of one supervisor.

    :ivar count: how many there were in a row; whoever hears of one that has taken a job sets it to 0.
    """

    count: int = 0

    def ended(self, slot: Slot, wait_status: int) -> Outcome | None:
        """One more has ended; returns how a job ends for which there is no server. What it has written is for nobody else to see.

        :param wait_status: as `os.waitpid` gives it.
        """
        self.count += 1
        tail = slot.stderr.tail(TAIL).decode("utf-8", "replace")
        for capture in (slot.stdout, slot.stderr):
            capture.clear()
        if self.count < TOO_MANY:
            return None
        death = judge(None, wait_status, cancelled=False, program=False, stderr_tail=tail)
        exception, reason = f"no process could be made ready for the job: {death.exception}", "its process could not be started"
        return Outcome(TERMINATED, exception=exception, ended=time.time(), reason=reason, error=death.error)
