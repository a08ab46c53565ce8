"""dispytw: Python functions and programs, run on many machines.

    import dispytw as dispy

    def compute(n):
        return n * n

    cluster = dispy.JobCluster(compute, nodes=["127.0.0.1"])
    jobs = [cluster.submit(n) for n in range(10)]
    for job in jobs:
        print(job())            # waits for the job, returns its result
    cluster.print_status()
    cluster.close()

A *cluster* stands for one computation: a function with what it needs, or a program. `submit` queues a *job*, one call of it,
and returns at once. *Nodes* are machines that run ``dispynode``; each offers *slots*, places for one job. Where the program
runs, a scheduler gives queued jobs to nodes with free slots, and what they return comes back into the job: `job()`, `job.result`,
`job.stdout`, `job.exception`. A job ends in exactly one way, whatever happens to the machines.

Nothing heavy is imported before the first cluster is made.
"""

from __future__ import annotations

import importlib

from dispytw.lighttyping import Any
from dispytw.version import VERSION as __version__

#: dispy's name of the version.
_dispy_version = __version__

_WHERE = {
    "JobCluster": "dispytw.client.cluster",
    "SharedJobCluster": "dispytw.client.sharedcluster",
    "ClusterStatus": "dispytw.client.cluster",
    "Executor": "dispytw.client.executor",
    "DispyJob": "dispytw.client.job",
    "DispyNode": "dispytw.client.nodes",
    "DispyNodeAvailInfo": "dispytw.client.nodes",
    "NodeAllocate": "dispytw.client.nodes",
    "TwistedCluster": "dispytw.client.inapp",
    "recover_jobs": "dispytw.client.recovery",
    "logger": "dispytw.client.logger",
    "_node_ipaddr": "dispytw.client.resolving",
}
#: Modules that are there without an import of their own, as dispy's are.
_MODULES = ("config", "httpd", "joblib")

__all__ = ["__version__", *(name for name in _WHERE if not name.startswith("_"))]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"dispytw.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'dispytw' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
