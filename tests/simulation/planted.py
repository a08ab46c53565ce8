"""Bugs, written as somebody might write them, each with the reason why it would look right and what it would do.

Each is a function that is given ``patch`` (of trial's TestCase), and plants its bug with it. The simulation has to find every one of
them by a law (`tests.simulation.test_planted`). The product has no switches for this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from dispytw import testing
from dispytw.errors import WireError
from dispytw.node.bench import Bench
from dispytw.node.orders import Order as NodeOrder
from dispytw.node.orders import TellEnded
from dispytw.scheduler.attendance import Attendance
from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.scheduler.entries import JobEntry, JobState, NodeEntry
from dispytw.scheduler.ledger import Ledger
from dispytw.scheduler.orders import Order, Reconcile
from dispytw.testing import MemoryNode
from dispytw.values import CANCELLED, PLAIN, Attempt, JobOptions, NodeFacts, Outcome
from dispytw.wire.streamcommands import GrantWindow
from dispytw.wire.streams import WINDOW, Streams

Patch = Callable[[Any, str, Any], Any]


def acknowledge_before_keeping(patch: Patch) -> None:
    """The client's link answers JobsEnded at once and gathers the outcomes for the next turn, so that all of a turn go to the ledger together.

    Every other hand gathers for a turn. But with the answer the node forgets: a client that dies before its reactor turns has an outcome
    that is nowhere, and whoever recovers its jobs finds one that nobody knows.
    """
    ended = Dispatcher.ended

    def gathers(self: Dispatcher, node: bytes, jobs: Iterable[tuple[Attempt, Outcome]]) -> None:
        self._clock.callLater(0, ended, self, node, list(jobs))

    patch(Dispatcher, "ended", gathers)


def refuse_a_second_run(patch: Patch) -> None:
    """The bench refuses an attempt that it has already, as anybody refuses what it cannot take.

    A refusal means *never started*: a scheduler that says RunJobs twice gives the job to another node while it runs on this one.
    """
    offered = Bench.offered

    def refuses(
        self: Bench, client: bytes, computation: bytes, generation: int, attempts: Sequence[Attempt]
    ) -> tuple[list[NodeOrder], list[tuple[Attempt, str]]]:
        here = [attempt for attempt in attempts if self._knows(attempt)]
        orders, refused = offered(self, client, computation, generation, attempts)
        return orders, refused + [(attempt, "it is here already") for attempt in here]

    patch(Bench, "offered", refuses)


def refuse_a_second_end(patch: Patch) -> None:
    """The scheduler answers the end of an attempt that it does not know by an error: it looks like nonsense from a confused node.

    It is what a node says that has not heard the first answer. It keeps the outcome, closes the link over the error, and says the
    same on the next link, for ever.
    """
    ended = Dispatcher.ended

    def refuses(self: Dispatcher, node: bytes, jobs: Iterable[tuple[Attempt, Outcome]]) -> None:
        for attempt, outcome in jobs:
            if self.ledger._current(node, attempt) is None and attempt not in self.ledger.nodes[node].strays:
                raise WireError(f"{attempt} is not on this node")
            ended(self, node, [(attempt, outcome)])

    patch(Dispatcher, "ended", refuses)


def incarnation_not_raised(patch: Patch) -> None:
    """A node writes its incarnation down at a clean end only, so that after a crash it has the number of its former life.

    Asked about attempts of that life it says *never started*, since the number is its own and it has not seen them: they are run again.
    """
    written: WeakKeyDictionary[MemoryNode, int] = WeakKeyDictionary()
    starting: list[MemoryNode] = []
    restart, say_goodbye = MemoryNode.restart, MemoryNode._say_goodbye

    def restarts(self: MemoryNode) -> None:
        starting[:] = [self]
        restart(self)

    def ends_cleanly(self: MemoryNode) -> None:
        written[self] = self.facts.incarnation
        say_goodbye(self)

    def facts(uid: bytes, incarnation: int, *rest: Any) -> NodeFacts:
        return NodeFacts(uid, written.get(starting[0], 0) + 1, *rest)

    patch(MemoryNode, "restart", restarts)
    patch(MemoryNode, "_say_goodbye", ends_cleanly)
    patch(testing, "NodeFacts", facts)


def late_attempt_accepted(patch: Patch) -> None:
    """The ledger looks the job up by its uid: an outcome is an outcome, whichever attempt it is of.

    The attempt that runs now is forgotten with the job: it goes on, its slot is given away, and its own end comes on top.
    """
    ended = Ledger.ended

    def accepts(self: Ledger, node: bytes, attempt: Attempt, outcome: Outcome, *rest: Any) -> list[Order]:
        job = self.jobs.get(attempt.job)
        if job is not None and job.node is not None:
            self._stray_gone(node, attempt)
            return ended(self, job.node, job.attempt, outcome)
        return ended(self, node, attempt, outcome, *rest)

    patch(Ledger, "ended", accepts)


def slot_released_twice(patch: Patch) -> None:
    """The ledger frees the slot as soon as it hears of an end, whichever, and `_lost`, on one of the ways from there, frees it as well.

    It shows only where a node was stopped while jobs ran: from then on its count is one too low, and a cluster that may use some of a
    node's slots uses them all.
    """
    ended = Ledger.ended

    def releases(self: Ledger, node: bytes, attempt: Attempt, outcome: Outcome, *rest: Any) -> list[Order]:
        job = self._current(node, attempt)
        preparation = self.nodes[node].preparations.get(job.cluster) if job is not None else None
        if job is not None and preparation is not None and outcome.status == CANCELLED and not job.cancelled:
            preparation.busy -= 1
        return ended(self, node, attempt, outcome, *rest)

    patch(Ledger, "ended", releases)


def cancel_overwrites_finished(patch: Patch) -> None:
    """Whatever a cancelled job ends with, the user wanted it cancelled, so Cancelled it is.

    The cancel may have come after the end: the job has done its work, its result is thrown away, and somebody does it again.
    """
    ended = Ledger.ended

    def overwrites(self: Ledger, node: bytes, attempt: Attempt, outcome: Outcome, *rest: Any) -> list[Order]:
        job = self._current(node, attempt)
        if job is not None and job.cancelled:
            outcome = attrs.evolve(outcome, status=CANCELLED, exception="Cancelled")
        return ended(self, node, attempt, outcome, *rest)

    patch(Ledger, "ended", overwrites)


def cancel_overwrites_what_is_owed(patch: Patch) -> None:
    """A node that is told to cancel says Cancelled of the attempt, and does not look whether it has ended meanwhile.

    The outcome was on its way, or was lost with a link and is to be told again: the client hears of two ends of one attempt, and which of
    them counts is a matter of luck.
    """
    stopped = Bench._stopped

    def overwrites(self: Bench, attempt: Attempt, client: bytes) -> list[NodeOrder]:
        placed = self._placed.get(attempt)
        if placed is None or placed.outcome is None or placed.cancelled:
            return stopped(self, attempt, client)
        placed.cancelled, placed.outcome = True, attrs.evolve(placed.outcome, status=CANCELLED)
        return [TellEnded(client, attempt, placed.outcome)]

    patch(Bench, "_stopped", overwrites)


def reconcile_skipped(patch: Patch) -> None:
    """A link that was gone for less than a second to the same incarnation needs no reconcile: nothing can have happened in so short a time.

    What was underway is lost all the same. A job whose RunJobs was lost waits for ever on a node that has not heard of it; an end that was
    not heard is never told again.
    """
    joined = Attendance.joined

    def skips(self: Ledger, facts: NodeFacts, now: float) -> list[Order]:
        node = self.nodes.get(facts.uid)
        brief = node is not None and node.incarnation == facts.incarnation and now - node.since < 1.0 and not node.live
        orders = joined(self, facts, now)
        if node is None or not brief:
            return orders
        node.live, node.missed = True, False
        self._changed(node)
        return [order for order in orders if not isinstance(order, Reconcile)] + self._dispatched()

    patch(Ledger, "joined", skips)


def window_credit_lost(patch: Patch) -> None:
    """A receiver says nothing about consumed bytes that are too few to be worth a command, and does not add them to the next.

    All chunks are smaller than what is worth a command: no window is ever given back, and every body larger than one stands still.
    """
    told: dict[bytes, int] = {}

    def forgets(self: Streams, stream: bytes, amount: int) -> None:
        incoming = self._incoming.get(stream)
        if incoming is None:
            return
        credit, told[stream] = amount - told.get(stream, 0), amount
        if credit >= WINDOW // 2:
            incoming.granted = amount + WINDOW
            self._link.ask(GrantWindow, stream=stream, upto=incoming.granted)

    patch(Streams, "consumed", forgets)


def window_given_in_vain(patch: Patch) -> None:
    """The sender notes that it may send more, and goes on with the next answer to a chunk.

    Where the receiver's disk is slow all chunks have been answered by then: there is no next answer, and the stream stands still.
    """

    def notes(self: Streams, stream: bytes, upto: int) -> None:
        outgoing = self._outgoing.get(stream)
        if outgoing is not None:
            outgoing.window = max(outgoing.window, upto)

    patch(Streams, "window_granted", notes)


def wall_clock_for_liveness(patch: Patch) -> None:
    """The client is given `reactor.seconds` for a clock, since that is the reactor's word for what time it is.

    It is the wall clock. Somebody sets it forward by an hour, and a node that has been away for a moment is given up: its jobs, which are
    well, are Cancelled, or started a second time.
    """

    class Session(testing.Session):
        def __init__(self, uid: bytes, connect: Any, introduction: Any, sinks: Any, clock: Any, now: Any, *rest: Any) -> None:
            super().__init__(uid, connect, introduction, sinks, clock, now.__self__.wall, *rest)

    patch(testing, "Session", Session)


def wall_clock_at_the_node(patch: Patch) -> None:
    """A node is given `reactor.seconds` for a clock.

    When the wall clock is set forward, a client whose link has just been cut seems to have been silent for an hour: its jobs are stopped.
    """

    class Steward(testing.Steward):
        def __init__(self, bench: Bench, files: Any, keeper: Any, clock: Any, now: Any, *rest: Any) -> None:
            super().__init__(bench, files, keeper, clock, now.__self__.wall, *rest)

    patch(testing, "Steward", Steward)


def sent_again_on_silence(patch: Patch) -> None:
    """A job whose start was never told has not started: when its node has been silent for long enough, it may be sent to another.

    Nobody has said so. JobsStarted may be what the silent link has lost; the job runs there, is not reentrant, and runs twice.
    """
    lost = Attendance._lost

    def sends_again(self: Ledger, job: JobEntry, why: str, gone: bool = False) -> list[Order]:
        if job.state is JobState.ASSIGNED and "did not answer" in why:
            return self._never_started(job)
        return lost(self, job, why, gone)

    patch(Ledger, "_lost", sends_again)


def second_start(patch: Patch) -> None:
    """Jobs that were lost are queued again, reentrant or not.

    A job that is not reentrant may have done half of what it does.
    """

    def lost(self: Ledger, job: JobEntry, why: str, gone: bool = False) -> list[Order]:
        self._off_node(job)
        self._requeue(job)
        return []

    patch(Attendance, "_lost", lost)


def slot_too_many(patch: Patch) -> None:
    """The ledger takes a node's slots for one more than there are, and the node takes whatever it is given.

    Each end trusts the other to count.
    """
    patch(Bench, "busy", lambda self: 0)
    patch(NodeEntry, "busy", property(lambda self: len(self.jobs) + len(self.strays) - 1))


def outcome_forgotten_early(patch: Patch) -> None:
    """A node forgets an outcome as soon as it has been told, since a link does not lose what is written to it.

    It does, with itself.
    """
    ended = Bench.ended

    def forgets(self: Bench, computation: bytes, attempt: Attempt, outcome: Outcome) -> list[NodeOrder]:
        orders = ended(self, computation, attempt, outcome)
        self._placed.pop(attempt, None)
        return orders

    patch(Bench, "ended", forgets)


def try_everything_again(patch: Patch) -> None:
    """A job that has failed is tried once more though nobody asked for it: most failures are passing, and a second try costs little.

    A body that has raised has begun, and may have done half of its work; only its user knows whether it may begin again.
    """
    submitted = Ledger.submitted

    def tries(self: Ledger, cluster: bytes, job: bytes, options: JobOptions = PLAIN, node: bytes | None = None) -> list[Order]:
        return submitted(self, cluster, job, attrs.evolve(options, retries=options.retries + 1), node)

    patch(Ledger, "submitted", tries)


def rest_by_the_first_clock(patch: Patch) -> None:
    """The rest before the next try is counted from the job's submission: there is one time less to keep.

    A job that has waited or run for longer than its backoff does not rest at all, and hits again what it had just overwhelmed.
    """
    rested = Ledger._rested

    def rests(self: Ledger, job: JobEntry, outcome: Outcome, node: bytes, now: float) -> Order:
        return rested(self, job, outcome, node, 0.0)

    patch(Ledger, "_rested", rests)
