"""Reading /proc, and ending what was started."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Process, Usage

#: Starts a child in a session of its own that ignores SIGTERM, and says its pid.
PARENT = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


class Reading(unittest.TestCase):
    """Lines of /proc/PID/stat."""

    def test_a_name_may_hold_anything(self) -> None:
        """Brackets and spaces in a program's name move no field."""
        ticks = os.sysconf("SC_CLK_TCK")
        fields = [f"4711 (a) b (c)) S 7 1 1 0 -1 0 40 50 0 0 {ticks} {2 * ticks} {3 * ticks} {4 * ticks} 20 0 1 0 99"]
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "stat")
            path.write_text(fields[0])
            self.assertEqual(Process(4711, 7, Usage(1, 2, 40), Usage(3, 4, 50)), processes.read(str(path)))

    def test_ourselves(self) -> None:
        """This very process, with its parent, and some time used."""
        own = processes.read("/proc/self/stat")
        self.assertEqual((os.getpid(), os.getppid()), (own.pid, own.parent))
        self.assertGreater(own.own.user, 0)

    def test_usage_adds_and_subtracts(self) -> None:
        """Field by field."""
        self.assertEqual(Usage(3, 5, 7), Usage(4, 7, 9) - Usage(1, 2, 2))
        self.assertEqual(Usage(5, 9, 11), Usage(4, 7, 9) + Usage(1, 2, 2))


class Ending(unittest.TestCase):
    """end_descendants."""

    def test_grandchildren_and_hidden_ones(self) -> None:
        """Whoever descends from us ends, in whatever session, whatever it ignores."""
        processes.adopt_orphans()
        with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            grandchild = int(parent.stdout.readline())
            found = {process.pid for process in processes.descendants(os.getpid())}
            self.assertLessEqual({parent.pid, grandchild}, found)
            self.assertLessEqual({parent.pid, grandchild}, set(processes.end_descendants()))
        self.assertFalse(os.path.exists(f"/proc/{grandchild}"))
        self.assertEqual([], processes.descendants(os.getpid()))
