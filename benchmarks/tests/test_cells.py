"""What the cells make of a contestant whose speed is known."""

from __future__ import annotations

import itertools
import time
import unittest
from types import SimpleNamespace
from unittest import mock

from benchmarks import cells
from benchmarks.contestants import SLOTS
from benchmarks.tests.fake import Fake


class Throughput(unittest.TestCase):
    """No-op jobs and echoes."""

    def test_the_rate_is_that_of_the_batch_that_counts(self) -> None:
        """A contestant of 2,000 jobs a second is said to make 2,000."""
        self.assertAlmostEqual(2000, cells.noop(Fake(rate=2000)).figures["noop"])

    def test_the_batch_lasts_as_long_as_it_should(self) -> None:
        """Trials grow until one tells the size of a batch of one second."""
        fake = Fake(rate=2000)
        cells.noop(fake)
        self.assertEqual([16, 64, 256, 1024][: len(fake.sizes) - 1], fake.sizes[:-1])
        self.assertAlmostEqual(cells.AIM, fake.sizes[-1] / 2000, places=2)

    def test_a_slow_contestant_is_not_run_twice(self) -> None:
        """A trial that is long by itself is the measurement."""
        fake = Fake(rate=20)
        self.assertAlmostEqual(20, cells.noop(fake).figures["noop"])
        self.assertEqual([16], fake.sizes)

    def test_lost_jobs_do_not_count_as_done(self) -> None:
        """Of jobs of which every tenth is lost, nine tenths make the rate, and all lost ones are told, those of trials too."""
        fake = Fake(rate=1000, lose=10)
        reading = cells.noop(fake)
        self.assertAlmostEqual(900, reading.figures["noop"], delta=2)
        self.assertEqual(sum(fake.sizes), reading.jobs)
        self.assertEqual(sum(-(-size // 10) for size in fake.sizes), reading.lost)

    def test_a_wrong_result_is_a_lost_job(self) -> None:
        """Results are compared with what was sent."""
        with mock.patch.object(Fake, "run", lambda self, arguments: cells.Batch([7] * len(arguments), 1.0)):
            self.assertEqual(15, cells.noop(Fake()).lost)

    def test_an_echo_counts_both_ways(self) -> None:
        """A hundred 1 MiB echoes a second are 200 MiB a second."""
        self.assertAlmostEqual(200 * 1.048576, cells.echo1(Fake(rate=100)).figures["echo1"], places=3)

    def test_big_echoes_are_few(self) -> None:
        """However fast it is: never more than eight of 64 MiB at a time."""
        fake = Fake(rate=1e6)
        cells.echo64(fake)
        self.assertEqual(8, max(fake.sizes))


class OneAtATime(unittest.TestCase):
    """Round trip and queue, which look at the clock: each look is 10 ms later, whatever the machine does in between."""

    def setUp(self) -> None:
        self.looks = (look / 100 for look in itertools.count())
        clock = SimpleNamespace(perf_counter=lambda: next(self.looks), monotonic=time.monotonic, sleep=time.sleep)
        patch = mock.patch.object(cells, "time", clock)
        patch.start()
        self.addCleanup(patch.stop)

    def test_quantiles(self) -> None:
        """The median and the time that one in a hundred exceeds."""
        self.assertEqual((50, 99), (cells.quantile(range(100), 0.5), cells.quantile(range(100), 0.99)))
        self.assertEqual(3, cells.quantile([3], 0.99))

    def test_roundtrip(self) -> None:
        """Milliseconds: the median, and the 99th percentile of a second's jobs, two of which took longer."""
        fake, late = Fake(), (10, 20)
        with mock.patch.object(fake, "one", lambda argument: (argument in late and [next(self.looks) for _ in range(5)], argument)[1]):
            figures = cells.roundtrip(fake).figures
        self.assertEqual({"p50": 10.0, "p99": 60.0}, {name: round(figure, 6) for name, figure in figures.items()})

    def test_a_wrong_answer_is_told(self) -> None:
        """Whoever answers nonsense quickly has lost his jobs."""
        with mock.patch.object(Fake, "one", lambda self, argument: None):
            reading = cells.roundtrip(Fake())
        self.assertEqual(reading.jobs, reading.lost)

    def test_queued_jobs_wait_behind_long_ones(self) -> None:
        """Every slot is taken before the first job that counts."""
        fake = Fake()
        figures = cells.queue(fake).figures
        self.assertAlmostEqual((len(fake.queued) - SLOTS) / cells.AIM, figures["submits"], delta=200)
        self.assertEqual([60.0] * SLOTS, [seconds for _, seconds in fake.queued[:SLOTS]])
        self.assertEqual({0.0}, {seconds for _, seconds in fake.queued[SLOTS:]})

    def test_a_machine_that_sleeps(self) -> None:
        """When the time is over before the first job is queued there is a figure all the same."""
        with mock.patch.object(cells, "AIM", 0.0):
            self.assertGreater(cells.queue(Fake()).figures["submits"], 0)

    def test_memory_of_a_queued_job(self) -> None:
        """A contestant that keeps a page for each job is seen to."""
        with mock.patch.object(Fake, "queue", lambda self, argument, seconds=0.0: self.queued.append(bytearray(b"x" * 4096))):
            memory = cells.queue(Fake()).figures["memory"]
        self.assertGreater(memory, 3500)
        self.assertLess(memory, 6000)
