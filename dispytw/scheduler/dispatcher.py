"""The hands of scheduling: carries out what the ledger orders, and brings it what happens.

The dispatcher decides nothing. It knows a link for each node that answers, gathers what leaves in one reactor turn into one
batch for each node, streams bodies that do not fit a box before the command that names them, and wakes the ledger when time
has passed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger

from dispytw.errors import NodeHeldError, RefusedError, SourceError, StreamError, UnknownComputationError, WireError
from dispytw.scheduler import orders as o
from dispytw.scheduler.earshot import Earshot
from dispytw.scheduler.ledger import NO_SLOT, Ledger
from dispytw.scheduler.neighbours import Customer, NodeLink
from dispytw.scheduler.outfitting import all_of, not_placed, place_files
from dispytw.values import INLINE_LIMIT, Attempt, Availability, Body, Equipped, NodeFacts, Outcome
from dispytw.wire.clock import Waker

log = Logger()

#: How often the files of a computation are offered before a node that still lacks some is rejected.
_MOST_ROUNDS = 4


class Dispatcher(Earshot):
    """Carries out the ledger's orders.

    :param clock: wakes us.
    :param now: monotonic seconds.
    """

    def __init__(self, ledger: Ledger, customer: Customer, clock: Waker, now: Callable[[], float]) -> None:
        self.ledger = ledger
        self.links: dict[bytes, NodeLink] = {}
        self.facts: dict[bytes, NodeFacts] = {}
        self._customer = self._listener = customer
        self._clock = clock
        self._now = now
        self._outgoing: defaultdict[bytes, list[o.Assign]] = defaultdict(list)
        self._withdrawn: defaultdict[bytes, list[Attempt]] = defaultdict(list)
        self._recalls: dict[bytes, o.Recall] = {}
        self._underway: set[Attempt] = set()
        self._flushing: Any = None
        self._timer: Any = None

    # Events that links bring.
    def joined(self, link: NodeLink, facts: NodeFacts) -> None:
        """A link to a node is open and introduced; it replaces an older one."""
        self.links[facts.uid], self.facts[facts.uid] = link, facts
        unsent = [order.attempt for order in self._outgoing.pop(facts.uid, ())]
        self._withdrawn.pop(facts.uid, None)
        self._recalls.pop(facts.uid, None)
        # The ledger learns of the link first, or it would give what was not sent to the same node, before that is reconciled.
        orders = self.ledger.joined(facts, self._now())
        self._unsent(facts.uid, unsent, "its link was replaced")
        self.do(orders)

    def left(self, link: NodeLink, node: bytes) -> None:
        """A link is gone."""
        if self.links.get(node) is link:
            del self.links[node]
            self.do(self.ledger.left(node, self._now()))

    def _unsent(self, node: bytes, attempts: Iterable[Attempt], why: str) -> None:
        for attempt in attempts:
            self.do(self.ledger.refused(node, attempt, why, self._now()))

    def started(self, node: bytes, jobs: Iterable[tuple[Attempt, float]]) -> None:
        """A node has begun attempts."""
        for attempt, wall in jobs:
            self.do(self.ledger.started(node, attempt, wall))

    def ended(self, node: bytes, jobs: Iterable[tuple[Attempt, Outcome]]) -> Deferred[Any] | None:
        """Attempts have ended on a node. It may forget their outcomes when the Deferred fires; at once if there is none."""
        pairs = list(jobs)
        for count, (attempt, outcome) in enumerate(pairs, 1):  # one by one: should an end fail here, those behind it are told again
            self._carry_out(self.ledger.ended(node, attempt, outcome, self._now(), count < len(pairs)))
        self._set_timer()
        return self._customer.kept()

    def given_back(self, node: bytes, attempts: Iterable[Attempt]) -> None:
        """Attempts that waited on a node never started."""
        self.do(self.ledger.given_back(node, attempts))

    def ready(self, node: bytes, computation: bytes, generation: int) -> None:
        """A computation is ready on a node."""
        self.do(self.ledger.prepared(node, computation, generation))

    def failed(self, node: bytes, computation: bytes, generation: int, text: str) -> None:
        """A computation could not be made ready, or is no more."""
        preparation = self.ledger.nodes[node].preparations.get(computation)
        died = preparation is not None and preparation.generation == generation
        event = self.ledger.supervisor_died if died else self.ledger.rejected
        self.do(event(node, computation, text))

    def freed(self, node: bytes) -> None:
        """A node that was held is free."""
        self.do(self.ledger.freed(node))

    def available(self, node: bytes, available: Availability | None) -> None:
        """A node has told how busy it is."""
        self.facts[node] = attrs.evolve(self.facts[node], available=available)
        self._customer.node_available(node, available)

    # Carrying out.
    def do(self, orders: Iterable[o.Order]) -> None:
        """Carry out orders, in their order."""
        self._carry_out(orders)
        self._set_timer()

    def _carry_out(self, orders: Iterable[o.Order]) -> None:
        for order in orders:
            _CARRY_OUT[type(order)](self, order)

    def _set_timer(self) -> None:
        due = self.ledger.next_due()
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._now()) + 0.01, self._wake)

    def _wake(self) -> None:
        self.do(self.ledger.elapsed(self._now()))

    def stop(self) -> None:
        """No timer is left behind."""
        for call in (self._timer, self._flushing):
            if call is not None and call.active():
                call.cancel()

    def _assign(self, order: o.Assign) -> None:
        self._outgoing[order.node].append(order)
        self._flush_soon()

    def _withdraw(self, order: o.Withdraw) -> None:
        self._withdrawn[order.node].append(order.attempt)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        outgoing, self._outgoing = self._outgoing, defaultdict(list)
        withdrawn, self._withdrawn = self._withdrawn, defaultdict(list)
        for node, assigns in outgoing.items():
            unsent = {order.attempt for order in assigns}.intersection(withdrawn.get(node, ()))
            withdrawn[node] = [attempt for attempt in withdrawn.get(node, ()) if attempt not in unsent]
            self._send(node, assigns, unsent)
        while self._recalls:
            self._send_recall(self._recalls.popitem()[1])
        for node, attempts in withdrawn.items():
            self._cancel(node, attempts)

    def _send(self, node: bytes, assigns: list[o.Assign], withdrawn: set[Attempt]) -> None:
        link = self.links.get(node)
        if link is None:
            return self._unsent(node, [order.attempt for order in assigns], "its link closed before it was sent")
        self._unsent(node, withdrawn, "withdrawn before it was sent")
        batches: defaultdict[tuple[bytes, int], list[tuple[Attempt, Body, bytes | None]]] = defaultdict(list)
        timeouts = {order.attempt: order.timeout for order in assigns if order.timeout is not None}
        for order in assigns:
            if order.attempt in withdrawn:
                continue
            body = self._customer.body_of(order.attempt.job)
            if body.size > INLINE_LIMIT or isinstance(body, Equipped):
                ensureDeferred(self._send_ahead(link, order, body)).addErrback(self.unexpected, link)
            else:
                batches[order.cluster, order.generation].append((order.attempt, body, None))
        for (cluster, generation), jobs in batches.items():
            self._run(link, node, cluster, generation, jobs, timeouts)

    async def _send_ahead(self, link: NodeLink, order: o.Assign, body: Body) -> None:
        """Send what must be there before the attempt is handed over: files of its own, and arguments that do not fit a box."""
        self._underway.add(order.attempt)
        try:
            if isinstance(body, Equipped):
                await place_files(link, order.cluster, body.files, body.contents, order.attempt)
            stream = await link.send_body(body) if body.size > INLINE_LIMIT else None
        except (SourceError, RefusedError) as error:
            return self.do(self.ledger.ended(order.node, order.attempt, not_placed(error), self._now()))
        except UnknownComputationError:
            return self.do(self.ledger.refused(order.node, order.attempt, NO_SLOT, self._now()))
        except StreamError as error:
            if self.links.get(order.node) is link:
                log.warn("arguments or files of {attempt} did not reach its node: {error}", attempt=str(order.attempt), error=error)
                self.do(self.ledger.refused(order.node, order.attempt, NO_SLOT, self._now()))
            return
        except ConnectionClosed:
            return self._unsent(order.node, [order.attempt], "its link closed before it was sent")
        finally:
            self._underway.discard(order.attempt)
        job = self.ledger.jobs.get(order.attempt.job)
        if job is None or job.cancelled:
            self._unsent(order.node, [order.attempt], "withdrawn before it was sent")
            if isinstance(body, Equipped):
                self._cancel(order.node, [order.attempt])  # its files are not needed there
        elif self.links.get(order.node) is not link:
            self._unsent(order.node, [order.attempt], "its link was replaced before it was sent")
        else:
            timeouts = {} if order.timeout is None else {order.attempt: order.timeout}
            self._run(link, order.node, order.cluster, order.generation, [(order.attempt, body, stream)], timeouts)

    def _run(
        self,
        link: NodeLink,
        node: bytes,
        cluster: bytes,
        generation: int,
        jobs: list[tuple[Attempt, Body, bytes | None]],
        timeouts: Mapping[Attempt, float],
    ) -> None:
        def refused(pairs: list[tuple[Attempt, str]]) -> None:
            for attempt, reason in pairs:
                self.do(self.ledger.refused(node, attempt, reason, self._now()))

        attempts = [attempt for attempt, _, _ in jobs]
        if not self._customer.leaving(cluster, node, attempts):
            return self._unsent(node, attempts, NO_SLOT)  # as with a full node, they may try again in a moment
        link.run_jobs(cluster, generation, jobs, timeouts).addCallbacks(refused, self.unexpected, errbackArgs=(link,))

    def _cancel(self, node: bytes, attempts: list[Attempt]) -> None:
        link = self.links.get(node)
        sent = [attempt for attempt in attempts if attempt not in self._underway]
        if link is not None and sent:
            link.cancel_jobs(sent).addErrback(self.unexpected, link)

    def _recall(self, order: o.Recall) -> None:
        self._recalls[order.node] = order  # after what leaves in this turn, and before cancels, which let others start
        self._flush_soon()

    def _send_recall(self, order: o.Recall) -> None:
        link = self.links.get(order.node)
        if link is not None:
            link.recall_jobs(order.cluster, order.most).addErrback(self.unexpected, link)

    def unexpected(self, failure: Any, link: NodeLink) -> None:
        """An ask failed: if not with its link, then the two ends no longer agree; a new link begins with a reconcile."""
        if not failure.check(ConnectionClosed):
            log.failure("an ask failed in a way that its command does not know", failure)
            link.drop("an ask failed")

    def _reconcile(self, order: o.Reconcile) -> None:
        link = self.links[order.node]

        def reconciled(answer: tuple[list[tuple[Attempt, str]], dict[bytes, int]]) -> None:
            if self.links.get(order.node) is link:
                self.do(self.ledger.reconciled(order.node, answer[0], answer[1], self._now()))

        link.reconcile(order.attempts).addCallback(reconciled).addErrback(self.unexpected, link)

    def _allocate(self, order: o.Allocate) -> None:
        def allocated(cpus: int) -> None:
            self.do(self.ledger.allocated(order.cluster, order.node, cpus))

        def failed(failure: Any) -> None:
            self.do(self.ledger.rejected(order.node, order.cluster, f"NodeAllocate.allocate raised: {failure.value!r}"))

        self._customer.allocate(order.cluster, self.facts[order.node]).addCallbacks(allocated, failed)

    def _prepare(self, order: o.Prepare) -> None:
        link = self.links.get(order.node)
        if link is not None:
            ensureDeferred(self._prepared(link, order)).addErrback(self.unexpected, link)

    async def _prepared(self, link: NodeLink, order: o.Prepare) -> None:
        try:
            for _ in range(_MOST_ROUNDS):
                missing = await link.open_computation(self._customer.computation(order.cluster, order.node))
                if not missing or self._is_closed(order.cluster):
                    return
                await all_of(link.send_file(digest, self._customer.file_of(order.cluster, digest)) for digest in missing)
                if self._is_closed(order.cluster):
                    return
            text = "its files did not stay there"
        except NodeHeldError as error:
            return self.do(self.ledger.held(order.node, order.cluster, str(error)))
        except (RefusedError, WireError) as error:
            text = str(error)  # what does not fit, or is nonsense to the node, would be so again
        except ConnectionClosed:
            return
        self.do(self.ledger.rejected(order.node, order.cluster, text))

    def _is_closed(self, cluster: bytes) -> bool:
        return cluster not in self.ledger.clusters

    def _release(self, order: o.Release) -> None:
        link = self.links.get(order.node)
        if link is not None:
            link.close_computation(order.cluster).addErrback(self.unexpected, link)

    def _show_running(self, order: o.ShowRunning) -> None:
        self._customer.show_running(order.job, order.node, order.started)

    def _settle(self, order: o.Settle) -> None:
        self._customer.settle(order.job, order.outcome, order.node, order.attempts)

    def _show_retry(self, order: o.ShowRetry) -> None:
        self._customer.show_retry(order)

    def _tell(self, order: Any) -> None:
        self._customer.tell(order)


_CARRY_OUT: dict[type, Callable[[Dispatcher, Any], None]] = {
    o.Allocate: Dispatcher._allocate,
    o.Prepare: Dispatcher._prepare,
    o.Release: Dispatcher._release,
    o.Assign: Dispatcher._assign,
    o.Recall: Dispatcher._recall,
    o.Withdraw: Dispatcher._withdraw,
    o.Reconcile: Dispatcher._reconcile,
    o.ShowRunning: Dispatcher._show_running,
    o.Settle: Dispatcher._settle,
    o.ShowRetry: Dispatcher._show_retry,
    o.TellAway: Dispatcher._tell,
    o.TellBack: Dispatcher._tell,
    o.TellRejected: Dispatcher._tell,
    o.TellHeld: Dispatcher._tell,
    o.TellReady: Dispatcher._tell,
    o.TellClosed: Dispatcher._tell,
}
