"""What a supervisor sleeps over: its daemon, children that end, jobs that speak; and, apart from these, what its servers say.

To wake costs a supervisor as much as a word that it then hears. So while its servers are at *ease*, as each has jobs to go on with, they
are heard at intervals, all at once; everything else is heard at any moment.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs

from dispytw.worker import descriptors

Call = Callable[[], None]


@attrs.define(eq=False)
class Sources:
    """Everything that may become readable, each with what is called then."""

    _all: selectors.BaseSelector = attrs.field(factory=selectors.DefaultSelector)
    _servers: selectors.BaseSelector = attrs.field(factory=selectors.DefaultSelector)
    _are_apart: bool = True
    _heard: float = 0.0
    _door: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        descriptors.keep(self._all.fileno())  # type: ignore[attr-defined]
        self._door = descriptors.keep(self._servers.fileno())  # type: ignore[attr-defined]

    def watch(self, source: Any, call: Call) -> None:
        """Have something heard at any moment."""
        self._all.register(source, selectors.EVENT_READ, call)

    def unwatch(self, source: Any) -> None:
        """It is over."""
        self._all.unregister(source)

    def watch_server(self, source: Any, call: Call) -> None:
        """Have a server heard."""
        self._servers.register(source, selectors.EVENT_READ, call)

    def unwatch_server(self, source: Any) -> None:
        """It is over."""
        self._servers.unregister(source)

    def expect_room(self, source: Any, wanted: bool) -> None:
        """Whether to wake as well when something that is watched can be written to; the same is called."""
        key = self._all.get_key(source)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        if key.events != events:
            self._all.modify(source, events, key.data)

    def hear(self, seconds: float | None, ease: float) -> None:
        """Sleep until there is something to hear, and hear it.

        :param seconds: for which it may be slept; None for any time.
        :param ease: seconds between two times at which servers are heard; 0 to hear them at any moment.
        """
        self._part(ease > 0)
        if ease <= 0:
            return _call(self._all, seconds)
        left = max(0.0, self._heard + ease - monotonic())
        _call(self._all, left if seconds is None else min(left, seconds))
        if monotonic() >= self._heard + ease:
            _call(self._servers, 0)
            self._heard = monotonic()

    def close(self) -> None:
        """Wait for nothing any more."""
        for selector in (self._all, self._servers):
            descriptors.drop(selector.fileno())  # type: ignore[attr-defined]
            selector.close()

    def _part(self, apart: bool) -> None:
        if apart and not self._are_apart:
            self._all.unregister(self._door)
        elif self._are_apart and not apart:
            self._all.register(self._door, selectors.EVENT_READ, lambda: _call(self._servers, 0))
        self._are_apart = apart


def _call(selector: selectors.BaseSelector, seconds: float | None) -> None:
    for key, _ in selector.select(seconds):
        key.data()
