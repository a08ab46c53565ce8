"""The threads that run user code: callbacks in order on one, NodeAllocate.allocate on another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger()


class UserThread:
    """Runs calls one after another, in the order in which they came; what one raises is logged with its traceback.

    :param name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., Any], *args: Any, then: Callable[[], Any]) -> None:
        """Have ``function`` called with ``args``; ``then`` is called after it, whether it raised or not."""
        self._calls.put((function, args, then))

    def _run(self) -> None:
        while True:
            function, args, then = self._calls.get()
            try:
                function(*args)
            except BaseException:  # a callback that calls sys.exit must not end the thread
                called = getattr(function, "func", function)
                log.failure("callback {callback} raised", callback=getattr(called, "__qualname__", repr(called)))
            finally:
                then()
