"""The launcher: the node's hands for processes.

It starts a supervisor for each computation, passes jobs and cancels on, and tells what happens. It knows no slots and keeps no outcomes:
which attempts have ended is the bench's knowledge. What it does promise is that `LauncherEvents.supervisor_ended` is the last
event of every launch, and that by then no process of that computation is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed

from dispytw.errors import RefusedError, UnknownComputationError
from dispytw.node.leftovers import sweep_leftovers
from dispytw.node.supervision import LauncherEvents, SupervisorLife
from dispytw.node.supervisorlink import SUPERVISOR
from dispytw.values import Attempt, Body, Computation
from dispytw.wire.frames import Cancel, Recall, Setup, Start

__all__ = ["Launcher", "LauncherEvents", "sweep_leftovers"]

#: Seconds that `Launcher.stop` waits for jobs to obey their cancel and for cleanup() to end, before it kills.
STOP_LIMIT = 10.0


@attrs.define(eq=False)
class Launcher:
    """Starts and ends supervisors.

    :param reactor: Waker, IReactorProcess and IReactorUNIX.
    :param run_dir: existing directory of mode 0700 for sockets, logs and records; swept by `sweep_leftovers` before.
    :param facts: names that jobs can read, beside dispy_node_ip_addr.
    :param events: whom to tell.
    :param width: how many jobs of one computation may run at the same time.
    :param grace: seconds between the steps of a cancel (SIGINT, SIGTERM, SIGKILL).
    :param command: the supervisor's program and first arguments.
    """

    reactor: Any
    run_dir: str
    facts: dict[str, str]
    events: LauncherEvents
    width: int = 1
    grace: float = 2.0
    command: Sequence[str] = SUPERVISOR
    _lives: dict[bytes, SupervisorLife] = attrs.field(factory=dict)
    _launches: int = 0
    _stopping: bool = False
    _waiting: list[Deferred[None]] = attrs.field(factory=list)

    @property
    def out_dir(self) -> str:
        """Where bodies above `values.INLINE_LIMIT` of outcomes are; whoever has taken care of such a file deletes it."""
        return os.path.join(self.run_dir, "out")

    def launch(self, computation: Computation, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """Start the computation's supervisor and let it run setup().

        :param bundle_path: the packed code.
        :param work_dir: the computation's directory, laid out; jobs run there.
        :param ip_addr: the node's address as the client sees it.
        :raises RefusedError: when it has one already, or the node is ending.
        """
        if self._stopping:
            raise RefusedError("the node is ending")
        if computation.uid in self._lives:
            raise RefusedError(f"the last supervisor of {computation.name} is still there")
        facts = {**self.facts, "dispy_node_ip_addr": ip_addr}
        setup = Setup(
            bundle=bundle_path,
            cwd=work_dir,
            program=computation.program,
            facts=facts,
            out=self.out_dir,
            grace=self.grace,
            width=self.width,
            isolation=computation.isolation,
            max_jobs_per_worker=computation.max_jobs_per_worker,
        )
        self._launches += 1
        base = os.path.join(self.run_dir, f"{computation.uid.hex()[:8]}-{self._launches}")
        life = SupervisorLife(self.reactor, computation, setup, base, self.events, self._gone, self.command)
        self._lives[computation.uid] = life
        life.launch()

    def start(self, computation: bytes, attempts: Iterable[tuple[Attempt, Body]]) -> None:
        """Run these attempts now, or as soon as setup() has ended; each ends in `job_ended`, or with its supervisor.

        :raises UnknownComputationError: when the computation has no supervisor.
        """
        life = self._lives.get(computation)
        if life is None:
            raise UnknownComputationError(f"computation {computation.hex()} has no supervisor here")
        life.send([Start(attempt, args) for attempt, args in attempts])

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
        if not self._lives and self._stopping:
            self.reactor.callLater(0, self._all_gone)  # after the last supervisor_ended

    def _all_gone(self) -> None:
        waiting, self._waiting = self._waiting, []
        for gone in waiting:
            gone.callback(None)
