"""Each example runs as it is, by `dispytw run`, and says what it is meant to say."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable

from tests.functional.daemons import SOURCE_ROOT, Daemons

EVERY_PYTHON = False

#: Of each example, words that it prints. An example with a test of its own has none here.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "checksums": (),
    "follow": ("alone: 1\n", "alone: lift-off\n", "  job 2 | one: 3\n", "! job 3 | two: lift-off\n"),
    "provisional": ("behind the point", "ended: cancelled cancelled cancelled cancelled\n"),
    "send_file": ("tables/0-1000.txt: 10427 bytes", "tables/4000-5000.txt: 14000 bytes"),
}


class ExampleTests(unittest.TestCase):
    """With a private node, in a directory of the test's."""

    def test_none_is_left_out(self) -> None:
        """Every example stands in the table, and none is long."""
        found = {path.stem: len(path.read_text("utf-8").splitlines()) for path in (SOURCE_ROOT / "examples").glob("*.py")}
        self.assertEqual(set(EXAMPLES), set(found))
        self.assertEqual([], [name for name, lines in found.items() if lines >= 60 and EXAMPLES[name]])


def _runs(name: str) -> Callable[[ExampleTests], None]:
    def test(self: ExampleTests) -> None:
        program = str(SOURCE_ROOT / "examples" / f"{name}.py")
        done = Daemons(self).run([sys.executable, "-m", "dispytw.cli.main", "run", program])
        self.assertEqual(0, done.code, done)
        for words in EXAMPLES[name]:
            self.assertIn(words, done.out)

    test.__doc__ = f"examples/{name}.py ends well, and says its words."
    return test


for _name in EXAMPLES:
    if EXAMPLES[_name]:
        setattr(ExampleTests, f"test_{_name}", _runs(_name))
