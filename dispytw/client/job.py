"""DispyJob: what submit returns. A slotted handle; it owns no lock and no event until somebody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from dispytw.client.attention import Attention
from dispytw.client.awaiting import awaited
from dispytw.client.futures import JobFuture
from dispytw.client.joberrors import error_of
from dispytw.client.notebook import job_html
from dispytw.client.output import whole_text
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

    def stream(self, job: DispyJob) -> Iterator[str]:
        """What a job writes, as it runs."""

    def cancel_soon(self, job: DispyJob) -> None:
        """Have a job cancelled; nothing is waited for."""

    def call_back(self, function: Callable[[DispyJob], Any], job: DispyJob) -> None:
        """Call a function of the user's on the callback thread."""


class DispyJob:
    """One call of a computation, and what became of it.

    :ivar id: counted 1, 2, 3 …; set it to anything. What can be pickled is known to `recover_jobs` from then on.
    :ivar status: Created, Running, ProvisionalResult, Finished, Cancelled or Terminated.
    :ivar ip_addr: address of the node that runs, or ran, it; None before.
    :ivar start_time: wall time at which it began on the node, seconds.
    :ivar attempts: how often it was started, or may have been: more than once where a node was lost or retries were asked for.
    :ivar submit_time: wall time at which it was submitted here, seconds.
    """

    __slots__ = (
        "__weakref__",
        "_attention",
        "_delivered",
        "_id",
        "_outcome",
        "_owner",
        "_provisional",
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
        self._provisional: Body | None = None
        self._result: tuple[Any, Any] | None = None
        self._attention: Attention | None = None

    @property
    def id(self) -> Any:
        """What the program calls the job."""
        return self._id

    @id.setter
    def id(self, value: Any) -> None:
        self._id = value
        if not self._delivered:
            self._owner.identified(self._uid, value)

    def __call__(self, clear: bool = False, timeout: float | None = None) -> Any:
        """Wait until the job has ended, or has a provisional result, and return its result: None unless there is one.

        :param clear: the next call waits for the next provisional result, or the end.
        :param timeout: seconds to wait; for as long as it takes if None. The job goes on.
        :raises TimeoutError: when there was nothing by then.
        :raises ResultError: when the result arrived but cannot be opened here.
        """
        if self.status not in TERMINAL:
            self._owner.refuse_to_wait(f"job {self.id}")
            if not self.finish.wait(timeout):
                raise TimeoutError(f"job {self.id} has not ended within {timeout:g} s")
        with _GUARD:
            if clear and self.status not in TERMINAL:
                self._clear_event()
            source = self._source()
        return self._opened(source)

    @property
    def finish(self) -> threading.Event:
        """The event that is set when the job has its final status, or a provisional result that nobody has cleared."""
        attention = self._asked()
        with _GUARD:
            if attention.event is None:
                attention.event = threading.Event()
                if self.status in TERMINAL or self.status == PROVISIONAL_RESULT:
                    attention.event.set()
            return attention.event

    def _asked(self) -> Attention:
        with _GUARD:
            if self._attention is None:
                self._attention = Attention()
            return self._attention

    @property
    def future(self) -> JobFuture:
        """The job as a `concurrent.futures.Future`: for as_completed and wait, for asyncio.wrap_future.

        Its result() raises what the job raised, with the traceback from the node as its cause; its cancel() cancels the job, whether it
        is queued or runs.
        """
        attention = self._asked()
        with _GUARD:
            made = attention.future is None
            if attention.future is None:
                attention.future = JobFuture(self)
            future: JobFuture = attention.future
        if made:
            self._when_settled(future._settle)
        return future

    def __await__(self) -> Generator[Any, Any, Any]:
        """Wait for the result, in asyncio or in Twisted code; raises what the job raised. Who gives up waiting cancels the job."""
        return awaited(self)

    def _when_settled(self, listener: Callable[[], Any]) -> None:
        """Have ``listener`` called in the reactor thread when the job has its final status; here and now if it has.

        It must not wait, nor run user code, nor raise.
        """
        attention = self._asked()
        with _GUARD:
            settled = self.status in TERMINAL
            if not settled:
                attention.listeners += (listener,)
        if settled:
            listener()

    @property
    def result(self) -> Any:
        """What the computation returned, or a program's exit status; before the end its last provisional result. None if there is none.

        It is opened at the first read, on the reader's thread.

        :raises ResultError: when it cannot be opened here; each time.
        """
        return self._opened(self._source())

    def _source(self) -> Outcome | Body | None:
        """Where the result of this moment comes from."""
        return self._outcome if self._outcome is not None else self._provisional

    def _opened(self, source: Outcome | Body | None) -> Any:
        if source is None:
            return None
        read = self._result
        if read is None or read[0] is not source:
            with self._asked().lock:
                read = self._result
                if read is None or read[0] is not source:
                    body = source.result if isinstance(source, Outcome) else source
                    read = self._result = (source, None if body is None else self._open(_bytes_of(body)))
                    if isinstance(source, Outcome):
                        self._owner.result_read(self)
        if isinstance(read[1], _Unopened):
            raise ResultError(read[1].text) from read[1].cause
        return read[1]

    def _open(self, data: bytes) -> Any:
        try:
            return self._owner.open_result(data)
        except (Exception, SystemExit) as error:  # user classes may raise anything while being opened
            return _Unopened(f"the result of job {self.id} cannot be opened here: {error}", error)

    @property
    def error(self) -> BaseException | None:
        """What the job raised, as the exception itself, with the traceback from the node as its cause; None before the end, and when
        it returned.

        What could not come home, and a job that died, was lost or cancelled, has one of the classes of `dispytw.errors`, or
        `concurrent.futures.CancelledError`.
        """
        outcome = self._outcome
        if outcome is None or outcome.status == FINISHED:
            return None
        _ = self.result  # it is None; and with its error, the job has been delivered
        attention = self._asked()
        with attention.lock:
            if attention.error is None:
                who = f"job {self.id} on {'no node' if self.ip_addr is None else f'node {self.ip_addr}'}, attempt {self.attempts}"
                attention.error = error_of(outcome, who, self._owner.open_result)
            return attention.error

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

    def stream(self) -> Iterator[str]:
        """The text that the job writes to its standard output and error, in pieces as they come, until it has ended.

        Output that a node does not keep (what is beyond `stdout`'s limit) is not in it. Of a job that has ended it is all at once.
        """
        if self._outcome is None:
            return self._owner.stream(self)
        return whole_text(self._written_bytes("stdout"), self._written_bytes("stderr"))

    def _written(self, which: str) -> Any:
        outcome = self._outcome
        if outcome is None or outcome.exception == "Cancelled":
            return None
        data = self._written_bytes(which)
        return data if self._owner.is_program else data.decode("utf-8", "replace")

    def _written_bytes(self, which: str) -> bytes:
        return b"" if self._outcome is None else _bytes_of(getattr(self._outcome, which))

    def _running(self, ip_addr: str, started: float) -> None:
        self.ip_addr, self.start_time = ip_addr, started
        self.attempts += 1
        with _GUARD:
            self.status = RUNNING
            self._forget_provisional()

    def _forget_provisional(self) -> None:
        """Another attempt: what an earlier one said is forgotten."""
        if self._provisional is not None:
            self._clear_event()
        self._provisional = None

    def _clear_event(self) -> None:
        if self._attention is not None and self._attention.event is not None:
            self._attention.event.clear()

    def _set_event(self) -> None:
        if self._attention is not None and self._attention.event is not None:
            self._attention.event.set()

    def _said(self, provisional: Body) -> None:
        """It has a provisional result: whoever waits is released, until one clears the event."""
        with _GUARD:
            self._provisional = provisional
            self.status = PROVISIONAL_RESULT
            self._set_event()

    def _retried(self, attempts: int) -> None:
        """An attempt has ended, one of so many, and the job waits for the next."""
        self.attempts = attempts
        with _GUARD:
            self.status = CREATED
            self._forget_provisional()

    def _settled(self, outcome: Outcome, ip_addr: str | None, attempts: int = 0) -> None:
        """Set the one final status and the event together, then tell who listens."""
        self._outcome = outcome
        self.attempts = max(attempts, self.attempts)
        self.ip_addr = ip_addr or self.ip_addr
        self.start_time = outcome.started if outcome.started is not None else self.start_time
        with _GUARD:
            self._provisional = None
            self.status = outcome.status
            self._set_event()
            attention = self._attention
        if attention is not None:
            attention.settled()

    def _repr_html_(self) -> str:
        return job_html(self, STATUS_NAMES[self.status])

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
