"""What a node answers: the asks of whoever schedules for it (a client's own ledger, or the shared scheduler)."""

from __future__ import annotations

from twisted.protocols import amp

from dispytw.errors import NodeHeldError, RefusedError, StreamError, UnknownComputationError, VersionError, WireError
from dispytw.wire.arguments import Records, Seconds, Text, Uid, Whole

__all__ = [
    *("AnswerJobs", "CancelJobs", "CloseComputation", "FollowJobs", "Introduce", "ListJobs", "OpenComputation", "PlaceFiles", "RecallJobs"),
    *("Reconcile", "RunJobs", "TakeOver"),
]


class Introduce(amp.Command):
    """The scheduler's first words on a link: who it is and which versions it speaks.

    Answered with what the node is. `VersionError` says that the two cannot work together; the link is then closed.
    ``heartbeat`` is how many seconds may pass between two signs of life, in both directions; ``pulse`` how often, in seconds, the node is
    to tell how busy it is (`NodeAvailable`), 0 for never. ``available`` is how busy it is now, empty where that cannot be told.
    """

    commandName = b"Introduce"
    arguments = [
        (b"version", Text()),
        (b"python", Records()),
        (b"name", Text()),
        (b"heartbeat", Seconds()),
        (b"pulse", Seconds()),
    ]
    response = [
        (b"incarnation", Whole()),
        (b"name", Text()),
        (b"cpus", Whole()),
        (b"platform", Text()),
        (b"python", Records()),
        (b"version", Text()),
        (b"pid", Whole()),
        (b"holder", Text()),
        (b"available", Records()),
    ]
    errors = {VersionError: b"VERSION", WireError: b"WIRE"}


class Reconcile(amp.Command):
    """The scheduler lists what it believes: attempts as [job, number, incarnation, generation], the two for which it was given.

    Answered with the node's view: ``attempts`` as [job, number, word], a word of `dispytw.wire.records` for each one listed and for
    each one the node has of this client besides; ``computations`` as [uid, generation] of those ready to run.
    """

    commandName = b"Reconcile"
    arguments = [(b"attempts", Records())]
    response = [(b"attempts", Records()), (b"computations", Records())]
    errors = {WireError: b"WIRE"}


class TakeOver(amp.Command):
    """A client shows the token of a computation whose own client is gone: its attempts and outcomes are this one's from now on.

    Answered with 1 when anything of it is here, else 0; a `Reconcile` that names its attempts follows, and brings words and outcomes.
    `RefusedError` says that the token is another one, or that the computation's client is alive.
    """

    commandName = b"TakeOver"
    arguments = [(b"computation", Uid()), (b"token", Uid())]
    response = [(b"known", Whole())]
    errors = {RefusedError: b"REFUSED", WireError: b"WIRE"}


class OpenComputation(amp.Command):
    """The scheduler describes a computation (see `dispytw.wire.records`); repeated until nothing is missing.

    Answered with the digests of the files that the node lacks. When that list is empty the node starts the supervisor, and tells
    `ComputationReady` or `ComputationFailed`. `NodeHeldError` names who uses the node; `NodeFreed` will be told.
    """

    commandName = b"OpenComputation"
    arguments = [(b"computation", Records())]
    response = [(b"missing", Records())]
    errors = {NodeHeldError: b"HELD", RefusedError: b"REFUSED", WireError: b"WIRE"}


class PlaceFiles(amp.Command):
    """The scheduler names files (see `dispytw.wire.records`) for a computation that is ready; repeated until nothing is missing.

    Answered with the digests that the node lacks; when that list is empty the files are at their places: where all jobs run, or, if
    ``attempt`` is [[job, number]] rather than empty, in a directory that only this attempt sees, which is about to be handed over.
    `RefusedError` says that they cannot be put there, `StreamError` that they do not fit now.
    """

    commandName = b"PlaceFiles"
    arguments = [(b"computation", Uid()), (b"attempt", Records()), (b"files", Records())]
    response = [(b"missing", Records())]
    errors = {
        RefusedError: b"REFUSED",
        StreamError: b"STREAM",
        UnknownComputationError: b"UNKNOWN",
        WireError: b"WIRE",
    }


class CloseComputation(amp.Command):
    """The scheduler needs a computation no more: run its cleanup(), remove its files, end its supervisor. Answered at once."""

    commandName = b"CloseComputation"
    arguments = [(b"computation", Uid())]
    response = []
    errors = {WireError: b"WIRE"}


class RunJobs(amp.Command):
    """The scheduler hands over attempts as [job, number, body], for one generation of one computation.

    A body is bytes, or [stream id, size] of a stream that has been received. A record may go on with a map of limits:
    ``{"timeout": seconds}`` that the job's body may take, counted on the node from its start. Answered with the refused ones as
    [job, number, reason]: these never started. All others are the node's now.
    """

    commandName = b"RunJobs"
    arguments = [(b"computation", Uid()), (b"generation", Whole()), (b"jobs", Records())]
    response = [(b"refused", Records())]
    errors = {UnknownComputationError: b"UNKNOWN", WireError: b"WIRE"}


class RecallJobs(amp.Command):
    """The scheduler has a use for attempts of a computation that wait here: at most so many. Answered at once; told by `JobsGivenBack`."""

    commandName = b"RecallJobs"
    arguments = [(b"computation", Uid()), (b"most", Whole())]
    response = []
    errors = {WireError: b"WIRE"}


class ListJobs(amp.Command):
    """The scheduler wants to know what runs here of a computation.

    Answered with attempts, as [job, number], that have begun and not ended.
    """

    commandName = b"ListJobs"
    arguments = [(b"computation", Uid())]
    response = [(b"attempts", Records())]
    errors = {WireError: b"WIRE"}


class CancelJobs(amp.Command):
    """The scheduler wants attempts, as [job, number], to end. Answered at once; their ends are told by `JobsEnded`."""

    commandName = b"CancelJobs"
    arguments = [(b"attempts", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class AnswerJobs(amp.Command):
    """The scheduler answers remarks of running attempts: [job, number, which remark, verdict, text]. Answered at once.

    ``wanted`` lets the body come, as a stream of the remark's own; ``heard`` and ``refused``, with the reason, are what the job is told.
    """

    commandName = b"AnswerJobs"
    arguments = [(b"answers", Records())]
    response = []
    errors = {WireError: b"WIRE"}


class FollowJobs(amp.Command):
    """The scheduler wants to know what attempts write: [job, number, whether to stderr, from which position]. Answered at once.

    As soon as there is something, `JobsWrote` tells it, once; what comes behind that is to be asked for again.
    """

    commandName = b"FollowJobs"
    arguments = [(b"outputs", Records())]
    response = []
    errors = {WireError: b"WIRE"}
