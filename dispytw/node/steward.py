"""The hands of a node: carries out what the bench orders, and brings it what supervisors and clients do.

The steward decides nothing. It keeps the arguments of attempts until they are handed over, and wakes the bench when time has passed. What
it tells clients goes through the `dispytw.node.telling.Teller`, what is kept on the disk through the `dispytw.node.keeper.Keeper`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred, succeed
from twisted.logger import Logger

from dispytw.errors import NodeHeldError
from dispytw.node import orders as o
from dispytw.node.adoption import Papers
from dispytw.node.bench import Bench
from dispytw.node.keeper import Keeper
from dispytw.node.neighbours import Files, LaidOut, Launches
from dispytw.node.telling import ClientLink, Teller
from dispytw.values import Attempt, Body, Computation, Outcome, Stored
from dispytw.wire.clock import Waker
from dispytw.wire.frames import Ended, Runs
from dispytw.wire.records import outcome_bodies

log = Logger()

#: Characters of a failed setup's traceback that are logged; the client gets more.
LOGGED = 4000


class Steward:
    """Carries out the bench's orders.

    :param bench: the mind.
    :param files: the workspace.
    :param keeper: keeps outcomes on the disk.
    :param clock: wakes us.
    :param now: monotonic seconds.
    :param in_thread: calls a function that waits for the disk, outside the reactor thread.
    :ivar freed: called when the client that had the node has left it.
    """

    def __init__(
        self,
        bench: Bench,
        files: Files,
        keeper: Keeper,
        clock: Waker,
        now: Callable[[], float],
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
    ) -> None:
        self.bench = bench
        self.launcher: Launches = _NoLauncher()
        self.freed: Callable[[], Any] = lambda: None
        self.keeper = keeper
        self._files = files
        self._clock = clock
        self._now = now
        self._in_thread = in_thread
        self._disk = DeferredLock()
        self._teller = Teller(clock, now, self._acknowledged)
        self._bodies: dict[Attempt, Body] = {}
        self._args: dict[Attempt, Body] = {}
        self._timeouts: dict[Attempt, float] = {}
        self._timer: Any = None
        self._told: Deferred[None] | None = None
        self._was_held = False
        keeper.events = self

    # Clients.
    def attached(self, client: bytes, name: str, link: ClientLink) -> Deferred[None]:
        """A client's link is open and introduced; it replaces an older one.

        :returns: fires when everything that is owed to it is at hand.
        """
        self._teller.attached(client, link)
        return self._brought_back(self.bench.connected(client, name))

    def detached(self, client: bytes, link: ClientLink) -> None:
        """A client's link is gone."""
        if self._teller.detached(client, link):
            self.do(self.bench.disconnected(client, self._now()))

    def take_over(self, client: bytes, computation: bytes, token: bytes) -> Deferred[bool]:
        """A client shows the token of a computation whose own client is gone; fires with whether anything of it is here.

        :raises RefusedError: the token is another one, or its client is there.
        """
        orders, known = self.bench.taken_over(client, computation, token)
        if known:
            log.info("{name} recovers computation {computation}", name=self.bench.name_of(client), computation=computation.hex()[:8])
        return self._brought_back(orders).addCallback(lambda _: known)

    def _brought_back(self, orders: list[o.Order]) -> Deferred[None]:
        """Carry out orders, of which one at most takes its time: outcomes come back from the disk."""
        done: Deferred[None] = succeed(None)
        for order in orders:
            if isinstance(order, o.BringBack):
                done = self.keeper.recall(order.client).addCallback(self._recalled)
            elif isinstance(order, o.Reassign):
                self.launcher.change_hands(order.computation, order.client, self.bench.name_of(order.client))
                done = self.keeper.reassign(order.computation, order.client).addCallback(self._recalled)
        self.do(())
        return done

    def _recalled(self, owed: list[o.Owed]) -> None:
        self.do(self.bench.recalled(owed, self._now()))

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
        self,
        client: bytes,
        computation: bytes,
        generation: int,
        jobs: Sequence[tuple[Attempt, Body]],
        timeouts: Mapping[Attempt, float] = MappingProxyType({}),
    ) -> list[tuple[Attempt, str]]:
        """Take attempts, some with a limit of seconds; those refused, with reasons."""
        self.keeper.look_for_room()
        orders, refused = self.bench.offered(client, computation, generation, [attempt for attempt, _ in jobs])
        self._bodies.update(jobs)
        self._timeouts.update(timeouts)
        self.do(orders)
        for attempt, _ in jobs:
            self._timeouts.pop(attempt, None)
            leftover = self._bodies.pop(attempt, None)
            if leftover is not None:
                self._delete([leftover])
        return refused

    def cancel_jobs(self, client: bytes, attempts: Iterable[Attempt]) -> None:
        """Cancel attempts."""
        self.do(self.bench.cancelled(client, attempts))

    def recall_jobs(self, client: bytes, computation: bytes, most: int) -> None:
        """Give attempts back that have not started."""
        self.do(self.bench.asked_back(client, computation, most))

    def reconcile(
        self, client: bytes, attempts: Iterable[tuple[Attempt, int, int]]
    ) -> tuple[list[tuple[Attempt, str]], list[tuple[bytes, int]]]:
        """A word for each attempt, and the computations that are ready."""
        orders, words, ready = self.bench.reconciled(client, attempts)
        self.do(orders)
        return words, ready

    def _acknowledged(self, attempts: Iterable[Attempt]) -> None:
        self.do([order for attempt in attempts for order in self.bench.acknowledged(attempt)])

    # What an earlier incarnation has left.
    def adopt(self, papers: Papers, runs: Sequence[Runs], owed: Sequence[Ended], closing: bool) -> None:
        """A supervisor has outlived its daemon, and is ours now, with what it runs and what it owes."""
        adopted = (papers.client, papers.name, papers.computation, papers.generation)
        self.do(self.bench.adopted(*adopted, self._now(), closing))
        self.do(self.bench.handed_over(papers.computation.uid, [(each.attempt, each.started) for each in runs]))
        self._args.update((each.attempt, each.args) for each in runs if each.args is not None)
        self.inherit(papers, owed)

    def inherit(self, papers: Papers, owed: Iterable[Ended]) -> None:
        """A supervisor has left outcomes that nobody has kept."""
        computation = papers.computation
        found = [o.Owed(each.attempt, papers.client, computation.uid, computation.token, each.outcome) for each in owed]
        self.do(self.bench.recalled(found, self._now(), False, papers.name))

    def retain(self, kept: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Outcomes of these computations are on the disk: each with its client, computation and token."""
        for client, computation, token in kept:
            self.do(self.bench.retained(client, computation, token))

    def inherited_args(self) -> list[str]:
        """The files of arguments of attempts that have been adopted."""
        return [body.path for body in self._args.values() if isinstance(body, Stored)]

    # What becomes of outcomes on the disk.
    def outcomes_kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """They are kept: their supervisor may forget them."""
        self.launcher.kept(computation, attempts)
        self.do(self.bench.kept(attempts))

    def disk_has_room(self, has_room: bool) -> None:
        """Outcomes can be kept, or not any more."""
        self.do(self.bench.disk_has_room(has_room))

    def outcomes_expired(self, attempts: Sequence[Attempt]) -> None:
        """Nobody has fetched them in time."""
        self._files.remove_bodies(attempts)

    def clients_involved(self) -> list[bytes]:
        """Whose outcomes are not too old, however long they have been there."""
        return self.bench.clients()

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
        """A job has ended. A supervisor that tells what is known already has not heard that it is kept."""
        orders = self.bench.ended(computation, attempt, outcome)
        self.do(orders)
        if not orders and not self.keeper.is_busy_with(attempt):
            self.launcher.kept(computation, [attempt])

    def jobs_given_back(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """A supervisor has given up attempts that had not started."""
        self._delete([self._args.pop(attempt) for attempt in attempts if attempt in self._args])
        self.do(self.bench.given_back(computation, attempts))

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        """A supervisor is gone, and with it whatever its jobs had begun to write."""
        orders = self.bench.supervisor_ended(computation, text)
        self._files.remove_bodies(order.owed.attempt for order in orders if isinstance(order, o.Keep))
        self.do(orders)

    # Carrying out.
    def do(self, orders: Iterable[o.Order]) -> None:
        """Carry out orders, in their order."""
        for order in orders:
            _CARRY_OUT[type(order)](self, order)
        if self._told is None:
            self._set_timer()
        elif not self._told.called and not self.bench.owes():
            self._told.callback(None)
        was_held, self._was_held = self._was_held, self.bench.holder is not None
        if was_held and not self._was_held:
            self.freed()

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
        self._teller.flush_now()
        self.do(())
        return self._told.addCallback(lambda _: self._disk.run(lambda: None))

    def _launch(self, order: o.Launch) -> None:
        computation = order.computation
        link = self._teller.links.get(order.client)
        host = link.local_host if link is not None else ""
        papers = Papers(computation, order.client, self.bench.name_of(order.client), order.generation)

        def laid_out(places: LaidOut) -> None:
            if self.bench.launching(computation.uid):
                self.launcher.launch(papers, places.bundle_path, places.work_dir, host)
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
        timeouts = {attempt: self._timeouts.pop(attempt) for attempt in order.attempts if attempt in self._timeouts}
        self.launcher.start(order.computation, started, timeouts)

    def _stop(self, order: o.Stop) -> None:
        self.launcher.cancel(order.computation, order.attempt)

    def _get_back(self, order: o.GetBack) -> None:
        self.launcher.recall(order.computation, order.most)

    def _end(self, order: o.End) -> None:
        self.launcher.close(order.computation)

    def _remove(self, order: o.Remove) -> None:
        def failed(failure: Any) -> None:
            log.failure("files of computation {computation} are left", failure, computation=order.computation.hex()[:8])

        self._on_disk(self._files.remove, order.computation).addErrback(failed)

    def _keep(self, order: o.Keep) -> None:
        self.keeper.keep(order.owed)

    def _forget(self, order: o.Forget) -> None:
        self.keeper.forget(order.attempt, order.computation)
        self._delete(outcome_bodies(order.outcome))

    @staticmethod
    def _delete(bodies: Iterable[Body]) -> None:
        for body in bodies:
            if isinstance(body, Stored):
                try:
                    os.unlink(body.path)
                except FileNotFoundError:
                    pass

    def _tell(self, order: o.TellReady | o.TellFailed | o.TellGivenBack | o.TellFreed) -> None:
        self._teller.tell(order)

    def _tell_started(self, order: o.TellStarted) -> None:
        self._teller.tell_started(order)

    def _tell_ended(self, order: o.TellEnded) -> None:
        if order.attempt in self._args:
            self._delete([self._args.pop(order.attempt)])
        self._teller.tell_ended(order)


class _NoLauncher:
    """Stands where the launcher will be, until the node's service has made it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the node has no launcher yet")


_CARRY_OUT: dict[type, Callable[[Steward, Any], None]] = {
    o.Launch: Steward._launch,
    o.Start: Steward._start,
    o.Stop: Steward._stop,
    o.GetBack: Steward._get_back,
    o.End: Steward._end,
    o.Remove: Steward._remove,
    o.Keep: Steward._keep,
    o.Forget: Steward._forget,
    o.TellReady: Steward._tell,
    o.TellFailed: Steward._tell,
    o.TellStarted: Steward._tell_started,
    o.TellEnded: Steward._tell_ended,
    o.TellGivenBack: Steward._tell,
    o.TellFreed: Steward._tell,
}
