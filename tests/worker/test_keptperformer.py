"""Kept workers, real ones: every death is an outcome, nothing of one job reaches the next, and a late signal means nobody."""

from __future__ import annotations

import os
import pickle
import re
import select
import signal
import time
import unittest
from math import isnan
from unittest import mock

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Inline, Outcome, Stored
from dispytw.wire.frames import Ended, Ready
from dispytw.worker.ending import Raised, opened_word
from dispytw.worker.forker import PATIENCE
from dispytw.worker.keptperformer import KeptWorker
from dispytw.worker.raising import packed_death
from dispytw.worker.slots import order
from dispytw.worker.words import RETURNED
from tests.worker.driving import (
    DEADLINE,
    PRELUDE,
    Driver,
    SupervisorTestCase,
    content,
    is_alive,
    opened,
    served,
    slot_of,
    tag_of,
    word_from,
)

EVERY_PYTHON = False

SOURCE = """
import ctypes, functools, operator, signal, subprocess, threading
seen = []
def say(word):
    with open(os.path.join(dispy_job_path, "said"), "a") as said: said.write(f"{word}\\n")
def pid(): return os.getpid()
def remembers(word): seen.append(word); return list(seen)
def prints(text): print(text); os.write(2, text.encode() + b"!"); return text
def much(): os.write(1, b"x" * (9 << 20)); return "much"
def much_for_long():
    os.write(1, b"x" * (9 << 20))
    deadline = time.monotonic() + 10
    while os.fstat(1).st_size > 8 << 20 and time.monotonic() < deadline: time.sleep(0.01)
    return os.fstat(1).st_size
def large(): return "r" * 100_000
def raises(): raise ValueError("no")
def recurses(): return recurses()
def sys_exit(): sys.exit(3)
def exits(): os._exit(7)
def segfaults(): ctypes.string_at(0)
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def unpicklable(): return lambda: 0
def sleeps(): say("ready"); time.sleep(600)
def turns_over():
    say("ready")
    sleeps = [functools.partial(ctypes.CDLL(None).sleep, 600), functools.partial(time.sleep, 600)]
    list(map(operator.methodcaller("__call__"), sleeps))
def waits():
    say("ready")
    with open(os.path.join(dispy_job_path, "go")) as go: return go.read()
def catches():
    try: sleeps()
    except KeyboardInterrupt: return os.getpid()
def ignores():
    for signum in (signal.SIGINT, signal.SIGTERM): signal.signal(signum, signal.SIG_IGN)
    sleeps()
def terminated():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sleeps()
def changes():
    os.chdir("/"); signal.signal(signal.SIGINT, signal.SIG_IGN); os.close(1)
    return os.getcwd()
def where(): print("heard"); return os.getcwd(), signal.getsignal(signal.SIGINT) != signal.SIG_IGN
def leaves_child():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return child.pid
def leaves_orphan():
    heard, said = os.pipe()
    if os.fork() == 0:
        os.setsid()
        orphan = os.fork()
        if orphan: os.write(said, b"%d" % orphan); os._exit(0)
        time.sleep(600)
    os.wait()
    return int(os.read(heard, 20))
def forks_and_returns():
    if os.fork() == 0: return "child"
    return "parent"
def closes_everything(): os.closerange(3, 256); return "closed"
"""


class Alone(unittest.TestCase):
    """A kept worker's own part, in this process."""

    def test_named_before_the_body(self) -> None:
        """A cancel that came between the taking of a job and its body is not lost: the body does not begin."""
        slot = slot_of(self)
        namespace = mock.Mock(perform=lambda payload: b"done" + payload, pack_error=lambda error: b"")
        worker = KeptWorker(namespace, served(self, slot), cwd=slot.out, out=slot.out)
        named, other = (Attempt(b"j" * 16, number) for number in (1, 2))
        slot.name(named)
        began, kind, word = worker._tried(order(tag_of(named), Inline(b"x")), tag_of(named))
        said = opened_word(kind, word, "")
        assert isinstance(said, Raised)
        self.assertIn("KeyboardInterrupt", said.exception)
        self.assertFalse(isnan(began), "it had begun when it was cancelled")
        self.assertEqual((RETURNED, b"donex"), worker._tried(order(tag_of(other), Inline(b"x")), tag_of(other))[1:])


