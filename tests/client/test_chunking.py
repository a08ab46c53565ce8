"""How many calls go into one job."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from dispytw.client.chunking import MOST_BYTES, MOST_CALLS, TARGET, Chunker

EVERY_PYTHON = False


def settled(chunker: Chunker, each: float, size: int = 10, slots: int = 4, rounds: int = 30) -> int:
    """The size that it comes to when each call takes so long, and so many bytes."""
    for _ in range(rounds):
        calls = chunker.size(slots)
        chunker.taken(calls, calls * size)
        chunker.learned(calls, calls * each)
    return chunker.size(slots)


class Chunks(unittest.TestCase):
    """`Chunker.size`."""

    def test_alone_until_it_is_known(self) -> None:
        """Nothing is measured yet: calls go one by one; and slow ones for ever."""
        self.assertEqual(1, Chunker().size(8))
        for each in (TARGET, 1.0, 3600.0):
            self.assertEqual(1, settled(Chunker(), each))

    def test_short_calls_go_together(self) -> None:
        """As many as take the target, reached in steps; also of calls that take no time that could be measured."""
        self.assertEqual(100, settled(Chunker(), TARGET / 100))
        self.assertEqual(MOST_CALLS, settled(Chunker(), 0.0))
        chunker = Chunker()
        chunker.learned(1, 0.0)
        self.assertEqual(4, chunker.size(8))

    def test_it_adapts(self) -> None:
        """Calls that become slower go in fewer again."""
        chunker = Chunker()
        self.assertGreater(settled(chunker, 1e-5), 1000)
        self.assertEqual(10, settled(chunker, TARGET / 10))

    def test_large_arguments(self) -> None:
        """A job's arguments stay small enough to be held in memory many times over."""
        self.assertEqual(2, settled(Chunker(), 1e-6, size=MOST_BYTES // 2))
        self.assertEqual(1, settled(Chunker(), 1e-6, size=MOST_BYTES * 3))

    def test_the_end(self) -> None:
        """What is left is shared out among the slots, down to single calls."""
        chunker = Chunker(length=1000)
        left, sizes = 1000, []
        while left:
            sizes.append(min(chunker.size(4), left))
            chunker.taken(sizes[-1], sizes[-1])
            chunker.learned(sizes[-1], 0.0)
            left -= sizes[-1]
        self.assertLessEqual(max(sizes), 125)
        self.assertEqual(1, sizes[-1])

    def test_fixed(self) -> None:
        """Whoever says how many gets as many."""
        self.assertEqual(7, settled(Chunker(fixed=7, length=3), 10.0))

    @given(
        st.none() | st.integers(0, 100),
        st.lists(st.tuples(st.integers(1, 10**5), st.floats(-1, 1e5), st.integers(0, 10**9), st.integers(0, 10**4))),
    )
    def test_always_some(self, length: int | None, history: list[tuple[int, float, int, int]]) -> None:
        """Whatever was measured: at least one, and never too many."""
        chunker = Chunker(length=length)
        for calls, seconds, size, slots in history:
            chunker.taken(calls, size)
            chunker.learned(calls, seconds)
            self.assertTrue(1 <= chunker.size(slots) <= MOST_CALLS)
