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

    def warm_up(self) -> None:
        """Run a first job.

        :raises TimeoutError: when it gives no result.
        """
        if self.run([0]).results != [0]:
            raise TimeoutError("the first job gave no result")

    def run(self, arguments: Sequence[Any]) -> Batch:
        began, clock = time.time(), time.perf_counter()
        jobs = [self.cluster.submit(argument) for argument in arguments]
        complete = _wait_for(jobs, STALLED_BULK if isinstance(arguments[0], bytes) else STALLED)
        results = [_result(job) for job in jobs]
        seconds = time.perf_counter() - clock
        if not complete:  # not the time that was spent waiting for what never came
            seconds = max((job.end_time - began for job in jobs if _result(job) is not LOST), default=seconds)
        return Batch(results, seconds)

    def one(self, argument: Any) -> Any:
        job = self.cluster.submit(argument)
        return LOST if job is None else job()

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self._queued.append(self.cluster.submit(argument, seconds))

    def stop(self) -> None:
        self.cluster.close(timeout=2, terminate=True)


# dispy's submit returns None now and then, where a job should be: such a job has ended, without a result.


def _ended(job: Any) -> bool:
    return job is None or job.finish.is_set()


def _result(job: Any) -> Any:
    return job.result if job is not None and job.finish.is_set() and job.status == job.Finished else LOST


def _wait_for(jobs: list[Any], patience: float) -> bool:
    """Wait until all have ended, or none has for so many seconds; whether all have."""
    ended, since = 0, time.monotonic()
    for job in jobs:
        while job is not None and not job.finish.wait(LOOK):
            before, ended = ended, sum(map(_ended, jobs))
            if ended != before:
                since = time.monotonic()
            elif time.monotonic() - since > patience:
                return False
    return True
