"""The mind that passes remarks on: in order, one at a time, each answered once, whatever happens to links and jobs."""

from __future__ import annotations

import unittest

from dispytw.node.remarks import Discard, Remarks, Reply, Send, Tell
from dispytw.values import Attempt, Body, Inline, Stored
from dispytw.wire.jobframes import FILE, HEARD, PROVISIONAL, REFUSED, STOPPED, UNDERWAY, Answer, Remark
from dispytw.wire.remarkrecords import WANTED

ATTEMPT, OTHER = Attempt(b"j" * 16, 1), Attempt(b"k" * 16, 1)
LONG = Stored("/spool/x", 100)


def remark(number: int, body: Body = Inline(b"v"), kind: str = PROVISIONAL, attempt: Attempt = ATTEMPT) -> Remark:  # noqa: B008
    return Remark(attempt, number, kind, "x" if kind == FILE else "", body)


def reply(number: int, verdict: str, text: str = "", attempt: Attempt = ATTEMPT) -> Reply:
    return Reply(Answer(attempt, number, verdict, text))


class RemarksTests(unittest.TestCase):
    """One attempt that speaks, of a client that is there."""

    def setUp(self) -> None:
        self.remarks = Remarks(max_file_size=1000)

    def test_there_and_back(self) -> None:
        """It is told, and its answer is the job's."""
        self.assertEqual([Tell(remark(1))], self.remarks.remarked(remark(1), True))
        self.assertEqual([ATTEMPT], self.remarks.attempts)
        self.assertEqual([reply(1, HEARD), Discard(Inline(b"v"))], self.remarks.answered(ATTEMPT, 1, HEARD, ""))
        self.assertEqual([], self.remarks.attempts)
        self.assertEqual([], self.remarks.answered(ATTEMPT, 1, HEARD, ""))

    def test_one_after_another(self) -> None:
        """The next one of the same attempt waits for the answer; other attempts do not."""
        self.remarks.remarked(remark(1), True)
        self.assertEqual([], self.remarks.remarked(remark(2), True))
        self.assertEqual([Tell(remark(1, attempt=OTHER))], self.remarks.remarked(remark(1, attempt=OTHER), True))
        self.assertEqual([], self.remarks.answered(ATTEMPT, 2, HEARD, ""))
        done = self.remarks.answered(ATTEMPT, 1, REFUSED, "no")
        self.assertEqual([reply(1, REFUSED, "no"), Discard(Inline(b"v")), Tell(remark(2))], done)

    def test_said_twice(self) -> None:
        """A supervisor that says it again to its new daemon changes nothing."""
        self.remarks.remarked(remark(1), True)
        self.assertEqual([], self.remarks.remarked(remark(1), True))
        self.assertEqual(2, len(self.remarks.answered(ATTEMPT, 1, HEARD, "")))

    def test_long_bodies(self) -> None:
        """They are sent when they are wanted, once; the job's clock stands still meanwhile."""
        self.remarks.remarked(remark(1, LONG), True)
        self.assertEqual([reply(1, UNDERWAY), Send(remark(1, LONG))], self.remarks.answered(ATTEMPT, 1, WANTED, ""))
        self.assertEqual([], self.remarks.answered(ATTEMPT, 1, WANTED, ""))
        self.assertEqual([reply(1, HEARD), Discard(LONG)], self.remarks.answered(ATTEMPT, 1, HEARD, ""))

    def test_sending_fails(self) -> None:
        """The job is told why."""
        self.remarks.remarked(remark(1, LONG), True)
        self.remarks.answered(ATTEMPT, 1, WANTED, "")
        self.assertEqual([reply(1, REFUSED, "full"), Discard(LONG)], self.remarks.send_failed(ATTEMPT, 1, "full"))

    def test_large_files(self) -> None:
        """A file above the limit is refused; a provisional result has none, and 0 is none."""
        large = Stored("/spool/x", 1001)
        orders = self.remarks.remarked(remark(1, large, FILE), True)
        self.assertEqual(Discard(large), orders[1])
        self.assertIn("1001 bytes, more than the 1000", orders[0].answer.text)  # type: ignore[union-attr]
        self.assertEqual([], self.remarks.attempts)
        self.assertEqual([Tell(remark(2, large))], self.remarks.remarked(remark(2, large), True))
        self.assertEqual([Tell(remark(1, large, FILE))], Remarks().remarked(remark(1, large, FILE), True))

    def test_nobody_waits(self) -> None:
        """What was not told is not told; what was, waits for its answer."""
        self.remarks.remarked(remark(1), True)
        self.remarks.remarked(remark(2), True)
        self.assertEqual([Discard(Inline(b"v"))], self.remarks.unsaid(ATTEMPT, 2))
        self.assertEqual([], self.remarks.unsaid(ATTEMPT, 1))
        self.assertEqual([], self.remarks.unsaid(OTHER, 1))
        self.assertEqual(2, len(self.remarks.answered(ATTEMPT, 1, HEARD, "")))

    def test_away(self) -> None:
        """Nothing is told to a client that is away; when it is back, what is still waited for is."""
        self.assertEqual([], self.remarks.remarked(remark(1), False))
        self.assertEqual([], self.remarks.remarked(remark(2), False))
        self.assertEqual([Discard(Inline(b"v"))], self.remarks.unsaid(ATTEMPT, 1))
        self.assertEqual([Tell(remark(2))], self.remarks.link_opened([ATTEMPT, OTHER]))

    def test_link_lost(self) -> None:
        """What was told is told again on the next link; the job's clock runs again when its bytes do not travel any more."""
        self.remarks.remarked(remark(1, LONG), True)
        self.remarks.answered(ATTEMPT, 1, WANTED, "")
        self.assertEqual([reply(1, STOPPED)], self.remarks.link_lost([ATTEMPT, OTHER]))
        self.assertEqual([], self.remarks.answered(ATTEMPT, 1, HEARD, ""), "an answer of a link that is gone")
        self.assertEqual([Tell(remark(1, LONG))], self.remarks.link_opened([ATTEMPT]))
        self.assertEqual([], self.remarks.link_opened([ATTEMPT]))
        self.assertEqual(2, len(self.remarks.answered(ATTEMPT, 1, WANTED, "")))

    def test_ended(self) -> None:
        """With the job everything that it said is over."""
        self.remarks.remarked(remark(1, LONG), True)
        self.remarks.remarked(remark(2), True)
        self.assertEqual([Discard(LONG), Discard(Inline(b"v"))], self.remarks.ended(ATTEMPT))
        self.assertEqual([], self.remarks.ended(ATTEMPT))
        self.assertEqual([], self.remarks.answered(ATTEMPT, 1, HEARD, ""))
