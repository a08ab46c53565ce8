"""The jobs of a supervisor: which server has which, who is cancelled, and what is known when a server dies.

A *server* is the process that serves a slot: a kept worker, or a forker, which forks a worker for each job.

A job here *waits*, is *given* to a server's queue, or *runs* from the moment its server said `Started`. What is given and not running can
be taken back at any time (see `dispytw.worker.slots`), so an idle server gets what waits behind a long job, and the death of a
server ends one job at most: the others never started, and run elsewhere.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from functools import partial

import attrs

from dispytw.values import CANCELLED, TERMINATED, Attempt, Body, Outcome, Stored
from dispytw.wire.frames import Ended, Frame, Runs, Started
from dispytw.worker import tree
from dispytw.worker.cancelling import Cancelling
from dispytw.worker.capture import Capture
from dispytw.worker.ending import CANCELLED_REASON, judge, not_started
from dispytw.worker.forker import PATIENCE, TAIL
from dispytw.worker.pace import Pace
from dispytw.worker.performer import AGAIN
from dispytw.worker.server import Server
from dispytw.worker.servers import Servers
from dispytw.worker.serverwords import noted
from dispytw.worker.slots import Slot
from dispytw.worker.slotwords import TAG as TAG_OF
from dispytw.worker.slotwords import stored_path
from dispytw.worker.stillborn import Stillborn
from dispytw.worker.timers import Timers
from dispytw.worker.tracebacks import text_of

#: Seconds between looks at what running jobs have written.
LOOK = 0.1
#: Why a job that waited when it was cancelled has ended.
UNSTARTED = "cancelled before it started"


@attrs.define(eq=False)
class Jobs:
    """All jobs of one supervisor.

    :param tell: takes the frames meant for the daemon.
    :param starter: starts the servers.
    :param forks: whether these are forkers.
    :param watch: called with each new server's socket and what to call when it can be read.
    :param out: directory for captures and long bodies.
    :param spared: direct children that setup() left and jobs may use.
    :param grace: seconds between the steps of a cancel (`Cancelling`).
    :param width: how many servers there may be.
    """

    tell: Callable[[Frame], None]
    watch: Callable[[socket.socket, Callable[[], None]], None]
    unwatch: Callable[[socket.socket], None]
    timers: Timers
    starter: Servers
    forks: bool
    out: str
    spared: frozenset[int]
    grace: float
    width: int
    most_jobs: int | None = None
    _waiting: dict[Attempt, Body] = attrs.field(factory=dict)
    _doomed: set[Attempt] = attrs.field(factory=set)
    _servers: list[Server] = attrs.field(factory=list)
    _dead: list[Server] = attrs.field(factory=list)
    _free: list[Slot] = attrs.field(factory=list)
    _pace: Pace = attrs.field(factory=Pace)
    _looking: bool = False
    _stillborn: Stillborn = attrs.field(factory=Stillborn)
    _cancelling: Cancelling = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._cancelling = Cancelling(self.timers, self.grace, self.forks)

    def __len__(self) -> int:
        return len(self._waiting) + sum(server.load for server in (*self._servers, *self._dead))

    def runs_low(self, untold: int) -> bool:
        """Whether no more jobs wait here than have ended and not been told, or than are done before others can come."""
        waiting = len(self._waiting) + sum(len(server.given) for server in self._servers)
        return waiting <= max(untold, self.width * self._pace.few)

    @property
    def ease(self) -> float:
        """Seconds for which servers need not be heard: see `Pace.ease`."""
        if len(self._servers) < self.width or self.most_jobs is not None:
            return 0.0
        return self._pace.ease(min(len(server.given) for server in self._servers))

    # What the daemon wants.
    def start(self, attempt: Attempt, args: Body) -> None:
        """Give the attempt to a server, or let it wait for one."""
        self._waiting[attempt] = args
        self._share()
        self._look_soon()

    def recall(self, most: int) -> list[Attempt]:
        """Give up at most so many attempts that have not started, the last ones first."""
        self._gather()
        recalled = [self._waiting.popitem()[0] for _ in range(min(most, len(self._waiting)))]
        self._share()
        return recalled

    def standing(self) -> list[Runs]:
        """What is here, for a daemon that has just connected."""
        running = [
            Runs(each.running, each.began, _stored(each.args)) for each in (*self._servers, *self._dead) if each.running
        ]
        waiting = {**{a: args for each in self._servers for a, args in each.given.items()}, **self._waiting}
        return [*running, *(Runs(attempt, None, _stored(args)) for attempt, args in waiting.items())]

    def cancel(self, attempt: Attempt) -> None:
        """KeyboardInterrupt, then SIGTERM, then SIGKILL; nothing for an attempt that has ended or is being cancelled."""
        holder = self._holder(attempt)
        if holder is not None and holder.running != attempt:
            self._take_back(holder)
        if attempt in self._waiting:
            del self._waiting[attempt]
            self.tell(Ended(attempt, Outcome(CANCELLED, ended=time.time(), reason=UNSTARTED)))
        elif holder is not None and holder.running == attempt:
            self._cancelling.begin(holder, attempt)
        elif holder is not None:
            self._doomed.add(attempt)  # taken, and about to say that it starts
            holder.slot.name(attempt)
        self._share()

    def cancel_all(self) -> None:
        """Cancel every job."""
        self._gather()
        for attempt in [*self._waiting, *(a for server in self._servers for a in (*server.given, server.running) if a)]:
            self.cancel(attempt)

    def is_here(self, attempt: Attempt) -> bool:
        """Whether the attempt runs or waits here."""
        return attempt in self._waiting or self._holder(attempt) is not None

    def is_running(self, attempt: Attempt) -> bool:
        """Whether the attempt may speak, by what its server has said until now: from when it is given to one until it has ended."""
        holder = self._holder(attempt)
        if holder is not None:
            self._hear(holder)
        return self._holder(attempt) is not None

    def capture(self, attempt: Attempt, is_stderr: bool) -> Capture | None:
        """One output of an attempt; None when it does not run."""
        holder = self._holder(attempt)
        if holder is None or holder.running != attempt:
            return None
        return holder.slot.stderr if is_stderr else holder.slot.stdout

    def _holder(self, attempt: Attempt) -> Server | None:
        return next((each for each in self._servers if each.running == attempt or attempt in each.given), None)

    # Who gets which job.
    def _share(self) -> None:
        """Give what waits to servers; and to an idle one what waits behind another's job."""
        while self._waiting:
            server = self._next_server()
            if server is None:
                return
            attempt, args = next(iter(self._waiting.items()))
            if not server.slot.give(attempt, args):
                return
            server.given[attempt] = self._waiting.pop(attempt)
        if any(not server.load for server in self._servers):
            for server in self._servers:
                if server.given and server.running is not None and self._take_back(server):
                    return self._share()

    def _next_server(self) -> Server | None:
        idlest = min((each for each in self._servers if not each.lingers), key=lambda server: server.load, default=None)
        if (idlest is None or idlest.load) and len(self._servers) + len(self._dead) < self.width:
            return self._new_server() or idlest
        return idlest if idlest is not None and idlest.load <= self._ahead else None

    @property
    def _ahead(self) -> int:
        """Jobs that a server may have besides the one it runs; next to a fork, fetching one takes no time, and order is kept."""
        return 0 if self.most_jobs == 1 else max(0 if self.forks else 1, self._pace.ahead)

    def _take_back(self, server: Server) -> bool:
        """Let everything that the server has not taken wait again, in its old order."""
        back = server.slot.take_back()
        returned = {attempt: server.given.pop(attempt) for attempt in back if attempt in server.given}
        self._waiting = {**returned, **self._waiting}
        return bool(returned)

    def _gather(self) -> None:
        for server in reversed(self._servers):
            self._take_back(server)

    def _new_server(self) -> Server | None:
        """A server more; if there can be none, not even one, the first job that waits is told so."""
        slot = None
        try:
            slot = self._free.pop() if self._free else self.starter.open_slot()
            pid = self.starter.begin(slot)
        except OSError as error:
            if slot is not None:
                self._free.append(slot)
            if not self._servers:
                self._end_first(not_started(text_of(error), time.time()))
                self._try_again()
            return None
        server = Server(slot, pid)
        self._servers.append(server)
        self.watch(slot.ours, partial(self._hear_living, server))
        return server

    def _try_again(self) -> None:
        """There is no server whose words would remind us of the jobs that still wait."""
        if self._waiting:
            self.timers.after(AGAIN, self._share)

    def _end_first(self, outcome: Outcome | None) -> None:
        """There is no process for the first job that waits; it has ended so."""
        if self._waiting and outcome is not None:
            attempt = next(iter(self._waiting))
            del self._waiting[attempt]
            self.tell(Ended(attempt, outcome))

    # What servers say.
    def _hear_living(self, server: Server) -> None:
        """Its slot can be read; but if it has died a moment ago, what is said there may be the next one's."""
        if server.wait_status is None:
            self._hear(server)

    def _hear(self, server: Server) -> None:
        for frame in server.slot.hear():
            if isinstance(frame, Started) and server.running is None and frame.attempt in server.given:
                self._started(server, frame)
            elif isinstance(frame, Ended) and frame.attempt == server.running:
                self._ended(server, frame)
            else:
                server.slot.sound = False
        if not server.slot.sound and server.wait_status is None:
            tree.kill(server.pid)  # a job has written to our socket: nothing on it can be trusted
        self._share()

    def _started(self, server: Server, frame: Started) -> None:
        server.args = server.given.pop(frame.attempt)
        server.running, server.began = frame.attempt, frame.started
        self._stillborn.count = 0
        self.tell(frame)
        if frame.attempt in self._doomed:
            self._doomed.discard(frame.attempt)
            self._cancelling.begin(server, frame.attempt)

    def _ended(self, server: Server, frame: Ended) -> None:
        outcome = frame.outcome
        if server.cancelled == frame.attempt and outcome.status == TERMINATED:
            outcome = attrs.evolve(outcome, status=CANCELLED, reason=CANCELLED_REASON, error=b"")
        stdout, stderr = noted(server.slot.stdout, outcome.stdout), noted(server.slot.stderr, outcome.stderr)
        if stdout is not outcome.stdout or stderr is not outcome.stderr:
            outcome = attrs.evolve(outcome, stdout=stdout, stderr=stderr)
        server.running = None
        self._pace.ended((outcome.ended or time.time()) - server.began)
        self.tell(Ended(frame.attempt, outcome))

    # Deaths.
    def reap(self) -> None:
        """Look which servers have died or stopped, sweep, and tell the outcomes of the jobs that died with them."""
        for server in list(self._servers):
            server.wait_status = tree.reap(server.pid)
            if server.wait_status is not None:
                self._died(server)
            elif server.stopping is not None and tree.is_stopped(server.pid):
                self._hear(server)
                self._cancelling.stopped(server)
        if self._sweep_strays():
            for server in list(self._dead):
                self._bury(server)
        elif self._dead:
            self.timers.after(PATIENCE, partial(self._give_up, list(self._dead)))

    def _sweep_strays(self) -> bool:
        """Orphans of a server's jobs come up to it; what comes up to us was left by one that died."""
        return tree.sweep(self.spared.union(server.pid for server in self._servers))

    def _died(self, server: Server) -> None:
        self._servers.remove(server)
        self._dead.append(server)
        self._hear(server)
        self.unwatch(server.slot.ours)
        self._take_back(server)
        self._waiting = {**server.given, **self._waiting}  # taken, but no body had begun
        server.given.clear()
        if not server.began and server.wait_status is not None:
            self._end_first(self._stillborn.ended(server.slot, server.wait_status))

    def _give_up(self, dead: list[Server]) -> None:
        for server in dead:
            if server in self._dead:
                server.slot.sound = False
                self._bury(server)

    def _bury(self, server: Server) -> None:
        attempt, slot = server.running, server.slot
        if attempt is not None:
            try:
                outcome = self._outcome(server, attempt)
            except OSError as error:
                return self._wait_for_room(error)
            self.tell(Ended(attempt, outcome))
        self._dead.remove(server)
        server.running = None
        slot.renew()
        if slot.sound:
            self._free.append(slot)
        else:
            slot.close()
        for doomed in self._doomed.intersection(self._waiting):
            self._doomed.discard(doomed)
            self.cancel(doomed)
        self._share()

    def _wait_for_room(self, error: OSError) -> None:
        """The output of a dead server's job does not fit on the disk: the job has not ended before it does."""
        print(f"the output of a job cannot be stored: {error}", file=sys.stderr)
        self.timers.after(AGAIN, self.reap)

    def _outcome(self, server: Server, attempt: Attempt) -> Outcome:
        slot, path = server.slot, partial(stored_path, self.out, TAG_OF.pack(*attempt))
        assert server.wait_status is not None
        tail = slot.stderr.tail(TAIL).decode("utf-8", "replace")
        ending = judge(None, server.wait_status, cancelled=server.cancelled == attempt, program=False, stderr_tail=tail)
        return Outcome(
            status=ending.status,
            stdout=server.take("stdout", path("stdout")),
            stderr=server.take("stderr", path("stderr")),
            exception=ending.exception,
            started=server.began,
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
        for server in self._servers:
            server.slot.stdout.cut()
            server.slot.stderr.cut()
            server.look()
        if any(list(map(self._take_back, [server for server in self._servers if server.lingers]))):
            self._share()
        if len(self):
            self._look_soon()


def _stored(args: Body) -> Stored | None:
    return args if isinstance(args, Stored) else None
