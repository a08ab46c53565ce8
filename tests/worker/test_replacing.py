"""Code for one job, and what was there before and is there again."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import TestCase, mock

from dispytw.wire.bundle import Alias, Bundle, Constant, Import, Module
from dispytw.worker.replacing import Replaced


class Replacing(TestCase):
    """In a namespace of its own."""

    def setUp(self) -> None:
        modules = mock.patch.dict(sys.modules)
        modules.start()
        self.addCleanup(modules.stop)
        self.namespace = ModuleType("namespace")
        self.names = vars(self.namespace)
        self.names.update(step="old", other="stays")
        self.old = sys.modules["shipped_module"] = ModuleType("shipped_module")
        self.finder: Any = SimpleNamespace(modules={"shipped_module": Module("shipped_module", False, "", b"old")})
        self.replaced = Replaced(self.namespace, self.finder)

    def test_names(self) -> None:
        """Come back, and what was not there goes, however often it was replaced."""
        before = dict(self.names)
        for value in ("new", "newer"):
            self.replaced.make_way(Bundle(entries=(Constant("step", b""), Alias("added", "step")), wanted=("os",)))
            self.names.update(step=value, added=value, os="os")
        self.replaced.restore()
        self.assertEqual(before, self.names)

    def test_modules(self) -> None:
        """Make way for others of their names, in the names that stood for them too, and come back."""
        self.names.update(alias=self.old, sys=sys)
        bundle = Bundle(modules=(Module("shipped_module", False, "", b"new"), Module("added_module", False, "", b"")))
        shipped = dict(self.finder.modules)
        self.replaced.make_way(bundle)
        self.assertEqual({}, self.finder.modules)
        self.assertNotIn("shipped_module", sys.modules)
        new = sys.modules["shipped_module"] = ModuleType("shipped_module")
        sys.modules["added_module"] = ModuleType("added_module")
        self.finder.modules.update((module.name, module) for module in bundle.modules)
        self.replaced.rebind()
        self.assertIs(new, self.names["alias"])
        self.replaced.restore()
        self.assertIs(self.old, self.names["alias"])
        self.assertIs(self.old, sys.modules["shipped_module"])
        self.assertEqual((shipped, False), (self.finder.modules, "added_module" in sys.modules))
        self.assertIs(sys, self.names["sys"])

    def test_imports_of_the_bundle(self) -> None:
        """An entry that imports is a name like others."""
        self.replaced.make_way(Bundle(entries=(Import("other", "os", "path"),)))
        self.names["other"] = "new"
        self.replaced.restore()
        self.assertEqual("stays", self.names["other"])
