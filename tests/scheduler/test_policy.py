"""First in, first out; the least loaded node first; and what was overtaken by events never comes up."""

from __future__ import annotations

import unittest
from unittest import mock

import attrs
from hypothesis import given
from hypothesis import strategies as st

from dispytw.scheduler.policy import Candidates, Queue, Rests


@attrs.define(eq=False)
class Waiting:
    """A job of a test: comparing two of them is an error, as with the ledger's."""

    sequence: int
    waits: bool = True


def waits(job: Waiting, sequence: int) -> bool:
    return job.waits and job.sequence == sequence


def queue_of(*jobs: Waiting) -> Queue[Waiting]:
    queue: Queue[Waiting] = Queue()
    for job in jobs:
        queue.push(job.sequence, job)
    return queue


def anyone(_node: bytes, _version: int) -> bool:
    return True


class QueueTests(unittest.TestCase):
    """Jobs in line."""

    def test_empty(self) -> None:
        """Nobody waits, nobody is first."""
        self.assertIsNone(Queue().head(waits))

    def test_looking_takes_nothing(self) -> None:
        """The first stays first until it is taken."""
        first, second = Waiting(1), Waiting(2)
        queue = queue_of(first, second)
        for _ in range(2):
            self.assertEqual(((0, 1), first), queue.head(waits))
        self.assertIs(first, queue.pop())
        self.assertEqual(((0, 2), second), queue.head(waits))

    def test_who_comes_back_takes_the_old_place(self) -> None:
        """A job that was sent and never started is ahead of those that came after it."""
        first, second, third = Waiting(1), Waiting(2), Waiting(3)
        queue = queue_of(first, second, third)
        for job in (first, second):
            queue.head(waits)
            self.assertIs(job, queue.pop())
        queue.push(2, second)
        queue.push(1, first)
        self.assertEqual(((0, 1), first), queue.head(waits))

    def test_who_no_longer_waits_is_passed_over(self) -> None:
        """A job that was cancelled in line is dropped when it comes up, for good."""
        first, second = Waiting(1, waits=False), Waiting(2)
        queue = queue_of(first, second)
        self.assertEqual(((0, 2), second), queue.head(waits))
        first.waits = True
        self.assertEqual(((0, 2), second), queue.head(waits))

    def test_a_place_that_is_no_longer_the_job_s(self) -> None:
        """A place counts only under the number that the job has now."""
        job = Waiting(1)
        queue = queue_of(job)
        job.sequence = 7
        self.assertIsNone(queue.head(waits))

    @given(st.lists(st.tuples(st.integers(), st.booleans(), st.integers(-2, 2)), unique_by=lambda place: place[0]))
    def test_all_who_wait_in_order(self, places: list[tuple[int, bool, int]]) -> None:
        """Whatever the order in which they came: everyone who waits comes up once, by priority and then by number."""
        queue: Queue[Waiting] = Queue()
        for number, waiting, priority in places:
            queue.push(number, Waiting(number, waiting), priority)
        taken = []
        while (head := queue.head(waits)) is not None:
            self.assertIs(head[1], queue.pop())
            taken.append(head[0])
        self.assertEqual(sorted((-priority, number) for number, waiting, priority in places if waiting), taken)


class RestsTests(unittest.TestCase):
    """Jobs that are to be tried again."""

    def test_in_time(self) -> None:
        """Each comes up once, when its rest is over, and not before."""
        rests: Rests[Waiting] = Rests()
        first, second = Waiting(1), Waiting(2)
        rests.push(5.0, 1, first)
        rests.push(3.0, 2, second)
        self.assertEqual((3.0, [], [second], 5.0), (rests.next_due(waits), [*rests.over(2.9, waits)], [*rests.over(3.0, waits)], rests.next_due(waits)))
        self.assertEqual(([first], [], None), ([*rests.over(9.0, waits)], [*rests.over(9.0, waits)], rests.next_due(waits)))

    def test_who_no_longer_rests(self) -> None:
        """A job that was cancelled meanwhile is dropped, and nobody is woken for it."""
        rests: Rests[Waiting] = Rests()
        for number in (1, 2):
            rests.push(3.0, number, Waiting(number, waits=False))
        self.assertEqual([], [*rests.over(1.0, waits)])
        self.assertIsNone(rests.next_due(waits))
        rests.push(3.0, 3, Waiting(3, waits=False))
        self.assertEqual([], [*rests.over(3.0, waits)])


