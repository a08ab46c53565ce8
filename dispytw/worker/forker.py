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
from collections.abc import Callable

from dispytw.wire.batches import BATCHED
from dispytw.wire.late import msgpack
from dispytw.wire.payload import SUPPLEMENTED
from dispytw.worker import forking, masks, tree
from dispytw.worker.capture import Capture
from dispytw.worker.performer import NUDGE, Work, worker
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.serving import taken
from dispytw.worker.slotwords import (
    ARGUMENTS,
    CANCELLED,
    FORM,
    HERE,
    OVER,
    OVER_ALL,
    OVERVIEW,
    PROGRAM,
    UNSTARTED,
    over,
    stored_path,
)
from dispytw.worker.tracebacks import text_of
from dispytw.worker.voice import voice
from dispytw.worker.words import HEAD, NONE, RAISED, RETURNED, STORED, Word, raised

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
    perform: Callable[[bytes], bytes]

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
        self.perform = self._performing(forking.simplest())
        forking.tidy()

    def _performing(self, simplest: Callable[[], int] | None) -> Callable[[bytes], bytes]:
        """Makes `perform`, which forks a worker for a job, and sees it to its end; a fork that fails is an outcome too.

        Everything is looked up here, and the usual course calls few functions of ours: whatever is touched after a fork is a page to be
        copied.

        :param simplest: `forking.simplest`.
        """
        fork = forking.staying(simplest) if simplest else self._full_fork
        be_worker = worker(self.work, self._word, self.slot.private if simplest else ())
        sigwait, heard, chld = _signal.sigwait, _HEARD, _CHLD
        reap_last, is_childless, now, lseek, end = tree.reap_last, tree.is_childless, time.time, os.lseek, os.SEEK_END
        pack, memory, unpack = OVER_ALL.pack, self._word.memory, HEAD.unpack_from
        slot, form, arguments, head, sizes = self.slot, FORM, ARGUMENTS + 1, HEAD.size, OVERVIEW.size
        with_msgpack, none, returned, kind_over = _WITH_MSGPACK, NONE, RETURNED, OVER

        def perform(order: bytes) -> bytes:
            tag, began = order[:form], now()
            if order[form:arguments] in with_msgpack:
                msgpack()
            voice.tag = tag
            pid = fork()
            if pid == 0:
                be_worker(order)
            if pid < 0:
                return self._not_started(tag, began)
            status = None
            while status is None:
                signum = sigwait(heard)
                if signum == chld:
                    status = reap_last(pid)
                elif slot.is_named(tag):
                    self._pass_on(_KILL if signum == FORCE else signum, pid)
            self.spent = not is_childless() and not _is_swept()
            kind, size = unpack(memory)
            if kind != returned or lseek(1, 0, end) or lseek(2, 0, end):
                return self._over(tag, began, status)
            memory[0] = none
            word = memory[head : head + size]
            size = len(word)
            return pack(kind_over, sizes + size, tag, began, now(), 0, 0, kind, size, 0, 0, 0) + word

        return perform

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

    def _pass_on(self, signum: int, pid: int) -> None:
        """A program shares signals with its process group, as at a terminal; a function gets SIGINT alone."""
        if signum != NUDGE and (self.work.program is not None or signum != _INT):
            tree.signal_group(pid, signum)
        os.kill(pid, signum)  # also reaches a worker that has no group of its own yet

    def _over(self, tag: bytes, began: float, status: int) -> bytes:
        """What is to be said when there is more than a short result."""
        slot = self.slot
        kind, word = self._word.take()
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
