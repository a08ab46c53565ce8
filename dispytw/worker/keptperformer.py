"""What a kept worker does with a job: it runs the body in its own process, and when that is over kills whatever it left running.

SIGINT and SIGTERM mean an attempt, which the slot names. A signal that comes late finds another attempt running, or none, and does nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see dispytw.worker.performer
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from dispytw.values import FINISHED, TERMINATED, Attempt, Body, Outcome
from dispytw.wire.bundle import OWN_PLACE
from dispytw.wire.frames import Ended, Start
from dispytw.wire.paths import OWN_FILES
from dispytw.worker import ownplace, speaking, tree
from dispytw.worker.keptslots import KeptSlot
from dispytw.worker.performer import (
    NUDGE,
    Namespace,
    flush_output,
    forget_parents_children,
    nudged,
    read_body,
    stored_path,
    written_body,
)
from dispytw.worker.raising import packed_error
from dispytw.worker.serving import taken
from dispytw.worker.tracebacks import text_of

_INT, _TERM = int(signal.SIGINT), int(signal.SIGTERM)


@attrs.define(eq=False)
class KeptWorker:
    """One kept worker, in its own process.

    :param namespace: performs the jobs.
    :param cwd: where each job starts.
    :param out: directory for bodies above `INLINE_LIMIT`.
    """

    namespace: Namespace
    slot: KeptSlot
    cwd: str
    out: str
    spent: bool = False
    _pid: int = attrs.field(factory=os.getpid)
    _running: Attempt | None = None
    _spared: frozenset[int] = frozenset()
    _handlers: Sequence[tuple[int, Callable[[int, Any], None]]] = ()

    def begin(self) -> None:
        """Hear signals from now on; processes that are there already belong to the computation's modules, and no job has left them."""
        self._spared = frozenset(tree.children())
        self._handlers = ((_INT, self._interrupted), (_TERM, self._terminated), (NUDGE, nudged))
        self._hear_signals()
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_INT,))

    def _hear_signals(self) -> None:
        for signum, handler in self._handlers:
            if _signal.getsignal(signum) != handler:
                _signal.signal(signum, handler)

    def perform(self, start: Start) -> Ended:
        """Run one job."""
        self._prepare()
        ended = self._tried(start)
        self.namespace.restore()
        ownplace.leave()
        if os.getpid() != self._pid:
            os._exit(1)  # a child that the job forked, coming back from the body: it has no word
        flush_output()
        self._sweep()
        path = partial(stored_path, self.out, start.attempt)
        stdout = taken(self.slot.stdout, path("stdout"), start.attempt)
        stderr = taken(self.slot.stderr, path("stderr"), start.attempt)
        return Ended(start.attempt, ended(stdout=stdout, stderr=stderr, ended=time.time()))

    def _prepare(self) -> None:
        """What an earlier job may have changed and the next one relies on."""
        os.dup2(self.slot.stdout.descriptor, 1)
        os.dup2(self.slot.stderr.descriptor, 2)
        os.chdir(self.cwd)
        self._hear_signals()

    def _tried(self, start: Start) -> Callable[..., Outcome]:
        """How the body went; the outcome lacks what is known when all that it left is over."""
        began = None
        try:
            try:
                payload = read_body(start.args)
                if payload[:1] == OWN_PLACE:
                    payload = ownplace.enter(payload, stored_path(self.out, start.attempt, OWN_FILES), self.cwd)
                began = time.time()
                self._running = start.attempt
                self._look_whether_cancelled(start.attempt)
                speaking.begin(start.attempt)
                result = self.namespace.perform(payload)
            finally:
                self._running = None
            return partial(Outcome, FINISHED, self._written(start.attempt, result), started=began)
        except BaseException as error:
            self._running = None
            packed = packed_error(error, self.namespace)
            return partial(Outcome, TERMINATED, exception=text_of(error), started=began, error=packed)

    def _written(self, attempt: Attempt, result: bytes) -> Body:
        return written_body(result, stored_path(self.out, attempt, "result"))

    def _look_whether_cancelled(self, attempt: Attempt) -> None:
        if self.slot.is_named(attempt):
            raise KeyboardInterrupt

    def _interrupted(self, signum: int, frame: Any) -> None:
        if self._running is not None and self.slot.is_named(self._running) and os.getpid() == self._pid:
            self._running = None
            raise KeyboardInterrupt

    def _terminated(self, signum: int, frame: Any) -> None:
        if self._running is not None and self.slot.is_named(self._running):
            _signal.signal(signal.SIGTERM, _signal.SIG_DFL)
            os.killpg(0, signal.SIGTERM)

    def _sweep(self) -> None:
        """Kill what the job left running; shared memory's tracker stays, as the module would only start another."""
        if not tree.has_children():
            return
        tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
        spared = self._spared.union({getattr(tracker, "_pid", None) or 0})
        if not tree.children() <= spared:
            while not tree.sweep(spared):
                time.sleep(0.001)  # a killed process needs its moment; nothing else is to be done here
            if "multiprocessing.process" in sys.modules:
                forget_parents_children()
