"""What somebody has asked of a job: an event, a future, its error. It is made when it is asked for, so that a queued job costs nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger()


class Attention:
    """Who waits for one job, and what was read of it.

    :ivar lock: held by whoever opens its result or error.
    :ivar listeners: called when it is settled.
    """

    __slots__ = ("error", "event", "future", "listeners", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.event: threading.Event | None = None
        self.future: Any = None
        self.error: BaseException | None = None
        self.listeners: tuple[Callable[[], Any], ...] = ()

    def settled(self) -> None:
        """The job has its final status, and its event is set: tell who listens."""
        for listener in self.listeners:
            try:
                listener()
            except Exception:
                log.failure("somebody who waits for a job could not be told")
        self.listeners = ()
