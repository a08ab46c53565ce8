"""Runs a service in the foreground: log lines on standard error, ended by a signal."""

from __future__ import annotations

import sys
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)


def run(service: Any, reactor: Any, debug: bool = False) -> None:
    """Start the service, run the reactor until it is stopped, stop the service.

    :param debug: log everything, not only what is worth a line.
    """
    level: Any = LogLevelFilterPredicate(LogLevel.debug if debug else LogLevel.info)
    written: Any = textFileLogObserver(sys.stderr)
    observer: Any = FilteringLogObserver(written, [level])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
