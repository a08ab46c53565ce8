"""A bar that shows how far a program has come: tqdm's where there is tqdm, a plain line on a terminal, nothing elsewhere."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

#: Seconds between two looks at what has ended, and between two lines.
LOOK = 0.1


class Bar(Protocol):
    """Something that shows progress."""

    def at(self, done: int, total: int | None) -> None:
        """So many are done, of so many, or of nobody knows how many."""

    def close(self) -> None:
        """That was all."""


class NoBar:
    """For whoever wants to see nothing."""

    def at(self, done: int, total: int | None) -> None:
        """See Bar."""

    def close(self) -> None:
        """See Bar."""


class Line:
    """One line on a terminal, written over and over.

    :param stream: the terminal.
    :param what: what is counted, in a word or two.
    """

    def __init__(self, stream: Any, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._what = what
        self._clock = clock
        self._began = clock()
        self._next = 0.0
        self._last = ("", "")

    def at(self, done: int, total: int | None) -> None:
        """See Bar."""
        now = self._clock()
        rate = f", {done / (now - self._began):.1f}/s" if done and now > self._began else ""
        self._last = (f"{self._what}: {done}{'' if total is None else f'/{total}'}", rate)
        if now >= self._next:
            self._next = now + LOOK
            self._show("")

    def _show(self, end: str) -> None:
        # Back to the beginning of the line, and nothing left of what stood there.
        self._stream.write(f"\r{''.join(self._last)}\x1b[K{end}")
        self._stream.flush()

    def close(self) -> None:
        """See Bar."""
        if self._last[0]:
            self._show("\n")


class Tqdm:
    """A bar of tqdm's.

    :param bar: made without a total.
    """

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def at(self, done: int, total: int | None) -> None:
        """See Bar."""
        if total != self._bar.total:
            self._bar.total = total
            self._bar.refresh()
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """See Bar."""
        self._bar.close()


def progress_bar(wanted: bool, what: str, unit: str) -> Bar:
    """The bar for a user who wants one, or not.

    :param what: stands before it.
    :param unit: what is counted.
    :raises TypeError: when ``wanted`` is neither True nor False.
    """
    if not isinstance(wanted, bool):
        raise TypeError(f"progress must be True or False, not {wanted!r}")
    if not wanted:
        return NoBar()
    tqdm = _tqdm()
    if tqdm is not None:
        return Tqdm(tqdm(desc=what, unit=f" {unit}", disable=None))  # None: where nobody looks, nothing is shown
    stream = sys.stderr
    return Line(stream, f"{what}: {unit}") if stream is not None and stream.isatty() else NoBar()


def _tqdm() -> Any:
    try:
        return importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return None


def wait_showing(wait: Callable[[float | None], bool], count: Callable[[], tuple[int, int]], timeout: float | None, bar: Bar) -> bool:
    """Wait, and show how many have ended meanwhile.

    :param wait: waits so many seconds; whether it is over.
    :param count: how many have ended, and of how many.
    """
    if isinstance(bar, NoBar):
        return wait(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            left = LOOK if deadline is None else min(LOOK, max(0.0, deadline - time.monotonic()))
            over = wait(left)
            bar.at(*count())
            if over or (deadline is not None and time.monotonic() >= deadline):
                return over
    finally:
        bar.close()
