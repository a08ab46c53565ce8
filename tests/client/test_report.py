"""The table that print_status prints."""

from __future__ import annotations

import unittest

from dispytw.client.nodes import DispyNode
from dispytw.client.report import status_table


def node(name: str = "node7", jobs: int = 0, seconds: float = 0.0, sent: int = 0, received: int = 0) -> DispyNode:
    """A node that has done so much."""
    shown = DispyNode("10.0.0.7", name, 4)
    shown.jobs_done, shown.cpu_time, shown.tx, shown.rx = jobs, seconds, sent, received
    return shown


def cells(line: str) -> list[str]:
    """A row's cells."""
    return [cell.strip() for cell in line.split("|")]


class Table(unittest.TestCase):
    """Rows and sums."""

    def test_columns(self) -> None:
        """dispy's columns, and a line for each node."""
        lines = status_table([node(jobs=4, seconds=10.0, sent=1023, received=1536), node("other")], 0, 5.0).splitlines()
        self.assertEqual(["Node", "CPUs", "Jobs", "Sec/Job", "Node Time Sec", "Sent", "Rcvd"], cells(lines[0]))
        self.assertEqual(["10.0.0.7:51348 (node7)", "4", "4", "2.500", "10.000", "1023 B", "1.5 KiB"], cells(lines[2]))
        self.assertEqual(["10.0.0.7:51348 (other)", "4", "0", "0.000", "0.000", "0 B", "0 B"], cells(lines[3]))
        self.assertEqual(4, sum("|" in line or set(line) == {"-"} for line in lines), lines)

    def test_columns_stand_in_line(self) -> None:
        """Whatever a node is called, its cells stand under their names."""
        lines = status_table([node("n" * 60, jobs=1, seconds=99999.0, sent=1023 * 1024, received=8000 * 2**30), node()], 0, 1.0).splitlines()
        bars = [[at for at, sign in enumerate(line) if sign == "|"] for line in (lines[0], lines[2], lines[3])]
        self.assertEqual(bars[0], bars[1])
        self.assertEqual(bars[0], bars[2])
        self.assertEqual({len(line) for line in lines[:4]}, {len(lines[0])})

    def test_sizes(self) -> None:
        """Bytes in the unit that fits."""
        for size, text in ((0, "0 B"), (1024, "1.0 KiB"), (2**20, "1.0 MiB"), (3 * 2**30, "3.0 GiB"), (2**40, "1024.0 GiB")):
            self.assertEqual(text, cells(status_table([node(received=size)], 0, 1.0).splitlines()[2])[-1])

    def test_sums(self) -> None:
        """Total time over all nodes, compared with the wall time."""
        text = status_table([node(seconds=6.0), node(seconds=4.0)], 0, 5.0)
        self.assertTrue(text.endswith("\nTotal job time: 10.000 sec, wall time: 5.000 sec, speedup: 2.000"), text)
        self.assertNotIn("pending", text)

    def test_pending(self) -> None:
        """Jobs that have not ended are counted, when there are some."""
        self.assertIn("\nJobs pending: 3\n", status_table([], 3, 5.0))

    def test_at_once(self) -> None:
        """Before any time has passed there is no speedup."""
        self.assertIn("wall time: 0.000 sec, speedup: 0.000", status_table([node(seconds=1.0)], 0, 0.0))
