"""Limits to the time of jobs: as a listener between daemon and jobs, and in real supervisors."""

from __future__ import annotations

import unittest
from unittest import mock

import msgpack

from dispytw.values import CANCELLED, FINISHED, JOB, TERMINATED, WORKER, Attempt, Inline, Outcome
from dispytw.wire.frames import Cancel, Ended, Frame, GivenBack, Ready, Start, Started
from dispytw.worker import timeouts as module
from dispytw.worker import timers as timers_module
from dispytw.worker.timeouts import Timeouts
from dispytw.worker.timers import Timers
from tests.worker.driving import Driver, SupervisorTestCase, is_alive, opened

A, B = Attempt(b"a" * 16, 1), Attempt(b"b" * 16, 1)
INTERRUPTED = Outcome(CANCELLED, exception="Traceback\nKeyboardInterrupt\n", reason="cancelled while it ran")


class Listening(unittest.TestCase):
    """What is heard, and what comes of it."""

    def setUp(self) -> None:
        self.now = 100.0
        for each in (module, timers_module):
            patch = mock.patch.object(each, "monotonic", lambda: self.now)
            patch.start()
            self.addCleanup(patch.stop)
        self.timers = Timers()
        self.cancelled: list[Attempt] = []
        self.timeouts = Timeouts(self.timers, self.cancelled.append)

    def start(self, attempt: Attempt, timeout: float | None) -> None:
        self.timeouts.received(Start(attempt, Inline(b""), timeout))

    def started(self, *attempts: Attempt) -> None:
        for attempt in attempts:
            self.timeouts.told(Started(attempt, 1.0))

    def ended(self, outcome: Outcome, attempt: Attempt = A) -> Outcome:
        told = self.timeouts.told(Ended(attempt, outcome))
        assert isinstance(told, Ended)
        return told.outcome

    def pass_to(self, when: float) -> list[Attempt]:
        self.now = when
        self.timers.run()
        return self.cancelled

    def left(self) -> list[object]:
        return [each for each in (self.timeouts._limits, self.timeouts._due, self.timeouts._overdue) if each]

    def test_from_its_start(self) -> None:
        """The time that a job waits does not count; the time after its start does, and once."""
        self.start(A, 2.0)
        self.assertEqual([], self.pass_to(150.0))
        self.started(A)
        self.assertEqual([], self.pass_to(151.9))
        self.assertEqual([A], self.pass_to(152.0))
        self.assertEqual([A], self.pass_to(999.0))
        self.assertIsNone(self.timers.wait())

    def test_each_its_own(self) -> None:
        """Whoever started first, the shorter is over first."""
        self.start(A, 9.0)
        self.start(B, 2.0)
        self.started(A, B)
        self.assertEqual([B], self.pass_to(102.0))
        self.assertEqual([B, A], self.pass_to(109.0))

    def test_what_it_ends_with(self) -> None:
        """Terminated, with the traceback of where it was and the timeout by name; a job that was killed has the name alone."""
        for ended, exception in ((INTERRUPTED, "Traceback\nKeyboardInterrupt\nTimeoutError"), (Outcome(CANCELLED), "TimeoutError")):
            self.start(A, 2.5)
            self.started(A)
            self.pass_to(self.now + 2.5)
            outcome = self.ended(ended)
            self.assertEqual((TERMINATED, "timed out after 2.5 s"), (outcome.status, outcome.reason))
            self.assertEqual(f"{exception}: it ran longer than its timeout of 2.5 s", outcome.exception)
            self.assertEqual([], self.left())

    def test_who_catches_it(self) -> None:
        """A job that returns all the same has finished, and says what happened."""
        self.start(A, 1.0)
        self.started(A)
        self.pass_to(101.0)
        outcome = self.ended(Outcome(FINISHED))
        self.assertEqual((FINISHED, "returned when its timeout of 1 s was over"), (outcome.status, outcome.reason))

    def test_in_time(self) -> None:
        """What ended in time is told as it is, and nobody is cancelled later, though a look is still to come."""
        self.start(A, 1.0)
        self.started(A)
        for outcome in (Outcome(FINISHED), INTERRUPTED):
            self.assertIs(outcome, self.ended(outcome))
        self.assertEqual(([], []), (self.pass_to(999.0), self.left()))

    def test_cancelled_by_its_user(self) -> None:
        """A cancel that came first is a cancel; one that came later changes nothing."""
        self.start(A, 1.0)
        self.started(A)
        self.timeouts.received(Cancel(A))
        self.assertEqual([], self.pass_to(101.0))
        self.assertIs(INTERRUPTED, self.ended(INTERRUPTED))
        self.start(B, 1.0)
        self.started(B)
        self.pass_to(102.0)
        self.timeouts.received(Cancel(B))
        self.assertEqual(TERMINATED, self.ended(INTERRUPTED, B).status)

    def test_given_back(self) -> None:
        """What never started here is forgotten."""
        self.start(A, 1.0)
        self.timeouts.told(GivenBack((A, B)))
        self.assertEqual([], self.left())

    def test_without(self) -> None:
        """Who has no limit leaves no trace, beside one that has or not."""
        frames: list[Frame] = [Started(A, 1.0), Ended(A, INTERRUPTED), Ready()]
        self.start(A, None)
        self.assertEqual(frames, [self.timeouts.told(frame) for frame in frames])
        self.start(B, 1.0)
        self.assertEqual(frames, [self.timeouts.told(frame) for frame in frames])

    def test_many(self) -> None:
        """A supervisor that has run many jobs with a timeout has one look to come, not many."""
        for number in range(1000):
            attempt = Attempt(number.to_bytes(16, "big"), 1)
            self.start(attempt, 3600.0)
            self.started(attempt)
            self.ended(Outcome(FINISHED), attempt)
        self.assertEqual((1, []), (len(self.timers._due), self.left()))


