"""The node as a service: what it opens, in which order, and that it closes all of it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, ConnectionLost
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from dispytw.inmemoryjobs import MemoryJournal
from dispytw.node import service
from dispytw.node.adoption import Papers
from dispytw.node.service import TELLING, CannotServe, NodeConfig, NodeService
from dispytw.node.statedir import StateDir
from dispytw.values import CANCELLED, FINISHED, Attempt, Outcome, Stored
from dispytw.version import VERSION
from dispytw.wire import nodecommands as ask
from dispytw.wire import spool
from dispytw.wire.credentials import INSECURE, Secret
from dispytw.wire.doorway import Doorway, DoorwayServerFactory, Self
from dispytw.wire.frames import Ended
from dispytw.wire.records import computation_record
from tests.node.benching import ALICE, BOB, ONE, THREE, TWO, X, Y, owed
from tests.node.linking import Client
from tests.node.stewarding import Launcher


class Pool:
    """A thread pool that works at once."""

    def callInThreadWithCallback(
        self, done: Callable[[bool, Any], None], function: Callable[..., Any], *args: Any
    ) -> None:
        try:
            result = function(*args)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)


class Reactor(MemoryReactorClock):
    """Twisted's reactor in memory, running, with a thread pool.

    :ivar taken: whether every port is in use.
    """

    taken = False
    threadCallQueue: list[Any] = []

    def __init__(self) -> None:
        super().__init__()
        self.running = True

    def getThreadPool(self) -> Pool:
        return Pool()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if self.taken:
            raise CannotListenError(interface, port, OSError(errno.EADDRINUSE, "Address already in use"))
        return super().listenTCP(port, factory, backlog, interface)


@attrs.define(eq=False)
class NodeLauncher(Launcher):
    """Stands for the launcher; its supervisors end when they are told to.

    :ivar made_with: what the service gave it.
    :ivar left: outcomes that supervisors have left, by the name of their files.
    """

    made_with: tuple[Any, ...] = ()
    options: dict[str, Any] = attrs.field(factory=dict)
    left: dict[str, list[Ended]] = attrs.field(factory=dict)
    stopped: Deferred[None] = attrs.field(factory=lambda: succeed(None))

    def remains(self, name: str, papers: Papers) -> list[Ended]:
        return self.left[name]

    def stop(self) -> Deferred[None]:
        self.asked.append(("stop",))
        return self.stopped


class NodeJournal(MemoryJournal):
    """Stands for the journal, in memory.

    :ivar made_with: what the service gave it.
    """

    made_with: tuple[Any, ...] = ()
    seconds = 0.0

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(reactor)
        self.seconds = 0.0
        self.closed = False

    def attempts(self) -> set[Attempt]:
        return set(self.rows)

    def close(self) -> None:
        self.closed = True


class ServiceCase(SynchronousTestCase):
    """A node on loopback, insecure, in a state directory of its own."""

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp(prefix="service-")
        self.addCleanup(shutil.rmtree, self.root)
        self.state_dir = os.path.join(self.root, "state")
        self.reactor = Reactor()
        self.pumps: list[Any] = []
        self.launcher = NodeLauncher()
        self.hidden: list[None] = []
        self.patch(service, "hide_process", lambda: self.hidden.append(None))
        self.patch(service, "Launcher", self._launcher)
        self.journal = NodeJournal(self.reactor)
        self.patch(service, "Journal", self._journal)
        self.spool = os.path.join(self.state_dir, "spool")

    def _launcher(self, *made_with: Any, **options: Any) -> NodeLauncher:
        self.launcher.made_with = made_with
        self.launcher.options = options
        return self.launcher

    def _journal(self, *made_with: Any) -> NodeJournal:
        self.journal.made_with = made_with
        return self.journal

    def make(self, **fields: Any) -> NodeService:
        """A node that is not started."""
        config = NodeConfig(**{"host": "127.0.0.1", "port": 51348, "credential": INSECURE, "cpus": 2, "name": "here",
                               "state_dir": self.state_dir, **fields})  # fmt: skip
        return NodeService(config, self.reactor)

    def start(self, **fields: Any) -> NodeService:
        """A node that listens."""
        node = self.make(**fields)
        node.startService()
        self.addCleanup(self._stop, node)
        return node

    def _stop(self, node: NodeService) -> None:
        if node.running:
            stopped = node.stopService()
            for pump in self.pumps:
                pump.flush()
            self.reactor.pump([TELLING, TELLING])
            self.successResultOf(stopped)

    def is_free(self) -> bool:
        """Whether another daemon could have the state directory."""
        StateDir.open(self.state_dir, 0).close()
        return True

    # A client.
    def connect(self) -> Client:
        """A client that has greeted."""
        factory = self.reactor.tcpServers[-1][1]
        client, node_end = Client(self.reactor), factory.buildProtocol(None)
        doorway = Doorway(Self(INSECURE, ALICE, "client"), "127.0.0.1", lambda peer: client, self.reactor, lambda result: None)
        addresses = IPv4Address("TCP", "127.0.0.1", 51348), IPv4Address("TCP", "127.0.0.1", 4000)
        ends = iosim.FakeTransport(node_end, True, *addresses), iosim.FakeTransport(doorway, False, *addresses[::-1])
        self.pump = iosim.connect(node_end, ends[0], doorway, ends[1], greet=False)
        self.pumps.append(self.pump)
        self.pump.flush()
        self.node_end = ends[0]
        return client

    def answered(self, client: Client, command: Any, **arguments: Any) -> dict[str, Any]:
        """The answer to an ask."""
        asked = client.ask(command, **arguments)
        self.pump.flush()
        answer: dict[str, Any] = self.successResultOf(asked)
        return answer

    def run_a_job(self) -> Client:
        """A client whose job runs."""
        client = self.connect()
        asked = client.introduce(VERSION)
        self.pump.flush()
        self.successResultOf(asked)
        for digest in self.answered(client, ask.OpenComputation, computation=computation_record(X))["missing"]:
            with open(os.path.join(self.state_dir, "store", digest.hex()), "w"):
                pass
        self.answered(client, ask.OpenComputation, computation=computation_record(X))
        self.events.supervisor_ready(X.uid)
        self.pump.flush()
        generation = client.told[-1][2]
        self.answered(client, ask.RunJobs, computation=X.uid, generation=generation, jobs=[[ONE.job, 1, b""]])
        return client

    @property
    def events(self) -> Any:
        """Whom the launcher tells."""
        return self.launcher.made_with[4]

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """A job ends."""
        self.events.job_ended(X.uid, attempt, outcome)


class Starting(ServiceCase):
    """What starting opens."""

    def test_nothing_before(self) -> None:
        """A service that is only made has opened nothing; stopping it means nothing."""
        node = self.make(end_with_stdin=True)
        self.assertEqual([], os.listdir(self.root))
        self.assertEqual(([], [], []), (self.reactor.tcpServers, self.hidden, self.reactor.getReaders()))
        self.successResultOf(node.stopService())

    def test_in_order(self) -> None:
        """First it hides, then it takes its directory, ends what an earlier run left, and only then listens."""
        done: list[str] = []
        self.patch(service, "hide_process", lambda: done.append("hide"))
        opened, sweep, listen = StateDir.open, service.sweep_leftovers, self.reactor.listenTCP
        self.patch(service.StateDir, "open", lambda *args: [done.append("state"), opened(*args)][1])
        self.patch(service, "sweep_leftovers", lambda *args: [done.append("sweep"), sweep(*args)][1])
        self.patch(self.reactor, "listenTCP", lambda *args, **words: [done.append("listen"), listen(*args, **words)][1])
        self.assertTrue(self.start().running)
        self.assertEqual(["hide", "state", "sweep", "listen"], done)

    def test_leftovers_go(self) -> None:
        """Files of supervisors of an earlier run are gone before the first client comes."""
        StateDir.open(self.state_dir, 0).close()
        with open(os.path.join(self.state_dir, "run", "a.sock"), "w"):
            pass
        self.start()
        self.assertEqual([], os.listdir(os.path.join(self.state_dir, "run")))

    def test_what_an_earlier_daemon_left(self) -> None:
        """Outcomes in files are inherited, kept and told; what is in the journal is known; what nobody owns is removed."""
        state = StateDir.open(self.state_dir, 0)
        state.close()
        Papers(X, ALICE, "alice@desk", 7, True).write(os.path.join(self.spool, "a.papers"))
        spool.write(os.path.join(self.spool, "a.owed"), [Ended(ONE, Outcome(FINISHED))])
        for name in (f"{ONE.job.hex()}-1.result", f"{TWO.job.hex()}-1.result", f"{THREE.job.hex()}-1.result", "stray"):
            with open(os.path.join(self.spool, name), "w"):
                pass
        self.journal.rows[TWO] = owed(TWO, Outcome(FINISHED), BOB, Y)
        self.launcher.left = {"a": [Ended(ONE, Outcome(FINISHED))]}
        node = self.start()
        self.reactor.advance(1)
        self.assertEqual({ONE, TWO}, set(self.journal.rows))
        self.assertEqual([(X.uid, ONE)], self.launcher.forgetting)
        self.assertEqual({ONE}, node._steward.bench.attempts())
        names = {name.partition(".")[0] for name in os.listdir(self.spool)}
        self.assertEqual({"a", f"{ONE.job.hex()}-1", f"{TWO.job.hex()}-1"}, names)

    def test_where_it_listens(self) -> None:
        """As the configuration says; in the clear only when insecure."""
        self.start(host="127.0.0.1", port=7)
        port, factory, _, interface = self.reactor.tcpServers[0]
        self.assertEqual((7, "127.0.0.1"), (port, interface))
        self.assertIsInstance(factory, DoorwayServerFactory)
        self.state_dir += "2"
        self.start(credential=Secret(b"k" * 32))
        self.assertIsInstance(self.reactor.tcpServers[1][1], TLSMemoryBIOFactory)

    def test_what_it_says_of_itself(self) -> None:
        """A client hears its name, slots, versions, incarnation and pid; jobs learn the name too."""
        StateDir.open(self.state_dir, 0).close()
        self.start(name="there", cpus=5)
        client = self.connect()
        asked = client.introduce(VERSION)
        self.pump.flush()
        answer = self.successResultOf(asked)
        self.assertEqual(
            ("there", 5, 2, os.getpid(), VERSION),
            tuple(answer[k] for k in ("name", "cpus", "incarnation", "pid", "version")),
        )
        self.assertEqual(list(sys.version_info[:2]), answer["python"])
        self.assertTrue(answer["platform"])
        self.assertEqual(
            (os.path.join(self.state_dir, "run"), self.spool, {"dispy_node_name": "there"}), self.launcher.made_with[1:4]
        )

    def test_a_computation_arrives(self) -> None:
        """Its files are laid out in the state directory, and the launcher is told where."""
        self.start()
        self.run_a_job()
        work = os.path.join(self.state_dir, "work", X.uid.hex())
        bundle = os.path.join(self.state_dir, "store", X.bundle.digest.hex())
        self.assertEqual(("launch", X, bundle, work, "127.0.0.1"), self.launcher.asked[0])
        self.assertTrue(os.path.isdir(work))

    def test_zombies(self) -> None:
        """Jobs of a silent client go on for as long as was said."""
        node = self.start(zombie_interval=77.0)
        self.assertEqual(77.0, node._steward.bench.zombie_interval)


class Announcing(ServiceCase):
    """What whoever started the node learns."""

    def test_the_descriptor(self) -> None:
        """One line, host and port, and then its end."""
        heard, announced = os.pipe()
        self.addCleanup(os.close, heard)
        os.set_blocking(heard, False)
        self.start(announce_fd=announced, port=7)
        self.assertEqual(b"0.0.0.0 7\n", os.read(heard, 100))  # the reactor in memory says so of every port
        self.assertEqual(b"", os.read(heard, 100))

    def test_not_before_it_can_be_stopped(self) -> None:
        """Nothing is said before the reactor runs: only then does a signal end the node as it should."""
        heard, announced = os.pipe()
        self.addCleanup(os.close, heard)
        os.set_blocking(heard, False)
        self.reactor.running = False
        self.start(announce_fd=announced)
        self.assertRaises(BlockingIOError, os.read, heard, 100)
        self.reactor.run()
        self.assertEqual(b"0.0.0.0 51348\n", os.read(heard, 100))

    def test_not_asked_for(self) -> None:
        """Nothing is written, and standard input is left alone."""
        self.start()
        self.assertEqual([], self.reactor.getReaders())


class Porch:
    """Stands for the sockets of discovery.

    :ivar made_with: what the service gave it.
    """

    def __init__(self) -> None:
        self.made_with: tuple[Any, ...] = ()
        self.done: list[str] = []

    def open(self) -> str:
        self.done.append("open")
        return ""

    def announce(self) -> None:
        self.done.append("announce")

    def close(self) -> Deferred[None]:
        self.done.append("close")
        return succeed(None)


class BeingFound(ServiceCase):
    """What clients hear that do not know where the node is."""

    def setUp(self) -> None:
        super().setUp()
        self.porch = Porch()
        self.patch(service, "Answerer", self._answerer)

    def _answerer(self, *made_with: Any) -> Porch:
        self.porch.made_with = made_with
        return self.porch

    def test_it_answers(self) -> None:
        """With its uid, its port and its name, where it listens; and it says that it is here."""
        node = self.start(discoverable=True, port=7)
        _, presence, host, port, _ = self.porch.made_with
        self.assertEqual((node._facts.uid, 7, "here", None), (presence.uid, presence.port, presence.name, presence.token))
        self.assertEqual(("0.0.0.0", 7), (host, port))  # the reactor in memory says so of every port
        self.reactor.advance(1)
        self.assertEqual(["open", "announce"], self.porch.done)

    def test_when_it_is_free(self) -> None:
        """A node that works for somebody says nothing, until that client has gone."""
        self.start(discoverable=True, ping_interval=1)
        self.run_a_job()
        for _ in range(20):
            self.reactor.advance(1)
        self.assertEqual(["open"], self.porch.done)
        self.end(ONE, Outcome(FINISHED))
        self.reactor.advance(0)
        self.pump.flush()
        self.node_end.loseConnection()
        self.pump.flush()
        self.events.supervisor_ended(X.uid, "")
        self.reactor.advance(1)
        self.assertEqual(["open", "announce"], self.porch.done)

    def test_the_end(self) -> None:
        """It is heard no more, and no call is left."""
        node = self.start(discoverable=True, ping_interval=5)
        self.successResultOf(node.stopService())
        self.assertEqual((["open", "close"], []), (self.porch.done, self.reactor.getDelayedCalls()))

    def test_not_wanted(self) -> None:
        """Then nothing of the kind is made."""
        self.start()
        self.assertEqual((), self.porch.made_with)


class EndingWithInput(ServiceCase):
    """A node that ends with its standard input."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.start(end_with_stdin=True)
        (self.reader,) = self.reactor.getReaders()
        self.stops: list[None] = []
        self.patch(self.reactor, "stop", lambda: self.stops.append(None))

    def test_what_is_written_there(self) -> None:
        """Is read and means nothing."""
        self.assertEqual(0, self.reader.fileno())
        self.patch(service.os, "read", lambda *_: b"something")
        self.reader.doRead()
        self.assertEqual([], self.stops)
        self.assertEqual([self.reader], self.reactor.getReaders())

    def test_its_end(self) -> None:
        """Stops the reactor once, however the reactor learns of it."""
        self.patch(service.os, "read", lambda *_: b"")
        self.reader.doRead()
        self.reader.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(1, len(self.stops))
        self.assertEqual([], self.reactor.getReaders())

    def test_only_a_hangup(self) -> None:
        """Is enough: some reactors say so without a last read."""
        self.reader.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(1, len(self.stops))

    def test_when_the_node_ends_by_itself(self) -> None:
        """Standard input is watched no more, and its end stops nothing."""
        self.successResultOf(self.node.stopService())
        self.assertEqual([], self.reactor.getReaders())
        self.reader.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([], self.stops)


