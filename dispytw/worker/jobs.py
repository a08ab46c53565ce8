"""The jobs that run under one supervisor: forked, heard, watched, cancelled, and told of when nothing of them is left.

A job's life here: *running* from the fork on, *dead* when its process has been reaped, *ended* when the sweep finds no process that it left
behind. Only then is its outcome told and its slot used again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

import attrs

from dispytw.values import CANCELLED, TERMINATED, Attempt, Body, Outcome, Stored
from dispytw.wire.frames import Ended, Frame, Raised, Returned, Runs, Started
from dispytw.worker import descriptors, tree
from dispytw.worker.ending import judge
from dispytw.worker.performer import AGAIN, Work, perform, stored_path
from dispytw.worker.slots import Slot
from dispytw.worker.timers import Timers
from dispytw.worker.tracebacks import text_of

#: Seconds between looks at what running jobs have written and said; their ends are noticed at once.
LOOK = 0.1
#: Seconds after which an outcome is told although something the job left does not die (a process stuck in the kernel).
PATIENCE = 5.0
#: Why a job that waited when it was cancelled has ended.
UNSTARTED = "cancelled before it started"
#: Bytes of its stderr that are quoted for a job that died without a word.
TAIL = 2048


@attrs.define(eq=False)
class Job:
    """A running job, or a dead one that waits for the sweep."""

    work: Work
    slot: Slot
    pid: int
    forked: float
    began: float | None
    word: Frame | None = None
    cancelled: bool = False
    wait_status: int | None = None
    taken: dict[str, Body] = attrs.field(factory=dict)

    @property
    def is_dead(self) -> bool:
        """Whether its process has been reaped."""
        return self.wait_status is not None

    def take(self, output: str, path: str) -> Body:
        """What it has written to one of its outputs, once; the file at ``path`` if it is long.

        :raises OSError: when there is no room for that.
        """
        if output not in self.taken:
            self.taken[output] = getattr(self.slot, output).take(path)
        return self.taken[output]

    def signal(self, signum: int) -> None:
        """A signal to the worker; a program shares it with its process group, as at a terminal."""
        if self.is_dead:
            return
        if self.work.program or signum != signal.SIGINT:
            tree.signal_group(self.pid, signum)
        os.kill(self.pid, signum)  # also reaches a worker that has no group of its own yet


@attrs.define(eq=False)
class Jobs:
    """All jobs of one supervisor.

    :param tell: takes the frames meant for the daemon.
    :param work: makes the `Work` of an attempt.
    :param out: directory for captures and long bodies.
    :param spared: direct children that setup() left and jobs may use.
    :param grace: seconds between the steps of a cancel.
    :param width: how many jobs may run at the same time.
    """

    tell: Callable[[Frame], None]
    timers: Timers
    work: Callable[[Attempt, Body], Work]
    out: str
    spared: frozenset[int]
    grace: float
    width: int
    _waiting: dict[Attempt, Body] = attrs.field(factory=dict)
    _running: dict[Attempt, Job] = attrs.field(factory=dict)
    _free: list[Slot] = attrs.field(factory=list)
    _looking: bool = False

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)

    def start(self, attempt: Attempt, args: Body) -> None:
        """Fork a worker for the attempt, or let it wait for an earlier one to end."""
        self._waiting[attempt] = args
        self._fill()

    def recall(self, most: int) -> list[Attempt]:
        """Give up at most so many attempts that have not started, the last ones first."""
        return [self._waiting.popitem()[0] for _ in range(min(most, len(self._waiting)))]

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self.width:
            attempt = next(iter(self._waiting))
            self._fork(attempt, self._waiting.pop(attempt))

    def _fork(self, attempt: Attempt, args: Body) -> None:
        """A worker for the attempt; a fork that fails is an outcome too."""
        supervisor = os.getpid()
        _flush_output()
        try:
            slot = self._free.pop() if self._free else self._new_slot()
            work = self.work(attempt, args)
            pid = descriptors.fork(slot.passing)
        except OSError as error:
            return self.tell(Ended(attempt, not_started(error)))
        if pid == 0:
            perform(work, slot, supervisor)
        began = time.time()
        self._running[attempt] = Job(work, slot, pid, began, began)
        self.tell(Started(attempt, began))
        self._look_soon()

    def standing(self) -> list[Runs]:
        """What is here, for a daemon that has just connected."""
        running = [(job.work.attempt, job.work.args, job.forked) for job in self._running.values()]
        waiting = [(attempt, args, None) for attempt, args in self._waiting.items()]
        return [Runs(attempt, when, args if isinstance(args, Stored) else None) for attempt, args, when in [*running, *waiting]]

    def cancel(self, attempt: Attempt) -> None:
        """KeyboardInterrupt, then SIGTERM, then SIGKILL; nothing for an attempt that has ended or is being cancelled."""
        if self._waiting.pop(attempt, None) is not None:
            return self.tell(Ended(attempt, Outcome(CANCELLED, ended=time.time(), reason=UNSTARTED)))
        job = self._running.get(attempt)
        if job is None or job.cancelled or job.is_dead:
            return
        job.cancelled = True
        job.signal(signal.SIGINT)
        self.timers.after(self.grace, partial(job.signal, signal.SIGTERM))
        self.timers.after(2 * self.grace, partial(job.signal, signal.SIGKILL))

    def cancel_all(self) -> None:
        """Cancel every job."""
        for attempt in [*self._waiting, *self._running]:
            self.cancel(attempt)

    def reap(self) -> None:
        """Look which workers have died, sweep, and tell the outcomes of those of whom nothing is left."""
        for job in self._running.values():
            if not job.is_dead:
                job.wait_status = tree.reap(job.pid)
        dead = [job for job in self._running.values() if job.is_dead]
        if not dead:
            return
        if tree.sweep(self.spared.union(job.pid for job in self._running.values() if not job.is_dead)):
            for job in dead:
                self._end(job)
        else:
            self.timers.after(PATIENCE, partial(self._give_up, dead))

    def _new_slot(self) -> Slot:
        return Slot.open(self.out)

    def _hear(self, job: Job) -> None:
        for frame in job.slot.hear():
            if isinstance(frame, (Returned, Raised)):
                job.word = frame
                job.began = frame.began

    def _give_up(self, dead: list[Job]) -> None:
        for job in dead:
            if self._running.get(job.work.attempt) is job:
                job.slot.sound = False
                self._end(job)

    def _end(self, job: Job) -> None:
        self._hear(job)
        try:
            outcome = self._outcome(job)
        except OSError as error:
            return self._wait_for_room(job, error)
        del self._running[job.work.attempt]
        job.slot.renew()
        if job.slot.sound:
            self._free.append(job.slot)
        else:
            job.slot.close()
        self.tell(Ended(job.work.attempt, outcome))
        self._fill()

    def _wait_for_room(self, job: Job, error: OSError) -> None:
        """Its output does not fit on the disk: the job has not ended before it does."""
        print(f"the output of a job cannot be stored: {error}", file=sys.stderr)
        self.timers.after(AGAIN, self.reap)

    def _outcome(self, job: Job) -> Outcome:
        assert job.wait_status is not None
        program = job.work.program is not None
        tail = "" if job.word else job.slot.stderr.tail(TAIL).decode("utf-8", "replace")
        ending = judge(job.word, job.wait_status, cancelled=job.cancelled, program=program, stderr_tail=tail)
        path = partial(stored_path, self.out, job.work.attempt)
        if ending.result is None:
            _remove(path("result"))
        return Outcome(
            status=ending.status,
            result=ending.result,
            stdout=job.take("stdout", path("stdout")),
            stderr=job.take("stderr", path("stderr")),
            exception=ending.exception,
            started=job.began,
            ended=time.time(),
            reason=ending.reason,
            error=ending.error,
        )

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self.timers.after(LOOK, self._look)

    def _look(self) -> None:
        self._looking = False
        for job in self._running.values():
            job.slot.stdout.cut()
            job.slot.stderr.cut()
            self._hear(job)  # a word may be longer than the socket holds
        if self._running:
            self._look_soon()


def not_started(error: OSError) -> Outcome:
    """The outcome of an attempt for which no process could be made."""
    return Outcome(TERMINATED, exception=text_of(error), ended=time.time(), reason="its process could not be started")


def _flush_output() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
