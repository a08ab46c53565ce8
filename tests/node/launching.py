"""A launcher for tests, and what it tells."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from dispytw.node.adoption import Papers
from dispytw.node.launcher import Launcher
from dispytw.values import Attempt, Computation, File, Outcome
from tests.worker.driving import packed
from tests.worker.standin import COMMAND

PRELUDE = """
import os, signal, sys, time
def compute(name, *args): return globals()[name](*args)
def fine(): return "fine"
def sleeps():
    with open("ready", "w") as ready: ready.write(str(os.getpid()))
    time.sleep(600)
def environment(): return dict(os.environ)
"""


@attrs.define
class Events:
    """Keeps what is told, and lets a test wait for it.

    :ivar keeps: called with each outcome, as one that may be forgotten.
    """

    told: list[tuple[Any, ...]] = attrs.field(factory=list)
    keeps: Callable[[bytes, list[Attempt]], None] | None = None
    _waiting: list[tuple[Callable[..., bool], Deferred[tuple[Any, ...]]]] = attrs.field(factory=list)

    def _tell(self, *event: Any) -> None:
        self.told.append(event)
        for entry in [each for each in self._waiting if each[0](*event)]:
            self._waiting.remove(entry)
            entry[1].callback(event)

    def supervisor_ready(self, computation: bytes) -> None:
        self._tell("ready", computation)

    def setup_failed(self, computation: bytes, text: str) -> None:
        self._tell("failed", computation, text)

    def job_started(self, computation: bytes, attempt: Attempt, started: float) -> None:
        self._tell("started", computation, attempt, started)

    def job_ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        self._tell("ended", computation, attempt, outcome)
        if self.keeps is not None:
            self.keeps(computation, [attempt])

    def jobs_given_back(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        self._tell("given back", computation, attempts)

    def job_said(self, computation: bytes, frame: Any) -> None:
        self._tell("said", computation, frame)

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        self._tell("gone", computation, text)

    def next(self, kind: str, *beginning: Any) -> Deferred[tuple[Any, ...]]:
        """The next event of this kind whose fields begin so, also one told before."""
        wanted = lambda *event: event[: 1 + len(beginning)] == (kind, *beginning)  # noqa: E731
        fired: Deferred[tuple[Any, ...]] = Deferred()
        for event in self.told:
            if wanted(*event):
                fired.callback(event)
                return fired
        self._waiting.append((wanted, fired))
        return fired

    def kinds(self, computation: bytes) -> list[str]:
        return [event[0] for event in self.told if event[1] == computation]


class LauncherCase:
    """A launcher in a directory of its own; ``make`` gives one, with its events."""

    timeout = 20

    def make(self, run_dir: str, events: Events) -> Any:
        raise NotImplementedError

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="launcher-")
        self.run = os.path.join(self.directory, "run")
        os.mkdir(self.run, 0o700)
        self.spool = os.path.join(self.directory, "spool")
        os.mkdir(self.spool, 0o700)
        self.events = Events()
        self.launcher = self.make(self.run, self.events)
        self.events.keeps = self.launcher.kept
        self._attempts = 0
        self._launched = 0

    async def _end(self) -> None:
        await self.launcher.stop()
        shutil.rmtree(self.directory)

    def tearDown(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._end())

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def launch(self, source: str = "", **fields: Any) -> bytes:
        """Launch a computation of that source; returns its uid."""
        uid = os.urandom(16)
        work = self.path(uid.hex())
        os.mkdir(work)
        with open(work + ".bundle", "w") as bundle:
            bundle.write(PRELUDE + source)
        self._launched += 1
        papers = Papers(Computation(uid, "compute", File("bundle", bytes(32), 0), **fields), b"a" * 16, "alice", self._launched)
        self.launcher.launch(papers, work + ".bundle", work, "10.0.0.1")
        return uid

    def attempt(self) -> Attempt:
        self._attempts += 1
        return Attempt(b"%016d" % self._attempts, 1)

    def start(self, uid: bytes, *calls: tuple[Any, ...]) -> list[Attempt]:
        attempts = [(self.attempt(), packed(*call)) for call in calls]
        self.launcher.start(uid, attempts)
        return [attempt for attempt, _ in attempts]

    async def outcome(self, uid: bytes, attempt: Attempt) -> Outcome:
        outcome = (await self.events.next("ended", uid, attempt))[3]
        assert isinstance(outcome, Outcome)
        return outcome


class RealLauncherCase(LauncherCase):
    """The real launcher, real processes, the stand-in namespace."""

    def make(self, run_dir: str, events: Events) -> Launcher:
        facts = {"dispy_node_name": "here"}
        return Launcher(reactor, run_dir, self.spool, facts, events, width=4, grace=0.3, command=COMMAND)

    async def ready(self, uid: bytes) -> int:
        await self.events.next("ready", uid)
        pid = self.launcher.pids()[uid]
        assert isinstance(pid, int)
        return pid
