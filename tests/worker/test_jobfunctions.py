"""The names that jobs use without importing them."""

from __future__ import annotations

from dispytw.values import TERMINATED
from dispytw.wire.frames import Ready
from dispytw.worker.jobfunctions import NAMES
from tests.worker.driving import SupervisorTestCase


class JobFunctionsTests(SupervisorTestCase):
    """dispy's list."""

    def test_the_names(self) -> None:
        """All of dispy's are there, but for the facts that only a supervisor knows."""
        self.assertEqual(
            set(NAMES), {"dispy_provisional_result", "dispy_send_file", "dispynode_logger", "dispy_job_path"}
        )

    def test_names_not_built_yet(self) -> None:
        """dispy_provisional_result and dispy_send_file say that they are missing, by name."""
        driver = self.supervisor("def call(name): return globals()[name]('x')")
        driver.hear_a(Ready)
        for name in ("dispy_provisional_result", "dispy_send_file"):
            outcome = driver.run("call", name)
            self.assertEqual(outcome.status, TERMINATED)
            self.assertIn(f"NotImplementedError: {name}", outcome.exception or "")
