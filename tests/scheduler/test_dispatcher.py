"""What the ledger orders is carried out: batches, streams first, and links that are replaced or closed in the middle of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from dispytw.errors import StreamError
from dispytw.scheduler import orders as o
from dispytw.scheduler.entries import HORIZON
from dispytw.scheduler.ledger import NO_SLOT
from dispytw.values import CANCELLED, FINISHED, INLINE_LIMIT, TERMINATED, Inline, JobOptions, Outcome
from dispytw.wire.records import NEVER_STARTED, RUNNING
from tests.scheduler.dispatching import (
    ARGS,
    CLUSTER,
    GENERATION,
    LARGE,
    NODE,
    OTHER,
    SECOND,
    Dispatching,
    attempt,
    uid,
)


class Batches(Dispatching):
    """All orders of one turn to one node leave together."""

    def test_at_the_turn_s_end(self) -> None:
        """Not one by one: three jobs submitted together are one command."""
        link = self.ready()
        self.submit(1, 2, 3)
        self.assertEqual([], link.heard("run"))
        self.turn()
        jobs = [(attempt(job), ARGS, None) for job in (1, 2, 3)]
        self.assertEqual([(CLUSTER, GENERATION, jobs)], link.heard("run"))
        self.submit(4)
        self.turn()
        self.assertEqual((CLUSTER, GENERATION, [(attempt(4), ARGS, None)]), link.heard("run")[1])

    def test_to_each_node_its_own(self) -> None:
        """Two nodes, two commands."""
        first, second = self.ready(), self.ready(SECOND)
        self.submit(1, 2, 3, 4)
        self.turn()
        self.assertEqual([[attempt(1), attempt(3)], [attempt(2), attempt(4)]], [self.sent(first), self.sent(second)])
        self.assertEqual([1, 1], [len(link.heard("run")) for link in (first, second)])

    def test_to_each_computation_its_own(self) -> None:
        """A command names one computation."""
        link = self.ready()
        self.dispatcher.do(self.ledger.cluster_opened(OTHER))
        self.want(link, cluster=OTHER)
        self.dispatcher.ready(NODE, OTHER, 9)
        self.submit(1)
        self.submit(2, cluster=OTHER)
        self.submit(3)
        self.turn()
        batches = [(cluster, generation, [each[0] for each in jobs]) for cluster, generation, jobs in link.heard("run")]
        self.assertEqual([(CLUSTER, GENERATION, [attempt(1), attempt(3)]), (OTHER, 9, [attempt(2)])], batches)

    def test_cancels(self) -> None:
        """Cancels of one turn leave in one command, too."""
        link = self.ready()
        self.submit(1, 2)
        self.turn()
        self.cancel(1)
        self.cancel(2)
        self.assertEqual([], link.heard("cancel"))
        self.turn()
        self.assertEqual([[attempt(1), attempt(2)]], link.heard("cancel"))

    def test_recalls_come_after_what_they_are_about(self) -> None:
        """A job goes before one which leaves in the same turn: that one is sent, then all are asked for, and only then others may begin."""
        link = self.ready(cpus=1)
        self.submit(1, 2)
        self.turn()
        self.dispatcher.ended(NODE, [(attempt(1), Outcome(FINISHED, started=1.0, ended=1.0 + HORIZON / 3.5))])
        self.turn()
        self.submit(3)
        self.customer.bodies[uid(4)] = ARGS
        self.dispatcher.do(self.ledger.submitted(CLUSTER, uid(4), JobOptions(priority=1)))
        self.cancel(2)
        self.assertEqual([], link.heard("recall"))
        self.turn()
        self.assertEqual([(CLUSTER, 2)], link.heard("recall"))
        self.assertEqual(["run", "run", "recall", "cancel"], [said[0] for said in link.said][-4:])
        self.turn()
        self.assertEqual(1, len(link.heard("recall")))

    def test_what_is_refused_goes_again(self) -> None:
        """The node's answer names attempts that never started."""
        link = self.ready()
        self.submit(1, 2)
        self.turn()
        link.answer("run", [(attempt(2), "the computation is not ready here")])
        self.turn()
        self.assertEqual([attempt(1), attempt(2), attempt(2, 2)], self.sent(link))

    def test_a_full_node_is_left_alone_for_a_second(self) -> None:
        """The ledger is woken when it is over."""
        link = self.ready()
        self.submit(1)
        self.turn()
        link.answer("run", [(attempt(1), NO_SLOT)])
        self.clock.advance(0.99)
        self.assertEqual([attempt(1)], self.sent(link))
        self.clock.pump([0.02, 0])
        self.assertEqual([attempt(1), attempt(1, 2)], self.sent(link))


