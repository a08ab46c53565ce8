"""Which nodes a session dials, what it says of those that are none, and what becomes of jobs that never left."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.nodes import Address, NodeAllocate
from dispytw.client.session import Introduction, Session, Target
from dispytw.client.wildcards import Wildcard
from dispytw.errors import AuthError, VersionError
from dispytw.inmemory import Peer
from dispytw.values import CANCELLED, Computation, File, Inline, NodeFacts, Outcome
from dispytw.wire.streams import MemorySinks

UID, NODE = b"c" * 16, b"n" * 16


class End:
    """The other end of a cluster, which remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.settled: list[tuple[Any, int, str]] = []
        self.found: list[Address] = []

    def node_found(self, node: NodeFacts, address: Address) -> Deferred[int]:
        self.found.append(address)
        return succeed(node.cpus)

    def job_running(self, job: Any, node: bytes, address: Address, started: float) -> None:
        """Of no interest here."""

    def job_settled(
        self, job: Any, node: bytes | None, address: Address | None, outcome: Outcome, sent: int = 0, attempts: int = 0
    ) -> None:
        self.settled.append((job, outcome.status, outcome.reason))

    def say(self, text: str) -> None:
        self.said.append(text)


class Dial:
    """One call of the session's ``connect``."""

    def __init__(self, address: Address, credential: Any, build_link: Callable[[Any], Any]) -> None:
        self.address, self.credential, self.build_link = address, credential, build_link
        self.done: Deferred[Any] = Deferred()

    def fail(self, error: Exception) -> None:
        """Nobody there, or nobody who lets us in."""
        self.done.errback(error)

    def greet(self, role: str = "node", uid: bytes = NODE) -> Any:
        """Somebody there; what the session makes of it."""
        link = self.build_link(Peer(uid, role))
        self.done.callback(link)
        return link


