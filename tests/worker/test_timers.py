"""Calls at their time."""

from __future__ import annotations

import unittest
from unittest import mock

from dispytw.worker import timers
from dispytw.worker.timers import Timers


class TimersTests(unittest.TestCase):
    """With a number for the time."""

    def setUp(self) -> None:
        self.now = 100.0
        patched = mock.patch.object(timers, "monotonic", lambda: self.now)
        patched.start()
        self.addCleanup(patched.stop)
        self.timers = Timers()
        self.called: list[str] = []

    def test_calls_come_in_the_order_of_their_time(self) -> None:
        """Those due are made, once, the earliest first; `wait` says how long until the next."""
        self.assertIsNone(self.timers.wait())
        for seconds, name in ((2.0, "second"), (1.0, "first"), (2.0, "third")):
            self.timers.after(seconds, lambda name=name: self.called.append(name))  # type: ignore[misc]
        self.assertEqual(self.timers.wait(), 1.0)
        self.now = 101.5
        self.timers.run()
        self.assertEqual((self.called, self.timers.wait()), (["first"], 0.5))
        self.now = 200.0
        self.assertEqual(self.timers.wait(), 0.0)
        self.timers.run()
        self.timers.run()
        self.assertEqual(self.called, ["first", "second", "third"])

    def test_a_call_that_asks_for_another(self) -> None:
        """One set from within a call waits for its own time."""
        self.timers.after(0, lambda: self.timers.after(1, lambda: self.called.append("again")))
        self.timers.run()
        self.assertEqual((self.called, self.timers.wait()), ([], 1.0))
