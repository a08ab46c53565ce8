"""What one client process has one of: the reactor thread, the session, the threads for user code. Made by the first cluster."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import Any

from twisted.internet.defer import Deferred, succeed

from dispytw.client import speech
from dispytw.client.bridge import Bridge
from dispytw.client.callbacks import UserThread
from dispytw.client.finding import Finder
from dispytw.client.incoming import IncomingSinks
from dispytw.client.job import DispyJob
from dispytw.client.keeper import Keeper
from dispytw.client.nodes import Address
from dispytw.client.session import Introduction, Session
from dispytw.errors import ClusterClosedError, ForkedError
from dispytw.version import VERSION
from dispytw.wire.dialling import connect
from dispytw.wire.heartbeat import DEFAULT_HEARTBEAT

#: Seconds that a recover file gets to be written at the end.
_PARTING = 1.0
#: Seconds that the reactor gets to leave its jobs.
_LEAVING = 0.5


class Engine:
    """Bridge, session, user threads and keeper, started together."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.bridge = Bridge()
        speech.begin(self.bridge.in_app)
        self._callbacks = UserThread("dispytw-callbacks")
        self._allocations = UserThread("dispytw-allocate")
        self.clusters: dict[bytes, Any] = {}
        self._left: set[bytes] = set()
        self.bridge.start()
        self.uid = secrets.token_bytes(16)
        name = f"{_user()}@{platform.node()} (pid {self.pid})"
        self.introduction = Introduction(VERSION, name, DEFAULT_HEARTBEAT)
        dial = functools.partial(self.dial, self.uid)
        self.session = Session(self.uid, dial, self.introduction, IncomingSinks(), self.bridge.reactor, time.monotonic)
        self.finder = Finder(self.bridge.reactor, time.monotonic)
        self.keeper = Keeper(self)

    def dial(self, uid: bytes, address: Address, credential: Any, build_link: Callable[[Any], Any]) -> Deferred[Any]:
        """Dial a node, as the client of this uid."""
        return connect(
            self.bridge.reactor,
            address.host,
            address.port,
            credential=credential,
            uid=uid,
            role="client",
            build_link=build_link,
        )

    # The threads that a view needs (`dispytw.client.view.Threads`).
    def call_back(self, function: Callable[..., Any], job: DispyJob | None, then: Callable[[], Any]) -> None:
        """Call a user's callback on the callback thread."""
        self._callbacks.call(function, job, then=then)

    def later(self, call: Callable[[], Any]) -> None:
        """Have a call made in the reactor thread, from any other."""
        try:
            self.bridge.post(call)
        except ClusterClosedError:
            pass  # the reactor has stopped: nobody waits for it

    def in_callback(self) -> bool:
        """Whether the caller is the callback thread."""
        return self._callbacks.is_current

    def allocate(self, function: Callable[[], int]) -> Deferred[int]:
        """Call a user's NodeAllocate.allocate on its own thread; the Deferred fires in the reactor thread."""
        answered: Deferred[int] = Deferred()

        def call() -> None:
            try:
                cpus = function()
            except BaseException as error:  # sys.exit in it must not leave the node waiting for an answer
                self.bridge.post(lambda error=error: answered.errback(error))  # type: ignore[misc]
            else:
                self.bridge.post(lambda: answered.callback(cpus))

        self._allocations.call(call, then=lambda: None)
        return answered

    # What the keeper needs (`dispytw.client.keeper.Kept`).
    def unfinished(self) -> int:
        """Jobs without a final status."""
        return sum(cluster.view.unfinished for cluster in list(self.clusters.values()))

    def drain(self, given_up: threading.Event, seconds: float | None = None) -> None:
        """Wait until no cluster has a job or a callback left, the event is set, the reactor is gone, or the seconds have passed."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not given_up.is_set() and not self.bridge.stopped and (deadline is None or time.monotonic() < deadline):
            submitted = self._submitted()
            if all(view.wait(0.05) for view in submitted) and submitted == self._submitted():
                return

    def _submitted(self) -> dict[Any, int]:
        """How many jobs each cluster has had: callbacks of one may submit to another that had none left."""
        return {cluster.view: cluster.view.jobs for cluster in list(self.clusters.values())}

    def leave(self) -> str:
        """End by force: what was not sent becomes Cancelled; what was sent goes on where it can be recovered.

        :returns: what becomes of the jobs that were sent, for the user.
        """
        recoverable = {uid for uid, cluster in list(self.clusters.items()) if cluster.view.file.path is not None}
        self._left = self._leave(recoverable)
        files = []
        for view in [self.clusters[uid].view for uid in self._left]:
            view.leave()
            files.append(f"dispytw.recover_jobs({view.file.path!r})")
        return f"those sent go on, and come home by {' and '.join(files)}" if files else "those sent were cancelled"

    def _leave(self, recoverable: set[bytes]) -> set[bytes]:
        """The clusters whose jobs go on. A reactor that is stuck, or has stopped, does not hold up the end."""
        left: Future[set[bytes]] = Future()
        try:
            self.bridge.post(lambda: left.set_result(self.session.leave(recoverable)))
            return left.result(_LEAVING)
        except (TimeoutError, ClusterClosedError):
            return {uid for uid in recoverable if self.clusters[uid].view.unfinished}

    def abandon(self) -> None:
        """In a forked copy of this process: nothing of ours may keep a link open, or read on it."""
        self.session.abandon_links()
        self.finder.abandon()
        self.keeper.forget_signals()

    def shut(self) -> None:
        """Close every cluster, but those that were left, and stop the reactor."""
        for uid, cluster in list(self.clusters.items()):
            try:
                if uid in self._left or self._unread(cluster.view):
                    self.bridge.wait(self._part, uid, cluster.view)
                else:
                    self.bridge.wait(cluster.end)
            except ClusterClosedError:  # the application has stopped its reactor, and the links with it
                (cluster.view.file.leave if cluster.view.unfinished else cluster.view.file.remove)()
        self.bridge.stop()

    @staticmethod
    def _unread(view: Any) -> bool:
        """Whether there are results that a program did not live to read, and a file that has them."""
        failed = getattr(sys, "last_type", None) is not None and not hasattr(sys, "ps1")
        if not failed or not view.unread or view.file.path is None:
            return False
        sys.stderr.write(f"dispytw: {view.unread} results were not read: dispytw.recover_jobs({view.file.path!r}) has them\n")
        return True

    def _part(self, uid: bytes, view: Any) -> Deferred[Any]:
        """Leave a cluster's file to `recover_jobs`, and what still runs to its node."""
        parted = self._written(view) if view.unfinished else self.close_unread(uid, view)
        return parted.addCallback(lambda _: view.file.leave())

    def close_unread(self, uid: bytes, view: Any) -> Deferred[Any]:
        """Close a cluster whose jobs have ended and were not all read: if the program fails, its file is for them."""
        return self._written(view).addCallback(lambda _: self.session.close_cluster(uid))

    def _written(self, view: Any) -> Deferred[Any]:
        written: Deferred[Any] = view.file.flush() or succeed(None)
        return written.addTimeout(_PARTING, self.bridge.reactor, onTimeoutCancel=lambda *_: None)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


_engine: Engine | None = None
_making = threading.Lock()


def _after_fork_in_child() -> None:
    if _engine is not None:
        _engine.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)


def engine() -> Engine:
    """The engine of this process, made at first use.

    :raises ForkedError: in a process forked from one that has an engine: a reactor cannot be taken along.
    """
    global _engine
    with _making:
        if _engine is None:
            _engine = Engine()
        if _engine.pid != os.getpid():
            raise ForkedError(
                "this process was forked from one that uses clusters; make clusters in the parent, or start this process "
                "with subprocess or multiprocessing's 'spawn'"
            )
        return _engine
