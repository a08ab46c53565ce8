"""What a user may want of one job, as the ledger sees to it: who goes first, and what is tried again."""

from __future__ import annotations

from dispytw.scheduler import orders as o
from dispytw.scheduler.ledger import NEVER_SENT, NOT_AGAIN
from dispytw.values import CANCELLED, FINISHED, TERMINATED, JobOptions, Outcome
from tests.scheduler.test_ledger import (
    CLUSTER,
    DONE,
    NODE,
    OTHER,
    SECOND,
    STOPPED,
    Desk,
    again,
    assign,
    cancelled,
    first,
    uid,
)

FAILED = Outcome(TERMINATED, exception="ValueError: no", started=1.0, ended=2.0)
KILLED = Outcome(TERMINATED, exception="killed by signal 9", reason="its supervisor died")


class Wanting(Desk):
    """Jobs with options."""

    def want(self, number: int, cluster: bytes = CLUSTER, **options: float) -> list[o.Order]:
        return self.ledger.submitted(cluster, uid(number), JobOptions(**options))  # type: ignore[arg-type]

    def ends(self, number: int, outcome: Outcome, attempt: int = 1, now: float = 100.0) -> list[o.Order]:
        """The job starts and ends."""
        self.ledger.started(NODE, again(number, attempt), 1.0)
        return self.ledger.ended(NODE, again(number, attempt), outcome, now)


class Priorities(Wanting):
    """Who goes first."""

    def test_higher_first(self) -> None:
        """Inside a cluster the higher goes first, among equals the older; below zero is behind all others."""
        for number, priority in ((1, -1), (2, 0), (3, 5), (4, 0), (5, 5)):
            self.want(number, priority=priority)
        self.assertEqual([assign(first(number)) for number in (3, 5, 2, 4, 1)], self.node(cpus=9))

    def test_between_clusters(self) -> None:
        """The oldest job first, whosever it is, unless another's priority is higher."""
        self.ledger.cluster_opened(OTHER)
        self.want(1)
        self.want(2, cluster=OTHER)
        self.want(3, cluster=OTHER, priority=1)
        self.node(cpus=1)
        self.node(cluster=OTHER)
        order = [self.ledger.ended(NODE, first(1), DONE)[-1]]
        order += [self.ledger.ended(NODE, first(number), DONE)[-1] for number in (3,)]
        self.assertEqual([assign(first(3), cluster=OTHER), assign(first(2), cluster=OTHER)], order)

    def test_it_keeps_its_place(self) -> None:
        """A job that was sent and never started is back in its old place."""
        self.want(1)
        self.want(2, priority=1)
        self.node(cpus=1)
        self.assertEqual([assign(again(2))], [*self.ledger.refused(NODE, first(2), "its link closed", 0.0)])

    def test_timeout(self) -> None:
        """Goes along with every attempt."""
        self.node()
        self.assertEqual([o.Assign(NODE, CLUSTER, 7, first(1), 2.5)], self.want(1, timeout=2.5))


