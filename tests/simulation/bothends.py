"""Watches that hold a ledger and a bench to more than their tables: to each other's knowledge, to true time, and to their own books.

- A node forgets an outcome only when the client's ledger has it.
- A node tells what the body ended with, and the job gets what the node has told.
- A job that was lost is queued again only if it is reentrant.
- What has failed is tried again, as often as was asked for and after its rest; nothing else is.
- Nobody is given up before his time, measured by a clock that never jumps.
- What a mind counts is what there is.
- No job is sent again and again: who refuses it gets a rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

import attrs

from dispytw.node.bench import HOLD
from dispytw.node.orders import TellEnded
from dispytw.scheduler.orders import Assign, Settle, ShowRetry
from dispytw.values import MOST_PARKED, TERMINATED, Attempt, Outcome
from tests.simulation.watching import BenchWatch, LedgerWatch, Step

#: What the ledger's table calls a loss: nobody has said that the attempt never started.
LOSSES = ("ended: by its node", "reconciled: unknown", "elapsed: given up")
#: Seconds by which clocks may differ for rounding.
ROUNDING = 1e-6
#: How often one job may be sent in so many seconds: a node that says that it is full is left alone for one.
MOST_SENT, SENDING = 30, 10.0


@attrs.define(eq=False)
class LawfulLedgerWatch(LedgerWatch):
    """Watches a ledger that keeps its word."""

    _away: dict[bytes, float] = attrs.field(factory=dict)
    _sent: Counter[tuple[bytes, int]] = attrs.field(factory=Counter)
    _failed: Counter[bytes] = attrs.field(factory=Counter)
    _rests: dict[bytes, float] = attrs.field(factory=dict)

    def hold_to(self, event: str, args: tuple[Any, ...], steps: list[Step], orders: list[Any]) -> None:
        if event == "ended":
            self._settled_as_told(args[1], args[2], steps, orders)
        elif event == "reconciled":
            self._away.pop(args[0], None)
        elif event in ("joined", "left"):
            self._away.setdefault(args[0].uid if event == "joined" else args[0], self.now())
        for entity, _, label, becomes in steps:
            if label in LOSSES and becomes == "queued":
                self._may_be_repeated(entity, label)
            if label == "elapsed: given up":
                self._was_waited_for(entity)
        self._retries_are_wanted(orders)
        assigns = [order for order in orders if isinstance(order, Assign)]
        self._books_balance(assigns)
        for order in assigns:
            self._has_rested(order.attempt.job)
            self._gets_a_rest(order.attempt)

    def _settled_as_told(self, attempt: Attempt, outcome: Outcome, steps: list[Step], orders: list[Any]) -> None:
        self.record.heard.add(attempt)
        if not any(entity == attempt and label == "ended" for entity, _, label, _ in steps):
            return
        for order in orders:
            if isinstance(order, Settle) and order.job == attempt.job and order.outcome.status != outcome.status:
                self.record.refuse(f"{self.name}: {attempt} has ended with {outcome.status}, its job with {order.outcome.status}")

    def _retries_are_wanted(self, orders: list[Any]) -> None:
        for order in orders:
            if isinstance(order, ShowRetry):
                self._failed[order.job] += 1
                self._rests[order.job] = self.now() + order.seconds
                options = self.mind.jobs[order.job].options
                if order.outcome.status != TERMINATED or self._failed[order.job] > options.retries:
                    self.record.refuse(f"{self.name}: {order.attempt} is to be tried again after {order.outcome}, with {options}")

    def _has_rested(self, job: bytes) -> None:
        early = self._rests.pop(job, 0.0) - self.now()
        if early > ROUNDING:
            self.record.refuse(f"{self.name}: job {job.hex()[:8]} is tried again {early:.3f} s too early")

    def _may_be_repeated(self, entity: Hashable, label: str) -> None:
        if not self.mind.clusters[self._cluster(entity)].reentrant:
            self.record.refuse(f"{self.name}: {entity} is not reentrant, and queued again after {label!r}")

    def _was_waited_for(self, attempt: Hashable) -> None:
        assert isinstance(attempt, Attempt)
        waited = self.now() - self._away.get(self._node_of[attempt], self.now())
        patience = self.mind.clusters[self._cluster(attempt)].patience
        if waited < patience - ROUNDING:
            self.record.refuse(f"{self.name}: {attempt} is given up after {waited:.3f} s instead of {patience} s")

    def _books_balance(self, assigns: list[Assign]) -> None:
        for node in self.mind.nodes.values():
            there = [job.cluster for job in node.jobs.values()]
            for cluster, preparation in node.preparations.items():
                if preparation.busy != there.count(cluster):
                    text = f"{preparation.busy} slots of {node.name} in use for a cluster that has {there.count(cluster)} jobs there"
                    self.record.refuse(f"{self.name}: counts {text}")
        for node, cluster in {(order.node, order.cluster): None for order in assigns}:
            entry = self.mind.nodes[node]
            mine, everything = sum(job.cluster == cluster for job in entry.jobs.values()), len(entry.jobs) + len(entry.strays)
            share = entry.preparations[cluster].cpus
            parks = mine == everything <= entry.cpus * (1 + MOST_PARKED) and share == entry.cpus == entry.offered
            if (everything > entry.cpus or mine > share) and not parks:
                self.record.refuse(f"{self.name}: assigns more to {entry.name} than it has slots for")

    def _gets_a_rest(self, attempt: Attempt) -> None:
        lately = attempt.job, int(self.now() / SENDING)
        self._sent[lately] += 1
        if self._sent[lately] > MOST_SENT:
            self.record.refuse(f"{self.name}: {attempt} is sent again and again, {MOST_SENT} times in less than {SENDING} s")


@attrs.define(eq=False)
class LawfulBenchWatch(BenchWatch):
    """Watches a bench that keeps its word."""

    _gone: dict[bytes, float] = attrs.field(factory=dict)
    _client_of: dict[Hashable, bytes] = attrs.field(factory=dict)

    def hold_to(self, event: str, args: tuple[Any, ...], steps: list[Step], orders: list[Any]) -> None:
        if event == "connected":
            self._gone.pop(args[0], None)
        elif event == "disconnected":
            self._gone.setdefault(args[0], self.now())
        elif event == "offered":
            self._client_of.update((entity, args[0]) for entity, *_ in steps)
        for entity, was, label, _ in steps:
            if label == "acknowledged" and was == "owed" and entity not in self.record.heard:
                self.record.refuse(f"{self.name}: forgets the outcome of {entity}, which its client's ledger has not got")
            if label.startswith("elapsed"):
                self._was_waited_for(entity, label)
        self._tells_the_truth(orders)
        self._books_balance(any(label == "offered" and was == "absent" for _, was, label, _ in steps))

    def _was_waited_for(self, attempt: Hashable, label: str) -> None:
        client = self._client_of.get(attempt)
        if client is None:
            return
        patience = HOLD if label == "elapsed: hold over" else self.mind.zombie_interval
        waited = self.now() - self._gone.get(client, self.now())
        if waited < patience - ROUNDING:
            self.record.refuse(f"{self.name}: {label} for {attempt} after {waited:.3f} s instead of {patience} s")

    def _tells_the_truth(self, orders: list[Any]) -> None:
        for order in orders:
            performed = self.record.performed.get(order.attempt) if isinstance(order, TellEnded) else None
            if performed is not None and performed.status != order.outcome.status:
                text = f"{order.attempt} has ended with {performed.status}, and {order.outcome.status} is told"
                self.record.refuse(f"{self.name}: {text}")

    def _books_balance(self, has_taken: bool) -> None:
        owners = [each.computation for each in self.mind._placed.values() if each.outcome is None]
        if self.mind.busy() != len(owners):
            self.record.refuse(f"{self.name}: counts {self.mind.busy()} slots in use, and {len(owners)} attempts are there")
        if has_taken and len(owners) > self.mind.facts.cpus * (1 + MOST_PARKED * (len(set(owners)) == 1)):
            self.record.refuse(f"{self.name}: takes more than it has slots for")
