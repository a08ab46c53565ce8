"""Who competes. Each module makes one library run `benchmarks.work.same`, as a user of that library would, with two slots on loopback.

A contestant lives in a process of its own (`benchmarks.child`), in an empty home directory that is also the current one, and is started
anew for each repetition. What it imports is imported here inside `start`, so that a library that is missing or broken is one row with
an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: How many jobs run at a time: processes, CPUs, slots, whatever a contestant calls them.
SLOTS = 2

#: Stands in the place of the result of a job that ended otherwise, or never.
LOST = object()


@dataclass(frozen=True)
class Batch:
    """Jobs that were submitted together and waited for.

    :ivar results: what each returned, in the order of the arguments; `LOST` where there is none.
    :ivar seconds: from the first submission until the last result was read.
    """

    results: list[Any]
    seconds: float


class Contestant(Protocol):
    """What is asked of each library."""

    def start(self) -> None:
        """Bring up whatever runs the jobs, and return when it can take some."""

    def run(self, arguments: Sequence[Any]) -> Batch:
        """Submit one job for each argument at once, and wait for all results. Jobs are not bundled."""

    def one(self, argument: Any) -> Any:
        """Submit one job, wait for its result and return it."""

    def queue(self, argument: Any, seconds: float = 0.0) -> None:
        """Submit one job that takes this long, keep what the library returned, and do not wait."""

    def stop(self) -> None:
        """End everything that `start` began."""


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    :ivar name: what ``--only`` calls it.
    :ivar title: the row's first column.
    :ivar kept: whether a worker process runs many jobs; otherwise every job has a process of its own.
    :ivar place: ``module:class`` of the contestant, and words for its constructor.
    :ivar quiet: False for a library that speaks or listens beyond 127.0.0.1 even if told not to: it runs only where nothing else is
        reachable (`benchmarks.loopback`).
    :ivar profiled: whether `benchmarks.profile` knows its processes.
    """

    name: str
    title: str
    kept: bool
    place: str
    words: dict[str, Any]
    quiet: bool = True
    profiled: bool = False


_HERE = "benchmarks.contestants"
_DISPYTW = f"{_HERE}.dispytwcluster:DispytwCluster"

ENTRIES = (
    Entry("dispytw-job", 'dispytw, isolation="job"', False, _DISPYTW, {"isolation": "job"}, profiled=True),
    Entry("dispy", "dispy", False, f"{_HERE}.dispycluster:DispyCluster", {}, quiet=False),
    Entry("pool-job", "multiprocessing.Pool, maxtasksperchild=1", False, f"{_HERE}.pool:WorkerPool", {"jobs_per_process": 1}),
    Entry("dispytw-worker", 'dispytw, isolation="worker"', True, _DISPYTW, {"isolation": "worker"}, profiled=True),
    Entry("pool", "multiprocessing.Pool", True, f"{_HERE}.pool:WorkerPool", {"jobs_per_process": None}),
    Entry("executor", "ProcessPoolExecutor", True, f"{_HERE}.executor:Executor", {}),
    Entry("dask", "dask.distributed", True, f"{_HERE}.daskcluster:DaskCluster", {}),
    Entry("ray", "ray", True, f"{_HERE}.raycluster:RayCluster", {}, quiet=False),
)


def entry(name: str) -> Entry:
    """The entry of this name.

    :raises KeyError: when there is none.
    """
    return {known.name: known for known in ENTRIES}[name]
