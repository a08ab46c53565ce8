"""What whoever schedules answers: a node's tells, and the sign of life that both ends give."""

from __future__ import annotations

from twisted.protocols import amp

from dispytw.errors import WireError
from dispytw.wire.arguments import Records, Text, Uid, Whole

__all__ = [
    *("ComputationFailed", "ComputationReady", "Heartbeat", "JobsEnded", "JobsGivenBack", "JobsRemarked", "JobsStarted", "JobsWrote"),
    *("NodeAvailable", "NodeFreed"),
]


class ComputationReady(amp.Command):
    """A node's supervisor has run setup(): jobs of this generation may come."""

    commandName = b"ComputationReady"
    arguments = [(b"computation", Uid()), (b"generation", Whole())]
    response = []
    errors = {WireError: b"WIRE"}


class ComputationFailed(amp.Command):
    """A node could not make the computation ready: its setup() failed, or its supervisor died. ``text`` says why."""

    commandName = b"ComputationFailed"
    arguments = [(b"computation", Uid()), (b"generation", Whole()), (b"text", Text())]
    response = []
    errors = {WireError: b"WIRE"}


class JobsStarted(amp.Command):
    """A node has begun attempts: [job, number, wall time]."""

    commandName = b"JobsStarted"
    arguments = [(b"jobs", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class JobsEnded(amp.Command):
    """Attempts have ended on a node: [job, number, outcome], the outcome as `dispytw.wire.records` writes it.

    The answer means that the outcomes are kept where they arrived: the node forgets them.
    """

    commandName = b"JobsEnded"
    arguments = [(b"jobs", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class JobsGivenBack(amp.Command):
    """Attempts, as [job, number], that waited on a node never started and never will there: the answer to `RecallJobs`, none included."""

    commandName = b"JobsGivenBack"
    arguments = [(b"jobs", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class JobsRemarked(amp.Command):
    """Running attempts say something, as [job, number, which remark, kind, path, body]; of a long body only the size.

    Answered at once. What becomes of a remark is the scheduler's to say, by `AnswerJobs`; until then the next of the same attempt waits.
    After a new link, what is unanswered is told again.
    """

    commandName = b"JobsRemarked"
    arguments = [(b"remarks", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class JobsWrote(amp.Command):
    """Running attempts have written what was asked for by `FollowJobs`: [job, number, whether to stderr, position, bytes]."""

    commandName = b"JobsWrote"
    arguments = [(b"outputs", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class NodeFreed(amp.Command):
    """The client that held a node has left it: whoever was turned away may open its computation again."""

    commandName = b"NodeFreed"
    arguments = []
    response = []
    errors = {WireError: b"WIRE"}


class NodeAvailable(amp.Command):
    """How busy a node is, as `dispytw.wire.records` writes it; told as often as `Introduce` asked for. What comes late is of no use."""

    commandName = b"NodeAvailable"
    arguments = [(b"available", Records())]
    response = []
    errors = {WireError: b"WIRE"}
    requiresAnswer = False


class Heartbeat(amp.Command):
    """Said by either end when it has said nothing else for a heartbeat: I am here. Never answered."""

    commandName = b"Heartbeat"
    arguments = []
    response = []
    errors = {WireError: b"WIRE"}
    requiresAnswer = False
