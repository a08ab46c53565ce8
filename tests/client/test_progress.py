"""A bar where somebody looks, nothing where nobody does."""

from __future__ import annotations

import io
import sys
import unittest
from typing import Any
from unittest import mock

from dispytw.client import progress
from dispytw.client.progress import Line, NoBar, Tqdm, progress_bar, wait_showing
from tests.client.clustering import ClusterTestCase


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What was shown, one after another."""
        return [line.removesuffix("\x1b[K") for line in self.getvalue().split("\r")[1:]]


class Shown:
    """A bar that remembers."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def at(self, done: int, total: int | None) -> None:
        self.told.append((done, total))

    def close(self) -> None:
        self.told.append("closed")


class FakeTqdm:
    """As much of tqdm as is used."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.total: int | None = None
        self.n = 0
        self.told: list[str] = []

    def update(self, more: int) -> None:
        self.n += more

    def refresh(self) -> None:
        self.told.append("refresh")

    def close(self) -> None:
        self.told.append("close")


class Choosing(unittest.TestCase):
    """`progress_bar`."""

    def chosen(self, stream: Any, tqdm: Any = None) -> Any:
        with mock.patch.object(progress, "_tqdm", lambda: tqdm), mock.patch.object(sys, "stderr", stream):
            return progress_bar(True, "compute", "jobs")

    def test_tqdm(self) -> None:
        """Where it is installed; it decides itself whether somebody looks."""
        bar = self.chosen(io.StringIO(), FakeTqdm)
        self.assertIsInstance(bar, Tqdm)
        self.assertEqual({"desc": "compute", "unit": " jobs", "disable": None}, bar._bar.options)

    def test_a_line(self) -> None:
        """On a terminal without tqdm."""
        self.assertIsInstance(self.chosen(Terminal()), Line)

    def test_nothing(self) -> None:
        """Elsewhere, in a program without standard error, and unasked."""
        self.assertIsInstance(self.chosen(io.StringIO()), NoBar)
        self.assertIsInstance(self.chosen(None), NoBar)
        self.assertIsInstance(progress_bar(False, "compute", "jobs"), NoBar)

    def test_what_is_no_answer(self) -> None:
        """Names the parameter."""
        with self.assertRaisesRegex(TypeError, "progress must be True or False, not 'yes'"):
            progress_bar("yes", "compute", "jobs")  # type: ignore[arg-type]

    def test_without_tqdm(self) -> None:
        """It is no dependency."""
        with mock.patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}):
            self.assertIsNone(progress._tqdm())


class Bars(unittest.TestCase):
    """What is shown."""

    def test_a_line(self) -> None:
        """So many of so many, and how fast; ten times a second at most, and the last state at the end."""
        now = [100.0]
        stream = Terminal()
        line = Line(stream, "compute: jobs", lambda: now[0])
        for done in range(11):
            line.at(done, 10)
            now[0] += 1 / 32
        line.close()
        shown = ["compute: jobs: 0/10", "compute: jobs: 4/10, 32.0/s", "compute: jobs: 8/10, 32.0/s", "compute: jobs: 10/10, 32.0/s\x1b[K\n"]
        self.assertEqual(shown, stream.lines)

    def test_nobody_knows_how_many(self) -> None:
        """Then only how many are done."""
        stream = Terminal()
        Line(stream, "map: results", lambda: 100.0).at(3, None)
        self.assertEqual(["map: results: 3"], stream.lines)

    def test_nothing_to_show(self) -> None:
        """A line that was never written needs no end."""
        stream = Terminal()
        Line(stream, "map: results").close()
        self.assertEqual("", stream.getvalue())

    def test_tqdm(self) -> None:
        """It is told how many more, and of a new total."""
        fake = FakeTqdm()
        bar = Tqdm(fake)
        bar.at(2, 10)
        bar.at(5, 12)
        bar.close()
        self.assertEqual((5, 12, ["refresh", "refresh", "close"]), (fake.n, fake.total, fake.told))


class Waiting(unittest.TestCase):
    """`wait_showing`."""

    def test_until_it_is_over(self) -> None:
        """The bar sees each step, and is closed."""
        steps = iter([(1, 3), (2, 3), (3, 3)])
        over = iter([False, False, True])
        bar = Shown()
        self.assertTrue(wait_showing(lambda timeout: next(over), lambda: next(steps), None, bar))
        self.assertEqual([(1, 3), (2, 3), (3, 3), "closed"], bar.told)

    def test_a_timeout(self) -> None:
        """Ends the wait, and no single one is longer than it."""
        waited: list[float | None] = []

        def wait(timeout: float | None) -> bool:
            waited.append(timeout)
            return False

        bar = Shown()
        self.assertFalse(wait_showing(wait, lambda: (0, 1), 0.0, bar))
        self.assertEqual(([0.0], [(0, 1), "closed"]), (waited, bar.told))
        self.assertFalse(wait_showing(wait, lambda: (0, 1), 7.0, NoBar()))
        self.assertEqual(7.0, waited[-1])

    def test_ctrl_c(self) -> None:
        """The bar is closed all the same."""
        bar = Shown()
        with self.assertRaises(KeyboardInterrupt):
            wait_showing(mock.Mock(side_effect=KeyboardInterrupt), lambda: (0, 1), None, bar)
        self.assertEqual(["closed"], bar.told)


class OfACluster(ClusterTestCase):
    """progress=True of wait and map."""

    def test_both(self) -> None:
        """On a terminal both count what they are about."""
        cluster, stream = self.cluster(), Terminal()
        job = cluster.submit(1)
        self.session.end(job)
        with mock.patch.object(sys, "stderr", stream), mock.patch.object(progress, "_tqdm", lambda: None):
            self.assertTrue(cluster.wait(progress=True))
            results = cluster.map([1, 2], progress=True)
            for submitted in self.session.submitted[1:]:
                self.session.end(submitted[3])
            self.assertEqual([7, 7], list(results))
        self.assertIn("compute: jobs: 1/1", stream.getvalue())
        self.assertIn("compute: results: 2/2", stream.getvalue())
        self.assertTrue(stream.getvalue().endswith("\n"))

    def test_unasked(self) -> None:
        """Nothing is shown."""
        cluster, stream = self.cluster(), Terminal()
        with mock.patch.object(sys, "stderr", stream):
            cluster.wait()
        self.assertEqual("", stream.getvalue())
