"""What is left of a cluster is fetched from nodes in memory, by a client that has only what the dead one wrote down."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.fetching import CANCELLING, FIRST_WORD, NEXT_WORD, Fetcher, Means
from dispytw.client.remains import LeftJob, Owned, Place, Remains
from dispytw.client.session import Introduction
from dispytw.errors import AuthError
from dispytw.testing import House, MemoryClient, MemoryCluster, MemoryJob, MemoryNode
from dispytw.values import CANCELLED, FINISHED, Attempt, Computation, File, Inline, Outcome
from dispytw.version import VERSION
from dispytw.wire.jobframes import Answer, Remark
from dispytw.wire.streams import MemorySinks

TOKEN = b"k" * 16


class WrittenDown(MemoryCluster):
    """A cluster that writes down what leaves, and keeps every outcome waiting."""

    def __init__(self, client: MemoryClient, nodes: list[MemoryNode]) -> None:
        self.remains = Remains(lambda name: NotImplemented)
        self.private = False
        self.waiting: list[Deferred[None]] = []
        super().__init__(client, client.house.new_uid(), nodes, reentrant=False, pulse=None)

    def jobs_leave(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, MemoryJob]]) -> bool:
        self.remains.places[place.node] = [attrs.evolve(place, login=["Insecure"], private=self.private)]
        for attempt, job in jobs:
            left = LeftJob(job.uid, attempt=attempt, node=place.node, given=given)
            self.remains.jobs[job.uid] = left
        return True

    def kept(self) -> Any:
        self.waiting.append(Deferred())
        return self.waiting[-1]


class KeepingFile:
    """The recover file: keeps an outcome when the test says so."""

    def __init__(self) -> None:
        self.path = "/here/rec"
        self.written: list[tuple[bytes, bytes | None, Outcome]] = []
        self.slow = False
        self.waiting: list[Deferred[None]] = []

    def ended(self, job: bytes, node: bytes | None, outcome: Outcome) -> None:
        self.written.append((job, node, outcome))

    def kept(self) -> Deferred[None] | None:
        if not self.slow:
            return None
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def write(self) -> None:
        """It is written now."""
        self.slow = False
        while self.waiting:
            self.waiting.pop().callback(None)

    flush = kept


class FetchingTestCase(SynchronousTestCase):
    """A house whose client has been killed."""

    def setUp(self) -> None:
        self.house = House()
        self.node = self.house.node(cpus=2)
        self.client = self.house.client("dead")
        self.recoverer = self.house.client("recoverer")
        self.file = KeepingFile()
        self.said: list[str] = []
        self.dialled: list[Any] = []
        self.failure: Exception | None = None

    def cluster(self, *nodes: MemoryNode) -> WrittenDown:
        """Ready; its computation has our token."""
        cluster = WrittenDown(self.client, list(nodes or [self.node]))
        enrolled = self.client.session._enrolled[cluster.uid]
        enrolled.computation = Computation(cluster.uid, "compute", File(".bundle", bytes(32), 0), token=TOKEN)
        self.house.advance(0.5)
        return cluster

    def connect(self, address: Any, credential: Any, build_link: Callable[[Any], Any]) -> Any:
        self.dialled.append((address, credential))
        if self.failure is not None:
            failed: Deferred[Any] = Deferred()
            failed.errback(self.failure)
            return failed
        return self.recoverer._connect(address, credential, build_link)

    def fetch(self, cluster: WrittenDown, timeout: float | None = None, terminate: bool = False, token: bytes = TOKEN) -> Fetcher:
        """A fetcher that has started."""
        means = Means(
            connect=self.connect,
            introduction=Introduction(VERSION, "recoverer", 5.0),
            sinks=MemorySinks(),
            clock=self.recoverer.process,
            now=self.house.now,
            chance=random.Random(1),
            say=self.said.append,
        )
        file: Any = self.file
        fetcher = Fetcher(Owned(cluster.uid, token, "compute", False, 0.0, 1), cluster.remains, file, means)
        fetcher.start(timeout, terminate)
        return fetcher

    def found(self, cluster: WrittenDown) -> list[tuple[int, str] | None]:
        """Status and reason of each job that left, in the order in which they were submitted."""
        jobs = [cluster.remains.jobs[job.uid] for job in cluster.jobs if job.uid in cluster.remains.jobs]
        return [None if job.outcome is None else (job.outcome.status, job.outcome.reason) for job in jobs]

    def ended(self, fetcher: Fetcher, seconds: float = 1.0) -> None:
        """It ends within these seconds, and leaves no timer and no link."""
        self.house.advance(seconds)
        self.successResultOf(fetcher.done)
        self.house.advance(0.1)
        self.assertEqual(([], []), (list(self.recoverer.process.wakes), self.house.wires_of(self.recoverer)))


class Fetching(FetchingTestCase):
    """Jobs come home."""

    def test_what_has_ended(self) -> None:
        """Outcomes that the dead client was told and had not kept are told again; the node owes nothing then, and is free."""
        cluster = self.cluster()
        for _ in range(2):
            cluster.submit(0.1)
        self.house.advance(1)
        self.client.kill()
        self.ended(self.fetch(cluster))
        self.assertEqual([(FINISHED, "")] * 2, self.found(cluster))
        self.assertEqual({job.uid for job in cluster.jobs}, {job for job, _, _ in self.file.written})
        self.assertEqual((None, {}, {}), (self.node.bench.holder, self.node.bench._placed, self.node.bench._opened))

    def test_what_runs(self) -> None:
        """It is waited for, and goes on undisturbed."""
        cluster = self.cluster()
        cluster.submit(0.1)
        cluster.submit(5.0)
        self.house.advance(1)
        self.client.kill()
        fetcher = self.fetch(cluster)
        self.house.advance(2)
        self.assertNoResult(fetcher.done)
        self.assertEqual([(FINISHED, ""), None], self.found(cluster))
        self.ended(fetcher, 3)
        self.assertEqual([(FINISHED, "")] * 2, self.found(cluster))
        self.assertEqual([1, 1], [len(starts) for starts in self.house.starts.values()])

    def test_what_a_job_says_meanwhile(self) -> None:
        """Is refused at once: the program that would have heard it is gone."""
        cluster = self.cluster()
        job = cluster.submit(5.0)
        self.house.advance(1)
        self.client.kill()
        fetcher = self.fetch(cluster)
        self.house.advance(1)
        said: list[Any] = []
        launcher: Any = self.node.launcher
        launcher.say = lambda computation, frames: said.extend(frames)
        self.node.steward.job_said(cluster.uid, Remark(Attempt(job.uid, 1), 1, "provisional", "", Inline(b"1")))
        self.house.advance(1)
        self.assertEqual([Answer(Attempt(job.uid, 1), 1, "refused", "the program that submitted this job is gone")], said)
        self.ended(fetcher, 5)

    def test_kept_before_it_is_forgotten(self) -> None:
        """The node forgets an outcome when it has been written, and is released after that; who is killed before has lost nothing."""
        cluster = self.cluster()
        cluster.submit(0.1)
        self.house.advance(1)
        self.client.kill()
        self.file.slow = True
        first = self.fetch(cluster)
        self.house.advance(2)
        self.assertNoResult(first.done)
        self.assertEqual((1, 1), (len(self.node.bench._placed), len(self.node.bench._opened)))
        first.stop()
        self.recoverer.kill()
        cluster.remains.jobs[cluster.jobs[0].uid].outcome = None
        self.recoverer = self.house.client("the next")
        self.file.written.clear()
        self.file.write()
        self.ended(self.fetch(cluster))
        self.assertEqual(([(FINISHED, "")], 1), (self.found(cluster), len(self.file.written)))
        self.assertEqual({}, self.node.bench._placed)

    def test_released_after_it_was_written(self) -> None:
        """The answer goes before the computation is closed."""
        cluster = self.cluster()
        cluster.submit(0.1)
        self.house.advance(1)
        self.client.kill()
        self.file.slow = True
        fetcher = self.fetch(cluster)
        self.house.advance(1)
        self.file.write()
        self.ended(fetcher)
        self.assertEqual((None, {}), (self.node.bench.holder, self.node.bench._placed))

    def test_never_arrived(self) -> None:
        """What was written down and never reached the node comes back as never sent."""
        cluster = self.cluster()
        cluster.submit(0.1)
        self.client.kill()
        left = Attempt(b"j" * 16, 1)
        node, given = self.node.uid, (self.node.incarnation, 0)
        cluster.jobs[0] = MemoryJob(left.job)
        cluster.remains.places[node] = [Place(node, self.node.address.host, self.node.address.port, ["Insecure"], False)]
        cluster.remains.jobs = {left.job: LeftJob(left.job, attempt=left, node=node, given=given)}
        self.ended(self.fetch(cluster))
        self.assertEqual([(CANCELLED, "never sent")], self.found(cluster))

    def test_given_back(self) -> None:
        """A job that the client which is gone had asked back, and that comes back only now, was never started."""
        cluster = self.cluster()
        cluster.submit(9.0)
        self.house.advance(1)
        self.client.kill()
        fetcher = self.fetch(cluster)
        (left,) = cluster.remains.jobs.values()
        assert left.attempt is not None
        fetcher.given_back(self.node.uid, [Attempt(left.uid, 7), left.attempt])
        self.assertEqual([(CANCELLED, "never sent")], self.found(cluster))

    def test_forgotten(self) -> None:
        """What a node no longer knows, as it was started anew, is Cancelled and says so."""
        cluster = self.cluster()
        cluster.submit(9.0)
        self.house.advance(1)
        self.client.kill()
        self.node.crash()
        self.node.restart()
        self.ended(self.fetch(cluster))
        ((status, reason),) = [each for each in self.found(cluster) if each is not None]
        self.assertEqual((CANCELLED, f"node {self.node.address} no longer knows it"), (status, reason))
        self.assertEqual("Cancelled", self.file.written[0][2].exception)

    def test_superseded_attempts(self) -> None:
        """An attempt that is not the last is stopped, and what comes of it is nobody's; so is what was delivered."""
        cluster = self.cluster()
        cluster.submit(60.0)
        cluster.submit(0.1)
        self.house.advance(1)
        self.client.kill()
        left = list(cluster.remains.jobs.values())
        del cluster.remains.jobs[left[1].uid]  # delivered
        left[0].attempt = Attempt(left[0].uid, 2)
        self.ended(self.fetch(cluster), 3)
        self.assertEqual([(CANCELLED, "never sent")], self.found(cluster))
        self.house.advance(60)
        self.assertEqual(({}, []), (self.node.bench._placed, self.node.launcher.running()))

    def test_while_others_are_waited_for(self) -> None:
        """An attempt that nobody wants is stopped at once; an outcome of another attempt ends no job."""
        cluster = self.cluster()
        cluster.submit(60.0)
        cluster.submit(5.0)
        self.house.advance(1)
        self.client.kill()
        del cluster.remains.jobs[cluster.jobs[0].uid]
        fetcher = self.fetch(cluster)
        self.house.advance(1)
        wanted = cluster.jobs[1].uid
        self.assertEqual([wanted], [attempt.job for attempt in self.node.launcher.running()])
        fetcher.ended(self.node.uid, [(Attempt(wanted, 7), Outcome(CANCELLED))])
        self.assertEqual([None], self.found(cluster))
        self.ended(fetcher, 5)
        self.assertEqual([(FINISHED, "")], self.found(cluster))

    def test_every_outcome_is_kept_first(self) -> None:
        """A node is released when the last of them is written, not the first."""
        cluster = self.cluster()
        for seconds in (1.0, 2.0):
            cluster.submit(seconds)
        self.house.advance(0.5)
        self.client.kill()
        self.file.slow = True
        fetcher = self.fetch(cluster)
        self.house.advance(3)
        self.file.waiting.pop(0).callback(None)
        self.house.advance(1)
        self.assertEqual((1, 1), (len(self.node.bench._placed), len(self.node.bench._opened)))
        self.file.write()
        self.ended(fetcher)
        self.assertEqual((None, {}), (self.node.bench.holder, self.node.bench._placed))

    def test_a_private_node(self) -> None:
        """It has ended with its program, and is not dialled."""
        cluster = self.cluster()
        cluster.private = True
        cluster.submit(9.0)
        self.house.advance(1)
        self.client.kill()
        self.ended(self.fetch(cluster), 0)
        self.assertEqual([(CANCELLED, "its private node ended with the program")], self.found(cluster))
        self.assertEqual([], self.dialled)

    def test_nodes_that_owe_nothing(self) -> None:
        """They are released too, but not waited for when they do not answer."""
        other = self.house.node(cpus=1)
        cluster = self.cluster(self.node, other)
        for _ in range(3):
            cluster.submit(0.1)
        self.house.advance(1)
        self.client.kill()
        cluster.remains.jobs.clear()
        other.crash()
        self.ended(self.fetch(cluster), 2.5)
        self.assertIsNone(self.node.bench.holder)