class KeptWorkerTests(SupervisorTestCase):
    """One supervisor of two kept workers, or of one."""

    def driver_of(self, width: int = 1, most_jobs: int | None = None, grace: float = 10.0) -> Driver:
        """Ready; unless told otherwise, with a grace in which every job hears the first step of a cancel before there is a second."""
        driver = Driver(PRELUDE + SOURCE, width=width, isolation="worker", max_jobs_per_worker=most_jobs, grace=grace)
        self.addCleanup(driver.stop)
        for name in ("said", "go"):
            os.mkfifo(os.path.join(driver.work, name))
        driver.start().hear_a(Ready)
        return driver

    def returned(self, outcome: Outcome) -> object:
        """What a job returned that has Finished."""
        self.assertEqual((FINISHED, None), (outcome.status, outcome.exception))
        return opened(outcome.result)

    def begun(self, driver: Driver, name: str) -> Attempt:
        """A job that is in its body."""
        attempt = driver.begin(name)
        self.assertEqual("ready", word_from(os.path.join(driver.work, "said")))
        return attempt

    def test_job_after_job(self) -> None:
        """One process runs them all; what one leaves in memory the next one finds."""
        driver = self.driver_of()
        self.assertEqual(self.returned(driver.run("pid")), self.returned(driver.run("pid")))
        self.returned(driver.run("remembers", "a"))
        self.assertEqual(["a", "b"], self.returned(driver.run("remembers", "b")))

    def test_what_was_raised_comes_along(self) -> None:
        """The exception itself, packed, or the status of what has left; the worker that raised runs on."""
        driver = self.driver_of()
        self.assertEqual(b"p" + pickle.dumps(ValueError("no")), driver.run("raises").error)
        self.assertEqual(packed_death("exit", 3), driver.run("sys_exit").error)
        self.assertEqual(packed_death("exit", 7), driver.run("exits").error)

    def test_max_jobs_per_worker(self) -> None:
        """A worker that has run so many is replaced; the queue behind it goes to the next."""
        driver = self.driver_of(most_jobs=3)
        attempts = [driver.begin("pid") for _ in range(9)]
        pids = [self.returned(driver.outcome(attempt)) for attempt in attempts]
        self.assertEqual([3, 3, 3], [pids.count(pid) for pid in dict.fromkeys(pids)])

    def test_output_of_each_job(self) -> None:
        """What each job wrote, and nothing of its neighbours', however fast they follow each other."""
        driver = self.driver_of()
        attempts = {driver.begin("prints", f"text {number}"): f"text {number}" for number in range(50)}
        for attempt, text in attempts.items():
            outcome = driver.outcome(attempt)
            self.assertEqual((f"{text}\n".encode(), f"{text}!".encode()), (content(outcome.stdout), content(outcome.stderr)))

    def test_much_output(self) -> None:
        """Above the cap it is cut, with a note; a large result comes in a file; the next job has neither."""
        driver = self.driver_of()
        outcome = driver.run("much")
        self.assertRegex(content(outcome.stdout), rb"(?s)\Ax{8388608}\n\[at least \d+ bytes .*dropped\]\n\Z")
        self.assertEqual("r" * 100_000, self.returned(driver.run("large")))
        outcome = driver.run("much_for_long")
        self.assertEqual(8 << 20, self.returned(outcome))
        note = re.fullmatch(rb"(?s)x{8388608}\n\[at least (\d+) bytes .*dropped\]\n", content(outcome.stdout))
        assert note is not None
        self.assertTrue(0 < int(note[1]) <= 1 << 20, note[1])  # less when its supervisor came while it was written
        self.assertEqual(b"", content(driver.run("pid").stdout))

    def test_every_death(self) -> None:
        """An outcome at once, and the next job runs."""
        for name, text in {
            "raises": "ValueError: no",
            "recurses": "RecursionError",
            "sys_exit": "SystemExit: 3",
            "exits": "exited with status 7 without a result",
            "segfaults": "signal 11 (SIGSEGV)",
            "killed": "signal 9 (SIGKILL)",
            "unpicklable": "cannot be",
        }.items():
            with self.subTest(name):
                driver = self.driver_of()
                begun = time.monotonic()
                outcome = driver.run(name)
                self.assertLess(time.monotonic() - begun, PATIENCE, "nothing was waited for in vain")
                self.assertEqual((TERMINATED, None), (outcome.status, outcome.result))
                self.assertIn(text, outcome.exception or "")
                self.returned(driver.run("pid"))

    def test_arguments_that_cannot_be_opened(self) -> None:
        """Is an outcome too."""
        driver = self.driver_of()
        self.assertEqual(TERMINATED, driver.run(body=Inline(b"nonsense")).status)
        outcome = driver.run(body=Stored(driver.path("nowhere"), 5))
        self.assertEqual((TERMINATED, None), (outcome.status, outcome.started))
        self.returned(driver.run("pid"))

    def test_a_death_in_a_batch(self) -> None:
        """A worker that dies among a hundred short jobs costs the one that it died of; the others run, once each, and another takes its place."""
        driver = self.driver_of(width=2)
        attempts = {driver.begin("killed" if number == 50 else "pid"): number for number in range(100)}
        ends = {number: driver.outcome(attempt) for attempt, number in attempts.items()}
        self.assertEqual([50], [number for number, outcome in ends.items() if outcome.status != FINISHED])
        for running in [driver.begin("sleeps"), driver.begin("sleeps")]:
            driver.started(running)

    def cancelled(self, name: str, grace: float) -> tuple[Outcome, float]:
        """A job that is cancelled in its body, and how long that took; the next one runs."""
        driver = self.driver_of(grace=grace)
        attempt = self.begun(driver, name)
        begun = time.monotonic()
        driver.cancel(attempt)
        outcome = driver.outcome(attempt)
        took = time.monotonic() - begun
        self.returned(driver.run("pid"))
        return outcome, took

    def test_cancelled(self) -> None:
        """KeyboardInterrupt first, also just before a system call that does not end by itself, then SIGTERM, then SIGKILL."""
        steps = [("sleeps", "KeyboardInterrupt", 10.0, 0), ("turns_over", "KeyboardInterrupt", 10.0, 0)]
        steps += [("terminated", "SIGTERM", 1.0, 1), ("ignores", "SIGKILL", 0.3, 2)]
        for name, text, grace, number in steps:
            with self.subTest(name):
                outcome, took = self.cancelled(name, grace)
                self.assertEqual((CANCELLED, "cancelled while it ran"), (outcome.status, outcome.reason))
                self.assertIn(text, outcome.exception or "")
                self.assertGreaterEqual(took, number * grace)

    def test_cancelled_and_finished(self) -> None:
        """A job that catches the KeyboardInterrupt and returns has Finished, and its worker is kept."""
        driver = self.driver_of()
        attempt = self.begun(driver, "catches")
        driver.cancel(attempt)
        self.assertEqual(self.returned(driver.outcome(attempt)), self.returned(driver.run("pid")))

    def test_cancelled_in_the_queue(self) -> None:
        """A job behind another one ends at once; the one that runs does not notice."""
        driver = self.driver_of()
        running = self.begun(driver, "waits")
        waiting = driver.begin("pid")
        driver.cancel(waiting)
        outcome = driver.outcome(waiting)
        self.assertEqual((CANCELLED, None, "cancelled before it started"), (outcome.status, outcome.started, outcome.reason))
        self.go(driver)
        self.assertEqual("on", self.returned(driver.outcome(running)))

    def go(self, driver: Driver) -> None:
        """Let a job that waits go on."""
        with open(os.path.join(driver.work, "go"), "w") as go:
            go.write("on")

    def test_a_late_signal_hits_nobody(self) -> None:
        """SIGINT and SIGTERM that were meant for a job which is over do nothing to the next one in the same worker."""
        driver = self.driver_of()
        first = self.begun(driver, "catches")
        driver.cancel(first)
        pid = self.returned(driver.outcome(first))
        assert isinstance(pid, int)
        second = self.begun(driver, "waits")
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        self.go(driver)
        self.assertEqual("on", self.returned(driver.outcome(second)))
        self.assertEqual(pid, self.returned(driver.run("pid")))

    def test_what_a_job_changes(self) -> None:
        """Directory, signal handlers and descriptors are as they should be for the next job."""
        driver = self.driver_of()
        self.returned(driver.run("changes"))
        outcome = driver.run("where")
        self.assertEqual((os.path.realpath(driver.work), True), self.returned(outcome))
        self.assertEqual(b"heard\n", content(outcome.stdout))

    def test_what_a_job_leaves_running(self) -> None:
        """Children are gone when the job's outcome comes, also one that left session and parent."""
        driver = self.driver_of()
        for name in ("leaves_child", "leaves_orphan"):
            with self.subTest(name):
                child = self.returned(driver.run(name))
                assert isinstance(child, int)
                self.assertFalse(is_alive(child))
        self.returned(driver.run("pid"))

    def test_a_child_that_comes_back(self) -> None:
        """A process forked in the body that returns from it says nothing; the job's own result arrives, once."""
        driver = self.driver_of()
        self.assertEqual("parent", self.returned(driver.run("forks_and_returns")))
        self.returned(driver.run("pid"))
        self.assertEqual([], [frame for frame in driver.frames if isinstance(frame, Ended)])

    def test_a_job_that_closes_everything(self) -> None:
        """Cannot say how it went; the next one runs."""
        driver = self.driver_of()
        outcome = driver.run("closes_everything")
        self.assertEqual(TERMINATED, outcome.status)
        self.returned(driver.run("pid"))

    def test_a_supervisor_that_is_left_alone(self) -> None:
        """Takes its workers with it."""
        driver = self.driver_of()
        pid = self.returned(driver.run("pid"))
        self.begun(driver, "sleeps")
        watched = os.pidfd_open(pid)  # type: ignore[arg-type]
        self.addCleanup(os.close, watched)
        driver.socket.close()
        self.assertTrue(select.select([watched], [], [], DEADLINE)[0])
