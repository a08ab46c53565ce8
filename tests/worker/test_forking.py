"""Forks that mend only what needs it: jobs find what they would find after any other fork."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import subprocess
import sys
import threading
import unittest
from typing import Any
from unittest import mock

from dispytw.wire.frames import Ready
from dispytw.worker import forking
from tests.worker.driving import Driver, SupervisorTestCase, content, opened

EVERY_PYTHON = True

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SOURCE = """
import logging, random, threading
calls = []
def setup():
    os.register_at_fork(before=lambda: calls.append("before"), after_in_parent=lambda: calls.append("parent"))
    os.register_at_fork(after_in_child=lambda: calls.append("child"), after_in_parent=lambda: calls.append("parent again"))
    if os.path.exists(os.path.join(dispy_job_path, "threaded")):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return 0
def look():
    logging.getLogger().handlers  # the module is there
    return calls, random.random(), is_bare()
def is_simplest(): return sys.modules["dispytw.worker.forking"].simplest() is not None
def is_bare(): return sys.modules["dispytw.worker.forking"]._bare
def forks():
    heard, said = os.pipe()
    if os.fork() == 0: os.write(said, ",".join(calls).encode()); os._exit(0)
    return os.read(heard, 1000).decode()
def threads():
    done = []
    thread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()
    with threading.Lock(), logging._lock: return done
"""


class ForkTests(SupervisorTestCase):
    """What jobs see."""

    def look(self, driver: Driver) -> tuple[list[str], float, bool]:
        """What a job sees of its fork."""
        seen = opened(driver.run("look").result)
        assert isinstance(seen, tuple)
        return seen

    def test_what_was_registered_is_called(self) -> None:
        """Hooks of os.register_at_fork are called in every job, in Python's order; each job has its own random numbers.

        There are three forks on the way to a job, two to its forker and its own.
        """
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        seen = [self.look(driver) for _ in range(3)]
        self.assertEqual(["before", "child"] * 3, seen[0][0])
        self.assertEqual([*["before", "child"] * 2, "before", "parent", "parent again", "before", "child"], seen[1][0])
        self.assertEqual(3, len({number for _, number, *_ in seen}))
        self.assertEqual({True}, {bare for *_, bare in seen})

    def test_hooks_that_are_not_needed(self) -> None:
        """What only repairs locks, and modules of Python's own register, costs a job nothing; its random numbers are its own all the same."""
        driver = self.supervisor(
            "import logging, random, threading\nforking = sys.modules['dispytw.worker.forking']\n"
            "def look(): return forking.simplest() is not None, random.random()"
        )
        driver.hear_a(Ready)
        seen = [opened(driver.run("look").result) for _ in range(3)]
        self.assertEqual({True}, {simple for simple, _ in seen})  # type: ignore[misc]
        self.assertEqual(3, len({number for _, number in seen}))  # type: ignore[misc]

    def test_a_hook_that_raises(self) -> None:
        """Is quoted in the job's stderr, and prevents nothing; no more than with Python's own fork."""
        source = SOURCE.replace("    return 0\n", "    os.register_at_fork(after_in_child=lambda: 1 / 0, before=lambda: 1 / 0)\n    return 0\n", 1)
        driver = self.supervisor(source)
        driver.hear_a(Ready)
        outcome = driver.run("is_bare")
        self.assertIs(True, opened(outcome.result))
        self.assertEqual(2, content(outcome.stderr).count(b"ZeroDivisionError"))

    def test_with_threads(self) -> None:
        """A setup() that started a thread gets Python's own fork, and its hooks are called once, too."""
        driver = Driver("import os, sys, time\ndef compute(name, *args): return globals()[name](*args)\n" + SOURCE)
        self.addCleanup(driver.stop)
        open(os.path.join(driver.work, "threaded"), "w").close()
        driver.start().hear_a(Ready)
        calls, _, bare = self.look(driver)
        self.assertEqual((["before", "child"] * 3, False), (calls, bare))

    def test_what_a_job_does(self) -> None:
        """A job may fork, with all hooks, and have threads and locks."""
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        self.assertEqual(",".join(["before,child"] * 4), opened(driver.run("forks").result))
        self.assertEqual([1], opened(driver.run("threads").result))


