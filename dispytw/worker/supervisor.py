"""The supervisor: the process on a node that owns one computation. Single-threaded, no Twisted, no secret.

It is exec'd by the node's daemon, listens on a Unix socket, is told by the connecting daemon which computation it is (`Setup`), opens the
bundle, runs the user's setup() once and then forks what serves its slots, so that jobs inherit what setup() left in memory. The loop below
sleeps in a selector until a frame, a word from a slot, a death (SIGCHLD) or a timer comes; who has which job is in `keptjobs`.

It keeps each outcome until its daemon says that it is kept. When the daemon is gone it goes on: it reads the old connection to its end, so
that whatever was handed over is here, and only then accepts the next daemon and tells it where it stands. Without a daemon for the
lease, or at an end at which outcomes are left, it writes these to a file (`dispytw.wire.spool`).
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

import attrs

from dispytw.values import WORKER, Attempt
from dispytw.wire import spool
from dispytw.wire.frames import (
    Cancel,
    Close,
    Ended,
    Frame,
    GivenBack,
    Kept,
    Ready,
    Recall,
    Setup,
    SetupFailed,
    Standing,
    Start,
)
from dispytw.wire.jobframes import TO_JOBS
from dispytw.worker import capture, descriptors, forking, jobfunctions, spawning, tree
from dispytw.worker.daemonlink import DaemonConnection, is_same_user, listening
from dispytw.worker.ear import Ear
from dispytw.worker.forker import Forker
from dispytw.worker.gathering import Gathering
from dispytw.worker.hearing import Hearing
from dispytw.worker.keptjobs import KeptJobs
from dispytw.worker.keptperformer import KeptWorker
from dispytw.worker.keptslots import KeptSlot
from dispytw.worker.performer import Work, look_at_modules
from dispytw.worker.serving import ForkedServers, Performer, Servers
from dispytw.worker.sources import Sources
from dispytw.worker.spawning import Spawner
from dispytw.worker.timeouts import Timeouts
from dispytw.worker.timers import Timers
from dispytw.worker.tracebacks import shortened, text_of

#: Seconds in which a daemon must connect, or nobody will.
_CONNECT_LIMIT = 60.0
#: Seconds given to what setup() left running when the supervisor ends.
_END_LIMIT = 5.0
#: Seconds that an ending supervisor gives its daemon to keep the last outcomes, and after which it tries anew to write them.
_KEEPING, _AGAIN = 2.0, 1.0
#: What setup() returns for success (dispy's manual; jobs are always forked from here, so the three mean the same).
_SUCCESS = (0, 1, 2)


@attrs.define(eq=False)
class Supervisor:
    """One computation's supervisor.

    :param listener: the listening socket.
    :param wakeup: becomes readable at every SIGCHLD.
    :param ear: the listening socket for jobs, and its path.
    """

    listener: socket.socket
    wakeup: socket.socket
    ear: tuple[socket.socket, str]
    timers: Timers = attrs.field(factory=Timers)
    _sources: Sources = attrs.field(factory=Sources)
    _daemon: DaemonConnection | None = None
    _unsaid: Gathering = attrs.field(factory=Gathering)
    _visits: int = 0
    _owed: dict[Attempt, Ended] = attrs.field(factory=dict)
    _setup: Setup | None = None
    _namespace: Any = None
    _spawner: Spawner | None = None
    _jobs: KeptJobs | None = None
    _timeouts: Timeouts | None = None
    _closing: Close | None = None
    _hearing: Hearing = attrs.field(
        init=False, default=attrs.Factory(lambda me: Hearing(me.ear, me._watch, me._unwatch, me.timers, me._say), takes_self=True)
    )

    def run(self) -> int:
        """Serve until closed or left alone for too long; returns the process's exit status."""
        self._watch(self.wakeup, self._child_ended)
        self._expect_a_daemon(_CONNECT_LIMIT)
        while self._closing is None or self._jobs:
            self._turn()
        return self._end(self._closing)

    def _turn(self) -> None:
        self._sources.hear(self._rest(), 0.0 if self._jobs is None else self._jobs.ease)
        self.timers.run()
        if self._daemon is not None:
            for frame in self._unsaid.take(monotonic(), self._jobs is None or self._jobs.runs_low(len(self._unsaid))):
                self._daemon.send(frame)
            self._daemon.flush()
            self._sources.expect_room(self._daemon.connection, self._daemon.wants_to_write)

    def _rest(self) -> float | None:
        """Seconds for which there is nothing to do unless something happens."""
        waits = [wait for wait in (self.timers.wait(), self._unsaid.wait(monotonic())) if wait is not None]
        return min(waits, default=None)

    def _watch(self, source: Any, call: Callable[[], None]) -> None:
        self._sources.watch(source, call)

    def _unwatch(self, source: Any) -> None:
        self._sources.unwatch(source)

    def _expect_a_daemon(self, lease: float) -> None:
        self._watch(self.listener, self._accept)
        self.timers.after(lease, partial(self._end_if_alone, self._visits))

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        if not is_same_user(connection):
            connection.close()
            return
        self._unwatch(self.listener)  # the next daemon waits until this one's words are read to the last
        self._visits += 1
        self._daemon = daemon = DaemonConnection(connection, self._received, self._daemon_lost)
        self._watch(connection, daemon.read)
        for frame in [*(self._jobs.standing() if self._jobs is not None else ()), *self._owed.values()]:
            daemon.send(frame)
        daemon.send(Standing(self._jobs is not None, self._closing is not None))
        self._hearing.connected(daemon)

    def _end_if_alone(self, visits: int) -> None:
        if self._daemon is None and self._visits == visits and self._closing is None:
            self._close(Close(cleanup=False))

    def _daemon_lost(self) -> None:
        assert self._daemon is not None
        self._unwatch(self._daemon.connection)
        self._daemon = None
        self._unsaid.clear()
        self._hearing.daemon_lost()
        if self._setup is None or self._jobs is None:
            self._closing = Close(cleanup=False)  # nothing of it is known to anybody
        else:
            self._expect_a_daemon(self._setup.lease)

    def _child_ended(self) -> None:
        self.wakeup.recv(4096)
        if self._jobs is not None:
            self._jobs.reap()

    def _tell(self, frame: Frame) -> None:
        if self._timeouts is not None:
            frame = self._timeouts.told(frame)
        if isinstance(frame, Ended):
            self._owed[frame.attempt] = frame
            self._hearing.ended(frame.attempt)
        if self._daemon is not None:
            self._say(frame)

    def _say(self, frame: Frame) -> None:
        self._unsaid.add(frame, monotonic())

    def _received(self, frame: Frame) -> None:
        if self._timeouts is not None:
            self._timeouts.received(frame)
        if isinstance(frame, Kept):
            for attempt in frame.attempts:
                self._owed.pop(attempt, None)
        elif isinstance(frame, Setup) and self._jobs is None:
            self._set_up(frame)
        elif isinstance(frame, Close):
            self._close(frame)
        elif isinstance(frame, TO_JOBS):
            self._hearing.received(frame)
        elif self._jobs is None or self._closing is not None:
            return
        elif isinstance(frame, Start):
            self._jobs.start(frame.attempt, frame.args)
        elif isinstance(frame, Cancel):
            self._jobs.cancel(frame.attempt)
        elif isinstance(frame, Recall):
            self._tell(GivenBack(tuple(self._jobs.recall(frame.most))))

    def _close(self, close: Close) -> None:
        self._closing = close
        if self._jobs is not None:
            self._jobs.cancel_all()

    def _set_up(self, setup: Setup) -> None:
        self._setup = setup
        failure = self._tried(setup)
        if failure is not None:
            self._tell(SetupFailed(shortened(failure)))
            self._closing = Close(cleanup=False)
            return
        self._jobs = self._hearing.jobs = self._made_jobs(setup)
        self._timeouts = Timeouts(self.timers, self._jobs.cancel)
        forking.look_at_threads()
        look_at_modules()
        gc.collect()
        gc.freeze()  # a collection in a worker would touch, and so copy, every page of ours
        self._tell(Ready())

    def _made_jobs(self, setup: Setup) -> KeptJobs:
        servers: Servers
        if self._spawner is not None:
            forks, most_jobs, servers = False, self._spawner.most_jobs, self._spawner
        else:
            forks, most_jobs = setup.isolation != WORKER, setup.max_jobs_per_worker
            servers = ForkedServers(self._maker(setup), setup.out, most_jobs)
        return KeptJobs(
            tell=self._tell,
            watch=self._sources.watch_server,
            unwatch=self._sources.unwatch_server,
            timers=self.timers,
            servers=servers,
            forks=forks,
            out=setup.out,
            spared=frozenset(tree.children()),
            grace=setup.grace,
            width=setup.width,
            most_jobs=most_jobs,
        )

    def _maker(self, setup: Setup) -> Callable[[KeptSlot], Performer]:
        if setup.isolation != WORKER:
            return partial(Forker, Work.of(setup, self._namespace))
        return partial(KeptWorker, self._namespace, cwd=setup.cwd, out=setup.out)

    def _tried(self, setup: Setup) -> str | None:
        """Why the computation cannot be run here, or None."""
        try:
            _enter(setup)
            spawns = spawning.spawns(setup)
            if spawns:
                spawning.prepare()
            from dispytw.worker import namespace

            with open(setup.bundle, "rb") as file:
                bundle = file.read()
            self._namespace = namespace.load(bundle, facts={**setup.facts, "dispy_job_path": setup.cwd})
            self._hearing.set_up(setup, self._namespace.pack)
            self._spawner = Spawner(setup, bundle, self._namespace.names) if spawns else None
            failure = self._called_setup() if self._namespace.has_setup else None
            return self._spawner.take_over() if self._spawner is not None and failure is None else failure
        except BaseException as error:
            return text_of(error)

    def _called_setup(self) -> str | None:
        with _interruptible():
            returned = self._namespace.setup()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # how a cancel arrives, whatever setup() thought of it
        if isinstance(returned, int) and returned in _SUCCESS:
            return None
        return f"setup() returned {returned!r}; 0, 1 or 2 mean success"

    def _end(self, closing: Close) -> int:
        self._part_with_outcomes()
        status = self._cleaned_up() if closing.cleanup else 0
        if self._daemon is not None:
            self._daemon.drain(_END_LIMIT)
            self._daemon.close()  # from here on the daemon gives us a limited time
        self._end_children()
        return status

    def _part_with_outcomes(self) -> None:
        """The daemon keeps what it has been told, or a file does; where neither has room, wait for it."""
        patience = _KEEPING
        while self._owed:
            deadline = monotonic() + patience
            self.timers.after(patience, _wake_up)
            while self._owed and self._daemon is not None and monotonic() < deadline:
                self._turn()
            if self._owed and not self._is_spooled():
                patience = _AGAIN
                self._rest_until(deadline)

    def _is_spooled(self) -> bool:
        assert self._setup is not None
        try:
            spool.write(self._setup.spool, self._owed.values())
        except OSError as error:
            print(f"outcomes cannot be written: {error}", file=sys.stderr)
            return False
        self._owed.clear()
        return True

    def _rest_until(self, deadline: float) -> None:
        while self._owed and self._daemon is None and monotonic() < deadline:
            self._turn()

    def _cleaned_up(self) -> int:
        if self._namespace is None or not self._namespace.has_cleanup:
            return 0
        try:
            with _interruptible():
                self._namespace.cleanup()
            return 0
        except BaseException:
            traceback.print_exc()
            return 1

    def _end_children(self) -> None:
        """End what setup() left running, this time without exceptions."""
        tracker = tree.ended_resource_tracker()
        deadline = monotonic() + _END_LIMIT
        while not tree.sweep({tracker}) and monotonic() < deadline:
            self._turn_until(deadline)
        if tracker:
            os.waitpid(tracker, 0)

    def _turn_until(self, deadline: float) -> None:
        self.wakeup.settimeout(max(0.01, deadline - monotonic()))
        try:
            self.wakeup.recv(4096)
        except TimeoutError:
            pass  # the caller looks at the time


