"""TwistedCluster, over a stand-in for the session, in a reactor that stands still until it is told."""

from __future__ import annotations

import gc
import threading
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client import inapp
from dispytw.client.inapp import TwistedCluster, session_in
from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address, NodeAllocate
from dispytw.client.remarks import MOST_WAITING
from dispytw.client.session import Session as RealSession
from dispytw.errors import ClusterClosedError, NodeLostError, PayloadError, ReactorThreadError
from dispytw.values import CANCELLED, Inline, NodeFacts, Outcome
from dispytw.wire.payload import open_arguments
from tests.client.clustering import SECRET, Session, compute

NODE = NodeFacts(b"n" * 16, 1, "node7", 4)


def prepare(number: int) -> int:
    return 0


class Reactor(Clock):
    """A clock with the triggers of a reactor."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.triggers: list[Any] = []

    def addSystemEventTrigger(self, *trigger: Any, **options: Any) -> Any:
        self.triggers.append((trigger, options))
        return self.triggers[-1]

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self.triggers.remove(trigger)


class Cancelling(Session):
    """Remembers what is to be cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.cancels: list[bytes] = []

    def cancel(self, job: bytes) -> bool:
        self.cancels.append(job)
        return True


class Clusters(SynchronousTestCase):
    """What an application sees."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.session = Cancelling()
        patch = mock.patch.object(inapp, "session_in", lambda reactor: self.session)
        patch.start()
        self.addCleanup(patch.stop)

    def cluster(self, computation: Any = compute, nodes: Any = ("10.0.0.7",), **options: Any) -> TwistedCluster:
        return TwistedCluster(self.reactor, computation, nodes, **{"secret": SECRET, **options})

    def turn(self) -> None:
        """The reactor's next turn."""
        self.reactor.advance(0)

    def jobs(self) -> list[DispyJob]:
        """All that were submitted."""
        return [handle for *_, handle in self.session.submitted]

    def test_submit(self) -> None:
        """The session gets a job in the reactor's next turn, whoever called; its Deferred fires with the result."""
        cluster = self.cluster()
        results = [cluster.submit(n, plus=1) for n in range(2)]
        self.assertEqual(([], 1), (self.session.submitted, len(self.reactor.getDelayedCalls())))
        self.turn()
        self.assertEqual([((n,), {"plus": 1}) for n in range(2)], [open_arguments(each[2].data) for each in self.session.submitted])
        self.assertNoResult(results[0])
        self.session.end(self.jobs()[0])
        self.assertEqual(7, self.successResultOf(results[0]))
        self.assertNoResult(results[1])

    def test_failures(self) -> None:
        """What a job raised is what its Deferred fails with."""
        cluster = self.cluster()
        result = cluster.submit(1)
        self.turn()
        cluster.view.job_settled(self.jobs()[0], None, None, Outcome(CANCELLED, exception="Cancelled", reason="gone"))
        self.failureResultOf(result, NodeLostError)

    def test_a_job(self) -> None:
        """Who wants the details gets the job, which may be awaited, and refuses to be waited for."""
        cluster = self.cluster()
        job = cluster.submit_job(1)

        async def awaits() -> Any:
            return await job

        waiting = ensureDeferred(awaits())
        self.turn()
        self.assertRaises(ReactorThreadError, job)
        self.session.end(job)
        self.assertEqual((7, 7), (self.successResultOf(waiting), job()))

    def test_cancel(self) -> None:
        """Cancelling the Deferred cancels the job."""
        result = self.cluster().submit(1)
        self.turn()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.turn()
        self.assertEqual([self.jobs()[0]._uid], self.session.cancels)

    def test_callback(self) -> None:
        """Called with each job that ends; what it raises is logged."""
        called: list[DispyJob] = []

        def callback(job: DispyJob) -> None:
            called.append(job)
            raise LookupError

        cluster = self.cluster(callback=callback)
        job = cluster.submit_job(1)
        job.future.add_done_callback(lambda future: called.append(job))
        self.turn()
        self.session.end(job)
        self.assertEqual([job, job], called)
        self.assertEqual(1, len(self.flushLoggedErrors(LookupError)))

    def test_allocate(self) -> None:
        """NodeAllocate is asked where the reactor runs; it may answer later."""
        later: Deferred[int] = Deferred()

        class Mine(NodeAllocate):
            def allocate(self, *_: Any, **__: Any) -> Any:
                return later

        cluster = self.cluster(nodes=[Mine("10.0.0.7")])
        answer = cluster.view.node_found(NODE, Address("10.0.0.7", 51348))
        later.callback(3)
        self.assertEqual(3, self.successResultOf(answer))
        self.assertEqual(["node7"], [node.name for node in cluster.nodes()])

    def test_what_a_node_gets_for_itself(self) -> None:
        """A NodeAllocate adds to the computation, by the first entry that wants the node."""
        cluster = self.cluster(nodes=[NodeAllocate("10.0.0.7", setup_args=(1,)), "10.0.0.8"], setup=prepare)
        self.assertEqual(4, self.successResultOf(cluster.view.node_found(NODE, Address("10.0.0.7", 51348))))
        (name, uid, node, computation, files), *others = self.session.asked
        self.assertEqual(("use_variant", cluster.uid, NODE.uid, []), (name, uid, node, others))
        self.assertTrue(files.keys() >= {file.digest for file in computation.files})
        self.assertRaisesRegex(TypeError, "setup_args", self.cluster, nodes=[NodeAllocate("10.0.0.7", setup_args=(1,))])

    def test_no_cpus(self) -> None:
        """A node that every entry refuses is not used."""

        class Never(NodeAllocate):
            def allocate(self, *_: Any, **__: Any) -> Any:
                return succeed(0)

        cluster = self.cluster(nodes=[Never("10.0.0.7")])
        self.assertEqual(0, self.successResultOf(cluster.view.node_found(NODE, Address("10.0.0.7", 51348))))
        self.assertEqual([("use_variant", cluster.uid, NODE.uid, None, {})], self.session.asked)

    def test_nodes_that_are_found(self) -> None:
        """Those that are not named are looked for in the same reactor, and only when there may be any."""
        self.cluster(nodes=["10.0.*"])
        self.cluster()
        searches = [arguments[-1] for arguments, _ in self.session.opened]
        self.assertEqual([["10.0.*"], []], [[each.pattern for each in search._sightings.wildcards] for search in searches])
        self.assertIs(searches[0]._finder, searches[1]._finder)
        self.assertIs(self.reactor, searches[0]._finder.reactor)

    def test_close(self) -> None:
        """Nothing is taken any more; it fires when every job has ended and the nodes have been told, for whoever asks."""
        cluster = self.cluster()
        result = cluster.submit(1)
        closed, again = cluster.close(), cluster.close()
        self.assertRaises(ClusterClosedError, cluster.submit, 2)
        self.turn()
        self.assertNoResult(closed)
        self.session.end(self.jobs()[0])
        self.turn()
        self.successResultOf(closed)
        self.successResultOf(again)
        self.assertEqual((7, [cluster.uid], []), (self.successResultOf(result), self.session.closed, self.reactor.triggers))

    def test_terminate(self) -> None:
        """Jobs that have not ended are given up; so they are when the reactor stops."""
        for close in (lambda cluster: cluster.close(terminate=True), lambda cluster: self.stop()):
            cluster = self.cluster()
            cluster.submit(1).addErrback(lambda failure: None)
            self.turn()
            close(cluster)
            self.turn()
            self.turn()
            self.assertEqual((cluster.uid, "close(terminate=True)"), self.session.given_up[-1])
            self.assertIn(cluster.uid, self.session.closed)

    def stop(self) -> None:
        """The application's reactor is about to stop."""
        (phase, event, close), options = self.reactor.triggers[0]
        self.assertEqual(("before", "shutdown"), (phase, event))
        close(**options)

    def test_async_with(self) -> None:
        """Closes at its end."""
        cluster = self.cluster()

        async def main() -> None:
            async with cluster:
                pass

        done = ensureDeferred(main())
        self.turn()
        self.successResultOf(done)
        self.assertEqual([cluster.uid], self.session.closed)

    def test_wait(self) -> None:
        """At once where there is no job; else with the last, unless it is cancelled."""
        cluster = self.cluster()
        self.successResultOf(cluster.wait())
        cluster.submit(1)
        waiting, cancelled = cluster.wait(), cluster.wait()
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.turn()
        self.session.end(self.jobs()[0])
        self.successResultOf(waiting)

    def test_submitting_in_the_midst(self) -> None:
        """Whoever submits when a result comes is told apart from what the session does right then."""
        cluster = self.cluster()
        second: list[Deferred[Any]] = []
        cluster.submit(1).addCallback(lambda _: second.append(cluster.submit(2)))
        self.turn()
        self.session.end(self.jobs()[0])
        self.assertEqual((1, 1), (len(second), len(self.session.submitted)))
        self.turn()
        self.assertEqual(2, len(self.session.submitted))

    def test_programs(self) -> None:
        """Take strings."""
        cluster = self.cluster("/bin/true")
        self.assertRaises(TypeError, cluster.submit, b"bytes")
        cluster.submit("a")
        self.turn()
        self.assertEqual(1, len(self.session.submitted))

    def test_bad_input(self) -> None:
        """At once, at the caller."""

        async def begins(job: DispyJob) -> None:
            pass

        for error, options in (
            (TypeError, {"no_such_option": 1}),
            (TypeError, {"nodes": 5}),
            (TypeError, {"setup": 5}),
            (TypeError, {"callback": 5}),
            (TypeError, {"callback": begins}),
            (ValueError, {"isolation": "thread"}),
            (ValueError, {"start_method": "thread"}),
            (ValueError, {"nodes": ["local"]}),
        ):
            self.assertRaises(error, self.cluster, **options)
        self.assertRaises(PayloadError, self.cluster().submit, threading.Lock())

    def test_provisional_results(self) -> None:
        """The callback hears of each as it comes; a job that says much waits for the reactor's next turn."""
        heard: list[Any] = []
        cluster = self.cluster(callback=lambda job: heard.append((job.status, job.result)))
        job = cluster.submit_job(1)
        self.turn()
        self.successResultOf(cluster.view.node_found(NODE, Address("10.0.0.7", 51348)))
        cluster.view.job_running(job, NODE.uid, Address("10.0.0.7", 51348), 1.0)
        taken = [cluster.view.job_provisional(job, NODE.uid, Inline(b"m\x05")) for _ in range(MOST_WAITING + 1)]
        self.assertEqual([(DispyJob.ProvisionalResult, 5)] * len(taken), heard)
        self.assertEqual([None] * MOST_WAITING, taken[:-1])
        self.assertNoResult(taken[-1])
        self.turn()
        self.successResultOf(taken[-1])
        self.session.end(job)
        self.assertEqual((DispyJob.Finished, 7), heard[-1])
        self.assertRaises(ReactorThreadError, cluster.submit_job(2).stream)

    def test_what_it_says(self) -> None:
        """To whoever wants to hear it."""
        said: list[str] = []
        self.cluster(say=said.append).view.say("no node yet")
        self.assertEqual(["no node yet"], said)


class Sessions(SynchronousTestCase):
    """`session_in`."""

    def test_one_for_each_reactor(self) -> None:
        """Clusters of one reactor share it, so a node's slots are counted once."""
        reactor, other = Reactor(), Reactor()
        self.assertIsInstance(session_in(reactor), RealSession)
        self.assertIs(session_in(reactor), session_in(reactor))
        self.assertIsNot(session_in(reactor), session_in(other))
        self.assertIsNot(session_in(reactor).uid, session_in(other).uid)

    def test_it_dials(self) -> None:
        """In that reactor, as a client of its uid."""
        reactor = Reactor()
        with mock.patch.object(inapp, "connect", mock.Mock(return_value=succeed(None))) as connect:
            session = session_in(reactor)
            session._connect(Address("10.0.0.7", 51348), "credential", gc.collect)
        connect.assert_called_once_with(
            reactor, "10.0.0.7", 51348, credential="credential", uid=session.uid, role="client", build_link=gc.collect
        )
