"""What a client and a node say to each other, over a link in memory that serialises everything."""

from __future__ import annotations

import os
import unittest
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.logger import globalLogPublisher

from dispytw.errors import NodeHeldError, RefusedError, VersionError, WireError
from dispytw.node import connections
from dispytw.node.telling import SHOWN_AFTER
from dispytw.values import FINISHED, Attempt, Body, Computation, File, Inline, Outcome, Stored
from dispytw.wire import nodecommands as ask
from dispytw.wire import schedulercommands as tell
from dispytw.wire.jobframes import FILE, HEARD, PIECE, PROVISIONAL, REFUSED, Answer, Follow, Remark, Wrote
from dispytw.wire.records import BATCH_BYTES, computation_record, outcome_weight
from dispytw.wire.remarkrecords import WANTED, Announced, answer_record, follow_record, stream_kind
from dispytw.wire.streams import MemorySinks
from tests.node.benching import ALICE, BOB, ONE, THREE, TWO, X, Y, attempt, computation
from tests.node.linking import ConnectionCase


class Introductions(ConnectionCase):
    """The first words."""

    def test_what_the_node_is(self) -> None:
        """The answer says all of it, and who holds the node."""
        answer = self.introduce()
        facts = {
            "incarnation": 3,
            "name": "here",
            "cpus": 2,
            "platform": "Linux-6",
            "python": [3, 11],
            "version": "2.5.1",
            "pid": 4711,
        }
        self.assertEqual({**facts, "holder": "", "available": [75.0, 1 << 30, 1 << 40, 100.0]}, answer)
        self.opened()
        client, _ = self.connect(BOB)
        self.assertEqual("alice@desk", self.introduce(client, name="bob@desk")["holder"])
        self.assertEqual("bob@desk", self.bench.name_of(BOB))

    def test_how_busy_it_is(self) -> None:
        """It is told as often as was asked for last, until the link is gone; not at all when nobody asked."""
        self.introduce()
        self.advance(3.0)
        self.assertEqual([], self.client.told)
        self.introduce(pulse=1.0)
        self.advance(3.2)
        self.assertEqual([("available", [75.0, 1 << 30, 1 << 40, 100.0])] * 3, self.client.told)
        self.introduce(pulse=0.0)
        self.advance(3.0)
        self.assertEqual(3, len(self.client.told))

    def test_what_runs(self) -> None:
        """Attempts of the computation that have begun and not ended, of this client's only."""
        self.introduce()
        generation = self.opened()
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=[[b"a" * 16, 1, b""], [b"b" * 16, 1, b""]])
        self.steward.job_started(X.uid, Attempt(b"a" * 16, 1), 5.0)
        self.assertEqual({"attempts": [[b"a" * 16, 1]]}, self.answered(ask.ListJobs, computation=X.uid))
        self.assertEqual({"attempts": []}, self.answered(ask.ListJobs, computation=b"?" * 16))

    def test_another_version(self) -> None:
        """Is refused, at both ends with both versions and what to do; that client is not taken in."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.bench._clients.clear()
        text = "this node runs dispytw 2.5.1, the client 1.9.9: install the same on both"
        self.assertEqual(text, self.failed_with(VersionError, self.client.introduce(version="1.9.9")))
        (event,) = (event for event in events if event.get("log_namespace") == connections.__name__)
        self.assertEqual(("alice@desk", text), (event["name"], str(event["error"])))
        self.assertEqual({}, self.bench._clients)
        self.assertIsNone(self.steward._teller.links.get(ALICE))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_nothing_before_it(self) -> None:
        """Who has not said a name cannot hold the node."""
        text = self.refused(WireError, ask.OpenComputation, computation=computation_record(X))
        self.assertIn("introduced", text)
        self.assertIsNone(self.bench.holder)

    def test_once(self) -> None:
        """A second introduction only changes the heartbeat: nobody is replaced."""
        self.introduce(name="alice@desk")
        self.introduce(name="somebody else")
        self.assertEqual("alice@desk", self.bench.name_of(ALICE))
        self.assertEqual(1, len(self.clock.getDelayedCalls()))

    def test_a_newer_link(self) -> None:
        """Replaces the older one of the same client, which is closed; that makes nobody away."""
        self.introduce()
        newer, _ = self.connect(ALICE)
        self.introduce(newer)
        self.flush()
        self.assertTrue(self.client.closed.called)
        self.assertFalse(newer.closed.called)
        self.assertIsNone(self.bench.next_due())
        self.steward._teller.links[ALICE].tell_freed()
        self.flush()
        self.assertEqual([("freed",)], newer.told)


class TakingOver(ConnectionCase):
    """Bob's program brings home what Alice's has left behind."""

    def setUp(self) -> None:
        super().setUp()
        self.introduce()
        generation = self.opened()
        jobs = [[each.job, 1, b""] for each in (ONE, TWO)]
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=jobs)
        self.newcomer, _ = self.connect(BOB)
        self.introduce(self.newcomer, name="bob@desk")

    def take(self, token: bytes = X.token) -> Any:
        asked = self.newcomer.ask(ask.TakeOver, computation=X.uid, token=token)
        self.flush()
        self.advance(0.1, 0.01)
        return self.successResultOf(asked)

    def test_its_own_client_is_there(self) -> None:
        """So it stays with that one; nor does another token open it."""
        kept = self.refused(RefusedError, ask.TakeOver, self.newcomer, computation=X.uid, token=X.token)
        self.assertEqual("alice@desk is still connected to this node", kept)
        wrong = self.refused(RefusedError, ask.TakeOver, self.newcomer, computation=X.uid, token=b"t" * 16)
        self.assertEqual("the token is not that of the computation", wrong)

    def test_it_comes_home(self) -> None:
        """With a word for each attempt, and every outcome, those on the disk included."""
        self.node.abort()
        self.flush()
        self.steward.job_ended(X.uid, ONE, Outcome(FINISHED, Inline(b"1")))
        self.advance(70.0, 1.0)
        self.assertEqual([ONE], list(self.journal.rows))
        self.newcomer, _ = self.connect(BOB)
        self.introduce(self.newcomer, name="bob@desk")
        self.assertEqual({"known": 1}, self.take())
        self.assertIn(("change hands", X.uid, BOB, "bob@desk"), self.launcher.asked)
        words = self.answered(ask.Reconcile, self.newcomer, attempts=[])["attempts"]
        self.assertEqual([[ONE.job, 1, "ended"], [TWO.job, 1, "handed"]], sorted(words))
        self.advance(0.1, 0.01)
        self.assertEqual([("ended", ONE)], [(kind, told[0]) for kind, told in self.newcomer.told])
        self.advance(0.1, 0.01)
        self.assertEqual({}, self.journal.rows)

    def test_nothing_is_here(self) -> None:
        """Is said, and is no error."""
        asked = self.newcomer.ask(ask.TakeOver, computation=b"n" * 16, token=X.token)
        self.flush()
        self.assertEqual({"known": 0}, self.successResultOf(asked))

    def test_a_disk_that_cannot_be_read(self) -> None:
        """Is told to whoever asks: better no answer than one that forgets what is owed."""
        self.bench.retained(BOB, Y.uid, Y.token)
        self.patch(self.journal, "recall", lambda client: fail(OSError("cannot be read")))
        newer, _ = self.connect(BOB)
        self.assertIn("cannot be read", self.failed_with(WireError, newer.introduce(name="bob@desk")))
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))


class SignsOfLife(ConnectionCase):
    """Heartbeats."""

    def test_the_node_gives_them(self) -> None:
        """Whenever it has said nothing for a heartbeat's length."""
        self.introduce(heartbeat=2.0)
        self.client.tell(tell.Heartbeat)
        self.advance(4.0)
        self.assertGreaterEqual(self.client.signs, 2)

    def test_a_silent_client(self) -> None:
        """Is taken to be away after five of them, not before."""
        self.introduce(heartbeat=2.0)
        self.advance(9.8)
        self.assertFalse(self.client.closed.called)
        self.advance(1.4)
        self.assertTrue(self.client.closed.called)
        self.assertIsNone(self.steward._teller.links.get(ALICE))

    def test_a_client_that_gives_signs(self) -> None:
        """Stays."""
        self.introduce(heartbeat=2.0)
        for _ in range(10):
            self.client.tell(tell.Heartbeat)
            self.advance(2.0)
        self.assertFalse(self.client.closed.called)

    def test_they_can_be_renegotiated(self) -> None:
        """By introducing oneself again: from then on the new length counts."""
        self.introduce(heartbeat=100.0)
        self.advance(4.0)
        self.assertEqual(0, self.client.signs)
        self.introduce(heartbeat=1.0)
        self.advance(4.0)
        self.assertGreaterEqual(self.client.signs, 3)
        self.advance(2.0)
        self.assertTrue(self.client.closed.called)

    def test_lengths_without_sense(self) -> None:
        """Are bounded: neither a flood of them nor a link that is never given up."""
        for wanted, kept in ((0.0, 0.05), (-1.0, 0.05), (1e9, 600.0), (7.0, 7.0)):
            self.introduce(heartbeat=wanted)
            (call,) = self.clock.getDelayedCalls()
            self.assertAlmostEqual(self.clock.seconds() + kept / 2, call.getTime())


