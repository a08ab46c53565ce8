"""The launcher: the node's hands for processes.

It starts a supervisor for each computation, passes jobs and cancels on, and tells what happens. It knows no slots and keeps no outcomes:
which attempts have ended is the bench's knowledge. What it does promise is that `LauncherEvents.supervisor_ended` is the last
event of every launch, and that by then no process of that computation is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed

from dispytw.errors import RefusedError, UnknownComputationError
from dispytw.node.adoption import Orphan, Papers, Remains
from dispytw.node.leftovers import sweep_leftovers
from dispytw.node.supervision import LauncherEvents, SupervisorLife
from dispytw.node.supervisorlink import SUPERVISOR
from dispytw.values import Attempt, Body
from dispytw.wire import spool
from dispytw.wire.frames import Cancel, Ended, Recall, Setup, Start
from dispytw.wire.jobframes import JobFrame, Limits

__all__ = ["Launcher", "LauncherEvents", "sweep_leftovers"]

#: Seconds that `Launcher.stop` waits for jobs to obey their cancel and for cleanup() to end, before it kills.
STOP_LIMIT = 10.0


@attrs.define(eq=False)
class Launcher:
    """Starts and ends supervisors.

    :param reactor: Waker, IReactorProcess and IReactorUNIX.
    :param run_dir: existing directory of mode 0700 for sockets, logs and records; swept by `sweep_leftovers` before.
    :param spool_dir: existing directory for bodies above `values.INLINE_LIMIT` of outcomes (whoever has taken care of such a file deletes
        it), and for what outlives a supervisor.
    :param facts: names that jobs can read, beside dispy_node_ip_addr.
    :param events: whom to tell.
    :param width: how many jobs of one computation may run at the same time.
    :param grace: seconds between the steps of a cancel (SIGINT, SIGTERM, SIGKILL).
    :param lease: seconds for which supervisors go on without a daemon.
    :param command: the supervisor's program and first arguments.
    :param max_file_size: bytes that a job's file may have; 0 for no limit.
    """

    reactor: Any
    run_dir: str
    spool_dir: str
    facts: dict[str, str]
    events: LauncherEvents
    width: int = 1
    grace: float = 2.0
    lease: float = 3600.0
    command: Sequence[str] = SUPERVISOR
    max_file_size: int = 0
    _lives: dict[bytes, SupervisorLife] = attrs.field(factory=dict)
    _remains: dict[str, tuple[bytes, Remains]] = attrs.field(factory=dict)
    _stopping: bool = False
    _waiting: list[Deferred[None]] = attrs.field(factory=list)

    def launch(self, papers: Papers, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """Start a computation's supervisor and let it run setup().

        :param papers: which computation, for whom, as which generation.
        :param bundle_path: the packed code.
        :param work_dir: the computation's directory, laid out; jobs run there.
        :param ip_addr: the node's address as the client sees it.
        :raises RefusedError: when it has one already, or the node is ending.
        """
        computation = papers.computation
        if self._stopping:
            raise RefusedError("the node is ending")
        if computation.uid in self._lives:
            raise RefusedError(f"the last supervisor of {computation.name} is still there")
        facts = {**self.facts, "dispy_node_ip_addr": ip_addr}
        name = f"{computation.uid.hex()[:8]}-{papers.generation:x}"
        left = os.path.join(self.spool_dir, name) + spool.ENDING
        setup = Setup(
            bundle=bundle_path,
            cwd=work_dir,
            program=computation.program,
            facts=facts,
            out=self.spool_dir,
            grace=self.grace,
            lease=self.lease,
            spool=left,
            width=self.width,
            isolation=computation.isolation,
            max_jobs_per_worker=computation.max_jobs_per_worker,
            start_method=computation.start_method,
        )
        life = self._begin(name, papers, setup)
        life.send([Limits(self.max_file_size)])
        life.launch()

    def _begin(self, name: str, papers: Papers, setup: Setup | None) -> SupervisorLife:
        base, left = os.path.join(self.run_dir, name), os.path.join(self.spool_dir, name)
        life = SupervisorLife(self.reactor, papers, setup, base, left, self.events, self._gone, self.command)
        self._lives[papers.computation.uid] = life
        return life

    def adopt(self, orphan: Orphan) -> None:
        """Take over a supervisor that has outlived its daemon. What it runs and owes is in ``orphan``, and is not told again."""
        life = self._begin(orphan.name, orphan.papers, None)
        life.adopt(orphan)
        life.send([Limits(self.max_file_size)])

    def remains(self, name: str, papers: Papers) -> list[Ended]:
        """The outcomes that a supervisor has left in a file, which stays until they are kept.

        :param name: of its files, without their endings.
        """
        remains = Remains.found(os.path.join(self.spool_dir, name))
        if remains.attempts:
            self._remains[name] = papers.computation.uid, remains
        return remains.outcomes

    def kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """These outcomes are kept where they will be found again: their supervisor need not keep them."""
        if computation in self._lives:
            self._lives[computation].kept(attempts)
        for name, (whose, remains) in list(self._remains.items()):
            if whose == computation and remains.forget(attempts):
                del self._remains[name]

    def change_hands(self, computation: bytes, client: bytes, name: str) -> None:
        """The computation is this client's from now on."""
        if computation in self._lives:
            self._lives[computation].change_hands(client, name)

    def start(
        self,
        computation: bytes,
        attempts: Iterable[tuple[Attempt, Body]],
        timeouts: Mapping[Attempt, float] = MappingProxyType({}),
    ) -> None:
        """Run these attempts now, or as soon as setup() has ended; each ends in `job_ended`, or with its supervisor.

        :param timeouts: seconds, for those that have a limit.
        :raises UnknownComputationError: when the computation has no supervisor.
        """
        life = self._lives.get(computation)
        if life is None:
            raise UnknownComputationError(f"computation {computation.hex()} has no supervisor here")
        life.send([Start(attempt, args, timeouts.get(attempt)) for attempt, args in attempts])

    def say(self, computation: bytes, frames: Sequence[JobFrame]) -> None:
        """Say something about running jobs of the computation; nothing when it has no supervisor any more."""
        if computation in self._lives:
            self._lives[computation].send(frames)

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """KeyboardInterrupt in the job, then SIGTERM, then SIGKILL to all of it; nothing for what has ended."""
        if computation in self._lives:
            self._lives[computation].send([Cancel(attempt)])

    def recall(self, computation: bytes, most: int) -> None:
        """Get at most so many attempts back that have not started; told by `jobs_given_back`, also when there are none."""
        if computation in self._lives:
            self._lives[computation].send([Recall(most)])

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        """Cancel the computation's jobs, run its cleanup() if wanted, and end its supervisor."""
        if computation in self._lives:
            self._lives[computation].close(run_cleanup)

    def kill(self, computation: bytes) -> None:
        """End the supervisor and everything it started, at once."""
        if computation in self._lives:
            self._lives[computation].kill()

    def stop(self) -> Deferred[None]:
        """Close all supervisors, and kill those that have not ended after `STOP_LIMIT`; fires when all are gone."""
        if not self._lives:
            self._stopping = True
            return succeed(None)
        if not self._stopping:
            self._stopping = True
            self._close_all()
        gone: Deferred[None] = Deferred()
        self._waiting.append(gone)
        return gone

    def pids(self) -> dict[bytes, int]:
        """The supervisors' process ids, by computation."""
        return {uid: life.pid for uid, life in self._lives.items()}

    def _close_all(self) -> None:
        overdue = self.reactor.callLater(STOP_LIMIT, self._kill_all)
        ended: Deferred[None] = Deferred()
        ended.addCallback(lambda _: overdue.cancel() if overdue.active() else None)
        self._waiting.append(ended)
        for life in list(self._lives.values()):
            life.close(run_cleanup=True)

    def _kill_all(self) -> None:
        for life in list(self._lives.values()):
            life.kill()

    def _gone(self, life: SupervisorLife) -> None:
        del self._lives[life.uid]
        for ended in self.remains(os.path.basename(life.left), life.papers):
            self.events.job_ended(life.uid, ended.attempt, ended.outcome)
        if not self._lives and self._stopping:
            self.reactor.callLater(0, self._all_gone)  # after the last supervisor_ended

    def _all_gone(self) -> None:
        waiting, self._waiting = self._waiting, []
        for gone in waiting:
            gone.callback(None)
