"""A cancel reaches the job as KeyboardInterrupt, and if need be it ends everything the job started."""

from __future__ import annotations

import os
import time
import unittest

from dispytw.values import CANCELLED, FINISHED, Attempt
from dispytw.wire.frames import Close, GivenBack, Ready, Recall
from tests.worker.driving import Driver, content, is_alive, opened, word_from

COMPUTE = """
import os, signal, subprocess, sys, time
def say(word):
    with open(os.path.join(dispy_job_path, "said"), "a") as said: said.write(f"{word}\\n")
def sleeps(): say("ready"); time.sleep(600)
def catches():
    try: sleeps()
    except KeyboardInterrupt: return "caught"
def raises_another():
    try: sleeps()
    except KeyboardInterrupt: raise ValueError("instead")
def ignores_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN); sleeps()
def ignores_everything():
    signal.signal(signal.SIGTERM, signal.SIG_IGN); ignores_interrupts()
def hides_grandchild():
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(signum, signal.SIG_IGN)
        say(os.getpid())
        time.sleep(600)
    os.wait()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(600)
def has_subprocess():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    say(child.pid)
    child.wait()
def quick(): return "quick"
def compute(name): return globals()[name]()
"""


class CancelTests(unittest.TestCase):
    """Jobs that obey, jobs that do not, and jobs that hide processes; the steps are 0.3 s apart here."""

    def setUp(self) -> None:
        self.driver = Driver(COMPUTE)
        os.mkfifo(os.path.join(self.driver.work, "said"))
        self.addCleanup(self.driver.stop)
        self.driver.start().hear_a(Ready)

    def _begin(self, name: str) -> tuple[Attempt, str]:
        """The attempt, and the job's first word: it is in its body by then."""
        attempt = self.driver.begin(name)
        return attempt, word_from(os.path.join(self.driver.work, "said"))

    def _cancelled(self, name: str, status: int = CANCELLED) -> tuple[str, float]:
        attempt, _ = self._begin(name)
        asked = time.monotonic()
        self.driver.cancel(attempt)
        outcome = self.driver.outcome(attempt)
        self.assertEqual(outcome.status, status, outcome)
        self.assertEqual(opened(self.driver.run("quick").result), "quick")
        return outcome.exception or str(opened(outcome.result)), time.monotonic() - asked

    def test_a_sleeping_job_is_cancelled_at_once(self) -> None:
        """KeyboardInterrupt ends the job: Cancelled, with the traceback."""
        text, took = self._cancelled("sleeps")
        self.assertIn("KeyboardInterrupt", text)
        self.assertLess(took, 0.3)

    def test_what_a_job_returns_after_catching_it_is_its_result(self) -> None:
        """dispy's rule: a job that catches KeyboardInterrupt and returns has Finished."""
        self.assertEqual(self._cancelled("catches", FINISHED)[0], "caught")

    def test_another_exception_after_a_cancel(self) -> None:
        """A cancelled job that does not return is Cancelled, whatever it raised."""
        self.assertIn("ValueError: instead", self._cancelled("raises_another")[0])

    def test_a_job_that_ignores_the_interrupt(self) -> None:
        """SIGTERM comes after the grace."""
        text, took = self._cancelled("ignores_interrupts")
        self.assertIn("signal 15 (SIGTERM)", text)
        self.assertGreater(took, 0.3)

    def test_a_job_that_ignores_sigterm_too(self) -> None:
        """SIGKILL comes after twice the grace."""
        text, took = self._cancelled("ignores_everything")
        self.assertIn("signal 9 (SIGKILL)", text)
        self.assertGreater(took, 0.6)

    def test_a_hidden_grandchild_is_gone_with_its_job(self) -> None:
        """A process that left session and group, lost its parent and ignores signals does not survive the job."""
        attempt, hidden = self._begin("hides_grandchild")
        self.assertTrue(is_alive(int(hidden)))
        self.driver.cancel(attempt)
        self.assertEqual(self.driver.outcome(attempt).status, CANCELLED)
        self.assertFalse(is_alive(int(hidden)))

    def test_a_subprocess_is_gone_with_its_job(self) -> None:
        """What the job runs by subprocess ends with it."""
        attempt, child = self._begin("has_subprocess")
        self.driver.cancel(attempt)
        self.assertEqual(self.driver.outcome(attempt).status, CANCELLED)
        self.assertFalse(is_alive(int(child)))

    def test_a_cancel_before_the_body(self) -> None:
        """A cancel that arrives together with the start still cancels, and its job leaves nothing for the next."""
        for _ in range(20):
            attempt = self.driver.begin("sleeps")
            self.driver.cancel(attempt)
            outcome = self.driver.outcome(attempt)
            self.assertEqual(outcome.status, CANCELLED)
            self.assertIn("KeyboardInterrupt", outcome.exception or "")
            self.assertNotIn("without a result", outcome.exception or "")
        self.assertEqual(content(self.driver.run("quick").stderr), b"")

    def test_a_late_cancel_means_nothing(self) -> None:
        """A cancel names its attempt: when that has ended, the job now in its slot is left alone."""
        first = self.driver.begin("quick")
        self.driver.outcome(first)
        second = self.driver.begin("quick")
        self.driver.cancel(first)
        self.driver.cancel(Attempt(bytes(16), 7))
        self.assertEqual(self.driver.outcome(second).status, FINISHED)


class WidthTests(unittest.TestCase):
    """A supervisor that runs two jobs at a time."""

    def setUp(self) -> None:
        self.driver = Driver(COMPUTE, width=2)
        os.mkfifo(os.path.join(self.driver.work, "said"))
        self.addCleanup(self.driver.stop)
        self.driver.start().hear_a(Ready)
        self.running = [self.driver.begin("sleeps"), self.driver.begin("sleeps")]
        self.waiting = [self.driver.begin("quick") for _ in range(3)]
        for attempt in self.running:
            self.driver.started(attempt)

    def test_what_waits_runs_in_its_turn(self) -> None:
        """An end makes room for the next ones, in order."""
        word_from(os.path.join(self.driver.work, "said"))
        self.driver.cancel(self.running[0])
        starts = [self.driver.started(attempt) for attempt in self.waiting]
        self.assertEqual(starts, sorted(starts))
        for attempt in self.waiting:
            self.assertEqual("quick", opened(self.driver.outcome(attempt).result))

    def test_recalled(self) -> None:
        """What waits is given back, the last ones first; what runs is not, and what stays is run."""
        self.driver.say(Recall(2))
        self.assertEqual(GivenBack((self.waiting[2], self.waiting[1])), self.driver.hear_a(GivenBack))
        self.driver.say(Recall(5))
        self.assertEqual(GivenBack((self.waiting[0],)), self.driver.hear_a(GivenBack))
        self.driver.say(Recall(5))
        self.assertEqual(GivenBack(()), self.driver.hear_a(GivenBack))

    def test_cancelled_while_it_waits(self) -> None:
        """Ends at once, and never starts."""
        self.driver.cancel(self.waiting[0])
        outcome = self.driver.outcome(self.waiting[0])
        self.assertEqual((CANCELLED, None, "cancelled before it started"), (outcome.status, outcome.started, outcome.reason))

    def test_closed(self) -> None:
        """What waits is Cancelled with what runs."""
        self.driver.say(Close())
        for attempt in [*self.running, *self.waiting]:
            self.assertEqual(CANCELLED, self.driver.outcome(attempt).status)
