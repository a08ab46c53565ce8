"""What one client process has one of: made once, refused after a fork, and ended when no cluster has anything left."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client import engine as module
from dispytw.client.engine import Engine, engine
from dispytw.client.nodes import Address
from dispytw.errors import ClusterClosedError, ForkedError
from tests.client.watching import PATIENCE, WatchedLock


class Bridge:
    """A reactor thread that runs what is posted when the test says so; waits at once."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.in_app = False
        self.stopped = False
        self.started = 0
        self.posted: list[Callable[[], Any]] = []

    def start(self) -> None:
        self.started += 1

    def post(self, call: Callable[[], Any]) -> None:
        self.posted.append(call)

    def run(self) -> None:
        """Run what was posted."""
        while self.posted:
            self.posted.pop(0)()

    def wait(self, call: Callable[..., Any], *args: Any) -> Any:
        if self.stopped:
            raise ClusterClosedError("the reactor has stopped")
        return call(*args)

    def stop(self) -> None:
        self.stopped = True


class UserThread:
    """A thread that runs what it is to call when the test says so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_current = False
        self.calls: list[Callable[[], Any]] = []

    def call(self, function: Callable[..., Any], *args: Any, then: Callable[[], Any]) -> None:
        self.calls.append(lambda: (function(*args), then()))


class Idle:
    """A view of a cluster that has nothing left, or what the test gives it."""

    def __init__(self, *answers: bool | Callable[[], bool]) -> None:
        self.jobs = self.unfinished = 0
        self.answers = list(answers)
        self.waits: list[float] = []

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        answer = self.answers.pop(0) if self.answers else True
        return answer() if callable(answer) else answer


class EngineTestCase(SynchronousTestCase):
    """An engine whose threads are stand-ins."""

    def setUp(self) -> None:
        self.keepers: list[Engine] = []
        self.speech = self.patched("speech.begin", mock.Mock())
        self.patched("Bridge", Bridge)
        self.patched("UserThread", UserThread)
        self.patched("Keeper", self.keepers.append)
        self.patched("_engine", None)
        self.engine = engine()
        self.bridge: Any = self.engine.bridge

    def patched(self, name: str, replacement: Any) -> Any:
        """Something else in the module's place for the length of the test."""
        patch = mock.patch(f"dispytw.client.engine.{name}", replacement)
        self.addCleanup(patch.stop)
        return patch.start()

    def cluster(self, view: Idle, uid: bytes = b"k") -> Any:
        """A cluster that the engine knows."""
        self.engine.clusters[uid] = cluster = mock.Mock(view=view, uid=uid)
        return cluster


class Making(EngineTestCase):
    """When there is one, and for whom."""

    def test_everything_is_started(self) -> None:
        """Reactor, threads for user code and keeper are there from the first cluster on."""
        self.assertEqual((1, [self.engine]), (self.bridge.started, self.keepers))
        names = [self.engine._callbacks.name, self.engine._allocations.name]  # type: ignore[attr-defined]
        self.assertEqual(["dispytw-callbacks", "dispytw-allocate"], names)
        self.speech.assert_called_once_with(False)

    def test_one(self) -> None:
        """However many threads make the first cluster, there is one engine."""
        module._engine, made = None, []
        lock = self.patched("_making", WatchedLock())

        def make() -> Any:
            made.append(1)
            lock.wait_for(4 if len(made) == 1 else 0)
            return mock.Mock(pid=os.getpid())

        self.patched("Engine", make)
        with ThreadPoolExecutor(4) as threads:
            engines = list(threads.map(lambda _: engine(), range(4), timeout=PATIENCE))
        self.assertEqual((1, 1), (len(made), len(set(map(id, engines)))))

    def test_forked(self) -> None:
        """A forked process is refused, with what to do instead."""
        self.engine.pid += 1
        with self.assertRaisesRegex(ForkedError, "make clusters in the parent, or start this process with subprocess"):
            engine()

    def test_a_name_for_people_at_the_node(self) -> None:
        """Nodes are told who holds them: user, host and process."""
        introduction = self.engine.session._introduction
        self.assertRegex(introduction.name, rf"^\S+@\S+ \(pid {os.getpid()}\)$")
        with mock.patch("getpass.getuser", side_effect=KeyError):
            self.assertEqual(str(os.getuid()), module._user())

    def test_dialling(self) -> None:
        """The session dials as a client, with this process's uid and the entry's own credential."""
        connect = self.patched("connect", mock.Mock())
        self.engine.session._connect(Address("node7", 51348), "credential", int)
        connect.assert_called_once_with(
            self.bridge.reactor,
            "node7",
            51348,
            credential="credential",
            uid=self.engine.uid,
            role="client",
            build_link=int,
        )
        self.assertEqual((16, self.engine.uid), (len(self.engine.uid), self.engine.session.uid))


