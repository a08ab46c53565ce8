"""Looks over the shoulder of a mind: each event, what it did to which attempt, which orders came of it.

A mind's public methods are wrapped, on that one object. What an event does to an attempt has to stand in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import attrs

from dispytw.scheduler.entries import JobState
from dispytw.scheduler.orders import Assign, Settle
from dispytw.values import CANCELLED, TERMINATED, Attempt, Outcome
from tests.simulation import tables


class Broken(AssertionError):
    """A law, or the table, does not hold."""


@attrs.define(eq=False)
class Record:
    """What occurred.

    :ivar rows: how often each row of a table, as (mind, state, event, state).
    :ivar events: how often each event, as (mind, name).
    :ivar orders: how often each order, as (mind, name).
    :ivar lines: everything, in order.
    :ivar broken: laws that did not hold.
    :ivar performed: outcomes of bodies that came to an end, by attempt; as the house knows them.
    :ivar heard: attempts of whose end a ledger has been told.
    """

    rows: Counter[tuple[str, str, str, str]] = attrs.field(factory=Counter)
    events: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    orders: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    lines: list[str] = attrs.field(factory=list)
    broken: list[Broken] = attrs.field(factory=list)
    performed: dict[Attempt, Outcome] = attrs.field(factory=dict)
    heard: set[Attempt] = attrs.field(factory=set)

    def refuse(self, text: str) -> None:
        """A law is broken; where that is noticed somebody may swallow the exception, so it is kept."""
        self.broken.append(Broken(text))
        raise self.broken[-1]


Labels = dict[Hashable, str]

#: What an event did to something: the thing, its state, what the table calls the event, and the state that followed.
Step = tuple[Hashable, str, str, str]


@attrs.define(eq=False)
class Watch:
    """One watched mind.

    :param name: for the log.
    :param now: true time.
    """

    name: str
    mind: Any
    table: tables.Table
    record: Record
    now: Callable[[], float]
    _depth: int = 0

    EVENTS: ClassVar[tuple[str, ...]] = ()

    def begin(self) -> None:
        """Wrap its events."""
        for event in self.EVENTS:
            setattr(self.mind, event, self._wrapped(event, getattr(self.mind, event)))

    def _wrapped(self, event: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.record.events[self.table.name, event] += 1
            if self._depth:
                return method(*args, **kwargs)
            self._depth = 1
            try:
                before = self.states()
                result = method(*args, **kwargs)
            finally:
                self._depth = 0
            self._compare(event, (*args, *kwargs.values()), before, result)
            return result

        return watched

    def _compare(self, event: str, args: tuple[Any, ...], before: dict[Hashable, str], result: Any) -> None:
        orders = result[0] if isinstance(result, tuple) else result
        words = [type(order).__name__ for order in orders]
        for word in words:
            self.record.orders[self.table.name, word] += 1
        self.record.lines.append(f"{self.now():.6f} {self.name} {event} {' '.join(words)}")
        after = self.states()
        labels = self.labels(event, args, before, result)
        steps: list[Step] = []
        for entity in dict.fromkeys([*labels, *before]):
            was, becomes = before.get(entity, self.unknown(entity)), self.becomes(entity, after, orders)
            if entity in labels:
                steps.append((entity, was, labels[entity], becomes))
                self._step(*steps[-1])
            elif becomes != was:
                self.record.refuse(f"{self.name}: {event} made {was!r} {becomes!r}, and nobody spoke of {entity}")
        self.beyond(orders)
        self.hold_to(event, args, steps, orders)

    def _step(self, entity: Hashable, was: str, label: str, becomes: str) -> None:
        self.record.rows[self.table.name, was, label, becomes] += 1
        self.record.lines.append(f"    {entity}: {was} + {label} = {becomes}")
        if becomes not in self.table.steps.get((was, label), ()):
            self.record.refuse(f"{self.name}: {entity}: {was!r} + {label!r} became {becomes!r}, which is not in the table")

    # What each mind is like.
    def states(self) -> dict[Hashable, str]:
        """The state of everything it knows."""
        raise NotImplementedError

    def unknown(self, entity: Hashable) -> str:
        """The state of what it does not know."""
        raise NotImplementedError

    def becomes(self, entity: Hashable, after: dict[Hashable, str], orders: list[Any]) -> str:
        """The state that followed."""
        return after.get(entity, self.unknown(entity))

    def beyond(self, orders: list[Any]) -> None:
        """Steps that follow of the orders."""

    def hold_to(self, event: str, args: tuple[Any, ...], steps: list[Step], orders: list[Any]) -> None:
        """Laws beyond the table."""

    def labels(self, event: str, args: tuple[Any, ...], before: dict[Hashable, str], result: Any) -> Labels:
        """What the event is called in the table, for everything that it speaks of."""
        raise NotImplementedError


@attrs.define(eq=False)
class LedgerWatch(Watch):
    """Watches a ledger. A job that is queued stands for itself; otherwise its attempts do.

    :param clusters: of each job, its cluster; filled by whoever submits.
    """

    clusters: dict[str, bytes] = attrs.field(factory=dict)
    _current: frozenset[Hashable] = frozenset()
    _node_of: dict[Attempt, bytes] = attrs.field(factory=dict)
    _incarnations: dict[bytes, int] = attrs.field(factory=dict)

    EVENTS = (
        *("cluster_opened", "cluster_closed", "submitted", "started", "ended", "refused", "cancelled", "given_up"),
        *("unsent_given_up", "joined", "reconciled", "left", "elapsed", "wanted", "allocated", "prepared", "rejected"),
        *("supervisor_died", "held", "freed", "given_back"),
        *("node_limited", "node_allocated", "node_deallocated", "node_closed", "node_resetup"),
    )

    def states(self) -> dict[Hashable, str]:
        found: dict[Hashable, str] = {}
        for job in self.mind.jobs.values():
            if job.state is JobState.QUEUED:
                found[job.uid.hex()[:8]] = "queued"
            else:
                found[job.attempt] = job.state.value + ("; cancelled" if job.cancelled else "")
        for node in self.mind.nodes.values():
            found.update(dict.fromkeys(sorted(node.strays), "stray"))
        return found

    def unknown(self, entity: Hashable) -> str:
        return "over"

    def becomes(self, entity: Hashable, after: dict[Hashable, str], orders: list[Any]) -> str:
        if isinstance(entity, str):
            return self._job_becomes(entity, after)
        state = after.get(entity, "over")
        if not isinstance(entity, Attempt) or state not in ("stray", "over") or entity not in self._current:
            return state
        job = self.mind.jobs.get(entity.job)
        if job is not None:
            return "queued"
        return "settled; stray" if state == "stray" else "settled"

    def _job_becomes(self, job: str, after: dict[Hashable, str]) -> str:
        if job in after:
            return "queued"
        assigned = any(isinstance(each, Attempt) and each.job.hex()[:8] == job and state != "stray" for each, state in after.items())
        return "assigned" if assigned else "settled"

    def labels(self, event: str, args: tuple[Any, ...], before: dict[Hashable, str], result: Any) -> Labels:
        self._current = frozenset(each for each, state in before.items() if state not in ("stray", "queued"))
        orders = result
        labels: Labels = {
            order.attempt.job.hex()[:8]: "a slot is free"
            for order in orders
            if isinstance(order, Assign) and order.attempt.job.hex()[:8] in before
        }
        spoken = getattr(self, f"_of_{event}", None)
        if spoken is not None:
            labels.update(spoken(before, *args))
        settled = {order.job: order.outcome.reason for order in orders if isinstance(order, Settle)}
        labels.update((job.hex()[:8], "of no use") for job in settled if job.hex()[:8] in before and job.hex()[:8] not in labels)
        useless = {job for job, reason in settled.items() if "has no use" in reason}
        labels.update((each, "of no use") for each in labels if isinstance(each, Attempt) and each.job in useless)
        return labels

    def _on(self, node: bytes, before: dict[Hashable, str]) -> list[Attempt]:
        """Attempts that are, or were before the event, on the node."""
        mine = [each for each in before if isinstance(each, Attempt) and self._node_of.get(each) == node]
        return [each for each in mine if before[each] != "resting"]

    def beyond(self, orders: list[Any]) -> None:
        for order in orders:
            if isinstance(order, Assign):
                self._node_of[order.attempt] = order.node

    def _of_started(self, before: dict[Hashable, str], node: bytes, attempt: Attempt, wall: float) -> Labels:
        return {attempt: "started"}

    def _of_ended(
        self, before: dict[Hashable, str], node: bytes, attempt: Attempt, outcome: Any, now: float, more: bool = False
    ) -> Labels:
        if before.get(attempt) in ("assigned", "running"):
            if outcome.status == CANCELLED:
                return {attempt: "ended: by its node"}
            if outcome.status == TERMINATED and self._has_retries(attempt.job):
                return {attempt: "ended: tried again"}
        return {attempt: "ended"}

    def _has_retries(self, job: bytes) -> bool:
        """Whether it had when the event came."""
        entry = self.mind.jobs.get(job)
        return entry is not None and entry.failures <= entry.options.retries

    def _of_refused(self, before: dict[Hashable, str], node: bytes, attempt: Attempt, reason: str, now: float) -> Labels:
        return {attempt: "refused"}

    def _of_given_back(self, before: dict[Hashable, str], node: bytes, attempts: Any) -> Labels:
        return dict.fromkeys(attempts, "given_back")

    def _of_cancelled(self, before: dict[Hashable, str], job: bytes) -> Labels:
        if job.hex()[:8] in before:
            return {job.hex()[:8]: "cancelled"}
        current = [each for each, state in before.items() if isinstance(each, Attempt) and each.job == job and state != "stray"]
        return {current[0]: "cancelled"} if current else {Attempt(job, 2**31): "cancelled"}

    def _of_given_up(self, before: dict[Hashable, str], cluster: bytes, why: str) -> Labels:
        return {each: "given_up" for each, state in before.items() if state != "stray" and self._cluster(each) == cluster}

    def _of_cluster_closed(self, before: dict[Hashable, str], cluster: bytes) -> Labels:
        return self._of_given_up(before, cluster, "")

    def _of_unsent_given_up(self, before: dict[Hashable, str], clusters: Any, goes_on: Any = None) -> Labels:
        wanted = {each: state for each, state in before.items() if state != "stray" and self._cluster(each) in clusters}
        return {each: "unsent_given_up" if state in ("queued", "resting") else "cancelled" for each, state in wanted.items()}

    def _cluster(self, entity: Hashable) -> bytes:
        job = entity.job.hex()[:8] if isinstance(entity, Attempt) else str(entity)
        return self.clusters[job]

    def _of_node_closed(self, before: dict[Hashable, str], cluster: bytes, node: bytes, terminate: bool = False) -> Labels:
        if not terminate:
            return {}
        there = {each: state for each, state in before.items() if state not in ("stray", "resting") and self._cluster(each) == cluster}
        return {each: "cancelled" for each in there if isinstance(each, Attempt) and self._node_of.get(each) == node}

    _of_node_resetup = _of_node_closed

    def _of_left(self, before: dict[Hashable, str], node: bytes, now: float) -> Labels:
        return dict.fromkeys(self._on(node, before), "left")

    def _of_joined(self, before: dict[Hashable, str], facts: Any, now: float) -> Labels:
        known = self._incarnations.get(facts.uid)
        self._incarnations[facts.uid] = facts.incarnation
        strays = [each for each in self._on(facts.uid, before) if before[each] == "stray"]
        return dict.fromkeys(strays, "joined: new incarnation") if known != facts.incarnation else {}

    def _of_reconciled(self, before: dict[Hashable, str], node: bytes, attempts: Any, ready: Any, now: float) -> Labels:
        labels: Labels = dict.fromkeys((e for e in self._on(node, before) if before[e] == "stray"), "reconciled: not there")
        return labels | {attempt: f"reconciled: {word}" for attempt, word in attempts}

    def _of_elapsed(self, before: dict[Hashable, str], now: float) -> Labels:
        still = self.states()
        gone = [each for each, state in before.items() if isinstance(each, Attempt) and state != "stray" and each not in still]
        return {each: "elapsed: rested" if before[each] == "resting" else "elapsed: given up" for each in gone}


@attrs.define(eq=False)
class BenchWatch(Watch):
    """Watches a bench."""

    EVENTS = (
        *("connected", "disconnected", "opened", "ready", "setup_failed", "supervisor_ended", "closed", "offered", "started"),
        *("ended", "acknowledged", "cancelled", "asked_back", "given_back", "reconciled", "elapsed", "stopped"),
        *("adopted", "handed_over", "recalled", "retained", "kept", "disk_has_room"),
    )

    def states(self) -> dict[Hashable, str]:
        return {attempt: self._state(placed) for attempt, placed in self.mind._placed.items()}

    @staticmethod
    def _state(placed: Any) -> str:
        if placed.outcome is not None:
            return "owed"
        return str(placed.word) + ("; cancelled" if placed.cancelled else "")

    def unknown(self, entity: Hashable) -> str:
        return "absent"

    def labels(self, event: str, args: tuple[Any, ...], before: dict[Hashable, str], result: Any) -> Labels:
        spoken = getattr(self, f"_of_{event}", None)
        return spoken(before, result, *args) if spoken is not None else {}

    def _of_offered(self, before: Any, result: Any, client: bytes, computation: bytes, generation: int, attempts: Any) -> Labels:
        words = {"no free slot": "no slot", "the computation is not ready here": "not ready", "the node is being stopped": "stopping"}
        words["no room on the disk"] = "no room"
        refused = {attempt: f"offered: {words.get(reason, reason)}" for attempt, reason in result[1]}
        return {attempt: refused.get(attempt, "offered") for attempt in attempts}

    def _of_started(self, before: Any, result: Any, attempt: Attempt, wall: float) -> Labels:
        return {attempt: "started"}

    def _of_ended(self, before: Any, result: Any, computation: bytes, attempt: Attempt, outcome: Any) -> Labels:
        return {attempt: "ended"}

    def _of_given_back(self, before: Any, result: Any, computation: bytes, attempts: Any) -> Labels:
        return dict.fromkeys(attempts, "given_back")
    def _of_handed_over(self, before: Any, result: Any, computation: bytes, attempts: Any) -> Labels:
        return {attempt: "adopted" for attempt, _ in attempts}

    def _of_recalled(self, before: Any, result: Any, owed: Any, now: float, kept: bool = True, name: str = "") -> Labels:
        return {each.attempt: "recalled" if kept else "inherited" for each in owed}

    def _of_kept(self, before: Any, result: Any, attempts: Any) -> Labels:
        return dict.fromkeys(attempts, "kept")

    def _of_acknowledged(self, before: Any, result: Any, attempt: Attempt) -> Labels:
        return {attempt: "acknowledged"}

    def _of_cancelled(self, before: Any, result: Any, client: bytes, attempts: Any) -> Labels:
        return dict.fromkeys(attempts, "cancelled")

    def _of_reconciled(self, before: Any, result: Any, client: bytes, attempts: Any) -> Labels:
        return {attempt: f"reconciled: {word}" for attempt, word in result[1]}

    def _of_supervisor_ended(self, before: Any, result: Any, computation: bytes, text: str) -> Labels:
        mine = [each for each, placed in self.mind._placed.items() if placed.computation == computation]
        return dict.fromkeys(mine, "supervisor_ended")

    def _of_disconnected(self, before: Any, result: Any, client: bytes, now: float) -> Labels:
        return dict.fromkeys([each for each, placed in self.mind._placed.items() if placed.client == client], "disconnected")

    def _of_elapsed(self, before: Any, result: Any, now: float) -> Labels:
        after = self.states()
        return {
            each: "elapsed: zombie" if each in after else "elapsed: hold over"
            for each, state in before.items()
            if after.get(each) != state
        }

    def _of_stopped(self, before: Any, result: Any) -> Labels:
        return dict.fromkeys(before, "stopped")