class CannotStart(ServiceCase):
    """One line, and exit status 1."""

    def refusal(self) -> str:
        """Why the node cannot be started; nothing of it is left."""
        node = self.make()
        with self.assertRaises(CannotServe) as caught:
            node.startService()
        self.assertEqual([], self.reactor.tcpServers)
        self.successResultOf(node.stopService())
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertIsInstance(caught.exception, SystemExit)
        self.assertIsInstance(caught.exception, Exception)  # which twistd's parent process shows
        code = caught.exception.code
        assert isinstance(code, str)
        return code

    def test_a_port_that_is_taken(self) -> None:
        """Is named with its address and the system's reason; the state directory is free again."""
        self.reactor.taken = True
        text = f"port 51348 on 127.0.0.1 is taken: [Errno {errno.EADDRINUSE}] Address already in use"
        self.assertEqual(text, self.refusal())
        self.assertTrue(self.is_free())

    def test_a_state_directory_that_is_taken(self) -> None:
        """Is named with who holds it and what to do."""
        holder = StateDir.open(self.state_dir, 0)
        self.addCleanup(holder.close)
        text = self.refusal()
        self.assertEqual(
            f"state directory {self.state_dir} is in use by the node with process id {os.getpid()}; stop it, or name another "
            "with --state-dir",
            text,
        )


