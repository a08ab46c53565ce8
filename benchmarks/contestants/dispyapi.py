"""dispy's API, which two contestants share: the same lines drive dispy and dispytw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import LOST, Batch

#: Seconds in which no job at all ends, after which those that are left count as lost: for small arguments, and for big ones.
STALLED, STALLED_BULK = 1.0, 10.0
#: Seconds between two looks at how many have ended.
LOOK = 0.25


class DispyApi:
    """Submits to a cluster. Who inherits it makes the cluster in `start`."""

    def __init__(self) -> None:
        self.cluster: Any = None
        self._queued: list[Any] = []

    def run(self, arguments: Sequence[Any]) -> Batch:
        began, clock = time.time(), time.perf_counter()
        jobs = [self.cluster.submit(argument) for argument in arguments]
        complete = _wait_for(jobs, STALLED_BULK if isinstance(arguments[0], bytes) else STALLED)
        results = [job.result if job.finish.is_set() and job.status == job.Finished else LOST for job in jobs]
        seconds = time.perf_counter() - clock
        if not complete:  # not the time that was spent waiting for what never came
            seconds = max((job.end_time - began for job in jobs if job.finish.is_set() and job.end_time), default=seconds)
        return Batch(results, seconds)

    def one(self, argument: Any) -> Any:
        return self.cluster.submit(argument)()

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self._queued.append(self.cluster.submit(argument, seconds))

    def stop(self) -> None:
        self.cluster.close(timeout=2, terminate=True)


def _wait_for(jobs: list[Any], patience: float) -> bool:
    """Wait until all have ended, or none has for so many seconds; whether all have."""
    ended, since = 0, time.monotonic()
    for job in jobs:
        while not job.finish.wait(LOOK):
            before, ended = ended, sum(other.finish.is_set() for other in jobs)
            if ended != before:
                since = time.monotonic()
            elif time.monotonic() - since > patience:
                return False
    return True
