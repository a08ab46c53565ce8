"""The door, and the contestants that need no peer."""

from __future__ import annotations

import subprocess
import sys
import time
import unittest

from benchmarks import run
from benchmarks.contestants import ENTRIES, entry
from benchmarks.runner import DESCRIPTOR, Runner
from benchmarks.table import BARE


class Planning(unittest.TestCase):
    """Which programs a run starts."""

    def test_help(self) -> None:
        """Needs no environment, from any directory."""
        done = subprocess.run([sys.executable, run.__file__, "--help"], cwd="/", capture_output=True, text=True, check=True)
        self.assertIn("--short", done.stdout)

    def test_everything(self) -> None:
        """The bare machine first, and every contestant with every cell; the queue in a process of its own."""
        planned = run.programs(ENTRIES, bare=True, profile_only=False)
        self.assertEqual(BARE, planned[0].name)
        self.assertEqual({BARE, *(known.name for known in ENTRIES)}, {program.name for program in planned})
        of_dask = [program.cells for program in planned if program.name == "dask"]
        self.assertEqual([("noop", "roundtrip", "echo1", "echo64"), ("queue",)], of_dask)
        self.assertEqual({1}, {list(program.command).count(DESCRIPTOR) for program in planned})

    def test_only_the_profile(self) -> None:
        """dispytw alone, in both isolations."""
        planned = run.programs(ENTRIES, bare=False, profile_only=True)
        self.assertEqual(["dispytw-job", "dispytw-worker"], [program.name for program in planned])


class Contestants(unittest.TestCase):
    """Those that are at hand, in real processes."""

    def figures(self, name: str, *cells: str) -> dict[str, float]:
        """What this contestant shows in these cells."""
        (program,) = [
            program
            for program in run.programs([entry(name)], bare=False, profile_only=cells == ("profile",))
            if set(cells) <= set(program.cells)
        ]
        lines = Runner([program], run.ROOT, time.monotonic() + 60, print).run(1)
        self.assertEqual([], [line for line in lines if line.error or line.lost])
        return {figure: value for line in lines for figure, value in line.figures.items()}

    def test_a_pool(self) -> None:
        """multiprocessing.Pool gives every figure of its cells."""
        figures = self.figures("pool", "noop", "roundtrip", "echo1", "echo64")
        self.assertEqual({"noop", "p50", "p99", "echo1", "echo64"}, set(figures))
        self.assertGreater(min(figures.values()), 0)

    def test_the_queue_of_an_executor(self) -> None:
        """It grows by something for each job."""
        self.assertGreater(self.figures("executor", "queue")["memory"], 100)

    def test_where_the_time_goes(self) -> None:
        """Of dispytw, every role has used some, and no more than there was."""
        figures = self.figures("dispytw-job", "profile")
        for role in ("client, main thread", "client, dispytw-reactor", "daemon", "supervisor", "workers"):
            self.assertGreater(figures[f"noop: {role} user"] + figures[f"noop: {role} system"], 0, role)
        self.assertGreater(figures["noop: workers faults"], 10)
        self.assertGreater(figures["echo64: daemon user"], figures["noop: daemon user"])
