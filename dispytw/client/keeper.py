"""The end of a program waits for its jobs.

atexit is too late for callbacks, and from Python 3.12 on no thread may start once the main thread has ended: so a non-daemon thread
that exists from the first cluster on waits for the main thread, and then for the jobs and whatever thread of the program may still
submit some. Ctrl-C while it waits ends the program within two seconds, with exit code 130 and one line.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

#: Seconds that a program ended by Ctrl-C gives its jobs to be told.
LEAVING = 1.3
#: Seconds after which it ends whatever holds it up: a callback that fills a pipe nobody reads, say.
INSISTING = 1.6
#: What the main thread runs when its own code is over; an exception there would end the process without waiting for anybody.
_SHUTDOWN: Any = getattr(getattr(threading, "_shutdown", None), "__code__", None)
#: Seconds between two looks whether a thread of the program has ended.
_LOOK = 0.05


class Kept(Protocol):
    """What the keeper needs of the engine."""

    def unfinished(self) -> int:
        """Jobs without a final status."""

    def drain(self, given_up: threading.Event, seconds: float | None = None) -> None:
        """Wait for jobs and callbacks, or for the event, at most so many seconds."""

    def leave(self) -> str:
        """Settle what was not sent; what becomes of what was, for the user."""

    def shut(self) -> None:
        """Close clusters, or leave them, and stop the reactor."""


class Keeper:
    """Waits for the main thread, then for the jobs.

    :param kept: the engine.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._interrupted = threading.Event()
        self._drains = False
        self._main = threading.main_thread()
        self._shielded = self._deferred = False
        self._heard = self._handled = 0
        self._written: socket.socket | None = None
        signals = self._take_interrupts()
        self._thread = threading.Thread(target=self._run, name="dispytw-keeper", daemon=False)
        self._thread.start()
        threading.Thread(target=self._insist, name="dispytw-leaving", daemon=True).start()
        if signals is not None:
            threading.Thread(target=self._listen, args=(signals,), name="dispytw-signals", daemon=True).start()

    def _take_interrupts(self) -> socket.socket | None:
        """Handle Ctrl-C, unless the program does; returns what every signal's number can be read from."""
        if threading.current_thread() is not self._main:
            return None
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return None
        signal.signal(signal.SIGINT, self._on_interrupt)
        ours, written = socket.socketpair()
        written.setblocking(False)
        earlier = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        if earlier != -1:
            signal.set_wakeup_fd(earlier)
            return None
        self._written = written
        return ours

    def forget_signals(self) -> None:
        """In a forked copy of this process: its signals are not ours."""
        if self._written is not None:
            wakeup = signal.set_wakeup_fd(-1)
            if wakeup != self._written.fileno():
                signal.set_wakeup_fd(wakeup)
            self._written.close()

    def _listen(self, signals: socket.socket) -> None:
        """Count the Ctrl-Cs that have come; each is counted here at once, and by the handler when the main thread runs or wakes."""
        while number := signals.recv(1):
            if number[0] == signal.SIGINT:
                self._heard += 1
                self._look_for_interrupts()

    def _look_for_interrupts(self) -> None:
        """One that comes just before the main thread goes to sleep for good wakes it only with the next; it was heard all the same."""
        ours = signal.getsignal(signal.SIGINT) == self._on_interrupt
        if self._drains and ours and self._heard > self._handled:
            self._interrupted.set()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._handled += 1
        if not self._main_runs() or _ends(frame):
            self._interrupted.set()
        elif self._shielded:
            self._deferred = True
        else:
            signal.default_int_handler(number, frame)

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Ctrl-C in the main thread raises KeyboardInterrupt before or after what is done meanwhile, and not in its midst."""
        if threading.get_ident() != self._main.ident:
            yield
            return
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
            if self._deferred:
                self._deferred = False
                raise KeyboardInterrupt

    def _main_runs(self) -> bool:
        """The main thread is alive as long as its code runs: when Python waits for others, it has already marked it as ended."""
        return self._main.is_alive() and not self._drains

    def _run(self) -> None:
        self._main.join()
        self._drains = True
        self._look_for_interrupts()
        left = self._kept.unfinished()
        if left and getattr(sys, "last_type", None) is KeyboardInterrupt:
            self._write(f"{left} jobs unfinished, Ctrl-C again to leave")
        self._wait_for_threads()
        self._kept.drain(self._interrupted)
        if not self._interrupted.is_set():
            return self._kept.shut()
        self._leave()

    def _wait_for_threads(self) -> None:
        """Python waits for threads that are no daemons; as long as there is one, it may submit."""
        while not self._interrupted.is_set():
            living = [thread for thread in threading.enumerate() if thread.is_alive() and not thread.daemon]
            others = [thread for thread in living if thread is not self._thread]
            if not others:
                return
            others[0].join(_LOOK)

    def _insist(self) -> None:
        self._interrupted.wait()
        time.sleep(INSISTING)
        os._exit(130)

    def _leave(self) -> None:
        left = self._kept.unfinished()
        sent = self._kept.leave()
        self._write(f"left with {left} jobs unfinished: those not sent are Cancelled ('never sent'), {sent}")
        self._kept.drain(threading.Event(), LEAVING)
        _flush()
        self._kept.shut()
        atexit._run_exitfuncs()  # a private node ends there
        _flush()
        os._exit(130)

    @staticmethod
    def _write(line: str) -> None:
        sys.stderr.write(f"dispytw: {line}\n")
        sys.stderr.flush()


def _ends(frame: FrameType | None) -> bool:
    """Whether Python is about to wait for other threads, or does."""
    while frame is not None:
        if frame.f_code is _SHUTDOWN:
            return True
        frame = frame.f_back
    return False


def _flush() -> None:
    """What the program has printed must not be lost because the process ends without unwinding."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or gone with whoever read it
