"""A cluster whose jobs are followed; the engine is a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispytw.client.job import DispyJob
from dispytw.errors import ReactorThreadError
from dispytw.values import Attempt
from dispytw.wire.jobframes import Wrote
from tests.client.clustering import ClusterTestCase


class LiveTests(ClusterTestCase):
    """job.stream() and stream=."""

    def setUp(self) -> None:
        super().setUp()
        engine: Any = self.engine
        self.asked: list[tuple[bool, int]] = []
        engine.later = lambda call: call()
        engine.stopped = False
        engine.session.follow = self._ask

    def _ask(self, job: bytes, outputs: Sequence[tuple[bool, int]]) -> None:
        self.asked += outputs

    def write(self, job: DispyJob, text: bytes) -> None:
        """The job writes something."""
        job._owner.view.job_wrote(job, Wrote(Attempt(job._uid, 1), False, 0, text))  # type: ignore[attr-defined]

    def test_stream(self) -> None:
        """The iterator asks for output once it is read, gives what comes, and ends with the job."""
        job = self.cluster().submit(1)
        stream = job.stream()
        self.assertEqual([], self.asked)
        texts: list[str] = []
        engine: Any = self.engine
        engine.later = lambda call: (call(), self.write(job, b"one"))
        texts.append(next(stream))
        self.assertEqual([(False, 0), (True, 0), (False, 3)], self.asked)
        self.session.end(job)
        self.assertEqual((["one"], []), (texts, list(stream)))

    def test_callback(self) -> None:
        """stream= is called with the job, the text, and whether it went to stderr."""
        told: list[Any] = []
        cluster = self.cluster(stream=lambda *what: told.append(what))
        job = cluster.submit(1)
        cluster.view.remarks.running(job)
        self.assertEqual([(False, 0), (True, 0)], self.asked)
        self.write(job, b"one")
        self.assertEqual([(job, "one", False)], told)
        self.session.end(job)
        self.assertTrue(cluster.wait(0))

    def test_where_it_must_not_wait(self) -> None:
        """In the reactor thread it raises."""
        job = self.cluster().submit(1)
        self.engine.refusal = ReactorThreadError("no")
        with self.assertRaises(ReactorThreadError):
            job.stream()
