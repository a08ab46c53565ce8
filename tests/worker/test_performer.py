"""However a job ends, there is an outcome at once, it says what happened, and the slot serves the next job."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs

from dispytw.values import FINISHED, TERMINATED, Attempt, Body, Inline, Stored
from dispytw.wire.frames import Ready
from dispytw.worker import masks, performer
from dispytw.worker.ending import Raised, Returned, Said, opened_word
from dispytw.worker.forker import PATIENCE
from dispytw.worker.performer import Work, as_word, read_order, worker
from dispytw.worker.raising import packed_death
from dispytw.worker.slots import order
from dispytw.worker.slotwords import stored_path
from dispytw.worker.words import RETURNED, STORED, Word, stored_size
from tests.worker.driving import DEADLINE, Driver, content, opened, tag_of

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
    """What a job does, and what its outcome must say.

    :param within: seconds from its start to its outcome; those after which something is given up, unless the job itself takes long.
    """

    job: str
    says: tuple[str, ...] = ()
    status: int = TERMINATED
    result: object = None
    stderr: bytes | None = None
    within: float = PATIENCE


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
    Death("recurses_without_limit", within=DEADLINE),  # a segfault, or RecursionError where C recursion is counted
    Death("interrupts_itself", ("KeyboardInterrupt",)),
    Death("closes_everything", status=FINISHED, result="closed"),
    Death("closes_and_reopens", status=FINISHED, result="opened"),
    Death("raises_at_length", ("ValueError", "characters left out")),
    Death("wrecks_stdout", status=FINISHED, result="wrecked"),
    Death("forks_and_returns", status=FINISHED, result="parent", stderr=b""),
    Death("leaves_thread", status=FINISHED, result="left"),
    Death("leaves_children", status=FINISHED, result="left"),
    Death("leaves_grandchildren", ("exited with status 4",)),
    Death("floods", status=FINISHED, stderr=b"flooded", within=DEADLINE),
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
        """The outcome comes when the job is dead, and waits for nothing else; it says how the job died, and the slot then runs a job."""
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
        note = re.fullmatch(rb"\n\[at least (\d+) bytes of output beyond this point were dropped\]\n", kept[8 << 20 :])
        assert note is not None, kept[8 << 20 :]
        self.assertLessEqual(int(note[1]), 100_000_000 - (8 << 20))
        self.assertEqual(content(self.driver.run("fine").stdout), b"")

    def test_many_jobs_at_once_die_each_its_own_death(self) -> None:
        """Deaths at the same moment do not get mixed up."""
        mixed = [death for death in DEATHS if death.within == PATIENCE] * 2
        attempts = [self.driver.begin(death.job) for death in mixed]
        for death, attempt in zip(mixed, attempts):
            with self.subTest(death.job):
                outcome = self.driver.outcome(attempt)
                self.assertEqual(outcome.status, death.status)
                for text in death.says:
                    self.assertIn(text, outcome.exception or "")


TAG = tag_of(Attempt(b"j" * 16, 1))


class Performing:
    """A namespace whose computation is this function of the packed arguments."""

    def __init__(self, perform: Callable[[bytes], bytes]) -> None:
        self.perform = perform

    def performing(self) -> Callable[[bytes], bytes]:
        return self.perform

    def restore(self) -> None:
        """Nothing is there for one job only."""

    def pack_error(self, error: BaseException) -> bytes:
        return b"e" + str(error).encode()


class WorkerTests(unittest.TestCase):
    """A worker alone, forked by the test."""

    def setUp(self) -> None:
        self.out = tempfile.mkdtemp(prefix="worker-")
        self.addCleanup(shutil.rmtree, self.out)
        self.result = stored_path(self.out, TAG, "result")

    def child(
        self, perform: Callable[[bytes], bytes], args: Body, before: Callable[[], object] = int, forgetting: tuple[int, ...] = ()
    ) -> tuple[int, Said | None, bytes]:
        """Its exit status, its word, and what it wrote to its stderr.

        :param before: called in the child first.
        """
        word = Word()
        be_worker = worker(Work(Performing(perform), None, {"dispy_job_path": self.out}, self.out), word, forgetting)
        heard, said = os.pipe()
        with mock.patch.object(performer, "end_multiprocessing"):
            pid = os.fork()
            if pid == 0:
                try:
                    os.dup2(said, 2)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    masks.hold((signal.SIGINT,))
                    before()
                    be_worker(order(TAG, args))
                finally:
                    os._exit(99)
        os.close(said)
        with open(heard, "rb") as pipe:
            stderr = pipe.read()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), opened_word(*word.take(), self.result), stderr

    def stored(self, data: bytes) -> Stored:
        path = os.path.join(self.out, "\udcff args")
        with open(path, "wb") as file:
            file.write(data)
        return Stored(path, len(data))

    def test_its_word(self) -> None:
        """What came of its arguments, wherever these are and whatever their format; then it has ended well."""
        for args, data in (
            (Inline(b"pickled"), b"pickled"),
            (Inline(b"x-other"), b"x-other"),
            (Inline(b""), b""),
            (self.stored(b"p" * 100), b"p" * 100),
        ):
            self.assertEqual((0, Returned(Inline(b"got " + data)), b""), self.child(lambda data: b"got " + data, args))

    def test_a_long_result(self) -> None:
        """Is in a file."""
        for form in (b"p", b"x"):
            said = self.child(lambda data: data * 100_000, Inline(form))
            self.assertEqual((0, Returned(Stored(self.result, 100_000)), b""), said)
            with open(self.result, "rb") as file:
                self.assertEqual(form * 100_000, file.read())

    def raises(self, data: bytes) -> bytes:
        """A body that raises."""
        raise ValueError("on purpose")

    def test_raised(self) -> None:
        """The text of it, and the exception packed."""
        for form in (b"p", b"x"):
            status, said, _ = self.child(self.raises, Inline(form))
            assert isinstance(said, Raised)
            self.assertEqual((0, b"eon purpose"), (status, said.error))
            self.assertTrue(said.exception.endswith("ValueError: on purpose\n"))

    def test_no_arguments(self) -> None:
        """A file that is not there is what the job has raised."""
        _, said, _ = self.child(lambda data: data, Stored(os.path.join(self.out, "none"), 5))
        assert isinstance(said, Raised)
        self.assertIn("FileNotFoundError", said.exception)

    def test_a_cancel_that_came_before(self) -> None:
        """Is a KeyboardInterrupt in the body, whatever the arguments; one that comes behind the body waits for ever."""

        def interrupted() -> None:
            os.kill(os.getpid(), signal.SIGINT)

        def body(data: bytes) -> bytes:
            for _ in range(1000):
                pass
            return b"not interrupted"

        for form in (b"p", b"x"):
            status, said, _ = self.child(body, Inline(form), before=interrupted)
            assert isinstance(said, Raised)
            self.assertEqual((0, True), (status, said.exception.endswith("KeyboardInterrupt\n")))
        with mock.patch("sys.stdout", mock.Mock(flush=interrupted)):
            for form in (b"p", b"x"):
                self.assertEqual((0, Returned(Inline(b"not interrupted"))), self.child(body, Inline(form))[:2])

    def test_what_it_is(self) -> None:
        """A process with a session of its own, which has not got what is its forker's alone."""
        heard, said = os.pipe()
        self.addCleanup(os.close, heard)
        self.addCleanup(os.close, said)

        def body(data: bytes) -> bytes:
            os.fstat(heard)
            try:
                os.fstat(said)
            except OSError:
                return b"own" if os.getsid(0) == os.getpid() else b"not its own"
            return b"still there"

        self.assertEqual(Returned(Inline(b"own")), self.child(body, Inline(b"p"), forgetting=(said,))[1])

    def test_without_its_forker(self) -> None:
        """It has no one to tell, and ends before the body."""
        with mock.patch("os.getppid", lambda: 1):
            self.assertEqual((1, None, b""), self.child(lambda data: data, Inline(b"p")))

    def test_a_child_that_comes_back(self) -> None:
        """A process that the body forked has no word, and the worker's own is heard."""

        def body(data: bytes) -> bytes:
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
            return b"child's" if pid == 0 else b"parent's"

        self.assertEqual((0, Returned(Inline(b"parent's"))), self.child(body, Inline(b"p"))[:2])

    def test_mended(self) -> None:
        """What modules of setup() need in every worker is done before the body; a fault there is told, and is no word."""
        done: list[int] = []
        with mock.patch.object(performer, "_mends", [lambda: done.append(1)]):
            self.assertEqual(Returned(Inline(b"1")), self.child(lambda data: b"%d" % len(done), Inline(b"p"))[1])
        with mock.patch.object(performer, "_mends", [lambda: 1 / 0]):
            status, said, stderr = self.child(lambda data: data, Inline(b"p"))
        self.assertEqual((1, None), (status, said))
        self.assertIn(b"ZeroDivisionError", stderr)

    def test_streams_that_are_gone(self) -> None:
        """Closed or replaced by the job: its business."""

        def body(data: bytes) -> bytes:
            import sys

            with open(os.devnull, "w") as closed:
                pass
            streams: list[Any] = [closed, None]
            sys.stdout, sys.stderr = streams
            return data

        self.assertEqual((0, Returned(Inline(b"p")), b""), self.child(body, Inline(b"p")))


class Parts(unittest.TestCase):
    """Orders as they are read, and results as they are said."""

    def test_words(self) -> None:
        """As long as it fits, the result itself."""
        self.assertEqual((RETURNED, b"y" * 48 * 1024), as_word(b"y" * 48 * 1024, "/nowhere", TAG))
        with tempfile.TemporaryDirectory() as out:
            self.assertEqual((STORED, stored_size(48 * 1024 + 1)), as_word(b"y" * (48 * 1024 + 1), out, TAG))
            self.assertEqual([os.path.basename(stored_path(out, TAG, "result"))], os.listdir(out))

    def test_orders(self) -> None:
        """Their arguments, which may look like a path or be empty."""
        for data in (b"", b"s/args", b"i"):
            self.assertEqual(data, read_order(order(TAG, Inline(data))))
        self.assertRaises(FileNotFoundError, read_order, order(TAG, Stored("/nowhere/args", 5)))
