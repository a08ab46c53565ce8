"""Which files and modules count as the user's own."""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from unittest import TestCase

import attrs

import dispytw
from dispytw.client.sources import find_module, is_own, is_own_module, module_source, package_modules

EVERY_PYTHON = True

BESIDE = os.path.dirname(os.path.abspath(__file__))


class Own(TestCase):
    """Files and modules."""

    def test_files(self) -> None:
        """Neither Python's, nor installed, nor dispytw's."""
        self.assertTrue(is_own(__file__))
        self.assertTrue(is_own("/anywhere/program.py"))
        for foreign in (os.__file__, attrs.__file__, dispytw.__file__, os.path.join(sysconfig.get_path("purelib"), "x.py")):
            self.assertFalse(is_own(foreign), foreign)

    def test_modules(self) -> None:
        """Loaded or not; builtin and installed ones are not, nor is what does not exist."""
        self.assertTrue(is_own_module(__name__))
        for foreign in ("sys", "math", "os.path", "attrs", "dispytw.values", "no_such_module", "tests.no_such", "os.no_such"):
            self.assertFalse(is_own_module(foreign), foreign)


class Modules(TestCase):
    """Where modules are."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        sys.path.insert(0, self.directory)
        self.addCleanup(sys.path.remove, self.directory)
        for path in ("never_loaded/__init__.py", "never_loaded/deep/leaf.py", "never_loaded/not-a-module.py"):
            os.makedirs(os.path.dirname(os.path.join(self.directory, path)), exist_ok=True)
            with open(os.path.join(self.directory, path), "w", encoding="utf-8") as file:
                file.write("raise AssertionError('imported')\n")

    def test_found_without_importing(self) -> None:
        """Packages, packages without __init__, and modules in them are found by name alone."""
        leaf, package = find_module("never_loaded.deep.leaf"), find_module("never_loaded.deep")
        assert leaf is not None and package is not None
        self.assertEqual((leaf.filename, leaf.path), (os.path.join(self.directory, "never_loaded/deep/leaf.py"), None))
        self.assertEqual(package.filename, "")
        self.assertNotIn("never_loaded", sys.modules)

    def test_all_of_a_package(self) -> None:
        """Every module below it, and nothing that cannot be one."""
        place = find_module("never_loaded")
        assert place is not None
        self.assertEqual(list(package_modules("never_loaded", place)), ["never_loaded", "never_loaded.deep.leaf"])

    def test_source(self) -> None:
        """The bytes of the file; none for a package without __init__."""
        with open(__file__, "rb") as file:
            self.assertEqual(module_source(__name__, __file__), file.read())
        self.assertEqual(module_source("never_loaded.deep", ""), b"")
        with self.assertRaises(OSError):
            module_source("never_loaded", "/no/such/file.py")
