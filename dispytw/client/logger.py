"""dispy.logger: what this package, and programs that like to, say through the standard ``logging`` logger named ``dispytw``.

dispy's logger is no ``logging.Logger``: it has the levels as attributes, and ``log`` takes no level. Both ways of using it work here, and
the program's own ``logging`` configuration counts. Without one, what is said goes to standard error.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

LOGGER = logging.getLogger("dispytw")

_FORMAT = "%(asctime)s dispytw - %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S"


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


STDERR = _Stderr()
STDERR.setFormatter(logging.Formatter(_FORMAT))


def reach_stderr() -> None:
    """Let messages reach standard error, unless the program has set up logging itself."""
    if not LOGGER.hasHandlers():
        LOGGER.addHandler(STDERR)
        LOGGER.propagate = False


class Logger:
    """dispy's logger, by the methods of both dispy's and Python's.

    :ivar name: of the ``logging`` logger behind it.
    """

    DEBUG = logging.DEBUG
    INFO = logging.INFO
    WARN = WARNING = logging.WARNING
    ERROR = logging.ERROR
    CRITICAL = FATAL = logging.CRITICAL

    name = LOGGER.name

    @property
    def level(self) -> int:
        """The level below which nothing is shown."""
        return LOGGER.getEffectiveLevel()

    def setLevel(self, level: int) -> None:
        """Show messages of this level and above: one of ours, or of ``logging``'s, which are the same numbers."""
        LOGGER.setLevel(level)

    def log(self, message: Any, *args: Any) -> None:
        """Say something whatever the level; with a level in front, as ``logging`` has it, at that level."""
        reach_stderr()
        if isinstance(message, int) and args:
            LOGGER.log(message, *args)
        else:
            LOGGER.handle(LOGGER.makeRecord(self.name, max(self.level, logging.INFO), "", 0, message, args, None))

    def show_ms(self, flag: bool) -> None:
        """Whether times have milliseconds."""
        STDERR.setFormatter(logging.Formatter(_FORMAT, None if flag else _DATE))

    def flush(self) -> None:
        """Nothing is held back."""

    def __getattr__(self, name: str) -> Any:
        """debug, info, warn, warning, error, critical, fatal, exception, and what else a ``logging.Logger`` has."""
        if name in ("debug", "info", "warn", "warning", "error", "critical", "fatal", "exception"):
            reach_stderr()
        return LOGGER.warning if name == "warn" else getattr(LOGGER, name)


logger = Logger()
