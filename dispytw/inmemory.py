"""Parts for a house in memory (`dispytw.testing`): processes and links without an operating system, all on one clock."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.base import DelayedCall
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from dispytw.values import Attempt, Computation, File


class WorldClock(Clock):
    """A Clock whose calls are in order all the time, so that many of them cost little."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """See `Clock`."""
        call: Any = DelayedCall(self.seconds() + delay, callable, args, kw, self.calls.remove, self._moved, self.seconds)
        insort(self.calls, call, key=DelayedCall.getTime)
        return call

    def _moved(self, call: Any) -> None:
        self.calls.sort(key=DelayedCall.getTime)

    def _sortCalls(self) -> None:
        """They are."""

    def next_due(self) -> float | None:
        """When the next call is to be made; None when there is none."""
        return self.calls[0].getTime() if self.calls else None


@attrs.frozen
class Peer:
    """Who is at the other end, as a greeting would say."""

    uid: bytes
    role: str
    host: str = "127.0.0.1"


@attrs.define(eq=False)
class Wake:
    """One call that a process has asked for."""

    process: MemoryProcess
    call: Callable[[], Any]
    due: Any = None
    _over: bool = False

    def active(self) -> bool:
        """Whether it is still to be made."""
        return not self._over

    def cancel(self) -> None:
        """Do not make it."""
        self._end()
        if self.due.active():
            self.due.cancel()

    def ring(self) -> None:
        """It is time, as soon as the process runs."""
        self.process.deliver(self._make)

    def _make(self) -> None:
        if not self._over:
            self._end()
            self.call()

    def _end(self) -> None:
        self._over = True
        self.process.wakes.pop(self, None)


class MemoryProcess:
    """A process with a reactor that wakes by its machine's wall clock, as Twisted's does; it can be stopped, and killed.

    :param world: true time.
    :ivar wakes: calls that are still to be made.
    """

    def __init__(self, world: Clock) -> None:
        self._world = world
        self.alive = True
        self.wakes: dict[Wake, None] = {}
        self._late: list[Callable[[], Any]] | None = None

    def callLater(self, delay: float, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Wake:
        """See `dispytw.wire.clock.Waker`."""
        wake = Wake(self, partial(call, *args, **kwargs))
        wake.due = self._world.callLater(delay, wake.ring)
        self.wakes[wake] = None
        return wake

    def deliver(self, call: Callable[[], Any]) -> None:
        """Something happens to the process: now, or when it runs again."""
        if not self.alive:
            return
        if self._late is None:
            call()
        else:
            self._late.append(call)

    def suspend(self) -> None:
        """Stop it where it is, as a laptop that sleeps or a reactor that is blocked."""
        if self._late is None:
            self._late = []

    def resume(self) -> None:
        """Let it go on: what has come meanwhile happens now, in its order."""
        late, self._late = self._late or [], None
        for call in late:
            self.deliver(call)

    def wall_clock_jumps(self, seconds: float) -> None:
        """Its machine's wall clock is set forward, so that its reactor wakes too early, or back, so that it wakes too late."""
        for wake in list(self.wakes):
            if wake.due.active():
                left = wake.due.getTime() - self._world.seconds() - seconds
                wake.due.cancel()  # a reset to later would leave it where it stands in the world's order
                wake.due = self._world.callLater(max(0.0, left), wake.ring)

    def kill(self) -> None:
        """Nothing happens in it any more."""
        self.alive = False
        for wake in list(self.wakes):
            wake.cancel()


class Transport:
    """One end of a link in memory: what is written arrives at the other end after the latency, in order.

    :param world: true time.
    :param latency: seconds that the next bytes take.
    :param process: whose end it is.
    :ivar tap: called with all bytes written, if set; where it returns True they get lost, and the link with them.
    """

    disconnecting = False

    def __init__(self, world: Clock, latency: Callable[[], float], process: MemoryProcess) -> None:
        self._world = world
        self._latency = latency
        self._due = 0.0
        self.process = process
        self.protocol: Any = None
        self.other: Transport | None = None
        self.open = True
        self.tap: Callable[[bytes], bool] | None = None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self.open or self.disconnecting:
            return
        if self.tap is not None and self.tap(data):
            self._break()
        else:
            self._later(lambda other: other.protocol.dataReceived(data))

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Send bytes."""
        self.write(b"".join(pieces))

    def _break(self) -> None:
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            self._world.callLater(0, other.process.deliver, partial(other.lost, ConnectionLost()))
        self._world.callLater(0, self.process.deliver, partial(self.lost, ConnectionLost()))

    def _later(self, call: Callable[[Transport], Any]) -> None:
        self._due = max(self._due, self._world.seconds() + self._latency())
        self._world.callLater(self._due - self._world.seconds(), self._arrive, self.other, call)

    def _arrive(self, other: Transport | None, call: Callable[[Transport], Any]) -> None:
        def happens() -> None:
            if other is not None and other.open and self.other is other:
                call(other)

        if other is not None:
            other.process.deliver(happens)

    def hold(self, seconds: float) -> None:
        """The network keeps what is sent from now on for so long."""
        self._due = max(self._due, self._world.seconds() + seconds)

    def loseConnection(self) -> None:
        """Close, after what was written has arrived."""
        if self.open and not self.disconnecting:
            self.disconnecting = True
            self._later(lambda other: other.lost(ConnectionDone()))
            self.process.callLater(0, self.lost, ConnectionDone())

    def abortConnection(self) -> None:
        """Close at once; the other end learns of it later."""
        if self.open:
            self._later(lambda other: other.lost(ConnectionLost()))
            self.process.callLater(0, self.lost, ConnectionLost())

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
    """A link in memory; ``near`` is the end that has dialled."""

    near: Transport
    far: Transport

    def cut(self) -> None:
        """What is underway is lost; both ends learn of it at once, or when they run again."""
        self._part()
        for end in (self.near, self.far):
            end.process.deliver(partial(end.lost, ConnectionLost()))

    def tear(self) -> None:
        """What is underway and what is still sent is lost, and neither end learns of it."""
        self._part()

    def _part(self) -> None:
        self.near.other = self.far.other = None

    def hold(self, seconds: float) -> None:
        """The network keeps what is sent for so long, both ways."""
        for end in (self.near, self.far):
            end.hold(seconds)

    @property
    def open(self) -> bool:
        """Whether either end still believes in it."""
        return any(end.open and end.process.alive for end in (self.near, self.far))


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

    def with_own_files(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """None."""
        return []

    def _nothing(self, *_: Any, **__: Any) -> None:
        """There is no disk."""

    hold = hold_files = release = laid_out_for = own_files = lay_out_later = remove = remove_bodies = _nothing
