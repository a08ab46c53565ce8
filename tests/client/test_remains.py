"""What a recover file says is left, record by record."""

from __future__ import annotations

import tempfile
import unittest
from typing import Any

from dispytw.client.recoverlog import framed, replay
from dispytw.client.remains import (
    PLAIN,
    LeftJob,
    Owned,
    Place,
    Remains,
    computation_entry,
    delivered_entry,
    ended_entry,
    id_entry,
    node_entry,
    sent_entry,
)
from dispytw.errors import StreamError, WireError
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Body, Inline, Outcome, Stored

NODE, OTHER = b"n" * 16, b"o" * 16
ONE, TWO = b"1" * 16, b"2" * 16
OWNED = Owned(b"c" * 16, b"t" * 16, "compute", False, 1e9, 77)
FINE = Outcome(FINISHED, Inline(b"r"), Inline(b"out"), Inline(b"err"), started=1.0, ended=2.0)


def sent(job: bytes, number: int = 1, node: bytes = NODE, count: int | None = 5) -> list[Any]:
    return sent_entry(node, (3, 9), 1e9, [(Attempt(job, number), count)])


class RemainsTests(unittest.TestCase):
    """After records were read."""

    def read(self, *records: Any, bodies: dict[bytes, Body] | None = None) -> Remains:
        """What is left; each record has been packed and unpacked."""

        def stored(name: bytes) -> Body:
            if name not in (bodies or {}):
                raise StreamError("it is not there")
            return (bodies or {})[name]

        remains = Remains(stored)
        with tempfile.TemporaryFile() as file:
            file.write(b"".join(map(framed, records)))
            file.seek(0)
            replay(file, remains.take)
        return remains

    def job(self, *records: Any, **options: Any) -> LeftJob:
        """The one job that is left."""
        (job,) = self.read(*records, **options).jobs.values()
        return job

    def test_nothing(self) -> None:
        """Of a program that had not begun."""
        remains = self.read()
        self.assertEqual((None, {}, {}), (remains.owned, remains.places, remains.jobs))

    def test_whose_and_where(self) -> None:
        """The computation, and each address of each node."""
        places = [Place(NODE, "host7", 51348, ["Insecure"], False), Place(NODE, "localhost", 51348, ["Insecure"], True)]
        remains = self.read(computation_entry(OWNED), *(node_entry(place, place.login) for place in places))
        self.assertEqual((OWNED, {NODE: places}), (remains.owned, remains.places))

    def test_sent(self) -> None:
        """A job that was sent is somewhere, and has its number."""
        job = self.job(sent(ONE))
        self.assertEqual((Attempt(ONE, 1), NODE, (3, 9), 5, 1e9), (job.attempt, job.node, job.given, job.number, job.sent))
        self.assertEqual((None, None), (job.given_id, job.outcome))

    def test_sent_again(self) -> None:
        """The last attempt counts."""
        job = self.job(sent(ONE), sent(ONE, 2, OTHER))
        self.assertEqual((Attempt(ONE, 2), OTHER), (job.attempt, job.node))

    def test_ids(self) -> None:
        """The last one set counts, before and after it was sent, against the number that is sent with it."""
        for records in ([id_entry(ONE, PLAIN, "a"), sent(ONE)], [sent(ONE), id_entry(ONE, PLAIN, "x"), id_entry(ONE, PLAIN, "a")]):
            self.assertEqual((PLAIN, "a"), self.job(*records).given_id)

    def test_never_sent(self) -> None:
        """A job with an id was there, but nowhere else."""
        job = self.job(id_entry(ONE, PLAIN, None))
        self.assertEqual(((PLAIN, None), None), (job.given_id, job.attempt))

    def test_ended(self) -> None:
        """Its first outcome stays, with where it ended."""
        job = self.job(sent(ONE), ended_entry(ONE, OTHER, FINE, {}), ended_entry(ONE, NODE, Outcome(CANCELLED), {}))
        self.assertEqual((FINE, OTHER), (job.outcome, job.node))

    def test_an_attempt_that_may_not_be_the_last(self) -> None:
        """Its end counts until another attempt is sent, whichever is written first; and until the job has ended."""
        failed = ended_entry(ONE, NODE, Outcome(TERMINATED, exception="no"), {}, 1)
        self.assertEqual(TERMINATED, self.ends(sent(ONE), failed))
        for records in ((failed, sent(ONE, 2)), (sent(ONE, 2), failed)):
            self.assertIsNone(self.ends(sent(ONE), *records))
            self.assertEqual(FINISHED, self.ends(sent(ONE), *records, ended_entry(ONE, NODE, Outcome(FINISHED), {})))
        self.assertEqual(CANCELLED, self.ends(sent(ONE), failed, ended_entry(ONE, None, Outcome(CANCELLED), {})))
        self.assertEqual(FINISHED, self.ends(sent(ONE), ended_entry(ONE, NODE, Outcome(FINISHED), {}), failed))

    def ends(self, *records: Any) -> int | None:
        """With which status; the same when what was read is written anew."""
        job = self.job(*records)
        again = self.job(*job.entries())
        self.assertEqual((job.outcome, job.ended), (again.outcome, again.ended))
        return None if job.outcome is None else job.outcome.status

    def test_large_bodies(self) -> None:
        """They are found by their names; where one is not, the outcome is not there, and the node will be asked."""
        stored = Stored("/somewhere/f", 99)
        records = sent(ONE), ended_entry(ONE, NODE, Outcome(FINISHED, stored), {"/somewhere/f": b"f"})
        self.assertEqual(Outcome(FINISHED, stored), self.job(*records, bodies={b"f": stored}).outcome)
        self.assertIsNone(self.job(*records).outcome)
        self.assertIsNone(self.job(*records, bodies={b"f": Stored("/somewhere/f", 98)}).outcome)

    def test_delivered(self) -> None:
        """Nothing is left of it, whatever comes later."""
        late = id_entry(ONE, PLAIN, "late"), ended_entry(ONE, NODE, FINE, {}), sent(ONE, 2)
        remains = self.read(sent(ONE), sent(TWO), delivered_entry([ONE]), *late)
        self.assertEqual([TWO], list(remains.jobs))
        self.assertEqual([TWO], [job.uid for job in remains.unfinished])
        self.assertEqual({}, self.read(sent(ONE), sent(TWO), delivered_entry([TWO, ONE])).jobs)

    def test_unfinished(self) -> None:
        """Who has no outcome."""
        remains = self.read(sent(ONE), sent(TWO), ended_entry(ONE, NODE, FINE, {}))
        self.assertEqual([TWO], [job.uid for job in remains.unfinished])

    def test_no_record_of_ours(self) -> None:
        """Is an error."""
        for record in ([], ["?"], "text", [["id"]]):
            with self.assertRaises((WireError, TypeError)):
                self.read(record)
