"""How busy this machine is."""

from __future__ import annotations

import tempfile
import unittest
from unittest import mock

import psutil
from twisted.internet.task import Clock

from dispytw.node import availability as module
from dispytw.node.availability import Gauge, Pulse


class Reading(unittest.TestCase):
    """psutil's numbers."""

    def test_this_machine(self) -> None:
        """Percent of CPU and swap, bytes of memory and disk, none of them nonsense."""
        now = Gauge(tempfile.gettempdir()).read()
        assert now is not None
        self.assertTrue(0.0 <= now.cpu <= 100.0 and 0.0 <= now.swap <= 100.0)
        self.assertTrue(0 < now.memory <= psutil.virtual_memory().total)
        self.assertTrue(0 <= now.disk <= psutil.disk_usage(tempfile.gettempdir()).total)

    def test_what_is_free(self) -> None:
        """Not what is used: a machine with nothing to do says 100, and one without swap has all of none free."""
        with mock.patch.object(module.psutil, "cpu_percent", return_value=12.5), mock.patch.object(module.psutil, "swap_memory") as swap:
            swap.return_value.percent = 0.0
            now = Gauge(tempfile.gettempdir()).read()
        assert now is not None
        self.assertEqual((87.5, 100.0), (now.cpu, now.swap))

    def test_where_psutil_cannot_tell(self) -> None:
        """There is nothing to say."""
        with mock.patch.object(module.psutil, "disk_usage", side_effect=PermissionError):
            self.assertIsNone(Gauge(tempfile.gettempdir()).read())


class Beating(unittest.TestCase):
    """Calls at an interval."""

    def test_until_stopped(self) -> None:
        """Again and again; afterwards no call is left."""
        clock, beats = Clock(), []
        pulse = Pulse(clock, 2.0, lambda: beats.append(clock.seconds()))
        clock.pump([1.0] * 5)
        self.assertEqual([2.0, 4.0], beats)
        pulse.stop()
        self.assertEqual([], clock.getDelayedCalls())
