"""``await job``, in a task of asyncio or in a coroutine of Twisted's: no thread waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import Any, Protocol

from twisted.internet.defer import Deferred


class Job(Protocol):
    """What is awaited."""

    _owner: Any

    @property
    def result(self) -> Any:
        """What it returned."""

    @property
    def error(self) -> BaseException | None:
        """What it raised."""

    def _when_settled(self, listener: Callable[[], Any]) -> None:
        """Call it in the reactor thread when the job has ended."""


def awaited(job: Job) -> Generator[Any, Any, Any]:
    """What ``__await__`` returns: ends with the job's result, or raises what the job raised.

    Whose waiting is cancelled cancels the job.
    """
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    if loop is not None and asyncio is not None and asyncio.current_task(loop) is not None:
        return _in_asyncio(job, loop)
    return deferred_of(job).__await__()


def _in_asyncio(job: Job, loop: Any) -> Generator[Any, Any, Any]:
    settled = loop.create_future()

    def tell() -> None:
        if not settled.done():
            settled.set_result(None)

    def told_from_the_reactor() -> None:
        try:
            loop.call_soon_threadsafe(tell)
        except RuntimeError:
            pass  # the loop is closed, in another thread and perhaps just now: nobody waits any more

    job._when_settled(told_from_the_reactor)
    try:
        yield from settled
    except BaseException:  # the task that waits is cancelled
        job._owner.cancel_soon(job)
        raise
    return _returned(job)


def _returned(job: Job) -> Any:
    error = job.error
    if error is not None:
        raise error
    return job.result


def deferred_of(job: Job) -> Deferred[Any]:
    """A Deferred that fires with the job's result, or what it raised, in the reactor thread; cancelling it cancels the job."""
    deferred: Deferred[Any] = Deferred(lambda _: job._owner.cancel_soon(job))

    def fire() -> None:
        if deferred.called:
            return
        try:
            result = _returned(job)
        except BaseException:  # whatever it is, the job has raised it
            deferred.errback()
        else:
            deferred.callback(result)

    job._when_settled(fire)
    return deferred
