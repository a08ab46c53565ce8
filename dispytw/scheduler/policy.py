"""Which job next, and on which node: first in, first out inside a cluster; the least loaded node first.

Both choices cost O(log n). Entries that have been overtaken by events stay in their heaps until they come up, and are dropped then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

J = TypeVar("J")


class Queue(Generic[J]):
    """Jobs in the order of their sequence numbers; one that comes back takes its old place.

    ``push`` and ``head`` cost O(log n). Whether an entry still waits is asked when it comes up (``waits``).
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, J]] = []

    def push(self, sequence: int, job: J) -> None:
        """Put a job in its place. Sequence numbers are unique among the waiting."""
        heapq.heappush(self._heap, (sequence, job))

    def head(self, waits: Callable[[J, int], bool]) -> tuple[int, J] | None:
        """The first that still waits, with its sequence number; it stays in the queue."""
        while self._heap:
            sequence, job = self._heap[0]
            if waits(job, sequence):
                return sequence, job
            heapq.heappop(self._heap)
        return None

    @property
    def first(self) -> int:
        """The sequence number of the head, as `head` gave it."""
        return self._heap[0][0]

    def pop(self) -> J:
        """Take the head, as `head` gave it."""
        return heapq.heappop(self._heap)[1]


class Candidates:
    """Nodes that may take a job of one cluster, least loaded first, then in order of arrival.

    A node is offered again at each change, with a version that grows; an offer of an older version is void.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, bytes, int]] = []

    def offer(self, load: float, order: int, node: bytes, version: int) -> None:
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
