"""How busy this machine is, for whoever thinks of using it: read from psutil, and told again and again to those who want to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

from dispytw.values import Availability
from dispytw.wire.clock import Waker


class Gauge:
    """Reads how busy this machine is. What is idle of the CPUs is meant since the reading before.

    :param path: a directory on the disk whose free space counts.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.read()

    def read(self) -> Availability | None:
        """How busy it is now; None where psutil cannot tell."""
        try:
            return Availability(
                cpu=round(max(0.0, 100.0 - psutil.cpu_percent()), 1),
                memory=psutil.virtual_memory().available,
                disk=psutil.disk_usage(self._path).free,
                swap=round(max(0.0, 100.0 - psutil.swap_memory().percent), 1),
            )
        except (OSError, RuntimeError, psutil.Error):
            return None


class Pulse:
    """Calls again and again, until stopped.

    :param clock: wakes us.
    :param interval: seconds between two calls.
    """

    def __init__(self, clock: Waker, interval: float, call: Callable[[], Any]) -> None:
        self._clock = clock
        self._interval = interval
        self._call = call
        self._next: Any = clock.callLater(interval, self._beat)

    def _beat(self) -> None:
        self._next = self._clock.callLater(self._interval, self._beat)
        self._call()

    def stop(self) -> None:
        """No more calls."""
        if self._next.active():
            self._next.cancel()
