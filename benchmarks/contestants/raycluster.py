"""ray: two CPUs, workers kept, gRPC and shared memory on one machine. Its workers listen on all addresses, whatever it is told."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import SLOTS, Batch
from benchmarks.work import same


class RayCluster:
    """A ray of our own, in this directory."""

    def __init__(self) -> None:
        self._ray: Any = None
        self._same: Any = None
        self._queued: list[Any] = []

    def start(self) -> None:
        import ray

        ray.init(
            num_cpus=SLOTS,
            _node_ip_address="127.0.0.1",
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
            object_store_memory=1 << 30,
            _temp_dir=os.path.abspath("ray"),
        )
        self._ray, self._same = ray, ray.remote(same)
        self.run(range(SLOTS))

    def run(self, arguments: Sequence[Any]) -> Batch:
        began = time.perf_counter()
        results = self._ray.get([self._same.remote(argument) for argument in arguments])
        return Batch(results, time.perf_counter() - began)

    def one(self, argument: Any) -> Any:
        return self._ray.get(self._same.remote(argument))

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        self._queued.append(self._same.remote(argument, seconds))

    def stop(self) -> None:
        self._ray.shutdown()
