"""The hands of a node: carries out what the bench orders, and brings it what supervisors and clients do.

The steward decides nothing. It knows a link for each client that is connected, keeps the arguments of attempts until they are
handed over, gathers what is told in one reactor turn into one batch for each client, and wakes the bench when time has passed.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred, maybeDeferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger

from dispytw.errors import NodeHeldError, StreamError
from dispytw.node import orders as o
from dispytw.node.bench import Bench
from dispytw.node.neighbours import ClientLink, Files, LaidOut, Launches
from dispytw.values import INLINE_LIMIT, TERMINATED, Attempt, Body, Computation, Outcome, Stored
from dispytw.wire.clock import Waker
from dispytw.wire.records import outcome_bodies

log = Logger()

#: Characters of a failed setup's traceback that are logged; the client gets more.
LOGGED = 4000
#: Seconds after which a start is told if the job has not ended by then: nobody needs to hear both of a short one.
SHOWN_AFTER = 0.01


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


class Steward:
    """Carries out the bench's orders.

    :param bench: the mind.
    :param files: the workspace.
    :param clock: wakes us.
    :param now: monotonic seconds.
    :param in_thread: calls a function that waits for the disk, outside the reactor thread.
    """

    def __init__(
        self,
        bench: Bench,
        files: Files,
        clock: Waker,
        now: Callable[[], float],
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
    ) -> None:
        self.bench = bench
        self.launcher: Launches = _NoLauncher()
        self._files = files
        self._clock = clock
        self._now = now
        self._in_thread = in_thread
        self._disk = DeferredLock()
        self._links: dict[bytes, ClientLink] = {}
        self._bodies: dict[Attempt, Body] = {}
        self._args: dict[Attempt, Body] = {}
        self._outboxes: defaultdict[bytes, _Outbox] = defaultdict(_Outbox)
        self._flushing: Any = None
        self._showing: Any = None
        self._timer: Any = None
        self._told: Deferred[None] | None = None

    # Clients.
    def attached(self, client: bytes, name: str, link: ClientLink) -> None:
        """A client's link is open and introduced; it replaces an older one."""
        older = self._links.get(client)
        self._links[client] = link
        self._outboxes.pop(client, None)
        if older is not None and older is not link:
            older.drop("a newer link of the same client replaces it")
        self.do(self.bench.connected(client, name))

    def detached(self, client: bytes, link: ClientLink) -> None:
        """A client's link is gone."""
        if self._links.get(client) is link:
            del self._links[client]
            self._outboxes.pop(client, None)
            self.do(self.bench.disconnected(client, self._now()))

    def open_computation(self, client: bytes, computation: Computation) -> list[bytes]:
        """The digests that are missing here.

        :raises NodeHeldError: another client holds the node.
        :raises RefusedError: the computation cannot run here.
        """
        missing = self._files.missing((computation.bundle, *computation.files))
        try:
            orders = self.bench.opened(client, computation, not missing)
        except NodeHeldError as error:
            log.info("{client} has to wait for this node: {error}", client=self.bench.name_of(client), error=error)
            raise
        self.do(orders)
        return [file.digest for file in missing]

    def close_computation(self, client: bytes, computation: bytes) -> None:
        """The client needs it no more."""
        self.do(self.bench.closed(client, computation))

    def run_jobs(
        self, client: bytes, computation: bytes, generation: int, jobs: Sequence[tuple[Attempt, Body]]
    ) -> list[tuple[Attempt, str]]:
        """Take attempts; those refused, with reasons."""
        orders, refused = self.bench.offered(client, computation, generation, [attempt for attempt, _ in jobs])
        self._bodies.update(jobs)
        self.do(orders)
        for attempt, _ in jobs:
            leftover = self._bodies.pop(attempt, None)
            if leftover is not None:
                self._delete([leftover])
        return refused

    def cancel_jobs(self, client: bytes, attempts: Iterable[Attempt]) -> None:
        """Cancel attempts."""
        self.do(self.bench.cancelled(client, attempts))

    def recall_jobs(self, client: bytes, computation: bytes, most: int) -> None:
        """Give attempts back that have not started."""
        self.do(self.bench.recalled(client, computation, most))

    def reconcile(
        self, client: bytes, attempts: Iterable[tuple[Attempt, int]]
    ) -> tuple[list[tuple[Attempt, str]], list[tuple[bytes, int]]]:
        """A word for each attempt, and the computations that are ready."""
        orders, words, ready = self.bench.reconciled(client, attempts)
        self.do(orders)
        return words, ready

    # What the launcher's supervisors do.
    def supervisor_ready(self, computation: bytes) -> None:
        """setup() has run."""
        self.do(self.bench.ready(computation))

    def setup_failed(self, computation: bytes, text: str) -> None:
        """setup() has failed."""
        log.warn("computation {computation} cannot run here: {text}", computation=computation.hex()[:8], text=text[-LOGGED:])
        self.do(self.bench.setup_failed(computation, text))

    def job_started(self, computation: bytes, attempt: Attempt, started: float) -> None:
        """A job's body has begun."""
        self.do(self.bench.started(attempt, started))

    def job_ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        """A job has ended."""
        self.do(self.bench.ended(computation, attempt, outcome))

    def jobs_given_back(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """A supervisor has given up attempts that had not started."""
        self._delete([self._args.pop(attempt) for attempt in attempts if attempt in self._args])
        self.do(self.bench.given_back(computation, attempts))

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        """A supervisor is gone."""
        self.do(self.bench.supervisor_ended(computation, text))

    # Carrying out.
    def do(self, orders: Iterable[o.Order]) -> None:
        """Carry out orders, in their order."""
        for order in orders:
            _CARRY_OUT[type(order)](self, order)
        if self._told is None:
            self._set_timer()
        elif not self._told.called and not self.bench.owes():
            self._told.callback(None)

    def _set_timer(self) -> None:
        due = self.bench.next_due()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = self._clock.callLater(max(1.0, due - self._now()), self._wake)

    def _wake(self) -> None:
        self.do(self.bench.elapsed(self._now()))

    def stop(self) -> Deferred[None]:
        """What can still be told is told; no timer is set any more.

        :returns: fires when all connected clients have acknowledged, and nothing is left to do on the disk.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._told = Deferred()
        for call in (self._flushing, self._showing):
            if call is not None:
                call.cancel()
        self._showing = None
        self._flush()
        self.do(())
        return self._told.addCallback(lambda _: self._disk.run(lambda: None))

    def _launch(self, order: o.Launch) -> None:
        computation = order.computation
        client = self.bench.holder
        link = self._links.get(client) if client is not None else None
        host = link.local_host if link is not None else ""

        def laid_out(places: LaidOut) -> None:
            if self.bench.launching(computation.uid):
                self.launcher.launch(computation, places.bundle_path, places.work_dir, host)
            else:
                self.do(self.bench.supervisor_ended(computation.uid, "closed before it was launched"))

        def failed(failure: Any) -> None:
            log.failure("computation {computation} could not be launched", failure, computation=computation.uid.hex()[:8])
            self.setup_failed(computation.uid, f"it could not be launched: {failure.value}")
            self.do(self.bench.supervisor_ended(computation.uid, "never launched"))

        self._on_disk(self._files.lay_out, computation).addCallback(laid_out).addErrback(failed)

    def _on_disk(self, function: Callable[[Any], Any], argument: Any) -> Deferred[Any]:
        """One after another: a computation that comes again is laid out only when what it left has been removed."""
        done: Deferred[Any] = self._disk.run(self._in_thread, function, argument)
        return done

    def _start(self, order: o.Start) -> None:
        started = [(attempt, self._bodies.pop(attempt)) for attempt in order.attempts]
        self._args.update((attempt, body) for attempt, body in started if isinstance(body, Stored))
        self.launcher.start(order.computation, started)

    def _stop(self, order: o.Stop) -> None:
        self.launcher.cancel(order.computation, order.attempt)

    def _recall(self, order: o.Recall) -> None:
        self.launcher.recall(order.computation, order.most)

    def _end(self, order: o.End) -> None:
        self.launcher.close(order.computation)

    def _remove(self, order: o.Remove) -> None:
        def failed(failure: Any) -> None:
            log.failure("files of computation {computation} are left", failure, computation=order.computation.hex()[:8])

        self._on_disk(self._files.remove, order.computation).addErrback(failed)

    def _forget(self, order: o.Forget) -> None:
        self._delete(outcome_bodies(order.outcome))

    @staticmethod
    def _delete(bodies: Iterable[Body]) -> None:
        for body in bodies:
            if isinstance(body, Stored):
                try:
                    os.unlink(body.path)
                except FileNotFoundError:
                    pass

    def _tell_ready(self, order: o.TellReady) -> None:
        self._tell(order.client, lambda link: link.tell_ready(order.computation, order.generation))

    def _tell_failed(self, order: o.TellFailed) -> None:
        self._tell(order.client, lambda link: link.tell_failed(order.computation, order.generation, order.text))

    def _tell_given_back(self, order: o.TellGivenBack) -> None:
        self._tell(order.client, lambda link: link.tell_given_back(order.attempts))

    def _tell_freed(self, order: o.TellFreed) -> None:
        self._tell(order.client, lambda link: link.tell_freed())

    def _tell(self, client: bytes, say: Callable[[ClientLink], Deferred[Any]]) -> None:
        link = self._links.get(client)
        if link is not None:
            say(link).addErrback(self._unexpected, link)

    def _tell_started(self, order: o.TellStarted) -> None:
        self._outboxes[order.client].started[order.attempt] = (order.started, self._now() + SHOWN_AFTER)
        self._show_soon()

    def _tell_ended(self, order: o.TellEnded) -> None:
        if order.attempt in self._args:
            self._delete([self._args.pop(order.attempt)])
        outbox = self._outboxes[order.client]
        outbox.started.pop(order.attempt, None)
        outbox.ended.append((order.attempt, order.outcome))
        if self._flushing is None:
            self._flushing = self._clock.callLater(0, self._flush)

    def _show_soon(self) -> None:
        if self._showing is None:
            self._showing = self._clock.callLater(SHOWN_AFTER, self._show)

    def _show(self) -> None:
        self._showing = None
        if self._flushing is None:
            self._flush()

    def _flush(self) -> None:
        self._flushing = None
        outboxes, self._outboxes = self._outboxes, defaultdict(_Outbox)
        for client, outbox in outboxes.items():
            link = self._links.get(client)
            if link is None:
                continue
            started = outbox.due(math.inf if self._told else self._now())
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
        def acknowledged(attempts: list[Attempt]) -> None:
            for attempt in attempts:
                self.do(self.bench.acknowledged(attempt))

        for told in link.tell_ended(jobs, streams):
            told.addCallback(acknowledged).addErrback(self._unexpected, link)

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


class _NoLauncher:
    """Stands where the launcher will be, until the node's service has made it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the node has no launcher yet")


_CARRY_OUT: dict[type, Callable[[Steward, Any], None]] = {
    o.Launch: Steward._launch,
    o.Start: Steward._start,
    o.Stop: Steward._stop,
    o.Recall: Steward._recall,
    o.End: Steward._end,
    o.Remove: Steward._remove,
    o.Forget: Steward._forget,
    o.TellReady: Steward._tell_ready,
    o.TellFailed: Steward._tell_failed,
    o.TellStarted: Steward._tell_started,
    o.TellEnded: Steward._tell_ended,
    o.TellGivenBack: Steward._tell_given_back,
    o.TellFreed: Steward._tell_freed,
}
