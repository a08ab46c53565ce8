"""The keeper: what is written, what need not be, who may forget, and what happens while the disk is full."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.inmemoryjobs import MemoryJournal
from dispytw.node.keeper import AGAIN, GATHERING, LOOK, Keeper
from dispytw.values import Attempt
from tests.node.benching import ALICE, BOB, FINE, ONE, THREE, TWO, X, Y, owed

EVERY_PYTHON = False


class KeeperCase(SynchronousTestCase):
    """A keeper, and what it tells."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal(self.clock)
        self.room = True
        self.keeper = Keeper(self.journal, self.clock, lambda: self.room)
        self.keeper.events = self
        self.told: list[object] = []
        self.forgetting: list[Attempt] = []

    def outcomes_kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        self.assertEqual(X.uid, computation)
        self.forgetting += attempts

    def disk_has_room(self, has_room: bool) -> None:
        self.told.append(has_room)

    def outcomes_expired(self, attempts: Sequence[Attempt]) -> None:
        self.told.append(list(attempts))

    def clients_involved(self) -> list[bytes]:
        return [BOB]

    def pass_time(self, seconds: float = 3 * GATHERING) -> None:
        for _ in range(10):
            self.clock.advance(seconds / 10)

    def keep(self, *attempts: Attempt) -> None:
        for each in attempts:
            self.keeper.keep(owed(each, FINE))


class Keeping(KeeperCase):
    """A disk with room."""

    def test_written(self) -> None:
        """In one group for what has gathered; then the supervisor may forget it, and no timer is left."""
        self.keep(ONE, TWO)
        self.assertTrue(self.keeper.is_busy_with(ONE))
        self.assertEqual({}, self.journal.rows)
        self.pass_time()
        self.assertEqual([ONE, TWO], list(self.journal.rows))
        self.assertEqual([ONE, TWO], self.forgetting)
        self.assertFalse(self.keeper.is_busy_with(ONE))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_acknowledged_early(self) -> None:
        """It is never written, and the supervisor may forget it at once."""
        self.keep(ONE, TWO)
        self.keeper.forget(ONE, X.uid)
        self.clock.advance(0)
        self.assertEqual([ONE], self.forgetting)
        self.pass_time()
        self.assertEqual([TWO], list(self.journal.rows))

    def test_all_acknowledged_early(self) -> None:
        """The disk is left alone; it is used again for the next one."""
        self.patch(self.journal, "write", lambda *_: self.fail("there is nothing to be written"))
        self.keep(ONE, TWO)
        for each in (ONE, TWO):
            self.keeper.forget(each, X.uid)
        self.pass_time()
        self.assertEqual([], self.clock.getDelayedCalls())
        del self.journal.write
        self.keep(THREE)
        self.pass_time()
        self.assertEqual([THREE], list(self.journal.rows))

    def test_acknowledged_while_it_is_written(self) -> None:
        """It is removed again, and the supervisor hears once."""
        self.keep(ONE)
        self.clock.advance(GATHERING)
        self.keeper.forget(ONE, X.uid)
        self.pass_time()
        self.assertEqual(({}, [ONE]), (self.journal.rows, self.forgetting))

    def test_acknowledged_late(self) -> None:
        """It is removed with the next group."""
        self.keep(ONE)
        self.pass_time()
        self.keep(TWO)
        self.keeper.forget(ONE, X.uid)
        self.pass_time()
        self.assertEqual([TWO], list(self.journal.rows))
        self.assertEqual([ONE, TWO], self.forgetting)

    def test_flush(self) -> None:
        """Is over when everything is written, at once when there is nothing."""
        self.successResultOf(self.keeper.flush())
        self.keep(ONE)
        first = self.keeper.flush()
        self.keep(TWO)
        second = self.keeper.flush()
        self.assertNoResult(first)
        self.pass_time(GATHERING / 2)
        for each in (first, second):
            self.successResultOf(each)
        self.assertEqual([ONE, TWO], list(self.journal.rows))

    def test_stop(self) -> None:
        """No timer is left, and who may forget has heard it."""
        self.keep(ONE, TWO)
        self.keeper.forget(ONE, X.uid)
        self.keeper.stop()
        self.assertEqual([ONE], self.forgetting)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_taken_over(self) -> None:
        """What was not written yet is written for the new client, what is there is theirs."""
        self.keep(ONE)
        self.pass_time()
        self.keep(TWO)
        self.keeper.keep(owed(THREE, FINE, ALICE, Y))
        taken = self.keeper.reassign(X.uid, BOB)
        self.clock.advance(0.005)
        self.assertEqual([owed(ONE, FINE, BOB)], self.successResultOf(taken))
        self.keeper.forget(THREE, X.uid)
        self.pass_time()
        self.assertEqual({ONE: BOB, TWO: BOB}, {each: row.client for each, row in self.journal.rows.items()})

    def test_too_old(self) -> None:
        """Is looked for now and every hour, but for what is owed to those who are there."""
        asked: list[tuple[float, Sequence[bytes]]] = []
        expire = self.journal.expire
        self.patch(self.journal, "expire", lambda *args: [asked.append(args), expire(*args)][1])
        self.keeper.look_for_old()
        self.clock.pump([1, LOOK])
        self.assertEqual([(7 * 86400.0, [BOB])] * 2, asked)
        self.keeper._expired([ONE])
        self.assertEqual([[ONE]], self.told)


