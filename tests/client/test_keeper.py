"""The end of a program waits for its jobs, and Ctrl-C ends that wait. Each story is a process of its own, with a stand-in for the engine."""

from __future__ import annotations

import signal
import sys
import unittest

from dispytw.client import keeper
from dispytw.client.keeper import INSISTING, LEAVING
from tests.functional.daemons import Completed, Daemons

EVERY_PYTHON = True

PRELUDE = """
import os, signal, sys, threading
from dispytw.client import keeper as module
from dispytw.client.keeper import Keeper

module.INSISTING = 60.0  # a machine that stands still for a while keeps nobody from saying what is asked here
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores Ctrl-C

def say(*words):
    print(*words, flush=True)

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def interrupt_until(heard):
    interrupt()
    heard.wait()

class Kept:
    jobs = 3

    def unfinished(self):
        return self.jobs

    def drain(self, given_up, seconds=None):
        say("drain", seconds)
        self.drained(given_up)

    def drained(self, given_up):
        threading.main_thread().join()
        self.jobs = 0

    def leave(self):
        say("leave")
        return "those sent go on"

    def shut(self):
        say("shut")

kept = Kept()
"""

MAIN = """
keeper = Keeper(kept)
say("main")
"""


class KeeperTestCase(unittest.TestCase):
    """Runs programs."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def run_program(self, source: str) -> Completed:
        """A program that has a stand-in ``kept``."""
        return self.daemons.program(PRELUDE + source)

    def ends(self, source: str, code: int, *lines: str, err: str = "") -> None:
        """The program ends with this status, having said this."""
        done = self.run_program(source)
        self.assertEqual((code, list(lines), err), (done.code, done.out.splitlines(), done.err), done)


class Waiting(KeeperTestCase):
    """What happens when the main thread has ended."""

    def test_waits_for_jobs(self) -> None:
        """The process does not end before jobs and callbacks have; then clusters are closed."""
        self.ends(MAIN, 0, "main", "drain None", "shut")

    def test_without_jobs(self) -> None:
        """Callbacks of jobs that have ended are waited for too."""
        self.ends("kept.jobs = 0" + MAIN, 0, "main", "drain None", "shut")

    def test_exit_status(self) -> None:
        """The wait changes no exit status, and no traceback is lost."""
        self.ends(MAIN + "sys.exit(3)", 3, "main", "drain None", "shut")
        done = self.run_program(MAIN + "raise ValueError('no')")
        self.assertEqual((1, "main\ndrain None\nshut\n"), (done.code, done.out))
        self.assertTrue(done.err.endswith("ValueError: no\n"), done)

    def test_threads_of_the_program(self) -> None:
        """A thread that is no daemon may submit after the main thread has ended: it is waited for first."""
        source = """
            def submits():
                threading.main_thread().join()
                say("submits")
            threading.Thread(target=submits).start()
        """
        self.ends(MAIN + _dedented(source), 0, "main", "submits", "drain None", "shut")

    def test_daemon_threads(self) -> None:
        """A daemon thread holds up nobody."""
        self.ends(MAIN + "threading.Thread(target=signal.pause, daemon=True).start()", 0, "main", "drain None", "shut")

    def test_made_in_another_thread(self) -> None:
        """The first cluster may be made in any thread; the end of the program is the main thread's."""
        source = """
            other = threading.Thread(target=Keeper, args=(kept,))
            other.start()
            other.join()
            say("main", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """
        self.ends(_dedented(source), 0, "main True", "drain None", "shut")


