"""A recover file that has grown is written anew, and says the same."""

from __future__ import annotations

import errno
import os
from typing import Any
from unittest import mock

from dispytw.client import compaction
from dispytw.client.bodies import store_body, stored_body
from dispytw.client.compaction import Compaction
from dispytw.client.recoverlog import framed, reopen_log
from dispytw.client.remains import (
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
from dispytw.errors import RecoverFileBusyError
from dispytw.values import FINISHED, Attempt, Inline, Outcome
from tests.client.test_recoverlog import LogTestCase

NODE = b"n" * 16
OWNED = Owned(b"c" * 16, b"t" * 16, "compute", False, 1e9, 77)
PLACES = [Place(NODE, host, 51348, ["Insecure"], False) for host in ("host7", "localhost")]
FINE = Outcome(FINISHED, Inline(b"r"), Inline(b"out"))


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Compacting(LogTestCase):
    """A file of which much was delivered."""

    def setUp(self) -> None:
        super().setUp()
        self.log_ = self.log()
        self.compaction = Compaction(self.log_)
        self.append(computation_entry(OWNED), *(node_entry(place, place.login) for place in PLACES))
        self.append(*(sent_entry(NODE, (1, 9), 9.0, [(Attempt(uid(job), 1), job)]) for job in range(100)))
        self.append(delivered_entry(uid(job) for job in range(90)))
        large = store_body(self.log_.bodies, b"x" * 60_000)
        named = {large.path: os.path.basename(large.path).encode()}
        self.append(ended_entry(uid(98), NODE, FINE, {}), ended_entry(uid(99), NODE, Outcome(FINISHED, large), named))
        self.append(id_entry(uid(97), "plain", "mine"), id_entry(uid(200), "plain", "never sent"))

    def append(self, *entries: Any) -> None:
        """Records more."""
        self.log_.append(*map(framed, entries))

    def says(self) -> Any:
        """What `recover_jobs` would find."""
        self.log_.close()
        remains = Remains(lambda name: stored_body(self.log_.bodies, name))
        reopen_log(self.path, remains.take).close()
        jobs = {job.uid: (job.number, job.given_id, job.attempt, job.given, job.sent, job.outcome) for job in remains.jobs.values()}
        return remains.owned, remains.places, jobs

    def test_says_the_same(self) -> None:
        """Of what is left everything, of what was delivered nothing; the file is shorter."""
        before = self.log_.size
        self.compaction.write()
        self.assertLess(self.log_.size, before / 3)
        self.assertEqual(os.path.getsize(self.path), self.log_.size)
        owned, places, jobs = self.says()
        self.assertEqual((OWNED, {NODE: PLACES}), (owned, places))
        self.assertEqual([*map(uid, range(90, 100)), uid(200)], sorted(jobs))
        self.assertEqual((95, None, Attempt(uid(95), 1), (1, 9), 9.0, None), jobs[uid(95)])
        self.assertEqual((("plain", "mine"), FINE, 60_000), (jobs[uid(97)][1], jobs[uid(98)][5], jobs[uid(99)][5].result.size))

    def test_appended_meanwhile(self) -> None:
        """What is written while it is written anew is in it."""
        entries = Remains.entries

        def slow(remains: Remains) -> Any:
            self.append(id_entry(uid(95), "plain", "meanwhile"), delivered_entry([uid(96)]))
            return entries(remains)

        with mock.patch.object(Remains, "entries", slow):
            self.compaction.write()
        self.append(id_entry(uid(94), "plain", "later"))
        _, _, jobs = self.says()
        self.assertEqual((("plain", "meanwhile"), ("plain", "later")), (jobs[uid(95)][1], jobs[uid(94)][1]))
        self.assertNotIn(uid(96), jobs)

    def test_still_locked(self) -> None:
        """Nobody else can take the new one; when it is removed, nothing is left."""
        self.compaction.write()
        with self.assertRaises(RecoverFileBusyError):
            reopen_log(self.path, lambda record: None)
        self.log_.remove()
        self.assertEqual([], os.listdir(os.path.dirname(self.path)))

    def test_no_room(self) -> None:
        """The file is as it was, and written to."""
        before = self.log_.size
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch("dispytw.client.recoverlog.write_all", side_effect=full), self.assertRaises(OSError):
            self.compaction.write()
        self.append(id_entry(uid(95), "plain", "later"))
        self.assertGreater(self.log_.size, before)
        self.assertEqual(["rec", "rec.bodies"], sorted(os.listdir(os.path.dirname(self.path))))
        self.assertEqual(11, len(self.says()[2]))

    def test_closed_meanwhile(self) -> None:
        """A cluster that ends while its file is written anew leaves nothing."""
        entries = Remains.entries
        with (
            mock.patch.object(Remains, "entries", lambda remains: (self.log_.remove(), entries(remains))[1]),
            self.assertRaises(OSError),
        ):
            self.compaction.write()
        self.assertEqual([], os.listdir(os.path.dirname(self.path)))

    def test_killed_meanwhile(self) -> None:
        """Half a new file harms nobody: the old one counts, the half is overwritten, or removed with it."""
        with open(f"{self.path}.new", "wb") as file:
            file.write(b"half" * 10_000)
        self.compaction.write()
        self.assertFalse(os.path.exists(f"{self.path}.new"))
        with open(f"{self.path}.new", "wb") as file:
            file.write(b"half")
        self.log_.remove()
        self.assertEqual([], os.listdir(os.path.dirname(self.path)))

    def test_when(self) -> None:
        """Above a size, and then when it has grown to a multiple of what was left."""
        self.assertFalse(self.compaction.due)
        with mock.patch.object(compaction, "SMALL", 2000):
            watched = Compaction(self.log_)
            self.assertTrue(watched.due)
            watched.write()
            self.assertFalse(watched.due)
            while self.log_.size <= 4 * 1500:
                self.append(delivered_entry([uid(1)] * 10))
            self.assertTrue(watched.due)