SOURCE = """
import subprocess
def stuck():
    while True: time.sleep(60)
def stubborn():
    while True:
        try: time.sleep(60)
        except KeyboardInterrupt: pass
def partial():
    try: time.sleep(60)
    except KeyboardInterrupt: return "half"
def parent(path):
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with open(path, "w") as told: told.write(str(child.pid))
    while True: time.sleep(60)
def quick(n): return n
"""

#: Seconds in which any job has come into its body, and started a process there.
SURELY = 2.0


class Running(SupervisorTestCase):
    """In real supervisors, with a process for each job and with kept ones."""

    def supervisors(self, width: int = 1, grace: float = 0.3) -> list[Driver]:
        drivers = [self.supervisor(SOURCE, isolation=isolation, width=width, grace=grace) for isolation in (JOB, WORKER)]
        for driver in drivers:
            driver.hear_a(Ready)
        return drivers

    def assert_timed_out(self, outcome: Outcome, seconds: float = 0.1) -> None:
        self.assertEqual((TERMINATED, f"timed out after {seconds:g} s"), (outcome.status, outcome.reason))
        self.assertIn(f"TimeoutError: it ran longer than its timeout of {seconds:g} s", outcome.exception or "")

    def test_a_job_that_is_stuck(self) -> None:
        """Is interrupted; the next one runs, though it has waited longer than its own timeout."""
        begun = [(d, d.begin("stuck", timeout=1.5), d.begin("quick", 7, timeout=1.4)) for d in self.supervisors()]
        for driver, stuck, waits in begun:
            self.assert_timed_out(driver.outcome(stuck), 1.5)
            self.assertEqual(7, opened(driver.outcome(waits).result))

    def test_a_job_that_does_not_care(self) -> None:
        """Is killed."""
        for driver in self.supervisors(grace=0.05):
            self.assert_timed_out(driver.run("stubborn", timeout=0.1))
            self.assertEqual(7, opened(driver.run("quick", 7).result))

    def test_in_its_body(self) -> None:
        """One that catches the KeyboardInterrupt returns what it has; the traceback says where the other was, and its child is gone."""
        drivers = self.supervisors(width=2, grace=10.0)
        begun = [(d, d.begin("partial", timeout=SURELY), d.begin("parent", d.path("pid"), timeout=SURELY)) for d in drivers]
        for driver, partial, parent in begun:
            outcome = driver.outcome(partial)
            self.assertEqual((FINISHED, "half"), (outcome.status, opened(outcome.result)))
            self.assertIn("timeout of 2 s", outcome.reason)
            outcome = driver.outcome(parent)
            self.assert_timed_out(outcome, SURELY)
            self.assertRegex(outcome.exception or "", r"line \d+, in parent[\s\S]*KeyboardInterrupt\nTimeoutError")
            with open(driver.path("pid")) as told:
                self.assertFalse(is_alive(int(told.read())))

    def test_a_program(self) -> None:
        """Is ended by the same signals."""
        driver = self.supervisor("", program="/bin/sleep")
        driver.hear_a(Ready)
        self.assert_timed_out(driver.run(body=Inline(msgpack.packb(["60"])), timeout=0.1))