class Leaving(Dispatching):
    """What must happen before an attempt leaves, and before its outcome may be forgotten."""

    def test_before_it_leaves(self) -> None:
        """The customer is told of each batch first."""
        link = self.ready()
        self.customer.leaving = lambda *left: bool(self.customer.left.append((*left, len(link.heard("run"))))) or True  # type: ignore
        self.submit(1, 2)
        self.turn()
        self.assertEqual([(CLUSTER, NODE, [attempt(1), attempt(2)], 0)], self.customer.left)
        self.assertEqual([attempt(1), attempt(2)], self.sent(link))

    def test_not_yet(self) -> None:
        """What must not leave yet is tried again in a moment, as another attempt."""
        link = self.ready()
        self.customer.lets_leave = False
        self.submit(1)
        self.turn()
        self.assertEqual([], self.sent(link))
        self.customer.lets_leave = True
        self.clock.pump([0.99, 0])
        self.assertEqual([], self.sent(link))
        self.clock.pump([0.02, 0])
        self.assertEqual([attempt(1, 2)], self.sent(link))

    def test_large_arguments(self) -> None:
        """These, too, are told before the command that starts the job."""
        link = self.ready()
        self.submit(1, body=LARGE)
        self.turn()
        self.assertEqual([], self.customer.left)
        link.answer("body", b"stream")
        self.assertEqual([(CLUSTER, NODE, [attempt(1)])], self.customer.left)

    def test_kept(self) -> None:
        """Whoever brings outcomes gets the customer's word for when they are kept."""
        self.ready()
        self.submit(1)
        self.turn()
        self.assertIsNone(self.dispatcher.ended(NODE, []))
        self.customer.keeping = Deferred()
        self.assertIs(self.customer.keeping, self.dispatcher.ended(NODE, [(attempt(1), Outcome(CANCELLED))]))


class Withdrawing(Dispatching):
    """Jobs that are cancelled while they are on their way."""

    def test_before_it_was_sent(self) -> None:
        """The node never hears of it; those around it leave."""
        link = self.ready()
        self.submit(1, 2, 3)
        self.cancel(2)
        self.turn()
        self.assertEqual([(uid(2), CANCELLED)], self.customer.ends)
        self.assertEqual([attempt(1), attempt(3)], self.sent(link))
        self.assertEqual([], link.heard("cancel"))

    def test_given_up_before_it_was_sent(self) -> None:
        """Its slot is free again."""
        link = self.ready(cpus=1)
        self.submit(1)
        self.dispatcher.do(self.ledger.given_up(CLUSTER, "enough"))
        self.submit(2)
        self.clock.pump([0, 0])
        self.assertEqual([attempt(2)], self.sent(link))
        self.assertEqual([], link.heard("cancel"))

    def test_with_others_that_were_sent(self) -> None:
        """In one turn: one that has left is cancelled there, one that has not is not."""
        link = self.ready()
        self.submit(1)
        self.turn()
        self.submit(2)
        self.cancel(1)
        self.cancel(2)
        self.turn()
        self.assertEqual([[attempt(1)]], link.heard("cancel"))
        self.assertEqual([attempt(1)], self.sent(link))

    def test_when_the_link_is_gone(self) -> None:
        """The cancel is said when the node is back."""
        link = self.ready()
        self.submit(1)
        self.turn()
        self.cancel(1)
        self.dispatcher.left(link, NODE)
        self.turn()
        newer = self.join()
        newer.answer("reconcile", ([(attempt(1), RUNNING)], {CLUSTER: GENERATION}))
        self.turn()
        self.assertEqual(([], [[attempt(1)]]), (link.heard("cancel"), newer.heard("cancel")))


