"""What the project says of itself is said once, and true."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

import dispytw
from dispytw.version import VERSION

EVERY_PYTHON = False

ROOT = Path(__file__).parents[2]


class Metadata(unittest.TestCase):
    """Version, lines of the README, and who calls them."""

    def test_one_version(self) -> None:
        """The package and the module that setup.py reads state one version."""
        self.assertEqual(VERSION, dispytw.__version__)

    def test_ci_runs_the_line_of_the_readme(self) -> None:
        """.ci/run calls exactly the line that the README gives for all tests, and no other tox."""
        line = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"
        self.assertIn(f"    {line}\n", (ROOT / "README.md").read_text(encoding="utf-8"))
        script = (ROOT / ".ci/run").read_text(encoding="utf-8")
        self.assertIn(line, script)
        self.assertEqual(1, len(re.findall(r"bin/tox\b", script)))

    def test_every_environment_is_described(self) -> None:
        """`tox list` tells what each environment is for."""
        text = (ROOT / "tox.ini").read_text(encoding="utf-8")
        for section in re.split(r"^(?=\[testenv)", text, flags=re.MULTILINE)[1:]:
            self.assertRegex(section, r"(?m)^description = \S", section.splitlines()[0])

    def test_every_dependency_has_its_reason(self) -> None:
        """docs/dependencies.rst has a line for each requirement of setup.py."""
        required = re.findall(
            r'^ {8}"([a-z0-9-]+)[^"]*",$', (ROOT / "setup.py").read_text(encoding="utf-8"), re.MULTILINE
        )
        self.assertIn("spake2", required)
        reasons = (ROOT / "docs/dependencies.rst").read_text(encoding="utf-8").lower()
        self.assertEqual([], [name for name in required if f"\n{name}\n" not in reasons])
