"""However a job ends, there is an outcome at once, it says what happened, and the slot serves the next job."""

from __future__ import annotations

import pickle
import time
import unittest

import attrs

from dispytw.values import FINISHED, TERMINATED, Body, Inline, Stored
from dispytw.wire.frames import Ready
from dispytw.worker.ending import packed_death
from tests.worker.driving import Driver, content, opened

COMPUTE = """
import ctypes, os, resource, signal, socket, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
class Odd(Exception):
    def __str__(self): raise ValueError
def fine(): return "fine"
def raises(): raise ValueError("on purpose")
def raises_oddly(): raise Odd
def raises_what_cannot_be_packed(): raise ValueError(threading.Lock())
def chained():
    try: raises()
    except ValueError as error: raise KeyError("second") from error
def exits(): print("last words"); sys.exit(3)
def exits_cleanly(): sys.exit(0)
def leaves(): os._exit(4)
def leaves_quietly(): os._exit(0)
def segfaults(): print("reached", file=sys.stderr); ctypes.string_at(0)
def kills_itself(): os.kill(os.getpid(), signal.SIGKILL)
def kills_its_group(): os.killpg(0, signal.SIGKILL)
def aborts(): os.abort()
def unpicklable(): return lambda: None
def recurses(): return recurses()
def recurses_without_limit():
    sys.setrecursionlimit(10**9)
    return list(map(lambda _: recurses_without_limit(), [0]))
def floods():
    for _ in range(100): os.write(1, b"x" * 1_000_000)
    os.write(2, b"flooded")
def interrupts_itself(): raise KeyboardInterrupt
def closes_everything(): os.closerange(0, 256); return "closed"
def closes_and_reopens():
    os.closerange(3, 256)
    globals()["opened"] = [socket.socketpair() for _ in range(32)]
    return "opened"
def nearly_long(): return b"y" * 49_000
def raises_at_length(): raise ValueError("\U0001f600" * 100_000)
def wrecks_stdout(): sys.stdout.close(); sys.stderr = None; return "wrecked"
def forks_and_returns(): return "child" if os.fork() == 0 else "parent"
def leaves_thread(): threading.Thread(target=time.sleep, args=(600,)).start(); return "left"
def leaves_children():
    for _ in range(3):
        if os.fork() == 0: os.setsid(); time.sleep(600)
    return "left"
def leaves_grandchildren():
    for _ in range(3):
        if os.fork() == 0:
            if os.fork() == 0: os.setsid(); time.sleep(600)
            os._exit(0)
    os._exit(4)
def long(): return b"y" * 100_000
def compute(name): return globals()[name]()
"""


@attrs.frozen
class Death:
    """What a job does, and what its outcome must say."""

    job: str
    says: tuple[str, ...] = ()
    status: int = TERMINATED
    result: object = None
    stderr: bytes | None = None
    within: float = 1.0


DEATHS = [
    Death("fine", status=FINISHED, result="fine"),
    Death("raises", ("Traceback (most recent call last):", "in raises", "ValueError: on purpose")),
    Death("raises_oddly", ("Odd: <",)),
    Death("chained", ("ValueError: on purpose", "direct cause", "KeyError: 'second'")),
    Death("exits", ("SystemExit: 3",)),
    Death("exits_cleanly", ("SystemExit: 0",)),
    Death("leaves", ("exited with status 4 without a result",)),
    Death("leaves_quietly", ("exited with status 0 without a result",)),
    Death("segfaults", ("killed by signal 11 (SIGSEGV)", "reached")),
    Death("kills_itself", ("killed by signal 9 (SIGKILL)", "out of memory")),
    Death("kills_its_group", ("killed by signal 9 (SIGKILL)",)),
    Death("aborts", ("killed by signal 6 (SIGABRT)",)),
    Death("unpicklable", ("PayloadError: the job's result cannot be pickled",)),
    Death("recurses", ("RecursionError",)),
    Death("recurses_without_limit", within=10),  # a segfault, or RecursionError where C recursion is counted
    Death("interrupts_itself", ("KeyboardInterrupt",)),
    Death("closes_everything", status=FINISHED, result="closed"),
    Death("closes_and_reopens", status=FINISHED, result="opened"),
    Death("raises_at_length", ("ValueError", "characters left out")),
    Death("wrecks_stdout", status=FINISHED, result="wrecked"),
    Death("forks_and_returns", status=FINISHED, result="parent", stderr=b""),
    Death("leaves_thread", status=FINISHED, result="left"),
    Death("leaves_children", status=FINISHED, result="left"),
    Death("leaves_grandchildren", ("exited with status 4",)),
    Death("floods", status=FINISHED, stderr=b"flooded"),
    Death("nearly_long", status=FINISHED, result=b"y" * 49_000),
    Death("long", status=FINISHED, result=b"y" * 100_000),
]


