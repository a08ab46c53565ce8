"""Signs of life on a link: when to give one, and when the other end has been silent for too long.

`Heart` is the mind; `Heartbeats` wakes it and carries out what it says. Any byte received counts as a sign of life. A check that
itself runs late (a suspended laptop, a blocked reactor) has not listened meanwhile: it counts anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from dispytw.wire.clock import Waker

#: Silent heartbeats after which the other end is taken to be away.
MOST_SILENT = 5
#: Seconds between two signs of life unless a pulse_interval asks for more of them.
DEFAULT_HEARTBEAT = 5.0


@attrs.define
class Heart:
    """Decides about one link.

    :param interval: seconds; the other end hears from us at least this often.
    :param listening_since: monotonic seconds from which silence counts.
    """

    interval: float
    listening_since: float
    _checked: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._checked = self.listening_since

    @property
    def pause(self) -> float:
        """Seconds until the next check."""
        return self.interval / 2

    def must_speak(self, now: float, last_sent: float) -> bool:
        """Whether a sign of life is due."""
        return now - last_sent >= self.pause * 0.9

    def is_silent(self, now: float, last_received: float) -> bool:
        """Whether the other end has been silent for too long."""
        if now - self._checked > 2 * self.interval:
            self.listening_since = now
        self._checked = now
        return now - max(self.listening_since, last_received) >= MOST_SILENT * self.interval


class Alive(Protocol):
    """What heartbeats need of a link; times in monotonic seconds."""

    last_received: float
    last_sent: float

    def give_sign(self) -> None:
        """Send something that needs no answer."""

    def fall_silent(self) -> None:
        """The other end is silent: close the link."""


class Heartbeats:
    """Keeps one link alive until stopped.

    :param clock: wakes us; it never measures.
    :param now: monotonic seconds.
    """

    def __init__(self, clock: Waker, now: Callable[[], float], link: Alive, interval: float) -> None:
        self._clock = clock
        self._now = now
        self._link = link
        self._heart = Heart(interval, now())
        self._call: Any = clock.callLater(self._heart.pause, self._check)

    def _check(self) -> None:
        # Whatever has arrived while we were late is read first: the check proper runs in the next turn.
        self._call = self._clock.callLater(0, self._judge)

    def _judge(self) -> None:
        now = self._now()
        self._call = self._clock.callLater(self._heart.pause, self._check)
        if self._heart.is_silent(now, self._link.last_received):
            self._link.fall_silent()
        elif self._heart.must_speak(now, self._link.last_sent):
            self._link.give_sign()

    def stop(self) -> None:
        """No more checks."""
        if self._call.active():
            self._call.cancel()
