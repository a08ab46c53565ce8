"""The thread boundary: how threads speak to the reactor, and how no wait lasts for ever."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.bridge import Bridge
from dispytw.errors import ClusterClosedError, ForkedError, ReactorThreadError
from tests.client.watching import PATIENCE

EVERY_PYTHON = True

ROOT = Path(__file__).parents[2]


class Turns:
    """A reactor that does nothing but run calls from threads, and counts how often it was woken.

    :ivar threads: what its pool was told: least and most threads.
    """

    def __init__(self) -> None:
        self.running = False
        self.woken = 0
        self.threads: tuple[int, int] | None = None
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._triggers: list[Callable[[], Any]] = []

    def run(self, installSignalHandlers: bool) -> None:
        assert not installSignalHandlers, "only the main thread may take signals"
        self.running = True
        while self.running:
            self._calls.get()()
        for trigger in self._triggers:
            trigger()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        self.woken += 1
        self._calls.put(lambda: call(*args))

    def callWhenRunning(self, call: Callable[[], Any]) -> None:
        self._calls.put(call)

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], Any]) -> None:
        assert (phase, event) == ("after", "shutdown")
        self._triggers.append(call)

    def stop(self) -> None:
        self.running = False

    def getThreadPool(self) -> Any:
        return self

    def adjustPoolsize(self, minthreads: int, maxthreads: int) -> None:
        self.threads = (minthreads, maxthreads)

    def close(self) -> None:
        """Nothing is open."""


class Select(SelectReactor):
    """A real reactor of our own; whoever is installed stays installed."""

    def close(self) -> None:
        """Let go of the descriptors that wake it."""
        for reader in list(self._internalReaders):
            reader.connectionLost(None)
        self._internalReaders.clear()


class Contract:
    """What holds over a stand-in and over a real reactor alike."""

    Reactor: Callable[[], Any]

    def setUp(self) -> None:
        patch = mock.patch.object(threadable, "ioThread", threadable.ioThread)  # a running reactor says that it is the one
        patch.start()
        self.addCleanup(patch.stop)  # type: ignore[attr-defined]
        self.reactor = type(self).Reactor()
        self.bridge = Bridge(self.reactor)
        self.bridge.start()
        self.addCleanup(self._end)  # type: ignore[attr-defined]

    def _end(self) -> None:
        self.bridge.stop()
        self.bridge._thread.join(PATIENCE)  # stop() itself waits for less
        self.assertFalse(self.bridge._thread.is_alive())  # type: ignore[attr-defined]
        self.reactor.close()

    def test_wait_returns(self: Any) -> None:
        """What the function returns comes back, with its arguments given, from the reactor's thread."""
        self.assertEqual((1, 2), self.bridge.wait(lambda *args: args, 1, 2))
        self.assertIs(self.bridge._thread, self.bridge.wait(threading.current_thread))

    def test_wait_for_a_deferred(self: Any) -> None:
        """A Deferred is waited for."""
        fired: Deferred[str] = Deferred()

        def begin() -> Deferred[str]:
            self.reactor.callFromThread(fired.callback, "at last")
            return fired

        self.assertEqual("at last", self.bridge.wait(begin))

    def test_wait_raises(self: Any) -> None:
        """An exception comes back as it is, whether it was raised or a Deferred failed with it."""
        error = ZeroDivisionError("by zero")

        def wrong() -> None:
            raise error

        failing: Deferred[None] = Deferred()
        self.reactor.callFromThread(failing.errback, error)
        for call in (wrong, lambda: failing):
            with self.assertRaises(ZeroDivisionError) as caught:
                self.bridge.wait(call)
            self.assertIs(error, caught.exception)

    def test_posts_stay_in_order(self: Any) -> None:
        """Calls run in the order in which each thread has posted them, all of them before a wait of that thread returns."""
        seen: list[tuple[int, int]] = []

        def posts(me: int) -> None:
            for number in range(200):
                self.bridge.post(lambda number=number: seen.append((me, number)))
            self.bridge.wait(int)
            self.assertEqual([(me, number) for number in range(200)], [each for each in seen if each[0] == me])

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(posts, range(4), timeout=PATIENCE))
        self.assertEqual(800, len(seen))

    def test_a_call_that_fails(self: Any) -> None:
        """A call that raises is logged, and those after it run."""
        self.bridge.post(lambda: 1 / 0)
        self.assertEqual("fine", self.bridge.wait(lambda: "fine"))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_no_waiting_in_the_reactor_thread(self: Any) -> None:
        """Who would wait for the reactor in its own thread is told so, and what for."""
        with self.assertRaisesRegex(ReactorThreadError, "waiting for job 7 in the reactor thread would never end"):
            self.bridge.wait(self.bridge.refuse_to_wait, "job 7")
        with self.assertRaises(ReactorThreadError):
            self.bridge.wait(self.bridge.wait, int)
        self.bridge.refuse_to_wait("job 7")
        self.assertEqual((True, False), (self.bridge.wait(lambda: self.bridge.in_reactor_thread), self.bridge.in_reactor_thread))

    def test_the_end_of_the_reactor_ends_waits(self: Any) -> None:
        """A wait whose answer never comes ends when the reactor stops, and a new one does not begin."""
        never: Deferred[None] = Deferred()
        underway = threading.Event()

        def begin() -> Deferred[None]:
            underway.set()
            return never

        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(self.bridge.wait, begin) for _ in range(2)]
            self.assertTrue(underway.wait(PATIENCE))
            self.assertFalse(self.bridge.stopped)
            self.bridge.stop()
            for wait in waiting:
                with self.assertRaisesRegex(ClusterClosedError, "the reactor has stopped"):
                    wait.result(PATIENCE)
        with self.assertRaisesRegex(ClusterClosedError, "the reactor has stopped"):
            self.bridge.wait(int)
        self.assertTrue(self.bridge.stopped)

    def test_posts_after_the_end(self: Any) -> None:
        """What can never run is refused, not kept in silence."""
        self.bridge.stop()
        with self.assertRaisesRegex(ClusterClosedError, "the reactor has stopped"):
            self.bridge.post(int)

    def test_stop_twice(self: Any) -> None:
        """Saying it twice changes nothing."""
        self.bridge.stop()
        self.bridge.stop()
        self.assertTrue(self.bridge.stopped)

    def test_threads_exist_from_the_start(self: Any) -> None:
        """The threads that resolve names are there before anything needs them."""
        self.assertEqual(2, self.bridge.wait(self.pool_size))