class UserCode(EngineTestCase):
    """Callbacks and NodeAllocate.allocate."""

    def test_callbacks(self) -> None:
        """They run on their own thread, which is known as such."""
        called: list[Any] = []
        job: Any = "job"
        self.engine.call_back(called.append, job, lambda: called.append("then"))
        self.assertEqual([], called)
        threads: Any = self.engine._callbacks
        threads.calls[0]()
        self.assertEqual(["job", "then"], called)
        self.assertFalse(self.engine.in_callback())
        threads.is_current = True
        self.assertTrue(self.engine.in_callback())

    def allocate(self, function: Callable[[], int]) -> Deferred[int]:
        """The answer, as it comes to the reactor thread, and not before."""
        answered = self.engine.allocate(function)
        threads: Any = self.engine._allocations
        self.assertNoResult(answered)
        threads.calls[0]()
        self.assertNoResult(answered)
        self.bridge.run()
        return answered

    def test_allocate(self) -> None:
        """The number comes back to the reactor thread."""
        self.assertEqual(3, self.successResultOf(self.allocate(lambda: 3)))

    def test_allocate_raises(self) -> None:
        """So does whatever is raised, sys.exit included: no node waits for an answer that never comes."""
        for error in (ZeroDivisionError("no"), SystemExit(3)):

            def wrong(error: BaseException = error) -> int:
                raise error

            threads: Any = self.engine._allocations
            threads.calls.clear()
            self.assertIs(error, self.failureResultOf(self.allocate(wrong)).value)


class Ending(EngineTestCase):
    """What the keeper asks for."""

    def drain(self, seconds: float | None = None) -> None:
        """Drain, in a thread that must come to an end."""
        with ThreadPoolExecutor(1) as threads:
            threads.submit(self.engine.drain, self.given_up, seconds).result(PATIENCE)

    def setUp(self) -> None:
        super().setUp()
        self.given_up = threading.Event()

    def test_unfinished(self) -> None:
        """Jobs of all clusters count."""
        for uid, jobs in ((b"k", 2), (b"l", 3)):
            view = Idle()
            view.unfinished = jobs
            self.cluster(view, uid)
        self.assertEqual(5, self.engine.unfinished())

    def test_drain(self) -> None:
        """It looks again until every cluster has nothing left."""
        first, second = Idle(False, True, True), Idle(False, True)
        self.cluster(first)
        self.cluster(second, b"l")
        self.drain()
        self.assertEqual((3, 2), (len(first.waits), len(second.waits)))
        self.assertLessEqual(max(first.waits + second.waits), 0.1)

    def test_drain_nothing(self) -> None:
        """Without clusters there is nothing to wait for."""
        self.drain()

    def test_drain_callbacks_that_submit_elsewhere(self) -> None:
        """A callback of the second cluster that submits to the first, which had nothing left, is not forgotten."""
        first = Idle()

        def submits() -> bool:
            first.jobs += 1
            first.answers = [False, True]
            return True

        second = Idle(submits)
        self.cluster(first)
        self.cluster(second, b"l")
        self.drain()
        self.assertEqual([], first.answers)

    def test_drain_a_cluster_more(self) -> None:
        """A callback that makes another cluster is not forgotten, either."""
        late = Idle(False, True)
        self.cluster(Idle(lambda: self.cluster(late, b"l") is not None))
        self.drain()
        self.assertEqual([], late.answers)

    def test_drain_given_up(self) -> None:
        """It ends with the event, though jobs are left."""
        never = Idle(*[False] * 3, lambda: bool(self.given_up.set()), *[False] * 1000)
        self.cluster(never)
        self.drain()
        self.assertEqual(1000, len(never.answers))

    def test_drain_for_so_long(self) -> None:
        """It ends when the seconds have passed."""
        self.cluster(Idle(*[lambda: threading.Event().wait(0.01)] * 600))
        self.drain(0.05)

    def test_drain_without_a_reactor(self) -> None:
        """It ends when the application has stopped its reactor: no job can end any more."""
        never = Idle(*[False] * 3, lambda: bool(self.bridge.stop()), *[False] * 1000)
        self.cluster(never)
        self.drain()
        self.assertEqual(1000, len(never.answers))

    def test_leave(self) -> None:
        """Leaving does not wait for the reactor."""
        with mock.patch.object(self.engine.session, "leave") as leave:
            self.engine.leave()
            leave.assert_not_called()
            self.bridge.run()
            leave.assert_called_once_with()

    def test_shut(self) -> None:
        """Every cluster is closed, then the reactor stops."""
        self.cluster(Idle())
        self.cluster(Idle(), b"l")
        closed: list[Any] = []
        with mock.patch.object(self.engine.session, "close_cluster", side_effect=lambda uid: closed.append((uid, self.bridge.stopped))):
            self.engine.shut()
        self.assertEqual([(b"k", False), (b"l", False)], closed)
        self.assertTrue(self.bridge.stopped)

    def test_shut_without_a_reactor(self) -> None:
        """Where the application has stopped its reactor there is nothing to close, and it is no error."""
        self.cluster(Idle())
        self.bridge.stopped = True
        self.engine.shut()