class CandidatesTests(unittest.TestCase):
    """Nodes on offer."""

    def test_empty(self) -> None:
        """No offer, no node."""
        self.assertIsNone(Candidates[float]().best(anyone))

    def test_the_least_loaded_first(self) -> None:
        """Whoever offers first: the emptier node gets the job."""
        candidates: Candidates[float] = Candidates()
        candidates.offer(0.5, 1, b"half full", 1)
        candidates.offer(0.25, 2, b"emptier", 1)
        self.assertEqual(b"emptier", candidates.best(anyone))

    def test_between_equals_the_first_that_came(self) -> None:
        """Two nodes of one load are used in the order of their arrival, not of their uids."""
        candidates: Candidates[float] = Candidates()
        candidates.offer(0.0, 2, b"a", 1)
        candidates.offer(0.0, 1, b"z", 1)
        self.assertEqual(b"z", candidates.best(anyone))

    def test_an_offer_stays(self) -> None:
        """Asking for the best node uses nothing up."""
        candidates: Candidates[float] = Candidates()
        candidates.offer(0.0, 1, b"node", 1)
        self.assertEqual([b"node", b"node"], [candidates.best(anyone), candidates.best(anyone)])

    def test_void_offers_are_dropped(self) -> None:
        """An offer of an older version is passed over, and does not come up again."""
        candidates: Candidates[float] = Candidates()
        candidates.offer(0.0, 1, b"node", 1)
        candidates.offer(0.5, 1, b"node", 2)
        candidates.offer(0.75, 2, b"other", 1)
        asked = []

        def valid(node: bytes, version: int) -> bool:
            asked.append((node, version))
            return (node, version) != (b"node", 1)

        self.assertEqual(b"node", candidates.best(valid))
        self.assertEqual(b"node", candidates.best(valid))
        self.assertEqual([(b"node", 1), (b"node", 2), (b"node", 2)], asked)

    def test_thinning(self) -> None:
        """Void offers do not pile up: past the limit they go, and the others stay, the best in front."""
        candidates: Candidates[float] = Candidates()
        for version in range(10):
            candidates.offer(version / 10, 1, b"node", version)
        candidates.offer(0.95, 2, b"other", 0)
        valid = mock.Mock(side_effect=lambda node, version: node == b"other" or version == 9)
        candidates.thin(10, valid)
        valid.reset_mock()
        self.assertEqual(b"node", candidates.best(valid))
        valid.assert_called_once_with(b"node", 9)
        self.assertEqual(b"other", candidates.best(lambda node, version: node == b"other"))

    def test_thinning_waits_for_its_limit(self) -> None:
        """Up to the limit nobody is asked: that is what makes an offer cheap."""
        candidates: Candidates[float] = Candidates()
        for version in range(10):
            candidates.offer(0.0, 1, b"node", version)
        valid = mock.Mock(return_value=False)
        candidates.thin(10, valid)
        valid.assert_not_called()
        self.assertEqual(b"node", candidates.best(anyone))

    @given(
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5), st.booleans()), max_size=30),
        st.integers(0, 30),
    )
    def test_the_best_of_those_that_stand(self, offers: list[tuple[float, int, bool]], most: int) -> None:
        """Thinned or not: the best is the least loaded, then the first, of the offers that stand."""
        candidates: Candidates[float] = Candidates()
        for version, (load, order, _) in enumerate(offers):
            candidates.offer(load, order, b"%d" % order, version)
        standing = [(load, order, b"%d" % order) for load, order, stands in offers if stands]
        candidates.thin(most, lambda _, version: offers[version][2])
        best = candidates.best(lambda _, version: offers[version][2])
        self.assertEqual(min(standing)[2] if standing else None, best)