class OverTurns(Contract, SynchronousTestCase):
    """With the stand-in."""

    Reactor = Turns

    def pool_size(self) -> int:
        """The least number of threads that the pool was told to keep, if it is the most as well."""
        least, most = self.reactor.threads or (0, 0)
        return least if least == most else 0

    def test_many_posts_wake_once(self) -> None:
        """However many calls are posted while the reactor is busy, it is woken once; then again for later ones."""
        busy, go_on = threading.Event(), threading.Event()
        self.reactor.callFromThread(lambda: (busy.set(), go_on.wait(PATIENCE)))
        self.assertTrue(busy.wait(PATIENCE))
        before, seen = self.reactor.woken, []
        for number in range(1000):
            self.bridge.post(lambda number=number: seen.append(number))  # type: ignore[misc]
        self.assertEqual(1, self.reactor.woken - before)
        go_on.set()
        self.bridge.wait(int)
        self.assertEqual(list(range(1000)), seen)
        idle = threading.Event()
        self.reactor.callFromThread(idle.set)  # comes after whatever it has been woken for
        self.assertTrue(idle.wait(PATIENCE))
        before = self.reactor.woken
        self.bridge.wait(int)
        self.assertEqual(1, self.reactor.woken - before)

    def test_a_wake_that_fails(self) -> None:
        """Ctrl-C while the reactor is being woken loses nothing: the next post wakes it, and both calls run."""
        seen: list[int] = []
        with mock.patch.object(self.reactor, "callFromThread", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.bridge.post(lambda: seen.append(1))
        self.bridge.post(lambda: seen.append(2))
        self.bridge.wait(int)
        self.assertEqual([1, 2], seen)


class OverSelect(Contract, SynchronousTestCase):
    """With a reactor of Twisted's."""

    Reactor = Select

    def pool_size(self) -> int:
        """How many threads the pool has."""
        return len(self.reactor.getThreadPool().threads)


class InAnApplication(SynchronousTestCase):
    """A program that runs the reactor itself."""

    def setUp(self) -> None:
        patch = mock.patch.object(threadable, "ioThread", threadable.ioThread)
        patch.start()
        self.addCleanup(patch.stop)
        self.reactor = Turns()
        started = threading.Event()

        def run() -> None:
            threadable.registerAsIOThread()  # as every reactor does
            self.reactor.run(installSignalHandlers=False)

        self.reactor.callWhenRunning(started.set)
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        self.assertTrue(started.wait(PATIENCE))
        self.bridge = Bridge(self.reactor)
        self.bridge.start()
        self.addCleanup(self._stop)

    def _stop(self) -> None:
        self.reactor.callFromThread(self.reactor.stop)
        self.thread.join(PATIENCE)
        self.assertFalse(self.thread.is_alive())

    def test_the_applications_reactor(self) -> None:
        """It is used as it runs: no thread more, no change to its pool."""
        self.assertTrue(self.bridge.in_app)
        self.assertIs(self.thread, self.bridge.wait(threading.current_thread))
        self.assertIsNone(self.reactor.threads)

    def test_no_waiting_in_the_reactor_thread(self) -> None:
        """Waiting in the application's reactor thread is refused just the same."""
        with self.assertRaises(ReactorThreadError):
            self.bridge.wait(self.bridge.refuse_to_wait, "job 7")

    def test_not_ours_to_stop(self) -> None:
        """The application's reactor goes on when we are done."""
        self.bridge.stop()
        self.assertEqual("fine", self.bridge.wait(lambda: "fine"))

    def test_the_end_of_the_reactor_ends_waits(self) -> None:
        """When the application stops it, waits end too."""
        underway = threading.Event()

        def begin() -> Deferred[None]:
            underway.set()
            return Deferred()

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(self.bridge.wait, begin)
            self.assertTrue(underway.wait(PATIENCE))
            self._stop()
            with self.assertRaises(ClusterClosedError):
                waiting.result(PATIENCE)
        self.assertTrue(self.bridge.stopped)


FORKED = """
import os, sys, threading
from dispytw.client.bridge import Bridge
from dispytw.errors import ForkedError
from tests.client.test_bridge import Turns

bridge = Bridge(Turns())
bridge.start()
if os.fork() == 0:
    for refused in (lambda: bridge.post(int), lambda: bridge.wait(int), lambda: bridge.refuse_to_wait("job 7")):
        try:
            refused()
        except ForkedError as error:
            print(error, flush=True)
    bridge.stop()
    os._exit(0)
os.wait()
print(bridge.wait(lambda: "the parent goes on"))
"""


class Forked(SynchronousTestCase):
    """After os.fork."""

    def test_the_child_is_refused(self) -> None:
        """A forked child has no reactor: whatever it asks is refused, with what to do; its parent does not notice."""
        done = subprocess.run(
            [sys.executable, "-c", FORKED], stdout=subprocess.PIPE, text=True, timeout=20, cwd=ROOT
        )
        told = (
            "this process was forked from the one that made the cluster: use it there, or start this one with subprocess or "
            "multiprocessing's 'spawn'\n"
        )
        self.assertEqual((0, 3 * told + "the parent goes on\n"), (done.returncode, done.stdout))

    def test_by_process_id(self) -> None:
        """What counts is the process that made the bridge."""
        bridge = Bridge(Turns())
        with mock.patch.object(bridge, "_pid", bridge._pid + 1), self.assertRaises(ForkedError):
            bridge.post(int)
