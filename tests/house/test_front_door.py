"""What `import dispytw` costs: nothing heavy, until a cluster is made."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

import dispytw

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

    def test_names_are_light(self) -> None:
        """Nor with the names that a program may use before it makes a cluster."""
        names = "dispytw.logger.setLevel(dispytw.logger.DEBUG); dispytw.config.DispyPort; dispytw.httpd.DispyHTTPServer; dispytw._dispy_version"
        self.assertEqual([], loaded_by(f"import dispytw\n{names}\ndispytw.DispyNode.Initialized; dispytw._node_ipaddr('127.0.0.1')"))

    def test_modules(self) -> None:
        """dispy's modules can be imported, and are there without it."""
        self.assertEqual([], loaded_by("import dispytw as dispy, dispytw.httpd, dispytw.config\nassert dispy.httpd is dispytw.httpd"))

    def test_star(self) -> None:
        """`from dispytw import *` brings dispy's names."""
        names = "logger, DispyJob, DispyNode, NodeAllocate, JobCluster, SharedJobCluster, recover_jobs"
        self.assertIn("twisted", loaded_by(f"from dispytw import *\n{names}"))

    def test_unknown_name(self) -> None:
        """A name that is not there is an AttributeError, as anywhere."""
        with self.assertRaisesRegex(AttributeError, "module 'dispytw' has no attribute 'JobClusters'"):
            dispytw.JobClusters  # noqa: B018

    def test_the_test_sees(self) -> None:
        """What is loaded is seen."""
        self.assertEqual(["sqlite3"], loaded_by("import dispytw, sqlite3"))