def _wake_up() -> None:
    """What was waited for is over, or not: whoever waits looks."""


def _enter(setup: Setup) -> None:
    os.makedirs(setup.out, exist_ok=True)
    os.chdir(setup.cwd)
    sys.path[0] = setup.cwd
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = setup.cwd  # type: ignore[attr-defined]


class _interruptible:
    """While setup() and cleanup() run, SIGINT is not blocked, so that what they start does not inherit a blocked one."""

    def __enter__(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _hearing_of_children() -> socket.socket:
    """A socket that becomes readable at every SIGCHLD; SIGINT is blocked from here on."""
    ours, written = socket.socketpair()
    for end in (ours, written):
        end.setblocking(False)
        descriptors.keep(end.fileno())
    written_descriptor = written.detach()
    signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    signal.set_wakeup_fd(written_descriptor, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return ours


def main(arguments: Sequence[str] | None = None) -> int:
    """The program that the daemon executes.

    Its arguments are the path of the Unix socket, and an inherited descriptor to which a byte is written when that listens.
    """
    path, notice = sys.argv[1:] if arguments is None else arguments
    capture.write_by_line()
    if os.getsid(0) != os.getpid():
        os.setsid()
    tree.adopt_orphans()
    forking.note_registrations()
    supervisor = Supervisor(listening(path), _hearing_of_children(), Ear.bound(path))
    jobfunctions.log_to(2)
    os.write(int(notice), b"\n")
    os.close(int(notice))
    return supervisor.run()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
