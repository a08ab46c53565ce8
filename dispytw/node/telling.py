"""What a node tells its clients: one batch for each of what has gathered in a reactor turn; long bodies are streamed before that."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger

from dispytw.errors import StreamError
from dispytw.node import orders as o
from dispytw.values import INLINE_LIMIT, TERMINATED, Attempt, Body, Outcome, Stored
from dispytw.wire.clock import Waker
from dispytw.wire.records import outcome_bodies

log = Logger()

#: Seconds after which a start is told if the job has not ended by then.
SHOWN_AFTER = 0.01


class ClientLink(Protocol):
    """What a node needs of a link to a client."""

    local_host: str

    def send_body(self, body: Body) -> Deferred[bytes]:
        """Stream a body that does not fit a box."""

    def tell_ready(self, computation: bytes, generation: int) -> Deferred[Any]:
        """A computation is ready."""

    def tell_failed(self, computation: bytes, generation: int, text: str) -> Deferred[Any]:
        """A computation is not, or no more."""

    def tell_started(self, jobs: Sequence[tuple[Attempt, float]]) -> Deferred[Any]:
        """Attempts run."""

    def tell_ended(self, jobs: Sequence[tuple[Attempt, Outcome]], streams: dict[str, bytes]) -> list[Deferred[list[Attempt]]]:
        """Attempts have ended; each Deferred gives those that may be forgotten."""

    def tell_given_back(self, attempts: Sequence[Attempt]) -> Deferred[Any]:
        """Attempts never started."""

    def tell_freed(self) -> Deferred[Any]:
        """The node is free."""

    def drop(self, reason: str) -> None:
        """Close the link."""


@attrs.define
class _Outbox:
    """What is to be told: starts, each with its wall time and when it is due, and ends."""

    started: dict[Attempt, tuple[float, float]] = attrs.field(factory=dict)
    ended: list[tuple[Attempt, Outcome]] = attrs.field(factory=list)

    def due(self, now: float) -> list[tuple[Attempt, float]]:
        """Take the starts that are to be told now: of those whose jobs have not ended meanwhile."""
        taken = [(attempt, wall) for attempt, (wall, due) in self.started.items() if due <= now]
        for attempt, _ in taken:
            del self.started[attempt]
        return taken


class Teller:
    """Tells clients that are there; what is told to one that is not is told again when it reconciles.

    :param clock: wakes us.
    :param now: monotonic seconds.
    :param acknowledged: called with attempts whose outcomes have arrived.
    """

    def __init__(self, clock: Waker, now: Callable[[], float], acknowledged: Callable[[list[Attempt]], None]) -> None:
        self.links: dict[bytes, ClientLink] = {}
        self._clock = clock
        self._now = now
        self._acknowledged = acknowledged
        self._outboxes: defaultdict[bytes, _Outbox] = defaultdict(_Outbox)
        self._flushing: Any = None
        self._showing: Any = None

    def attached(self, client: bytes, link: ClientLink) -> None:
        """A client's link is open; it replaces an older one."""
        older = self.links.get(client)
        self.links[client] = link
        self._outboxes.pop(client, None)
        if older is not None and older is not link:
            older.drop("a newer link of the same client replaces it")

    def detached(self, client: bytes, link: ClientLink) -> bool:
        """A client's link is gone; whether it was the one that counts."""
        if self.links.get(client) is not link:
            return False
        del self.links[client]
        self._outboxes.pop(client, None)
        return True

    def tell(self, order: o.TellReady | o.TellFailed | o.TellGivenBack | o.TellFreed) -> None:
        """Tell something that concerns a computation, or the node."""
        link = self.links.get(order.client)
        if link is None:
            return
        if isinstance(order, o.TellReady):
            told = link.tell_ready(order.computation, order.generation)
        elif isinstance(order, o.TellFailed):
            told = link.tell_failed(order.computation, order.generation, order.text)
        elif isinstance(order, o.TellGivenBack):
            told = link.tell_given_back(order.attempts)
        else:
            told = link.tell_freed()
        told.addErrback(self._unexpected, link)

    def tell_started(self, order: o.TellStarted) -> None:
        """Tell a start, if the job has not ended a moment later: nobody needs to hear both of a short one."""
        self._outboxes[order.client].started[order.attempt] = (order.started, self._now() + SHOWN_AFTER)
        self._show_soon()

    def tell_start_now(self, client: bytes, attempt: Attempt) -> None:
        """Something else about a running job is told next: its start is told before that."""
        start = self._outboxes[client].started.pop(attempt, None)
        link = self.links.get(client)
        if start is not None and link is not None:
            link.tell_started([(attempt, start[0])]).addErrback(self._unexpected, link)

    def tell_ended(self, order: o.TellEnded) -> None:
        """Tell an end with whatever else is told in this turn."""
        outbox = self._outboxes[order.client]
        outbox.started.pop(order.attempt, None)
        outbox.ended.append((order.attempt, order.outcome))
        if self._flushing is None:
            self._flushing = self._clock.callLater(0, self._flush)

    def flush_now(self) -> None:
        """Tell what has gathered at once."""
        for call in (self._flushing, self._showing):
            if call is not None:
                call.cancel()
        self._showing = None
        self._flush(math.inf)

    def _show_soon(self) -> None:
        if self._showing is None:
            self._showing = self._clock.callLater(SHOWN_AFTER, self._show)

    def _show(self) -> None:
        self._showing = None
        if self._flushing is None:
            self._flush()

    def _flush(self, until: float | None = None) -> None:
        self._flushing = None
        outboxes, self._outboxes = self._outboxes, defaultdict(_Outbox)
        for client, outbox in outboxes.items():
            link = self.links.get(client)
            if link is None:
                continue
            started = outbox.due(self._now() if until is None else until)
            if started:
                link.tell_started(started).addErrback(self._unexpected, link)
            if outbox.started:
                self._outboxes[client].started = outbox.started
                self._show_soon()
            small = [pair for pair in outbox.ended if not any(map(_is_large, outcome_bodies(pair[1])))]
            self._tell_outcomes(link, small, {})
            for attempt, outcome in outbox.ended:
                if any(map(_is_large, outcome_bodies(outcome))):
                    ensureDeferred(self._tell_large(link, attempt, outcome)).addErrback(self._unexpected, link)

    def _tell_outcomes(self, link: ClientLink, jobs: list[tuple[Attempt, Outcome]], streams: dict[str, bytes]) -> None:
        for told in link.tell_ended(jobs, streams):
            told.addCallback(self._acknowledged).addErrback(self._unexpected, link)

    async def _tell_large(self, link: ClientLink, attempt: Attempt, outcome: Outcome) -> None:
        streams: dict[str, bytes] = {}
        try:
            for body in outcome_bodies(outcome):
                if isinstance(body, Stored):
                    streams[body.path] = await link.send_body(body)
        except StreamError as error:
            text = f"the result could not be sent: {error}"
            outcome = Outcome(TERMINATED, None, exception=text, started=outcome.started, ended=outcome.ended, reason=text)
        self._tell_outcomes(link, [(attempt, outcome)], streams)

    def _unexpected(self, failure: Any, link: ClientLink) -> None:
        if not failure.check(ConnectionClosed):
            log.failure("a tell failed in a way that its command does not know", failure)
            link.drop("a tell failed")


def _is_large(body: Body) -> bool:
    return isinstance(body, Stored) or body.size > INLINE_LIMIT
