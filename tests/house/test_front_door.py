"""What `import dispytw` costs: nothing heavy, until a cluster is made."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]

HEAVY = ("twisted", "dill", "OpenSSL", "sqlite3")


def loaded_by(code: str) -> list[str]:
    """Which of the heavy packages are loaded after this code, in a fresh interpreter."""
    program = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\nprint(*[n for n in {HEAVY!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split()


class FrontDoor(unittest.TestCase):
    """A program that only imports dispytw stays light."""

    def test_import_is_light(self) -> None:
        """No Twisted, dill, OpenSSL or sqlite3 comes with `import dispytw`."""
        self.assertEqual([], loaded_by("import dispytw"))

    def test_the_test_sees(self) -> None:
        """What is loaded is seen."""
        self.assertEqual(["sqlite3"], loaded_by("import dispytw, sqlite3"))
