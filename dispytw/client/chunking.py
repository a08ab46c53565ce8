"""How many calls go into one job of `cluster.map`: many of short ones, one of a long one. Learned from those that have ended."""

from __future__ import annotations

import attrs

#: Seconds that one job of a map is to take: what a job costs beyond its calls is little beside it, and it is soon over.
TARGET = 0.1
#: Calls, and bytes of their arguments, in one job.
MOST_CALLS, MOST_BYTES = 10_000, 2 * 1024 * 1024
#: A chunk is at most so many times as long as the longest before it.
_GROWTH = 4


@attrs.define
class Chunker:
    """Says how long the next chunk is.

    :param fixed: how long each is to be, or None to adapt to what is measured.
    :param length: how many calls there will be, or None where nobody knows.
    """

    fixed: int | None = None
    length: int | None = None
    _taken: int = 0
    _longest: int = 1
    _seconds: float | None = None
    _bytes: float = 0.0

    def size(self, slots: int) -> int:
        """How many calls the next chunk has, at most.

        :param slots: how many jobs may run at the same time; towards the end no slot is to be without work.
        """
        if self.fixed is not None:
            return self.fixed
        if self._seconds is None:
            return 1
        size = int(TARGET / max(self._seconds, TARGET / MOST_CALLS))
        size = min(size, self._longest * _GROWTH, int(MOST_BYTES / max(self._bytes, MOST_BYTES / MOST_CALLS)))
        if self.length is not None:
            size = min(size, -(-(self.length - self._taken) // (2 * max(slots, 1))))
        return max(size, 1)

    def taken(self, calls: int, size: int) -> None:
        """A chunk was packed.

        :param size: bytes of its arguments.
        """
        self._taken += calls
        self._bytes += (size / calls - self._bytes) / 4 if self._bytes else size / calls

    def learned(self, calls: int, seconds: float) -> None:
        """A chunk has taken so long on its node."""
        each = max(seconds, 0.0) / calls
        self._longest = max(self._longest, calls)
        self._seconds = each if self._seconds is None else self._seconds + (each - self._seconds) / 4