class Streaming(Dispatching):
    """Arguments that do not fit a box go ahead of the command that names them."""

    def setUp(self) -> None:
        super().setUp()
        self.link = self.ready()

    def large(self) -> None:
        """A job whose arguments are underway."""
        self.submit(1, body=LARGE)
        self.turn()
        self.assertEqual([LARGE], self.link.heard("body"))
        self.assertEqual([], self.link.heard("run"))

    def test_first_the_stream(self) -> None:
        """The command follows when the node has it whole, and names it."""
        self.large()
        self.link.answer("body", b"stream")
        self.assertEqual([(CLUSTER, GENERATION, [(attempt(1), LARGE, b"stream")])], self.link.heard("run"))

    def test_nobody_waits_for_it(self) -> None:
        """Small ones of the same turn leave at once."""
        self.submit(1, body=LARGE)
        self.submit(2, body=Inline(b"x" * INLINE_LIMIT))
        self.turn()
        self.assertEqual([attempt(2)], self.sent(self.link))

    def test_cancelled_meanwhile(self) -> None:
        """It is not handed over, and not cancelled where nobody knows it."""
        self.large()
        self.cancel(1)
        self.turn()
        self.link.answer("body", b"stream")
        self.turn()
        self.assertEqual(([], []), (self.link.heard("run"), self.link.heard("cancel")))
        self.assertEqual([(uid(1), CANCELLED)], self.customer.ends)

    def test_cancelled_afterwards(self) -> None:
        """As every other."""
        self.large()
        self.link.answer("body", b"stream")
        self.cancel(1)
        self.turn()
        self.assertEqual([[attempt(1)]], self.link.heard("cancel"))

    def test_given_up_meanwhile(self) -> None:
        """It is not handed over, and its slot is free."""
        self.large()
        self.dispatcher.do(self.ledger.given_up(CLUSTER, "enough"))
        self.turn()
        self.link.answer("body", b"stream")
        self.assertEqual([], self.link.heard("run"))
        self.assertEqual(0, self.ledger.nodes[NODE].busy)

    def test_the_link_closes_meanwhile(self) -> None:
        """It never started: it goes elsewhere."""
        second = self.ready(SECOND)
        self.large()
        self.dispatcher.left(self.link, NODE)
        self.link.answer("body", ConnectionLost())
        self.turn()
        self.assertEqual([LARGE], second.heard("body"))
        second.answer("body", b"stream")
        self.assertEqual([attempt(1, 2)], self.sent(second))

    def test_the_link_is_replaced_meanwhile(self) -> None:
        """What the old link still brings home is handed over on neither; the job goes again on the new one."""
        self.large()
        newer = self.join()
        self.link.answer("body", b"stream")
        newer.answer("reconcile", ([], {CLUSTER: GENERATION}))
        self.turn()
        newer.answer("body", b"another")
        self.assertEqual([(CLUSTER, GENERATION, [(attempt(1, 2), LARGE, b"another")])], newer.heard("run"))
        self.assertEqual([], self.link.heard("run"))

    def test_the_link_is_replaced_and_reconciled_meanwhile(self) -> None:
        """The node has said that it never started: the attempt is over before its stream is."""
        self.large()
        newer = self.join()
        newer.answer("reconcile", ([(attempt(1), NEVER_STARTED)], {CLUSTER: GENERATION}))
        self.turn()
        self.link.answer("body", b"stream")
        newer.answer("body", b"another")
        self.turn()
        self.assertEqual(([], [attempt(1, 2)]), (self.sent(self.link), self.sent(newer)))

    def test_the_node_cannot_keep_it(self) -> None:
        """It is tried again after a second."""
        self.large()
        self.link.answer("body", StreamError("disk full"))
        self.clock.advance(0.5)
        self.assertEqual([LARGE], self.link.heard("body"))
        self.clock.pump([0.6, 0])
        self.assertEqual([LARGE, LARGE], self.link.heard("body"))

    def test_a_replaced_link_cannot_keep_it(self) -> None:
        """What became of the attempt is what the new link says: the node is not left alone for it."""
        self.large()
        newer = self.join()
        self.link.answer("body", StreamError("disk full"))
        newer.answer("reconcile", ([(attempt(1), NEVER_STARTED)], {CLUSTER: GENERATION}))
        self.turn()
        self.assertEqual([LARGE], newer.heard("body"))

    def test_anything_else(self) -> None:
        """The link is closed: a new one begins with a reconcile."""
        self.large()
        self.link.answer("body", RuntimeError("boom"))
        self.assertEqual(1, len(self.link.dropped))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual([], self.customer.settled)


