"""Supervisors and jobs as entries in a calendar, and files that are always there: nodes in memory need no processes and no disk."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from dispytw.inmemory import MemoryProcess
from dispytw.node.adoption import Papers
from dispytw.node.orders import Owed
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Body, Inline, Outcome

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


class MemoryJournal:
    """A journal without a disk, which outlives its daemon. What is asked is done after a while, in order.

    :param world: true time.
    :ivar process: the daemon that asks now; an answer to an earlier one is lost. None where there is no such thing.
    :ivar seconds: that each thing takes; 0 where it is done at once.
    :ivar full: whether nothing can be written.
    """

    def __init__(self, world: Clock) -> None:
        self._world = world
        self._due = 0.0
        self.process: MemoryProcess | None = None
        self.rows: dict[Attempt, Owed] = {}
        self.seconds = 0.002
        self.full = False

    def _ask(self, work: Callable[[], Any]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        asking = self.process

        def happens() -> None:
            if asking is not None and not asking.alive:
                return
            try:
                answer = partial(done.callback, work())
            except OSError:
                answer = partial(done.errback, Failure())
            if asking is None:
                answer()
            else:
                asking.deliver(answer)

        if self.seconds:
            self._due = max(self._due, self._world.seconds() + self.seconds)
            self._world.callLater(self._due - self._world.seconds(), happens)
        else:
            happens()
        return done

    def write(self, owed: Sequence[Owed], gone: Sequence[Attempt]) -> Deferred[None]:
        """See `dispytw.node.journal.Journal`."""
        return self._ask(lambda: self._write(owed, gone))

    def _write(self, owed: Sequence[Owed], gone: Sequence[Attempt]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.rows.update((each.attempt, each) for each in owed)
        for attempt in gone:
            self.rows.pop(attempt, None)

    def recall(self, client: bytes) -> Deferred[list[Owed]]:
        """See `dispytw.node.journal.Journal`."""
        return self._ask(lambda: [owed for owed in self.rows.values() if owed.client == client])

    def reassign(self, computation: bytes, client: bytes) -> Deferred[list[Owed]]:
        """See `dispytw.node.journal.Journal`."""
        return self._ask(lambda: self._reassign(computation, client))

    def _reassign(self, computation: bytes, client: bytes) -> list[Owed]:
        mine = [attrs.evolve(owed, client=client) for owed in self.rows.values() if owed.computation == computation]
        self.rows.update((owed.attempt, owed) for owed in mine)
        return mine

    def expire(self, seconds: float, spared: Sequence[bytes]) -> Deferred[list[Attempt]]:
        """Nothing gets old here."""
        return self._ask(list)

    def owners(self) -> list[tuple[bytes, bytes, bytes]]:
        """See `dispytw.node.journal.Journal`."""
        return list(dict.fromkeys((owed.client, owed.computation, owed.token) for owed in self.rows.values()))


@attrs.define(eq=False)
class _Running:
    computation: bytes
    call: Any
    began: float | None = None
    cancelled: bool = False


@attrs.frozen
class Standing:
    """What a starting daemon learns of a supervisor that was there before.

    :param lives: whether it does, or has only left outcomes.
    :param runs: what is there, with wall times of starts.
    """

    papers: Papers
    lives: bool
    closing: bool
    runs: list[tuple[Attempt, float | None]]
    owed: dict[Attempt, Outcome]


class MemoryLauncher:
    """The supervisors of one node. A job's body is the seconds that it takes, as text; with a minus in front it raises after those.

    They go on while the node's daemon is suspended, and when it is killed; `attach` gives them the next one. Jobs beyond a
    supervisor's width wait.

    :param world: true time.
    :param wall: wall time, seconds.
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
        wall: Callable[[], float],
        width: int,
        body_began: Callable[[Attempt], None],
        body_ended: Callable[[Attempt, Outcome | None], None],
    ) -> None:
        self._world = world
        self._wall = wall
        self._width = width
        self._waiting: dict[Attempt, tuple[bytes, float, int]] = {}
        self._process: MemoryProcess | None = None
        self._events: JobEvents | None = None
        self._body_began = body_began
        self._body_ended = body_ended
        self._jobs: dict[Attempt, _Running] = {}
        self._supervisors: dict[bytes, Any] = {}
        self._papers: dict[bytes, Papers] = {}
        self._closing: set[bytes] = set()
        self._owed: dict[bytes, dict[Attempt, Outcome]] = {}
        self.setup_text = ""
        self.starting, self.cancelling = STARTING, CANCELLING

    def attach(self, process: MemoryProcess, events: JobEvents) -> list[Standing]:
        """A daemon starts: from now on it is told. Supervisors that are not ready, and those that have died, are swept.

        :param process: the daemon's.
        :param events: its steward.
        :returns: where the others stand, and what the dead have left.
        """
        self._process = None  # of the swept ones nobody is told
        for computation in [each for each in self._supervisors if not self._papers[each].is_ready]:
            self.kill_supervisor(computation)
        self._process, self._events = process, events
        left = [self._stands(computation) for computation in self._papers]
        for computation in [each for each in self._papers if each not in self._supervisors and not self._owed.get(each)]:
            del self._papers[computation]
        return left

    def _stands(self, computation: bytes) -> Standing:
        runs = [(attempt, running.began) for attempt, running in self._jobs.items() if running.computation == computation]
        runs += [(attempt, None) for attempt in self._waiting_of(computation)]
        lives, closing = computation in self._supervisors, computation in self._closing
        return Standing(self._papers[computation], lives, closing, runs, dict(self._owed.get(computation, {})))

    def _waiting_of(self, computation: bytes) -> list[Attempt]:
        return [attempt for attempt, (owner, *_) in self._waiting.items() if owner == computation]

    def _tell(self, event: str, *fields: Any) -> None:
        """Say something to the daemon of this moment; it is lost with that one."""
        if self._process is not None:
            self._world.callLater(self.starting / 10, self._process.deliver, partial(getattr(self._events, event), *fields))

    def launch(self, papers: Papers, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """Start a supervisor; setup() takes 10 ms."""
        computation = papers.computation.uid
        self._papers[computation] = papers
        self._supervisors[computation] = self._world.callLater(SETTING_UP, self._set_up, computation)

    def _set_up(self, computation: bytes) -> None:
        if self.setup_text:
            self._tell("setup_failed", computation, self.setup_text)
            self._gone(computation, "setup failed")
        else:
            self._papers[computation] = attrs.evolve(self._papers[computation], is_ready=True)
            self._tell("supervisor_ready", computation)

    def change_hands(self, computation: bytes, client: bytes, name: str) -> None:
        """It works for this client from now on."""
        if computation in self._papers:
            self._papers[computation] = attrs.evolve(self._papers[computation], client=client, name=name)

    def kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """The supervisor, or the file that it has left, forgets outcomes."""
        owed = self._owed.get(computation, {})
        for attempt in attempts:
            owed.pop(attempt, None)
        if not owed and computation not in self._supervisors:
            self._owed.pop(computation, None)
            self._papers.pop(computation, None)

    def start(
        self, computation: bytes, attempts: list[tuple[Attempt, Body]], timeouts: Mapping[Attempt, float] = MappingProxyType({})
    ) -> None:
        """Bodies begin a little later; one whose supervisor is gone already has ended with it."""
        for attempt, body in attempts:
            assert isinstance(body, Inline)
            if computation in self._supervisors and computation not in self._closing:
                seconds, limit = float(body.data or b"0"), timeouts.get(attempt, math.inf)
                status = FINISHED if 0 <= seconds <= limit else TERMINATED
                self._waiting[attempt] = (computation, min(abs(seconds), limit), status)
        self._fill()

    def _fill(self) -> None:
        for attempt, (computation, duration, status) in list(self._waiting.items()):
            if sum(running.computation == computation for running in self._jobs.values()) < self._width:
                del self._waiting[attempt]
                call = self._world.callLater(self.starting, self._begin, attempt, duration, status)
                self._jobs[attempt] = _Running(computation, call)

    def say(self, computation: bytes, frames: Sequence[Any]) -> None:
        """Bodies here have nothing to say."""

    def recall(self, computation: bytes, most: int) -> None:
        """Those that wait are given back, the last ones first."""
        if computation not in self._supervisors or computation in self._closing:
            return
        back = self._waiting_of(computation)[::-1][:most]
        for attempt in back:
            del self._waiting[attempt]
        generation = self._papers[computation].generation
        self._world.callLater(0.9 * self.starting, self._give_back, computation, generation, back)

    def _give_back(self, computation: bytes, generation: int, attempts: list[Attempt]) -> None:
        """Unless it has died meanwhile: nothing is told of a supervisor after its end."""
        if computation in self._supervisors and self._papers[computation].generation == generation:
            self._tell("jobs_given_back", computation, attempts)

    def _begin(self, attempt: Attempt, duration: float, status: int) -> None:
        running = self._jobs[attempt]
        running.began = self._wall()
        self._body_began(attempt)
        running.call = self._world.callLater(duration, self._end, attempt, status)
        self._tell("job_started", running.computation, attempt, running.began)

    def _end(self, attempt: Attempt, status: int, exception: str | None = None) -> None:
        running = self._jobs.pop(attempt)
        outcome = Outcome(status, exception=exception, started=running.began, ended=self._wall())
        if running.began is not None:
            self._body_ended(attempt, outcome)
        self._ended(running.computation, attempt, outcome)
        self._fill()

    def _ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        self._owed.setdefault(computation, {})[attempt] = outcome
        self._tell("job_ended", computation, attempt, outcome)

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """The job ends a little later; at once if it waits."""
        if self._waiting.pop(attempt, None) is not None:
            return self._ended(computation, attempt, Outcome(CANCELLED, ended=self._wall()))
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
        if computation not in self._supervisors:
            return
        self._closing.add(computation)
        running = [attempt for attempt, each in self._jobs.items() if each.computation == computation]
        for attempt in [*self._waiting_of(computation), *running]:
            self.cancel(computation, attempt)
        generation = self._papers[computation].generation
        self._world.callLater(2 * self.cancelling, self._end_supervisor, computation, generation)

    def _end_supervisor(self, computation: bytes, generation: int) -> None:
        if computation in self._supervisors and self._papers[computation].generation == generation:
            self.kill_supervisor(computation, "")

    def kill_supervisor(self, computation: bytes, text: str = "killed by signal 9 (SIGKILL)") -> None:
        """A supervisor dies, and its jobs with it."""
        if computation in self._supervisors:
            self._forget_jobs(computation)
            self._gone(computation, text)

    def _forget_jobs(self, computation: bytes) -> None:
        for attempt in self._waiting_of(computation):
            del self._waiting[attempt]
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
        self._closing.discard(computation)
        if text:  # it was killed, or never ready: what it owed has been said, and goes with it
            self._owed.pop(computation, None)
        if not self._owed.get(computation):
            self._papers.pop(computation, None)
        self._tell("supervisor_ended", computation, text)

    def die(self) -> None:
        """The machine is gone: supervisors end, and their jobs with them."""
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

    @property
    def owed(self) -> list[Attempt]:
        """Attempts whose outcomes no daemon has kept."""
        return [attempt for owed in self._owed.values() for attempt in owed]
