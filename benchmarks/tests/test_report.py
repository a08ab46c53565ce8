"""The files that a run leaves."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from benchmarks import report
from benchmarks.runner import Line

PROFILE = {"noop: daemon user": 3.0, "noop: daemon system": 4.0, "noop: daemon faults": 5.0, "noop: wall": 10.0}
LINES = [
    Line("bare", 0, "tcp", 1.0, {"tcp": 900.0}),
    Line("dispytw-job", 0, "noop", 1.0, {"noop": 700.0}, 700),
    Line("dispytw-job", 0, "profile", 1.0, PROFILE),
    Line("ray", 0, "noop", error="no ray here"),
]


class Files(unittest.TestCase):
    """results.md, results.json, README.md."""

    def test_the_text_holds_all_tables(self) -> None:
        """Facts, notes, the machine, the contestants with the failed one, and the profile."""
        text = report.text(LINES, {"Python": "3.11"}, ["Loopback only."])
        for part in ("- Python: 3.11", "- Loopback only.", "900 MB/s", "**700**", "no ray here", "| daemon | 7 |"):
            self.assertIn(part, text)

    def test_raw_figures(self) -> None:
        """The JSON has every line, from which the tables can be made again."""
        with tempfile.TemporaryDirectory() as directory:
            report.write(Path(directory), LINES, {}, [])
            raw = json.loads(Path(directory, "results.json").read_text())
        self.assertEqual(LINES, [Line(**line) for line in raw["lines"]])

    def test_placed(self) -> None:
        """New results replace the earlier ones; the rest of the README stays."""
        once = report.placed(f"before {report.BEGIN} old {report.END} after", "| new |\n")
        self.assertEqual(f"before {report.BEGIN}\n\n| new |\n\n{report.END} after", once)
        self.assertEqual(once, report.placed(once, "| new |\n"))

    def test_a_readme_without_marks(self) -> None:
        """Is not written over."""
        with self.assertRaisesRegex(ValueError, "must hold"):
            report.placed("nothing here", "| new |")

    def test_the_readme_has_its_marks(self) -> None:
        """The real one."""
        self.assertIn("| new |", report.placed(report.README.read_text(encoding="utf-8"), "| new |"))
