"""What jobs say reaches their client through the steward, and the answers reach them."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.logger import globalLogPublisher

from dispytw.errors import StreamError
from dispytw.node.spokesman import AWAY, MOST_LINES
from dispytw.values import Attempt, Body, Inline
from dispytw.wire.jobframes import (
    FILE,
    HEARD,
    PROVISIONAL,
    REFUSED,
    UNDERWAY,
    Answer,
    Follow,
    Logged,
    Remark,
    Unsaid,
    Wrote,
)
from dispytw.wire.remarkrecords import WANTED
from tests.node.benching import ALICE, BOB, X
from tests.node.stewarding import Link, StewardCase

J = Attempt(b"j" * 16, 1)


def remark(number: int = 1, body: Body = Inline(b"v"), kind: str = PROVISIONAL, path: str = "") -> Remark:  # noqa: B008
    return Remark(J, number, kind, path, body)


class SpokesmanTests(StewardCase):
    """One job of Alice's that runs."""

    def setUp(self) -> None:
        super().setUp()
        self.run_jobs(J)
        self.steward.reconcile(ALICE, [])
        self.alice.said.clear()
        self.launcher.asked.clear()

    def say(self, *frames: Any) -> None:
        for frame in frames:
            self.steward.job_said(X.uid, frame)

    def told(self) -> list[tuple[Any, ...]]:
        """What Alice was told in the next turn."""
        self.turn()
        said, self.alice.said = self.alice.said, []
        return said

    def answers(self) -> list[tuple[Any, ...]]:
        """What the supervisor was told."""
        asked, self.launcher.asked = self.launcher.asked, []
        return asked

    def answer(self, verdict: str, number: int = 1, client: bytes = ALICE) -> None:
        self.steward.spokesman.answered(client, [Answer(J, number, verdict)])

    def test_there_and_back(self) -> None:
        """What it says is told once, after its start, and its answer is the job's."""
        self.steward.job_started(X.uid, J, 5.0)
        self.say(remark())
        self.assertEqual([("started", (J, 5.0)), ("remarked", remark())], self.told())
        self.answer(HEARD)
        self.assertEqual([("say", X.uid, Answer(J, 1, HEARD))], self.answers())
        self.clock.advance(1)
        self.assertEqual([], self.told())

    def test_only_its_client_answers(self) -> None:
        """Another client's answer, and its wish to follow, are ignored."""
        self.say(remark())
        self.answer(HEARD, client=BOB)
        self.steward.spokesman.follow(BOB, [Follow(J, False, 0)])
        self.assertEqual([], self.answers())

    def test_long_bodies(self) -> None:
        """They are streamed when wanted; what goes wrong there is the job's answer, and their file is deleted."""
        body = self.stored("said-1")
        self.say(remark(1, body, FILE, "x"))
        self.turn()
        self.answer(WANTED)
        self.assertEqual([("say", X.uid, Answer(J, 1, UNDERWAY))], self.answers())
        sent, stream = self.alice.bodies[0]
        self.assertEqual(body, sent)
        stream.errback(StreamError("no room"))
        self.assertEqual([("say", X.uid, Answer(J, 1, REFUSED, "no room"))], self.answers())
        self.assertEqual([], self.there())

    def test_unsafe_paths(self) -> None:
        """Are refused here already."""
        self.say(remark(1, self.stored("said-1"), FILE, "../x"))
        self.assertIn("not plainly relative", self.answers()[0][2].text)
        self.assertEqual(([], []), (self.there(), self.told()))

    def test_link_replaced(self) -> None:
        """What was told on the old link is told again when the client has reconciled on the new one, not before."""
        self.say(remark())
        self.turn()
        newer = Link()
        self.steward.attached(ALICE, "alice@desk", newer)
        self.steward.detached(ALICE, self.alice)
        self.say(remark(2))
        self.turn()
        self.assertEqual([], newer.said)
        self.steward.reconcile(ALICE, [])
        self.turn()
        self.assertEqual([("remarked", remark())], [each for each in newer.said if each[0] == "remarked"])

    def test_client_gone(self) -> None:
        """A remark waits for a client that is away; when that has been so for long, it is refused at once."""
        self.steward.detached(ALICE, self.alice)
        self.say(remark())
        self.assertEqual([], self.answers())
        self.say(Unsaid(J, 1))
        self.clock.advance(AWAY + 1)
        self.say(remark(2))
        self.assertEqual([("say", X.uid, Answer(J, 2, REFUSED, "the client has been away for 31 s"))], self.answers())

    def test_job_over(self) -> None:
        """With the job's end nobody waits any more; what it said last is refused, and nothing is left on the disk."""
        self.say(remark(1, self.stored("said-1")))
        self.end(J)
        self.assertEqual([], self.there())
        self.say(remark(2, self.stored("said-2")))
        self.assertEqual([("say", X.uid, Answer(J, 2, REFUSED, "this job is over"))], self.answers())
        self.assertEqual([], self.there())

    def test_output(self) -> None:
        """A wish to follow reaches the supervisor, and what comes the client, in one batch for each turn."""
        self.steward.spokesman.follow(ALICE, [Follow(J, False, 0), Follow(Attempt(b"?" * 16, 1), False, 0)])
        self.assertEqual([("say", X.uid, Follow(J, False, 0))], self.answers())
        wrotes = Wrote(J, False, 0, b"text"), Wrote(J, True, 0, b"err")
        self.say(*wrotes)
        self.assertEqual([("wrote", *wrotes)], self.told())
        self.steward.detached(ALICE, self.alice)
        self.say(*wrotes)
        self.assertEqual([], self.told())

    def test_lines_for_the_log(self) -> None:
        """They name job and computation, stay one event each, and keep their level."""
        events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.say(Logged(J, 40, "one\n2026 forged"), Logged(None, 10, "in setup"))
        self.assertEqual(["error", "debug"], [event["log_level"].name for event in events])
        self.assertEqual([f"job {J}", "setup"], [event["job"] for event in events])
        self.assertEqual([X.name] * 2, [event["name"] for event in events])
        self.assertEqual("one\n    2026 forged", events[0]["text"])

    def test_too_many_lines(self) -> None:
        """More than so many in a second are dropped, which is said once; the next second is another one."""
        events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.say(*[Logged(J, 20, "text")] * (MOST_LINES + 10))
        self.assertEqual(MOST_LINES + 1, len(events))
        self.assertIn("more than", events[-1]["log_format"])
        self.clock.advance(1)
        self.say(Logged(J, 20, "text"))
        self.assertEqual((MOST_LINES + 2, "text"), (len(events), events[-1]["text"]))

    def test_link_breaks_while_it_is_told(self) -> None:
        """A tell that ends with its link drops nothing; one that fails otherwise drops the link."""
        self.say(remark())
        self.turn()
        self.alice.answers[-1].errback(ConnectionLost())
        self.assertEqual([], self.alice.dropped)
        self.answer(HEARD)
        self.say(remark(2))
        self.turn()
        self.alice.answers[-1].errback(ValueError("what"))
        self.assertEqual(["a tell failed"], self.alice.dropped)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
