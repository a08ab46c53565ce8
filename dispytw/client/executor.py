"""Executor: any function, on many machines, by the words of `concurrent.futures`."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from dispytw.client.cluster import JobCluster
from dispytw.client.futures import JobFuture
from dispytw.client.job import DispyJob
from dispytw.client.mapping import begin_map
from dispytw.values import CREATED, WORKER

#: What there is in the place of options of JobCluster, and of the standard library's executors.
_INSTEAD = {
    "computation": "submit says what is called",
    "callback": "use add_done_callback of the futures",
    "max_workers": "the nodes say how many calls run at a time; NodeAllocate(…, cpus=…) asks for less",
    "initializer": "use setup=, which runs once on each node",
    "initargs": "use setup=functools.partial(…)",
    "mp_context": "nodes fork",
    "max_tasks_per_child": "use max_jobs_per_worker=",
}


def dispytw_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The computation of every executor: a call that says itself what is to be called."""
    return function(*args, **kwargs)


class Executor(concurrent.futures.Executor):
    """Runs any function on the nodes. It takes the place of `concurrent.futures.ProcessPoolExecutor`.

    Functions and classes of the program travel with the calls that need them, with the global names that they use as these are when the
    function is first submitted; what is named in ``depends`` travels once.

    :param nodes: as for `JobCluster`.
    :param options: those of `JobCluster`. Processes are kept and run call after call, unless ``isolation="job"`` says otherwise; there is
        no recover file, unless one is asked for.
    :raises TypeError: for an option that there is not, or that has the wrong type.
    """

    def __init__(self, nodes: Any = None, **options: Any) -> None:
        self._shut = True
        for name, instead in _INSTEAD.items():
            if name in options:
                raise TypeError(f"Executor: there is no option {name}; {instead}")
        defaults: dict[str, Any] = {"isolation": WORKER}
        if "recover_file" not in options:
            defaults["recover"] = False
        self._cluster = JobCluster(dispytw_call, nodes, **{**defaults, **options})
        self._jobs = _Jobs(self._cluster)
        self._shutting = threading.Lock()
        self._shut = False

    @property
    def cluster(self) -> JobCluster:
        """What stands behind it, for status() and print_status()."""
        return self._cluster

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> JobFuture:
        """Have ``fn(*args, **kwargs)`` called on a node.

        :returns: its future; cancel() works until the call has ended.
        :raises PayloadError: when the function or an argument cannot be sent; it is named.
        :raises RuntimeError: after shutdown.
        """
        with self._shutting:
            self._refuse_when_shut()
            job = self._cluster.submit(fn, args, kwargs)
            future = job.future
            self._jobs.new(job)
            return future

    def _refuse_when_shut(self) -> None:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | str = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Call ``fn`` with each element, or one of each iterable, and iterate over what the calls return, in order.

        :param timeout: seconds from now, after which TimeoutError is raised.
        :param chunksize: how many calls make up one job, or ``"auto"``.
        :param buffersize: None: everything is submitted at once; else so many jobs, and more as results are taken.
        """
        if isinstance(chunksize, int) and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1 and buffersize is None:
            return super().map(fn, *iterables, timeout=timeout)
        self._refuse_when_shut()
        window = 2**31 if buffersize is None else buffersize
        return begin_map(_Calls(fn, self._jobs), iterables, chunksize, True, window, timeout, eager=buffersize is None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more, and clean up on the nodes when everything has ended.

        :param wait: whether to wait for that.
        :param cancel_futures: cancel what has not begun.
        """
        with self._shutting:
            already, self._shut = self._shut, True
        if cancel_futures:
            self._jobs.cancel_waiting()
        if wait:
            self._cluster.close()
        elif not already:
            self._jobs.end_soon()

    def __del__(self) -> None:
        if not getattr(self, "_shut", True):
            self._shut = True
            self._jobs.end_soon()


class _Jobs:
    """The jobs of an executor that have not ended; when it is gone, the last of them closes the cluster."""

    def __init__(self, cluster: JobCluster) -> None:
        self.cluster = cluster
        self._open: set[DispyJob] = set()
        self._ending = False

    def new(self, job: DispyJob) -> None:
        """One more."""
        self._open.add(job)
        job._when_settled(partial(self._settled, job))

    def _settled(self, job: DispyJob) -> None:
        self._open.discard(job)
        if self._ending and not self._open:
            self.cluster.end_soon()

    def cancel_waiting(self) -> None:
        """Cancel those that no node has begun."""
        for job in list(self._open):
            if job.status == CREATED:
                job.future.cancel()

    def end_soon(self) -> None:
        """Close the cluster when all have ended, without waiting."""
        self._ending = True
        if not self._open:
            self.cluster.end_soon()


class _Calls:
    """Calls of one function, as a cluster that maps."""

    is_program = False

    def __init__(self, function: Callable[..., Any], jobs: _Jobs) -> None:
        self._function = function
        self._jobs = jobs
        self.slots = jobs.cluster.slots
        self.refuse_to_wait = jobs.cluster.refuse_to_wait

    def submit_calls(self, calls: list[tuple[Any, ...]]) -> tuple[Any, int]:
        """See `dispytw.client.mapping.Cluster`."""
        job, size = self._jobs.cluster.submit_calls([(self._function, args, {}) for args in calls])
        self._jobs.new(job)
        return job, size
