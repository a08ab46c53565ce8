"""What gives each job of a slot a process of its own: a forker, forked from the supervisor once, forks a worker for every job.

It runs no code of the user's. It takes a job from the slot's queue, forks, and sleeps until a signal comes: the worker's end, or a cancel,
which it passes on. Then it ends whatever the job has left, reads the worker's word and its output, and says how it went. Workers are
copies of it, so they find what setup() left in memory, as in the supervisor; but where the supervisor has much to do between two forks,
and every page that it writes to meanwhile is copied, a forker has little.

Signals are blocked here, and taken one at a time; a worker unblocks them for its body. SIGINT, SIGTERM and SIGQUIT mean the attempt that
the slot names: the worker gets SIGINT, SIGTERM or SIGKILL, or nothing if its job is another one. SIGURG is passed on as it is.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see dispytw.worker.performer
import os
import signal
import sys
import time
from functools import partial

import attrs

from dispytw.values import TERMINATED, Attempt, Outcome
from dispytw.wire.frames import Ended, Start
from dispytw.worker import forking, masks, tree
from dispytw.worker.capture import Capture
from dispytw.worker.ending import judge
from dispytw.worker.keptslots import KeptSlot
from dispytw.worker.performer import NUDGE, Place, Work, perform, stored_path
from dispytw.worker.serving import taken
from dispytw.worker.tracebacks import text_of
from dispytw.worker.words import Word

#: Seconds after which a job has ended although something that it left does not die (a process stuck in the kernel).
PATIENCE = 5.0
#: Bytes of its stderr that are quoted for a job that died without a word.
TAIL = 2048

_INT, _TERM, _KILL, _CHLD = int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGKILL), int(signal.SIGCHLD)
#: What asks a forker to kill a worker.
FORCE = int(signal.SIGQUIT)
_HEARD = (_INT, _TERM, FORCE, NUDGE, _CHLD)


@attrs.define(eq=False)
class Forker:
    """One slot's forker, in its own process.

    :param work: what all its jobs have in common.
    :param slot: whose jobs it takes.
    :ivar spent: whether something still runs that a job left and that does not die: no other job may be near it.
    """

    work: Work
    slot: KeptSlot
    spent: bool = False
    _place: Place = attrs.field(init=False)
    _closing: tuple[int, ...] = ()

    def begin(self) -> None:
        """Block signals, and make ready what every worker gets."""
        if sys.platform != "linux":
            _signal.signal(_CHLD, _ignored)
        masks.hold(_HEARD)
        for capture in (self.slot.stdout, self.slot.stderr):
            os.close(capture.descriptor)
        self.slot.stdout, self.slot.stderr = Capture(1, self.slot.stdout.cap), Capture(2, self.slot.stderr.cap)
        self._closing = (self.slot.theirs.fileno(), self.slot.orders_out.fileno())
        self._place = Place(os.getpid(), Word())

    def perform(self, start: Start) -> Ended:
        """Fork a worker for the job, and see it to its end; a fork that fails is an outcome too."""
        began = time.time()
        try:
            pid = forking.fork(self._leave_to_worker)
        except OSError as error:
            return Ended(start.attempt, not_started(error))
        if pid == 0:
            perform(self.work, start, self._place)
        status = self._seen_to_its_end(pid, start.attempt)
        self.spent = not tree.is_childless() and not _is_swept()
        return Ended(start.attempt, self._outcome(start.attempt, status, began))

    def _leave_to_worker(self) -> None:
        for descriptor in self._closing:
            os.close(descriptor)

    def _seen_to_its_end(self, pid: int, attempt: Attempt) -> int:
        """Sleep until the worker has ended, passing on what is meant for it; returns its wait status."""
        while True:
            signum = _signal.sigwait(_HEARD)
            if signum == _CHLD:
                status = tree.reap_last(pid)
                if status is not None:
                    return status
            elif self.slot.is_named(attempt):
                self._pass_on(_KILL if signum == FORCE else signum, pid)

    def _pass_on(self, signum: int, pid: int) -> None:
        """A program shares signals with its process group, as at a terminal; a function gets SIGINT alone."""
        if signum != NUDGE and (self.work.program is not None or signum != _INT):
            tree.signal_group(pid, signum)
        os.kill(pid, signum)  # also reaches a worker that has no group of its own yet

    def _outcome(self, attempt: Attempt, status: int, began: float) -> Outcome:
        path = partial(stored_path, self.work.out, attempt)
        word = self._place.word.take(path("result"))
        program, cancelled = self.work.program is not None, self.slot.is_named(attempt)
        tail = "" if word else self.slot.stderr.tail(TAIL).decode("utf-8", "replace")
        ending = judge(word, status, cancelled=cancelled, program=program, stderr_tail=tail)
        if ending.result is None:
            _remove(path("result"))
        return Outcome(
            status=ending.status,
            result=ending.result,
            stdout=taken(self.slot.stdout, path("stdout"), attempt),
            stderr=taken(self.slot.stderr, path("stderr"), attempt),
            exception=ending.exception,
            started=began,
            ended=time.time(),
            reason=ending.reason,
            error=ending.error,
        )


def _is_swept() -> bool:
    """Kill what a job left, and what comes up from below it; False if it does not die."""
    deadline = time.monotonic() + PATIENCE
    while not tree.sweep(()):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        signal.sigtimedwait({_CHLD}, left)
    return True


def not_started(error: OSError) -> Outcome:
    """The outcome of an attempt for which no process could be made."""
    return Outcome(TERMINATED, exception=text_of(error), ended=time.time(), reason="its process could not be started")


def _ignored(signum: int, frame: object) -> None:
    """Never called, as the signal is blocked: but where ignored signals are not kept, it has to seem that somebody wants it."""


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
