"""A job as a `concurrent.futures.Future`.

It is settled in the reactor thread, by status alone; what the job returned or raised is opened by whoever asks first, on that thread.
Callbacks run on the callback thread. There is no *running* that cannot be cancelled: cancel() works until the job has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, Protocol

from dispytw.client.joberrors import is_cancelled
from dispytw.errors import ResultError
from dispytw.values import FINISHED, PROVISIONAL_RESULT, RUNNING, Outcome


class Owner(Protocol):
    """What a future needs of its job's cluster."""

    def cancel_soon(self, job: Any) -> None:
        """Have the job cancelled."""

    def call_back(self, function: Callable[[Any], Any], job: Any) -> None:
        """Call a function on the callback thread."""


class Job(Protocol):
    """What a future needs of its job."""

    status: int
    _outcome: Outcome | None
    _owner: Any

    @property
    def result(self) -> Any:
        """What it returned."""

    @property
    def error(self) -> BaseException | None:
        """What it raised."""


class JobFuture(Future[Any]):
    """The future of one job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._told = False
        self._by_reactor = False
        super().__init__()

    # The base class keeps result and exception in these; here they are read when they are asked for.
    @property
    def _result(self) -> Any:
        return self._job.result if self._state == "FINISHED" else None

    @_result.setter
    def _result(self, value: Any) -> None:
        """The job has it."""

    @property
    def _exception(self) -> BaseException | None:
        if self._state != "FINISHED":
            return None
        try:
            _ = self._job.result
        except ResultError as error:
            return error
        return self._job.error

    @_exception.setter
    def _exception(self, value: BaseException | None) -> None:
        """The job has it."""

    def running(self) -> bool:
        """Whether the job runs on a node now."""
        return not self.done() and self._job.status in (RUNNING, PROVISIONAL_RESULT)

    def cancel(self) -> bool:
        """Cancel the job: a queued one at once, a running one by KeyboardInterrupt. The future is cancelled at once.

        :returns: False when the job has ended already.
        """
        if not self._cancelled():
            return False
        self._job._owner.cancel_soon(self._job)
        return True

    def _cancelled(self) -> bool:
        if not super().cancel():
            return False
        with self._condition:
            told, self._told = self._told, True
        if not told:
            self.set_running_or_notify_cancel()  # tells wait() and as_completed()
        return True

    def _settle(self) -> None:
        """The job has its final status."""
        self._by_reactor = True
        outcome = self._job._outcome
        assert outcome is not None
        if is_cancelled(outcome):
            self._cancelled()
            _ = self._job.result  # there is none; by that it is delivered
            return
        try:
            if outcome.status == FINISHED:
                self.set_result(None)
            else:
                self.set_exception(None)
        except InvalidStateError:
            pass  # it was cancelled, and the job has ended otherwise all the same

    def _invoke_callbacks(self) -> None:
        callbacks: list[Any] = self._done_callbacks  # type: ignore[attr-defined]
        invoke: Callable[[], None] = super()._invoke_callbacks  # type: ignore[misc]
        if self._by_reactor and callbacks:
            self._job._owner.call_back(lambda job: invoke(), self._job)
        else:
            invoke()
