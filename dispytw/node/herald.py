"""Says on the node's networks that it is here and free: when it starts, when its client has left, and now and then if that is wanted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dispytw.wire.clock import Waker

log = Logger()

#: Seconds by which an announcement may be late, at random: a thousand machines that get power at once do not speak at once.
JITTER = 0.5
#: Seconds between two announcements, at least.
QUIET = 5.0
#: By how much the ping interval varies.
VARIANCE = 0.1


class Porch(Protocol):
    """What a herald needs of `dispytw.discovery.udp.Answerer`."""

    def open(self) -> str:
        """Hear questions."""

    def announce(self) -> None:
        """Tell the neighbours."""

    def close(self) -> Deferred[Any]:
        """Hear and say no more."""


class Herald:
    """Announces a node.

    :param porch: answers questions by itself.
    :param is_free: whether a client could have the node now.
    :param clock: wakes us.
    :param now: monotonic seconds.
    :param ping_interval: seconds between announcements of a free node; None for no more than one.
    """

    def __init__(
        self,
        porch: Porch,
        is_free: Callable[[], bool],
        clock: Waker,
        now: Callable[[], float],
        ping_interval: float | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._porch = porch
        self._is_free = is_free
        self._clock = clock
        self._now = now
        self._ping_interval = ping_interval
        self._chance = chance or random.Random()
        self._call: Any = None
        self._due = 0.0
        self._last: float | None = None
        self._begun = False

    def begin(self) -> None:
        """The node listens: answer questions, and say that it is here."""
        trouble = self._porch.open()
        if trouble:
            log.warn("clients that ask for nodes by broadcast may not find this one: {trouble}", trouble=trouble)
        self._begun = True
        self.freed()

    def freed(self) -> None:
        """The node is free; nothing is said if it is not any more by then."""
        quiet = 0.0 if self._last is None else self._last + QUIET - self._now()
        self._within(max(quiet, self._chance.uniform(0, JITTER)))

    def _within(self, seconds: float) -> None:
        if not self._begun:
            return
        if self._call is not None:
            if self._due <= self._now() + seconds:
                return
            self._call.cancel()
        self._due = self._now() + seconds
        self._call = self._clock.callLater(seconds, self._announce)

    def _announce(self) -> None:
        self._call = None
        if self._is_free():
            self._last = self._now()
            self._porch.announce()
        if self._ping_interval is not None:
            self._within(self._ping_interval * self._chance.uniform(1 - VARIANCE, 1 + VARIANCE))

    def stop(self) -> Deferred[Any]:
        """Say nothing more, answer nobody; fires when the sockets are closed."""
        self._begun = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        return self._porch.close()
