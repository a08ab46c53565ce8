"""The mouth of scheduling against a node that answers as it is told: what is said either way, and how a link begins and ends."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed

from dispytw.errors import NodeHeldError, RefusedError, StreamError, UnknownComputationError, VersionError, WireError
from dispytw.scheduler.connections import _batches
from dispytw.values import (
    CANCELLED,
    FINISHED,
    INLINE_LIMIT,
    Attempt,
    Availability,
    Body,
    Computation,
    File,
    Inline,
    Outcome,
)
from dispytw.wire import schedulercommands as tell
from dispytw.wire.arguments import MOST_PARTS
from dispytw.wire.jobframes import Follow, Wrote
from dispytw.wire.records import BATCH_BYTES, NEVER_STARTED, RUNNING, body_weight, computation_from, outcome_record
from dispytw.wire.remarkrecords import Announced, answer_record
from tests.scheduler.linking import CLUSTER, FACTS, NODE, UNWANTED, LinkTests, attempt


class Opening(LinkTests):
    """A link is introduced before anything else."""

    introduced = False

    def test_who_we_are(self) -> None:
        """The first words are our versions, our name, and how often we will be heard; nothing else is said before the answer."""
        self.carry()
        minor = [int(each) for each in platform.python_version_tuple()[:2]]
        introduce = {"version": "1.0", "python": minor, "name": "somebody@here (pid 1)", "heartbeat": 4.0, "pulse": 0.0}
        self.assertEqual([("Introduce", introduce)], self.node.heard)

    def test_who_the_node_is(self) -> None:
        """The dispatcher learns what it is, then whoever dialled it, and who holds it."""
        self.assertEqual([], self.told.events)
        self.carry()
        introduced = ("link_introduced", self.link, FACTS, "somebody else")
        self.assertEqual([("joined", self.link, FACTS), introduced], self.told.events)

    def test_another_version(self) -> None:
        """Whoever dialled is told why; the dispatcher hears nothing of the node."""
        self.node.answers["Introduce"] = VersionError("too old")
        self.carry()
        (name, link, error), ended = self.told.events
        self.assertEqual(("link_refused", self.link, "too old"), (name, link, str(error)))
        self.assertIsInstance(error, VersionError)
        self.assertEqual(("link_ended", self.link), ended)
        self.assertTrue(self.node.lost)

    def test_a_node_that_fails(self) -> None:
        """Is logged, and the link closed; it is no refusal."""
        self.node.answers["Introduce"] = RuntimeError("boom")
        self.carry()
        self.assertEqual([("link_ended", self.link)], self.told.events)
        self.assertEqual(2, len(self.flushLoggedErrors()))

    def test_a_node_that_makes_no_sense(self) -> None:
        """So is one that cannot say what it is."""
        self.node.answers["Introduce"]["python"] = ["three"]
        self.carry()
        self.assertEqual([("link_ended", self.link)], self.told.events)
        self.assertEqual(1, len(self.flushLoggedErrors(WireError)))

    def test_a_link_that_ends_first(self) -> None:
        """Is nothing to speak of."""
        self.node.abort()
        self.carry()
        self.assertEqual([("link_ended", self.link)], self.told.events)
        self.assertEqual([], self.flushLoggedErrors())


class Ending(LinkTests):
    """A link ends."""

    def test_told_once(self) -> None:
        """First the dispatcher, then whoever dialled it: that one asks the dispatcher whether the node has another link."""
        self.node.abort()
        self.carry()
        self.assertEqual([("left", self.link, NODE), ("link_ended", self.link)], self.told.events)

    def test_unanswered_asks(self) -> None:
        """Fail, streams as well, so that nobody waits for ever."""
        self.node.answers["CancelJobs"] = Deferred()
        asked = [self.link.cancel_jobs([attempt(1)]), self.link.send_body(Inline(b"x" * 10_000_000))]
        self.pump.pump()
        self.node.abort()
        self.carry()
        for each in asked:
            self.failureResultOf(each, ConnectionClosed)
        self.failureResultOf(self.link.reconcile([]), ConnectionClosed)

    def test_a_result_that_nobody_has_taken(self) -> None:
        """Is deleted: its outcome will be told again, and its stream sent again."""
        self.answer(self.node.streams.send(Inline(b"result")))
        self.assertEqual([], self.sinks.deleted)
        self.node.abort()
        self.carry()
        self.assertEqual([Inline(b"result")], self.sinks.deleted)

    def test_dropped(self) -> None:
        """Closed at once: nothing more is said."""
        self.link.drop("a test")
        self.failureResultOf(self.link.cancel_jobs([attempt(1)]), ConnectionClosed)
        self.carry()
        self.assertEqual([("left", self.link, NODE), ("link_ended", self.link)], self.told.events)
        self.assertEqual([], self.node.heard)


class Asking(LinkTests):
    """What the dispatcher wants, in the words of the wire."""

    def test_reconcile(self) -> None:
        """Attempts with the incarnation that was given them; a word for each comes back, and what is ready with its generation."""
        words = [[attempt(1).job, 1, RUNNING], [attempt(2).job, 5, NEVER_STARTED]]
        self.node.answers["Reconcile"] = {"attempts": words, "computations": [[CLUSTER, 7]]}
        answer = self.answer(self.link.reconcile([(attempt(1), 3), (attempt(2, 5), 2)]))
        self.assertEqual(([(attempt(1), RUNNING), (attempt(2, 5), NEVER_STARTED)], {CLUSTER: 7}), answer)
        asked = [[attempt(1).job, 1, 3], [attempt(2).job, 5, 2]]
        self.assertEqual([("Reconcile", {"attempts": asked})], self.node.heard)

    def test_a_reconcile_that_makes_no_sense(self) -> None:
        """Is a failure for the dispatcher to see."""
        self.node.answers["Reconcile"] = {"attempts": [[b"short", 1, RUNNING]], "computations": []}
        self.failure(self.link.reconcile([]), WireError)

    def test_open_computation(self) -> None:
        """The whole description goes, the missing digests come back."""
        files = (File("data/x", b"2" * 32, 20, 0o755),)
        computation = Computation(CLUSTER, "compute", File(".bundle", b"1" * 32, 10), files, None, (3, 11), 60.0)
        self.node.answers["OpenComputation"] = {"missing": [b"2" * 32]}
        self.assertEqual([b"2" * 32], self.answer(self.link.open_computation(computation)))
        ((_, arguments),) = self.node.heard
        self.assertEqual(computation, computation_from(arguments["computation"]))

    def test_a_computation_that_is_not_taken(self) -> None:
        """The node's reasons arrive as the errors they are."""
        computation = Computation(CLUSTER, "compute", File(".bundle", b"1" * 32, 10))
        for error in (NodeHeldError("in use by somebody"), RefusedError("another Python")):
            self.node.answers["OpenComputation"] = error
            self.assertEqual(str(error), self.failure(self.link.open_computation(computation), type(error)))

    def test_close_computation(self) -> None:
        """Answered with nothing."""
        self.assertIsNone(self.answer(self.link.close_computation(CLUSTER)))
        self.assertEqual([("CloseComputation", {"computation": CLUSTER})], self.node.heard)

    def test_cancel_jobs(self) -> None:
        """Attempts are named, never jobs alone."""
        self.assertIsNone(self.answer(self.link.cancel_jobs([attempt(1), attempt(2, 5)])))
        self.assertEqual([("CancelJobs", {"attempts": [[attempt(1).job, 1], [attempt(2).job, 5]]})], self.node.heard)

    def test_recall_jobs(self) -> None:
        """At most so many of one computation."""
        self.assertIsNone(self.answer(self.link.recall_jobs(CLUSTER, 3)))
        self.assertEqual([("RecallJobs", {"computation": CLUSTER, "most": 3})], self.node.heard)

    def test_streams(self) -> None:
        """A file is announced with its digest, a body without; the body's id is what the node keeps it under."""
        digest = hashlib.sha256(b"file").digest()
        self.answer(self.link.send_file(digest, Inline(b"file")))
        stream = self.answer(self.link.send_body(Inline(b"body" * 50_000)))
        sinks: Any = self.node.streams._sinks
        self.assertEqual([digest, b""], sinks.kinds)
        self.assertEqual(Inline(b"body" * 50_000), self.node.streams.take(stream))

    def test_a_stream_that_is_not_taken(self) -> None:
        """Fails as such."""
        self.assertIn("not wanted", self.failure(self.link.send_file(UNWANTED, Inline(b"unwanted")), StreamError))


