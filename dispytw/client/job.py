"""DispyJob: what submit returns. A slotted handle; it owns no lock and no event until somebody waits for it."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from dispytw.errors import ResultError
from dispytw.values import (
    ABANDONED,
    CANCELLED,
    CREATED,
    FINISHED,
    PROVISIONAL_RESULT,
    RUNNING,
    TERMINAL,
    TERMINATED,
    Body,
    Inline,
    Outcome,
)

_GUARD = threading.Lock()
_UNREAD = object()


class Owner(Protocol):
    """What a job needs of its cluster."""

    is_program: bool

    def refuse_to_wait(self, what: str) -> None:
        """Raise where waiting would never end."""

    def open_result(self, data: bytes) -> Any:
        """Open a payload."""

    def identified(self, job: bytes, value: Any) -> None:
        """A job's id was set."""

    def result_read(self, job: DispyJob) -> None:
        """A job's result was read for the first time."""


class DispyJob:
    """One call of a computation, and what became of it.

    :ivar id: counted 1, 2, 3 …; set it to anything. What can be pickled is known to `recover_jobs` from then on.
    :ivar status: Created, Running, Finished, Cancelled or Terminated.
    :ivar ip_addr: address of the node that runs, or ran, it; None before.
    :ivar start_time: wall time at which it began on the node, seconds.
    :ivar attempts: how often it was started, or may have been: more than once where a node was lost or retries were asked for.
    :ivar submit_time: wall time at which it was submitted here, seconds.
    """

    __slots__ = (
        "__weakref__",
        "_delivered",
        "_event",
        "_id",
        "_lock",
        "_outcome",
        "_owner",
        "_result",
        "_uid",
        "attempts",
        "ip_addr",
        "start_time",
        "status",
        "submit_time",
    )

    Created = CREATED
    Running = RUNNING
    ProvisionalResult = PROVISIONAL_RESULT
    Cancelled = CANCELLED
    Terminated = TERMINATED
    Abandoned = ABANDONED
    Finished = FINISHED

    def __init__(self, owner: Owner, uid: bytes, number: Any, submit_time: float | None) -> None:
        self._id = number
        self._delivered = False
        self.status = CREATED
        self.ip_addr: str | None = None
        self.start_time: float | None = None
        self.submit_time = submit_time
        self.attempts = 0
        self._uid = uid
        self._owner = owner
        self._outcome: Outcome | None = None
        self._result: Any = _UNREAD
        self._event: threading.Event | None = None
        self._lock: threading.RLock | None = None  # type: ignore[valid-type, unused-ignore]

    @property
    def id(self) -> Any:
        """What the program calls the job."""
        return self._id

    @id.setter
    def id(self, value: Any) -> None:
        self._id = value
        if not self._delivered:
            self._owner.identified(self._uid, value)

    def __call__(self, clear: bool = False) -> Any:
        """Wait until the job has ended and return its result: None unless it is Finished.

        :param clear: accepted; there are no provisional results yet.
        :raises ResultError: when the result arrived but cannot be opened here.
        """
        if self.status not in TERMINAL:
            self._owner.refuse_to_wait(f"job {self.id}")
            self.finish.wait()
        return self.result

    @property
    def finish(self) -> threading.Event:
        """The event that is set when the job has its final status."""
        with _GUARD:
            if self._event is None:
                self._event = threading.Event()
                if self.status in TERMINAL:
                    self._event.set()
            return self._event

    @property
    def result(self) -> Any:
        """What the computation returned, or a program's exit status; None before the end, and when there is none.

        It is opened at the first read, on the reader's thread.

        :raises ResultError: when it cannot be opened here; each time.
        """
        outcome = self._outcome
        if outcome is None:
            return None
        if self._result is _UNREAD:
            with self._own_lock():
                if self._result is _UNREAD:
                    self._result = None if outcome.result is None else self._open(_bytes_of(outcome.result))
                    self._owner.result_read(self)
        if isinstance(self._result, _Unopened):
            raise ResultError(self._result.text) from self._result.cause
        return self._result

    def _open(self, data: bytes) -> Any:
        try:
            return self._owner.open_result(data)
        except Exception as error:  # user classes may raise anything while being opened
            return _Unopened(f"the result of job {self.id} cannot be opened here: {error}", error)

    def _own_lock(self) -> Any:
        with _GUARD:
            if self._lock is None:
                self._lock = threading.RLock()
            return self._lock

    @property
    def end_time(self) -> float | None:
        """Wall time at which it ended on the node, seconds; None before, and when no node can tell."""
        return None if self._outcome is None else self._outcome.ended

    @property
    def exception(self) -> str | None:
        """Traceback text, or what killed it; None before the end, and when it returned."""
        return None if self._outcome is None else self._outcome.exception

    @property
    def reason(self) -> str:
        """One line that tells why it ended so, where the status does not."""
        return "" if self._outcome is None else self._outcome.reason

    @property
    def stdout(self) -> Any:
        """What the job wrote to its standard output: str for a function, bytes for a program; None before the end."""
        return self._written("stdout")

    @property
    def stderr(self) -> Any:
        """What the job wrote to its standard error: str for a function, bytes for a program; None before the end."""
        return self._written("stderr")

    def _written(self, which: str) -> Any:
        outcome = self._outcome
        if outcome is None or outcome.exception == "Cancelled":
            return None
        data = _bytes_of(getattr(outcome, which))
        return data if self._owner.is_program else data.decode("utf-8", "replace")

    def _running(self, ip_addr: str, started: float) -> None:
        self.ip_addr, self.start_time = ip_addr, started
        self.attempts += 1
        self.status = RUNNING

    def _retried(self, attempts: int) -> None:
        """An attempt has ended, one of so many, and the job waits for the next."""
        self.attempts = attempts
        self.status = CREATED

    def _settled(self, outcome: Outcome, ip_addr: str | None, attempts: int = 0) -> None:
        """Set the one final status, then release who waits for it."""
        self._outcome = outcome
        self.attempts = max(attempts, self.attempts)
        self.ip_addr = ip_addr or self.ip_addr
        self.start_time = outcome.started if outcome.started is not None else self.start_time
        with _GUARD:
            self.status = outcome.status
            event = self._event
        if event is not None:
            event.set()

    def __repr__(self) -> str:
        return f"<DispyJob {self.id}: {STATUS_NAMES[self.status]}>"


STATUS_NAMES = {
    CREATED: "Created",
    RUNNING: "Running",
    PROVISIONAL_RESULT: "ProvisionalResult",
    CANCELLED: "Cancelled",
    TERMINATED: "Terminated",
    ABANDONED: "Abandoned",
    FINISHED: "Finished",
}


class _Unopened:
    __slots__ = ("cause", "text")

    def __init__(self, text: str, cause: BaseException) -> None:
        self.text = text
        self.cause = cause


def _bytes_of(body: Body) -> bytes:
    if isinstance(body, Inline):
        return body.data
    with open(body.path, "rb") as file:
        return file.read()
