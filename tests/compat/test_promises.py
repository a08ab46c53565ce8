"""docs/promises.csv: what goes beyond dispy's names, and the tests that show it."""

from __future__ import annotations

import csv
import re
import unittest

from tests.compat.table import NOT_YET, ROOT, WORKS, is_a_test

EVERY_PYTHON = False

#: How many faults of dispy are known, as rows of *what dispy does wrong* count them, and the parts of the tenth, which are many.
FAULTS, OF_THE_SCHEDULER = 21, "abcdefg"


class Promises(unittest.TestCase):
    """Each row."""

    def setUp(self) -> None:
        with (ROOT / "docs" / "promises.csv").open(encoding="utf-8", newline="") as file:
            self.rows = list(csv.DictReader(file))

    def test_shown(self) -> None:
        """What is said to work names tests, and they exist."""
        for row in self.rows:
            with self.subTest(row["promise"]):
                tests = row["shown by"].split()
                self.assertIn(row["status"], (WORKS, NOT_YET))
                self.assertEqual([], [test for test in tests if not is_a_test(test)])
                self.assertEqual(row["status"] == WORKS, bool(tests))

    def test_once(self) -> None:
        """No promise is made twice."""
        self.assertEqual(len(self.rows), len({row["promise"] for row in self.rows}))

    def test_every_fault(self) -> None:
        """Nothing that is known to go wrong in dispy is passed over, and each is in its place."""
        faults = [match for row in self.rows if (match := re.match(r"D(\d+)( \w)?: ", row["promise"]))]
        numbers = [int(match[1]) for match in faults]
        self.assertEqual(list(range(1, FAULTS + 1)), sorted(set(numbers)))
        self.assertEqual(sorted(numbers), numbers)
        self.assertEqual(OF_THE_SCHEDULER, "".join(match[2].strip() for match in faults if match[2]))
