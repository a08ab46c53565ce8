"""What is told to clients, and when; with a steward around it in test_steward."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.node import orders as o
from dispytw.node.telling import SHOWN_AFTER, Teller
from dispytw.values import Attempt
from tests.node.benching import ALICE, BOB, FINE, ONE, TWO, X
from tests.node.stewarding import Link

EVERY_PYTHON = False


class Tellings(SynchronousTestCase):
    """A teller, and Alice's link."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.known: list[Attempt] = []
        self.teller = Teller(self.clock, self.clock.seconds, self.known.extend)
        self.alice = Link()
        self.teller.attached(ALICE, self.alice)

    def test_one_batch_a_turn(self) -> None:
        """Starts and ends each in one sentence; acknowledged when they are answered."""
        self.teller.tell_started(o.TellStarted(ALICE, ONE, 1.0))
        self.teller.tell_started(o.TellStarted(ALICE, TWO, 2.0))
        self.assertEqual([], self.alice.said)
        self.clock.advance(SHOWN_AFTER)
        self.teller.tell_ended(o.TellEnded(ALICE, ONE, FINE))
        self.clock.advance(0)
        self.assertEqual([("started", (ONE, 1.0), (TWO, 2.0)), ("ended", {ONE: FINE}, {})], self.alice.said)
        self.assertEqual([], self.known)
        self.alice.answers[1].callback(None)
        self.assertEqual([ONE], self.known)

    def test_a_start_before_something_else(self) -> None:
        """When something about a running job is told next, its start is told at once, and not again."""
        self.teller.tell_started(o.TellStarted(ALICE, ONE, 1.0))
        self.teller.tell_started(o.TellStarted(ALICE, TWO, 2.0))
        for _ in range(2):
            self.teller.tell_start_now(ALICE, ONE)
        self.teller.tell_start_now(BOB, TWO)
        self.assertEqual([("started", (ONE, 1.0))], self.alice.said)
        self.clock.advance(SHOWN_AFTER)
        self.assertEqual([("started", (TWO, 2.0))], self.alice.said[1:])

    def test_nobody_is_there(self) -> None:
        """What is told to somebody who is not there is forgotten, and no timer stays."""
        self.teller.tell(o.TellReady(BOB, X.uid, 1))
        self.teller.tell_ended(o.TellEnded(BOB, ONE, FINE))
        self.clock.advance(0)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_newer_link(self) -> None:
        """Replaces the older one, whose end means nothing any more; what had gathered is not told on it."""
        self.teller.tell_ended(o.TellEnded(ALICE, ONE, FINE))
        newer = Link()
        self.teller.attached(ALICE, newer)
        self.assertEqual(1, len(self.alice.dropped))
        self.assertFalse(self.teller.detached(ALICE, self.alice))
        self.clock.advance(0)
        self.assertEqual([], newer.said)
        self.assertTrue(self.teller.detached(ALICE, newer))
        self.assertEqual({}, self.teller.links)

    def test_failures(self) -> None:
        """A link that ends meanwhile is no fault; anything else is logged, and the link dropped."""
        self.teller.tell(o.TellFreed(ALICE))
        self.alice.answers[0].errback(ConnectionLost())
        self.assertEqual([], self.alice.dropped)
        self.teller.tell(o.TellFailed(ALICE, X.uid, 1, "no"))
        self.alice.answers[1].errback(ValueError("odd"))
        self.assertEqual(1, len(self.alice.dropped))
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
