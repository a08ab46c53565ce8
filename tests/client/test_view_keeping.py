"""What a cluster's view tells its recover file, and when a job counts as delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from dispytw.client.keeping import NoFile
from dispytw.client.remains import Place
from dispytw.values import Attempt, Outcome
from tests.client import test_view
from tests.client.test_view import DONE, NODE

PLACE = Place(NODE.uid, "10.0.0.7", 51348, None, False)


class File(NoFile):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.keeping: Deferred[None] | None = None

    def leaving(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, Any]]) -> bool:
        self.told.append(("leaving", place, given, list(jobs)))
        return False

    def ended(self, job: bytes, node: bytes | None, outcome: Outcome) -> None:  # type: ignore[override]
        self.told.append(("ended", job, node, outcome))

    def delivered(self, job: bytes) -> None:  # type: ignore[override]
        self.told.append(("delivered", job))

    def kept(self) -> Deferred[None] | None:
        return self.keeping


class Keeping(test_view.ViewTestCase):
    """With a file that remembers."""

    def setUp(self) -> None:
        super().setUp()
        self.file = File()
        self.view = self.make(file=self.file)

    def test_leaving(self) -> None:
        """Attempts are told with the ids that their jobs have by then; the answer is the file's."""
        job = self.submit(5)
        job.id = "mine"
        self.assertFalse(self.view.jobs_leave(PLACE, (3, 9), [(Attempt(job._uid, 1), job)]))
        self.assertEqual(0, job.attempts)  # it has not left
        self.assertEqual([("leaving", PLACE, (3, 9), [(Attempt(job._uid, 1), "mine")])], self.file.told)

    def test_kept(self) -> None:
        """The file knows."""
        self.assertIsNone(self.view.kept())
        self.file.keeping = Deferred()
        self.assertIs(self.file.keeping, self.view.kept())

    def test_ended_before_anybody_knows(self) -> None:
        """An outcome is told to the file before whoever waits for it can have it, and so before its delivery."""
        job = self.submit()
        self.file.ended = lambda *told: self.file.told.append((*told, job.status))  # type: ignore[method-assign]
        self.view.job_settled(job, None, None, DONE)
        self.assertEqual([(job._uid, None, DONE, job.Created)], self.file.told)

    def test_delivered_by_a_callback(self) -> None:
        """A job is delivered when its callback has returned, or raised; not by being read."""
        job = self.submit()
        self.view.job_settled(job, None, None, DONE)
        self.view.result_read(job)
        self.assertEqual((1, False, 1), (len(self.file.told), job._delivered, self.view.unread))
        self.threads.callbacks[0]()
        self.assertEqual(("delivered", job._uid), self.file.told[-1])
        self.assertEqual((2, True, 0), (len(self.file.told), job._delivered, self.view.unread))

    def test_delivered_by_reading(self) -> None:
        """Without a callback, it is delivered when its result is read."""
        view = self.make(callback=None, file=self.file)
        job = self.submit(view=view)
        view.job_settled(job, None, None, DONE)
        self.assertEqual((1, 1), (len(self.file.told), view.unread))
        view.result_read(job)
        self.assertEqual((("delivered", job._uid), True, 0), (self.file.told[-1], job._delivered, view.unread))

    def test_left(self) -> None:
        """Whoever leaves waits for callbacks only."""
        self.submit(1)
        self.view.job_settled(self.submit(2), None, None, DONE)
        self.assertFalse(self.view.wait(0))
        self.view.leave()
        self.view.say("not heard")
        self.assertFalse(self.view.wait(0))
        self.threads.callbacks[0]()
        self.assertTrue(self.view.wait(0))

    def test_no_file(self) -> None:
        """Without one nothing is kept, and nothing held up."""
        view = self.make()
        job = self.submit(view=view)
        self.assertEqual(0, job.attempts)
        self.assertTrue(view.jobs_leave(PLACE, (3, 9), [(Attempt(job._uid, 1), job)]))
        self.assertTrue(view.jobs_leave(PLACE, (3, 9), [(Attempt(job._uid, 2), job)]))
        self.assertEqual(2, job.attempts)
        view.job_settled(job, None, None, DONE)
        self.assertIsNone(view.kept())
