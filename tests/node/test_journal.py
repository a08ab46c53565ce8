"""What a node owes, on its disk and in memory: written, read back, removed; and what happens when that cannot be."""

from __future__ import annotations

import os
import queue
import shutil
import sqlite3
import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.inmemoryjobs import MemoryJournal
from dispytw.node.journal import Journal
from dispytw.node.orders import Owed
from dispytw.values import FINISHED, Attempt, Inline, Outcome, Stored
from tests.node.benching import ALICE, BOB, ONE, THREE, TWO, X, Y, attempt, owed

DONE = Outcome(FINISHED, Inline(b"49"), stdout=Stored("/spool/out", 10**6), started=1.5, ended=2.5)


class JournalContract:
    """What any journal does."""

    def make(self) -> Any:
        """A journal with nothing in it."""
        raise NotImplementedError

    def done(self, asked: Deferred[Any]) -> Any:
        """What came of it."""
        raise NotImplementedError

    def test_what_is_written(self: Any) -> None:
        """Comes back whole, to whoever it is owed, until it is removed."""
        journal = self.make()
        rows = [owed(ONE, DONE), owed(TWO, Outcome(FINISHED)), owed(THREE, DONE, BOB, Y)]
        self.done(journal.write(rows, []))
        self.assertCountEqual(rows[:2], self.done(journal.recall(ALICE)))
        self.assertEqual(rows[2:], self.done(journal.recall(BOB)))
        self.assertCountEqual([(ALICE, X.uid, X.token), (BOB, Y.uid, Y.token)], journal.owners())
        self.done(journal.write([], [ONE, THREE, attempt(7)]))
        self.assertEqual(rows[1:2], self.done(journal.recall(ALICE)))
        self.assertEqual([], self.done(journal.recall(BOB)))

    def test_written_again(self: Any) -> None:
        """Is there once: a supervisor that has not heard that it is kept tells it to the next daemon."""
        journal = self.make()
        for _ in range(2):
            self.done(journal.write([owed(ONE, DONE)], []))
        self.assertEqual([owed(ONE, DONE)], self.done(journal.recall(ALICE)))

    def test_in_order(self: Any) -> None:
        """What was asked first is done first, though nobody waits for it."""
        journal = self.make()
        journal.write([owed(ONE, DONE), owed(TWO, DONE)], [])
        journal.write([], [ONE])
        self.assertEqual([owed(TWO, DONE)], self.done(journal.recall(ALICE)))

    def test_another_client(self: Any) -> None:
        """Takes over a computation, and that alone."""
        journal = self.make()
        self.done(journal.write([owed(ONE, DONE), owed(TWO, DONE, ALICE, Y)], []))
        self.assertEqual([owed(ONE, DONE, BOB)], self.done(journal.reassign(X.uid, BOB)))
        self.assertEqual([owed(ONE, DONE, BOB)], self.done(journal.recall(BOB)))
        self.assertEqual([owed(TWO, DONE, ALICE, Y)], self.done(journal.recall(ALICE)))


