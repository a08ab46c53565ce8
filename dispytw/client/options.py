"""Options of one job: ``cluster.options(timeout=60, retries=2).submit(…)``.

They are not keywords of submit, so that the computation's own keywords stay its own, whatever they are called.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import Any

from dispytw.client.job import DispyJob
from dispytw.values import JobOptions

#: How far a priority may be from 0.
MOST_PRIORITY = 10**9


class WithOptions:
    """A cluster as it is for jobs with these options; it may be used for any number of jobs.

    Its other methods are the cluster's own; those that submit, ``submit_node``, ``map`` and the like, find their way to `_submitted` here.

    :ivar chosen: what was chosen.
    """

    def __init__(self, cluster: Any, chosen: JobOptions) -> None:
        self._cluster = cluster
        self.chosen = chosen

    def submit(self, *args: Any, **kwargs: Any) -> DispyJob:
        """See `JobCluster.submit`."""
        return self._submitted(args, kwargs)

    def _submitted(self, *call: Any, **where: Any) -> DispyJob:
        job: DispyJob = self._cluster._submitted(*call, **where, options=self.chosen)
        return job

    def __getattr__(self, name: str) -> Any:
        if name == "map" or name.startswith("submit"):
            return MethodType(getattr(type(self._cluster), name), self)
        return getattr(self._cluster, name)


def chosen_options(timeout: Any, retries: Any, backoff: Any, priority: Any) -> JobOptions:
    """These options, checked.

    :raises TypeError: for a wrong type; the option is named.
    :raises ValueError: for a value that makes no sense; the option is named.
    """
    if timeout is not None:
        _check("timeout", timeout, float, "seconds, more than 0, or None", lambda: 0 < timeout < math.inf)
    _check("retries", retries, int, "a whole number, 0 or more", lambda: retries >= 0)
    _check("backoff", backoff, float, "seconds, 0 or more", lambda: 0 <= backoff < math.inf)
    _check("priority", priority, int, f"a whole number from -{MOST_PRIORITY} to {MOST_PRIORITY}", lambda: abs(priority) <= MOST_PRIORITY)
    return JobOptions(None if timeout is None else float(timeout), retries, float(backoff), priority)


def _check(name: str, value: Any, kind: type, wanted: str, holds: Any) -> None:
    if not isinstance(value, (int, kind)) or isinstance(value, bool):
        raise TypeError(f"options: {name} must be {wanted}, not {value!r}")
    if not holds():
        raise ValueError(f"options: {name} must be {wanted}, not {value!r}")