class Interrupting(KeeperTestCase):
    """Ctrl-C."""

    def test_in_the_program(self) -> None:
        """While the program's own code runs it is KeyboardInterrupt, as always; caught, it changes nothing."""
        source = """
            try:
                interrupt()
                signal.pause()
            except KeyboardInterrupt:
                say("caught")
        """
        self.ends(MAIN + _dedented(source), 0, "main", "caught", "drain None", "shut")

    def test_not_caught(self) -> None:
        """A program that ends by it still waits for its jobs, and says how to leave."""
        done = self.run_program(MAIN + "interrupt()\nsignal.pause()")
        self.assertEqual((-signal.SIGINT, "main\ndrain None\nshut\n"), (done.code, done.out))
        self.assertTrue(done.err.endswith("KeyboardInterrupt\ndispytw: 3 jobs unfinished, Ctrl-C again to leave\n"), done)

    def test_not_caught_without_jobs(self) -> None:
        """Where no job is left there is nothing to say."""
        done = self.run_program("kept.jobs = 0" + MAIN + "interrupt()\nsignal.pause()")
        self.assertTrue(done.err.endswith("KeyboardInterrupt\n"), done)

    def test_while_it_waits(self) -> None:
        """It ends the wait: jobs are left, one line says what became of them, the status is 130, no output is lost."""
        source = """
            def drained(given_up):
                if not told:
                    told.append(1)
                    interrupt_until(given_up)
            def shut():
                sys.stdout.write("not flushed\\n")
            told = []
            kept.drained, kept.shut = drained, shut
            keeper = Keeper(kept)
        """
        line = "dispytw: left with 3 jobs unfinished: those not sent are Cancelled ('never sent'), those sent go on\n"
        done = self.run_program(_dedented(source))
        self.assertEqual((130, line), (done.code, done.err), done)
        self.assertEqual(["drain None", "leave", f"drain {LEAVING}", "not flushed"], done.out.splitlines())

    def test_while_it_waits_for_a_thread(self) -> None:
        """It ends that wait, too."""
        source = """
            def waits():
                threading.main_thread().join()
                interrupt_until(keeper._interrupted)
                threading.Event().wait()
            threading.Thread(target=waits).start()
        """
        done = self.run_program("kept.drained = lambda given_up: None" + MAIN + _dedented(source))
        self.assertEqual((130, ["main", "drain None", "leave", f"drain {LEAVING}", "shut"]), (done.code, done.out.splitlines()), done)

    def test_whatever_holds_it_up(self) -> None:
        """Within two seconds it is over, even if leaving itself hangs."""
        self.assertTrue(LEAVING < INSISTING < 2)
        source = """
            def drained(given_up):
                interrupt_until(given_up)
            def sleeps(seconds):
                say("sleeps", seconds)
                sleep(seconds)
            sleep, time.sleep = time.sleep, sleeps
            kept.drained = drained
            kept.leave = lambda: threading.Event().wait()
        """
        self.ends(f"import time\nmodule.INSISTING = {INSISTING}\n" + _dedented(source) + MAIN, 130, "main", "drain None", f"sleeps {INSISTING}")

    def test_a_handler_of_the_programs(self) -> None:
        """A program that has a handler for Ctrl-C, or ignores it, keeps it."""
        for handler in ("lambda number, frame: None", "signal.SIG_IGN"):
            source = f"handler = {handler}\nsignal.signal(signal.SIGINT, handler){MAIN}say(signal.getsignal(signal.SIGINT) is handler)"
            done = self.run_program(source)
            self.assertEqual((0, "main\nTrue\ndrain None\nshut\n"), (done.code, done.out.replace("== ", "")), done)


class Uninterrupted(KeeperTestCase):
    """Steps that Ctrl-C must not break in two."""

    def test_afterwards(self) -> None:
        """KeyboardInterrupt comes when the step is done, once; a later one comes at once."""
        source = """
            try:
                with keeper.uninterrupted():
                    interrupt()
                    say("done")
                say("not reached")
            except KeyboardInterrupt:
                say("interrupted")
            with keeper.uninterrupted():
                say("again")
            try:
                interrupt()
                say("not reached")
            except KeyboardInterrupt:
                say("interrupted")
        """
        said = ("main", "done", "interrupted", "again", "interrupted", "drain None", "shut")
        self.ends(MAIN + _dedented(source), 0, *said)

    def test_in_another_thread(self) -> None:
        """Steps of other threads do not keep Ctrl-C from the main thread."""
        source = """
            def steps():
                with keeper.uninterrupted():
                    inside.set()
                    go_on.wait()
            inside, go_on = threading.Event(), threading.Event()
            other = threading.Thread(target=steps)
            other.start()
            inside.wait()
            try:
                interrupt()
                signal.pause()
            except KeyboardInterrupt:
                say("interrupted")
            go_on.set()
            other.join()
        """
        self.ends(MAIN + _dedented(source), 0, "main", "interrupted", "drain None", "shut")


def _dedented(source: str) -> str:
    """Source as it stands in a test, without its margin."""
    return "\n".join(line[12:] for line in source.splitlines()) + "\n"


class Shutdown(unittest.TestCase):
    """The moment between the end of main and Python's wait for other threads."""

    def test_where_main_is(self) -> None:
        """It is told by the code that the main thread runs, however deep below."""

        def ends() -> bool:
            return keeper._ends(sys._getframe())

        self.assertFalse(ends())
        self.assertFalse(keeper._ends(None))
        self.addCleanup(setattr, keeper, "_SHUTDOWN", keeper._SHUTDOWN)
        self.assertIsNotNone(keeper._SHUTDOWN)
        keeper._SHUTDOWN = sys._getframe().f_code
        self.assertTrue(ends())
