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

from dispytw.wire.batches import BATCHED
from dispytw.wire.late import msgpack
from dispytw.wire.payload import SUPPLEMENTED
from dispytw.worker import forking, masks, tree
from dispytw.worker.capture import Capture
from dispytw.worker.performer import NUDGE, Work, worker
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.serving import taken
from dispytw.worker.slotwords import ARGUMENTS, CANCELLED, FORM, HERE, PROGRAM, UNSTARTED, over, stored_path
from dispytw.worker.tracebacks import text_of
from dispytw.worker.voice import voice
from dispytw.worker.words import RAISED, RETURNED, STORED, Word, raised

#: Seconds after which a job has ended although something that it left does not die (a process stuck in the kernel).
PATIENCE = 5.0
#: Bytes of its stderr that are quoted for a job that died without a word.
TAIL = 2048

_INT, _TERM, _KILL, _CHLD = int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGKILL), int(signal.SIGCHLD)
#: What asks a forker to kill a worker.
FORCE = int(signal.SIGQUIT)
#: How an order goes on whose worker would load msgpack: from here on each finds it loaded.
_WITH_MSGPACK = (HERE + BATCHED, HERE + SUPPLEMENTED)
_HEARD = (_INT, _TERM, FORCE, NUDGE, _CHLD)


class Forker:
    """One slot's forker, in its own process.

    :param work: what all its jobs have in common.
    :param slot: whose jobs it takes.
    :ivar spent: whether something still runs that a job left and that does not die: no other job may be near it.
    """

    alone = True

    def __init__(self, work: Work, slot: ServedSlot) -> None:
        self.work, self.slot, self.spent = work, slot, False
        self._word = Word()
        self._failure: OSError | None = None

    def begin(self) -> None:
        """Block signals, and make ready what every worker gets."""
        if sys.platform != "linux":
            _signal.signal(_CHLD, _ignored)
        masks.hold(_HEARD)
        slot = self.slot
        for capture in (slot.stdout, slot.stderr):
            os.close(capture.descriptor)
        slot.stdout, slot.stderr = Capture(1, slot.stdout.cap), Capture(2, slot.stderr.cap)
        self._fork = forking.simplest() or self._full_fork
        self._be_worker = worker(self.work, self._word, slot.private if forking.simplest() else ())
        forking.tidy()

    def perform(self, order: bytes) -> bytes:
        """Fork a worker for the job, and see it to its end; a fork that fails is an outcome too."""
        tag, began = order[:FORM], time.time()
        if order[FORM : ARGUMENTS + 1] in _WITH_MSGPACK:
            msgpack()
        voice.tag = tag
        pid = self._fork()
        if pid == 0:
            self._be_worker(order)
        if pid < 0:
            return self._not_started(tag, began)
        status = self._seen_to_its_end(pid, tag)
        self.spent = not tree.is_childless() and not _is_swept()
        return self._over(tag, began, status)

    def _full_fork(self) -> int:
        """Fork where others want to know of it, or other threads run; like the C library's it returns -1 for an error."""
        try:
            return forking.fork(self._leave_to_worker)
        except OSError as error:
            self._failure = error
            return -1

    def _leave_to_worker(self) -> None:
        for descriptor in self.slot.private:
            os.close(descriptor)

    def _not_started(self, tag: bytes, began: float) -> bytes:
        word = raised(text_of(self._failure or forking.failure()), b"")
        return over(tag, began, time.time(), RAISED, word, bits=UNSTARTED)

    def _seen_to_its_end(self, pid: int, tag: bytes) -> int:
        """Sleep until the worker has ended, passing on what is meant for it; returns its wait status."""
        while True:
            signum = _signal.sigwait(_HEARD)
            if signum == _CHLD:
                status = tree.reap_last(pid)
                if status is not None:
                    return status
            elif self.slot.is_named(tag):
                self._pass_on(_KILL if signum == FORCE else signum, pid)

    def _pass_on(self, signum: int, pid: int) -> None:
        """A program shares signals with its process group, as at a terminal; a function gets SIGINT alone."""
        if signum != NUDGE and (self.work.program is not None or signum != _INT):
            tree.signal_group(pid, signum)
        os.kill(pid, signum)  # also reaches a worker that has no group of its own yet

    def _over(self, tag: bytes, began: float, status: int) -> bytes:
        slot = self.slot
        kind, word = self._word.take()
        if kind == RETURNED and slot.stdout.is_empty() and slot.stderr.is_empty():
            return over(tag, began, time.time(), kind, word)
        bits = CANCELLED * slot.is_named(tag) | PROGRAM * (self.work.program is not None)
        tail = b"" if kind else slot.stderr.tail(TAIL)
        if kind not in (RETURNED, STORED):
            _remove(stored_path(self.work.out, tag, "result"))
        stdout, stderr = (taken(each, stored_path(self.work.out, tag, name)) for each, name in self._outputs())
        return over(tag, began, time.time(), kind, word, status, bits, stdout, stderr, tail)

    def _outputs(self) -> tuple[tuple[Capture, str], tuple[Capture, str]]:
        return (self.slot.stdout, "stdout"), (self.slot.stderr, "stderr")


def _is_swept() -> bool:
    """Kill what a job left, and what comes up from below it; False if it does not die."""
    deadline = time.monotonic() + PATIENCE
    while not tree.sweep(()):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        signal.sigtimedwait({_CHLD}, left)
    return True


def _ignored(signum: int, frame: object) -> None:
    """Never called, as the signal is blocked: but where ignored signals are not kept, it has to seem that somebody wants it."""


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
