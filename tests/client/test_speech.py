"""How the package speaks to the user of a program."""

from __future__ import annotations

import io
import logging
import sys
import unittest
from contextlib import redirect_stderr
from unittest import mock

from twisted.logger import Logger, LogLevel, LogPublisher

from dispytw.client import logger, speech


class Words(unittest.TestCase):
    """What reaches the logger ``dispytw``, and what does not."""

    def log(self, namespace: str) -> Logger:
        """A logger of Twisted's kind whose events our observer sees."""
        publisher = LogPublisher()
        publisher.addObserver(speech._observe)  # type: ignore[arg-type]
        return Logger(namespace, observer=publisher)

    def test_levels(self) -> None:
        """Our modules' events come with their level and their words."""
        ours = self.log("dispytw.client.session")
        for level, number in (
            (LogLevel.debug, logging.DEBUG),
            (LogLevel.info, logging.INFO),
            (LogLevel.warn, logging.WARNING),
            (LogLevel.error, logging.ERROR),
            (LogLevel.critical, logging.CRITICAL),
        ):
            with self.assertLogs("dispytw", "DEBUG") as heard:
                ours.emit(level, "node {node} is away", node="a:1")
            self.assertEqual([(number, "node a:1 is away")], [(each.levelno, each.getMessage()) for each in heard.records])

    def test_below_the_level(self) -> None:
        """What the user does not want to hear is not said, nor even put into words."""

        spoken: list[bool] = []

        class Word:
            def __str__(self) -> str:
                spoken.append(True)
                return "word"

        with self.assertLogs("dispytw", "WARNING") as heard:
            self.log("dispytw.x").info("a {word}", word=Word())
            self.log("dispytw.x").warn("loud")
            self.assertEqual([], spoken)
        self.assertEqual(["loud"], [each.getMessage() for each in heard.records])

    def test_other_peoples_events(self) -> None:
        """Of others only what went wrong unseen is said; a namespace that merely begins like ours is another's."""
        with self.assertLogs("dispytw", "DEBUG") as heard:
            for namespace in ("twisted.internet", "dispytwist", "dispytw_plugin.x"):
                self.log(namespace).error("of theirs")
            self.log("twisted.internet.defer").critical("Unhandled error in Deferred")
        self.assertEqual(["Unhandled error in Deferred"], [each.getMessage() for each in heard.records])

    def test_tracebacks(self) -> None:
        """A failure is said with its traceback."""
        with self.assertLogs("dispytw", "DEBUG") as heard:
            try:
                raise OSError("no table here")
            except OSError:
                self.log("dispytw.x").failure("callback {callback} raised", callback="f")
        text = heard.records[0].getMessage()
        self.assertTrue(text.startswith("callback f raised\nTraceback"), text)
        self.assertTrue(text.endswith("no table here"), text)

    def test_percent_signs(self) -> None:
        """What looks like a format of logging's is only text."""
        with self.assertLogs("dispytw", "DEBUG") as heard:
            self.log("dispytw.x").info("{text}", text="100 %s done %d")
        self.assertEqual("100 %s done %d", heard.records[0].getMessage())


class Beginning(unittest.TestCase):
    """Where the words go."""

    def setUp(self) -> None:
        self.beginner = self.enterPatch("globalLogBeginner")
        self.publisher = self.enterPatch("globalLogPublisher")
        self.root = logging.RootLogger(logging.WARNING)
        self.logger = logging.Manager(self.root).getLogger("dispytw")
        self.enterPatch("LOGGER", self.logger)
        patch = mock.patch.object(logger, "LOGGER", self.logger)
        patch.start()
        self.addCleanup(patch.stop)

    def enterPatch(self, name: str, *replacement: object) -> mock.Mock:
        """Another object in the module's place for the length of the test."""
        patch = mock.patch.object(speech, name, *replacement)
        self.addCleanup(patch.stop)
        return patch.start()  # type: ignore[no-any-return]

    def said(self) -> str:
        """What standard error gets of a warning."""
        stderr = io.StringIO()
        with redirect_stderr(stderr):
            self.logger.warning("no node yet")
        return stderr.getvalue()

    def test_standard_error(self) -> None:
        """A program without logging sees one line on what is its standard error at that moment, and once."""
        speech.begin()
        speech.begin()
        self.assertRegex(self.said(), r"^\d{4}-\d\d-\d\d \S+ dispytw - no node yet\n$")
        with redirect_stderr(io.StringIO()) as unused:
            self.assertIn("no node yet", self.said())
        self.assertEqual("", unused.getvalue())

    def test_once(self) -> None:
        """Logging that the program sets up later does not say it a second time."""
        speech.begin()
        heard = io.StringIO()
        self.root.addHandler(logging.StreamHandler(heard))
        self.assertIn("no node yet", self.said())
        self.assertEqual("", heard.getvalue())

    def test_a_handler_of_the_programs(self) -> None:
        """A program that has given our logger a handler hears us there and nowhere else."""
        heard = io.StringIO()
        self.logger.addHandler(logging.StreamHandler(heard))
        speech.begin()
        self.assertEqual("", self.said())
        self.assertEqual("no node yet\n", heard.getvalue())

    def test_logging_of_the_programs(self) -> None:
        """A program that has set up logging as a whole, by logging.basicConfig say, hears us there and nowhere else."""
        heard = io.StringIO()
        self.root.addHandler(logging.StreamHandler(heard))
        speech.begin()
        self.assertEqual("", self.said())
        self.assertEqual("no node yet\n", heard.getvalue())

    def test_twisteds_log(self) -> None:
        """Twisted's own log begins with us, without touching sys.stdout."""
        speech.begin()
        self.beginner.beginLoggingTo.assert_called_once_with(
            [speech._observe], redirectStandardIO=False, discardBuffer=True
        )
        self.publisher.addObserver.assert_not_called()

    def test_in_an_application(self) -> None:
        """Where the program runs Twisted, we only listen."""
        speech.begin(in_app=True)
        self.publisher.addObserver.assert_called_once_with(speech._observe)
        self.beginner.beginLoggingTo.assert_not_called()

    def test_level(self) -> None:
        """loglevel decides what is heard."""
        speech.begin()
        speech.set_level(logging.ERROR)
        self.assertEqual("", self.said())
        speech.set_level(logging.INFO)
        self.assertIn("no node yet", self.said())

    def test_the_stream_is_not_taken(self) -> None:
        """Nobody can bind our handler to another stream."""
        speech.begin()
        handler = self.logger.handlers[0]
        self.assertIs(sys.stderr, handler.stream)  # type: ignore[attr-defined]
        with self.assertRaises(AttributeError):
            handler.stream = io.StringIO()  # type: ignore[attr-defined]
