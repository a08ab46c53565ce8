"""Keeps other processes of the same user out of the daemon's memory and /proc files, where the platform can."""

from __future__ import annotations

import ctypes
import sys

from twisted.logger import Logger

log = Logger()

_PR_SET_DUMPABLE = 4


def hide_process() -> None:
    """Make the process undumpable: no ptrace, no /proc/PID/environ or mem for processes without privileges (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warn("the daemon's memory stays readable for its user: prctl failed with {errno}", errno=ctypes.get_errno())
