"""The hands of a node for running jobs that speak: carries their remarks and their output to their clients, and the answers back.

What of it is decided, `dispytw.node.remarks` decides. What gathers in a reactor turn for one client leaves together.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger, LogLevel

from dispytw.errors import StreamError, UnsafePathError
from dispytw.node import remarks as r
from dispytw.node.bench import Bench
from dispytw.values import Attempt, Body, Stored
from dispytw.wire.clock import Waker
from dispytw.wire.jobframes import FILE, REFUSED, Answer, Follow, JobFrame, Logged, Remark, Unsaid, Wrote
from dispytw.wire.paths import safe_parts

log = Logger()

#: Seconds for which a remark waits for a client that is away; when it has been away for longer, nobody waits for it.
AWAY = 30.0
#: Lines of one computation's jobs that are logged in a second.
MOST_LINES = 200


class HearingLink(Protocol):
    """What is needed of a link to a client."""

    def send_remark(self, remark: Remark) -> Deferred[Any]:
        """Stream the body of a remark."""

    def tell_remarked(self, remarks: Sequence[Remark]) -> Deferred[Any]:
        """Jobs say something."""

    def tell_wrote(self, outputs: Sequence[Wrote]) -> Deferred[Any]:
        """Jobs have written what was asked for."""

    def drop(self, reason: str) -> None:
        """Close the link."""


class Spokesman:
    """Speaks for running jobs.

    :param bench: knows whose they are.
    :param links: to clients that are there.
    :param say: says frames to the supervisor of a computation.
    :param begun: called before the first word about an attempt: that it runs is told first.
    :param clock: wakes us.
    :param now: monotonic seconds.
    :param max_file_size: bytes that a job's file may have; 0 for no limit.
    """

    def __init__(
        self,
        bench: Bench,
        links: Mapping[bytes, Any],
        say: Callable[[bytes, Sequence[JobFrame]], None],
        begun: Callable[[bytes, Attempt], None],
        clock: Waker,
        now: Callable[[], float],
        max_file_size: int = 0,
    ) -> None:
        self._bench = bench
        self._links = links
        self._say = say
        self._begun = begun
        self._clock = clock
        self._now = now
        self._remarks = r.Remarks(max_file_size)
        self._gone: dict[bytes, float] = {}
        self._outgoing: defaultdict[bytes, list[Remark | Wrote]] = defaultdict(list)
        self._flushing: Any = None
        self._lines: dict[bytes, tuple[int, int]] = {}

    # What supervisors say.
    def heard(self, computation: bytes, frame: JobFrame) -> None:
        """A supervisor says something about one of its jobs."""
        if isinstance(frame, Remark):
            self._remarked(computation, frame)
        elif isinstance(frame, Wrote):
            self._wrote(frame)
        elif isinstance(frame, Unsaid):
            self._do(self._remarks.unsaid(frame.attempt, frame.number))
        elif isinstance(frame, Logged):
            self._log(computation, frame)

    def _remarked(self, computation: bytes, remark: Remark) -> None:
        owner = self._bench.owner_of(remark.attempt)
        if owner is None:
            self._say(computation, [Answer(remark.attempt, remark.number, REFUSED, "this job is over")])
            return _delete(remark.body)
        client, _ = owner
        linked = client in self._links and client not in self._gone
        silence = 0.0 if linked else self._now() - self._gone.setdefault(client, self._now())
        if silence > AWAY:
            return self._do(self._remarks.refused(remark, f"the client has been away for {silence:.0f} s"))
        try:
            if remark.kind == FILE:
                safe_parts(remark.path)
        except UnsafePathError as error:
            return self._do(self._remarks.refused(remark, str(error)))
        self._do(self._remarks.remarked(remark, linked))

    def _wrote(self, wrote: Wrote) -> None:
        owner = self._bench.owner_of(wrote.attempt)
        if owner is not None and owner[0] in self._links:
            self._gather(owner[0], wrote)

    def _log(self, computation: bytes, line: Logged) -> None:
        second, count = self._lines.get(computation, (0, 0))
        count = count + 1 if second == int(self._now()) else 1
        self._lines = {each: lines for each, lines in self._lines.items() if lines[0] >= int(self._now())}
        self._lines[computation] = int(self._now()), count
        if count == MOST_LINES + 1:
            log.warn("jobs of {name} log more than {most} lines a second", name=self._bench.computation_name(computation), most=MOST_LINES)
        if count > MOST_LINES:
            return
        log.emit(
            _level(line.level),
            "{job} of {name} (computation {computation}): {text}",
            job="setup" if line.attempt is None else f"job {line.attempt}",
            name=self._bench.computation_name(computation),
            computation=computation.hex()[:8],
            text=line.text.replace("\n", "\n    "),
        )

    # What clients say.
    def answered(self, client: bytes, answers: Iterable[Answer]) -> None:
        """A client answers remarks of its jobs."""
        for each in answers:
            if self._is_of(client, each.attempt):
                self._do(self._remarks.answered(each.attempt, each.number, each.verdict, each.text))

    def follow(self, client: bytes, wanted: Iterable[Follow]) -> None:
        """A client wants to know what its jobs write."""
        for each in wanted:
            owner = self._bench.owner_of(each.attempt)
            if owner is not None and owner[0] == client:
                self._say(owner[1], [each])

    def _is_of(self, client: bytes, attempt: Attempt) -> bool:
        owner = self._bench.owner_of(attempt)
        return owner is not None and owner[0] == client

    def reconciled(self, client: bytes) -> None:
        """A client's link is open, and it knows what is here."""
        self._gone.pop(client, None)
        self._do(self._remarks.link_opened(self._attempts_of(client)))

    def detached(self, client: bytes) -> None:
        """A client's link is gone, or a new one has not reconciled yet."""
        known = set(self._bench.clients())
        self._gone = {each: since for each, since in self._gone.items() if each in known}
        self._gone[client] = self._now()
        self._outgoing.pop(client, None)
        self._do(self._remarks.link_lost(self._attempts_of(client)))

    def _attempts_of(self, client: bytes) -> list[Attempt]:
        return [attempt for attempt in self._remarks.attempts if self._is_of(client, attempt)]

    def ended(self, attempt: Attempt) -> None:
        """A job has ended."""
        self._do(self._remarks.ended(attempt))

    # Carrying out.
    def _do(self, orders: Iterable[r.Order]) -> None:
        for order in orders:
            if isinstance(order, r.Reply):
                self._reply(order.answer)
            elif isinstance(order, r.Discard):
                _delete(order.body)
            elif isinstance(order, r.Tell):
                self._tell(order.remark)
            else:
                self._send(order.remark)

    def _reply(self, answer: Answer) -> None:
        owner = self._bench.owner_of(answer.attempt)
        if owner is not None:
            self._say(owner[1], [answer])

    def _tell(self, remark: Remark) -> None:
        owner = self._bench.owner_of(remark.attempt)
        if owner is not None:
            self._begun(owner[0], remark.attempt)
            self._gather(owner[0], remark)

    def _gather(self, client: bytes, said: Remark | Wrote) -> None:
        self._outgoing[client].append(said)
        if self._flushing is None:
            self._flushing = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        outgoing, self._outgoing = self._outgoing, defaultdict(list)
        for client, said in outgoing.items():
            link = self._links.get(client)
            if link is None:
                continue
            remarks = [each for each in said if isinstance(each, Remark)]
            outputs = [each for each in said if isinstance(each, Wrote)]
            if remarks:
                link.tell_remarked(remarks).addErrback(self._unexpected, link)
            if outputs:
                link.tell_wrote(outputs).addErrback(self._unexpected, link)

    def _send(self, remark: Remark) -> None:
        owner = self._bench.owner_of(remark.attempt)
        link = None if owner is None else self._links.get(owner[0])
        if link is None:
            return

        def failed(failure: Any) -> None:
            if failure.check(StreamError):
                self._do(self._remarks.send_failed(remark.attempt, remark.number, str(failure.value)))
            else:
                self._unexpected(failure, link)

        link.send_remark(remark).addErrback(failed)

    @staticmethod
    def _unexpected(failure: Any, link: HearingLink) -> None:
        if not failure.check(ConnectionClosed):
            log.failure("a tell failed in a way that its command does not know", failure)
            link.drop("a tell failed")


def _delete(body: Body) -> None:
    if isinstance(body, Stored):
        try:
            os.unlink(body.path)
        except FileNotFoundError:
            pass  # the job has done so already


def _level(number: int) -> Any:
    """Twisted's level for one of the logging module's."""
    named = ((50, LogLevel.critical), (40, LogLevel.error), (30, LogLevel.warn), (20, LogLevel.info))
    return next((level for least, level in named if number >= least), LogLevel.debug)
