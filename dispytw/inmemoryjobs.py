"""Supervisors and jobs as entries in a calendar, and files that are always there: nodes in memory need no processes and no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import attrs
from twisted.internet.task import Clock

from dispytw.inmemory import MemoryProcess
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Body, Computation, File, Inline, Outcome

#: Seconds that setup() takes, and that the start of a body and the end of a cancelled one do unless told otherwise.
SETTING_UP, STARTING, CANCELLING = 0.01, 0.001, 0.005


class JobEvents(Protocol):
    """Who is told what supervisors and jobs do; see `dispytw.node.supervision`."""

    def supervisor_ready(self, computation: bytes) -> None:
        """setup() has run."""

    def setup_failed(self, computation: bytes, text: str) -> None:
        """setup() has failed."""

    def job_started(self, computation: bytes, attempt: Attempt, started: float) -> None:
        """A body has begun."""

    def job_ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        """A job has ended."""

    def jobs_given_back(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """Jobs had not started, and will not."""

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        """A supervisor is gone."""


class MemoryFiles:
    """A workspace without a disk: every file is here already."""

    bundle_path = ""
    work_dir = ""

    def missing(self, files: Iterable[File]) -> list[File]:
        """None."""
        return []

    def lay_out(self, computation: Computation) -> MemoryFiles:
        """Nothing to do."""
        return self

    def remove(self, computation: bytes) -> None:
        """Nothing to do."""


@attrs.define(eq=False)
class _Running:
    computation: bytes
    call: Any
    began: float | None = None
    cancelled: bool = False


class MemoryLauncher:
    """The supervisors of one node. A job's body is the seconds that it takes, as text.

    They go on while the node's daemon is suspended, and end with it when it is killed. Jobs beyond a supervisor's width wait.

    :param world: true time.
    :param process: the daemon, which is told.
    :param wall: wall time, seconds.
    :param events: the steward.
    :param width: how many jobs of one computation run at the same time.
    :param body_began: called with each attempt whose body begins.
    :param body_ended: called with each attempt whose body has begun and is over, and its outcome.
    :ivar setup_text: why setup() fails from now on, or empty.
    :ivar starting: seconds that the start of a body takes; the daemon hears of what happens after a tenth of that.
    :ivar cancelling: seconds that the end of a cancelled one takes.
    """

    def __init__(
        self,
        world: Clock,
        process: MemoryProcess,
        wall: Callable[[], float],
        events: JobEvents,
        width: int,
        body_began: Callable[[Attempt], None],
        body_ended: Callable[[Attempt, Outcome | None], None],
    ) -> None:
        self._world = world
        self._process = process
        self._wall = wall
        self._events = events
        self._width = width
        self._waiting: dict[Attempt, tuple[bytes, float]] = {}
        self._body_began = body_began
        self._body_ended = body_ended
        self._jobs: dict[Attempt, _Running] = {}
        self._supervisors: dict[bytes, Any] = {}
        self.setup_text = ""
        self.starting, self.cancelling = STARTING, CANCELLING

    def _tell(self, event: Callable[..., None], *fields: Any) -> None:
        self._world.callLater(self.starting / 10, self._process.deliver, partial(event, *fields))

    def launch(self, computation: Computation, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """Start a supervisor; setup() takes 10 ms."""
        self._supervisors[computation.uid] = self._world.callLater(SETTING_UP, self._set_up, computation.uid)

    def _set_up(self, computation: bytes) -> None:
        if self.setup_text:
            self._tell(self._events.setup_failed, computation, self.setup_text)
            self._gone(computation, "setup failed")
        else:
            self._tell(self._events.supervisor_ready, computation)

    def start(self, computation: bytes, attempts: list[tuple[Attempt, Body]]) -> None:
        """Bodies begin a little later; one whose supervisor is gone already has ended with it."""
        for attempt, body in attempts:
            assert isinstance(body, Inline)
            if computation in self._supervisors:
                self._waiting[attempt] = (computation, float(body.data or b"0"))
        self._fill()

    def _fill(self) -> None:
        for attempt, (computation, duration) in list(self._waiting.items()):
            if sum(running.computation == computation for running in self._jobs.values()) < self._width:
                del self._waiting[attempt]
                call = self._world.callLater(self.starting, self._begin, attempt, duration)
                self._jobs[attempt] = _Running(computation, call)

    def recall(self, computation: bytes, most: int) -> None:
        """Those that wait are given back, the last ones first."""
        waiting = [attempt for attempt, (owner, _) in self._waiting.items() if owner == computation]
        back = waiting[::-1][:most]
        for attempt in back:
            del self._waiting[attempt]
        if computation in self._supervisors:
            told = partial(self._events.jobs_given_back, computation, back)
            self._world.callLater(self.starting, self._process.deliver, told)

    def _begin(self, attempt: Attempt, duration: float) -> None:
        running = self._jobs[attempt]
        running.began = self._wall()
        self._body_began(attempt)
        running.call = self._world.callLater(duration, self._end, attempt, FINISHED)
        self._tell(self._events.job_started, running.computation, attempt, running.began)

    def _end(self, attempt: Attempt, status: int, exception: str | None = None) -> None:
        running = self._jobs.pop(attempt)
        outcome = Outcome(status, exception=exception, started=running.began, ended=self._wall())
        if running.began is not None:
            self._body_ended(attempt, outcome)
        self._tell(self._events.job_ended, running.computation, attempt, outcome)
        self._fill()

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """The job ends a little later; at once if it waits."""
        if self._waiting.pop(attempt, None) is not None:
            self._tell(self._events.job_ended, computation, attempt, Outcome(CANCELLED, ended=self._wall()))
            return
        running = self._jobs.get(attempt)
        if running is not None and not running.cancelled:
            running.cancelled = True
            running.call.cancel()
            running.call = self._world.callLater(self.cancelling, self._end, attempt, CANCELLED)

    def kill_job(self, attempt: Attempt) -> None:
        """Its process dies, of whatever cause."""
        self._jobs[attempt].call.cancel()
        self._end(attempt, TERMINATED, "killed by signal 9 (SIGKILL)")

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        """Its jobs are cancelled; then cleanup(), which takes no time."""
        owners = {attempt: running.computation for attempt, running in self._jobs.items()}
        owners.update((attempt, owner) for attempt, (owner, _) in self._waiting.items())
        for attempt in [attempt for attempt, owner in owners.items() if owner == computation]:
            self.cancel(computation, attempt)
        self._world.callLater(2 * self.cancelling, self.kill_supervisor, computation, "")

    def kill_supervisor(self, computation: bytes, text: str = "killed by signal 9 (SIGKILL)") -> None:
        """A supervisor dies, and its jobs with it."""
        if computation in self._supervisors:
            self._forget_jobs(computation)
            self._gone(computation, text)

    def _forget_jobs(self, computation: bytes) -> None:
        self._waiting = {attempt: pair for attempt, pair in self._waiting.items() if pair[0] != computation}
        for attempt, running in list(self._jobs.items()):
            if running.computation == computation:
                running.call.cancel()
                del self._jobs[attempt]
                if running.began is not None:
                    self._body_ended(attempt, None)

    def _gone(self, computation: bytes, text: str) -> None:
        call = self._supervisors.pop(computation)
        if call.active():
            call.cancel()
        self._tell(self._events.supervisor_ended, computation, text)

    def die(self) -> None:
        """The daemon is gone: supervisors end, and their jobs with them."""
        for computation in list(self._supervisors):
            self.kill_supervisor(computation)

    def running(self) -> list[Attempt]:
        """Attempts whose bodies are being performed."""
        return [attempt for attempt, running in self._jobs.items() if running.began is not None]

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts that are here."""
        return [*self._jobs, *self._waiting]

    @property
    def computations(self) -> list[bytes]:
        """Those that have a supervisor."""
        return list(self._supervisors)
