"""What a kept worker does with its life: job after job, from the queue of its slot, until it is ended.

Before a body runs, the worker says `Started` to the supervisor: when it dies, this is the job that it dies of, and those still in the queue
have not started. When the body is over it says `Ended` with everything that belongs to that job: result, output, traceback. Between
two jobs it kills whatever the first one left running, and both words go out in one write.

SIGINT and SIGTERM mean an attempt, which the slot names. A signal that comes late finds another attempt running, or none, and does nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see dispytw.worker.performer
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import attrs

from dispytw.values import FINISHED, TERMINATED, Attempt, Body, Outcome
from dispytw.wire.frames import Ended, Start, Started, encode
from dispytw.worker import descriptors, tree
from dispytw.worker.capture import Capture
from dispytw.worker.keptslots import KeptSlot
from dispytw.worker.performer import (
    AGAIN,
    FULL,
    Namespace,
    become_worker,
    flush_output,
    forget_parents_children,
    read_body,
    stored_path,
    written_body,
)
from dispytw.worker.raising import packed_error
from dispytw.worker.tracebacks import text_of


@attrs.define(eq=False)
class KeptWorker:
    """One kept worker, in its own process.

    :param namespace: performs the jobs.
    :param cwd: where each job starts.
    :param out: directory for bodies above `INLINE_LIMIT`.
    :param most_jobs: after so many it ends, and is replaced.
    """

    namespace: Namespace
    slot: KeptSlot
    cwd: str
    out: str
    most_jobs: int | None
    _pid: int = attrs.field(factory=os.getpid)
    _running: Attempt | None = None

    def serve(self) -> None:
        """Run jobs for as long as there are any, and wait for more."""
        start = self.slot.take(wait=True)
        said, done = b"", 0
        while start is not None:
            said += encode(Started(start.attempt, time.time()))
            self._say(said)
            said = encode(self._performed(start))
            done += 1
            if done == self.most_jobs:
                break
            start = self.slot.take(wait=False)
            if start is None:
                self._say(said)
                said, start = b"", self.slot.take(wait=True)
        self._say(said)

    def _say(self, said: bytes) -> None:
        if said and descriptors.is_ours(self.slot.theirs.fileno()):
            self.slot.theirs.sendall(said)
        elif said:
            os._exit(1)  # closed by the job: whatever is there now is not ours to write to

    def _performed(self, start: Start) -> Ended:
        self._prepare()
        outcome = self._tried(start)
        if os.getpid() != self._pid:
            os._exit(1)  # a child that the job forked, coming back from the body: it has no word
        flush_output()
        self._sweep()
        path = partial(stored_path, self.out, start.attempt)
        stdout, stderr = _taken(self.slot.stdout, path("stdout")), _taken(self.slot.stderr, path("stderr"))
        return Ended(start.attempt, attrs.evolve(outcome, stdout=stdout, stderr=stderr, ended=time.time()))

    def _prepare(self) -> None:
        """What an earlier job may have changed and the next one relies on."""
        os.dup2(self.slot.stdout.descriptor, 1)
        os.dup2(self.slot.stderr.descriptor, 2)
        os.chdir(self.cwd)
        _signal.signal(signal.SIGINT, self._interrupted)
        _signal.signal(signal.SIGTERM, self._terminated)

    def _tried(self, start: Start) -> Outcome:
        began = None
        try:
            try:
                payload = read_body(start.args)
                began = time.time()
                self._running = start.attempt
                self._look_whether_cancelled(start.attempt)
                result = self.namespace.perform(payload)
            finally:
                self._running = None
            return Outcome(FINISHED, self._written(start.attempt, result), started=began)
        except BaseException as error:
            self._running = None
            packed = packed_error(error, self.namespace)
            return Outcome(TERMINATED, exception=text_of(error), started=began, error=packed)

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
        tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
        spared = {getattr(tracker, "_pid", None) or 0}
        if not tree.children() <= spared:
            while not tree.sweep(spared):
                time.sleep(0.001)  # a killed process needs its moment; nothing else is to be done here
            if "multiprocessing.process" in sys.modules:
                forget_parents_children()


def _taken(capture: Capture, path: str) -> Body:
    """What was captured; where the disk is full it waits for room."""
    while True:
        try:
            return capture.take(path)
        except OSError as error:
            if error.errno not in FULL:
                raise
            time.sleep(AGAIN)


def keep_performing(make: Callable[[], KeptWorker], slot: KeptSlot, supervisor: int) -> NoReturn:
    """Be a kept worker; called right after the fork, in the child, and never returns.

    :param make: makes the worker, in the child.
    :param supervisor: process id of the parent, without which a worker ends.
    """
    status = 1
    try:
        become_worker(slot, supervisor)
        for descriptor in slot.passing:
            descriptors.guard(descriptor)
        worker = make()
        _signal.signal(signal.SIGINT, worker._interrupted)
        _signal.signal(signal.SIGTERM, worker._terminated)
        _signal.pthread_sigmask(signal.SIG_UNBLOCK, (int(signal.SIGINT),))
        worker.serve()
        status = 0
    except BaseException as error:  # a fault of ours: the supervisor quotes it with the exit status
        os.write(2, text_of(error).encode())
    finally:
        os._exit(status)
