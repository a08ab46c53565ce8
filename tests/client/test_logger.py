"""dispy.logger, used as dispy's and as logging's."""

from __future__ import annotations

import io
import logging
import unittest
from contextlib import redirect_stderr
from unittest import mock

from dispytw.client import logger as module
from dispytw.client.logger import LOGGER, Logger, logger

EVERY_PYTHON = True


class Levels(unittest.TestCase):
    """Levels are numbers, logging's."""

    def test_names(self) -> None:
        """dispy's, at the object itself."""
        self.assertEqual([10, 20, 30, 30, 40, 50, 50], [getattr(logger, n) for n in ["DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"]])

    def test_set_level(self) -> None:
        """What is below is not said; a number does as well as a name of ours."""
        before = LOGGER.level
        self.addCleanup(LOGGER.setLevel, before)
        with self.assertLogs("dispytw") as heard:
            for level in (logger.ERROR, 40, logging.ERROR):
                logger.setLevel(level)
                logger.warning("quiet")
                self.assertEqual(40, logger.level)
            logger.error("loud %d", 1)
        self.assertEqual(["loud 1"], [each.getMessage() for each in heard.records])


class Speaking(unittest.TestCase):
    """A program's own words."""

    def test_methods(self) -> None:
        """Each has its level; warn is warning."""
        with self.assertLogs("dispytw", "DEBUG") as heard:
            for name in ("debug", "info", "warn", "warning", "error", "critical", "fatal"):
                getattr(logger, name)("%s", name)
        self.assertEqual([10, 20, 30, 30, 40, 50, 50], [each.levelno for each in heard.records])

    def test_log(self) -> None:
        """Without a level, as in dispy, it is said whatever the level is; with one it is logging's."""
        with self.assertLogs("dispytw", "ERROR") as heard:
            logger.log("node %s", 7)
            logger.log(logging.INFO, "quiet")
            logger.log(logging.ERROR, "loud %s", 8)
        self.assertEqual(["node 7", "loud 8"], [each.getMessage() for each in heard.records])

    def test_rest(self) -> None:
        """What else a logger of logging's has is there; what none has is not."""
        self.assertEqual(("dispytw", LOGGER.handlers), (logger.name, logger.handlers))
        self.assertRaises(AttributeError, getattr, logger, "no_such_thing")
        logger.flush()


class WithoutConfiguration(unittest.TestCase):
    """A program that has not set up logging, and has made no cluster yet."""

    def test_stderr(self) -> None:
        """Hears what is said on standard error, with or without milliseconds."""
        fresh = logging.Logger("dispytw", logging.INFO)
        with mock.patch.object(module, "LOGGER", fresh), redirect_stderr(io.StringIO()) as heard:
            said = Logger()
            said.info("one")
            said.show_ms(False)
            said.log("two")
            said.show_ms(True)
        one, two = heard.getvalue().splitlines()
        self.assertRegex(one, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} dispytw - one$")
        self.assertRegex(two, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d dispytw - two$")
        self.assertEqual([module.STDERR], fresh.handlers)
