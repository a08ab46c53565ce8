"""The runner with contestants that behave, and with some that do not."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from benchmarks.runner import DESCRIPTOR, Line, Program, Runner
from benchmarks.tests import fake

ROOT = Path(__file__).parents[2]


def program(name: str = "fake", cells: tuple[str, ...] = ("noop",), **words: Any) -> Program:
    """A `Fake` in a process of its own."""
    place = f"{fake.__name__}:Fake"
    return Program(name, [sys.executable, "-m", "benchmarks.child", DESCRIPTOR, place, json.dumps(words), *cells], cells)


class Running(unittest.TestCase):
    """What becomes of programs, and what is said of them."""

    def setUp(self) -> None:
        self.said: list[str] = []

    def run_them(self, *programs: Program, repetitions: int = 1, patience: float = 10.0, seconds: float = 60.0) -> list[Line]:
        """The lines of these."""
        return Runner(programs, ROOT, time.monotonic() + seconds, self.said.append, patience).run(repetitions)

    def test_figures_arrive(self) -> None:
        """A contestant that works gives a line for its start and for each cell."""
        lines = self.run_them(program(rate=500, lose=100))
        self.assertEqual(["start", "noop"], [line.cell for line in lines])
        self.assertAlmostEqual(495, lines[1].figures["noop"], delta=2)
        self.assertGreater(lines[1].lost, 0)
        self.assertEqual("", "".join(line.error for line in lines))

    def test_turns(self) -> None:
        """Every contestant once in each repetition, and not always the same one first."""
        lines = self.run_them(program("a"), program("b"), repetitions=2)
        self.assertEqual("abba", "".join(line.contestant for line in lines if line.cell == "noop"))
        self.assertEqual([0, 0, 1, 1], [line.repetition for line in lines if line.cell == "noop"])

    def test_one_that_does_not_start(self) -> None:
        """All its cells carry the reason, and it is not started again."""
        lines = self.run_them(program(fails="start"), repetitions=2)
        self.assertEqual({"RuntimeError: this one does not start"}, {line.error for line in lines})
        self.assertEqual(["start", "noop", "noop"], [line.cell for line in lines])

    def test_one_that_cannot_be_imported(self) -> None:
        """A library that is missing is an error like any other."""
        missing = Program("ray", [sys.executable, "-c", "import no_such_library", DESCRIPTOR], ("noop",))
        lines = self.run_them(missing)
        self.assertRegex(lines[-1].error, "No module named 'no_such_library'")

    def test_a_cell_that_fails(self) -> None:
        """Costs that cell alone; its error is one line."""
        lines = self.run_them(program(cells=("noop", "roundtrip"), fails="cell"))
        self.assertEqual("ValueError: no batches here", lines[1].error)
        self.assertIn("p50", lines[2].figures)

    def test_one_that_hangs(self) -> None:
        """Is ended when its time is over, long before it would say something, and the next one runs."""
        lines = self.run_them(program("slow", cells=("noop", "queue"), fails="hang"), program("good"), patience=3.0)
        hung = [line for line in lines if line.contestant == "slow" and line.cell != "start"]
        self.assertEqual({"nothing came within 3 s; the process was ended"}, {line.error for line in hung})
        self.assertEqual(["noop", "queue"], [line.cell for line in hung])
        self.assertIn("noop", lines[-1].figures)

    def test_one_that_dies(self) -> None:
        """Its last words are its error."""
        self.assertEqual("the process ended: I give up", self.run_them(program(fails="die"))[1].error)

    def test_nothing_is_left(self) -> None:
        """A process that the contestant started in a session of its own and forgot is ended too; so is the home removed."""
        with tempfile.TemporaryDirectory() as directory:
            pids = Path(directory, "pids")
            self.run_them(program(leaves=str(pids)), program(fails="hang", leaves=str(pids)), patience=0.5)
            left = pids.read_text().split()
        self.assertEqual(2, len(left))
        self.assertEqual([], [pid for pid in left if os.path.exists(f"/proc/{pid}")])

    def test_a_run_that_is_over(self) -> None:
        """Programs whose turn comes too late are not started, and that is said."""
        self.assertEqual(["the run's time was over"], [line.error for line in self.run_them(program(), seconds=-1)])

    def test_whoever_waits_is_told(self) -> None:
        """A line for each program, with its figures or its error."""
        self.run_them(program("a", rate=500), program("b", fails="start"))
        self.assertRegex(self.said[0], r"^1\. a: noop 500")
        self.assertEqual("1. b: RuntimeError: this one does not start", self.said[1])
