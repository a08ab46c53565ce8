"""The cells of the table: what is measured of a contestant. Each is sized by a short trial to last about a second, three at most.

Throughput, round trip and echo share a process. What a queued job costs is measured in a process of its own, because memory that an
echo has freed would hide it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestants import LOST, SLOTS, Batch, Contestant

#: Seconds that a cell aims at.
AIM = 1.0
#: Seconds that a trial must last for its rate to be believed.
TRIAL = 0.15

MIB = 1 << 20


@dataclass(frozen=True)
class Reading:
    """What a cell has shown.

    :ivar figures: by name: jobs or MB a second, milliseconds, bytes.
    :ivar jobs: how many were submitted, trials included.
    :ivar lost: how many of them gave no result, or a wrong one.
    """

    figures: dict[str, float]
    jobs: int = 0
    lost: int = 0


@dataclass
class Count:
    """Jobs submitted so far, and those of them that were lost."""

    jobs: int = 0
    lost: int = 0

    def add(self, arguments: Sequence[Any], batch: Batch) -> int:
        """Compare what came back with what was sent; how many jobs gave the right result."""
        right = sum(result is not LOST and result == argument for argument, result in zip(arguments, batch.results))
        self.jobs += len(arguments)
        self.lost += len(arguments) - right
        return right


@dataclass
class Sized:
    """Runs batches that grow until one is long enough to tell the size of the one that counts."""

    contestant: Contestant
    arguments: Callable[[int], Sequence[Any]]
    first: int
    most: int
    count: Count = field(default_factory=Count)

    def rate(self) -> float:
        """Jobs a second, with results, in the batch that counts."""
        size, (right, seconds) = self.first, self._batch(self.first)
        while seconds < TRIAL and size < self.most:
            size = min(4 * size, self.most)
            right, seconds = self._batch(size)
        if seconds > 0.6 * AIM:
            return right / seconds  # long enough by itself
        right, seconds = self._batch(max(1, min(int(max(right, 1) / seconds * AIM), self.most)))
        return right / seconds

    def _batch(self, size: int) -> tuple[int, float]:
        arguments = self.arguments(size)
        batch = self.contestant.run(arguments)
        return self.count.add(arguments, batch), batch.seconds


def noop(contestant: Contestant) -> Reading:
    """Jobs a second, all submitted at once."""
    sized = Sized(contestant, range, first=16, most=100_000)
    return Reading({"noop": sized.rate()}, sized.count.jobs, sized.count.lost)


def roundtrip(contestant: Contestant) -> Reading:
    """Milliseconds from submit to result, one job at a time: the median, and the time that one in a hundred exceeds."""
    taken, lost, ends = [], 0, time.perf_counter() + AIM
    while (began := time.perf_counter()) < ends:
        lost += contestant.one(len(taken)) != len(taken)
        taken.append(time.perf_counter() - began)
    taken.sort()
    return Reading({"p50": 1000 * quantile(taken, 0.5), "p99": 1000 * quantile(taken, 0.99)}, len(taken), lost)


def echo1(contestant: Contestant) -> Reading:
    """MB a second of 1 MiB echoes, both ways summed."""
    return _echo(contestant, "echo1", MIB, first=4, most=200)


def echo64(contestant: Contestant) -> Reading:
    """MB a second of 64 MiB echoes, both ways summed."""
    return _echo(contestant, "echo64", 64 * MIB, first=1, most=8)


def _echo(contestant: Contestant, name: str, size: int, first: int, most: int) -> Reading:
    data = os.urandom(size)  # what compresses would be another question
    sized = Sized(contestant, lambda count: [data] * count, first, most)
    return Reading({name: sized.rate() * 2 * size / 1e6}, sized.count.jobs, sized.count.lost)


def queue(contestant: Contestant) -> Reading:
    """Submissions a second while every slot is taken, and how much the client's process grows for each."""
    for _ in range(SLOTS):
        contestant.queue(0, seconds=60.0)
    before, began = settled_memory(), time.perf_counter()
    count = 0
    while not count or (count < 50_000 and time.perf_counter() - began < AIM):
        for number in range(100):
            contestant.queue(number)
        count += 100
    seconds = time.perf_counter() - began
    return Reading({"submits": count / seconds, "memory": (settled_memory() - before) / count})


CELLS: dict[str, Callable[[Contestant], Reading]] = {
    cell.__name__: cell for cell in (noop, roundtrip, echo1, echo64, queue)
}
#: The cells that share a process.
TOGETHER = (("noop", "roundtrip", "echo1", "echo64"), ("queue",))


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value that this part of an ordered sequence does not exceed."""
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def settled_memory(patience: float = 1.5) -> int:
    """Resident bytes of this process, once they have been the same for 0.2 s, or after so many seconds."""
    ends, seen = time.monotonic() + patience, [resident()]
    while time.monotonic() < ends and (len(seen) < 5 or max(seen[-5:]) - min(seen[-5:]) > MIB // 4):
        time.sleep(0.05)
        seen.append(resident())
    return seen[-1]


def resident() -> int:
    """Bytes of memory that this process occupies."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
