"""What wakes us: the part of a reactor that minds' hands need. It never measures; time is `time.monotonic`, passed in beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Waker(Protocol):
    """A reactor, or `twisted.internet.task.Clock`."""

    def callLater(self, delay: float, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call after so many seconds; the result can be cancelled."""
