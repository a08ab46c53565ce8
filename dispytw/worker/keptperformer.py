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

from dispytw.lighttyping import Any
from dispytw.wire.bundle import OWN_PLACE
from dispytw.wire.paths import OWN_FILES
from dispytw.worker import ownplace, tree
from dispytw.worker.performer import (
    NUDGE,
    Namespace,
    as_word,
    flush_output,
    forget_parents_children,
    nudged,
    read_order,
)
from dispytw.worker.raising import packed_error
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.serving import taken
from dispytw.worker.slotwords import FORM, over, stored_path
from dispytw.worker.tracebacks import text_of
from dispytw.worker.voice import voice
from dispytw.worker.words import RAISED, raised

_NEVER = float("nan")
_INT, _TERM = int(signal.SIGINT), int(signal.SIGTERM)


class KeptWorker:
    """One kept worker, in its own process.

    :param namespace: performs the jobs.
    :param cwd: where each job starts.
    :param out: directory for bodies above `INLINE_LIMIT`.
    """

    alone = spent = False

    def __init__(self, namespace: Namespace, slot: ServedSlot, *, cwd: str, out: str) -> None:
        self.namespace, self.slot, self.cwd, self.out = namespace, slot, cwd, out
        self._pid = os.getpid()
        self._running: bytes | None = None
        self._spared: frozenset[int] = frozenset()
        self._handlers: Sequence[tuple[int, Callable[[int, Any], None]]] = ()

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

    def perform(self, order: bytes) -> bytes:
        """Run one job."""
        self._prepare()
        tag = order[:FORM]
        began, kind, word = self._tried(order, tag)
        self.namespace.restore()
        ownplace.leave()
        if os.getpid() != self._pid:
            os._exit(1)  # a child that the job forked, coming back from the body: it has no word
        flush_output()
        self._sweep()
        stdout = taken(self.slot.stdout, stored_path(self.out, tag, "stdout"))
        stderr = taken(self.slot.stderr, stored_path(self.out, tag, "stderr"))
        return over(tag, began, time.time(), kind, word, stdout=stdout, stderr=stderr)

    def _prepare(self) -> None:
        """What an earlier job may have changed and the next one relies on."""
        os.dup2(self.slot.stdout.descriptor, 1)
        os.dup2(self.slot.stderr.descriptor, 2)
        os.chdir(self.cwd)
        self._hear_signals()

    def _tried(self, order: bytes, tag: bytes) -> tuple[float, int, bytes]:
        """When the body began, nan if it did not, and the word that tells how it went."""
        began = _NEVER
        try:
            try:
                payload = read_order(order)
                if payload[:1] == OWN_PLACE:
                    payload = ownplace.enter(payload, stored_path(self.out, tag, OWN_FILES), self.cwd)
                began = time.time()
                self._running = tag
                self._look_whether_cancelled(tag)
                voice.tag = tag
                result = self.namespace.perform(payload)
            finally:
                self._running = None
            return began, *as_word(result, self.out, tag)
        except BaseException as error:
            self._running = None
            return began, RAISED, raised(text_of(error), packed_error(error, self.namespace))

    def _look_whether_cancelled(self, tag: bytes) -> None:
        if self.slot.is_named(tag):
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
