"""dispytw as a backend of joblib: what scikit-learn and others run by joblib, run on many machines. Needs ``pip install dispytw[joblib]``.

    import joblib
    import dispytw.joblib

    dispytw.joblib.register()
    with joblib.parallel_config(backend="dispytw", nodes=["10.0.0.7", "10.0.0.8"]):
        search.fit(X, y)

The cluster is made at the first parallel call, serves all of them inside the ``with``, and is closed afterwards. What a job itself runs by
joblib runs in threads there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from dispytw.client.executor import Executor

try:
    import joblib
    from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase
except ImportError as error:
    raise ImportError("dispytw.joblib needs joblib: pip install dispytw[joblib]") from error

#: Seconds that further nodes get to be found when the first one is ready: joblib wants to know early how many calls run at a time.
GATHERING = 3.0
_LOOK = 0.02


def register(name: str = "dispytw", make_default: bool = False) -> None:
    """Let joblib know the backend.

    :param name: by which `joblib.parallel_config` calls it.
    :param make_default: whether to use it wherever no other is asked for.
    """
    joblib.register_parallel_backend(name, DispytwBackend, make_default=make_default)


class DispytwBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc, unused-ignore]
    """Runs joblib's batches on nodes.

    :param nodes: as for `dispytw.Executor`.
    :param nesting_level: joblib's.
    :param options: those of `dispytw.Executor`.
    """

    supports_retrieve_callback = True
    uses_threads = False
    supports_sharedmem = False
    default_n_jobs = -1

    def __init__(self, nodes: Any = None, nesting_level: Any = None, **options: Any) -> None:
        super().__init__(nesting_level=nesting_level)
        self._nodes = nodes
        self._options = options
        self._executor: Executor | None = None
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        self.parallel: Any = None

    def __reduce__(self) -> Any:
        """On a node there are no nodes to be had: jobs that look for this backend get a sequential one."""
        from joblib._parallel_backends import SequentialBackend

        return SequentialBackend, (self.nesting_level,)

    def _running(self) -> Executor:
        with self._lock:
            if self._executor is None:
                self._executor = Executor(self._nodes, **self._options)
            return self._executor

    # What joblib asks.
    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **_: Any) -> int:
        """Begin a parallel call; how many batches are to run at a time."""
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at a time: as many as asked for, or as there are slots, counted back from there when negative."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        return n_jobs if n_jobs > 0 else max(1, self._slots() + 1 + n_jobs)

    def _slots(self) -> int:
        """What the nodes offer; the first is waited for, as long as it takes, and those that were named get a moment more."""
        cluster = self._running().cluster
        self._running().submit(abs, 0).result()
        wanted = len(self._nodes) if isinstance(self._nodes, (list, tuple)) else 1
        deadline = time.monotonic() + GATHERING
        while len(cluster.status().nodes) < wanted and time.monotonic() < deadline:
            time.sleep(_LOOK)
        return cluster.slots()

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Any:
        """Have a batch run; ``callback`` is called with its future."""
        future = self._running().submit(func)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # joblib before 1.5

    def retrieve_result_callback(self, out: Any) -> Any:
        """What a batch returned, or what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what has not ended."""
        for future in list(self._open):
            future.cancel()
        if not ensure_ready:
            self._shut()

    def terminate(self) -> None:
        """A parallel call has ended; the next one may use the same cluster."""
        self.reset_batch_stats()

    def _shut(self) -> None:
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
