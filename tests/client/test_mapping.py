"""cluster.map, over a stand-in for the cluster: what is submitted when, and what is had when."""

from __future__ import annotations

import gc
import itertools
import queue
import threading
import unittest
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any
from unittest import mock

from dispytw.client import mapping
from dispytw.client.job import DispyJob
from dispytw.client.mapping import MapResults, begin_map
from dispytw.errors import (
    ClusterClosedError,
    JobExitError,
    JobKilledError,
    PayloadError,
    ReactorThreadError,
    ResultError,
)
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Inline, Outcome
from dispytw.wire.batches import Answer, open_calls, open_outcome, pack_answers
from dispytw.wire.payload import open_arguments, pack_result
from dispytw.worker.raising import packed_death
from tests.client.clustering import ClusterTestCase, stop_clock
from tests.client.test_job import Owner
from tests.client.watching import PATIENCE
from tests.wire.test_payload import Other

EVERY_PYTHON = True


class Cluster(Owner):
    """Squares numbers when the test says so, or at once.

    :ivar submitted: each job with its calls.
    """

    def __init__(self, at_once: bool = False, cpus: int = 2, seconds: float = 1.0) -> None:
        super().__init__()
        self.at_once, self.cpus, self.seconds = at_once, cpus, seconds
        self.submitted: list[tuple[DispyJob, list[tuple[Any, ...]]]] = []

    def submit_calls(self, calls: list[tuple[Any, ...]]) -> tuple[DispyJob, int]:
        if any(call[0] == "unpackable" for call in calls):
            raise PayloadError("argument 1 cannot be sent")
        job = DispyJob(self, b"u" * 16, len(self.submitted), 1.0)
        self.submitted.append((job, calls))
        if self.at_once:
            self.end(-1)
        return job, 10 * len(calls)

    def open_result(self, data: bytes) -> Any:
        return open_outcome(data)

    def slots(self) -> int:
        return self.cpus

    def end(self, *places: int, outcome: Outcome | None = None) -> None:
        """Jobs end."""
        for place in places:
            job, calls = self.submitted[place]
            packed = [pack_result(self.called(*call), Other()) for call in calls]
            result = packed[0] if len(calls) == 1 else pack_answers([Answer(each) for each in packed])
            done = Outcome(FINISHED, Inline(result), started=10.0, ended=10.0 + self.seconds * len(calls))
            job._settled(outcome or done, "10.0.0.7")

    @staticmethod
    def called(*call: Any) -> Any:
        return sum(call) ** 2

    @property
    def sizes(self) -> list[int]:
        """Calls in each job."""
        return [len(calls) for _, calls in self.submitted]


def mapped(cluster: Cluster, *iterables: Any, chunksize: Any = "auto", ordered: Any = True, window: Any = None, timeout: Any = None) -> MapResults:
    """A map of this cluster."""
    return begin_map(cluster, iterables, chunksize, ordered, window, timeout)


class MapTestCase(unittest.TestCase):
    """The clock stands still."""

    def setUp(self) -> None:
        stop_clock(self)


class Results(MapTestCase):
    """What is had, and in which order."""

    def test_like_the_builtin(self) -> None:
        """The same results in the same order, over one iterable or several, of any length."""
        for length in (0, 1, 7, 300):
            for options in ({}, {"chunksize": 7}, {"window": 1}, {"ordered": False}):
                results = mapped(Cluster(at_once=True), range(length), itertools.count(), **options)
                self.assertEqual([(n + n) ** 2 for n in range(length)], list(results), options)

    def test_in_order(self) -> None:
        """A result that comes early waits for its turn."""
        cluster = Cluster()
        results = mapped(cluster, range(3), window=3)
        cluster.end(2, 1, 0)
        self.assertEqual([0, 1, 4], list(results))

    def test_as_they_come(self) -> None:
        """Without order, what has ended is had."""
        cluster = Cluster()
        results = mapped(cluster, range(3), window=3, ordered=False)
        cluster.end(2, 0)
        self.assertEqual([4, 0], [next(results), next(results)])
        cluster.end(1)
        self.assertEqual([1], list(results))

    def test_it_waits(self) -> None:
        """For a job that ends in another thread."""
        cluster = Cluster()
        results = mapped(cluster, range(2))
        had: queue.SimpleQueue[Any] = queue.SimpleQueue()
        thread = threading.Thread(target=lambda: [had.put(each) for each in results], daemon=True)
        thread.start()
        cluster.end(0)
        self.assertEqual(0, had.get(timeout=PATIENCE))
        cluster.end(1)
        self.assertEqual(1, had.get(timeout=PATIENCE))
        thread.join()

    def test_opened_when_it_is_had(self) -> None:
        """What came early was not delivered as long as nobody has it."""
        cluster = Cluster()
        results = mapped(cluster, range(2))
        cluster.end(1, 0)
        self.assertEqual(0, next(results))
        self.assertEqual([cluster.submitted[0][0]], cluster.read)


