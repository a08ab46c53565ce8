"""The tests mirror the rooms: dispytw/node/bench.py is tested by tests/node/test_bench.py."""

from __future__ import annotations

import unittest
from collections.abc import Collection
from pathlib import Path

from tests.house.plan import NOT_MIRRORED
from tests.house.reading import read_house

EVERY_PYTHON = False

ROOT = Path(__file__).parents[2]


def unmirrored(modules: Collection[str], tests: Collection[str], excused: Collection[str]) -> list[str]:
    """Modules (``node.bench``) without a test file (``node.test_bench``) and without an excuse."""
    return sorted(m for m in modules if _test_of(m) not in tests and m not in excused)


def _test_of(module: str) -> str:
    room, _, name = module.rpartition(".")
    return f"{room}.test_{name}".lstrip(".")


def modules_of_the_house() -> list[str]:
    """Every module but the tours."""
    house = read_house(ROOT / "dispytw")
    packages = {name.rpartition(".")[0] for name in house}
    return [module.short for name, module in house.items() if name not in packages]


def test_files() -> set[str]:
    """``node.test_bench`` for tests/node/test_bench.py."""
    tests = ROOT / "tests"
    return {".".join(p.relative_to(tests).with_suffix("").parts) for p in tests.rglob("test_*.py")}


test_files.__test__ = False  # type: ignore[attr-defined]


class Mirror(unittest.TestCase):
    """No module goes untested, and no excuse outlives its reason."""

    def test_every_module_has_its_tests(self) -> None:
        """Each has a test file of its name, or an excuse in tests/house/plan.py."""
        missing = unmirrored(modules_of_the_house(), test_files(), NOT_MIRRORED)
        self.assertFalse(missing, f"no test file, and no excuse in tests/house/plan.py: {', '.join(missing)}")

    def test_every_excuse_is_needed(self) -> None:
        """A module that is gone, or has its tests by now, needs none."""
        needed = set(unmirrored(modules_of_the_house(), test_files(), ()))
        self.assertEqual(set(), set(NOT_MIRRORED) - needed)

    def test_trial_sees_every_directory(self) -> None:
        """Trial passes by a directory that is no package, without a word."""
        directories = {path.parent for path in (ROOT / "tests").rglob("*.py")}
        self.assertEqual([], sorted(str(d) for d in directories if not (d / "__init__.py").exists()))

    def test_no_fixtures_of_classes(self) -> None:
        """Trial passes by setUpClass as well."""
        wanted = "def setUp" + "Class"
        self.assertEqual([], [str(path) for path in (ROOT / "tests").rglob("*.py") if wanted in path.read_text("utf-8")])

    def test_a_missing_file_is_noticed(self) -> None:
        """The comparison finds what is missing, in rooms and outside."""
        self.assertEqual(
            ["node.a", "values"],
            unmirrored(
                ["node.a", "node.b", "values", "errors"], ["node.test_b", "node.test_errors", "test_errors"], ()
            ),
        )
        self.assertEqual([], unmirrored(["node.a"], [], {"node.a": "why not"}))