class Trouble(FetchingTestCase):
    """Nodes that do not answer, or do not want to."""

    def one_running(self, seconds: float = 5.0) -> WrittenDown:
        """A dead client's cluster with a job that runs so long."""
        cluster = self.cluster()
        cluster.submit(seconds)
        self.house.advance(1)
        self.client.kill()
        return cluster

    def test_a_node_that_comes_later(self) -> None:
        """It is dialled until it answers, and it is said what is waited for."""
        cluster = self.one_running(100.0)
        self.failure = AuthError("wrong secret")
        fetcher = self.fetch(cluster)
        self.house.advance(FIRST_WORD + 0.1)
        self.assertEqual([f"recover_jobs waits for 1 jobs on node {self.node.address}: wrong secret"], self.said)
        self.house.advance(NEXT_WORD)
        self.assertEqual(2, len(self.said))
        self.failure = None
        self.ended(fetcher, 70)
        self.assertEqual([(FINISHED, "")], self.found(cluster))

    def test_a_job_that_runs_long(self) -> None:
        """It is said that it runs."""
        fetcher = self.fetch(self.one_running(9.0))
        self.house.advance(FIRST_WORD + 0.1)
        self.assertEqual([f"recover_jobs waits for 1 jobs on node {self.node.address}, which still run"], self.said)
        self.ended(fetcher, 9)

    def test_a_link_that_breaks(self) -> None:
        """It is dialled again, and everything begins anew."""
        cluster = self.one_running()
        fetcher = self.fetch(cluster)
        self.house.advance(1)
        self.house.wires_of(self.recoverer)[0].cut()
        self.ended(fetcher, 6)
        self.assertEqual([(FINISHED, "")], self.found(cluster))

    def test_another_node(self) -> None:
        """Another node at this address has none of it, and is left in peace."""
        cluster = self.one_running()
        self.house.nodes[self.node.address] = other = self.house.node()
        fetcher = self.fetch(cluster)
        self.house.advance(FIRST_WORD + 0.1)
        self.assertRegex(self.said[0], "another node is there now, which does not know these jobs")
        self.assertEqual([], self.house.wires_of(other))
        fetcher.stop()
        self.ended(fetcher)

    def test_a_client_that_lives(self) -> None:
        """A node refuses as long as it holds the link of the dead for alive; then it gives way."""
        cluster = self.cluster()
        cluster.submit(60.0)
        self.house.advance(1)
        wire = self.house.wires_of(self.client)[0]
        wire.tear()
        self.client.process.kill()
        fetcher = self.fetch(cluster, timeout=100.0)
        self.house.advance(FIRST_WORD + 0.1)
        self.assertRegex(self.said[0], "dead is still connected to this node")
        self.ended(fetcher, 100)
        self.assertEqual([(FINISHED, "")], self.found(cluster))

    def test_a_wrong_token(self) -> None:
        """Gets nothing."""
        fetcher = self.fetch(self.one_running(), token=bytes(16), timeout=4.0)
        self.ended(fetcher, 5)
        self.assertRegex(self.said[0], "the token is not that of the computation")
        self.assertEqual([], self.file.written)

    def test_another_version(self) -> None:
        """A node that does not go with this version is named, with what it says."""
        cluster = self.one_running()
        self.node.facts = attrs.evolve(self.node.facts, version="99.0")
        fetcher = self.fetch(cluster, timeout=4.0)
        self.ended(fetcher, 6)
        self.assertRegex(self.said[0], "99.0")


