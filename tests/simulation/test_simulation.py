"""Many lives of the house, and the laws hold in all of them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import unittest
from collections import Counter
from pathlib import Path

from tests.simulation import tables
from tests.simulation.run import Report, fingerprint, live_many
from tests.simulation.world import FEWEST_FAULTS, FEWEST_JOBS

EVERY_PYTHON = False

ROOT = Path(__file__).parents[2]

#: Rows that hardly any life shows, each with a test that does.
RARE = {"bench / handed / elapsed: zombie / handed; cancelled": "node.test_bench: test_waiting_jobs_of_a_silent_client"}

#: How many lives, and whether every row of the tables has to occur in them.
SEEDS = int(os.environ.get("DISPYTW_SEEDS", "24"))
CAMPAIGN = os.environ.get("DISPYTW_CAMPAIGN") == "simulation"


@functools.lru_cache
def all_lives() -> Report:
    """The same for every test; trial knows no fixtures of classes."""
    report = live_many(range(SEEDS))
    print("\n" + report.text())
    return report


class Lives(unittest.TestCase):
    """The laws, over seeds."""

    def setUp(self) -> None:
        self.report = all_lives()

    def test_sizes(self) -> None:
        """No life was too short to tell anything."""
        self.assertGreaterEqual(self.report.fewest_nodes, 3)
        self.assertGreaterEqual(self.report.fewest_jobs, FEWEST_JOBS)
        self.assertGreaterEqual(self.report.fewest_faults, FEWEST_FAULTS)

    def test_windows_open_and_close(self) -> None:
        """Jobs have run whose arguments were longer than the window of their stream."""
        self.assertGreater(self.report.large, 0)

    def test_every_event_and_order_occurs(self) -> None:
        """There is no event or order of ledger and bench that the simulation never saw."""
        self.assertEqual([], self.report.missing_events())

    def test_every_fault_hits_jobs_that_run(self) -> None:
        """Cuts, crashes, cancels and lost answers happened while bodies were being performed."""
        for fault in ("cut", "crash", "cancel", "supervisor killed", "worker killed"):
            self.assertGreater(self.report.hits[fault], 0, fault)
        for kind in ("answer lost", "said twice"):
            self.assertGreater(self.sum(self.report.hits, kind), 0, kind)
        self.assertGreater(self.sum(self.report.hits if CAMPAIGN else self.report.faults, "last words"), 0)  # rare among few

    @staticmethod
    def sum(counts: Counter[str], kind: str) -> int:
        """How many of a kind."""
        return sum(count for name, count in counts.items() if name.startswith(kind))

    def test_every_row_occurs(self) -> None:
        """In many lives every row of the tables of docs/attempts.rst happens; in few, most of them do."""
        missing = self.report.missing_rows()
        if CAMPAIGN:
            self.assertEqual([], [row for row in missing if row not in RARE])
        self.assertLess(len(missing), len(tables.LEDGER.rows + tables.BENCH.rows) / 2, missing)


class OneLife(unittest.TestCase):
    """A seed decides everything."""

    def test_the_same_twice(self) -> None:
        """One seed gives the same events in the same order, whatever the hashes of this process are."""
        program = "import sys; from tests.simulation.run import fingerprint; print(*(fingerprint(seed) for seed in (3, 4)))"
        seen = {" ".join(fingerprint(seed) for seed in (3, 4))}
        for hashseed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": hashseed, "PYTHONPATH": str(ROOT)}
            done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
            seen.add(done.stdout.strip())
        self.assertEqual(1, len(seen), seen)

    def test_another_seed_is_another_life(self) -> None:
        """The fingerprint tells lives apart."""
        self.assertNotEqual(fingerprint(3), fingerprint(4))


class Tables(unittest.TestCase):
    """The tables of docs/attempts.rst."""

    def test_states_are_known(self) -> None:
        """Whatever an attempt becomes has rows of its own, or is an end."""
        ends = {"settled", "settled; stray", "queued"}
        for table in (tables.LEDGER, tables.BENCH):
            states = {state for state, _ in table.steps}
            for state, event, after in table.rows:
                self.assertIn(after, states | ends, f"{table.name}: {state} + {event}")

    def test_supervisor_rows_name_tests(self) -> None:
        """The tests that the supervisor's table names are there."""
        import csv
        import importlib

        for row in csv.DictReader((tables.DIRECTORY / "supervisor.csv").read_text(encoding="utf-8").splitlines()):
            self.assertTrue(importlib.import_module(row["shown by"]).__doc__, row)
