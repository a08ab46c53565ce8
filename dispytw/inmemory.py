"""Parts for a house in memory (`dispytw.testing`): links without sockets, supervisors and jobs without processes, files without a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from dispytw.values import CANCELLED, FINISHED, Attempt, Body, Computation, File, Inline, Outcome


@attrs.frozen
class Peer:
    """Who is at the other end, as a greeting would say."""

    uid: bytes
    role: str
    host: str = "127.0.0.1"


class Transport:
    """One end of a link in memory: what is written arrives at the other end after the latency, in order."""

    disconnecting = False

    def __init__(self, clock: Clock, latency: Callable[[], float]) -> None:
        self._clock = clock
        self._latency = latency
        self._due = 0.0
        self.protocol: Any = None
        self.other: Transport | None = None
        self.open = True

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.open and not self.disconnecting:
            self._later(lambda other: other.protocol.dataReceived(data))

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Send bytes."""
        self.write(b"".join(pieces))

    def _later(self, call: Callable[[Transport], Any]) -> None:
        self._due = max(self._due, self._clock.seconds() + self._latency())
        other = self.other

        def arrive() -> None:
            if other is not None and other.open:
                call(other)

        self._clock.callLater(self._due - self._clock.seconds(), arrive)

    def loseConnection(self) -> None:
        """Close, after what was written has arrived."""
        if self.open and not self.disconnecting:
            self.disconnecting = True
            self._later(lambda other: other.lost(ConnectionDone()))
            self._clock.callLater(0, self.lost, ConnectionDone())

    def abortConnection(self) -> None:
        """Close at once; the other end learns of it later."""
        if self.open:
            self._later(lambda other: other.lost(ConnectionLost()))
            self._clock.callLater(0, self.lost, ConnectionLost())

    def lost(self, reason: Exception) -> None:
        """This end is closed."""
        if self.open:
            self.open = False
            self.protocol.connectionLost(Failure(reason))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """There is always room: nothing is paused."""

    def unregisterProducer(self) -> None:
        """See registerProducer."""

    def getPeer(self) -> IPv4Address:
        """The other end's address."""
        return IPv4Address("TCP", "127.0.0.1", 1)

    def getHost(self) -> IPv4Address:
        """This end's address."""
        return IPv4Address("TCP", "127.0.0.1", 1)


@attrs.define(eq=False)
class Wire:
    """A link in memory."""

    near: Transport
    far: Transport

    def cut(self) -> None:
        """What is underway is lost; both ends learn of it, each when it may."""
        for end in (self.near, self.far):
            end.other = None
        for end in (self.near, self.far):
            end.lost(ConnectionLost())

    @property
    def open(self) -> bool:
        """Whether either end still believes in it."""
        return self.near.open or self.far.open


class JobEvents(Protocol):
    """Who is told what supervisors and jobs do; see `dispytw.node.supervision`."""

    def supervisor_ready(self, computation: bytes) -> None:
        """setup() has run."""

    def setup_failed(self, computation: bytes, text: str) -> None:
        """setup() has failed."""

    def job_started(self, computation: bytes, attempt: Attempt, started: float) -> None:
        """A body has begun."""

    def job_ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        """A job has ended."""

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        """A supervisor is gone."""


class MemoryFiles:
    """A workspace without a disk: every file is here already."""

    bundle_path = ""
    work_dir = ""

    def missing(self, files: Iterable[File]) -> list[File]:
        """None."""
        return []

    def lay_out(self, computation: Computation) -> MemoryFiles:
        """Nothing to do."""
        return self

    def remove(self, computation: bytes) -> None:
        """Nothing to do."""


class MemoryLauncher:
    """Supervisors and jobs as entries in a calendar. A job's body is its duration, as text.

    :param events: the steward.
    :param started: called with each attempt whose body begins.
    """

    def __init__(self, clock: Clock, wall: Callable[[], float], events: JobEvents, started: Callable[[Attempt], None]) -> None:
        self._clock = clock
        self._wall = wall
        self._events = events
        self._started = started
        self._calls: dict[Attempt, Any] = {}
        self._begun: dict[Attempt, tuple[bytes, float]] = {}
        self._supervisors: dict[bytes, Any] = {}
        self.setup_text = ""
        self.dead = False

    def launch(self, computation: Computation, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """setup() takes 10 ms."""
        self._supervisors[computation.uid] = self._clock.callLater(0.01, self._set_up, computation.uid)

    def _set_up(self, computation: bytes) -> None:
        if self.setup_text:
            self._events.setup_failed(computation, self.setup_text)
            self._gone(computation, "setup failed")
        else:
            self._events.supervisor_ready(computation)

    def start(self, computation: bytes, attempts: list[tuple[Attempt, Body]]) -> None:
        """Bodies begin after 1 ms."""
        for attempt, body in attempts:
            assert isinstance(body, Inline)
            self._begun[attempt] = (computation, 0.0)
            self._calls[attempt] = self._clock.callLater(0.001, self._begin, attempt, float(body.data or b"0"))

    def _begin(self, attempt: Attempt, duration: float) -> None:
        computation, _ = self._begun[attempt]
        self._begun[attempt] = (computation, self._wall())
        self._started(attempt)
        self._calls[attempt] = self._clock.callLater(duration, self._end, attempt, FINISHED)
        self._events.job_started(computation, attempt, self._wall())

    def _end(self, attempt: Attempt, status: int) -> None:
        del self._calls[attempt]
        computation, started = self._begun.pop(attempt)
        self._events.job_ended(computation, attempt, Outcome(status, started=started, ended=self._wall()))

    def running(self) -> list[Attempt]:
        """Attempts that are here."""
        return list(self._begun)

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """The job ends 5 ms later."""
        call = self._calls.get(attempt)
        if call is not None:
            call.cancel()
            self._calls[attempt] = self._clock.callLater(0.005, self._end, attempt, CANCELLED)

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        """cleanup() takes no time."""
        self._clock.callLater(0, self.crash, computation, "closed")

    def crash(self, computation: bytes, text: str = "killed by signal 9 (SIGKILL)") -> None:
        """A supervisor dies, and its jobs with it."""
        if self.dead or computation not in self._supervisors:
            return
        for attempt in [attempt for attempt, (uid, _) in self._begun.items() if uid == computation]:
            self._calls.pop(attempt).cancel()
            del self._begun[attempt]
        self._gone(computation, text)

    def _gone(self, computation: bytes, text: str) -> None:
        call = self._supervisors.pop(computation)
        if call.active():
            call.cancel()
        self._events.supervisor_ended(computation, text)

    def die(self) -> None:
        """The node is gone, and everything on it."""
        self.dead = True
        for call in (*self._calls.values(), *self._supervisors.values()):
            if call.active():
                call.cancel()
        self._calls.clear()
        self._begun.clear()
        self._supervisors.clear()

    @property
    def computations(self) -> list[bytes]:
        """Those that have a supervisor."""
        return list(self._supervisors)
