"""The node's hands: what the bench orders is done, once, and what supervisors and clients do reaches it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from dispytw.errors import NodeHeldError, RefusedError, StreamError
from dispytw.node.bench import HOLD
from dispytw.node.keeper import GATHERING, Keeper
from dispytw.node.neighbours import delete_bodies
from dispytw.node.steward import Steward
from dispytw.node.telling import SHOWN_AFTER
from dispytw.values import CANCELLED, FINISHED, INLINE_LIMIT, TERMINATED, Attempt, Inline, Outcome, Stored
from tests.node.benching import ALICE, BOB, FINE, ONE, THREE, TWO, X, Y, attempt
from tests.node.stewarding import Link, StewardCase


class Clients(StewardCase):
    """Links that come and go."""

    def test_a_newer_link_replaces_an_older_one(self) -> None:
        """The older is closed, its end makes nobody away, and what is told goes to the newer."""
        self.run_jobs(ONE)
        newer = Link()
        self.steward.attached(ALICE, "alice@desk", newer)
        self.assertEqual(1, len(self.alice.dropped))
        self.steward.detached(ALICE, self.alice)
        self.assertIsNone(self.bench.next_due())
        self.end(ONE)
        self.turn()
        self.assertEqual([("ended", {ONE: Outcome(FINISHED)}, {})], newer.said)
        self.assertEqual([], self.alice.said)

    def test_what_was_not_said_yet_waits_for_the_reconcile(self) -> None:
        """A new link begins with it, and hears nothing twice."""
        self.run_jobs(ONE)
        self.end(ONE)
        newer = Link()
        self.steward.attached(ALICE, "alice@desk", newer)
        self.turn()
        self.assertEqual([], newer.said)
        words, _ = self.steward.reconcile(ALICE, [])
        self.assertEqual([(ONE, "ended")], words)
        self.turn()
        self.assertEqual(["ended"], newer.kinds())

    def test_a_link_that_is_gone(self) -> None:
        """Nothing is said, and what it is owed is after a minute only on the disk, until it comes back; no timer is left."""
        result = self.stored("result")
        self.run_jobs(ONE)
        self.clock.advance(5)
        self.steward.detached(ALICE, self.alice)
        self.steward.job_started(X.uid, ONE, 1.0)
        self.end(ONE, outcome=Outcome(FINISHED, result))
        self.clock.pump([0.1, 0.1, HOLD - 1.2])
        self.assertEqual([], self.alice.said)
        self.assertEqual("alice@desk", self.bench.holder_name())
        self.clock.advance(1)
        self.assertEqual(("close", X.uid, True), self.launcher.asked[-1])
        self.steward.supervisor_ended(X.uid, "")
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual((set(), {ONE}), (self.bench.attempts(), set(self.journal.rows)))
        back = self.steward.attached(ALICE, "alice@desk", self.alice)
        self.assertNoResult(back)
        self.clock.advance(0.1)
        self.successResultOf(back)
        self.assertEqual([(ONE, "ended")], self.steward.reconcile(ALICE, [])[0])
        self.assertEqual(["result"], self.there())

    def test_a_clock_that_wakes_too_early(self) -> None:
        """What is due is judged by monotonic time alone, and looked after again."""
        now = 0.0
        steward = Steward(self.bench, self.files, Keeper(self.journal, self.clock), self.clock, lambda: now)
        steward.launcher = self.launcher
        self.steward = steward
        steward.attached(ALICE, "alice@desk", self.alice)
        self.run_jobs(ONE)
        self.end(ONE)
        self.clock.pump([0.1, 0.1, 0.1])
        steward.detached(ALICE, self.alice)
        self.clock.advance(HOLD)
        self.assertTrue(self.bench.busy() == 0 and self.bench.next_due() == HOLD)
        now = HOLD
        self.clock.advance(HOLD)
        self.assertIn(("close", X.uid, True), self.launcher.asked)


class Computations(StewardCase):
    """From the first description to the last file."""

    def test_files_first(self) -> None:
        """What is missing is answered; with nothing missing the files are laid out and the supervisor is launched."""
        self.files.lacking = [X.bundle]
        self.assertEqual([X.bundle.digest], self.steward.open_computation(ALICE, X))
        self.assertEqual([], self.files.asked)
        self.files.lacking = []
        self.assertEqual([], self.steward.open_computation(ALICE, X))
        self.assertEqual([("lay out", X.uid)], self.files.asked)
        self.assertEqual([("launch", X, "/store/bundle", "/work/x", "10.0.0.9")], self.launcher.asked)

    def test_what_becomes_of_it_is_told(self) -> None:
        """Ready, failed, and that the node is free, each to whom it concerns."""
        self.prepare()
        self.assertEqual(["ready"], self.alice.kinds())
        self.assertRaises(NodeHeldError, self.steward.open_computation, BOB, Y)
        self.steward.open_computation(ALICE, Y)
        self.steward.setup_failed(Y.uid, "no table")
        self.assertEqual("no table", self.alice.said[-1][3])
        self.steward.supervisor_ended(Y.uid, "")
        for each in (X, Y):
            self.steward.close_computation(ALICE, each.uid)
        self.assertEqual(("close", X.uid, True), self.launcher.asked[-1])
        self.assertEqual([], self.bob.said)
        self.steward.supervisor_ended(X.uid, "")
        self.assertEqual(["freed"], self.bob.kinds())
        self.assertEqual([("remove", Y.uid), ("remove", X.uid)], self.files.asked[2:])

    def test_freed(self) -> None:
        """Whoever wants to know learns that nobody holds the node any more; with one of two computations closed somebody does."""
        freed: list[None] = []
        self.steward.freed = lambda: freed.append(None)
        self.prepare()
        self.prepare(ALICE, Y)
        for each, times in ((Y, 0), (X, 1)):
            self.steward.close_computation(ALICE, each.uid)
            self.steward.supervisor_ended(each.uid, "")
            self.turn()
            self.assertEqual(times, len(freed))
        self.steward.do(())
        self.assertEqual(1, len(freed))

    def test_files_that_cannot_be_laid_out(self) -> None:
        """Is a failed setup, with the reason; nothing is launched, and the computation can be closed."""
        self.files.obstacle = OSError(28, "No space left on device")
        self.steward.open_computation(ALICE, X)
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        (said,) = self.alice.said
        self.assertEqual("it could not be launched: [Errno 28] No space left on device", said[3])
        self.assertEqual([], self.launcher.asked)
        self.files.obstacle = None
        self.steward.close_computation(ALICE, X.uid)
        self.assertEqual(("remove", X.uid), self.files.asked[-1])

    def test_a_launcher_that_refuses(self) -> None:
        """Is told like every other failure."""
        self.launcher.obstacle = RefusedError("the node is ending")
        self.steward.open_computation(ALICE, X)
        self.assertEqual(1, len(self.flushLoggedErrors(RefusedError)))
        self.assertEqual(
            [("failed", "it could not be launched: the node is ending")], [(s[0], s[3]) for s in self.alice.said]
        )

    def test_files_that_cannot_be_removed(self) -> None:
        """Are logged; the node goes on, and what comes next on the disk does too."""
        self.prepare()
        self.files.obstacle = OSError("busy")
        self.steward.supervisor_ended(X.uid, "killed")
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.files.obstacle = None
        self.prepare()
        self.assertEqual(("lay out", X.uid), self.files.asked[-1])

    def test_no_launcher(self) -> None:
        """A steward that was not given one says so."""
        steward = Steward(self.bench, self.files, Keeper(self.journal, self.clock), self.clock, self.clock.seconds)
        steward.attached(ALICE, "alice@desk", self.alice)
        with self.assertRaisesRegex(RuntimeError, "no launcher"):
            steward.launcher.close(X.uid)


class SlowDisk(StewardCase):
    """Work on the disk takes its time, in another thread."""

    def setUp(self) -> None:
        super().setUp()
        self.waiting: list[Callable[[], None]] = []

        def in_thread(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            self.waiting.append(lambda: done.callback(function(*args)))
            return done

        self.steward = self.make(in_thread=in_thread)
        self.steward.attached(ALICE, "alice@desk", self.alice)

    def work(self) -> None:
        """One piece of work is done."""
        self.waiting.pop(0)()

    def test_closed_before_it_was_launched(self) -> None:
        """Nothing is launched, and its files go."""
        self.steward.open_computation(ALICE, X)
        self.steward.close_computation(ALICE, X.uid)
        self.work()
        self.assertEqual([("close", X.uid, True)], self.launcher.asked)
        self.work()
        self.assertEqual([("lay out", X.uid), ("remove", X.uid)], self.files.asked)
        self.assertIsNone(self.bench.holder)

    def test_one_that_comes_again(self) -> None:
        """Is laid out when what it left has been removed, not before."""
        self.steward.open_computation(ALICE, X)
        self.work()
        self.steward.supervisor_ended(X.uid, "killed")
        self.steward.open_computation(ALICE, X)
        self.assertEqual(1, len(self.waiting))
        self.work()
        self.work()
        self.assertEqual([("lay out", X.uid), ("returns", X.uid), ("lay out", X.uid)], self.files.asked)
        self.assertEqual(["launch", "launch"], [asked[0] for asked in self.launcher.asked])

    def test_the_end_waits_for_it(self) -> None:
        """A node that is stopped removes what it has begun to remove."""
        self.steward.open_computation(ALICE, X)
        self.work()
        self.steward.supervisor_ended(X.uid, "")
        stopped = self.steward.stop()
        self.assertNoResult(stopped)
        self.work()
        self.successResultOf(stopped)


class Jobs(StewardCase):
    """Attempts and their outcomes."""

    def test_attempts_are_handed_over(self) -> None:
        """With their arguments; those refused come back with the reason, and are not handed over."""
        generation = self.prepare()
        bodies = {each: Inline(bytes([each.number])) for each in (ONE, TWO)}
        refused = self.steward.run_jobs(ALICE, X.uid, generation, [*bodies.items(), (THREE, Inline(b""))])
        self.assertEqual([(THREE, "no free slot")], refused)
        self.assertEqual(("start", X.uid, bodies), self.launcher.asked[-1])

    def test_cancel(self) -> None:
        """Reaches the launcher."""
        self.run_jobs(ONE)
        self.steward.cancel_jobs(ALICE, [ONE, TWO])
        self.assertEqual([("cancel", X.uid, ONE)], self.launcher.asked[2:])

    def test_recalled(self) -> None:
        """The supervisor is asked; what it gives up is told, and the files of its arguments are deleted."""
        generation = self.prepare()
        paths = [os.path.join(self.directory, name) for name in ("kept", "dropped")]
        for path in paths:
            with open(path, "wb") as file:
                file.write(b"x" * 60_000)
        kept, dropped = (Stored(path, 60_000) for path in paths)
        self.steward.run_jobs(ALICE, X.uid, generation, [(ONE, kept), (TWO, dropped)])
        self.steward.recall_jobs(ALICE, X.uid, 5)
        self.assertEqual(("recall", X.uid, 5), self.launcher.asked[-1])
        self.steward.jobs_given_back(X.uid, [TWO])
        self.assertIn(("given back", TWO), self.alice.said)
        self.assertEqual((True, False), (os.path.exists(kept.path), os.path.exists(dropped.path)))

    def test_one_batch_for_each_client_and_turn(self) -> None:
        """Whatever gathers in one turn is said at its end, in one sentence each."""
        self.run_jobs(ONE, TWO)
        for each, wall in ((ONE, 7.0), (TWO, 8.0)):
            self.steward.job_started(X.uid, each, wall)
        self.assertEqual([], self.alice.said)
        self.clock.advance(SHOWN_AFTER)
        self.assertEqual([("started", (ONE, 7.0), (TWO, 8.0))], self.alice.said)
        self.end(ONE)
        self.steward.close_computation(ALICE, X.uid)
        self.steward.supervisor_ended(X.uid, "")
        generation = self.prepare(BOB, Y)
        self.steward.run_jobs(BOB, Y.uid, generation, [(THREE, Inline(b""))])
        self.steward.job_ended(Y.uid, THREE, FINE)
        self.assertEqual(1, len(self.alice.said))
        self.turn()
        ended = {ONE: Outcome(FINISHED), TWO: Outcome(CANCELLED)}
        self.assertEqual([("started", (ONE, 7.0), (TWO, 8.0)), ("ended", ended, {})], self.alice.said)
        self.assertEqual([("ended", {THREE: FINE}, {})], self.bob.said[1:])
        self.turn()
        self.assertEqual(2, len(self.alice.said))
        self.clock.pump([0.1, 0.1, 0.1])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_short_job(self) -> None:
        """Of one that ends at once the end is told alone; of one that goes on, its start as soon as it has been going for a while."""
        self.run_jobs(ONE, TWO)
        self.steward.job_started(X.uid, ONE, 7.0)
        self.steward.job_started(X.uid, TWO, 8.0)
        self.end(ONE, outcome=FINE)
        self.turn()
        self.assertEqual([("ended", {ONE: FINE}, {})], self.alice.said)
        self.clock.advance(SHOWN_AFTER)
        self.clock.advance(SHOWN_AFTER)
        self.assertEqual([("started", (TWO, 8.0))], self.alice.said[1:])
        self.clock.advance(GATHERING)
        self.clock.pump([0.01, 0.01])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_an_outcome_is_kept_until_it_is_acknowledged(self) -> None:
        """Then its files are deleted, once."""
        outcome = Outcome(FINISHED, self.stored("result"), stdout=self.stored("out"), stderr=Inline(b""))
        self.run_jobs(ONE)
        self.end(ONE, outcome=outcome)
        self.turn()
        for index, (body, sent) in enumerate(self.alice.bodies):
            self.assertEqual((outcome.result, outcome.stdout)[index], body)
            self.assertEqual([], self.alice.said)
            sent.callback(b"%d" % index)
        streams = {self.directory + "/result": b"0", self.directory + "/out": b"1"}
        self.assertEqual([("ended", {ONE: outcome}, streams)], self.alice.said)
        self.assertEqual(["out", "result"], self.there())
        self.alice.answers[0].callback(None)
        self.assertEqual([], self.there())
        self.stored("result")
        self.steward.reconcile(ALICE, [(ONE, 3, 0)])
        self.turn()
        self.assertEqual(["result"], self.there())

    def test_a_supervisor_that_has_not_heard(self) -> None:
        """And tells what is known already: it may forget what is kept, but not what is about to be."""
        self.run_jobs(ONE)
        self.end(ONE)
        self.end(ONE)
        self.assertEqual([], self.launcher.forgetting)
        self.clock.pump([0.1, 0.1, 0.1])
        self.assertEqual([(X.uid, ONE)], self.launcher.forgetting)
        self.end(ONE)
        self.assertEqual([(X.uid, ONE)] * 2, self.launcher.forgetting)

    def test_small_outcomes_do_not_wait_for_large_ones(self) -> None:
        """Those that need no stream are told at once; an inline body that is too large goes alone."""
        large, wide = Outcome(FINISHED, self.stored("r")), Outcome(FINISHED, Inline(bytes(INLINE_LIMIT + 1)))
        just = Outcome(FINISHED, Inline(bytes(INLINE_LIMIT)))
        generation = self.run_jobs(ONE, TWO)
        self.end(ONE, outcome=large)
        self.end(TWO, outcome=wide)
        self.steward.run_jobs(ALICE, X.uid, generation, [(THREE, Inline(b"")), (attempt(4), Inline(b""))])
        self.end(THREE)
        self.end(attempt(4), outcome=just)
        self.turn()
        told = [said[1] for said in self.alice.said]
        self.assertEqual([{THREE: Outcome(FINISHED), attempt(4): just}, {TWO: wide}], told)

    def test_a_result_that_cannot_be_sent(self) -> None:
        """Ends the job as Terminated, with the reason and its times; its files go when that is acknowledged."""
        outcome = Outcome(FINISHED, self.stored("result"), started=5.0, ended=6.0)
        self.run_jobs(ONE)
        self.end(ONE, outcome=outcome)
        self.turn()
        self.alice.bodies[0][1].errback(StreamError("no room"))
        text = "the result could not be sent: no room"
        told = Outcome(TERMINATED, exception=text, reason=text, started=5.0, ended=6.0)
        self.assertEqual([("ended", {ONE: told}, {})], self.alice.said)
        self.alice.answers[0].callback(None)
        self.assertEqual([], self.there())

    def test_a_link_that_closes_meanwhile(self) -> None:
        """Is no error: the outcome is told again on the next one."""
        self.run_jobs(ONE, TWO)
        self.end(ONE)
        self.end(TWO, outcome=Outcome(FINISHED, self.stored("result")))
        self.turn()
        self.alice.answers[0].errback(ConnectionLost())
        self.alice.bodies[0][1].errback(ConnectionLost())
        self.assertEqual([], self.alice.dropped)
        self.steward.reconcile(ALICE, [])
        self.turn()
        self.assertEqual(["ended", "ended"], self.alice.kinds())
        self.assertEqual(2, len(self.alice.bodies))

    def test_a_tell_that_fails_otherwise(self) -> None:
        """Is logged, and the link is closed: a new one begins with a reconcile."""
        self.run_jobs(ONE)
        self.steward.job_started(X.uid, ONE, 1.0)
        self.clock.advance(SHOWN_AFTER)
        self.end(ONE)
        self.turn()
        for answer in self.alice.answers:
            answer.errback(ValueError("nonsense"))
        self.assertEqual(2, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual(["a tell failed", "a tell failed"], self.alice.dropped)
        self.assertTrue(self.bench.owes())


class Arguments(StewardCase):
    """Files of arguments are deleted once, when nobody needs them any more."""

    def hand_over(self, generation: int, *attempts: Attempt, name: str) -> None:
        self.steward.run_jobs(ALICE, X.uid, generation, [(each, self.stored(name)) for each in attempts])

    def test_of_a_job_that_runs(self) -> None:
        """At its end, and not when it is told again."""
        self.hand_over(self.prepare(), ONE, name="args")
        self.steward.job_started(X.uid, ONE, 1.0)
        self.assertEqual(["args"], self.there())
        self.end(ONE)
        self.assertEqual([], self.there())
        self.stored("args")
        self.steward.reconcile(ALICE, [])
        self.assertEqual(["args"], self.there())

    def test_of_one_that_was_refused(self) -> None:
        """At once."""
        self.hand_over(self.run_jobs(ONE, TWO), THREE, name="refused")
        self.assertEqual([], self.there())
        self.assertEqual({}, self.steward._bodies)

    def test_of_one_that_was_sent_twice(self) -> None:
        """Only those that came with the second."""
        generation = self.prepare()
        self.hand_over(generation, ONE, name="first")
        self.hand_over(generation, ONE, name="second")
        self.assertEqual(["first"], self.there())

    def test_of_one_whose_file_is_gone(self) -> None:
        """Is no error."""
        self.hand_over(self.prepare(), ONE, name="args")
        delete_bodies([self.stored("args")])
        self.end(ONE)
        self.assertEqual([], self.there())


class Stopping(StewardCase):
    """The last words."""

    def test_nothing_is_owed(self) -> None:
        """It is over at once, and whatever comes later changes nothing."""
        self.successResultOf(self.steward.stop())
        self.steward.detached(BOB, self.bob)

    def test_what_has_ended_is_told(self) -> None:
        """Without waiting for the turn to end; it is over when all of it has been acknowledged."""
        self.run_jobs(ONE, TWO)
        self.end(ONE)
        self.turn()
        self.end(TWO)
        stopped = self.steward.stop()
        self.assertEqual([{ONE}, {TWO}], [set(said[1]) for said in self.alice.said])
        self.alice.answers[1].callback(None)
        self.assertNoResult(stopped)
        self.alice.answers[0].callback(None)
        self.successResultOf(stopped)
        self.steward.keeper.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_client_that_hangs_up(self) -> None:
        """Is waited for no longer, and no timer is set for it."""
        self.run_jobs(ONE)
        self.steward.detached(BOB, self.bob)
        self.end(ONE)
        stopped = self.steward.stop()
        self.assertNoResult(stopped)
        self.steward.detached(ALICE, self.alice)
        self.successResultOf(stopped)
        self.steward.keeper.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_no_timer_is_left(self) -> None:
        """Not even one that was set before."""
        self.run_jobs(ONE)
        self.steward.detached(ALICE, self.alice)
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.steward.stop()
        self.assertEqual([], self.clock.getDelayedCalls())