class Running(LinkTests):
    """Attempts are handed over."""

    def batches(self) -> list[list[Any]]:
        return [arguments["jobs"] for command, arguments in self.node.heard if command == "RunJobs"]

    def test_small_and_large(self) -> None:
        """A small body travels in its record, a large one is named by its stream."""
        large = Inline(b"x" * (INLINE_LIMIT + 1))
        jobs = [(attempt(1), Inline(b"args"), None), (attempt(2, 5), large, b"s" * 16)]
        self.assertEqual([], self.answer(self.link.run_jobs(CLUSTER, 7, jobs)))
        records = [[attempt(1).job, 1, b"args"], [attempt(2).job, 5, [b"s" * 16, INLINE_LIMIT + 1]]]
        self.assertEqual([("RunJobs", {"computation": CLUSTER, "generation": 7, "jobs": records})], self.node.heard)

    def test_timeouts(self) -> None:
        """Follow the bodies of those that have one."""
        jobs = [(attempt(job), Inline(b""), None) for job in (1, 2)]
        self.assertEqual([], self.answer(self.link.run_jobs(CLUSTER, 7, jobs, {attempt(2): 2.5})))
        self.assertEqual([[[attempt(1).job, 1, b""], [attempt(2).job, 1, b"", {"timeout": 2.5}]]], self.batches())

    def test_refused(self) -> None:
        """Those that never started come back with their reasons."""
        self.node.answers["RunJobs"] = {"refused": [[attempt(2).job, 1, "no free slot"]]}
        jobs = [(attempt(job), Inline(b""), None) for job in (1, 2)]
        self.assertEqual([(attempt(2), "no free slot")], self.answer(self.link.run_jobs(CLUSTER, 7, jobs)))

    def many(self) -> list[tuple[Attempt, Body, None]]:
        """More than one box holds, and no more than two."""
        count = BATCH_BYTES // INLINE_LIMIT + 3
        return [(attempt(job), Inline(b"x" * INLINE_LIMIT), None) for job in range(1, count + 1)]

    def test_more_than_a_box(self) -> None:
        """Goes in several, none left out and none twice; refusals of all of them come back."""
        jobs = self.many()
        refused = [[[jobs[0][0].job, 1, "first"]], [[jobs[-1][0].job, 1, "last"]]]
        self.node.answers["RunJobs"] = [{"refused": each} for each in refused]
        answer = self.answer(self.link.run_jobs(CLUSTER, 7, jobs))
        self.assertEqual([(jobs[0][0], "first"), (jobs[-1][0], "last")], answer)
        self.assertEqual(2, len(self.batches()))
        self.assertEqual([each.job for each, _, _ in jobs], [record[0] for batch in self.batches() for record in batch])

    def test_one_of_several_fails(self) -> None:
        """The failure is the command's own, whichever it was."""
        self.node.answers["RunJobs"] = [{"refused": []}, UnknownComputationError("closed")]
        self.assertEqual("closed", self.failure(self.link.run_jobs(CLUSTER, 7, self.many()), UnknownComputationError))

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.sampled_from([0, 5_000, INLINE_LIMIT]), st.booleans(), st.integers(1, 15)), min_size=1, max_size=8))
    def test_any_batches(self, shapes: list[tuple[int, bool, int]]) -> None:
        """Whatever the sizes: all in order, none empty, each fits a box, and none is cut that need not be."""
        bodies = [(Inline(b"x" * size), b"s" * 16 if streamed else None) for size, streamed, count in shapes for _ in range(count)]
        jobs: Sequence[Any] = [(attempt(job), body, stream) for job, (body, stream) in enumerate(bodies, 1)]
        batches = _batches(jobs)
        self.assertEqual([each[0].job for each in jobs], [record[0] for batch in batches for record in batch])
        self.assertTrue(all(batches))
        self.assertLessEqual(max(len(msgpack.packb(batch)) for batch in batches), MOST_PARTS * 0xFFFF)
        weights = iter([0 if stream else body_weight(body) for _, body, stream in jobs])
        batch_weights = [[next(weights) for _ in batch] for batch in batches]
        for weight, following in pairwise(batch_weights):
            self.assertLessEqual(sum(weight), BATCH_BYTES)
            self.assertGreater(sum(weight) + following[0], BATCH_BYTES)