class Stopping(ServiceCase):
    """The end of a node."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.start()

    def assert_all_closed(self) -> None:
        """Nothing is left."""
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertTrue(self.is_free())
        self.assertTrue(self.journal.closed)

    def test_an_idle_node(self) -> None:
        """Is closed at once: port, launcher, directory."""
        closed: list[None] = []
        self.patch(self.node._listening, "stopListening", lambda: closed.append(None))
        self.successResultOf(self.node.stopService())
        self.assertEqual([None], closed)
        self.assertEqual([("stop",)], self.launcher.asked)
        self.assertFalse(self.node.running)
        self.assert_all_closed()

    def test_a_port_that_takes_its_time(self) -> None:
        """Is waited for before anything is cancelled."""
        closing: Deferred[None] = Deferred()
        self.patch(self.node._listening, "stopListening", lambda: closing)
        stopped = self.node.stopService()
        self.assertEqual([], self.launcher.asked)
        closing.callback(None)
        self.successResultOf(stopped)

    def test_a_node_that_works(self) -> None:
        """Its jobs are cancelled, what came of them is told and acknowledged, and only then the link is closed."""
        client = self.run_a_job()
        self.launcher.stopped = Deferred()
        stopped = self.node.stopService()
        self.assertEqual([("cancel", X.uid, ONE), ("stop",)], self.launcher.asked[2:])
        self.end(ONE, Outcome(CANCELLED))
        self.launcher.stopped.callback(None)
        self.assertNoResult(stopped)
        self.pump.flush()
        self.assertEqual(("ended", (ONE, Outcome(CANCELLED))), client.told[-1])
        self.assertTrue(client.closed.called)
        self.successResultOf(stopped)
        self.assert_all_closed()

    def test_a_client_that_has_gone(self) -> None:
        """Is not waited for."""
        self.run_a_job().transport.loseConnection()
        self.pump.flush()
        self.assertEqual(set(), self.node._links)
        self.successResultOf(self.node.stopService())
        self.assert_all_closed()

    def test_a_large_outcome(self) -> None:
        """Still arrives whole."""
        client = self.run_a_job()
        path = os.path.join(self.spool, "result")
        with open(path, "wb") as result:
            result.write(bytes(3_000_000))
        self.end(ONE, Outcome(FINISHED, Stored(path, 3_000_000)))
        stopped = self.node.stopService()
        self.pump.flush()
        kind, (attempt, outcome) = client.told[-1]
        self.assertEqual(("ended", ONE, 3_000_000), (kind, attempt, outcome.result.size))
        self.successResultOf(stopped)
        self.assert_all_closed()

    def test_a_client_that_does_not_answer(self) -> None:
        """Is waited for a little, then it is left; nothing of it is an error."""
        self.run_a_job()
        self.end(ONE, Outcome(FINISHED))
        (link,) = self.node._links
        aborted: list[None] = []
        self.patch(self.node_end, "abortConnection", lambda: aborted.append(None))
        stopped = self.node.stopService()
        self.reactor.advance(TELLING - 0.1)
        self.assertFalse(self.node_end.disconnecting)
        self.reactor.advance(0.2)
        self.assertTrue(self.node_end.disconnecting)
        self.assertEqual([], aborted)
        self.assertNoResult(stopped)
        self.reactor.advance(TELLING)
        self.assertEqual([None], aborted)
        self.successResultOf(stopped)
        self.assertNotIsInstance(link.closed.result, Failure)
        self.pump.flush()
        self.assert_all_closed()

    def test_a_launcher_that_fails(self) -> None:
        """Is told to whoever stops the node, and the directory is free all the same."""
        self.launcher.stopped = Deferred()
        stopped = self.node.stopService()
        self.launcher.stopped.errback(ValueError("no"))
        self.failureResultOf(stopped, ValueError)
        self.assert_all_closed()
