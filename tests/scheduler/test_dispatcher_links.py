"""Links to nodes open, close and replace each other, and computations are opened on them, or cannot be."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from dispytw.errors import NodeHeldError, RefusedError, StreamError, UnknownComputationError
from dispytw.scheduler import orders as o
from dispytw.values import Availability
from dispytw.wire.records import HANDED, RUNNING
from tests.scheduler.dispatching import (
    CLUSTER,
    FILES,
    GENERATION,
    NODE,
    OTHER,
    SECOND,
    Dispatching,
    FakeLink,
    attempt,
)

ONE, TWO = FILES


class Links(Dispatching):
    """Links open, close and replace each other."""

    def test_what_is_believed_is_reconciled(self) -> None:
        """A new link is first asked what it knows, and nothing is sent on it before it has answered."""
        link = self.ready()
        self.submit(1)
        self.turn()
        self.dispatcher.left(link, NODE)
        newer = self.join()
        self.submit(2)
        self.turn()
        self.assertEqual([("reconcile", [(attempt(1), 1, GENERATION)])], newer.said)
        newer.answer("reconcile", ([(attempt(1), HANDED)], {CLUSTER: GENERATION}))
        self.turn()
        self.assertEqual([attempt(2)], self.sent(newer))

    def test_closed_before_it_was_sent(self) -> None:
        """What had not left yet goes elsewhere, as another attempt."""
        link, second = self.ready(), self.ready(SECOND)
        self.submit(1)
        self.dispatcher.left(link, NODE)
        self.clock.pump([0, 0])
        self.assertEqual(([], [attempt(1, 2)]), (self.sent(link), self.sent(second)))

    def test_replaced_before_it_was_sent(self) -> None:
        """It never started; even then nothing is sent on the new link before it has been reconciled."""
        link = self.ready()
        self.submit(1)
        newer = self.join()
        self.clock.pump([0, 0])
        self.assertEqual(([], []), (self.sent(link), self.sent(newer)))
        newer.answer("reconcile", ([], {CLUSTER: GENERATION}))
        self.turn()
        self.assertEqual([attempt(1, 2)], self.sent(newer))

    def test_replaced_before_a_cancel_was_sent(self) -> None:
        """The new link's reconcile shows what is still to be cancelled: it is cancelled once."""
        self.ready()
        self.submit(1)
        self.turn()
        self.cancel(1)
        newer = self.join()
        self.turn()
        self.assertEqual([], newer.heard("cancel"))
        newer.answer("reconcile", ([(attempt(1), RUNNING)], {CLUSTER: GENERATION}))
        self.turn()
        self.assertEqual([[attempt(1)]], newer.heard("cancel"))

    def test_the_end_of_a_replaced_link(self) -> None:
        """Makes nobody away."""
        link = self.ready()
        newer = self.connect()
        self.dispatcher.left(link, NODE)
        self.assertEqual({NODE: newer}, self.dispatcher.links)
        self.assertNotIn(o.TellAway(NODE, 0), self.customer.told)

    def test_the_answer_of_a_replaced_link(self) -> None:
        """Is not what the node says now."""
        link = self.join()
        newer = self.join()
        link.answer("reconcile", ([], {}))
        self.assertFalse(self.ledger.nodes[NODE].live)
        newer.answer("reconcile", ([], {}))
        self.assertTrue(self.ledger.nodes[NODE].live)

    def test_asks_that_end_with_their_link(self) -> None:
        """Are nothing to speak of."""
        for kind, failure in (("run", ConnectionLost()), ("cancel", ConnectionDone()), ("close", ConnectionLost())):
            self.asked(kind).answer(kind, failure)
        link = self.join(SECOND)
        link.answer("reconcile", ConnectionLost())
        self.assertEqual([], link.dropped)
        self.assertEqual([], self.flushLoggedErrors())

    def test_asks_that_fail_otherwise(self) -> None:
        """The two ends no longer agree: the link is closed, and the log says why."""
        for kind in ("run", "cancel", "close", "reconcile"):
            link = self.asked(kind)
            link.answer(kind, UnknownComputationError("what?"))
            self.assertEqual(1, len(link.dropped), kind)
            self.assertEqual(1, len(self.flushLoggedErrors(UnknownComputationError)), kind)

    def asked(self, kind: str) -> FakeLink:
        """A link on which this was asked, and not answered."""
        self.setUp()
        if kind == "reconcile":
            return self.join()
        link = self.ready()
        self.submit(1)
        self.turn()
        self.cancel(1)
        self.turn()
        self.dispatcher.do([o.Release(NODE, CLUSTER)])
        return link

    def test_nobody_to_release(self) -> None:
        """A node that is gone is told nothing; its reconcile will show what is still open there."""
        link = self.ready()
        self.dispatcher.left(link, NODE)
        self.dispatcher.do([o.Release(NODE, CLUSTER), o.Prepare(NODE, CLUSTER)])
        self.assertEqual([CLUSTER], link.heard("open"))
        self.assertEqual([], link.heard("close"))


