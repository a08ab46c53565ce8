"""A forker gives each job a process of its own; a cancel reaches it as KeyboardInterrupt, and if need be ends everything it started."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
import unittest
from collections.abc import Callable
from unittest import mock

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Inline, Outcome, Stored
from dispytw.wire.frames import Close, Ended, GivenBack, Ready, Recall
from dispytw.worker import words
from dispytw.worker.forker import TAIL, Forker
from dispytw.worker.performer import Work
from dispytw.worker.slots import order
from dispytw.worker.slotwords import stored_path
from dispytw.worker.voice import voice
from tests.worker.driving import Driver, content, is_alive, meaning, opened, served, slot_of, tag_of, word_from

COMPUTE = """
import ctypes, functools, operator, os, signal, subprocess, sys, time
def say(word):
    with open(os.path.join(dispy_job_path, "said"), "a") as said: said.write(f"{word}\\n")
def sleeps(): say("ready"); time.sleep(600)
def dozes(): time.sleep(600)
def catches():
    try: sleeps()
    except KeyboardInterrupt: return "caught"
def raises_another():
    try: sleeps()
    except KeyboardInterrupt: raise ValueError("instead")
def turns_over():
    say("ready")
    sleeps = [functools.partial(ctypes.CDLL(None).sleep, 600), functools.partial(time.sleep, 600)]
    list(map(operator.methodcaller("__call__"), sleeps))
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
def prints(*streams):
    for name in streams: print(name, end="", file=getattr(sys, name))
