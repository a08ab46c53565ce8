"""The end of a program waits for its jobs.

atexit is too late for callbacks, and from Python 3.12 on no thread may start once the main thread has ended: so a non-daemon thread
that exists from the first cluster on waits for the main thread, and then for the jobs. Ctrl-C while it waits ends the program
within two seconds, with exit code 130 and one line.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Protocol

#: Seconds that a program ended by Ctrl-C gives its jobs to be told.
LEAVING = 1.5


class Kept(Protocol):
    """What the keeper needs of the engine."""

    def unfinished(self) -> int:
        """Jobs without a final status."""

    def drain(self, given_up: threading.Event, seconds: float | None = None) -> None:
        """Wait for jobs and callbacks, or for the event, at most so many seconds."""

    def leave(self) -> None:
        """Settle and cancel what is left."""

    def shut(self) -> None:
        """Close clusters, stop the reactor."""


class Keeper:
    """Waits for the main thread, then for the jobs.

    :param kept: the engine.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._interrupted = threading.Event()
        self._drains = False
        self._main = threading.main_thread()
        self._take_interrupts()
        self._thread = threading.Thread(target=self._run, name="dispytw-keeper", daemon=False)
        self._thread.start()

    def _take_interrupts(self) -> None:
        if threading.current_thread() is not self._main:
            return
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        # The main thread is alive as long as its code runs: while it drains, threading has already marked it as ended.
        if self._main_runs():
            signal.default_int_handler(number, frame)
        self._interrupted.set()

    def _main_runs(self) -> bool:
        return self._main.is_alive() and not self._drains

    def _run(self) -> None:
        self._main.join()
        self._drains = True
        if not self._kept.unfinished():
            return self._kept.shut()
        if getattr(sys, "last_type", None) is KeyboardInterrupt:
            self._write(f"{self._kept.unfinished()} jobs unfinished, Ctrl-C again to leave")
        self._kept.drain(self._interrupted)
        if not self._interrupted.is_set():
            return self._kept.shut()
        self._leave()

    def _leave(self) -> None:
        left = self._kept.unfinished()
        self._kept.leave()
        self._write(f"left with {left} jobs unfinished: those not sent are Cancelled ('never sent'), those sent were cancelled")
        self._kept.drain(threading.Event(), LEAVING)
        _flush()
        os._exit(130)

    @staticmethod
    def _write(line: str) -> None:
        sys.stderr.write(f"dispytw: {line}\n")
        sys.stderr.flush()


def _flush() -> None:
    """What the program has printed must not be lost because the process ends without unwinding."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or gone with whoever read it
