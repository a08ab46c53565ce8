"""The output of running jobs, for whoever follows it: asked for piece by piece, and kept here until the job's outcome brings all of it.

`Feeds` belongs to one cluster. The reactor thread brings what has come, any other thread reads it; who reads slowly gets more at a time.
What is kept of a job is never more than its outcome will bring.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from dispytw.client.job import DispyJob
from dispytw.client.output import Piece, Reader
from dispytw.wire.jobframes import Wrote

#: Bytes that are kept of one output; nodes keep less.
MOST = 16 * 1024 * 1024
#: Seconds after which a reader looks whether waiting still makes sense.
_LOOK = 1.0

#: Asks for what a job writes behind these positions, of outputs that are stderr or not.
Ask = Callable[[bytes, Sequence[tuple[bool, int]]], None]


@attrs.define(eq=False)
class _Feed:
    """What one job has written, as far as it has come.

    :ivar attempt: which of its attempts, 0 before any has written.
    """

    attempt: int = 0
    readers: list[Reader] = attrs.field(factory=list)
    written: dict[bool, bytearray] = attrs.field(factory=lambda: {False: bytearray(), True: bytearray()})

    def positions(self) -> list[tuple[bool, int]]:
        """What to ask for next."""
        return [(is_stderr, len(written)) for is_stderr, written in self.written.items()]

    def begin(self, attempt: int) -> None:
        """Another attempt: what an earlier one wrote is forgotten."""
        self.attempt = attempt
        for written in self.written.values():
            written.clear()


class Feeds:
    """The outputs of a cluster's jobs that somebody follows.

    :param ask: called in the reactor thread.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._changed = threading.Condition()
        self._feeds: dict[DispyJob, _Feed] = {}

    # The reactor thread.
    def follow(self, job: DispyJob) -> None:
        """Ask for what a job writes, if anybody wants to know; it runs now, or its node is back."""
        if job not in self._feeds:
            return
        with self._changed:
            feed = self._feeds.get(job)
            positions = feed.positions() if feed is not None else []
        if positions:
            self._ask(job._uid, positions)

    def follow_all(self) -> None:
        """Ask anew for everything: what was asked on a link that is gone is not told."""
        for job in list(self._feeds):
            self.follow(job)

    def wrote(self, job: DispyJob, wrote: Wrote) -> None:
        """Something has come."""
        with self._changed:
            feed = self._feeds.get(job)
            if feed is None:
                return
            if wrote.attempt.number != feed.attempt:
                feed.begin(wrote.attempt.number)
            written = feed.written[wrote.is_stderr]
            if wrote.position <= len(written) < MOST:
                written += wrote.data[len(written) - wrote.position :]
                self._changed.notify_all()
            position = len(written)
        self._ask(job._uid, [(wrote.is_stderr, position)])

    def retried(self, job: DispyJob) -> None:
        """An attempt has ended, and is not the last: nothing of the next one has been read."""
        with self._changed:
            feed = self._feeds.get(job)
            if feed is not None:
                feed.begin(0)
                for reader in feed.readers:
                    reader.begin(0)

    def settled(self, job: DispyJob) -> None:
        """A job has ended: its outcome has everything, also for who begins to listen now."""
        if job in self._feeds:
            with self._changed:
                self._feeds.pop(job, None)
                self._changed.notify_all()

    # Any thread.
    def listen(self, job: DispyJob, reader: Reader) -> None:
        """Somebody follows this job."""
        with self._changed:
            self._feeds.setdefault(job, _Feed()).readers.append(reader)

    def forget(self, job: DispyJob, reader: Reader) -> None:
        """Somebody follows it no longer."""
        with self._changed:
            feed = self._feeds.get(job)
            if feed is not None:
                feed.readers = [each for each in feed.readers if each is not reader]
                if not feed.readers:
                    del self._feeds[job]

    def read(self, job: DispyJob, reader: Reader) -> list[Piece]:
        """What is new to a reader."""
        with self._changed:
            return self._read(job, reader)

    def _read(self, job: DispyJob, reader: Reader) -> list[Piece]:
        outcome = job._outcome
        if outcome is not None:
            return reader.read(0, job._written_bytes("stdout"), job._written_bytes("stderr"), whole=True)
        feed = self._feeds.get(job)
        return reader.read(feed.attempt, feed.written[False], feed.written[True]) if feed is not None else []

    def stream(self, job: DispyJob, start: Callable[[], Any], is_over: Callable[[], bool]) -> Iterator[str]:
        """The text of a job as it comes, until it has ended.

        :param start: called once somebody listens.
        :param is_over: whether nothing will ever come any more.
        """
        reader = Reader()
        self.listen(job, reader)
        try:
            start()
            while True:
                with self._changed:
                    ended = job._outcome is not None
                    pieces = self._read(job, reader)
                    if not pieces and not ended:
                        self._changed.wait(_LOOK)
                        ended = is_over()
                for text, _ in pieces:
                    yield text
                if ended:
                    return
        finally:
            self.forget(job, reader)
