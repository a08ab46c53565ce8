"""Which job next, and on which node: the highest priority first, among equals first in, first out; the least loaded node first.

Both choices cost O(log n). Entries that have been overtaken by events stay in their heaps until they come up, and are dropped then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

J = TypeVar("J")
#: What nodes are ordered by.
L = TypeVar("L", float, tuple[int, int])

#: A job's place among all that wait: its priority, negative, and its sequence number; the least is first.
Rank = tuple[int, int]


class Queue(Generic[J]):
    """Jobs in the order of their ranks; one that comes back takes its old place.

    ``push`` and ``head`` cost O(log n). Whether an entry still waits is asked when it comes up (``waits``).
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, J]] = []

    def push(self, sequence: int, job: J, priority: int = 0) -> None:
        """Put a job in its place. Sequence numbers are unique among the waiting."""
        heapq.heappush(self._heap, (-priority, sequence, job))

    def head(self, waits: Callable[[J, int], bool]) -> tuple[Rank, J] | None:
        """The first that still waits, with its rank; it stays in the queue."""
        while self._heap:
            behind, sequence, job = self._heap[0]
            if waits(job, sequence):
                return (behind, sequence), job
            heapq.heappop(self._heap)
        return None

    @property
    def first(self) -> Rank:
        """The rank of the head, as `head` gave it."""
        return self._heap[0][:2]

    def pop(self) -> J:
        """Take the head, as `head` gave it."""
        return heapq.heappop(self._heap)[2]


class Rests(Generic[J]):
    """Jobs that are to be tried again, each at its time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, J]] = []

    def push(self, due: float, sequence: int, job: J) -> None:
        """A job rests until this time. Sequence numbers are unique among the resting."""
        heapq.heappush(self._heap, (due, sequence, job))

    def over(self, now: float, rests: Callable[[J, int], bool]) -> Iterator[J]:
        """Those whose rest is over, and who still rest; they are taken out."""
        while self._heap and self._heap[0][0] <= now:
            _, sequence, job = heapq.heappop(self._heap)
            if rests(job, sequence):
                yield job

    def next_due(self, rests: Callable[[J, int], bool]) -> float | None:
        """When the next rest is over."""
        while self._heap and not rests(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


class Candidates(Generic[L]):
    """Nodes that may take a job of one cluster, least loaded first, then in order of arrival.

    A node is offered again at each change, with a version that grows; an offer of an older version is void.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[L, int, bytes, int]] = []

    def offer(self, load: L, order: int, node: bytes, version: int) -> None:
        """Say that the node has room, and how much of it is in use (0 to 1)."""
        heapq.heappush(self._heap, (load, order, node, version))

    def best(self, valid: Callable[[bytes, int], bool]) -> bytes | None:
        """The least loaded node whose offer stands; it stays on offer."""
        while self._heap:
            _, _, node, version = self._heap[0]
            if valid(node, version):
                return node
            heapq.heappop(self._heap)
        return None

    def __len__(self) -> int:
        return len(self._heap)

    def thin(self, most: int, valid: Callable[[bytes, int], bool]) -> None:
        """Drop void offers when there are more than ``most`` in all."""
        if len(self._heap) > most:
            self._heap = [offer for offer in self._heap if valid(offer[2], offer[3])]
            heapq.heapify(self._heap)
