"""Options of one job."""

from __future__ import annotations

from dispytw.client.cluster import JobCluster
from dispytw.client.job import DispyJob
from dispytw.values import PLAIN, JobOptions
from dispytw.wire.payload import open_arguments
from tests.client.clustering import SECRET, ClusterTestCase


def greedy(*args: object, **kwargs: object) -> object:
    return args, kwargs


class Options(ClusterTestCase):
    """cluster.options(…).submit(…)."""

    def test_chosen(self) -> None:
        """They go along with each job that is submitted so, and with no other; what is left out is the default."""
        cluster = self.cluster()
        careful = cluster.options(timeout=60, retries=2, backoff=0.5, priority=-3)
        jobs = [careful.submit(1), careful.submit(2), cluster.submit(3), cluster.options(priority=9).submit(4)]
        wanted = JobOptions(60.0, 2, 0.5, -3)
        self.assertEqual([wanted, wanted, PLAIN, JobOptions(backoff=1.0, priority=9)], self.session.options)
        self.assertEqual(jobs, [handle for *_, handle in self.session.submitted])
        self.assertEqual(wanted, careful.chosen)

    def test_other_ways_to_submit(self) -> None:
        """Take the same options; the rest of the cluster is as it was."""

        class Pinning(JobCluster):
            def submit_twice(self, *args: object) -> list[DispyJob]:
                return [self._submitted(args, {}) for _ in range(2)]

        with self.cluster() as plain, Pinning(greedy, ["node7"], secret=SECRET, recover=False) as cluster:
            jobs = cluster.options(priority=3).submit_twice(1)
            self.assertEqual([3, 3], [options.priority for options in self.session.options])
            self.assertEqual(jobs, [handle for *_, handle in self.session.submitted])
            self.assertEqual((2, "greedy"), (cluster.options().status().jobs_pending, cluster.options().name))
            self.assertRaises(AttributeError, getattr, plain.options(), "submit_twice")
            for job in jobs:
                self.session.end(job)

    def test_map(self) -> None:
        """Goes by them too. With a timeout or retries each call is a job of its own, unless its size is given; a priority changes nothing."""
        cluster = self.cluster(greedy)
        for wanted, chunksize, fixed in (
            (JobOptions(retries=1, backoff=1.0), "auto", 1),
            (JobOptions(timeout=9.0, backoff=1.0), "auto", 1),
            (JobOptions(retries=1, backoff=1.0), 3, 3),
            (JobOptions(backoff=1.0, priority=3), "auto", None),
        ):
            chosen = cluster.options(timeout=wanted.timeout, retries=wanted.retries, priority=wanted.priority)
            results = chosen.map(range(6), chunksize=chunksize)
            self.assertEqual({wanted}, set(self.session.options))
            self.assertEqual(fixed, results._chunker.fixed)
            self.session.options.clear()

    def test_keywords_of_the_computation(self) -> None:
        """Stay its own, though they are called like options."""
        kwargs = {"timeout": 1, "retries": 2, "backoff": 3, "priority": 4, "args": 5, "options": 6}
        self.cluster(greedy).options(retries=1).submit(7, **kwargs)
        self.assertEqual(((7,), kwargs), open_arguments(self.session.submitted[0][2].data))

    def test_wrong_types(self) -> None:
        """Are named, with what came and what is wanted."""
        for name, wrong in (("timeout", "60"), ("timeout", True), ("retries", 1.5), ("retries", None), ("backoff", None), ("priority", 0.5)):
            with self.assertRaisesRegex(TypeError, f"^options: {name} must be .*, not {wrong!r}$"):
                self.cluster().options(**{name: wrong})  # type: ignore[arg-type]
        with self.assertRaisesRegex(TypeError, "unexpected keyword argument 'retry'"):
            self.cluster().options(retry=1)  # type: ignore[call-arg]

    def test_values_without_sense(self) -> None:
        """Likewise."""
        for name, *wrong in (
            ("timeout", 0, -1, float("nan"), float("inf")),
            ("retries", -1),
            ("backoff", -0.1, float("nan"), float("inf")),
            ("priority", 10**9 + 1),
        ):
            for value in wrong:
                with self.assertRaisesRegex(ValueError, f"^options: {name} must be .*, not {value!r}$"):
                    self.cluster().options(**{name: value})
