"""What the hands take for a reactor is what Twisted calls one."""

from __future__ import annotations

import inspect
import unittest

from twisted.internet.base import ReactorBase
from twisted.internet.task import Clock

from dispytw.inmemory import MemoryProcess
from dispytw.wire.clock import Waker


def wake_twice(waker: Waker) -> tuple[list[object], object]:
    """What is called, and the second of two calls."""
    called: list[object] = []
    waker.callLater(1.0, lambda *args, **kwargs: called.append((args, kwargs)), 1, two=2)
    return called, waker.callLater(2.0, called.append, "second")


class Waking(unittest.TestCase):
    """A Waker calls later, with what it was given, unless it is told not to."""

    def test_a_clock(self) -> None:
        """Twisted's Clock."""
        clock = Clock()
        called, second = wake_twice(clock)
        clock.advance(1.0)
        self.assertEqual([((1,), {"two": 2})], called)
        self.assertTrue(second.active())  # type: ignore[attr-defined]
        second.cancel()  # type: ignore[attr-defined]
        clock.advance(5.0)
        self.assertEqual([((1,), {"two": 2})], called)
        self.assertEqual([], clock.getDelayedCalls())

    def test_a_process_in_memory(self) -> None:
        """A process of `dispytw.testing`."""
        clock = Clock()
        called, second = wake_twice(MemoryProcess(clock))
        clock.advance(1.0)
        self.assertEqual([((1,), {"two": 2})], called)
        second.cancel()  # type: ignore[attr-defined]
        clock.advance(5.0)
        self.assertEqual([((1,), {"two": 2})], called)

    def test_a_reactor(self) -> None:
        """Every reactor takes the arguments that a Waker is given, by the names that it is given them by."""
        given = inspect.signature(ReactorBase.callLater).bind(None, 1.0, print, 1, end="")
        self.assertEqual({"delay": 1.0, "callable": print, "args": (1,), "kw": {"end": ""}}, {
            name: value for name, value in given.arguments.items() if name != "self"
        })  # fmt: skip

    def test_it_measures_nothing(self) -> None:
        """A Waker has no time: Twisted's `seconds` is the wall clock, which jumps."""
        self.assertEqual(["callLater"], [name for name in vars(Waker) if not name.startswith("_")])