class Asks(ConnectionCase):
    """What a client asks."""

    def setUp(self) -> None:
        super().setUp()
        self.introduce()

    def test_open_computation(self) -> None:
        """The digests that are missing; then the description arrives as it was, and the address that the client sees."""
        wanted = Computation(
            b"c" * 16, "compute", File("b", b"d" * 32, 7), (File("a/b", b"e" * 32, 9, 0o755),), None, (3, 11), 4.0
        )
        self.files.lacking = list(wanted.files)
        answer = self.answered(ask.OpenComputation, computation=computation_record(wanted))
        self.assertEqual([b"e" * 32], answer["missing"])
        self.files.lacking = []
        self.assertEqual([], self.answered(ask.OpenComputation, computation=computation_record(wanted))["missing"])
        self.assertEqual([("launch", wanted, "/store/bundle", "/work/x", "10.0.0.9")], self.launcher.asked)

    def test_a_computation_that_is_not_taken(self) -> None:
        """The error says why: in use by somebody else, never possible here, or no computation at all."""
        other, _ = self.connect(BOB)
        self.introduce(other, name="bob@desk")
        self.opened()
        record = computation_record(Y)
        self.assertEqual(
            "in use by alice@desk", self.refused(NodeHeldError, ask.OpenComputation, other, computation=record)
        )
        record = computation_record(computation("z", python=(3, 12)))
        self.assertIn("Python 3.12", self.refused(RefusedError, ask.OpenComputation, computation=record))
        self.refused(WireError, ask.OpenComputation, computation=[1, 2, 3])

    def test_close_computation(self) -> None:
        """Ends its supervisor."""
        self.opened()
        self.assertEqual({}, self.answered(ask.CloseComputation, computation=X.uid))
        self.assertEqual(("close", X.uid, True), self.launcher.asked[-1])

    def test_run_jobs(self) -> None:
        """Attempts arrive with their arguments; the refused are named with the reason."""
        generation = self.opened()
        jobs = [[each.job, each.number, b"args"] for each in (ONE, TWO, THREE)]
        answer = self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=jobs)
        self.assertEqual([[THREE.job, 1, "no free slot"]], answer["refused"])
        self.assertEqual(("start", X.uid, {ONE: Inline(b"args"), TWO: Inline(b"args")}), self.launcher.asked[-1])

    def test_timeouts(self) -> None:
        """Reach the supervisor with their attempts; what was refused leaves none behind."""
        generation = self.opened()
        jobs: list[list[Any]] = [[each.job, each.number, b"", {"timeout": 2.5}] for each in (ONE, TWO, THREE)]
        jobs[1].pop()
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=jobs)
        self.assertEqual(("start", X.uid, {ONE: Inline(b""), TWO: Inline(b"")}, {ONE: 2.5}), self.launcher.asked[-1])
        self.assertEqual({}, self.steward._timeouts)

    def test_arguments_that_were_streamed(self) -> None:
        """Are taken by their stream, once; a stream that never came is an error."""
        generation = self.opened()
        body = Inline(os.urandom(200_000))
        sent = self.client.streams.send(body)
        self.flush()
        record = [self.successResultOf(sent), body.size]
        run = {"computation": X.uid, "generation": generation}
        self.answered(ask.RunJobs, **run, jobs=[[ONE.job, 1, record]])
        self.assertEqual(("start", X.uid, {ONE: body}), self.launcher.asked[-1])
        self.assertIn("was not received", self.refused(WireError, ask.RunJobs, **run, jobs=[[TWO.job, 1, record]]))

    def test_cancel_jobs(self) -> None:
        """Reaches the launcher."""
        generation = self.opened()
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=[[ONE.job, 1, b""]])
        self.assertEqual({}, self.answered(ask.CancelJobs, attempts=[[ONE.job, 1], [TWO.job, 1]]))
        self.assertEqual(("cancel", X.uid, ONE), self.launcher.asked[-1])

    def test_recall_jobs(self) -> None:
        """Reaches the launcher; answered at once, and what comes of it is told."""
        generation = self.opened()
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=[[ONE.job, 1, b""]])
        self.assertEqual({}, self.answered(ask.RecallJobs, computation=X.uid, most=3))
        self.assertEqual(("recall", X.uid, 3), self.launcher.asked[-1])

    def test_reconcile(self) -> None:
        """A word for each attempt, with its number; and what is ready, with its generation."""
        generation = self.opened()
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=[[ONE.job, 1, b""]])
        answer = self.answered(ask.Reconcile, attempts=[[TWO.job, 1, 3, generation], [THREE.job, 1, 2, 7]])
        words = [[ONE.job, 1, "handed"], [TWO.job, 1, "never started"], [THREE.job, 1, "unknown"]]
        self.assertEqual(words, answer["attempts"])
        self.assertEqual([[X.uid, generation]], answer["computations"])

    def test_take_over(self) -> None:
        """Is refused to one who has not said who he is."""
        self.opened()
        other, _ = self.connect(BOB)
        self.refused(WireError, ask.TakeOver, other, computation=X.uid, token=X.token)

    def test_nonsense(self) -> None:
        """Is an error, and the link stays."""
        for command in (ask.CancelJobs, ask.Reconcile):
            self.refused(WireError, command, attempts=[[b"short", 1, 1]])
        self.refused(WireError, ask.RunJobs, computation=X.uid, generation=1, jobs=[[ONE.job, 1, 17]])
        self.assertFalse(self.client.closed.called)


