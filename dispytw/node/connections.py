"""The mouth of a node: the AMP class for whoever schedules at the other end. It translates and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from dispytw.errors import VersionError, WireError
from dispytw.node.availability import Pulse
from dispytw.node.steward import Steward
from dispytw.values import Attempt, Availability, Body, NodeFacts, Outcome
from dispytw.wire import nodecommands as ask
from dispytw.wire import schedulercommands as tell
from dispytw.wire.clock import Waker
from dispytw.wire.heartbeat import Heartbeats
from dispytw.wire.jobframes import Remark, Wrote
from dispytw.wire.records import (
    BATCH_BYTES,
    attempt_from,
    attempts_with,
    availability_record,
    beliefs_from,
    body_from,
    body_weight,
    computation_from,
    file_from,
    outcome_record,
    outcome_weight,
    timeouts_from,
)
from dispytw.wire.remarkrecords import answers_from, follows_from, remark_record, stream_kind, wrote_record
from dispytw.wire.streams import Sinks, StreamingLink, Streams

log = Logger()


class ConnectionFromScheduler(StreamingLink):
    """A client's own scheduler, or the shared one, is at the other end.

    :param client: its uid, as the greeting proved it.
    :param facts: what this node says of itself.
    :param availability: how busy this machine is now.
    """

    def __init__(
        self,
        client: bytes,
        steward: Steward,
        facts: NodeFacts,
        sinks: Sinks,
        clock: Waker,
        now: Callable[[], float],
        availability: Callable[[], Availability | None] = lambda: None,
    ) -> None:
        super().__init__(now=now)
        self.client = client
        self.local_host = ""
        self.streams = Streams(self, sinks)
        self._steward = steward
        self._facts = facts
        self._clock = clock
        self._now = now
        self._heartbeats: Heartbeats | None = None
        self._availability = availability
        self._pulse: Pulse | None = None

    # The link's life.
    def link_opened(self) -> None:
        """Wait to be spoken to."""
        self.local_host = str(getattr(self.transport.getHost(), "host", ""))

    def link_lost(self, reason: Any) -> None:
        """The link is gone."""
        if self._heartbeats is not None:
            self._heartbeats.stop()
        self._feel_pulse(0.0)
        self.streams.link_lost(reason)
        self._steward.detached(self.client, self)

    def drop(self, reason: str) -> None:
        """Close the link at once."""
        log.info("closing the link to client {client}: {reason}", client=self.client.hex()[:8], reason=reason)
        self.abort()

    def give_sign(self) -> None:
        """Say that we are here."""
        self.tell(tell.Heartbeat)

    def fall_silent(self) -> None:
        """The client has been silent for too long."""
        self.drop("it has been silent for five heartbeats")

    # What the scheduler asks.
    @ask.Introduce.responder
    def introduce(self, version: str, python: list[int], name: str, heartbeat: float, pulse: float) -> Deferred[dict[str, Any]]:
        if _major(version) != _major(self._facts.version):
            error = VersionError(f"this node runs dispytw {self._facts.version}, the client {version}: install the same on both")
            log.warn("refused {name} at {host}: {error}", name=name, host=self.peer_host, error=error)
            raise error
        first = self._heartbeats is None
        self._beat(min(max(heartbeat, 0.05), 600.0))
        self._feel_pulse(pulse)
        attached = self._steward.attached(self.client, name, self) if first else succeed(None)
        return attached.addCallbacks(lambda _: self._said_of_us(), self._unreadable)

    @staticmethod
    def _unreadable(failure: Any) -> Failure:
        log.failure("what is owed cannot be read", failure)
        return Failure(WireError(f"the node cannot read what it owes: {failure.value}"))

    def _said_of_us(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "incarnation": facts.incarnation,
            "name": facts.name,
            "cpus": facts.cpus,
            "platform": facts.platform,
            "python": list(facts.python),
            "version": facts.version,
            "pid": facts.pid,
            "holder": self._steward.bench.holder_name(),
            "available": availability_record(self._availability()),
        }

    def _feel_pulse(self, interval: float) -> None:
        """Tell how busy this machine is at this interval from now on; 0 for never."""
        if self._pulse is not None:
            self._pulse.stop()
        self._pulse = Pulse(self._clock, max(interval, 0.05), self._tell_available) if interval > 0 else None

    def _tell_available(self) -> None:
        self.tell(tell.NodeAvailable, available=availability_record(self._availability()))

    def _beat(self, interval: float) -> None:
        if self._heartbeats is not None:
            self._heartbeats.stop()
        self._heartbeats = Heartbeats(self._clock, self._now, self, interval)

    @ask.Reconcile.responder
    def reconcile(self, attempts: list[Any]) -> dict[str, Any]:
        words, ready = self._steward.reconcile(self.client, beliefs_from(attempts))
        return {
            "attempts": [[attempt.job, attempt.number, word] for attempt, word in words],
            "computations": [[uid, generation] for uid, generation in ready],
        }

    @ask.TakeOver.responder
    def take_over(self, computation: bytes, token: bytes) -> Deferred[dict[str, Any]]:
        if self._heartbeats is None:
            raise WireError("a client that has not introduced itself cannot take anything over")
        taken = self._steward.take_over(self.client, computation, token)
        return taken.addCallbacks(lambda known: {"known": int(known)}, self._unreadable)

    @ask.OpenComputation.responder
    def open_computation(self, computation: list[Any]) -> dict[str, Any]:
        if self._heartbeats is None:
            raise WireError("a client that has not introduced itself cannot hold the node")
        return {"missing": self._steward.open_computation(self.client, computation_from(computation))}

    @ask.PlaceFiles.responder
    def place_files(self, computation: bytes, attempt: list[Any], files: list[Any]) -> Deferred[dict[str, Any]]:
        whose = attempt_from(attempt[0]) if attempt else None
        placed = self._steward.placing.named(self.client, computation, [file_from(record) for record in files], whose)
        return placed.addCallback(lambda missing: {"missing": missing})

    @ask.CloseComputation.responder
    def close_computation(self, computation: bytes) -> dict[str, Any]:
        self._steward.close_computation(self.client, computation)
        return {}

    @ask.RunJobs.responder
    def run_jobs(self, computation: bytes, generation: int, jobs: list[Any]) -> dict[str, Any]:
        taken = attempts_with(jobs, lambda body: body_from(body, self.streams.take))
        refused = self._steward.run_jobs(self.client, computation, generation, taken, timeouts_from(jobs))
        return {"refused": [[attempt.job, attempt.number, reason] for attempt, reason in refused]}

    @ask.ListJobs.responder
    def list_jobs(self, computation: bytes) -> dict[str, Any]:
        running = self._steward.bench.running(self.client, computation)
        return {"attempts": [[attempt.job, attempt.number] for attempt in running]}

    @ask.CancelJobs.responder
    def cancel_jobs(self, attempts: list[Any]) -> dict[str, Any]:
        self._steward.cancel_jobs(self.client, [attempt_from(record) for record in attempts])
        return {}

    @ask.RecallJobs.responder
    def recall_jobs(self, computation: bytes, most: int) -> dict[str, Any]:
        self._steward.recall_jobs(self.client, computation, max(1, most))
        return {}

    @ask.AnswerJobs.responder
    def answer_jobs(self, answers: list[Any]) -> dict[str, Any]:
        self._steward.spokesman.answered(self.client, answers_from(answers))
        return {}

    @ask.FollowJobs.responder
    def follow_jobs(self, outputs: list[Any]) -> dict[str, Any]:
        self._steward.spokesman.follow(self.client, follows_from(outputs))
        return {}

    @tell.Heartbeat.responder
    def heartbeat(self) -> dict[str, Any]:
        return {}

    # What the steward tells.
    def send_body(self, body: Body) -> Deferred[bytes]:
        """See `dispytw.node.telling.ClientLink`."""
        return self.streams.send(body)

    def tell_ready(self, computation: bytes, generation: int) -> Deferred[Any]:
        """See `dispytw.node.telling.ClientLink`."""
        return self.tell(tell.ComputationReady, computation=computation, generation=generation)

    def tell_failed(self, computation: bytes, generation: int, text: str) -> Deferred[Any]:
        """See `dispytw.node.telling.ClientLink`."""
        return self.tell(tell.ComputationFailed, computation=computation, generation=generation, text=text[-30_000:])

    def tell_started(self, jobs: Sequence[tuple[Attempt, float]]) -> Deferred[Any]:
        """See `dispytw.node.telling.ClientLink`."""
        return self.tell(tell.JobsStarted, jobs=[[attempt.job, attempt.number, wall] for attempt, wall in jobs])

    def tell_ended(self, jobs: Sequence[tuple[Attempt, Outcome]], streams: dict[str, bytes]) -> list[Deferred[list[Attempt]]]:
        """See `dispytw.node.telling.ClientLink`; more than fits one box goes in several."""
        told = []
        for batch in _batches(jobs):
            records = [[attempt.job, attempt.number, outcome_record(outcome, streams)] for attempt, outcome in batch]
            attempts = [attempt for attempt, _ in batch]
            told.append(self.tell(tell.JobsEnded, jobs=records).addCallback(_kept, attempts))
        return told

    def tell_given_back(self, attempts: Sequence[Attempt]) -> Deferred[Any]:
        """See `dispytw.node.telling.ClientLink`."""
        return self.tell(tell.JobsGivenBack, jobs=[[attempt.job, attempt.number] for attempt in attempts])

    def send_remark(self, remark: Remark) -> Deferred[Any]:
        """See `dispytw.node.spokesman.HearingLink`."""
        return self.streams.send(remark.body, kind=stream_kind(remark.attempt, remark.number))

    def tell_remarked(self, remarks: Sequence[Remark]) -> Deferred[Any]:
        """See `dispytw.node.spokesman.HearingLink`."""
        weighed = [(remark_record(each), body_weight(each.body)) for each in remarks]
        return _all([self.tell(tell.JobsRemarked, remarks=batch) for batch in _cut(weighed)])

    def tell_wrote(self, outputs: Sequence[Wrote]) -> Deferred[Any]:
        """See `dispytw.node.spokesman.HearingLink`."""
        weighed = [(wrote_record(each), len(each.data)) for each in outputs]
        return _all([self.tell(tell.JobsWrote, outputs=batch) for batch in _cut(weighed)])

    def tell_freed(self) -> Deferred[Any]:
        """See `dispytw.node.telling.ClientLink`."""
        return self.tell(tell.NodeFreed)


def _batches(jobs: Sequence[tuple[Attempt, Outcome]]) -> list[list[tuple[Attempt, Outcome]]]:
    batches: list[list[tuple[Attempt, Outcome]]] = []
    weight = 0
    for pair in jobs:
        own = outcome_weight(pair[1])
        if not batches or weight + own > BATCH_BYTES:
            batches.append([])
            weight = 0
        batches[-1].append(pair)
        weight += own
    return batches


def _cut(weighed: Sequence[tuple[list[Any], int]]) -> list[list[Any]]:
    """Records, each with about how many bytes it takes, in boxes that they fit."""
    boxes: list[list[Any]] = []
    filled = 0
    for record, weight in weighed:
        if not boxes or filled + weight > BATCH_BYTES:
            boxes.append([])
            filled = 0
        boxes[-1].append(record)
        filled += weight
    return boxes


def _all(told: list[Deferred[Any]]) -> Deferred[Any]:
    """Fires when all do; fails with the failure of the one that fails first."""
    return gatherResults(told, consumeErrors=True).addErrback(_first)


def _first(failure: Any) -> Any:
    return failure.value.subFailure


def _kept(_: Any, attempts: list[Attempt]) -> list[Attempt]:
    return attempts


def _major(version: str) -> str:
    return version.split(".", 1)[0]