class Telling(LinkTests):
    """What the node tells, in the words of the dispatcher."""

    def test_computations(self) -> None:
        """One is ready; one has failed, and says why; the node is free."""
        self.say(tell.ComputationReady, computation=CLUSTER, generation=7)
        self.say(tell.ComputationFailed, computation=CLUSTER, generation=8, text="setup() raised")
        self.say(tell.NodeFreed)
        events = [("ready", NODE, CLUSTER, 7), ("failed", NODE, CLUSTER, 8, "setup() raised"), ("freed", NODE)]
        self.assertEqual(events, self.told.events)

    def test_given_back(self) -> None:
        """Many at a time, or none."""
        self.say(tell.JobsGivenBack, jobs=[[attempt(1).job, 1], [attempt(2).job, 5]])
        self.say(tell.JobsGivenBack, jobs=[])
        self.assertEqual([("given_back", NODE, [attempt(1), attempt(2, 5)]), ("given_back", NODE, [])], self.told.events)

    def test_speaking(self) -> None:
        """Remarks and output, many at a time; and what the dispatcher wants about them."""
        self.say(tell.JobsRemarked, remarks=[[attempt(1).job, 1, 7, "file", "a/b", 5], [attempt(2).job, 1, 1, "provisional", "", b"v"]])
        self.say(tell.JobsWrote, outputs=[[attempt(1).job, 1, True, 3, b"text"]])
        announced = Announced(attempt(1), 7, "file", "a/b", 5, None), Announced(attempt(2), 1, "provisional", "", 1, Inline(b"v"))
        wrote = Wrote(attempt(1), True, 3, b"text")
        self.assertEqual([("remarked", NODE, [*announced]), ("wrote", NODE, [wrote])], self.told.events)
        self.answer(self.link.answer_jobs([answer_record(attempt(1), 7, "heard")]))
        self.answer(self.link.follow_jobs([Follow(attempt(1), True, 7)]))
        asked = [
            ("AnswerJobs", {"answers": [[attempt(1).job, 1, 7, "heard", ""]]}),
            ("FollowJobs", {"outputs": [[attempt(1).job, 1, True, 7]]}),
        ]
        self.assertEqual(asked, self.node.heard)

    def test_started(self) -> None:
        """Many at a time, with the wall time of each."""
        self.say(tell.JobsStarted, jobs=[[attempt(1).job, 1, 1e9], [attempt(2).job, 5, 2e9]])
        self.assertEqual([("started", NODE, [(attempt(1), 1e9), (attempt(2, 5), 2e9)])], self.told.events)

    def test_ended(self) -> None:
        """Outcomes arrive as they were, and the answer says that they are kept."""
        outcomes = [
            Outcome(FINISHED, Inline(b"result"), Inline(b"out"), Inline(b"err"), None, 1.0, 2.0),
            Outcome(CANCELLED, exception="KeyboardInterrupt", reason="why"),
        ]
        jobs = [[attempt(job).job, 1, outcome_record(outcome, {})] for job, outcome in enumerate(outcomes, 1)]
        self.assertEqual({}, self.say(tell.JobsEnded, jobs=jobs))
        self.assertEqual([("ended", NODE, [(attempt(1), outcomes[0]), (attempt(2), outcomes[1])])], self.told.events)

    def test_ended_and_not_kept_yet(self) -> None:
        """The answer waits until the outcomes would outlive this process; if the link ends before, the node has no answer."""
        keeping: list[Deferred[Any]] = []
        self.told.ended = lambda *_: keeping.append(Deferred()) or keeping[-1]  # type: ignore[attr-defined, func-returns-value]
        jobs = [[attempt(1).job, 1, outcome_record(Outcome(CANCELLED), {})]]
        told = [self.node.tell(tell.JobsEnded, jobs=jobs) for _ in range(2)]
        self.carry()
        self.assertNoResult(told[0])
        keeping[0].callback(None)
        self.carry()
        self.assertEqual({}, self.successResultOf(told[0]))
        self.assertNoResult(told[1])
        self.link.abort()
        keeping[1].callback(None)
        self.failure(told[1], ConnectionClosed)

    def test_a_large_result(self) -> None:
        """It comes ahead as a stream, and is taken from there once."""
        large = Inline(b"r" * 200_000)
        stream = self.answer(self.node.streams.send(large))
        record = outcome_record(Outcome(FINISHED), {})
        record[1] = [stream, large.size]
        self.say(tell.JobsEnded, jobs=[[attempt(1).job, 1, record]])
        self.assertEqual([("ended", NODE, [(attempt(1), Outcome(FINISHED, large))])], self.told.events)
        self.failure(self.node.tell(tell.JobsEnded, jobs=[[attempt(1).job, 1, record]]), WireError)

    def test_what_makes_no_sense(self) -> None:
        """Is answered with an error, changes nothing, and does not end the link."""
        for jobs in ([[b"short", 1, []]], [[attempt(1).job, 1, []]], [[attempt(1).job, 0, outcome_record(Outcome(FINISHED), {})]]):
            self.failure(self.node.tell(tell.JobsEnded, jobs=jobs), WireError)
        self.failure(self.node.tell(tell.JobsStarted, jobs=[[b"short", 1, 1e9]]), WireError)
        self.assertEqual([], self.told.events)
        self.say(tell.NodeFreed)

    def test_a_sign_of_life(self) -> None:
        """Is understood, and means nothing else."""
        self.assertIsNotNone(self.link.locateResponder(b"Heartbeat"))
        self.say(tell.Heartbeat)
        self.assertEqual([], self.told.events)


