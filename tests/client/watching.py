"""Locks that say who comes, so that a test can wait until all are there."""

from __future__ import annotations

import queue
import threading

#: Seconds after which a thread is taken not to come: a small machine that has much else to do keeps one waiting for some.
PATIENCE = 20.0


class WatchedLock:
    """A lock that says whenever somebody wants it."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lock = threading.RLock()

    def wait_for(self, number: int) -> None:
        """Wait until so many more have wanted it."""
        for _ in range(number):
            self._wanted.get(timeout=PATIENCE)

    def __enter__(self) -> None:
        self._wanted.put(True)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class WatchedCondition(threading.Condition):
    """A condition that says when somebody waits for it.

    :ivar waiting: set when that is so; the lock is free by the time anybody else has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting.set()
        return super().wait(timeout)
