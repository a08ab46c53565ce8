"""multiprocessing.Pool: pipes instead of a network, no encryption, nobody else's machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import SLOTS, Batch
from benchmarks.work import same


class WorkerPool:
    """A pool of two processes.

    :param jobs_per_process: 1 for a new process for each job, None to keep them.
    """

    def __init__(self, jobs_per_process: int | None) -> None:
        self._jobs_per_process = jobs_per_process
        self._pool: Any = None
        self._queued: list[Any] = []

    def start(self) -> None:
        import multiprocessing

        self._pool = multiprocessing.Pool(SLOTS, maxtasksperchild=self._jobs_per_process)
        self.one(0)

    def run(self, arguments: Sequence[Any]) -> Batch:
        began = time.perf_counter()
        results = list(self._pool.imap(same, arguments))  # faster than map with a chunk size of one
        return Batch(results, time.perf_counter() - began)

    def one(self, argument: Any) -> Any:
        return self._pool.apply(same, (argument,))

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self._queued.append(self._pool.apply_async(same, (argument, seconds)))

    def stop(self) -> None:
        self._pool.terminate()
        self._pool.join()