words = []
def whereabouts(): words.append("seen"); return os.getpid(), os.getppid(), len(words)
def kills_parent(): os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)
def stays_without_parent(): say(f"{os.getpid()} {os.getppid()}"); time.sleep(600)
def blocked():
    mine = "".join(map(str, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    theirs = subprocess.run(["sed", "-n", "s/^SigBlk:.//p", "/proc/self/status"], capture_output=True, text=True).stdout.strip()
    return mine, theirs
def waits():
    stays = os.path.join(dispy_job_path, "said")
    with open(stays, "w") as said: said.write(f"{os.getpid()} {os.getppid()}")
    with open(stays) as go: return go.read()
def makes_orphans():
    heard, said = os.pipe()
    if os.fork() == 0:
        if orphan := os.fork(): os.write(said, b"%d" % orphan)
        os._exit(0)
    os.wait()
    orphan = int(os.read(heard, 20))
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{orphan}"):
        if time.monotonic() > deadline: return "still there"
        time.sleep(0.005)
    return "reaped"
def compute(name, *args): return globals()[name](*args)
"""


class CancelCase(unittest.TestCase):
    """Jobs that are cancelled in their bodies."""

    #: Seconds between the steps of a cancel: where the first one should do, so long that the second cannot be taken for it.
    grace = 10.0
    start_method: str | None = None

    def setUp(self) -> None:
        self.driver = Driver(COMPUTE, grace=self.grace, start_method=self.start_method)
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
        took = time.monotonic() - asked
        self.assertEqual(outcome.status, status, outcome)
        self.assertEqual(opened(self.driver.run("quick").result), "quick")
        return outcome.exception or str(opened(outcome.result)), took


class CancelTests(CancelCase):
    """Jobs that obey, or end by themselves."""

    def test_a_sleeping_job_is_cancelled_at_once(self) -> None:
        """KeyboardInterrupt ends the job: Cancelled, with the traceback."""
        text, took = self._cancelled("sleeps")
        self.assertIn("KeyboardInterrupt", text)
        self.assertLess(took, self.grace)

    def test_what_a_job_returns_after_catching_it_is_its_result(self) -> None:
        """dispy's rule: a job that catches KeyboardInterrupt and returns has Finished."""
        self.assertEqual(self._cancelled("catches", FINISHED)[0], "caught")

    def test_another_exception_after_a_cancel(self) -> None:
        """A cancelled job that does not return is Cancelled, whatever it raised."""
        self.assertIn("ValueError: instead", self._cancelled("raises_another")[0])

    def test_a_cancel_just_before_a_system_call(self) -> None:
        """Python looks for signals between two instructions; here there is none between being interrupted and going to sleep."""
        text, took = self._cancelled("turns_over")
        self.assertIn("KeyboardInterrupt", text)
        self.assertLess(took, self.grace)

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
            if outcome.started is None:
                self.assertEqual((None, "cancelled before it started"), (outcome.exception, outcome.reason))
            else:
                self.assertIn("KeyboardInterrupt", outcome.exception or "")
        self.assertEqual(content(self.driver.run("quick").stderr), b"")

    def test_a_late_cancel_means_nothing(self) -> None:
        """A cancel names its attempt: when that has ended, the job now in its slot is left alone."""
        first = self.driver.begin("quick")
        self.driver.outcome(first)
        second = self.driver.begin("quick")
        self.driver.cancel(first)
        self.driver.cancel(Attempt(bytes(16), 7))
        self.assertEqual(self.driver.outcome(second).status, FINISHED)


class ObstinateTests(CancelCase):
    """Jobs that do not obey at first."""

    #: A moment in which a forker surely comes to pass SIGTERM on, before it is asked for SIGKILL as well.
    grace = 1.0

    def test_a_job_that_ignores_the_interrupt(self) -> None:
        """SIGTERM comes after the grace."""
        text, took = self._cancelled("ignores_interrupts")
        self.assertIn("signal 15 (SIGTERM)", text)
        self.assertGreater(took, self.grace)


class StubbornTests(CancelCase):
    """Jobs that do not obey at all, and jobs that hide processes."""

    grace = 0.3

    def test_a_job_that_ignores_sigterm_too(self) -> None:
        """SIGKILL comes after twice the grace."""
        text, took = self._cancelled("ignores_everything")
        self.assertIn("signal 9 (SIGKILL)", text)
        self.assertGreater(took, 2 * self.grace)

    def test_a_hidden_grandchild_is_gone_with_its_job(self) -> None:
        """A process that left session and group, lost its parent and ignores signals does not survive the job."""
        attempt, hidden = self._begin("hides_grandchild")
        self.assertTrue(is_alive(int(hidden)))
        self.driver.cancel(attempt)
        self.assertEqual(self.driver.outcome(attempt).status, CANCELLED)
        self.assertFalse(is_alive(int(hidden)))


class ForkerTests(unittest.TestCase):
    """The process between a supervisor and its workers."""

    def setUp(self) -> None:
        self.driver = Driver(COMPUTE, width=1)
        os.mkfifo(os.path.join(self.driver.work, "said"))
        self.addCleanup(self.driver.stop)
        self.driver.start().hear_a(Ready)

    def test_one_forker_many_workers(self) -> None:
        """Every job has a process of its own, all with the same parent, which is not the supervisor."""
        assert self.driver.process is not None
        seen = [opened(self.driver.run("whereabouts").result) for _ in range(5)]
        pids, parents, words = zip(*seen)  # type: ignore[arg-type]
        self.assertEqual((5, 1), (len(set(pids)), len(set(parents))))
        self.assertNotIn(self.driver.process.pid, parents)
        self.assertEqual([1] * 5, list(words), "what one job leaves in memory, the next one does not find")

    def test_it_is_killed(self) -> None:
        """By a job, say: the job ends with it, those behind it run."""
        fatal = self.driver.begin("kills_parent")
        after = [self.driver.begin("quick") for _ in range(3)]
        outcome = self.driver.outcome(fatal)
        self.assertEqual((TERMINATED, FINISHED), (outcome.status, self.driver.outcome(after[0]).status))
        self.assertIn("signal 9 (SIGKILL)", outcome.exception or "")
        self.assertEqual([FINISHED] * 2, [self.driver.outcome(attempt).status for attempt in after[1:]])

    def test_a_worker_dies_with_its_forker(self) -> None:
        """Nothing that a forker has begun goes on without it."""
        attempt = self.driver.begin("stays_without_parent")
        worker, forker = map(int, word_from(os.path.join(self.driver.work, "said")).split())
        os.kill(forker, signal.SIGKILL)
        self.assertEqual(TERMINATED, self.driver.outcome(attempt).status)
        self.assertFalse(is_alive(worker))

    def test_signals_of_a_body(self) -> None:
        """Nothing that its forker has blocked is blocked in a job, nor in a program that it runs."""
        self.assertEqual(("", "0000000000000000"), opened(self.driver.run("blocked").result))

    def test_a_signal_that_names_another_attempt(self) -> None:
        """Is not passed on."""
        attempt, words = self._begun("waits")
        _, forker = map(int, words.split())
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            os.kill(forker, signum)
        with open(os.path.join(self.driver.work, "said"), "w") as go:
            go.write("on")
        self.assertEqual("on", opened(self.driver.outcome(attempt).result))

    def _begun(self, name: str) -> tuple[Attempt, str]:
        attempt = self.driver.begin(name)
        return attempt, word_from(os.path.join(self.driver.work, "said"))

    def test_orphans_of_a_running_job(self) -> None:
        """Are reaped while it runs: no zombie waits for its end."""
        self.assertEqual("reaped", opened(self.driver.run("makes_orphans").result))


class UnstartedTests(unittest.TestCase):
    """A fork that fails."""

    def _performed(self, simplest: Callable[[], int] | None) -> Outcome:
        forker = Forker(mock.Mock(), mock.Mock())
        attempt = Attempt(b"j" * 16, 1)
        with mock.patch.object(voice, "tag", b""):
            (ended,) = meaning(self, forker._performing(simplest)(order(tag_of(attempt), Inline(b""))))
        assert isinstance(ended, Ended)
        self.assertEqual((attempt, False), (ended.attempt, forker.spent))
        return ended.outcome

    def test_python_s(self) -> None:
        """Is an outcome."""
        with mock.patch("dispytw.worker.forking.fork", side_effect=BlockingIOError(11, "no more processes")):
            outcome = self._performed(None)
        self.assertEqual((TERMINATED, "its process could not be started"), (outcome.status, outcome.reason))
        self.assertIn("no more processes", outcome.exception or "")
        self.assertIsNone(outcome.started)

    def test_the_c_library_s(self) -> None:
        """Is one too, and says what the C library says."""

        def fork() -> int:
            ctypes.set_errno(errno.ENOMEM)
            return -1

        outcome = self._performed(fork)
        self.assertEqual((TERMINATED, "its process could not be started"), (outcome.status, outcome.reason))
        self.assertIn("Cannot allocate memory", outcome.exception or "")


class OverTests(unittest.TestCase):
    """What a forker says of a worker that is dead."""

    def setUp(self) -> None:
        self.slot = slot_of(self)
        self.inside = served(self, self.slot)
        self.attempt = Attempt(b"j" * 16, 1)
        self.tag = tag_of(self.attempt)
        self.result = stored_path(self.slot.out, self.tag, "result")

    def over(self, status: int, kind: int = words.NONE, word: bytes = b"", program: str | None = None) -> Outcome:
        """The outcome, of a worker that has left this word."""
        forker = Forker(Work(mock.Mock(), program, {}, self.slot.out), self.inside)
        if kind != words.NONE:
            forker._word.leave(kind, word)
        self.slot.theirs.sendall(forker._over(self.tag, 1.0, status))
        self.assertEqual(words.NONE, forker._word.take()[0], "a word is said once")
        (ended,) = self.slot.hear()
        assert isinstance(ended, Ended)
        self.assertEqual((self.attempt, 1.0), (ended.attempt, ended.outcome.started))
        return ended.outcome

    def writes(self, stdout: bytes, stderr: bytes = b"") -> None:
        """What the worker has written."""
        os.write(self.slot.stdout.descriptor, stdout)
        os.write(self.slot.stderr.descriptor, stderr)

    def test_returned(self) -> None:
        """With what it wrote, whichever output that is, and nothing of that for the next job."""
        self.assertEqual(Inline(b"pr"), self.over(0, words.RETURNED, b"pr").result)
        for stdout, stderr in ((b"out", b""), (b"", b"err"), (b"out", b"err"), (b"", b"")):
            self.writes(stdout, stderr)
            outcome = self.over(0, words.RETURNED, b"pr")
            self.assertEqual((FINISHED, Inline(b"pr")), (outcome.status, outcome.result))
            self.assertEqual((Inline(stdout), Inline(stderr)), (outcome.stdout, outcome.stderr))

    def test_long_outputs(self) -> None:
        """Are in files under the attempt's name."""
        self.writes(b"o" * 100_000, b"e" * 100_001)
        outcome = self.over(0, words.RETURNED, b"pr")
        self.assertEqual(Stored(stored_path(self.slot.out, self.tag, "stdout"), 100_000), outcome.stdout)
        self.assertEqual(Stored(stored_path(self.slot.out, self.tag, "stderr"), 100_001), outcome.stderr)
        self.assertEqual(b"e" * 100_001, content(outcome.stderr))

    def test_died(self) -> None:
        """The end of its stderr is quoted, and is its output too; of one that could speak it is not quoted."""
        self.writes(b"out", b"x" * 5000 + b"last words")
        outcome = self.over(signal.SIGSEGV)
        text = f"killed by signal 11 (SIGSEGV)\nits stderr ended with:\n{'x' * (TAIL - 10)}last words"
        self.assertEqual((TERMINATED, text), (outcome.status, outcome.exception))
        self.assertEqual((b"out", 5010), (content(outcome.stdout), outcome.stderr.size))
        self.writes(b"", b"last words")
        outcome = self.over(0, words.RAISED, words.raised("ValueError: x", b"p."))
        self.assertEqual(("ValueError: x", b"p.", b"last words"), (outcome.exception, outcome.error, content(outcome.stderr)))

    def test_a_result_that_was_begun(self) -> None:
        """Is removed where there is none in the end, and kept where there is."""
        for kind, word, left in (
            (words.NONE, b"", False),
            (words.RAISED, words.raised("MemoryError", b""), False),
            (words.STORED, words.stored_size(4), True),
        ):
            with open(self.result, "wb") as file:
                file.write(b"part")
            outcome = self.over(0 if kind else 9, kind, word)
            self.assertEqual((left, left), (os.path.exists(self.result), outcome.result == Stored(self.result, 4)))

    def test_cancelled(self) -> None:
        """If the cancel was meant for it; another attempt of the same job is another."""
        for named, status in ((Attempt(b"j" * 16, 2), TERMINATED), (self.attempt, CANCELLED)):
            self.slot.name(named)
            self.assertEqual(status, self.over(9).status)
            self.assertEqual(status, self.over(0, words.RAISED, words.raised("KeyboardInterrupt", b"")).status)
            self.assertEqual(FINISHED, self.over(0, words.RETURNED, b"pr").status)

    def test_a_program(self) -> None:
        """Has no word, and its exit status is its result; where it could not be begun there is a word."""
        self.writes(b"", b"complains")
        outcome = self.over(3 << 8, program="/bin/program")
        self.assertEqual((FINISHED, Inline(b"m\x03"), b"complains"), (outcome.status, outcome.result, content(outcome.stderr)))
        outcome = self.over(0, words.RAISED, words.raised("PermissionError", b""), program="/bin/program")
        self.assertEqual((TERMINATED, "PermissionError"), (outcome.status, outcome.exception))
        self.slot.name(self.attempt)
        self.assertEqual(CANCELLED, self.over(15, program="/bin/program").status)


class WidthTests(unittest.TestCase):
    """A supervisor that runs two jobs at a time."""

    def setUp(self) -> None:
        self.driver = Driver(COMPUTE, width=2)
        os.mkfifo(os.path.join(self.driver.work, "said"))
        self.addCleanup(self.driver.stop)
        self.driver.start().hear_a(Ready)
        self.running = [self.driver.begin("sleeps"), self.driver.begin("dozes")]
        self.waiting = [self.driver.begin("quick") for _ in range(3)]
        for attempt in self.running:
            self.driver.started(attempt)

    def test_what_waits_runs_in_its_turn(self) -> None:
        """An end makes room for the next ones, in order."""
        word_from(os.path.join(self.driver.work, "said"))
        self.driver.cancel(self.running[0])
        outcomes = [self.driver.outcome(attempt) for attempt in self.waiting]
        starts = [outcome.started for outcome in outcomes]
        self.assertEqual(starts, sorted(starts))  # type: ignore[type-var]
        self.assertEqual(["quick"] * 3, [opened(outcome.result) for outcome in outcomes])

    def test_what_a_job_has_written(self) -> None:
        """Comes with its result, at once and once: the next job of the slot has written nothing."""
        self.driver.cancel(self.running[0])
        for streams in (("stdout",), (), ("stderr",), ("stdout", "stderr"), ()):
            outcome = self.driver.run("prints", *streams)
            self.assertEqual(FINISHED, outcome.status)
            wanted = tuple(name.encode() if name in streams else b"" for name in ("stdout", "stderr"))
            self.assertEqual(wanted, (content(outcome.stdout), content(outcome.stderr)))

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
