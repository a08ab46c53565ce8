"""One supervisor's life, seen from the daemon, from its launch until nothing of it is left.

    starting  --it listens, we connect-->  setting up  --Ready-->  serving  --Close-->  closing  --its process ends-->  sweeping  -->  gone
                                           an orphan  --adopted--->

Every stage but *serving* and *closing* has a time limit; a death, a kill or a refused setup leads from anywhere to *sweeping*. *Gone* is
reached once: the process has been reaped (of an adopted one, which is no child of ours, it is seen that it does not live any more), the
connection has been read to its end, and no process carries its mark.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure

from dispytw.errors import WireError
from dispytw.node.adoption import PAPERS, Orphan, Papers
from dispytw.node.leftovers import Record, born, kill, kill_carriers
from dispytw.node.supervisorlink import SUPERVISOR, ConnectionToSupervisor, connect, spawn, take_over
from dispytw.values import Attempt, Computation, Outcome
from dispytw.wire import spool
from dispytw.wire.frames import Close, Ended, Frame, GivenBack, Kept, Ready, Setup, SetupFailed, Standing, Started
from dispytw.wire.jobframes import SAID, JobFrame

#: Seconds in which a new interpreter must come to listen.
START_LIMIT = 60.0
#: Seconds from the end of the connection to the end of the process, and from there to the end of what it left.
END_LIMIT = 10.0

_SWEEP_AGAIN = 0.02
_LOG_TAIL = 4096
_ENDINGS = (".sock", ".ear", ".log", ".pid")
#: Attempts in one `Kept`, and seconds for which it waits for something else to be said.
_MOST_KEPT, KEPT_WITHIN = 10_000, 0.1


class LauncherEvents(Protocol):
    """What whoever launches supervisors is told; never from within a call to the launcher."""

    def supervisor_ready(self, computation: bytes) -> None:
        """setup() succeeded, or there is none: jobs started from now on run at once."""

    def setup_failed(self, computation: bytes, text: str) -> None:
        """The computation cannot be run here, and why; `supervisor_ended` follows."""

    def job_started(self, computation: bytes, attempt: Attempt, started: float) -> None:
        """The attempt's body began, at this wall time in seconds; not told of one that ends a moment later."""

    def job_ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        """The attempt has ended, its processes are gone, its slot is free."""

    def jobs_given_back(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """These attempts never started, and never will here: the answer to a recall."""

    def job_said(self, computation: bytes, frame: JobFrame) -> None:
        """A running job says something, or has written what was asked for; one of `dispytw.wire.jobframes.SAID`."""

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        """Nothing of the supervisor is left. The last event of a launch, once; ``text`` is empty when it ended as asked."""


@attrs.define(eq=False)
class SupervisorLife:
    """One launch of one supervisor.

    :param reactor: Waker, IReactorProcess and IReactorUNIX.
    :param papers: what it runs, and for whom.
    :param setup: the first frame it is told; None for one that is adopted.
    :param base: path of its files, without their endings.
    :param left: the same for what outlives it: papers, and outcomes that nobody has kept.
    :param events: whom to tell.
    :param gone: called with this object just before `LauncherEvents.supervisor_ended`.
    :param command: the program and its first arguments.
    """

    reactor: Any
    papers: Papers
    setup: Setup | None
    base: str
    left: str
    events: LauncherEvents
    gone: Callable[[SupervisorLife], None]
    command: Sequence[str] = SUPERVISOR
    pid: int = 0
    _connection: ConnectionToSupervisor | None = None
    _connecting: bool = False
    _unsent: list[Frame] = attrs.field(factory=list)
    _kept: list[Attempt] = attrs.field(factory=list)
    _saying_kept: Any = None
    _answered: bool = False
    _asked_to_end: bool = False
    _exit: str | None = None
    _swept: bool = False
    _told: bool = False
    _limit: Any = None
    _born: str = ""
    _mark: bytes = b""
    _log = Logger()

    @property
    def uid(self) -> bytes:
        """The computation's uid."""
        return self.papers.computation.uid

    @property
    def computation(self) -> Computation:
        """What it runs."""
        return self.papers.computation

    def launch(self) -> None:
        """Start the process; if that fails it is told like every other end."""
        self._allow(START_LIMIT, f"its supervisor did not start within {START_LIMIT:g} s")
        try:
            self.papers.write(self.left + PAPERS)
            self._mark = self.uid + os.urandom(8)
            Record(self._mark).write(self.base + ".pid")
            self.pid = spawn(self.reactor, self, self.command, self.base, self._mark)
            Record(self._mark, self.pid, born(self.pid)).write(self.base + ".pid")
        except OSError as error:
            self.reactor.callLater(0, self.process_exited, f"could not be started: {error}")

    def adopt(self, orphan: Orphan) -> None:
        """Take over one that lives; it is no child of ours. What it may have said meanwhile is told a little later."""
        assert orphan.standing is not None
        self.pid, self._born, self._mark = orphan.record.pid, orphan.record.born, orphan.record.mark
        self._answered, self._asked_to_end = True, orphan.standing.closing
        take_over(self.reactor, orphan.connection, self, orphan.decoder)
        self.reactor.callLater(0, self._catch_up, orphan.later)

    def _catch_up(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self.received(frame)

    def send(self, frames: Sequence[Frame]) -> None:
        """Say this, at once or as soon as the connection stands; nothing is said to a supervisor that was asked to end."""
        if self._asked_to_end:
            return
        if self._connection is None:
            self._unsent += frames
        else:
            self._connection.send([*self._forgettable(), *frames])

    def close(self, run_cleanup: bool) -> None:
        """Let the supervisor cancel its jobs, run cleanup() and end."""
        self.send([Close(run_cleanup)])
        self._asked_to_end = True

    def kept(self, attempts: Sequence[Attempt]) -> None:
        """These outcomes are kept: the supervisor may forget them. It hears so with what is said next; at once if it was asked to end."""
        if self._connection is None:
            return
        self._kept += attempts
        if self._asked_to_end:
            self._say_kept()
        elif self._saying_kept is None:
            self._saying_kept = self.reactor.callLater(KEPT_WITHIN, self._say_kept)

    def _say_kept(self) -> None:
        frames = self._forgettable()
        if self._connection is not None and frames:
            self._connection.send(frames)

    def _forgettable(self) -> list[Frame]:
        """What is to be said of outcomes that are kept; nobody has to say it any more."""
        kept, self._kept = self._kept, []
        if self._saying_kept is not None and self._saying_kept.active():
            self._saying_kept.cancel()
        self._saying_kept = None
        return [Kept(tuple(kept[at : at + _MOST_KEPT])) for at in range(0, len(kept), _MOST_KEPT)]

    def kill(self) -> None:
        """End the supervisor and its jobs at once."""
        self._asked_to_end = True
        self._kill()

    def listening(self) -> None:
        """The supervisor's socket can be connected to."""
        self._connecting = True
        connect(self.reactor, self.base + ".sock", self).addErrback(self._not_connected)

    def connected(self, connection: ConnectionToSupervisor) -> None:
        """The connection stands: tell the supervisor who it is."""
        self._connecting = False
        self._connection = connection
        if self.setup is None:
            return
        connection.send([self.setup, *self._unsent])
        self._unsent.clear()
        limit = self.computation.setup_timeout
        self._allow(limit, "" if limit is None else f"setup() did not end within {limit:g} s")

    def received(self, frame: Frame) -> None:
        """The supervisor said something.

        :raises WireError: when it is not a supervisor's to say.
        """
        if isinstance(frame, Ended):
            self.events.job_ended(self.uid, frame.attempt, frame.outcome)
        elif isinstance(frame, Started):
            self.events.job_started(self.uid, frame.attempt, frame.started)
        elif isinstance(frame, GivenBack):
            self.events.jobs_given_back(self.uid, frame.attempts)
        elif isinstance(frame, SAID):
            self.events.job_said(self.uid, frame)
        elif isinstance(frame, Ready) and not self._answered:
            self._answer(None)
            self._rewrite(attrs.evolve(self.papers, is_ready=True))
            self.events.supervisor_ready(self.uid)
        elif isinstance(frame, SetupFailed):
            self._fail(frame.text)
        elif not isinstance(frame, Standing):
            raise WireError(f"a supervisor that says {type(frame).__name__}")

    def disconnected(self) -> None:
        """The connection has been read to its end; the process has to end too."""
        self._connection = None
        self._forgettable()
        if self._exit is None:
            self._allow(END_LIMIT, "")
        if self._born:
            self._look_whether_dead()
        self._look_whether_gone()

    def _look_whether_dead(self) -> None:
        """Nobody tells us of the end of a process that is no child of ours."""
        if born(self.pid) == self._born:
            self.reactor.callLater(_SWEEP_AGAIN, self._look_whether_dead)
        else:
            self.process_exited("" if self._asked_to_end else "has died")

    def process_exited(self, how: str) -> None:
        """The process has been reaped; ``how`` is empty if it ended with status 0."""
        self._exit = how
        self._allow(END_LIMIT, "")
        self._sweep()

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = False
        self._log.failure("no connection to the supervisor of {computation}", failure, computation=self.uid.hex())
        self._kill()
        self._look_whether_gone()

    def _allow(self, seconds: float | None, otherwise: str) -> None:
        """Begin a stage with this limit; when it is over, setup has failed for the reason ``otherwise``, if given, and force is used."""
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None if seconds is None else self.reactor.callLater(seconds, self._overdue, otherwise)

    def _overdue(self, reason: str) -> None:
        if reason:
            self._fail(reason)
        if self._exit is None:
            return self._kill()
        self._swept = True  # what hides from SIGKILL is stuck in the kernel
        if self._connection is not None:
            self._connection.abort()
        self._look_whether_gone()

    def change_hands(self, client: bytes, name: str) -> None:
        """It works for this client from now on; a later daemon has to know."""
        self._rewrite(attrs.evolve(self.papers, client=client, name=name))

    def _rewrite(self, papers: Papers) -> None:
        self.papers = papers
        try:
            self.papers.write(self.left + PAPERS)
        except OSError as error:
            self._log.warn("supervisor {pid} will end with this daemon: {error}", pid=self.pid, error=error)

    def _answer(self, seconds: float | None) -> None:
        self._answered = True
        self._allow(seconds, "")

    def _fail(self, text: str) -> None:
        if not self._answered:
            self._answer(END_LIMIT)
            self.events.setup_failed(self.uid, text)

    def _kill(self) -> None:
        if self.pid and self._exit is None:
            kill(self.pid)

    def _sweep(self) -> None:
        if self._swept:
            return
        if self._mark and kill_carriers([self._mark]):
            self.reactor.callLater(_SWEEP_AGAIN, self._sweep)
            return
        self._swept = True
        self._look_whether_gone()

    def _look_whether_gone(self) -> None:
        linked = self._connecting or self._connection is not None
        if self._exit is None or not self._swept or linked or self._told:
            return
        self._told = True
        text = self._epitaph()
        if not self._asked_to_end:
            self._fail(text or "its supervisor ended by itself")
        self._allow(None, "")
        self._remove_files()
        self.gone(self)
        self.events.supervisor_ended(self.uid, text)

    def _epitaph(self) -> str:
        if not self._exit:
            return ""
        try:
            with open(self.base + ".log", "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
                said = log.read().decode("utf-8", "replace").strip()
        except OSError:
            said = ""
        text = f"the supervisor of {self.computation.name} {self._exit}"
        return f"{text}; its log ends with:\n{said}" if said else text

    def _remove_files(self) -> None:
        """Its own; and what jobs that died while they spoke have left."""
        said = glob.glob(glob.escape(self.left + spool.ENDING) + ".said-*")
        for path in [*(self.base + ending for ending in _ENDINGS), *said]:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # it never came so far
