"""dask.distributed: two processes of one thread each, TCP on 127.0.0.1 without TLS, no dashboard. Its scheduler lives in the client."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import SLOTS, Batch
from benchmarks.work import same


class DaskCluster:
    """A LocalCluster and its client."""

    def __init__(self) -> None:
        self._cluster: Any = None
        self._client: Any = None
        self._queued: list[Any] = []

    def start(self) -> None:
        import distributed

        self._cluster = distributed.LocalCluster(
            n_workers=SLOTS, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        )
        self._client = distributed.Client(self._cluster)
        self.run(range(SLOTS))

    def run(self, arguments: Sequence[Any]) -> Batch:
        began = time.perf_counter()
        bulky = isinstance(arguments[0], bytes)
        if bulky:
            # Straight to the workers: two to three times as fast as bytes among a job's arguments, of which dask warns.
            arguments = self._client.scatter(arguments, hash=False, direct=True)
        results = self._client.gather([self._submit(argument) for argument in arguments], direct=bulky or None)
        return Batch(results, time.perf_counter() - began)

    def one(self, argument: Any) -> Any:
        return self._submit(argument).result()

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self._queued.append(self._submit(argument, seconds))

    def _submit(self, argument: Any, seconds: float = 0.0) -> Any:
        # pure: else equal arguments would be one job.
        return self._client.submit(same, argument, seconds, pure=False)

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()
