"""How this package speaks to the user of a program: through the standard ``logging`` logger named ``dispytw``."""

from __future__ import annotations

import logging
from typing import Any

from twisted.logger import LogLevel, formatEvent, globalLogBeginner, globalLogPublisher

from dispytw.client.logger import LOGGER, reach_stderr

__all__ = ["LOGGER", "begin", "set_level"]

_LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.INFO,
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
    LogLevel.critical: logging.CRITICAL,
}


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
    reach_stderr()
    observer: Any = _observe
    if in_app:
        globalLogPublisher.addObserver(observer)
    else:
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def set_level(level: int) -> None:
    """Show messages of this ``logging`` level and above."""
    LOGGER.setLevel(level)
