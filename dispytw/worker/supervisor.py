"""The supervisor: the process on a node that owns one computation. Single-threaded, no Twisted, no secret.

It is exec'd by the node's daemon, listens on a Unix socket, is told by the connecting daemon which computation it is (`Setup`), opens the
bundle, runs the user's setup() once and then forks what serves its slots, so that jobs inherit what setup() left in memory. The loop below
sleeps in a selector until a frame, a word from a slot, a death (SIGCHLD) or a timer comes; who has which job is in `jobs`.

It keeps each outcome until its daemon says that it is kept. When the daemon is gone it goes on: it reads the old connection to its end, so
that whatever was handed over is here, and only then accepts the next daemon and tells it where it stands. Without a daemon for the
lease, or at an end at which outcomes are left, it writes these to a file (`dispytw.wire.spool`).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Collection
from functools import partial
from time import monotonic
from typing import Any

import attrs

from dispytw.values import WORKER, Attempt
from dispytw.wire import spool
from dispytw.wire.bundle import decode, mentioned
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
from dispytw.worker import descriptors, spawning, tree
from dispytw.worker.computation import Computation, Terms
from dispytw.worker.daemonlink import DaemonConnection, is_same_user, listening
from dispytw.worker.ear import Ear
from dispytw.worker.gathering import GATHERING, Gathering
from dispytw.worker.hearing import Hearing
from dispytw.worker.jobs import Jobs
from dispytw.worker.servers import ForkedServers, Servers
from dispytw.worker.sources import Sources
from dispytw.worker.spawning import Spawner
from dispytw.worker.timeouts import Timeouts
from dispytw.worker.timers import Timers
from dispytw.worker.tracebacks import shortened, text_of
from dispytw.worker.zygote import Zygote, ZygoteEnded, end_likewise

#: Seconds in which a daemon must connect, or nobody will.
_CONNECT_LIMIT = 60.0
#: Seconds given to what setup() left running when the supervisor ends.
_END_LIMIT = 5.0
#: Seconds that an ending supervisor gives its daemon to keep the last outcomes, and after which it tries anew to write them.
_KEEPING, _AGAIN = 2.0, 1.0


@attrs.define(eq=False)
class Supervisor:
    """One computation's supervisor.

    :param listener: the listening socket.
    :param wakeup: becomes readable at every SIGCHLD.
    :param ear: the listening socket for jobs, and its path.
    :param zygote: where the computation lives; None where it lives here.
    """

    listener: socket.socket
    wakeup: socket.socket
    ear: tuple[socket.socket, str]
    zygote: Zygote | None = None
    timers: Timers = attrs.field(factory=Timers)
    _sources: Sources = attrs.field(factory=Sources)
    _daemon: DaemonConnection | None = None
    _unsaid: Gathering = attrs.field(factory=Gathering)
    _visits: int = 0
    _owed: dict[Attempt, Ended] = attrs.field(factory=dict)
    _setup: Setup | None = None
    _computation: Computation | None = None
    _spawner: Spawner | None = None
    _jobs: Jobs | None = None
    _timeouts: Timeouts | None = None
    _closing: Close | None = None
    _hearing: Hearing = attrs.field(
        init=False,
        default=attrs.Factory(lambda me: Hearing(me.ear, me._watch, me._unwatch, me.timers, me._say), takes_self=True),
    )

    def run(self) -> int:
        """Serve until closed or left alone for too long; returns the process's exit status."""
        self._watch(self.wakeup, self._child_ended)
        self._expect_a_daemon(_CONNECT_LIMIT)
        try:
            while self._closing is None or self._jobs:
                self._turn()
            return self._end(self._closing)
        except ZygoteEnded as ended:
            self._part_in_haste()
            end_likewise(ended.wait_status)

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
        if self.zygote is not None:
            self.zygote.look()
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
        self._tell(Ready())

    def _made_jobs(self, setup: Setup) -> Jobs:
        forks, most_jobs = setup.isolation != WORKER, setup.max_jobs_per_worker
        starter: Servers
        if self._spawner is not None:
            forks, most_jobs, starter = False, self._spawner.most_jobs, self._spawner
        elif self._computation is not None:
            self._computation.settle()
            starter = ForkedServers(self._computation.begin, setup.out)
        else:
            assert self.zygote is not None
            starter = ForkedServers(self.zygote.fork, setup.out)
        return Jobs(
            tell=self._tell,
            watch=self._sources.watch_server,
            unwatch=self._sources.unwatch_server,
            timers=self.timers,
            starter=starter,
            forks=forks,
            out=setup.out,
            spared=frozenset(tree.children()),
            grace=setup.grace,
            width=setup.width,
            most_jobs=most_jobs,
        )

    def _tried(self, setup: Setup) -> str | None:
        """Why the computation cannot be run here, or None."""
        try:
            with open(setup.bundle, "rb") as file:
                bundle = file.read()
            terms = terms_of(setup, bundle, self.ear[1])
            self._hearing.set_up(setup)
            if spawning.spawns(setup):
                return self._set_up_spawning(setup, terms, bundle)
            if self.zygote is not None:
                return self.zygote.set_up(terms)
            self._computation = Computation(terms)
            self._computation.lay_out()
            return self._computation.set_up()
        except ZygoteEnded:
            raise
        except BaseException as error:
            return text_of(error)

    def _set_up_spawning(self, setup: Setup, terms: Terms, bundle: bytes) -> str | None:
        """The computation lives here, as what setup() leaves is to be looked at, and nobody is a copy of this process."""
        self._end_zygote()
        spawning.prepare()
        self._computation = Computation(terms)
        self._computation.lay_out()
        self._spawner = Spawner(setup, bundle, self._computation.namespace.names)
        return self._computation.set_up() or self._spawner.take_over()

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

    def _part_in_haste(self) -> None:
        """What has been heard of jobs is told and left in a file; those that run die with this process."""
        if self._daemon is not None:
            for frame in self._unsaid.take(monotonic() + GATHERING, low=True):
                self._daemon.send(frame)
            self._daemon.drain(_END_LIMIT)
        if self._owed:
            self._is_spooled()

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
        if self._computation is not None:
            return self._computation.clean_up()
        return self.zygote.clean_up() if self.zygote is not None and self._jobs is not None else 0

    def _end_zygote(self) -> None:
        if self.zygote is not None:
            self.zygote.end()
            self.zygote = None

    def _end_children(self) -> None:
        """End servers, and then what setup() left running, this time without exceptions."""
        deadline = monotonic() + _END_LIMIT
        tracker = tree.ended_resource_tracker()
        self._sweep_until(deadline, {tracker, self.zygote.pid if self.zygote is not None else 0})
        if self.zygote is not None:
            self._end_zygote()
            self._sweep_until(deadline, set())
        if tracker:
            os.waitpid(tracker, 0)

    def _sweep_until(self, deadline: float, spared: Collection[int]) -> None:
        while not tree.sweep(spared) and monotonic() < deadline:
            self._turn_until(deadline)

    def _turn_until(self, deadline: float) -> None:
        self.wakeup.settimeout(max(0.01, deadline - monotonic()))
        try:
            self.wakeup.recv(4096)
        except TimeoutError:
            pass  # the caller looks at the time


def _wake_up() -> None:
    """What was waited for is over, or not: whoever waits looks."""


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


def terms_of(setup: Setup, bundle: bytes, ear: str) -> Terms:
    """What the process has to know in which the computation lives.

    :raises PayloadError: when the bundle cannot be opened.
    """
    return Terms(
        *(decode(bundle), mentioned(bundle), setup.cwd, setup.program, setup.facts),
        *(setup.out, setup.spool, setup.isolation, setup.max_jobs_per_worker, ear),
    )


def main(path: str, notice: int, zygote: Zygote | None) -> int:
    """Be a supervisor; returns the process's exit status.

    :param path: of the Unix socket.
    :param notice: an inherited descriptor to which a byte is written when that listens.
    :param zygote: as `Supervisor` has it.
    """
    supervisor = Supervisor(listening(path), _hearing_of_children(), Ear.bound(path), zygote)
    os.write(notice, b"\n")
    os.close(notice)
    return supervisor.run()