class Tells(ConnectionCase):
    """What a node tells."""

    def setUp(self) -> None:
        super().setUp()
        self.introduce()

    def run_three(self) -> int:
        """Two attempts run; the generation."""
        generation = self.opened()
        jobs = [[each.job, 1, b""] for each in (ONE, TWO)]
        self.answered(ask.RunJobs, computation=X.uid, generation=generation, jobs=jobs)
        return generation

    def test_ready_and_failed(self) -> None:
        """With generation and reason; of a long reason the end, which is what matters of a traceback."""
        generation = self.opened()
        self.answered(ask.OpenComputation, computation=computation_record(X))
        self.assertEqual(("ready", X.uid, generation), self.client.told.pop())
        self.answered(ask.OpenComputation, computation=computation_record(Y))
        self.steward.setup_failed(Y.uid, "so far " * 10_000 + "the end")
        self.flush()
        kind, uid, number, text = self.client.told.pop()
        self.assertEqual(("failed", Y.uid, generation + 1), (kind, uid, number))
        self.assertEqual((30_000, "the end"), (len(text), text[-7:]))

    def test_started_and_ended(self) -> None:
        """Whatever gathered in a turn; what was answered is forgotten."""
        self.run_three()
        outcome = Outcome(FINISHED, Inline(b"r"), Inline(b"o"), Inline(b"e"), None, 5.0, 6.0, "why")
        for each in (ONE, TWO):
            self.steward.job_started(X.uid, each, 5.0)
        self.clock.advance(SHOWN_AFTER)
        for each in (ONE, TWO):
            self.steward.job_ended(X.uid, each, outcome)
        self.clock.advance(0)
        self.flush()
        self.assertEqual(
            [("started", (ONE, 5.0), (TWO, 5.0)), ("ended", (ONE, outcome), (TWO, outcome))], self.client.told
        )
        self.assertFalse(self.bench.owes())

    def test_a_large_result(self) -> None:
        """Arrives whole, by a stream; its file is deleted when it has."""
        self.run_three()
        content = os.urandom(200_000)
        self.steward.job_ended(X.uid, ONE, Outcome(FINISHED, self.stored("result", content)))
        self.clock.advance(0)
        self.flush()
        self.assertEqual([("ended", (ONE, Outcome(FINISHED, Inline(content))))], self.client.told)
        self.assertEqual([], self.there())

    def test_more_than_fits_a_box(self) -> None:
        """Goes in several, each acknowledged for itself."""
        outcome = Outcome(FINISHED, Inline(bytes(40_000)))
        jobs = [(attempt(number), outcome) for number in range(1, 31)]
        told = self.node.tell_ended(jobs, {})
        self.flush()
        self.assertGreater(len(told), 1)
        self.assertEqual([each for each, _ in jobs], [each for batch in told for each in self.successResultOf(batch)])
        self.assertEqual(jobs, [pair for _, *pairs in self.client.told for pair in pairs])

    def test_freed(self) -> None:
        """To who was turned away."""
        self.opened()
        other, _ = self.connect(BOB)
        self.introduce(other, name="bob@desk")
        self.refused(NodeHeldError, ask.OpenComputation, other, computation=computation_record(Y))
        self.answered(ask.CloseComputation, computation=X.uid)
        self.steward.supervisor_ended(X.uid, "")
        self.flush()
        self.assertEqual([("freed",)], other.told)


