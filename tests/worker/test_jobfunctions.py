"""The names that jobs use without importing them."""

from __future__ import annotations

import inspect
import unittest
from typing import Any

from dispytw.wire.bundle import JOB_NAMES
from dispytw.worker import jobfunctions
from dispytw.worker.jobfunctions import names

#: What only a supervisor knows.
FACTS = {"dispy_node_name", "dispy_node_ip_addr"}


class JobFunctionsTests(unittest.TestCase):
    """dispy's list; that they do what they say is shown by test_speaking."""

    def test_the_names(self) -> None:
        """All of dispy's are there, but for the facts that only a supervisor knows; and the client knows of all of them."""
        self.assertEqual(JOB_NAMES, set(names(JOB_NAMES)) | FACTS)

    def test_what_is_not_mentioned(self) -> None:
        """The logger takes time to load, so something stands for it until it is used; code that nobody has seen may do so."""
        self.assertEqual(names(JOB_NAMES).keys(), names(()).keys())
        logger: Any = names(())["dispynode_logger"]
        real = names(JOB_NAMES)["dispynode_logger"]
        self.assertIsNot(real, logger)
        self.assertEqual("dispynode", logger.name)
        self.addCleanup(setattr, real, "disabled", False)
        logger.disabled = True
        self.assertTrue(real.disabled)  # type: ignore[attr-defined]

    def test_the_parameters(self) -> None:
        """Those of both generations of dispy, with their defaults."""
        for function, first in ((jobfunctions.dispy_provisional_result, "result"), (jobfunctions.dispy_send_file, "path")):
            parameters = inspect.signature(function).parameters
            self.assertEqual([first, "relay", "timeout"], list(parameters))
            self.assertEqual((False, 10), (parameters["relay"].default, parameters["timeout"].default))
