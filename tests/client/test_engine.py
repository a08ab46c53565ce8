"""What one client process has one of: made once, refused after a fork, and ended when no cluster has anything left."""

from __future__ import annotations

import io
import os
import sys
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

EVERY_PYTHON = True


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


class File:
    """A recover file that remembers what was done with it."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.done.append(name)


class Idle:
    """A view of a cluster that has nothing left, or what the test gives it."""

    def __init__(self, *answers: bool | Callable[[], bool], path: str | None = None) -> None:
        self.jobs = self.unfinished = self.unread = 0
        self.file = File(path)
        self.left = False
        self.answers = list(answers)
        self.waits: list[float] = []

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        answer = self.answers.pop(0) if self.answers else True
        return answer() if callable(answer) else answer

    def leave(self) -> None:
        self.left = True


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


    def test_a_forked_copy(self) -> None:
        """It closes its copies of the links and of the sockets of discovery, and leaves signals alone."""
        done: list[str] = []
        for place, name in (("session", "abandon_links"), ("finder", "abandon")):
            self.patch(getattr(self.engine, place), name, lambda name=name: done.append(name))
        self.engine.keeper = mock.Mock()
        self.engine.abandon()
        self.assertEqual(["abandon_links", "abandon"], done)
        self.engine.keeper.forget_signals.assert_called_once_with()

    def test_finding_nodes(self) -> None:
        """Is done in the reactor's thread."""
        self.assertIs(self.bridge.reactor, self.engine.finder.reactor)


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
        never = Idle(*[lambda: threading.Event().wait(0.01)] * 600)
        self.cluster(never)
        self.drain(0.05)
        self.assertNotEqual([], never.answers)

    def test_drain_without_a_reactor(self) -> None:
        """It ends when the application has stopped its reactor: no job can end any more."""
        never = Idle(*[False] * 3, lambda: bool(self.bridge.stop()), *[False] * 1000)
        self.cluster(never)
        self.drain()
        self.assertEqual(1000, len(never.answers))

    def left(self, *left: bytes) -> str:
        """What is said of a program that leaves these clusters' jobs running."""
        self.bridge.post = lambda call: call()
        with mock.patch.object(self.engine.session, "leave", return_value=set(left)) as leave:
            said = self.engine.leave()
        leave.assert_called_once_with({b"k"})
        return said

    def test_leave(self) -> None:
        """Clusters with a recover file can be left; what is left running is named with the way to bring it home."""
        self.cluster(Idle(path="/here/rec"))
        self.cluster(Idle(), b"l")
        self.assertEqual("those sent go on, and come home by dispytw.recover_jobs('/here/rec')", self.left(b"k"))
        self.assertEqual([True, False], [cluster.view.left for cluster in self.engine.clusters.values()])

    def test_leave_nothing(self) -> None:
        """Where nothing goes on there is nothing to recover."""
        self.cluster(Idle(path="/here/rec"))
        self.assertEqual("those sent were cancelled", self.left())

    def test_leave_a_reactor_that_is_stuck(self) -> None:
        """The end is not held up; what has a file is taken to go on."""
        self.cluster(Idle(path="/here/rec")).view.unfinished = 1
        self.patched("_LEAVING", 0.01)
        self.assertIn("recover_jobs('/here/rec')", self.engine.leave())

    def test_shut(self) -> None:
        """Every cluster is ended, then the reactor stops."""
        ended: list[Any] = []
        for uid in (b"k", b"l"):
            self.cluster(Idle(), uid).end = lambda uid=uid: ended.append((uid, self.bridge.stopped))
        self.engine.shut()
        self.assertEqual([(b"k", False), (b"l", False)], ended)
        self.assertTrue(self.bridge.stopped)

    def test_shut_after_leaving(self) -> None:
        """What goes on is not closed: its file is written to the end and left."""
        cluster = self.cluster(Idle(path="/here/rec"))
        cluster.view.unfinished = 1
        self.left(b"k")
        with mock.patch.object(self.engine.session, "close_cluster") as close:
            self.engine.shut()
        close.assert_not_called()
        cluster.end.assert_not_called()
        self.assertEqual(["flush", "leave"], cluster.view.file.done)

    def test_shut_a_program_that_failed(self) -> None:
        """Results that a program did not live to read stay in its file, which is named; its nodes are free."""
        cluster = self.cluster(Idle(path="/here/rec"))
        cluster.view.unread = 2
        said = "dispytw: 2 results were not read: dispytw.recover_jobs('/here/rec') has them\n"
        close = self.patched("Session.close_cluster", mock.Mock())
        for failed, expected in ((ValueError, said), (None, "")):
            err = io.StringIO()
            with mock.patch.object(sys, "last_type", failed, create=True), mock.patch.object(sys, "stderr", err):
                self.engine.shut()
            self.bridge.stopped = False
            self.assertEqual(expected, err.getvalue())
        self.assertEqual(["flush", "leave"], cluster.view.file.done)
        close.assert_called_once_with(b"k")
        cluster.end.assert_called_once_with()

    def test_shut_without_a_reactor(self) -> None:
        """Where the application has stopped its reactor there is nothing to close, and it is no error; files are for what is left."""
        clusters = [self.cluster(Idle(path="/here/rec"), uid) for uid in (b"k", b"l")]
        clusters[1].view.unfinished = 1
        self.bridge.stopped = True
        self.engine.shut()
        self.assertEqual([["remove"], ["leave"]], [cluster.view.file.done for cluster in clusters])
