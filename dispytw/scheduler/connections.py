"""The mouth of scheduling: the AMP class for a node at the other end. It translates and decides nothing."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger
from twisted.python.failure import Failure

from dispytw.errors import SourceError, VersionError
from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.values import INLINE_LIMIT, Attempt, Body, Computation, File, Inline, NodeFacts, Stored
from dispytw.wire import nodecommands as ask
from dispytw.wire import schedulercommands as tell
from dispytw.wire.clock import Waker
from dispytw.wire.heartbeat import Heartbeats
from dispytw.wire.jobframes import Follow
from dispytw.wire.records import (
    BATCH_BYTES,
    attempt_from,
    attempts_with,
    availability_from,
    body_weight,
    computation_record,
    file_record,
    limits_record,
    minor_from,
    outcome_from,
)
from dispytw.wire.remarkrecords import follow_record, remarks_from, wrotes_from
from dispytw.wire.streams import Sinks, StreamingLink, Streams

log = Logger()

NO_TIMEOUTS: Mapping[Attempt, float] = MappingProxyType({})


@attrs.frozen
class Introduction:
    """What a scheduler says of itself on each new link.

    :param version: dispytw's version.
    :param name: who this is, for people at the node: ``user@host (pid 123)``.
    :param heartbeat: seconds between two signs of life.
    :param pulse: seconds after which the node is to tell, again and again, how busy it is; 0 for never.
    """

    version: str
    name: str
    heartbeat: float
    pulse: float = 0.0

    @property
    def python(self) -> list[int]:
        """(major, minor) of this interpreter."""
        return [int(part) for part in platform.python_version_tuple()[:2]]


class LinkEnds(Protocol):
    """Who wants to know how a link to a node begins and ends, besides the dispatcher."""

    def link_introduced(self, link: ConnectionFromNode, facts: NodeFacts, holder: str) -> None:
        """The node has said what it is."""

    def link_refused(self, link: ConnectionFromNode, error: Exception) -> None:
        """The node does not work with us."""

    def link_ended(self, link: ConnectionFromNode) -> None:
        """The link is gone."""


class ConnectionFromNode(StreamingLink):
    """A node is at the other end: asks what the dispatcher wants, answers what the node tells.

    :param uid: the node's uid, as the greeting proved it.
    """

    def __init__(
        self,
        uid: bytes,
        dispatcher: Dispatcher,
        introduction: Introduction,
        ends: LinkEnds,
        sinks: Sinks,
        clock: Waker,
        now: Callable[[], float],
    ) -> None:
        super().__init__(now=now)
        self.uid = uid
        self.streams = Streams(self, sinks)
        self._dispatcher = dispatcher
        self._introduction = introduction
        self._ends = ends
        self._clock = clock
        self._now = now
        self._heartbeats: Heartbeats | None = None
        self._introduced = False

    # The link's life.
    def link_opened(self) -> None:
        """Say who we are; nothing else is said before the node has answered."""
        self._introduce().addCallback(self._introduced_to).addErrback(self._not_introduced)

    def _introduce(self) -> Deferred[dict[str, Any]]:
        me = self._introduction
        if self._heartbeats is not None:
            self._heartbeats.stop()
        self._heartbeats = Heartbeats(self._clock, self._now, self, me.heartbeat)
        return self.ask(
            ask.Introduce, version=me.version, python=me.python, name=me.name, heartbeat=me.heartbeat, pulse=me.pulse
        )

    def quicken(self, heartbeat: float, pulse: float = 0.0) -> None:
        """A cluster wants signs of life, or words about how busy the node is, more often than was agreed."""
        me = self._introduction
        more = heartbeat < me.heartbeat or (pulse and not 0.0 < me.pulse <= pulse)
        if self._introduced and more:
            self._introduction = attrs.evolve(me, heartbeat=min(heartbeat, me.heartbeat), pulse=pulse or me.pulse)
            self._introduce().addErrback(lambda failure: self._dispatcher.unexpected(failure, self))

    def _introduced_to(self, answer: dict[str, Any]) -> None:
        facts = NodeFacts(
            uid=self.uid,
            incarnation=answer["incarnation"],
            name=answer["name"],
            cpus=answer["cpus"],
            platform=answer["platform"],
            python=minor_from(answer["python"]) or (0, 0),
            version=answer["version"],
            pid=answer["pid"],
            available=availability_from(answer["available"]),
        )
        self._introduced = True
        self._dispatcher.joined(self, facts)
        self._ends.link_introduced(self, facts, answer["holder"])

    def _not_introduced(self, failure: Any) -> None:
        if failure.check(VersionError):
            self._ends.link_refused(self, failure.value)
        elif not failure.check(ConnectionClosed):
            log.failure("node {node} could not be introduced", failure, node=self.uid.hex()[:8])
        self.drop("the node did not introduce itself")

    def link_lost(self, reason: Any) -> None:
        """The link is gone."""
        if self._heartbeats is not None:
            self._heartbeats.stop()
        self.streams.link_lost(reason)
        if self._introduced:
            self._dispatcher.left(self, self.uid)
        self._ends.link_ended(self)

    def drop(self, reason: str) -> None:
        """Close the link at once; whoever dialled it dials again."""
        log.info("closing the link to node {node}: {reason}", node=self.uid.hex()[:8], reason=reason)
        self.abort()

    def give_sign(self) -> None:
        """Say that we are here."""
        self.tell(tell.Heartbeat)

    def fall_silent(self) -> None:
        """The node has been silent for too long."""
        self.drop("it has been silent for five heartbeats")

    # What the dispatcher wants.
    def reconcile(self, attempts: Sequence[tuple[Attempt, int, int]]) -> Deferred[tuple[list[tuple[Attempt, str]], dict[bytes, int]]]:
        """See `dispytw.scheduler.neighbours.NodeLink`."""

        def answered(answer: dict[str, Any]) -> tuple[list[tuple[Attempt, str]], dict[bytes, int]]:
            words = attempts_with(answer["attempts"], str)
            return words, dict(answer["computations"])

        records = [[attempt.job, attempt.number, *given] for attempt, *given in attempts]
        return self.ask(ask.Reconcile, attempts=records).addCallback(answered)

    def open_computation(self, computation: Computation) -> Deferred[list[bytes]]:
        """See `dispytw.scheduler.neighbours.NodeLink`."""
        asked = self.ask(ask.OpenComputation, computation=computation_record(computation))
        return asked.addCallback(lambda answer: list(answer["missing"]))

    def close_computation(self, computation: bytes) -> Deferred[None]:
        """See `dispytw.scheduler.neighbours.NodeLink`."""
        return self.ask(ask.CloseComputation, computation=computation).addCallback(_nothing)

    def place_files(self, computation: bytes, files: Sequence[File], attempt: Attempt | None = None) -> Deferred[list[bytes]]:
        """See `dispytw.scheduler.outfitting.FilesLink`."""
        whose = [] if attempt is None else [[attempt.job, attempt.number]]
        records = [file_record(file) for file in files]
        asked = self.ask(ask.PlaceFiles, computation=computation, attempt=whose, files=records)
        return asked.addCallback(lambda answer: list(answer["missing"]))

    def send_file(self, digest: bytes, body: Body) -> Deferred[Any]:
        """See `dispytw.scheduler.outfitting.FilesLink`."""
        return self.streams.send(body, kind=digest, digest=digest).addErrback(_naming, body)

    def send_body(self, body: Body) -> Deferred[bytes]:
        """See `dispytw.scheduler.neighbours.NodeLink`."""
        return self.streams.send(body)

    def run_jobs(
        self,
        computation: bytes,
        generation: int,
        jobs: Sequence[tuple[Attempt, Body, bytes | None]],
        timeouts: Mapping[Attempt, float] = NO_TIMEOUTS,
    ) -> Deferred[list[tuple[Attempt, str]]]:
        """See `dispytw.scheduler.neighbours.NodeLink`; more than fits one box goes in several."""
        refused: list[tuple[Attempt, str]] = []

        def answered(answer: dict[str, Any]) -> None:
            refused.extend(attempts_with(answer["refused"], str))

        asked = [
            self.ask(ask.RunJobs, computation=computation, generation=generation, jobs=batch).addCallback(answered)
            for batch in _batches(jobs, timeouts)
        ]
        return gatherResults(asked, consumeErrors=True).addErrback(_first).addCallback(lambda _: refused)

    def take_over(self, computation: bytes, token: bytes) -> Deferred[bool]:
        """Have what this node has of a computation, whose client is gone; gives whether it has anything.

        Fails with `RefusedError` for a wrong token, or when that client is not gone.
        """
        asked = self.ask(ask.TakeOver, computation=computation, token=token)
        return asked.addCallback(lambda answer: bool(answer["known"]))

    def list_jobs(self, computation: bytes) -> Deferred[list[Attempt]]:
        """The attempts of a computation that have begun on the node, as the node sees it, and not ended."""
        asked = self.ask(ask.ListJobs, computation=computation)
        return asked.addCallback(lambda answer: [attempt_from(record) for record in answer["attempts"]])

    def cancel_jobs(self, attempts: Sequence[Attempt]) -> Deferred[None]:
        """See `dispytw.scheduler.neighbours.NodeLink`."""
        records = [[attempt.job, attempt.number] for attempt in attempts]
        return self.ask(ask.CancelJobs, attempts=records).addCallback(_nothing)

    def recall_jobs(self, computation: bytes, most: int) -> Deferred[None]:
        """See `dispytw.scheduler.neighbours.NodeLink`."""
        return self.ask(ask.RecallJobs, computation=computation, most=most).addCallback(_nothing)

    def answer_jobs(self, answers: Sequence[list[Any]]) -> Deferred[None]:
        """See `dispytw.scheduler.earshot.SpeakingLink`."""
        return self.ask(ask.AnswerJobs, answers=list(answers)).addCallback(_nothing)

    def follow_jobs(self, outputs: Sequence[Follow]) -> Deferred[None]:
        """See `dispytw.scheduler.earshot.SpeakingLink`."""
        return self.ask(ask.FollowJobs, outputs=[follow_record(each) for each in outputs]).addCallback(_nothing)

    # What the node tells.
    @tell.ComputationReady.responder
    def computation_ready(self, computation: bytes, generation: int) -> dict[str, Any]:
        self._dispatcher.ready(self.uid, computation, generation)
        return {}

    @tell.ComputationFailed.responder
    def computation_failed(self, computation: bytes, generation: int, text: str) -> dict[str, Any]:
        self._dispatcher.failed(self.uid, computation, generation, text)
        return {}

    @tell.JobsStarted.responder
    def jobs_started(self, jobs: list[Any]) -> dict[str, Any]:
        self._dispatcher.started(self.uid, attempts_with(jobs, float))
        return {}

    @tell.JobsEnded.responder
    def jobs_ended(self, jobs: list[Any]) -> dict[str, Any] | Deferred[dict[str, Any]]:
        ended = attempts_with(jobs, lambda record: outcome_from(record, self.streams.take))
        kept = self._dispatcher.ended(self.uid, ended)
        return {} if kept is None else kept.addCallback(lambda _: {})

    @tell.JobsGivenBack.responder
    def jobs_given_back(self, jobs: list[Any]) -> dict[str, Any]:
        self._dispatcher.given_back(self.uid, [attempt_from(record) for record in jobs])
        return {}

    @tell.JobsRemarked.responder
    def jobs_remarked(self, remarks: list[Any]) -> dict[str, Any]:
        self._dispatcher.remarked(self.uid, remarks_from(remarks))
        return {}

    @tell.JobsWrote.responder
    def jobs_wrote(self, outputs: list[Any]) -> dict[str, Any]:
        self._dispatcher.wrote(self.uid, wrotes_from(outputs))
        return {}

    @tell.NodeFreed.responder
    def node_freed(self) -> dict[str, Any]:
        self._dispatcher.freed(self.uid)
        return {}

    @tell.NodeAvailable.responder
    def node_available(self, available: list[Any]) -> dict[str, Any]:
        self._dispatcher.available(self.uid, availability_from(available))
        return {}

    @tell.Heartbeat.responder
    def heartbeat(self) -> dict[str, Any]:
        return {}


def _batches(
    jobs: Sequence[tuple[Attempt, Body, bytes | None]], timeouts: Mapping[Attempt, float] = NO_TIMEOUTS
) -> list[list[Any]]:
    batches: list[list[Any]] = [[]]
    weight = 0
    for attempt, body, stream in jobs:
        carried = 0 if stream else body_weight(body)
        if batches[-1] and weight + carried > BATCH_BYTES:
            batches.append([])
            weight = 0
        assert stream is not None or (isinstance(body, Inline) and body.size <= INLINE_LIMIT)
        record = [stream, body.size] if stream is not None else body.data  # type: ignore[union-attr]
        batches[-1].append([attempt.job, attempt.number, record, *limits_record(timeouts.get(attempt))])
        weight += carried
    return batches


def _naming(failure: Failure, body: Body) -> Failure:
    """The failure, with the name of the file where that is to blame."""
    if failure.check(SourceError) and isinstance(body, Stored):
        return Failure(SourceError(f"{body.path}: {failure.value}"))
    return failure


def _first(failure: Failure) -> Failure:
    """The failure of the one that failed first, without gatherResults' wrapping."""
    failure.trap(FirstError)
    return failure.value.subFailure  # type: ignore[no-any-return, union-attr, unused-ignore]


def _nothing(_: Any) -> None:
    return None
