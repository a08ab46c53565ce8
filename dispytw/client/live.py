"""What a cluster has for jobs that are followed while they run: the part of JobCluster for `DispyJob.stream` and ``stream=``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispytw.client.engine import Engine
from dispytw.client.job import DispyJob
from dispytw.client.view import View


class LiveOutput:
    """A cluster's jobs as they write."""

    _engine: Engine
    view: View

    def stream(self, job: DispyJob) -> Iterator[str]:
        """See `DispyJob.stream`."""
        self._engine.bridge.refuse_to_wait(f"the output of job {job.id}")
        return self.view.feeds.stream(job, lambda: self._engine.later(lambda: self.view.feeds.follow(job)), self._is_over)

    def _is_over(self) -> bool:
        return self._engine.bridge.stopped

    def _ask_for_output(self, job: bytes, outputs: Sequence[tuple[bool, int]]) -> None:
        self._engine.session.follow(job, outputs)