class Preparing(Dispatching):
    """A computation is opened on a node."""

    def setUp(self) -> None:
        super().setUp()
        self.link = self.connect()
        self.want(self.link)

    def rejection(self) -> str:
        (told,) = self.customer.told
        self.assertIsInstance(told, o.TellRejected)
        self.assertEqual([], self.link.dropped)
        return str(told.text)

    def test_only_what_is_missing(self) -> None:
        """The files that the node lacks are streamed, and it is asked again when all have arrived."""
        self.link.answer("open", [ONE, TWO])
        self.assertEqual([(ONE, FILES[ONE]), (TWO, FILES[TWO])], self.link.heard("file"))
        self.link.answer("file", b"stream")
        self.assertEqual(1, len(self.link.heard("open")))
        self.link.answer("file", b"stream")
        self.assertEqual([CLUSTER, CLUSTER], self.link.heard("open"))
        self.link.answer("open", [])
        self.assertEqual(2, len(self.link.heard("open")))
        self.assertEqual([], self.customer.told)

    def test_files_that_do_not_stay(self) -> None:
        """A node that lacks them again and again is rejected."""
        for _ in range(4):
            self.link.answer("open", [ONE])
            self.link.answer("file", b"stream")
        self.assertEqual(4, len(self.link.heard("open")))
        self.assertEqual("its files did not stay there", self.rejection())

    def test_a_node_that_is_held(self) -> None:
        """The user is told by whom; it is opened again when the node says that it is free."""
        self.link.answer("open", NodeHeldError("in use by somebody"))
        self.assertEqual([o.TellHeld(CLUSTER, NODE, "in use by somebody")], self.customer.told)
        self.dispatcher.freed(NODE)
        self.assertEqual([CLUSTER, CLUSTER], self.link.heard("open"))

    def test_a_node_that_refuses(self) -> None:
        """The user is told why."""
        self.link.answer("open", RefusedError("another Python"))
        self.assertEqual("another Python", self.rejection())

    def test_a_file_that_does_not_arrive(self) -> None:
        """The node is rejected when the other files have come to their end as well."""
        self.link.answer("open", [ONE, TWO])
        self.link.answer("file", StreamError("too large"))
        self.assertEqual([], self.customer.told)
        self.link.answer("file", b"stream")
        self.assertEqual("too large", self.rejection())

    def test_a_link_that_closes(self) -> None:
        """Nothing is decided: the next one begins with a reconcile."""
        self.link.answer("open", ConnectionLost())
        self.assertEqual([], self.customer.told)
        self.assertEqual([], self.link.dropped)

    def test_anything_else(self) -> None:
        """The link is closed."""
        self.link.answer("open", RuntimeError("boom"))
        self.assertEqual(1, len(self.link.dropped))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_a_cluster_that_closes_before_the_answer(self) -> None:
        """Its files are not asked for any more, and the link, which others use, goes on."""
        self.close()
        self.link.answer("open", [ONE])
        self.assertEqual([], self.link.heard("file"))
        self.assertEqual([], self.link.dropped)

    def test_a_cluster_that_closes_while_its_files_go(self) -> None:
        """It is not opened again, and the link, which others use, goes on."""
        self.link.answer("open", [ONE])
        self.close()
        self.link.answer("file", b"stream")
        self.assertEqual([CLUSTER], self.link.heard("open"))
        self.assertEqual([], self.link.dropped)

    def close(self) -> None:
        self.dispatcher.do(self.ledger.cluster_closed(CLUSTER))
        del self.customer.computations[CLUSTER]
        self.assertEqual([CLUSTER], self.link.heard("close"))


class Deciding(Dispatching):
    """NodeAllocate, and computations that fail."""

    def test_allocate_is_asked_with_what_the_node_says(self) -> None:
        """And its answer is the number of slots."""
        link = self.connect(cpus=4)
        self.dispatcher.do(self.ledger.wanted(CLUSTER, NODE))
        ((cluster, facts, answer),) = self.customer.allocations
        self.assertEqual((CLUSTER, NODE, 4), (cluster, facts.uid, facts.cpus))
        self.assertEqual([], link.heard("open"))
        answer.callback(1)
        self.dispatcher.ready(NODE, CLUSTER, GENERATION)
        self.submit(1, 2)
        self.turn()
        self.assertEqual([attempt(1)], self.sent(link))

    def test_how_busy_a_node_is(self) -> None:
        """The customer is told, and whoever is asked for slots later knows it."""
        self.ready()
        busy = Availability(1.0, 2, 3, 4.0)
        self.dispatcher.available(NODE, busy)
        self.assertEqual([(NODE, busy)], self.customer.availability)
        self.dispatcher.do(self.dispatcher.ledger.node_allocated(CLUSTER, NODE))
        self.assertEqual(busy, self.customer.allocations[-1][1].available)

    def test_allocate_raises(self) -> None:
        """The node is not used, and the user told."""
        self.connect()
        self.dispatcher.do(self.ledger.wanted(CLUSTER, NODE))
        self.customer.allocations[0][2].errback(Failure(KeyError("oops")))
        self.assertEqual([o.TellRejected(CLUSTER, NODE, "NodeAllocate.allocate raised: KeyError('oops')")], self.customer.told)

    def test_setup_fails(self) -> None:
        """A generation that was never ready: the node is rejected."""
        link = self.ready()
        self.dispatcher.failed(NODE, CLUSTER, GENERATION + 1, "setup")
        self.assertEqual([o.TellRejected(CLUSTER, NODE, "setup")], self.customer.told)
        self.assertEqual([CLUSTER], link.heard("open"))

    def test_a_supervisor_dies(self) -> None:
        """A generation that was ready: the computation is opened again."""
        link = self.ready()
        self.dispatcher.failed(NODE, CLUSTER, GENERATION, "killed")
        self.assertEqual([], self.customer.told)
        self.assertEqual([CLUSTER, CLUSTER], link.heard("open"))

    def test_a_closed_cluster_fails(self) -> None:
        """Nobody is told."""
        self.ready()
        self.dispatcher.failed(NODE, OTHER, GENERATION, "killed")
        self.assertEqual([], self.customer.told)