class Failures(MapTestCase):
    """What a call raised is raised in its place."""

    def had(self, results: MapResults) -> list[Any]:
        """Everything, exceptions too."""
        had: list[Any] = []
        while True:
            try:
                had.append(next(results))
            except StopIteration:
                return had
            except Exception as error:
                had.append(error)

    def test_of_single_calls(self) -> None:
        """And the next one goes on."""
        cluster = Cluster()
        results = mapped(cluster, range(3), window=3)
        cluster.end(0, 2)
        cluster.end(1, outcome=Outcome(TERMINATED, exception="killed", error=packed_death("signal", 9)))
        first, second, third = self.had(results)
        self.assertEqual((0, JobKilledError, 4), (first, type(second), third))

    def test_of_calls_in_one_job(self) -> None:
        """Each has its own: what it raised itself, how it ended, a result that cannot be opened; the others their results."""
        cluster = Cluster()
        results = mapped(cluster, range(5), chunksize=5)
        raised = pack_result(ValueError("mine"), Other())
        answers = [Answer(b"?"), Answer(pack_result(7, Other())), Answer(None, "Traceback (…\nValueError: mine", raised),
                   Answer(None, "Traceback (…\nSystemExit: 3", packed_death("exit", 3)), Answer(None, "Traceback (…\nOddError")]  # fmt: skip
        cluster.end(0, outcome=Outcome(FINISHED, Inline(pack_answers(answers))))
        had = self.had(results)
        self.assertEqual([ResultError, int, ValueError, JobExitError], [type(each) for each in had[:4]])
        self.assertIn("result 0 of a map", str(had[0]))
        self.assertIn("OddError", str(had[4]))
        self.assertIn("call 4 of a map, in job 0 on node 10.0.0.7", str(had[4]))

    def test_of_a_whole_job(self) -> None:
        """Its end is that of each of its calls; also an answer that cannot be opened."""
        for outcome, kind in (
            (Outcome(TERMINATED, exception="killed", error=packed_death("signal", 9)), JobKilledError),
            (Outcome(CANCELLED, reason="close(terminate=True)"), CancelledError),
            (Outcome(FINISHED, Inline(b"b\xc1")), ResultError),
        ):
            cluster = Cluster()
            results = mapped(cluster, range(5), chunksize=3)
            cluster.end(0, outcome=outcome)
            cluster.end(1)
            self.assertEqual([kind] * 3 + [int] * 2, [type(each) for each in self.had(results)])

    def test_arguments_that_cannot_be_packed(self) -> None:
        """In their place as well; those beside them travel."""
        cluster = Cluster(at_once=True)
        for options in ({}, {"chunksize": 4}, {"ordered": False, "chunksize": 4}):
            had = self.had(mapped(cluster, [1, "unpackable", 3, 4, 5], **options))
            self.assertEqual([1, PayloadError, 9, 16, 25], [each if isinstance(each, int) else type(each) for each in had])

    def test_an_iterable_that_raises(self) -> None:
        """What came before it is had first; then it is raised, and that is the end."""

        def numbers() -> Iterator[int]:
            yield from range(3)
            raise LookupError("no more")

        for chunksize in ("auto", 2):
            results = mapped(Cluster(at_once=True), numbers(), chunksize=chunksize)
            had = [next(results) for _ in range(3)]
            self.assertEqual([0, 1, 4], had)
            self.assertRaises(LookupError, next, results)
            self.assertRaises(StopIteration, next, results)

    def test_in_the_reactor_thread(self) -> None:
        """Where waiting would never end it is refused."""
        cluster = Cluster()
        cluster.refuses = True
        self.assertRaises(ReactorThreadError, next, mapped(cluster, range(3)))


class Windows(MapTestCase):
    """What is submitted, and when."""

    def test_at_once(self) -> None:
        """The first jobs leave before anybody asks for results; the iterable may be endless."""
        cluster = Cluster()
        results = mapped(cluster, itertools.count(), window=5)
        self.assertEqual(5, len(cluster.submitted))
        cluster.end(0, 1)
        next(results)
        self.assertEqual(6, len(cluster.submitted))
        results.close()

    def test_never_more_than_the_window(self) -> None:
        """However many have ended, what nobody has had takes up room."""
        cluster = Cluster(at_once=True)
        results = mapped(cluster, itertools.count(), window=3)
        for taken in range(50):
            next(results)
            self.assertLessEqual(len(cluster.submitted), taken + 1 + 3)
        results.close()

    def test_by_default(self) -> None:
        """Four jobs for each slot, and sixteen at least."""
        for cpus, window in ((0, 16), (2, 16), (10, 40)):
            cluster = Cluster(cpus=cpus)
            results = mapped(cluster, itertools.count())
            self.assertEqual(window, len(cluster.submitted))
            results.close()

    def test_chunks(self) -> None:
        """Short calls go together, once that is known; long ones alone; as many as are asked for where somebody asks."""
        short, long, fixed = Cluster(True, seconds=1e-4), Cluster(True), Cluster(True)
        for cluster, chunksize in ((short, "auto"), (long, "auto"), (fixed, 30)):
            results = mapped(cluster, range(2000), chunksize=chunksize)
            self.assertEqual([n**2 for n in range(2000)], list(results))
        self.assertGreater(max(short.sizes), 50)
        self.assertEqual({1}, set(long.sizes))
        self.assertEqual({30, 20}, set(fixed.sizes))

    def test_a_slow_iterable(self) -> None:
        """What has ended is had although the iterable takes its time: it is not asked for more first."""
        cluster, asked = Cluster(at_once=True), []
        now = iter(itertools.count())  # each look at the clock is a second later

        def numbers() -> Iterator[int]:
            for number in itertools.count():
                asked.append(number)
                yield number

        with mock.patch.object(mapping.time, "monotonic", lambda: next(now)):
            results = mapped(cluster, numbers())
            for number in range(10):
                self.assertEqual(number**2, next(results))
                self.assertEqual(number + 1, len(asked))
            results.close()


