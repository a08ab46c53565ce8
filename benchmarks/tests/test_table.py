"""The tables, from lines that are made up."""

from __future__ import annotations

import unittest

from benchmarks.contestants import ENTRIES, entry
from benchmarks.runner import Line
from benchmarks.table import BARE, Results, contestants_table, limits_table, profile_table, ratios


def noops(name: str, *rates: float, lost: int = 0) -> list[Line]:
    """One line a repetition."""
    return [Line(name, n, "noop", 1.0, {"noop": rate}, 1000, lost) for n, rate in enumerate(rates)]


class Tables(unittest.TestCase):
    """What a reader sees."""

    def row(self, name: str, lines: list[Line]) -> str:
        """The row of one contestant."""
        (row,) = contestants_table(Results(lines), [entry(name)]).splitlines()[2:]
        return row

    def test_median_and_range(self) -> None:
        """The median of the repetitions, between the slowest and the fastest."""
        self.assertIn("| **300** (100–9,000) |", self.row("dispy", noops("dispy", 100, 9000, 300, 200, 400)))

    def test_lost_jobs_are_summed(self) -> None:
        """Over all repetitions and cells."""
        self.assertRegex(self.row("dispy", noops("dispy", 1, 2, lost=3)), r"\| 6 of 2,000 \|$")

    def test_a_contestant_that_failed_is_a_row(self) -> None:
        """With its error, once, and the cells that it took."""
        lines = [Line("ray", n, cell, error="ImportError: no ray") for n in range(2) for cell in ("noop", "queue")]
        row = self.row("ray", lines)
        self.assertIn("ray<br>*ImportError: no ray (noop ×2, queue ×2)* | kept | – |", row)

    def test_one_bad_repetition(self) -> None:
        """The other repetitions' figures stand, and the error too."""
        row = self.row("ray", [*noops("ray", 10, 20, 30), Line("ray", 3, "noop", error="it fell over")])
        self.assertIn("*it fell over (noop ×1)*", row)
        self.assertIn("**20**", row)

    def test_rows_of_those_asked(self) -> None:
        """Who did not run has no row."""
        table = contestants_table(Results(noops("pool", 5)), ENTRIES)
        self.assertEqual(3, len(table.splitlines()))

    def test_every_row_has_every_column(self) -> None:
        """No table is ragged, nor broken by a bar in an error."""
        lines = [*noops("pool", 5), Line("ray", 0, "noop", error="a | b")]
        counts = {line.replace("\\|", "").count("|") for line in contestants_table(Results(lines), ENTRIES).splitlines()}
        self.assertEqual(1, len(counts), counts)

    def test_limits(self) -> None:
        """The machine's own figures."""
        lines = [Line(BARE, n, "tcp", 1.0, {"tcp": rate}) for n, rate in enumerate((1000.0, 1200.0, 800.0))]
        self.assertIn("| TCP over loopback, two processes | 1,000 MB/s | 800 MB/s – 1,200 MB/s |", limits_table(Results(lines)))

    def test_ratios(self) -> None:
        """dispytw against each peer that has a figure; the others are not spoken of."""
        said = ratios(Results([*noops("dispytw-job", 900), *noops("dispy", 300)]))
        self.assertEqual("- A process for each job: 3.0 times dispy.", said)

    def test_profile(self) -> None:
        """A row for each role that used something, their sum, and the CPUs busy."""
        used = {"daemon user": 300.0, "daemon system": 200.0, "daemon faults": 1.5}
        used |= {"client, main thread user": 100.0, "client, main thread system": 0.0, "client, main thread faults": 0.0}
        used |= {"client, idle user": 0.0, "client, idle system": 0.0, "client, idle faults": 0.0, "wall": 400.0}
        line = Line("dispytw-job", 0, "profile", 1.0, {f"noop: {name}": figure for name, figure in used.items()})
        table = profile_table(Results([line]), entry("dispytw-job"), "profile", "noop: ")
        body = table.splitlines()[2:5]
        self.assertEqual("| client, main thread | 100 | 100 | 0 | 0.0 |", body[0])
        self.assertEqual("| daemon | 500 | 300 | 200 | 1.5 |", body[1])
        self.assertEqual("| **all** | 600 | 400 | 200 | 1.5 |", body[2])
        self.assertIn("400 µs of time for each job, 1.50 CPUs busy.", table)

    def test_no_profile(self) -> None:
        """Nothing is said where nothing was measured, and the error where it failed."""
        self.assertEqual("", profile_table(Results([]), entry("dask"), "profile", "noop: "))
        failed = Results([Line("dispytw-job", 0, "profile", error="no")])
        self.assertEqual("*no (profile ×1)*", profile_table(failed, entry("dispytw-job"), "profile", "noop: "))