class Telling(Dispatching):
    """What the customer hears."""

    def test_started_and_ended(self) -> None:
        """Many at a time, each to its job."""
        self.ready()
        self.submit(1, 2)
        self.dispatcher.started(NODE, [(attempt(1), 1e9), (attempt(2), 2e9)])
        self.assertEqual([(uid(1), NODE, 1e9), (uid(2), NODE, 2e9)], self.customer.running)
        done = Outcome(FINISHED)
        self.dispatcher.ended(NODE, [(attempt(1), done), (attempt(2), done)])
        self.assertEqual([(uid(1), done, NODE), (uid(2), done, NODE)], self.customer.settled)

    def test_an_end_that_cannot_be_told(self) -> None:
        """It fails alone: those before it have been told, and the node tells those behind it again, which count then."""
        self.ready()
        self.submit(1, 2, 3)
        body = self.customer.bodies.pop(uid(2))
        done = Outcome(FINISHED)
        ends = [(attempt(job), done) for job in (1, 2, 3)]
        self.assertRaises(KeyError, self.dispatcher.ended, NODE, ends)
        self.assertEqual([uid(1)], [job for job, *_ in self.customer.settled])
        self.customer.bodies[uid(2)] = body
        self.dispatcher.ended(NODE, ends)
        self.assertEqual([uid(1), uid(3)], [job for job, *_ in self.customer.settled])

    def test_tried_again(self) -> None:
        """A job that failed and has retries is shown, and goes out again when it has rested, with its timeout."""
        link = self.ready()
        self.customer.bodies[uid(1)] = Inline(b"")
        self.dispatcher.do(self.ledger.submitted(CLUSTER, uid(1), JobOptions(timeout=5.0, retries=1, backoff=3.0)))
        self.turn()
        failed = Outcome(TERMINATED, started=1.0)
        self.clock.advance(100.0)
        self.dispatcher.ended(NODE, [(attempt(1), failed)])
        self.assertEqual([o.ShowRetry(uid(1), failed, NODE, attempt(1), 1, 3.0)], self.customer.told)
        self.clock.advance(2.9)
        self.assertEqual(1, len(link.heard("run")))
        self.clock.advance(0.2)
        self.turn()
        self.assertEqual([{attempt(1): 5.0}, {attempt(1, 2): 5.0}], [said[-1] for said in link.heard("run")])

    def test_away_and_back(self) -> None:
        """A node on which something runs does not answer, and answers again."""
        link = self.ready()
        self.submit(1)
        self.dispatcher.left(link, NODE)
        self.connect()
        self.assertEqual([o.TellAway(NODE, 1), o.TellBack(NODE)], self.customer.told)

    def test_away_with_nothing(self) -> None:
        """Nobody is told of a node on which nothing runs."""
        self.dispatcher.left(self.ready(), NODE)
        self.connect()
        self.assertEqual([], self.customer.told)


class Waking(Dispatching):
    """The ledger is woken when something is due."""

    reentrant = True

    def setUp(self) -> None:
        super().setUp()
        self.monotonic = 0.0
        self.dispatcher = type(self.dispatcher)(self.ledger, self.customer, self.clock, lambda: self.monotonic)
        self.link = self.ready()
        self.submit(1)
        self.turn()
        self.dispatcher.left(self.link, NODE)

    def pass_time(self, seconds: float) -> None:
        self.monotonic += seconds
        self.clock.advance(seconds)

    def test_a_node_is_given_up(self) -> None:
        """After a minute its job waits for another."""
        self.pass_time(59.9)
        self.assertEqual(NODE, self.ledger.jobs[uid(1)].node)
        self.pass_time(0.2)
        self.assertIsNone(self.ledger.jobs[uid(1)].node)

    def test_a_clock_that_runs_ahead(self) -> None:
        """A call that comes too early decides nothing, and another follows."""
        self.clock.advance(100)
        self.assertEqual(NODE, self.ledger.jobs[uid(1)].node)
        self.pass_time(60.1)
        self.assertIsNone(self.ledger.jobs[uid(1)].node)

    def test_one_call_at_a_time(self) -> None:
        """However much happens meanwhile; and none when nothing is due."""
        for _ in range(5):
            self.dispatcher.do([])
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.join().answer("reconcile", ([(attempt(1), RUNNING)], {CLUSTER: GENERATION}))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_stopped(self) -> None:
        """No call is left, neither for what is due nor for what was to leave."""
        second = self.ready(SECOND)
        self.submit(2)
        self.assertEqual(2, len(self.clock.getDelayedCalls()))
        self.dispatcher.stop()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual([], self.sent(second))
