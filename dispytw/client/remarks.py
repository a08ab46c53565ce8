"""What a program's callbacks hear of its running jobs, in order: provisional results before the end, and what jobs write.

A job's provisional results wait for the callback thread here; when too many do, their jobs wait for an answer, and memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.client.feeds import Feeds
from dispytw.client.job import DispyJob
from dispytw.client.output import Reader
from dispytw.client.snapshot import JobSnapshot
from dispytw.values import Body

#: Provisional results that may wait for the callback before jobs wait too, and their bytes.
MOST_WAITING = 100
MOST_BYTES = 32 * 1024 * 1024

#: Called with a job, what it has written, and whether that was to stderr.
Stream = Callable[[DispyJob, str, bool], Any]


class Callbacks(Protocol):
    """Calls what the program gave us."""

    def call(self, function: Callable[[DispyJob], Any], job: DispyJob, then: Callable[[], Any] = ...) -> None:
        """On the callback thread, one after another; ``then`` afterwards, in the reactor thread."""


class Remarks:
    """The callbacks of one cluster's running jobs. Everything here is called in the reactor thread.

    :param callback: called with a job that has a provisional result, or None.
    :param stream: called with what a job has written, or None.
    """

    def __init__(
        self, callback: Callable[[DispyJob], Any] | None, stream: Stream | None, feeds: Feeds, callbacks: Callbacks
    ) -> None:
        self._callback = callback
        self._stream = stream
        self._feeds = feeds
        self._callbacks = callbacks
        self._waiting = 0
        self._bytes = 0
        self._readers: dict[DispyJob, Reader] = {}
        self._called: dict[DispyJob, bool] = {}

    # Provisional results.
    def heard(
        self, job: DispyJob, body: Body, status: Callable[[DispyJob], Any] | None = None
    ) -> Deferred[None] | None:
        """A job has a provisional result; fires when there is room for another, at once if there is no Deferred.

        :param status: called with the job after the callback, as the callback is.
        """
        job._said(body)
        functions = [each for each in (self._callback, status) if each is not None]
        if not functions:
            return None
        room: Deferred[None] | None = None
        if self._waiting >= MOST_WAITING or self._bytes + body.size > MOST_BYTES:
            room = Deferred()
        self._waiting += 1
        self._bytes += body.size

        def late(function: Callable[[DispyJob], Any]) -> Callable[[DispyJob], Any]:
            @wraps(getattr(function, "func", function))  # so that a log names the user's own
            def call(job: DispyJob) -> None:
                function(job if job._provisional is body else JobSnapshot(job, body))

            return call

        def called() -> None:
            self._waiting -= 1
            self._bytes -= body.size
            if room is not None:
                room.callback(None)

        for function in functions[:-1]:
            self._callbacks.call(late(function), job)
        self._callbacks.call(late(functions[-1]), job, called)
        return room

    # Output.
    def running(self, job: DispyJob) -> None:
        """A job runs: what it writes is followed if anybody wants to know."""
        if self._stream is not None and job not in self._readers:
            self._readers[job] = reader = Reader()
            self._feeds.listen(job, reader)
        self._feeds.follow(job)

    def wrote(self, job: DispyJob) -> None:
        """A job has written something; one call brings all that has come until it is made."""
        if job not in self._readers:
            return
        self._called[job] = job in self._called  # if a call is on its way, it may have read already
        if not self._called[job]:
            self._call(job, self._readers[job])

    def settled(self, job: DispyJob) -> None:
        """A job has ended: what was not told of its output is told, then its end."""
        self._feeds.settled(job)
        if self._stream is None:
            return
        reader = self._readers.pop(job, None) or Reader()
        self._called.pop(job, None)
        if job._written_bytes("stdout") or job._written_bytes("stderr"):
            self._call(job, reader)

    def _call(self, job: DispyJob, reader: Reader) -> None:
        stream = self._stream
        assert stream is not None

        def call(job: DispyJob) -> None:
            for text, is_stderr in self._feeds.read(job, reader):
                stream(job, text, is_stderr)

        self._callbacks.call(call, job, lambda: self._returned(job))

    def _returned(self, job: DispyJob) -> None:
        if self._called.pop(job, False):
            self.wrote(job)
