"""Modules that travel whole, with those that they import."""

from __future__ import annotations

import os
import sys
import tempfile
from unittest import TestCase

from dispytw.client.modules import WholeModules
from dispytw.client.references import ImportStatement
from dispytw.errors import ShippingError

EVERY_PYTHON = True

FILES = {
    "shipped_a.py": "import os, shipped_b\ndef f():\n    from shipped_pkg import leaf\n",
    "shipped_b.py": "import shipped_a\ntry:\n    import not_there_at_all\nexcept ImportError:\n    pass\n",
    "shipped_pkg/__init__.py": "",
    "shipped_pkg/leaf.py": "from .other import x\n",
    "shipped_pkg/other.py": "x = 1\n",
    "shipped_pkg/unused.py": "",
    "shipped_broken.py": "def f(:\n",
}


class Whole(TestCase):
    """What comes with a module."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for path, text in FILES.items():
            os.makedirs(os.path.dirname(os.path.join(directory.name, path)), exist_ok=True)
            with open(os.path.join(directory.name, path), "w", encoding="utf-8") as file:
                file.write(text)
        sys.path.insert(0, directory.name)
        self.addCleanup(sys.path.remove, directory.name)
        self.withheld: set[str] = set()
        self.whole = WholeModules(self.withheld.__contains__)

    def test_everything_that_it_imports(self) -> None:
        """At any depth, in functions too, in circles too; nothing is imported here, and nothing else comes."""
        self.whole.add("shipped_a")
        self.assertEqual(set(self.whole.modules), {"shipped_a", "shipped_b", "shipped_pkg", "shipped_pkg.leaf", "shipped_pkg.other"})
        self.assertTrue(self.whole.modules["shipped_pkg"].package)
        self.assertEqual(self.whole.modules["shipped_a"].source.decode(), FILES["shipped_a.py"])
        self.assertNotIn("shipped_a", sys.modules)

    def test_withheld(self) -> None:
        """A module that is not to travel whole is left, and the main program always is."""
        self.withheld.add("shipped_b")
        self.whole.add("shipped_a")
        self.whole.add("__main__")
        self.assertTrue({"shipped_b", "__main__"}.isdisjoint(self.whole.modules))

    def test_statements(self) -> None:
        """Relative ones begin at the package given; foreign modules stay where they are."""
        statements = [ImportStatement("", 1, ("other", "nothing")), ImportStatement("json", 0, ("dumps",)), ImportStatement("x", 5, ())]
        self.whole.add_imported(statements, "shipped_pkg")
        self.assertEqual(set(self.whole.modules), {"shipped_pkg", "shipped_pkg.other"})

    def test_broken(self) -> None:
        """One that does not compile is named."""
        with self.assertRaisesRegex(ShippingError, "shipped_broken"):
            self.whole.add("shipped_broken")
