"""Many lives, one after another, and what they covered."""

from __future__ import annotations

import gc
import hashlib
import time
from collections import Counter
from typing import Any

import attrs
from twisted.logger import LogLevel, globalLogPublisher

from dispytw.node import orders as node_orders
from dispytw.scheduler import orders as scheduler_orders
from tests.simulation import tables
from tests.simulation.watching import BenchWatch, Broken, LedgerWatch, Record
from tests.simulation.world import World

#: Orders that no life brings about: a computation changes hands only when a program recovers another's jobs (tests.node.test_tenancy).
NOT_LIVED = {"Reassign"}


@attrs.define
class Report:
    """What occurred in many lives."""

    seeds: int = 0
    jobs: int = 0
    large: int = 0
    faults: Counter[str] = attrs.field(factory=Counter)
    hits: Counter[str] = attrs.field(factory=Counter)
    record: Record = attrs.field(factory=Record)
    fewest_jobs: int = 10**9
    fewest_faults: int = 10**9
    fewest_nodes: int = 10**9
    slowest: float = 0.0
    seconds: float = 0.0

    def add(self, world: World, seconds: float) -> None:
        """One life more."""
        jobs = sum(len(cluster.jobs) for cluster in world.clusters)
        self.seeds += 1
        self.jobs += jobs
        self.large += sum(job in world.house.starts for job in world.large)
        self.faults += world.faults
        self.hits += world.hits
        for kind in ("rows", "events", "orders"):
            getattr(self.record, kind).update(getattr(world.record, kind))
        self.fewest_jobs = min(self.fewest_jobs, jobs)
        self.fewest_faults = min(self.fewest_faults, sum(world.faults.values()))
        self.fewest_nodes = min(self.fewest_nodes, len(world.nodes))
        self.slowest = max(self.slowest, seconds)
        self.seconds += seconds

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.seeds} seeds, {self.jobs} jobs, {self.large} with arguments longer than a window; a seed has at least {self.fewest_nodes} nodes, {self.fewest_jobs} jobs, "
            f"{self.fewest_faults} faults, and takes {self.seconds / max(1, self.seeds):.3f} s on average, {self.slowest:.3f} s at most",
            "faults, and how many of them hit a node on which a body was being performed:",
        ]
        lines += [f"  {name}: {count}, {self.hits[name]}" for name, count in sorted(self.faults.items())]
        rare = sorted(self.record.rows.items(), key=lambda each: each[1])[:12]
        lines += ["the rarest rows:", *(f"  {count} × {' / '.join(row)}" for row, count in rare)]
        return "\n".join(lines)

    def missing_events(self) -> list[str]:
        """Events and orders that never occurred."""
        wanted = [("events", ("ledger", e)) for e in LedgerWatch.EVENTS] + [("events", ("bench", e)) for e in BenchWatch.EVENTS]
        for mind, orders in (("ledger", scheduler_orders.Order), ("bench", node_orders.Order)):
            names = {order.__name__ for order in orders.__args__} - NOT_LIVED  # type: ignore[attr-defined]
            wanted += [("orders", (mind, name)) for name in sorted(names)]
        return [f"{kind}: {' '.join(name)}" for kind, name in wanted if not getattr(self.record, kind)[name]]

    def missing_rows(self) -> list[str]:
        """Rows of the tables that never occurred."""
        wanted = [(table.name, *row) for table in (tables.LEDGER, tables.BENCH) for row in table.rows]
        return [" / ".join(row) for row in wanted if not self.record.rows[row]]


#: The life that was given up last, if the next has not begun yet.
_given_up: list[int] = []


def forget_others() -> None:
    """What failed in tests that ran before in this process is told of now, and not in a life."""
    gc.collect()


def live(seed: int) -> World:
    """One life.

    :raises Broken: when a law does not hold, or something failed that was only logged.
    """
    if _given_up:
        _given_up.clear()
        gc.collect()  # what failed in a life that was given up is told of now, and not in this one
    world = World(seed)

    def observe(event: Any) -> None:
        if event["log_level"] in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            world.record.broken.append(Broken(f"{event.get('log_format')}\n{failure.getTraceback() if failure else event}"))

    globalLogPublisher.addObserver(observe)
    try:
        world.live()
    except Exception as error:
        world.record.broken.append(error if isinstance(error, Broken) else Broken(repr(error)))
        world.record.broken[-1].__cause__ = error.__cause__ if isinstance(error, Broken) else error
    finally:
        globalLogPublisher.removeObserver(observe)
    for first in world.record.broken:
        _given_up.append(seed)
        tail = "\n".join(world.record.lines[-60:])
        raise Broken(f"seed {seed}, at {world.house.now():.3f} s: {first}\n{tail}") from first
    return world


def live_many(seeds: range) -> Report:
    """All these lives."""
    forget_others()
    report = Report()
    for seed in seeds:
        begun = time.perf_counter()
        world = live(seed)
        report.add(world, time.perf_counter() - begun)
    return report


def fingerprint(seed: int) -> str:
    """The SHA-256 of everything that occurred in a life."""
    forget_others()
    return hashlib.sha256("\n".join(live(seed).record.lines).encode()).hexdigest()


if __name__ == "__main__":
    import sys

    print(live_many(range(int(sys.argv[1]), int(sys.argv[2]))).text())