class SimplestTests(SupervisorTestCase):
    """The C library's fork with nothing around it, which most jobs get."""

    def test_where_nothing_else_is_to_be_done(self) -> None:
        """Nobody has registered anything that is needed, and no thread runs."""
        driver = self.supervisor("def is_simplest(): return sys.modules['dispytw.worker.forking'].simplest() is not None")
        driver.hear_a(Ready)
        self.assertIs(True, opened(driver.run("is_simplest").result))

    def test_where_something_is(self) -> None:
        """Hooks need a call."""
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        self.assertIs(False, opened(driver.run("is_simplest").result))

    def test_nothing_of_ours_stands_against_it(self) -> None:
        """Random numbers need a seed in each job: none of our modules brings them where jobs are forked."""
        code = "import sys, dispytw.worker.__main__; sys.exit('random' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)

    def test_what_stands_against_it(self) -> None:
        """A second thread, a hook: each for itself."""
        free: dict[str, Any] = {"_bare": True, "_registered": []}
        with mock.patch.multiple(forking, **free):
            self.assertIs(forking._fork, forking.simplest())
        for name, value in {"_bare": False, "_registered": [{}], "_fork": None}.items():
            with self.subTest(name), mock.patch.multiple(forking, **{**free, name: value}):
                self.assertIsNone(forking.simplest())


@unittest.skipUnless(sys.platform == "linux", "processors are chosen on Linux only")
class StayingTests(SupervisorTestCase):
    """A worker begins where its forker is."""

    def test_what_is_asked_for(self) -> None:
        """The parent stays where it is while it forks, and both may go everywhere afterwards, also when there is no child."""
        asked: list[object] = []
        libc = mock.Mock(
            sched_getcpu=lambda: 2, sched_setaffinity=lambda pid, size, mask: asked.append((pid, size, int.from_bytes(mask.raw, sys.byteorder)))
        )

        def fork() -> int:
            asked.append("fork")
            return -1

        with mock.patch.object(forking, "_libc", libc), mock.patch("os.sched_getaffinity", return_value={0, 2, 65}):
            self.assertEqual(-1, forking.staying(fork)())
        everywhere = 1 | 1 << 2 | 1 << 65
        self.assertEqual([(0, 16, 1 << 2), "fork", (0, 16, everywhere)], asked)

    def test_where_there_is_no_choice(self) -> None:
        """Nothing is asked for."""
        with mock.patch("os.sched_getaffinity", return_value={3}):
            self.assertIs(os.fork, forking.staying(os.fork))
        with mock.patch.object(forking, "_libc", None):
            self.assertIs(os.fork, forking.staying(os.fork))

    def test_where_a_job_may_run(self) -> None:
        """Wherever the node may; and so may its forker, when it is over."""
        driver = self.supervisor("def look(): return os.sched_getaffinity(0), os.getppid()")
        driver.hear_a(Ready)
        for _ in range(2):
            job, forker = opened(driver.run("look").result)  # type: ignore[misc]
            self.assertEqual(os.sched_getaffinity(0), job)
            self.assertEqual(os.sched_getaffinity(0), os.sched_getaffinity(forker))


class Alone(unittest.TestCase):
    """In this process."""

    def test_why_there_is_no_process(self) -> None:
        """Is what the C library has said last."""
        ctypes.set_errno(errno.ENOMEM)
        failure = forking.failure()
        self.assertEqual((errno.ENOMEM, "Cannot allocate memory"), (failure.errno, failure.strerror))

    def test_leaving(self) -> None:
        """Ends a process at once with its status, by the C library or without it."""
        for leave in (forking.leave, os._exit):
            with mock.patch.object(forking, "leave", leave):
                child = os.fork()
                if child == 0:
                    try:
                        forking.leave(7)
                    finally:
                        os._exit(1)  # what comes behind it is not reached
                self.assertEqual(7, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_tidying(self) -> None:
        """Does nothing where the C library has no such function."""
        forking.tidy()
        for libc in (None, object()):
            with mock.patch.object(forking, "_libc", libc):
                forking.tidy()

    def test_not_where_threads_run(self) -> None:
        """A process with a second thread is not taken for one with a single one."""
        self.addCleanup(setattr, forking, "_bare", False)
        self.addCleanup(forking._repairs.clear)
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        thread.start()
        try:
            forking.look_at_threads()
        finally:
            ended.set()
            thread.join()
        self.assertFalse(forking._bare)

    def test_no_more_processes(self) -> None:
        """Is an OSError, as with os.fork."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
                os.setuid(65534) if os.getuid() == 0 else None  # root has no such limit
                forking.look_at_threads()
                forking._bare = True
                forking._repairs.clear()
                fork = forking.simplest()
                if fork is None or fork() != -1 or forking.failure().errno != errno.EAGAIN:
                    os._exit(2)
                forking.fork(lambda: os._exit(0))
            except BlockingIOError:
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