class Time(FetchingTestCase):
    """timeout and terminate_pending."""

    def two(self) -> WrittenDown:
        """A short job and a long one, of a client that is dead."""
        cluster = self.cluster()
        cluster.submit(0.1)
        cluster.submit(1000.0)
        self.house.advance(1)
        self.client.kill()
        return cluster

    def test_timeout(self) -> None:
        """What runs by then goes on, and can be fetched later."""
        cluster = self.two()
        self.ended(self.fetch(cluster, timeout=2.0), 2.1)
        self.assertEqual([(FINISHED, ""), None], self.found(cluster))
        self.assertEqual(1, len(self.node.launcher.running()))
        self.recoverer = self.house.client("the next")
        fetcher = self.fetch(cluster)
        self.ended(fetcher, 1000)
        self.assertEqual([(FINISHED, "")] * 2, self.found(cluster))

    def test_timeout_waits_for_the_file(self) -> None:
        """What has come is written before the links close, but not for ever."""
        cluster = self.two()
        self.file.slow = True
        fetcher = self.fetch(cluster, timeout=2.0)
        self.house.advance(2.5)
        self.assertNoResult(fetcher.done)
        self.file.write()
        self.ended(fetcher, 0.1)
        self.assertEqual(1, len(self.node.bench._placed))

    def test_terminate(self) -> None:
        """What runs is cancelled at once."""
        cluster = self.two()
        self.ended(self.fetch(cluster, terminate=True), 2)
        self.assertEqual([FINISHED, CANCELLED], [each[0] for each in self.found(cluster) if each])
        self.assertEqual((None, []), (self.node.bench.holder, self.node.launcher.running()))

    def test_timeout_and_terminate(self) -> None:
        """What runs by then is cancelled."""
        cluster = self.two()
        fetcher = self.fetch(cluster, 5.0, True)
        self.house.advance(4.9)
        self.assertEqual([(FINISHED, ""), None], self.found(cluster))
        self.ended(fetcher, 2)
        self.assertEqual([FINISHED, CANCELLED], [each[0] for each in self.found(cluster) if each])

    def test_terminate_where_nobody_answers(self) -> None:
        """It ends all the same; such jobs are left."""
        cluster = self.two()
        self.node.crash()
        self.ended(self.fetch(cluster, 5.0, True), 5.1 + CANCELLING)
        self.assertEqual([None, None], self.found(cluster))

