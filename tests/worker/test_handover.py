"""What setup() leaves is found in another process that has the same bundle, and what cannot get there is named."""

from __future__ import annotations

import copyreg
import multiprocessing.context
import sys
import threading
import unittest
from types import ModuleType
from typing import Any
from unittest import mock

from dispytw.wire.payload import open_value
from dispytw.worker.handover import Handed, Handover, HandoverError

EVERY_PYTHON = False

NAME = "handed_over_in_a_test"

#: A computation's code, as its bundle lays it out.
CODE = """
import os
class Point:
    def __init__(self, x): self.x = x
    class Inner: pass
class Deaf:
    def __getstate__(self): raise ValueError("says nothing")
def helper(n): return n + step
step, table, odd, unchanged = 1, {"a": 1}, Deaf(), [1, 2]
"""


def laid_out() -> ModuleType:
    """The module of a computation, in its place."""
    module = sys.modules[NAME] = ModuleType(NAME)
    exec(compile(CODE, "computation.py", "exec"), vars(module))
    return module


class HandoverCase(unittest.TestCase):
    """What one setup() leaves."""

    def setUp(self) -> None:
        self.addCleanup(sys.modules.pop, NAME)
        self.module = laid_out()
        self.handover = Handover(vars(self.module))

    def setup(self, code: str, **given: Any) -> Handed:
        """What is handed over after this has run."""
        vars(self.module).update(given)
        exec(compile(code, "computation.py", "exec"), vars(self.module))
        return self.handover.handed()

    def left(self, code: str, **given: Any) -> dict[str, Any]:
        """What there is of it where the bundle alone is."""
        handed = self.setup(code, **given)
        fresh = laid_out()
        with mock.patch.dict(sys.modules, {"__main__": fresh}):
            opened: dict[str, Any] = open_value(handed.payload)
        vars(fresh).update(opened)
        return opened

    def refused(self, code: str, **given: Any) -> list[str]:
        """The lines that say why not."""
        with self.assertRaises(HandoverError) as caught:
            self.setup(code, **given)
        return str(caught.exception).splitlines()


class Left(HandoverCase):
    """What is handed over."""

    def test_nothing(self) -> None:
        """Of what the bundle itself makes, nothing is, whether it can be pickled or not."""
        self.assertEqual({}, self.left(""))
        self.assertEqual({}, self.left("import os\nunchanged.append(unchanged.pop())"))

    def test_new_and_changed(self) -> None:
        """Globals that are new, that are bound anew, and those of which the content is another."""
        self.assertEqual({"new": {3}, "step": 2, "table": {"a": 1, "b": 2}}, self.left("new = {3}; step = 2; table['b'] = 2"))

    def test_shared(self) -> None:
        """Two names of one thing are so there too."""
        left = self.left("one = [1]; two = {'one': one}")
        self.assertIs(left["one"], left["two"]["one"])

    def test_classes_of_the_bundle(self) -> None:
        """Are found there by name, nested ones too."""
        left = self.left("point = Point(3); inner = Point.Inner()")
        fresh = sys.modules[NAME]
        self.assertIsInstance(left["point"], fresh.Point)
        self.assertIsInstance(left["inner"], fresh.Point.Inner)

    def test_code_that_setup_has_made(self) -> None:
        """Functions and classes that the bundle has not come by value; functions share their globals with all others."""
        code = "def made(n): return helper(n) + own\nclass Own(Point): pass\nscale = lambda n: n * step\nown, step, mine = 10, 2, Own(4)"
        left = self.left(code)
        self.assertEqual((15, 6), (left["made"](3), left["scale"](3)))
        self.assertIsInstance(left["mine"], left["Own"])
        self.assertIs(vars(sys.modules[NAME]), left["made"].__globals__)

    def test_code_that_takes_the_place_of_other(self) -> None:
        """Is what is handed over, not what the bundle has under that name."""
        left = self.left("class Point(Point): better = True\npoint = Point(3)")
        self.assertTrue(left["point"].better)


class Refused(HandoverCase):
    """What cannot be sent."""

    def test_each_is_named(self) -> None:
        """With its type and why, and what to do; what can be sent is not."""
        lines = self.refused(
            "import sys, os.path\nfine, file, lines, locks = 1, open(os.devnull), (n for n in ()), {'a': lock}\nfile.close()", lock=threading.Lock()
        )
        self.assertIn("start_method='spawn'", lines[0])
        said = [line.replace("'TextIOWrapper' instances", "'_io.TextIOWrapper' object") for line in lines]  # as Python 3.12 has it
        self.assertEqual(
            [
                "  lock: a _thread.lock; TypeError: cannot pickle '_thread.lock' object",
                "  sys: a module; modules are not sent, import it in the computation instead",
                "  file: a _io.TextIOWrapper; TypeError: cannot pickle '_io.TextIOWrapper' object",
                "  lines: a generator; TypeError: cannot pickle 'generator' object",
                "  locks: a dict; TypeError: cannot pickle '_thread.lock' object",
            ],
            said[1:-1],
        )
        self.assertIn("keep it in a local variable of setup()", lines[-1])

    def test_inside_what_was_there(self) -> None:
        """Something that could be sent, and holds what cannot by now."""
        self.assertEqual("  table: a dict; TypeError: cannot pickle '_thread.lock' object", self.refused("table['b'] = lock", lock=threading.Lock())[1])

    def test_bound_anew(self) -> None:
        """What cannot be pickled is of no interest as long as the bundle makes it; but setup() has made another."""
        self.assertEqual([f"  odd: a {NAME}.Deaf; ValueError: says nothing"], self.refused("odd = Deaf()")[1:-1])

    def test_a_lock_for_forks(self) -> None:
        """multiprocessing says itself that it cannot be given to other processes than forked ones."""
        if sys.version_info < (3, 11):
            self.skipTest("Python 3.10's multiprocessing does not know of a lock for which kind of process it was made")
        self.assertIn("fork context", self.refused("", lock=multiprocessing.get_context("fork").Lock())[1])

    def test_nothing_stays(self) -> None:
        """What multiprocessing needs for it is undone, whichever way it went."""
        known = dict(copyreg.dispatch_table)
        self.left("new = 1")
        self.refused("import sys")
        self.assertEqual((known, None), (copyreg.dispatch_table, multiprocessing.context.get_spawning_popen()))