class Dials(SynchronousTestCase):
    """A session whose dials the test answers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.dials: list[Dial] = []
        introduction = Introduction("1", "me", 5.0)
        self.session = Session(
            UID, self._connect, introduction, MemorySinks(), self.clock, self.clock.seconds, random.Random(1)
        )

    def _connect(self, address: Address, credential: Any, build_link: Callable[[Any], Any]) -> Deferred[Any]:
        self.dials.append(Dial(address, credential, build_link))
        return self.dials[-1].done

    def open(self, number: int, *targets: Target, **options: Any) -> End:
        """A cluster."""
        end = End()
        computation = Computation(bytes([number]) * 16, f"compute{number}", File(".bundle", bytes(32), 0))
        self.session.open_cluster(computation, {}, end, targets, **options)
        return end

    def until_dialled(self) -> Dial:
        """The next dial."""
        before = len(self.dials)
        self.clock.pump([1.0] * 31)
        self.assertEqual(before + 1, len(self.dials))
        return self.dials[-1]

    def target(self, host: str = "node7", port: int = 51348, credential: Any = None) -> Target:
        return Target(Address(host, port), credential)


class Dialling(Dials):
    """Which nodes are dialled, and what is said of those that are none."""

    def test_each_target_once(self) -> None:
        """Clusters that name the same address with the same credential share a link; another credential is another link."""
        self.open(1, self.target(), self.target("node8"))
        self.open(2, self.target(), self.target(credential="another"))
        dialled = [(str(dial.address), dial.credential) for dial in self.dials]
        self.assertEqual([("node7:51348", None), ("node8:51348", None), ("node7:51348", "another")], dialled)

    def test_another_role(self) -> None:
        """Something that is no node is said once, and tried again: tomorrow a node may be there, who gets a link."""
        end = self.open(1, self.target())
        for _ in range(3):
            self.assertIsNone(self.dials[-1].greet("scheduler"))
            self.until_dialled()
        self.assertEqual(["node node7:51348 cannot be used: it is no node but a scheduler"], [t for t in end.said if "yet" not in t])
        self.assertIn("node7:51348: it is no node but a scheduler", end.said[-1])
        self.assertIsNotNone(self.dials[-1].greet())

    def test_another_role_where_a_node_was(self) -> None:
        """An address where a node was, and something else is now, is tried on."""
        self.open(1, self.target())
        link = self.dials[-1].greet()
        self.session.link_ended(link)
        self.until_dialled().greet("client")
        self.until_dialled()

    def test_refusals(self) -> None:
        """A wrong secret, or another version, is said once to each cluster, and again when it is another reason."""
        ends = [self.open(1, self.target()), self.open(2, self.target())]
        for error in (AuthError("wrong secret"), AuthError("wrong secret"), VersionError("version 7"), VersionError("version 7")):
            self.dials[-1].fail(error)
            self.until_dialled()
        for end in ends:
            refused = [text for text in end.said if "cannot be used" in text]
            self.assertEqual(
                ["node node7:51348 cannot be used: wrong secret", "node node7:51348 cannot be used: version 7"], refused
            )

    def test_nobody_there(self) -> None:
        """A node that does not answer is no refusal: it waits for the reminder."""
        end = self.open(1, self.target())
        self.dials[-1].fail(ConnectionRefusedError())
        self.assertEqual([], end.said)

    def test_a_target_that_nobody_wants_any_more(self) -> None:
        """A dial is called off with its last cluster; one that succeeds all the same gets no link."""
        self.open(1, self.target())
        self.open(2, self.target())
        dial = self.dials[0]
        self.session.close_cluster(b"\1" * 16)
        self.assertFalse(dial.done.called)
        self.session.close_cluster(b"\2" * 16)
        self.assertTrue(dial.done.called)
        self.assertIsNone(dial.build_link(Peer(NODE, "node")))
        self.assertEqual([], self.clock.getDelayedCalls())


class Search:
    """A search whose finds the test makes; it gives up what it is told to."""

    def __init__(self) -> None:
        self.gives_up = False
        self.failures: list[tuple[str, str, bool]] = []
        self.ended = 0
        self.asked: list[str] = []

    def ask_again(self) -> None:
        self.asked.append("again")

    def look_for(self, wildcards: Sequence[Wildcard]) -> None:
        self.asked += [wildcard.pattern for wildcard in wildcards]

    def begin(self, found: Callable[[Target], None], is_served: Callable[[], bool]) -> None:
        self.found, self.is_served = found, is_served

    def failed(self, target: Target, text: str, refused: bool) -> bool:
        self.failures.append((str(target.address), text, refused))
        return self.gives_up

    def told(self) -> list[tuple[str, str]]:
        return [("*", "asked")]

    def end(self) -> None:
        self.ended += 1


class Finding(Dials):
    """Nodes that nobody has named."""

    def setUp(self) -> None:
        super().setUp()
        self.search = Search()
        self.node7 = Target(Address("10.0.0.7", 51348), None, found=True)

    def test_dialled(self) -> None:
        """What is found is dialled, once; a cluster that names it, and one that finds it too, share the link."""
        end = self.open(1, search=self.search)
        self.assertEqual([], self.dials)
        for _ in range(2):
            self.search.found(self.node7)
        self.open(2, self.target("10.0.0.7"))
        self.assertEqual(["10.0.0.7:51348"], [str(dial.address) for dial in self.dials])
        self.assertFalse(self.search.is_served())
        self.clock.advance(3)
        self.assertEqual(1, end.said[-1].count("10.0.0.7:51348"))
        self.session.close_cluster(b"\1" * 16)
        self.assertEqual((1, False), (self.search.ended, self.dials[0].done.called))
        self.search.found(self.node7)
        self.session.close_cluster(b"\2" * 16)
        self.assertTrue(self.dials[0].done.called)

    def test_refused(self) -> None:
        """A node of somebody else's is dropped without a word: on a network of many there are many. The reminder tells of it."""
        end = self.open(1, self.target(), search=self.search)
        self.search.found(self.node7)
        self.search.gives_up = True
        self.dials[1].fail(AuthError("wrong secret"))
        self.assertEqual(([("10.0.0.7:51348", "wrong secret", True)], []), (self.search.failures, end.said))
        self.clock.advance(60)
        self.assertEqual(2, len(self.dials))
        self.assertEqual("no node for compute1 yet; 0 jobs wait. Tried:\n  node7:51348: not tried yet\n  *: asked", end.said[-1])
        self.search.found(self.node7)
        self.assertEqual(3, len(self.dials))

    def test_refused_where_it_is_named(self) -> None:
        """To a cluster that names it, it is said, and it is dialled on for that."""
        self.open(1, search=self.search)
        end = self.open(2, self.target("10.0.0.7"))
        self.search.found(self.node7)
        self.search.gives_up = True
        self.dials[0].fail(AuthError("wrong secret"))
        self.assertEqual(["node 10.0.0.7:51348 cannot be used: wrong secret"], end.said)
        self.until_dialled()

    def test_nobody_there(self) -> None:
        """It is dialled on until the search gives it up."""
        self.open(1, search=self.search)
        self.search.found(self.node7)
        for _ in range(2):
            self.dials[-1].fail(ConnectionRefusedError())
            self.until_dialled()
        self.search.gives_up = True
        self.dials[-1].fail(ConnectionRefusedError())
        self.clock.pump([1.0] * 100)
        self.assertEqual((3, [False] * 3), (len(self.dials), [refused for *_, refused in self.search.failures]))

    def test_another_role(self) -> None:
        """What is no node is dropped as well, in the midst of its greeting."""
        self.open(1, search=self.search)
        self.search.found(self.node7)
        self.search.gives_up = True
        self.assertIsNone(self.dials[-1].greet("scheduler"))
        self.clock.pump([1.0] * 100)
        self.assertEqual((1, [("10.0.0.7:51348", "it is no node but a scheduler", True)]), (len(self.dials), self.search.failures))

    def test_asking_for_more(self) -> None:
        """A cluster that has a search can have it ask again, or for more, as long as it is open."""
        self.open(1, search=self.search)
        self.open(2)
        for number in (1, 2, 3):
            self.session.search_again(bytes([number]) * 16)
            self.session.search_again(bytes([number]) * 16, [Wildcard("10.*", 51348, NodeAllocate("10.*"))])
        self.assertEqual(["again", "10.*"], self.search.asked)

    def test_closed(self) -> None:
        """Nothing is left."""
        self.open(1, search=self.search)
        self.search.found(self.node7)
        self.session.close_cluster(b"\1" * 16)
        self.assertEqual(([], 1), (self.clock.getDelayedCalls(), self.search.ended))