class Ends(MapTestCase):
    """Whoever wants nothing more."""

    def left(self, leave: Callable[[MapResults], Any]) -> tuple[Cluster, MapResults]:
        cluster = Cluster()
        results = mapped(cluster, itertools.count(), window=3)
        cluster.end(0)
        next(results)
        leave(results)
        return cluster, results

    def test_closing_cancels_what_is_left(self) -> None:
        """Each job that has not ended; the iterator has ended too."""
        for leave in (MapResults.close, lambda results: results.__exit__(None, None, None), lambda results: results.__del__()):
            cluster, results = self.left(leave)
            self.assertEqual([job for job, _ in cluster.submitted[1:]], cluster.cancelled)
            self.assertRaises(StopIteration, next, results)

    def test_a_loop_that_is_left(self) -> None:
        """So does whoever breaks out of a loop, or lets go of the iterator."""
        cluster = Cluster()
        results = mapped(cluster, itertools.count(), window=3)
        cluster.end(0)
        for _ in results:
            break
        del results
        gc.collect()
        self.assertEqual(3, len(cluster.cancelled))

    def test_timeout(self) -> None:
        """When the time is over, what is there is had still, then TimeoutError is raised, and the rest cancelled."""
        cluster = Cluster()
        results = mapped(cluster, range(3), timeout=0)
        cluster.end(0)
        self.assertEqual(0, next(results))
        with self.assertRaisesRegex(FutureTimeout, "within 0 seconds"):
            next(results)
        self.assertEqual(2, len(cluster.cancelled))
        self.assertEqual([], list(results))

    def test_bad_input(self) -> None:
        """At once, naming the parameter."""
        cluster = Cluster()
        for name, value in (("chunksize", "large"), ("chunksize", 1.5), ("chunksize", True), ("window", "x"), ("ordered", 1), ("timeout", "1")):
            with self.assertRaisesRegex(TypeError, f"map: {name}"):
                mapped(cluster, range(3), **{name: value})
        for name in ("chunksize", "window"):
            with self.assertRaisesRegex(ValueError, f"map: {name}"):
                mapped(cluster, range(3), **{name: 0})
        with self.assertRaises(TypeError):
            mapped(cluster, 7)
        cluster.is_program = True
        with self.assertRaisesRegex(ValueError, "each run of a program"):
            mapped(cluster, ["a"], chunksize=2)
        self.assertEqual([], cluster.submitted)

    def test_programs(self) -> None:
        """Run one by one, however short."""
        cluster = Cluster(at_once=True, seconds=0.0)
        cluster.is_program = True
        self.assertEqual([n**2 for n in range(100)], list(mapped(cluster, range(100))))
        self.assertEqual({1}, set(cluster.sizes))




class OfACluster(ClusterTestCase):
    """JobCluster.map."""

    def test_it_submits(self) -> None:
        """Each call is a job, or some are together; what they return comes back."""
        cluster = self.cluster()
        results = cluster.map([1, 2, 3], [10, 20, 30], window=2)
        single = [open_arguments(body.data) for _, _, body, _ in self.session.submitted]
        self.assertEqual([((1, 10), {}), ((2, 20), {})], single)
        self.session.end(self.session.submitted[0][3])
        self.assertEqual(7, next(results))
        cluster.map(range(3), chunksize=3)
        together = open_calls(self.session.submitted[3][2].data, self.fail)
        self.assertEqual([((0,), {}), ((1,), {}), ((2,), {})], together)

    def test_errors_at_once(self) -> None:
        """The parameters are looked at when map is called; a closed cluster takes nothing."""
        cluster = self.cluster()
        self.assertRaises(ValueError, cluster.map, [1], window=0)
        cluster.close()
        self.assertRaises(ClusterClosedError, cluster.map, [1])

    def test_programs(self) -> None:
        """Arguments are strings."""
        cluster = self.cluster("/bin/true")
        results = cluster.map(["a", b"b"])
        self.session.end(self.session.submitted[0][3])
        next(results)
        self.assertRaisesRegex(TypeError, "argument 1", next, results)
