"""A job as it was when it said something, for a callback that comes late: it is equal to the job, and acts on it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dispytw.client.job import DispyJob
from dispytw.values import PROVISIONAL_RESULT, Body

#: What stays as it was.
_OWN = frozenset(
    {
        *("_opened", "_outcome", "_provisional", "_repr_html_", "_result", "_source", "_written"),
        *("end_time", "error", "exception", "ip_addr", "reason", "result", "start_time", "status", "stderr", "stdout"),
    }
)


class JobSnapshot(DispyJob):
    """A job with one of its provisional results, while the job itself has moved on.

    Status and result stay; whatever else is asked of it, the job answers, and an id that is set is the job's.
    """

    __slots__ = ("_job",)

    def __init__(self, job: DispyJob, provisional: Body) -> None:
        own = object.__setattr__
        own(self, "_job", job)
        own(self, "_outcome", None)
        own(self, "_provisional", provisional)
        own(self, "_result", None)
        own(self, "status", PROVISIONAL_RESULT)
        own(self, "ip_addr", job.ip_addr)
        own(self, "start_time", job.start_time)

    def __getattribute__(self, name: str) -> Any:
        if name in _OWN or name.startswith("__"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_job"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(object.__getattribute__(self, "_job"), name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return object.__getattribute__(self, "_job")(*args, **kwargs)

    def __await__(self) -> Generator[Any, Any, Any]:
        job: DispyJob = object.__getattribute__(self, "_job")
        return job.__await__()

    def __eq__(self, other: object) -> bool:
        job = object.__getattribute__(self, "_job")
        return other is job or (isinstance(other, JobSnapshot) and object.__getattribute__(other, "_job") is job)

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "_job"))