class Beating(LinkTests):
    """Signs of life, both ways; the heartbeat agreed upon is four seconds."""

    def signs(self) -> int:
        return sum(command == "Heartbeat" for command, _ in self.node.heard)

    def wait(self, seconds: float, node_lives: bool = False) -> None:
        """Time passes in steps; a node that lives says something at each."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            if node_lives:
                self.node.tell(tell.Heartbeat)
            self.carry()

    def test_given(self) -> None:
        """Whoever says nothing else gives one in every four seconds at least."""
        for _ in range(5):
            before = self.signs()
            self.wait(4.0, node_lives=True)
            self.assertGreater(self.signs(), before)

    def test_not_given_in_vain(self) -> None:
        """Whoever speaks has no need to."""
        for _ in range(40):
            self.link.cancel_jobs([attempt(1)])
            self.wait(0.5)
        self.assertEqual(0, self.signs())

    def test_a_node_that_lives(self) -> None:
        """Keeps its link, however long."""
        self.wait(100, node_lives=True)
        self.assertEqual([], self.told.events)

    def test_a_silent_node(self) -> None:
        """After five heartbeats the link is closed; not before."""
        self.pump.clientIO.stream.clear()
        self.wait(19.5)
        self.assertEqual([], self.told.events)
        self.wait(2.5)
        self.assertEqual([("left", self.link, NODE), ("link_ended", self.link)], self.told.events)

    def test_faster(self) -> None:
        """A cluster with a short pulse_interval: the node is told, and from now on heard more often; it does not join anew."""
        self.link.quicken(1.0)
        self.carry()
        self.assertEqual([("Introduce", 1.0)], [(command, arguments["heartbeat"]) for command, arguments in self.node.heard])
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.wait(10.0, node_lives=True)
        self.assertGreaterEqual(self.signs(), 10)
        self.assertEqual([], self.told.events)
        self.wait(5.5)
        self.assertEqual([("left", self.link, NODE), ("link_ended", self.link)], self.told.events)

    def test_not_slower(self) -> None:
        """What others want stays agreed."""
        for heartbeat in (4.0, 9.0):
            self.link.quicken(heartbeat)
        self.carry()
        self.assertEqual([], self.node.heard)

    def test_how_busy(self) -> None:
        """A cluster wants to hear of that: the node is told, and again only for one that wants it more often."""
        for pulse in (3.0, 5.0, 3.0, 0.0, 2.0):
            self.link.quicken(4.0, pulse)
            self.carry()
        asked = [(arguments["heartbeat"], arguments["pulse"]) for command, arguments in self.node.heard if command == "Introduce"]
        self.assertEqual([(4.0, 3.0), (4.0, 2.0)], asked)

    def test_faster_fails(self) -> None:
        """An ask like any other: the dispatcher sees to it."""
        self.node.answers["Introduce"] = VersionError("not any more")
        self.link.quicken(1.0)
        self.carry()
        ((name, failure, link),) = self.told.events
        self.assertEqual(("unexpected", VersionError, self.link), (name, failure.type, link))


class Busy(LinkTests):
    """How busy a node is, and what runs there."""

    def test_told(self) -> None:
        """The dispatcher hears of it; empty means that the node cannot tell."""
        for record, heard in (([50, 1 << 30, 1 << 40, 90.5], Availability(50.0, 1 << 30, 1 << 40, 90.5)), ([], None)):
            self.say(tell.NodeAvailable, available=record)
            self.assertEqual(("available", NODE, heard), self.told.events.pop())

    def test_what_runs(self) -> None:
        """Is asked of the node."""
        self.node.answers["ListJobs"] = {"attempts": [[attempt(1).job, 1], [attempt(2).job, 3]]}
        self.assertEqual([attempt(1), attempt(2, 3)], self.answer(self.link.list_jobs(CLUSTER)))
        self.assertEqual(("ListJobs", {"computation": CLUSTER}), self.node.heard[-1])


class BeatingBefore(LinkTests):
    """Signs of life before the node has introduced itself."""

    introduced = False

    def test_a_node_that_never_answers(self) -> None:
        """Its link is closed all the same."""
        self.node.answers["Introduce"] = Deferred()
        for _ in range(45):
            self.clock.advance(0.5)
            self.carry()
        self.assertEqual([("link_ended", self.link)], self.told.events)

    def test_too_soon_for_another_pace(self) -> None:
        """What is not agreed yet is not changed."""
        self.link.quicken(1.0)
        self.carry()
        self.assertEqual(1, len(self.node.heard))