class DeathsTests(unittest.TestCase):
    """One supervisor for all deaths, so each also shows that the slot of the one before is free and clean."""

    def setUp(self) -> None:
        self.driver = Driver(COMPUTE).start()
        self.addCleanup(self.driver.stop)
        self.driver.hear_a(Ready)

    def test_every_death_is_an_outcome_at_once(self) -> None:
        """The outcome comes within a second of the death, says how the job died, and the slot then runs a job."""
        for death in DEATHS:
            with self.subTest(death.job):
                self._die(death)
                self.assertEqual(opened(self.driver.run("fine").result), "fine")

    def _die(self, death: Death) -> None:
        outcome = self.driver.run(death.job)
        self.assertLess(time.time() - (outcome.started or 0), death.within)
        self.assertEqual(outcome.status, death.status, outcome)
        self.assertEqual(None if outcome.result is None else opened(outcome.result), death.result)
        for text in death.says:
            self.assertIn(text, outcome.exception or "")
        self.assertEqual(outcome.exception is None, death.status == FINISHED)
        if death.stderr is not None:
            self.assertEqual(content(outcome.stderr), death.stderr)

    def test_frames_of_ours_are_not_in_a_traceback(self) -> None:
        """A traceback does not begin with the performer's lines."""
        self.assertNotIn("performer", self.driver.run("raises").exception or "")

    def test_arguments_that_cannot_be_opened(self) -> None:
        """A payload that is none, and a file that is not there, are outcomes that say so."""
        bodies: list[tuple[Body, str]] = [
            (Inline(b"junk"), "PayloadError"),
            (Stored("/nowhere/args", 5), "FileNotFoundError"),
        ]
        for body, says in bodies:
            with self.subTest(says):
                outcome = self.driver.run(body=body)
                self.assertEqual(outcome.status, TERMINATED)
                self.assertIn(says, outcome.exception or "")

    def test_what_was_raised_comes_along(self) -> None:
        """The exception itself, packed; the status or the signal of what died; nothing where it cannot be packed, or is too large."""
        table = [
            ("raises", b"p" + pickle.dumps(ValueError("on purpose"))),
            ("exits", packed_death("exit", 3)),
            ("leaves", packed_death("exit", 4)),
            ("kills_itself", packed_death("signal", 9)),
            ("raises_at_length", b""),
            ("raises_what_cannot_be_packed", b""),
            ("fine", b""),
        ]
        for name, error in table:
            with self.subTest(name):
                self.assertEqual(error, self.driver.run(name).error)

    def test_output_is_capped(self) -> None:
        """Of 100 MB on stdout the first 8 MiB are kept, with a note that says how much was dropped; the next job has none of it."""
        outcome = self.driver.run("floods")
        kept = content(outcome.stdout)
        self.assertIsInstance(outcome.stdout, Stored)
        self.assertEqual(kept[: 8 << 20], b"x" * (8 << 20))
        self.assertRegex(kept[8 << 20 :], rb"^\n\[at least \d{7,8} bytes of output beyond this point were dropped\]\n$")
        self.assertEqual(content(self.driver.run("fine").stdout), b"")

    def test_many_jobs_at_once_die_each_its_own_death(self) -> None:
        """Deaths at the same moment do not get mixed up."""
        mixed = [death for death in DEATHS if death.within == 1.0 and death.job != "floods"] * 2
        attempts = [self.driver.begin(death.job) for death in mixed]
        for death, attempt in zip(mixed, attempts):
            with self.subTest(death.job):
                outcome = self.driver.outcome(attempt)
                self.assertEqual(outcome.status, death.status)
                for text in death.says:
                    self.assertIn(text, outcome.exception or "")