class Reminding(Dials):
    """A cluster without a node hears of it."""

    def test_when(self) -> None:
        """After three seconds, then every sixty."""
        end = self.open(1, self.target())
        times = []
        for _ in range(1300):
            self.clock.advance(0.1)
            if len(end.said) > len(times):
                times.append(round(self.clock.seconds()))
        self.assertEqual([3, 63, 123], times)

    def test_what(self) -> None:
        """What was tried, what came of each, and how many jobs wait."""
        end = self.open(1, self.target(), self.target("node8"), self.target("node9"))
        self.dials[0].fail(ConnectionRefusedError())
        self.dials[1].fail(AuthError("wrong secret"))
        for job in (b"1", b"2"):
            self.session.submit(b"\1" * 16, job, Inline(b""), job)
        self.clock.advance(3)
        self.assertEqual(
            "no node for compute1 yet; 2 jobs wait. Tried:\n"
            "  node7:51348: connection refused: nothing listens there; start a node with 'dispynode'\n"
            "  node8:51348: wrong secret\n"
            "  node9:51348: not tried yet",
            end.said[-1],
        )

    def test_closed(self) -> None:
        """A closed cluster hears nothing, and no call is left behind."""
        end = self.open(1, self.target())
        self.session.close_cluster(b"\1" * 16)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual([], end.said)


class Settling(Dials):
    """Jobs that never left."""

    def setUp(self) -> None:
        super().setUp()
        self.end = self.open(1, self.target())
        for job in (b"1", b"2"):
            self.session.submit(b"\1" * 16, job, Inline(b""), job)

    def test_cancel(self) -> None:
        """A queued job is cancelled at once; what has ended, or never was, cannot be."""
        self.assertTrue(self.session.cancel(b"2"))
        self.assertEqual([(b"2", CANCELLED, "cancelled before it was sent")], self.end.settled)
        self.assertFalse(self.session.cancel(b"2"))
        self.assertFalse(self.session.cancel(b"?"))
        self.assertEqual(1, self.session.unfinished())

    def test_every_other_end(self) -> None:
        """Giving a cluster up, leaving, and closing it all settle what was never sent, and say so."""
        for end in (lambda: self.session.give_up(b"\1" * 16, "why"), self.session.leave, lambda: self.session.close_cluster(b"\1" * 16)):
            self.end.settled.clear()
            self.session.submit(b"\1" * 16, b"3", Inline(b""), b"3")
            end()
            self.assertIn((b"3", CANCELLED, "never sent"), self.end.settled)
            self.assertEqual(0, self.session.unfinished())

    def test_other_clusters(self) -> None:
        """Giving up one cluster settles no other's jobs; of one that is not there it settles nothing."""
        other = self.open(2, self.target())
        self.session.submit(b"\2" * 16, b"3", Inline(b""), b"3")
        self.assertEqual(3, self.session.unfinished())
        self.session.give_up(b"\1" * 16, "why")
        self.session.give_up(b"?" * 16, "why")
        self.assertEqual((2, 0, 1), (len(self.end.settled), len(other.settled), self.session.unfinished()))
