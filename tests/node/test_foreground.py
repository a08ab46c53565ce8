"""A service in the foreground: started, run, stopped, and what it logs is on standard error."""

from __future__ import annotations

import io
import unittest
from typing import Any
from unittest import mock

from twisted.application.service import Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogBeginner, Logger, LogPublisher

from dispytw.node import foreground

log = Logger()


class Noting(Service):
    """Writes down what is done to it, and logs while it starts."""

    def __init__(self, log: Logger) -> None:
        self.done: list[str] = []
        self.log = log

    def privilegedStartService(self) -> None:
        self.done.append("privileged")

    def startService(self) -> None:
        self.done.append("start")
        self.log.debug("a detail")
        self.log.info("at work as {name}", name="here")

    def stopService(self) -> None:
        self.done.append("stop")


class Foreground(unittest.TestCase):
    """`run`, with a reactor that ends at once."""

    def setUp(self) -> None:
        self.publisher = LogPublisher()
        self.errors = io.StringIO()
        self.service = Noting(Logger(observer=self.publisher))
        self.reactor = MemoryReactorClock()
        beginner = LogBeginner(self.publisher, io.StringIO(), mock.Mock(), mock.Mock())
        for patch in (
            mock.patch.object(foreground, "globalLogBeginner", beginner),
            mock.patch("sys.stderr", self.errors),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def run_it(self, debug: bool = False) -> None:
        """Run the service until the reactor is stopped."""

        def run() -> None:
            self.service.done.append("run")
            self.reactor.stop()

        with mock.patch.object(self.reactor, "run", run):
            foreground.run(self.service, self.reactor, debug)

    def test_in_order(self) -> None:
        """Started before the reactor runs; stopped when the reactor is, before it has ended."""
        self.run_it()
        self.assertEqual(["privileged", "start", "run"], self.service.done)
        ((_, stops),) = ((when, calls) for when, calls in self.reactor.triggers.items() if when == "before")
        ((stop, args, keywords),) = stops["shutdown"]
        stop(*args, **keywords)
        self.assertEqual("stop", self.service.done[-1])

    def test_what_is_logged(self) -> None:
        """A line with its time for what is worth one."""
        self.run_it()
        (line,) = self.errors.getvalue().splitlines()
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* .*at work as here$")

    def test_debug(self) -> None:
        """Shows everything."""
        self.run_it(debug=True)
        first, second = self.errors.getvalue().splitlines()
        self.assertIn("a detail", first)
        self.assertIn("at work as here", second)

    def test_standard_output_is_left_alone(self) -> None:
        """What is printed is no log line, and what was logged before is not said again."""
        begun: list[Any] = []
        with mock.patch.object(
            foreground.globalLogBeginner, "beginLoggingTo", lambda *args, **words: begun.append(words)
        ):
            self.run_it()
        self.assertEqual([{"redirectStandardIO": False, "discardBuffer": True}], begun)

    def test_a_service_that_cannot_start(self) -> None:
        """Ends it: the reactor does not run."""
        with mock.patch.object(self.service, "startService", side_effect=SystemExit("no port")):
            self.assertRaises(SystemExit, self.run_it)
        self.assertNotIn("run", self.service.done)