class Speaking(Tells):
    """Running jobs that speak."""

    def say(self, *frames: Any) -> None:
        """A supervisor says something of its jobs, which has a turn to leave."""
        for frame in frames:
            self.steward.job_said(X.uid, frame)
        self.turn()
        self.flush()

    def setUp(self) -> None:
        super().setUp()
        self.run_three()
        self.answered(ask.Reconcile, attempts=[[each.job, 1, 3, 1] for each in (ONE, TWO)])
        self.client.told.clear()
        self.launcher.asked.clear()

    def test_remarks(self) -> None:
        """What jobs say in one turn leaves together, each with its body, or the size of it; answers are passed on."""
        long = self.stored("said-1", b"x" * 100_000)
        self.say(Remark(ONE, 1, PROVISIONAL, "", Inline(b"v")), Remark(TWO, 1, FILE, "a/b", long))
        announced = Announced(ONE, 1, PROVISIONAL, "", 1, Inline(b"v")), Announced(TWO, 1, FILE, "a/b", 100_000, None)
        self.assertEqual([("remarked", *announced)], self.client.told)
        self.answered(ask.AnswerJobs, answers=[answer_record(ONE, 1, HEARD), answer_record(TWO, 1, REFUSED, "why")])
        said = [each[2] for each in self.launcher.asked]
        self.assertEqual([Answer(ONE, 1, HEARD), Answer(TWO, 1, REFUSED, "why")], said)
        self.assertEqual([], self.there())

    def test_streams(self) -> None:
        """The body of a remark is a stream of its own kind."""
        kinds: list[bytes] = []
        self.patch(MemorySinks, "open", lambda _, stream, size, kind: kinds.append(kind) or _NoSink())
        self.say(Remark(ONE, 7, FILE, "a", self.stored("said-1")))
        self.answered(ask.AnswerJobs, answers=[answer_record(ONE, 7, WANTED)])
        self.assertEqual([stream_kind(ONE, 7)], kinds)

    def test_more_than_fits_a_box(self) -> None:
        """Much output goes in several boxes."""
        wrote = [Wrote(ONE, False, number, bytes(PIECE)) for number in range(10)]
        self.say(*wrote)
        self.assertEqual(wrote, [each for kind, *several in self.client.told for each in several])
        self.assertGreater(len(self.client.told), 1)

    def test_follow(self) -> None:
        """What is to be followed is passed on."""
        self.answered(ask.FollowJobs, outputs=[follow_record(Follow(ONE, True, 5))])
        self.assertEqual([("say", X.uid, Follow(ONE, True, 5))], self.launcher.asked)

    def test_nonsense(self) -> None:
        """Is an error, and the link stays."""
        self.refused(WireError, ask.AnswerJobs, answers=[[ONE.job, 1, 1, "perhaps", ""]])
        self.refused(WireError, ask.FollowJobs, outputs=[[ONE.job, 1, 5, 5]])
        self.assertFalse(self.client.closed.called)


