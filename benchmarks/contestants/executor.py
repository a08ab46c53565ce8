"""concurrent.futures.ProcessPoolExecutor: pipes instead of a network, no encryption, nobody else's machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import SLOTS, Batch
from benchmarks.work import same


class Executor:
    """An executor with two processes, which are kept."""

    def __init__(self) -> None:
        self._executor: Any = None
        self._queued: list[Any] = []

    def start(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self._executor = ProcessPoolExecutor(SLOTS)
        self.run(range(SLOTS))

    def run(self, arguments: Sequence[Any]) -> Batch:
        began = time.perf_counter()
        results = list(self._executor.map(same, arguments, chunksize=1))
        return Batch(results, time.perf_counter() - began)

    def one(self, argument: Any) -> Any:
        return self._executor.submit(same, argument).result()

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self._queued.append(self._executor.submit(same, argument, seconds))

    def stop(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