class RealJournalCase(unittest.TestCase):
    """A journal in a directory of its own."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="journal-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "journal")
        self.answers: queue.Queue[Callable[[], None]] = queue.Queue()

    def make(self, full: bool = False) -> Journal:
        journal = Journal(self.path, lambda call, value: self.answers.put(lambda: call(value)), full)
        self.addCleanup(journal.close)
        return journal

    def done(self, asked: Deferred[Any]) -> Any:
        found: list[Any] = []
        asked.addBoth(found.append)
        while not found:
            self.answers.get(timeout=20)()
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]


class JournalTests(RealJournalCase, JournalContract):
    """The real one."""

    def test_after_the_end_of_the_process(self) -> None:
        """Everything is there, and so is who it belongs to."""
        for full in (False, True):
            journal = self.make(full)
            self.done(journal.write([owed(attempt(5 + full), DONE)], []))
            journal.close()
        journal = self.make()
        self.assertEqual({attempt(5), attempt(6)}, journal.attempts())
        self.assertEqual([(ALICE, X.uid, X.token)], journal.owners())

    def test_many_rows(self) -> None:
        """More than one statement can take."""
        journal = self.make()
        rows = [owed(attempt(number), DONE) for number in range(1, 10_001)]
        self.done(journal.write(rows, []))
        self.assertEqual(10_000, len(self.done(journal.recall(ALICE))))
        self.done(journal.write([], [row.attempt for row in rows[1:]]))
        self.assertEqual({ONE}, journal.attempts())

    def test_what_is_too_old(self) -> None:
        """Goes, and is named; what is owed to those who are there stays."""
        journal = self.make()
        self.done(journal.write([owed(ONE, DONE), owed(TWO, DONE, BOB, Y)], []))
        self.assertEqual([], self.done(journal.expire(60.0, [])))
        self.assertEqual([ONE], self.done(journal.expire(-1.0, [BOB])))
        self.assertEqual({TWO}, journal.attempts())

    def test_a_full_disk(self) -> None:
        """Is an error, nothing of that group is there, and it can be tried again."""
        journal = self.make()
        large = [owed(attempt(number), Outcome(FINISHED, Inline(bytes(40_000)))) for number in range(1, 100)]
        self.done(journal.write([owed(attempt(200), DONE)], []))
        pages = journal._wait(lambda: journal._connection.execute("PRAGMA max_page_count = 30").fetchone())
        self.assertEqual((30,), pages)
        with self.assertRaisesRegex(sqlite3.OperationalError, "full"):
            self.done(journal.write(large, [attempt(200)]))
        self.assertEqual({attempt(200)}, journal.attempts())
        journal._wait(lambda: journal._connection.execute("PRAGMA max_page_count = 100000").fetchone())
        self.done(journal.write(large, [attempt(200)]))
        self.assertEqual(99, len(journal.attempts()))

    def test_any_other_failure(self) -> None:
        """Undoes what had been done of the group, and the next group can begin."""
        journal = self.make()
        removed = ("DELETE FROM owed", ())
        self.done(journal.write([owed(ONE, DONE)], []))
        with self.assertRaises(sqlite3.Error):
            journal._wait(lambda: journal._commit([removed, ("DELETE FROM nowhere", ())]))
        self.done(journal.write([owed(TWO, DONE)], []))
        self.assertEqual({ONE, TWO}, journal.attempts())

    def test_a_try(self) -> None:
        """A write of nothing touches the disk and leaves nothing."""
        journal = self.make()
        self.done(journal.write([], []))
        self.assertEqual(set(), journal.attempts())

    def test_a_broken_row(self) -> None:
        """Is left out, the others come."""
        journal = self.make()
        self.done(journal.write([owed(ONE, DONE), owed(TWO, DONE)], []))
        spoil = "UPDATE owed SET outcome = x'00' WHERE substr(attempt, 1, 16) = ?"
        journal._wait(lambda: journal._connection.execute(spoil, (ONE.job,)).fetchall())
        self.assertEqual([owed(TWO, DONE)], self.done(journal.recall(ALICE)))

    def test_a_file_that_is_none(self) -> None:
        """Is put aside, and a new one begun."""
        with open(self.path, "wb") as file:
            file.write(b"this is no database, and long enough to show it" * 100)
        self.assertEqual(set(), self.make().attempts())
        self.assertIn("journal.broken", os.listdir(self.directory))

    def test_no_thread_before(self) -> None:
        """Whoever closes it waits until everything is written."""
        journal = self.make()
        for number in range(1, 50):
            journal.write([owed(attempt(number), DONE)], [])
        journal.close()
        self.assertFalse(journal._thread.is_alive())
        self.assertEqual(49, len(self.make().attempts()))


class MemoryJournalTests(SynchronousTestCase, JournalContract):
    """The one in memory."""

    def make(self) -> MemoryJournal:
        self.clock = Clock()
        return MemoryJournal(self.clock)

    def done(self, asked: Deferred[Any]) -> Any:
        self.clock.advance(1)
        return self.successResultOf(asked)

    def test_a_full_disk(self) -> None:
        """Is an error, and nothing has happened."""
        journal = self.make()
        journal.full = True
        asked = journal.write([owed(ONE, DONE)], [])
        self.clock.advance(1)
        self.failureResultOf(asked, OSError)
        self.assertEqual({}, journal.rows)


def rate(rows: int = 20_000) -> float:
    """Rows a second that a journal writes and removes in groups, for whoever measures (tests/functional/campaigns)."""
    directory = tempfile.mkdtemp(prefix="journal-")
    answers: queue.Queue[None] = queue.Queue()
    journal = Journal(os.path.join(directory, "journal"), lambda call, value: answers.put(None))
    owed_rows: list[Owed] = [owed(Attempt(os.urandom(16), 1), DONE) for _ in range(rows)]
    begun = time.perf_counter()
    for at in range(0, rows, 2000):
        journal.write(owed_rows[at : at + 2000], [])
        answers.get()
    journal.close()
    shutil.rmtree(directory)
    return rows / (time.perf_counter() - begun)
