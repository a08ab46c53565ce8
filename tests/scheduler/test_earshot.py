"""What the dispatcher does for running jobs: passes on what counts, and the answers."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock

from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.scheduler.ledger import Ledger
from dispytw.values import Attempt, Inline
from dispytw.wire.jobframes import FILE, HEARD, PROVISIONAL, REFUSED, Follow, Wrote
from dispytw.wire.remarkrecords import Announced, answers_from

NODE = b"n" * 16
CURRENT, OLD = Attempt(b"j" * 16, 2), Attempt(b"j" * 16, 1)


class Link:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.dropped: list[str] = []
        self.answer: Deferred[None] = succeed(None)

    def answer_jobs(self, answers: Any) -> Deferred[None]:
        self.asked += answers_from(answers)
        return self.answer

    def follow_jobs(self, outputs: Any) -> Deferred[None]:
        self.asked += outputs
        return self.answer

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)


class EarshotTests(unittest.TestCase):
    """One attempt is current on the node, another one is not."""

    def setUp(self) -> None:
        self.heard: list[Any] = []
        clock = Clock()
        ledger: Any = Ledger()
        ledger.speaks = lambda node, attempt: (node, attempt) == (NODE, CURRENT)
        self.dispatcher = Dispatcher(ledger, self, clock, clock.seconds)  # type: ignore[arg-type]
        self.link: Any = Link()
        self.dispatcher.links[NODE] = self.link

    def remarked(self, node: bytes, remark: Announced) -> None:
        self.heard.append(remark)

    def wrote(self, wrote: Wrote) -> None:
        self.heard.append(wrote)

    def test_what_counts(self) -> None:
        """What a current attempt says and writes is passed on; of any other it is refused, or dropped."""
        said = [Announced(each, 1, PROVISIONAL, "", 1, Inline(b"v")) for each in (CURRENT, OLD)]
        self.dispatcher.remarked(NODE, said)
        self.assertEqual(([said[0]], [REFUSED]), (self.heard, [each.verdict for each in self.link.asked]))
        wrote = [Wrote(each, False, 0, b"x") for each in (CURRENT, OLD)]
        self.dispatcher.wrote(NODE, wrote)
        self.assertEqual(wrote[:1], self.heard[1:])

    def test_answers(self) -> None:
        """Go to the node, if it is there; one that fails with its link is no fault."""
        remark = Announced(CURRENT, 3, FILE, "x", 1, None)
        self.dispatcher.answer(NODE, remark, HEARD)
        self.dispatcher.answer(b"?" * 16, remark, HEARD)
        self.dispatcher.follow(NODE, [Follow(CURRENT, True, 5)])
        self.dispatcher.follow(b"?" * 16, [Follow(CURRENT, True, 5)])
        self.assertEqual([(CURRENT, 3, HEARD), Follow(CURRENT, True, 5)], [(self.link.asked[0].attempt, 3, HEARD), self.link.asked[1]])
        self.assertEqual(2, len(self.link.asked))
        self.link.answer = Deferred()
        self.dispatcher.answer(NODE, remark, HEARD)
        self.link.answer.errback(ConnectionLost())
        self.assertEqual([], self.link.dropped)
