"""The only thread boundary: one reactor thread for the process, and how other threads speak to it.

User threads never touch Twisted, and the reactor thread never runs user code. `Bridge.post` leaves a call for the reactor thread
(many posts wake it once); `Bridge.wait` runs a function there and returns its result, and refuses to do so from the reactor thread itself.
All threads exist from the first use on: from Python 3.12 no thread may start once the main thread has ended.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python import threadable

from dispytw.errors import ClusterClosedError, ForkedError, ReactorThreadError

log = Logger()
T = TypeVar("T")

#: Threads of the reactor's pool (host names are resolved there), all started at once.
_POOL = 2


class Bridge:
    """The reactor in a thread.

    :param reactor: the one to run; Twisted's own unless a test brings another.
    """

    def __init__(self, reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        self.reactor: Any = reactor
        self._pid = os.getpid()
        self._posted: deque[Callable[[], Any]] = deque()
        self._woken = False
        self._lock = threading.Lock()
        self._waits: set[Future[Any]] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="dispytw-reactor", daemon=True)
        self.in_app = bool(reactor.running)

    def start(self) -> None:
        """Run the reactor in its thread, unless the application runs it already."""
        if self.in_app:
            self.reactor.callFromThread(self.reactor.addSystemEventTrigger, "after", "shutdown", self._end_waits)
            return
        running = threading.Event()
        self.reactor.callWhenRunning(running.set)
        self._thread.start()
        running.wait()
        self.wait(self._fill_pool)

    def _fill_pool(self) -> None:
        pool = self.reactor.getThreadPool()
        pool.adjustPoolsize(minthreads=_POOL, maxthreads=_POOL)

    def _run(self) -> None:
        try:
            self.reactor.run(installSignalHandlers=False)
        finally:
            self._end_waits()

    def _end_waits(self) -> None:
        with self._lock:
            self._stopped = True
            waits = list(self._waits)
        for wait in waits:
            if not wait.done():
                wait.set_exception(ClusterClosedError("the reactor has stopped"))

    @property
    def stopped(self) -> bool:
        """Whether the reactor has stopped: nothing can happen any more."""
        return self._stopped

    @property
    def in_reactor_thread(self) -> bool:
        """Whether the caller is the reactor's own thread."""
        if self.in_app:
            return bool(threadable.isInIOThread())
        return threading.current_thread() is self._thread

    def refuse_to_wait(self, what: str) -> None:
        """Raise where waiting for ``what`` would never end.

        :raises ReactorThreadError: in the reactor thread.
        :raises ForkedError: in a process forked from the one that made the bridge.
        """
        self._check_process()
        if self.in_reactor_thread:
            raise ReactorThreadError(f"waiting for {what} in the reactor thread would never end; use a callback or a Deferred there")

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(
                "this process was forked from the one that made the cluster: use it there, or start this one with subprocess or "
                "multiprocessing's 'spawn'"
            )

    def post(self, call: Callable[[], Any]) -> None:
        """Have ``call`` run in the reactor thread, after those posted before it.

        :raises ClusterClosedError: when the reactor has stopped.
        """
        self._check_process()
        if self._stopped:
            raise ClusterClosedError("the reactor has stopped")
        self._posted.append(call)
        if not self._woken:
            try:
                self._woken = True
                self.reactor.callFromThread(self._drain)
            except BaseException:  # Ctrl-C: nobody may rely on having woken it
                self._woken = False
                raise

    def _drain(self) -> None:
        self._woken = False
        while self._posted:
            try:
                self._posted.popleft()()
            except Exception:
                log.failure("a call posted to the reactor thread failed")

    def wait(self, call: Callable[..., T | Deferred[T]], *args: Any) -> T:
        """Run ``call`` in the reactor thread, after what was posted before, and return its result or raise its exception."""
        self.refuse_to_wait("the reactor thread")
        future: Future[T] = Future()
        with self._lock:
            if self._stopped:
                raise ClusterClosedError("the reactor has stopped")
            self._waits.add(future)
        try:
            self.post(lambda: maybeDeferred(call, *args).addCallbacks(future.set_result, lambda f: future.set_exception(f.value)))
            return future.result()
        finally:
            with self._lock:
                self._waits.discard(future)

    def stop(self) -> None:
        """Stop the reactor, if it is ours, and end every wait."""
        if not self.in_app and self._thread.is_alive() and not self.in_reactor_thread:
            self.reactor.callFromThread(self.reactor.stop)
            self._thread.join(5)
