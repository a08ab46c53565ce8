"""Keeps outcomes on the disk until they are acknowledged, and tells who may forget them.

An outcome is told to its client and given to the keeper at the same time. The keeper gathers for longer than a client takes to acknowledge
that is well: what is acknowledged by then is never written. What is written is *kept*: its supervisor may forget it. Where the disk is
full nothing is kept and nothing is lost, as the supervisors do not forget; the node takes nothing new until a write succeeds, which is
tried every second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from dispytw.node.orders import Owed
from dispytw.values import Attempt
from dispytw.wire.clock import Waker

log = Logger()

#: Seconds for which outcomes are gathered; after which a write that failed is tried again; between looks for what is too old.
GATHERING, AGAIN, LOOK = 0.1, 1.0, 3600.0
#: Seconds for which what nobody fetches is kept.
RETENTION = 7 * 24 * 3600.0


class Rows(Protocol):
    """What the keeper needs of a journal; see `dispytw.node.journal.Journal`."""

    def write(self, owed: Sequence[Owed], gone: Sequence[Attempt]) -> Deferred[None]:
        """Add rows and remove others."""

    def recall(self, client: bytes) -> Deferred[list[Owed]]:
        """All that is owed to a client."""

    def reassign(self, computation: bytes, client: bytes) -> Deferred[list[Owed]]:
        """What is there of a computation is owed to this client now."""

    def expire(self, seconds: float, spared: Sequence[bytes]) -> Deferred[list[Attempt]]:
        """Remove what has been there for so long."""


class KeeperEvents(Protocol):
    """Who is told what becomes of outcomes on the disk."""

    def outcomes_kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """They are kept, or need not be any more."""

    def disk_has_room(self, has_room: bool) -> None:
        """Outcomes can be kept, or not any more."""

    def outcomes_expired(self, attempts: Sequence[Attempt]) -> None:
        """Nobody has fetched them in time."""

    def clients_involved(self) -> list[bytes]:
        """Whose outcomes are not too old, however long they have been there."""


class Keeper:
    """Between the steward and the journal.

    :param rows: the journal.
    :param clock: wakes us.
    :param room: whether the disk has room for what jobs may write.
    :param retention: seconds for which outcomes are kept that nobody fetches.
    :ivar events: whom to tell.
    """

    events: KeeperEvents

    def __init__(
        self, rows: Rows, clock: Waker, room: Callable[[], bool] = lambda: True, retention: float = RETENTION
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._room = room
        self._retention = retention
        self._has_room = True
        self._gathered: dict[Attempt, Owed] = {}
        self._writing: dict[Attempt, Owed] | None = None
        self._over: set[Attempt] = set()
        self._gone: list[Attempt] = []
        self._unsaid: defaultdict[bytes, list[Attempt]] = defaultdict(list)
        self._calls: dict[str, Any] = {}
        self._waiting: list[Deferred[None]] = []

    def keep(self, owed: Owed) -> None:
        """Keep an outcome."""
        self._gathered[owed.attempt] = owed
        self._soon("write", GATHERING, self._write)

    def forget(self, attempt: Attempt, computation: bytes) -> None:
        """An outcome has arrived where it belongs."""
        if self._gathered.pop(attempt, None) is not None:
            self._say_kept(computation, attempt)
        elif self._writing is not None and attempt in self._writing:
            self._over.add(attempt)
        else:
            self._gone.append(attempt)
            self._soon("write", GATHERING, self._write)

    def is_busy_with(self, attempt: Attempt) -> bool:
        """Whether an outcome is about to be kept."""
        return attempt in self._gathered or (self._writing is not None and attempt in self._writing)

    def recall(self, client: bytes) -> Deferred[list[Owed]]:
        """Everything on the disk that is owed to a client."""
        return self._rows.recall(client)

    def reassign(self, computation: bytes, client: bytes) -> Deferred[list[Owed]]:
        """What is kept of a computation is owed to this client from now on; fires with it."""
        for attempts in (self._gathered, self._writing or {}):
            for attempt, owed in attempts.items():
                if owed.computation == computation:
                    attempts[attempt] = Owed(attempt, client, computation, owed.token, owed.outcome)
        return self._rows.reassign(computation, client)

    def look_for_room(self) -> None:
        """Jobs are about to be taken: not when the disk has no room for what they may write."""
        if self._has_room and not self._room():
            self._without_room("less than is set aside for outcomes is free")

    def look_for_old(self) -> None:
        """Remove what nobody has fetched in time, now and every hour."""
        self._soon("old", LOOK, self.look_for_old)
        expired = self._rows.expire(self._retention, self.events.clients_involved())
        expired.addCallbacks(self._expired, lambda failure: log.failure("old outcomes are left", failure))

    def _expired(self, attempts: list[Attempt]) -> None:
        if attempts:
            log.warn("{count} outcomes that nobody has fetched are removed", count=len(attempts))
            self.events.outcomes_expired(attempts)

    def flush(self) -> Deferred[None]:
        """Fires when everything is written."""
        if self._writing is None:
            if not self._gathered and not self._gone:
                return succeed(None)
            self._cancel("write")
            self._write()
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        return done

    def stop(self) -> None:
        """No timer is left behind."""
        for name in list(self._calls):
            self._cancel(name)
        self._say()

    # Writing.
    def _write(self) -> None:
        if self._writing is not None:
            return
        self._writing, self._gathered = self._gathered, {}
        gone, self._gone = self._gone, []
        if not self._writing and not gone and self._has_room:
            return self._written()  # everything was acknowledged in time
        written = self._rows.write(list(self._writing.values()), gone)
        written.addCallbacks(lambda _: self._written(), self._not_written, errbackArgs=(gone,))

    def _written(self) -> None:
        for owed in self._end_of_writing().values():
            self._say_kept(owed.computation, owed.attempt)
        self._gone += self._over
        self._over.clear()
        if not self._has_room and not self._room():
            self._soon("write", AGAIN, self._write)
            return
        if not self._has_room:
            self._has_room = True
            log.info("the disk has room again")
            self.events.disk_has_room(True)
        if self._gathered or self._gone:
            if self._waiting:
                self._cancel("write")
            return self._soon("write", 0 if self._waiting else GATHERING, self._write)
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    def _not_written(self, failure: Any, gone: list[Attempt]) -> None:
        self._gone[:0] = gone
        writing = self._end_of_writing()
        for attempt in self._over:
            self._say_kept(writing.pop(attempt).computation, attempt)
        self._over.clear()
        self._gathered = {**writing, **self._gathered}
        self._cancel("write")
        self._without_room(str(failure.value))

    def _end_of_writing(self) -> dict[Attempt, Owed]:
        assert self._writing is not None
        writing, self._writing = self._writing, None
        return writing

    def _without_room(self, why: str) -> None:
        self._soon("write", AGAIN, self._write)
        if self._has_room:
            self._has_room = False
            log.warn("outcomes cannot be kept, no jobs are taken until they can: {why}", why=why)
            self.events.disk_has_room(False)

    # Telling who may forget.
    def _say_kept(self, computation: bytes, attempt: Attempt) -> None:
        self._unsaid[computation].append(attempt)
        self._soon("say", 0, self._say)

    def _say(self) -> None:
        unsaid, self._unsaid = self._unsaid, defaultdict(list)
        for computation, attempts in unsaid.items():
            self.events.outcomes_kept(computation, attempts)

    def _soon(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        def make() -> None:
            del self._calls[name]
            call()

        if name not in self._calls:
            self._calls[name] = self._clock.callLater(seconds, make)

    def _cancel(self, name: str) -> None:
        call = self._calls.pop(name, None)
        if call is not None:
            call.cancel()
