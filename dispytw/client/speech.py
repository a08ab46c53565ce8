"""How this package speaks to the user of a program: through the standard ``logging`` logger named ``dispytw``."""

from __future__ import annotations

import logging
import sys
from typing import Any

from twisted.logger import LogLevel, formatEvent, globalLogBeginner, globalLogPublisher

LOGGER = logging.getLogger("dispytw")

_LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.INFO,
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
    LogLevel.critical: logging.CRITICAL,
}


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever sys.stderr is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        raise AttributeError("the stream is sys.stderr")


def _observe(event: dict[str, Any]) -> None:
    """Bring what our modules log through Twisted, and whatever went wrong unseen, to the same logger."""
    ours = str(event.get("log_namespace", "")).startswith("dispytw.")
    if not ours and event["log_level"] is not LogLevel.critical:
        return
    level = _LEVELS.get(event["log_level"], logging.INFO)
    if LOGGER.isEnabledFor(level):
        failure = event.get("log_failure")
        trace = "" if failure is None else "\n" + failure.getTraceback().rstrip()
        LOGGER.log(level, "%s%s", formatEvent(event), trace)


def begin(in_app: bool = False) -> None:
    """Let messages reach standard error, unless the program has set up logging itself.

    :param in_app: whether the program runs Twisted, and so Twisted's logging, itself.
    """
    if not LOGGER.hasHandlers():
        stderr = _Stderr()
        stderr.setFormatter(logging.Formatter("%(asctime)s dispytw - %(message)s"))
        LOGGER.addHandler(stderr)
        LOGGER.propagate = False
    observer: Any = _observe
    if in_app:
        globalLogPublisher.addObserver(observer)
    else:
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def set_level(level: int) -> None:
    """Show messages of this ``logging`` level and above."""
    LOGGER.setLevel(level)