class Retries(Wanting):
    """What is tried again."""

    def test_after_a_failure(self) -> None:
        """It rests, then waits in its old place, and is an attempt more; its slot is free meanwhile."""
        self.node(cpus=1)
        self.want(1, retries=1, backoff=2.0)
        self.want(2)
        self.assertEqual([o.ShowRetry(uid(1), FAILED, NODE, first(1), 1, 2.0), assign(first(2))], self.ends(1, FAILED))
        self.assertEqual((102.0, 2), (self.ledger.next_due(), self.ledger.pending(CLUSTER)))
        self.assertEqual([], self.ledger.elapsed(101.9))
        self.want(3)
        self.assertEqual([], self.ledger.elapsed(102.0))
        self.assertEqual([o.Settle(uid(2), DONE, NODE), assign(again(1))], self.ledger.ended(NODE, first(2), DONE, 103.0))
        self.assertIsNone(self.ledger.next_due())

    def test_no_retry_left(self) -> None:
        """The last failure is the job's, with how many there were; a job that was not to be tried again fails as ever."""
        self.node(cpus=9)
        self.want(1, retries=2)
        for attempt in (1, 2):
            self.assertIsInstance(self.ends(1, FAILED, attempt)[0], o.ShowRetry)
            self.ledger.elapsed(100.0)
        (settled,) = self.ends(1, KILLED, 3)
        assert isinstance(settled, o.Settle)
        self.assertEqual((TERMINATED, 3), (settled.outcome.status, settled.attempts))
        self.assertEqual("its supervisor died; attempt 3, and no retry is left", settled.outcome.reason)
        self.want(2)
        self.assertEqual([o.Settle(uid(2), FAILED, NODE)], self.ends(2, FAILED))

    def test_a_success(self) -> None:
        """Ends it, whatever is left."""
        self.node()
        self.want(1, retries=5)
        self.ends(1, FAILED)
        self.ledger.elapsed(100.0)
        (settled,) = self.ends(1, DONE, 2)
        assert isinstance(settled, o.Settle)
        self.assertEqual((DONE, 2), (settled.outcome, settled.attempts))

    def test_what_nobody_wants(self) -> None:
        """A job that was cancelled while it ran is not tried again, however it ended."""
        self.node()
        self.want(1, retries=5)
        self.ledger.started(NODE, first(1), 1.0)
        self.ledger.cancelled(uid(1))
        self.assertEqual([o.Settle(uid(1), FAILED, NODE)], self.ledger.ended(NODE, first(1), FAILED, 1.0))

    def test_lost_is_not_failed(self) -> None:
        """A node that is lost is no failure of the job: not reentrant, it is Cancelled, whatever retries it has."""
        self.node()
        self.want(1, retries=5)
        (settled,) = self.ends(1, STOPPED)
        assert isinstance(settled, o.Settle)
        self.assertEqual((CANCELLED, "Cancelled", 1), (settled.outcome.status, settled.outcome.exception, settled.attempts))

    def test_cancelled_while_it_rests(self) -> None:
        """Is Cancelled at once, and does not come back."""
        self.node()
        self.want(1, retries=5, backoff=1.0)
        self.ends(1, FAILED)
        self.assertEqual([cancelled(1, "cancelled before it was tried again")], self.ledger.cancelled(uid(1)))
        self.assertIsNone(self.ledger.next_due())
        self.assertEqual([], self.ledger.elapsed(500.0))

    def test_given_up_while_it_rests(self) -> None:
        """Is settled with the others; what has run was not 'never sent'."""
        self.node()
        for give_up in (lambda: self.ledger.given_up(CLUSTER, "enough"), lambda: self.ledger.unsent_given_up([CLUSTER])):
            number = self.ledger._next_sequence() + 100
            self.want(number, retries=5, backoff=1.0)
            self.ends(number, FAILED)
            self.assertEqual([cancelled(number, NOT_AGAIN)], give_up())
        self.ledger.cluster_closed(CLUSTER)
        self.assertEqual(([], None), (self.ledger.elapsed(500.0), self.ledger.next_due()))

    def test_never_sent(self) -> None:
        """What was not sent at all still is."""
        self.want(1, retries=5)
        self.assertEqual([cancelled(1, NEVER_SENT)], self.ledger.given_up(CLUSTER, "enough"))

    def test_late_words(self) -> None:
        """Word of the attempt that has ended changes nothing."""
        self.node()
        self.want(1, retries=5, backoff=1.0)
        self.ends(1, FAILED)
        self.assertEqual([], self.ends(1, DONE))
        self.assertEqual([], self.ledger.refused(NODE, first(1), "late", 0.0))

    def test_on_any_node(self) -> None:
        """The next attempt may be anywhere."""
        self.node(cpus=1)
        self.want(1, retries=1)
        self.want(2)
        self.assertIn(assign(first(2)), self.ends(1, FAILED))
        self.node(cpus=1, node=SECOND)
        self.assertEqual([assign(again(1), SECOND)], self.ledger.elapsed(100.0))


class Counting(Wanting):
    """How many attempts there were."""

    def attempts(self, orders: list[o.Order]) -> int:
        return next(order.attempts for order in orders if isinstance(order, o.Settle))

    def test_what_started(self) -> None:
        """Counts, whether the start was told or not; what was given back or refused does not."""
        self.node(cpus=1)
        self.want(1)
        self.ledger.refused(NODE, first(1), "its link closed", 0.0)
        self.assertEqual(1, self.attempts(self.ledger.ended(NODE, again(1), Outcome(FINISHED, started=1.0))))
        self.want(2)
        self.ledger.started(NODE, first(2), 1.0)
        self.assertEqual(1, self.attempts(self.ledger.ended(NODE, first(2), DONE)))

    def test_what_never_started(self) -> None:
        """Is none; what may have started when nobody waits for it any more is one."""
        self.want(1)
        self.assertEqual(0, self.attempts(self.ledger.cancelled(uid(1))))
        self.node(cpus=1)
        self.want(2)
        self.assertEqual(1, self.attempts(self.ledger.given_up(CLUSTER, "enough")))


class Reentrant(Wanting):
    """Losses and failures count apart."""

    reentrant = True

    def test_both(self) -> None:
        """Four losses end a job, whatever its retries; failures do not count as losses."""
        self.node()
        self.want(1, retries=2)
        for number, outcome in enumerate((STOPPED, FAILED, STOPPED, FAILED, STOPPED), 1):
            self.ends(1, outcome, number)
            self.ledger.elapsed(100.0)
        (settled,) = self.ends(1, STOPPED, 6)
        assert isinstance(settled, o.Settle)
        self.assertEqual((TERMINATED, "too many attempts", 6), (settled.outcome.status, settled.outcome.reason, settled.attempts))
