"""Clusters over a stand-in for the engine: no thread, no reactor, no link."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import TestCase, mock

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client import cluster as module
from dispytw.client import mapping, nodemethods
from dispytw.client.cluster import JobCluster
from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address
from dispytw.values import CANCELLED, FINISHED, PLAIN, Inline, JobOptions, Outcome
from dispytw.wire.credentials import new_secret

SECRET = new_secret()


def compute(n: int, plus: int = 0) -> int:
    return n * n + plus


def stop_clock(case: TestCase) -> None:
    """A map finds that no time has passed, however slow the machine is: else it may submit less at a time, and the rest when it is read."""
    patch = mock.patch.object(mapping, "time", SimpleNamespace(monotonic=lambda: 1.0))
    patch.start()
    case.addCleanup(patch.stop)


def forget_others(case: SynchronousTestCase) -> None:
    """What failed in tests that ran before in this process, and nobody has found yet, is not this one's."""
    gc.collect()
    case.flushLoggedErrors()


class Session:
    """Remembers what it is asked; jobs end when the test says so, or when they are given up."""

    def __init__(self) -> None:
        self.opened: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.submitted: list[tuple[bytes, bytes, Any, DispyJob]] = []
        self.options: list[JobOptions] = []
        self.closed: list[bytes] = []
        self.given_up: list[tuple[bytes, str]] = []
        self.pinned: list[bytes | None] = []
        self.asked: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {}

    def open_cluster(self, *arguments: Any, **options: Any) -> None:
        self.opened.append((arguments, options))

    def submit(
        self, cluster: bytes, job: bytes, body: Any, handle: DispyJob, options: JobOptions = PLAIN, node: bytes | None = None
    ) -> None:
        assert cluster not in self.closed, "a closed cluster has got a job, which will never end"
        self.options.append(options)
        self.pinned.append(node)
        self.submitted.append((cluster, job, body, handle))

    def cancel(self, job: bytes) -> bool:
        return any(uid == job and handle.status == DispyJob.Created for _, uid, _, handle in self.submitted)

    def give_up(self, cluster: bytes, why: str) -> None:
        self.given_up.append((cluster, why))
        for handle in [handle for *_, handle in self.submitted if handle.status == DispyJob.Created]:
            self.end(handle, CANCELLED)

    def close_cluster(self, cluster: bytes) -> Any:
        self.closed.append(cluster)
        return succeed(None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Anything else that clusters ask about nodes."""

        def asked(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            return self.answers.get(name)

        return asked

    def end(self, job: DispyJob, status: int = FINISHED) -> None:
        """A job ends."""
        job._owner.view.job_settled(job, None, None, Outcome(status, Inline(b"m\x07")))  # type: ignore[attr-defined]


class Finder:
    """Remembers what is looked for."""

    def __init__(self) -> None:
        self.searches: list[tuple[Any, ...]] = []

    def search(self, *arguments: Any) -> int:
        self.searches.append(arguments)
        return len(self.searches)


class Engine:
    """An engine without threads: what is posted happens at once, callbacks too."""

    def __init__(self) -> None:
        self.reactor: Any = Clock()
        self.reactor.getThreadPool = lambda: None
        self.session = Session()
        self.finder = Finder()
        self.clusters: dict[bytes, JobCluster] = {}
        self.bridge = self.keeper = self
        self.refusal: Exception | None = None
        self.shielded = 0
        self.unread: list[bytes] = []

    # The bridge.
    def post(self, call: Callable[[], Any]) -> None:
        call()

    def wait(self, call: Callable[..., Any], *args: Any) -> Any:
        return call(*args)

    def refuse_to_wait(self, what: str) -> None:
        if self.refusal is not None:
            raise self.refusal

    # The keeper.
    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        self.shielded += 1
        yield

    # The engine.
    def close_unread(self, uid: bytes, view: Any) -> None:
        self.unread.append(uid)

    # The threads.
    def call_back(self, function: Callable[..., Any], job: DispyJob, then: Callable[[], Any]) -> None:
        function(job)
        then()

    def in_callback(self) -> bool:
        return False


class ClusterTestCase(SynchronousTestCase):
    """Clusters over a stand-in for the engine."""

    def setUp(self) -> None:
        stop_clock(self)
        self.engine = Engine()
        self.session = self.engine.session
        private = Address("127.0.0.1", 40002), "credential"
        for place, name, replacement in ((module, "engine", lambda: self.engine), (nodemethods, "private_node", lambda: private)):
            patch = mock.patch.object(place, name, replacement)
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(logging.getLogger("dispytw").setLevel, logging.getLogger("dispytw").level)

    def cluster(self, computation: Any = compute, nodes: Any = ("node7",), **options: Any) -> JobCluster:
        """A cluster; nothing of the user's home is touched, and no recover file is made unless one is asked for."""
        return JobCluster(computation, nodes, **{"secret": SECRET, "recover": False, **options})
