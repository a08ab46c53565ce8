"""What jobs say and write, as records: it arrives as it was sent, and nonsense is refused."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from dispytw.errors import WireError
from dispytw.values import Attempt, Inline, Stored
from dispytw.wire import remarkrecords as records
from dispytw.wire.jobframes import FILE, HEARD, PIECE, PROVISIONAL, REFUSED, Answer, Follow, Remark, Wrote

ATTEMPT = Attempt(b"j" * 16, 3)
A = [ATTEMPT.job, ATTEMPT.number]


class RecordTests(unittest.TestCase):
    """There and back."""

    def test_remarks(self) -> None:
        """A short body travels along; of a long one the size is announced, and never the path on the node."""
        short = Remark(ATTEMPT, 1, PROVISIONAL, "", Inline(b"12"))
        long = Remark(ATTEMPT, 2, FILE, "a/b", Stored("/secret/place", 7))
        told = [records.remark_record(each) for each in (short, long)]
        self.assertNotIn("/secret/place", repr(told))
        self.assertEqual(
            [
                records.Announced(ATTEMPT, 1, PROVISIONAL, "", 2, Inline(b"12")),
                records.Announced(ATTEMPT, 2, FILE, "a/b", 7, None),
            ],
            records.remarks_from(told),
        )

    def test_streams(self) -> None:
        """No two remarks have streams of one kind, and none is a file's digest or a body."""
        kinds = {
            records.stream_kind(Attempt(job, number), remark)
            for job in (b"j" * 16, b"k" * 16)
            for number in (1, 2)
            for remark in (1, 2)
        }
        self.assertEqual(8, len(kinds))
        self.assertTrue(all(len(kind) not in (0, 32) for kind in kinds))
        announced = records.Announced(ATTEMPT, 2, FILE, "a/b", 7, None)
        self.assertEqual(records.stream_kind(ATTEMPT, 2), announced.stream_kind)

    def test_answers(self) -> None:
        """Answers, of which the text is cut where it is too long."""
        told = [
            records.answer_record(ATTEMPT, 1, records.WANTED),
            records.answer_record(ATTEMPT, 1, HEARD),
            records.answer_record(ATTEMPT, 2, REFUSED, "x" * 5000),
        ]
        expected = [Answer(ATTEMPT, 1, records.WANTED), Answer(ATTEMPT, 1, HEARD), Answer(ATTEMPT, 2, REFUSED, "x" * 1000)]
        self.assertEqual(expected, records.answers_from(told))

    def test_output(self) -> None:
        """What is asked for, and what comes."""
        follow, wrote = Follow(ATTEMPT, True, 5), Wrote(ATTEMPT, False, 0, b"text")
        self.assertEqual([follow], records.follows_from([records.follow_record(follow)]))
        self.assertEqual([wrote], records.wrotes_from([records.wrote_record(wrote)]))

    def test_nonsense(self) -> None:
        """Records of another shape are refused."""
        wrong: list[tuple[Callable[[Any], Any], list[Any]]] = [
            (records.remarks_from, [5, [], A, [*A, 1, "song", "", b""], [*A, -1, FILE, "", 5], [*A, 1, FILE, "x", -5],
                                    [*A, 1, FILE, 5, 5], [*A, True, FILE, "", 5], [*A, 1, FILE, "", None], [*A, 1, FILE, "", 1, 1]]),
            (records.answers_from, [A, [*A, 1, "perhaps", ""], [*A, 1, HEARD, None], [*A, "1", HEARD, ""], [*A, 1, "underway", ""]]),
            (records.follows_from, [A, [*A, 1, 0], [*A, True, -1], [*A, True, 0, 0]]),
            (records.wrotes_from, [A, [*A, True, 0, "text"], [*A, True, 0, b""], [*A, 0, 0, b"x"], [*A, True, 0, bytes(PIECE + 1)]]),
        ]  # fmt: skip
        for form, cases in wrong:
            for record in cases:
                with self.subTest(form=form.__name__, record=repr(record)[:80]), self.assertRaises(WireError):
                    form([record])
