"""job.error: the exception itself, or a class that tells what became of the job; never anything that would end the program."""

from __future__ import annotations

import dataclasses
import sys
import unittest
from concurrent.futures import CancelledError
from typing import Any

from dispytw.client.joberrors import RemoteTraceback, error_of, is_cancelled
from dispytw.errors import JobExitError, JobFailedError, JobKilledError, NodeLostError, PayloadError
from dispytw.values import CANCELLED, TERMINATED, TOO_MANY_ATTEMPTS, Outcome
from dispytw.worker.raising import packed_death

EVERY_PYTHON = True

WHO = "job 7 on node 10.0.0.7, attempt 2"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in compute\nValueError: no such thing\n'


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """A class that lets nobody set anything."""

    what: str


def error(outcome: Outcome, opened: Any = None) -> BaseException:
    """The error of an outcome whose payload opens as this, or raises it."""

    def open_payload(data: bytes) -> Any:
        assert data == outcome.error
        if isinstance(opened, PayloadError):
            raise opened
        return opened

    return error_of(outcome, WHO, open_payload)


def raised(**fields: Any) -> Outcome:
    return Outcome(TERMINATED, exception=TRACEBACK, **fields)


class TheExceptionItself(unittest.TestCase):
    """What the worker could pack."""

    def test_with_its_traceback(self) -> None:
        """The very exception, caused by the traceback from the node; a note says where it came from."""
        mine = ValueError("no such thing")
        self.assertIs(mine, error(raised(error=b"p"), mine))
        assert isinstance(mine.__cause__, RemoteTraceback)
        self.assertEqual(TRACEBACK, mine.__cause__.text)
        self.assertIn("line 1, in compute", str(mine.__cause__))
        if sys.version_info >= (3, 11):
            self.assertEqual([WHO], mine.__notes__)
            self.assertNotIn(WHO, str(mine.__cause__))
        else:
            self.assertIn(WHO, str(mine.__cause__))

    def test_one_that_takes_no_note(self) -> None:
        """A frozen class gets its cause all the same, and the note stands there."""
        mine = FrozenError("ice")
        self.assertIs(mine, error(raised(error=b"p"), mine))
        self.assertIn(WHO, str(mine.__cause__))

    def test_one_that_cannot_be_opened(self) -> None:
        """What was raised stands in the message, and why it is not here."""
        found = error(raised(error=b"p"), PayloadError("no module named x"))
        self.assertIsInstance(found, JobFailedError)
        for said in (WHO, "ValueError: no such thing", "no module named x"):
            self.assertIn(said, str(found))
        self.assertIsInstance(found.__cause__, RemoteTraceback)

    def test_what_would_end_the_program(self) -> None:
        """KeyboardInterrupt, and what is no exception at all, is told but not raised."""
        for opened in (KeyboardInterrupt(), SystemExit(1), GeneratorExit(), "no exception"):
            self.assertIs(JobFailedError, type(error(raised(error=b"p"), opened)))


class WithoutOne(unittest.TestCase):
    """How a job may end without an exception that is at hand."""

    def test_the_table(self) -> None:
        """Each end has its class, and the text says what happened."""
        texts = {"killed": "killed by signal 9 (SIGKILL)\nits stderr ended with:\nout of luck", "exited": "exited with status 4"}
        table: list[tuple[Outcome, type[BaseException], str]] = [
            (raised(), JobFailedError, "ValueError: no such thing"),
            (Outcome(TERMINATED, exception=TRACEBACK + "a second line\n"), JobFailedError, "ValueError: no such thing"),
            (Outcome(TERMINATED, exception="Traceback (most recent call last):"), JobFailedError, "Traceback"),
            (Outcome(TERMINATED, exception=" \n"), JobFailedError, "without a result"),
            (Outcome(TERMINATED, reason="the result is lost"), JobFailedError, "the result is lost"),
            (Outcome(TERMINATED, exception=texts["exited"], error=packed_death("exit", 4)), JobExitError, "status 4"),
            (Outcome(TERMINATED, exception=texts["killed"], error=packed_death("signal", 9)), JobKilledError, "SIGKILL"),
            (Outcome(TERMINATED, exception="x", error=b"m\xc1"), JobFailedError, "x"),
            (Outcome(TERMINATED, exception="killed\nTimeoutError: 1 s", reason="timed out after 1 s"), JobFailedError, "timed out after 1 s"),
            (Outcome(TERMINATED, exception="given up:\na\nb", reason=TOO_MANY_ATTEMPTS), NodeLostError, "given up:\na\nb"),
            (Outcome(CANCELLED, exception="Cancelled", reason="node7 is gone"), NodeLostError, "node7 is gone"),
            (Outcome(CANCELLED, reason="cancelled before it was sent"), CancelledError, "before it was sent"),
            (Outcome(CANCELLED, exception=TRACEBACK, reason="cancelled while it ran"), CancelledError, "while it ran"),
        ]
        for outcome, kind, says in table:
            with self.subTest(outcome=outcome):
                found = error(outcome)
                self.assertIs(kind, type(found))
                self.assertIn(says, str(found))
                self.assertIn(WHO, str(found))

    def test_numbers(self) -> None:
        """The exit status and the signal are there to be looked at."""
        exited = error(Outcome(TERMINATED, exception="x", error=packed_death("exit", 4)))
        killed = error(Outcome(TERMINATED, exception="x", error=packed_death("signal", 9)))
        self.assertEqual((4, 9), (exited.code, killed.signal))  # type: ignore[attr-defined]
        self.assertIsNone(killed.__cause__)

    def test_sys_exit_has_its_traceback(self) -> None:
        """It was raised somewhere."""
        outcome = Outcome(TERMINATED, exception=TRACEBACK.replace("ValueError", "SystemExit"), error=packed_death("exit", 3))
        self.assertIsInstance(error(outcome).__cause__, RemoteTraceback)

    def test_who_cancelled(self) -> None:
        """A job of a lost node has the same status, and was not cancelled by anybody."""
        self.assertTrue(is_cancelled(Outcome(CANCELLED, reason="cancelled while it ran")))
        self.assertFalse(is_cancelled(Outcome(CANCELLED, exception="Cancelled")))
        self.assertFalse(is_cancelled(Outcome(TERMINATED)))