class FullDisk(KeeperCase):
    """A disk without room."""

    def test_nothing_is_forgotten(self) -> None:
        """It is told once; tried every second, and written when there is room; what is acknowledged meanwhile need not be."""
        self.journal.full = True
        self.keep(ONE, TWO)
        self.pass_time()
        self.keep(THREE)
        self.keeper.forget(TWO, X.uid)
        self.pass_time(5 * AGAIN)
        self.assertEqual([False], self.told)
        self.assertEqual([TWO], self.forgetting)
        self.journal.full = False
        self.pass_time(2 * AGAIN)
        self.assertEqual([False, True], self.told)
        self.assertEqual([TWO, ONE, THREE], self.forgetting)
        self.assertEqual([ONE, THREE], list(self.journal.rows))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_nothing_to_keep(self) -> None:
        """Whether there is room again is still found out by writing."""
        self.room, self.journal.full = False, True
        self.keeper.look_for_room()
        self.room = True
        self.pass_time(5 * AGAIN)
        self.assertEqual([False], self.told)
        self.journal.full = False
        self.pass_time(2 * AGAIN)
        self.assertEqual([False, True], self.told)

    def test_acknowledged_while_it_could_not_be_written(self) -> None:
        """The supervisor may forget it, and it is not tried again."""
        self.keep(ONE)
        self.clock.advance(GATHERING)
        self.journal.full = True
        self.keeper.forget(ONE, X.uid)
        self.pass_time()
        self.assertEqual([ONE], self.forgetting)
        self.assertFalse(self.keeper.is_busy_with(ONE))

    def test_rows_that_could_not_be_removed(self) -> None:
        """Are removed later."""
        self.keep(ONE)
        self.pass_time()
        self.journal.full = True
        self.keeper.forget(ONE, X.uid)
        self.pass_time(2 * AGAIN)
        self.assertEqual([ONE], list(self.journal.rows))
        self.journal.full = False
        self.pass_time(2 * AGAIN)
        self.assertEqual({}, self.journal.rows)

    def test_hardly_any_room(self) -> None:
        """Is found out when jobs are to be taken, before it is too late, and looked after every second."""
        self.keeper.look_for_room()
        self.assertEqual([], self.told)
        self.room = False
        self.keeper.look_for_room()
        self.pass_time(3 * AGAIN)
        self.assertEqual([False], self.told)
        self.room = True
        self.pass_time(2 * AGAIN)
        self.assertEqual([False, True], self.told)
        self.assertEqual([], self.clock.getDelayedCalls())
