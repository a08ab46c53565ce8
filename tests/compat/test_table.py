"""The table of dispy's names tells the truth, as far as that can be looked up."""

from __future__ import annotations

import importlib.util
import unittest

from tests.compat import manual, names, table
from tests.compat.table import ACCEPTED, DISPY, IN_A_JOB, LEFT_OUT, MANUAL, NOT_YET, OURS, WORKS, is_a_test, is_there

EVERY_PYTHON = False


class Table(unittest.TestCase):
    """docs/compatibility.csv."""

    def setUp(self) -> None:
        self.rows = table.read_table()

    def test_no_name_is_missing(self) -> None:
        """Every name of dispy and of the manual has a row, one, and is said to be whose it is; and no other name is."""
        for version, wanted in ((DISPY, table.snapshot()), (MANUAL, manual.NAMES)):
            found = [row.name for row in self.rows if version in row.of]
            self.assertEqual(set(), set(wanted) - set(found), f"names of dispy {version} without a row")
            self.assertEqual(set(), set(found) - set(wanted), f"names that dispy {version} has not")
        self.assertEqual(len(self.rows), len({row.name for row in self.rows}))
        ours = {row.name for row in self.rows if row.of == (OURS,)}
        self.assertEqual(len(self.rows), len(ours) + len(set(table.snapshot()) | set(manual.NAMES)))

    def test_statuses(self) -> None:
        """What works has a test that shows it; what has no effect has one too, and a reason; what is left out has a reason."""
        for row in self.rows:
            with self.subTest(row.name):
                self.assertIn(row.status, (WORKS, ACCEPTED, NOT_YET, LEFT_OUT))
                if row.status in (WORKS, ACCEPTED):
                    self.assertTrue(row.tests, "no test shows it")
                if row.status in (ACCEPTED, LEFT_OUT):
                    self.assertTrue(row.remarks, "no reason is given")

    def test_tests_exist(self) -> None:
        """A test that is named can be run by that name."""
        missing = sorted({f"{row.name}: {test}" for row in self.rows for test in row.tests if not is_a_test(test)})
        self.assertEqual([], missing)

    def test_names_exist(self) -> None:
        """What works or is accepted is there, by that name."""
        claimed = [row.name for row in self.rows if row.status in (WORKS, ACCEPTED) and not row.name.startswith(IN_A_JOB)]
        self.assertEqual([], [name for name in claimed if not is_there(name)])

    def test_what_we_add(self) -> None:
        """Every public parameter, method and attribute of a cluster and a job that dispy has not is in the table as ours."""
        import dispytw

        found = {*names._class("JobCluster", dispytw.JobCluster), *names._class("DispyJob", dispytw.DispyJob)}
        self.assertEqual(set(), found - {row.name for row in self.rows} - INSIDE)


#: Parts of a cluster and a job that others of our modules use: no user's names.
INSIDE = {
    *(f"JobCluster.{name}" for name in ("end", "is_program", "refuse_to_wait", "refuse_to_wait(what)", "open_result", "open_result(payload)")),
    *(f"JobCluster.{name}" for name in ("cancel_soon", "cancel_soon(job)", "call_back", "call_back(function)", "call_back(job)", "end_soon")),
    *("JobCluster.identified", "JobCluster.identified(job)", "JobCluster.identified(value)"),
    *("JobCluster.stream", "JobCluster.stream(job)"),
    *("JobCluster.result_read", "JobCluster.result_read(job)"),
    *(f"DispyJob({name})" for name in ("owner", "uid", "number", "submit_time")),
}


class Looking(unittest.TestCase):
    """The looks themselves see what is wrong."""

    def test_tests(self) -> None:
        """A module, class or method that is not there is none."""
        mine = "tests.compat.test_table"
        self.assertTrue(is_a_test(f"{mine}.Looking.test_tests"))
        for wrong in (f"{mine}.Looking.test_test", f"{mine}.Look.test_tests", "tests.compat.test_no.Looking.test_tests", "x", f"{mine}.Looking"):
            self.assertFalse(is_a_test(wrong), wrong)

    def test_names(self) -> None:
        """A name, a parameter or an attribute that is not there is not."""
        for there in ("JobCluster.close(timeout)", "NodeAllocate.cpus", "DispyNode.rx", "config.NodePort", "logger.setLevel", "JobCluster.submit(*args)"):
            self.assertTrue(is_there(there), there)
        for missing in ("JobCluster.closes", "JobCluster.close(time)", "NodeAllocate.cpu", "config.Port", "dispy_send_file"):
            self.assertFalse(is_there(missing), missing)


class Dispy(unittest.TestCase):
    """dispy's own package, in an environment that has it."""

    @unittest.skipUnless(importlib.util.find_spec("dispy"), "dispy is not installed here; `tox -e compat` looks at it")
    def test_snapshot(self) -> None:
        """The committed names are those that inspect finds in it."""
        import dispy
        import dispy.httpd

        self.assertEqual("4.15.2", dispy.__version__)
        self.assertEqual(table.snapshot(), names.names_of(dispy))