class _NoSink:
    def write(self, data: bytes) -> int:
        return len(data)

    def finish(self, digest: bytes) -> Body:
        return Inline(b"")

    def discard(self) -> None:
        """Nothing to do."""


class TheEnd(ConnectionCase):
    """A link that is gone."""

    def test_the_client_is_away(self) -> None:
        """What came in for it and was not taken is deleted, and nothing wakes any more."""
        deleted: list[Body] = []
        self.patch(MemorySinks, "delete", lambda _, body: deleted.append(body))
        self.introduce()
        sent = self.client.streams.send(Inline(bytes(100_000)))
        self.flush()
        self.successResultOf(sent)
        self.client.transport.loseConnection()
        self.flush()
        self.assertEqual([Inline(bytes(100_000))], deleted)
        self.assertIsNone(self.steward._teller.links.get(ALICE))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_drop(self) -> None:
        """Closes at once; whatever is told afterwards fails quietly."""
        self.introduce()
        self.node.drop("enough")
        told = self.node.tell_freed()
        self.flush()
        self.assertTrue(self.client.closed.called)
        self.assertTrue(self.failureResultOf(told))
        self.assertEqual([], self.client.told)


sizes = st.integers(0, 2 * BATCH_BYTES)
outcomes = st.builds(
    lambda size: Outcome(FINISHED, Stored("", size) if size > BATCH_BYTES else Inline(bytes(size))), sizes
)
#: Of these two fill a box to the byte.
HALF = Outcome(FINISHED, Inline(bytes(BATCH_BYTES // 2 - outcome_weight(Outcome(FINISHED)))))


class Batches(unittest.TestCase):
    """How outcomes are cut into boxes."""

    @given(st.lists(outcomes, max_size=12))
    @example([HALF, HALF, HALF])
    def test_nothing_is_lost_and_none_is_too_heavy(self, ended: list[Outcome]) -> None:
        """In their order, none empty, each within the bound unless a single outcome passes it; none could have taken the next."""
        jobs: list[tuple[Attempt, Outcome]] = [(attempt(number), outcome) for number, outcome in enumerate(ended, 1)]
        batches = connections._batches(jobs)
        self.assertEqual(jobs, [pair for batch in batches for pair in batch])
        self.assertTrue(all(batches))
        weights = [[outcome_weight(outcome) for _, outcome in batch] for batch in batches]
        for own, following in zip(weights, [*weights[1:], [BATCH_BYTES]]):
            self.assertTrue(sum(own) <= BATCH_BYTES or len(own) == 1)
            self.assertGreater(sum(own) + following[0], BATCH_BYTES)
