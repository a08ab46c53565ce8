"""The node as a Twisted service: opens everything in startService, and closes it in stopService."""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from dispytw.discovery.beacon import Presence
from dispytw.discovery.udp import Answerer
from dispytw.errors import StateDirError
from dispytw.node.adoption import Orphan, find_orphans, find_remains
from dispytw.node.availability import Gauge
from dispytw.node.bench import Bench
from dispytw.node.connections import ConnectionFromScheduler
from dispytw.node.hardening import hide_process
from dispytw.node.herald import Herald
from dispytw.node.journal import Journal
from dispytw.node.keeper import RETENTION, Keeper
from dispytw.node.launcher import Launcher, sweep_leftovers
from dispytw.node.statedir import StateDir
from dispytw.node.steward import Steward
from dispytw.node.workspace import Workspace
from dispytw.values import NodeFacts
from dispytw.version import VERSION
from dispytw.wire.doorway import DoorwayServerFactory, Peer

log = Logger()

#: Seconds that clients get to acknowledge what ended because the node is stopped, and then to hang up.
TELLING = 2.0


class CannotServe(SystemExit, Exception):
    """The node cannot be started; one line says why. Ends any runner with exit code 1, and twistd's parent shows it."""


@attrs.frozen
class NodeConfig:
    """How a node is to be run.

    :param host: address to listen on.
    :param port: TCP port; 0 for a free one.
    :param credential: what proves peers; see `dispytw.wire.credentials`.
    :param cpus: slots.
    :param name: shown to users.
    :param state_dir: path of the state directory, or None for the default.
    :param announce_fd: descriptor on which one line, host and port, is written when the node listens; or None.
    :param end_with_stdin: whether the node ends when its standard input does.
    :param zombie_interval: seconds for which jobs of a silent client go on.
    :param lease: seconds for which supervisors go on without a daemon.
    :param retention: seconds for which outcomes are kept that nobody fetches.
    :param survives_power_loss: whether what is kept survives the end of the machine too.
    :param discoverable: whether clients that do not know the node's address may find it.
    :param ping_interval: seconds between announcements while the node is free; None for one only.
    """

    host: str
    port: int
    credential: Any
    cpus: int
    name: str
    state_dir: str | None = None
    announce_fd: int | None = None
    end_with_stdin: bool = False
    zombie_interval: float = 3600.0
    lease: float = 3600.0
    retention: float = RETENTION
    survives_power_loss: bool = False
    discoverable: bool = False
    ping_interval: float | None = None


class NodeService(Service):
    """One node.

    :param config: how.
    :param reactor: the reactor that will run it.
    """

    def __init__(self, config: NodeConfig, reactor: Any) -> None:
        self._config = config
        self._reactor = reactor
        self._links: set[ConnectionFromScheduler] = set()
        self._stdin: _EndOfInput | None = None
        self._herald: Herald | None = None

    def startService(self) -> None:
        """Open the state directory, take over what an earlier incarnation left or end it, then listen.

        :raises CannotServe: when the state directory or the port is taken.
        """
        super().startService()
        hide_process()
        try:
            self._state = StateDir.open(self._config.state_dir, self._config.port)
        except StateDirError as error:
            raise CannotServe(str(error)) from None
        orphans = find_orphans(self._state.run, self._state.spool, log)
        sweep_leftovers(self._state.run, log, {os.path.join(self._state.run, orphan.name) for orphan in orphans})
        self._furnish()
        self._inherit(orphans)
        try:
            self._listening = self._reactor.listenTCP(self._config.port, self._door.listening(), interface=self._config.host)
        except CannotListenError as error:
            self._close()
            raise CannotServe(f"port {self._config.port} on {self._config.host} is taken: {error.socketError}") from None
        self._reactor.callWhenRunning(self._announce)  # not before: until then a SIGTERM would kill this process

    def _furnish(self) -> None:
        state, config = self._state, self._config
        self._facts = NodeFacts(
            uid=state.uid,
            incarnation=state.incarnation,
            name=config.name,
            cpus=config.cpus,
            platform=platform.platform(),
            python=sys.version_info[:2],
            version=VERSION,
            pid=os.getpid(),
        )
        self._workspace = Workspace(state)
        self._gauge = Gauge(state.path)
        self._journal = Journal(state.journal, self._reactor.callFromThread, config.survives_power_loss)
        self._keeper = Keeper(self._journal, self._reactor, self._workspace.has_room, config.retention)
        bench = Bench(self._facts, config.zombie_interval)
        pool = self._reactor.getThreadPool()
        self._steward = Steward(
            bench,
            self._workspace,
            self._keeper,
            self._reactor,
            time.monotonic,
            in_thread=lambda function, *args: deferToThreadPool(self._reactor, pool, function, *args),
        )
        facts = {"dispy_node_name": config.name}
        self._launcher = Launcher(
            self._reactor, state.run, state.spool, facts, self._steward, width=config.cpus, lease=config.lease
        )
        self._steward.launcher = self._launcher
        self._door = DoorwayServerFactory(
            self._reactor, credential=config.credential, uid=state.uid, role="node", build_link=self._build_link
        )

    def _inherit(self, orphans: list[Orphan]) -> None:
        """Take over what an earlier incarnation left; what nobody owns goes."""
        steward, spool = self._steward, self._state.spool
        for orphan in orphans:
            assert orphan.standing is not None
            self._launcher.adopt(orphan)
            steward.adopt(orphan.papers, orphan.runs, orphan.owed, orphan.standing.closing)
        adopted = {orphan.name for orphan in orphans}
        for name, papers in find_remains(spool).items():
            if name not in adopted:
                steward.inherit(papers, self._launcher.remains(name, papers))
        steward.retain(self._journal.owners())
        if orphans:
            log.info("{count} supervisors have outlived an earlier daemon and go on", count=len(orphans))
        self._workspace.tidy(
            [orphan.papers.computation.uid for orphan in orphans],
            steward.inherited_args(),
            self._journal.attempts() | steward.bench.attempts(),
            find_remains(spool),
        )
        self._keeper.look_for_old()

    def _build_link(self, peer: Peer) -> ConnectionFromScheduler:
        link = ConnectionFromScheduler(
            peer.uid, self._steward, self._facts, self._workspace.sinks(), self._reactor, time.monotonic, self._gauge.read
        )
        self._links.add(link)
        link.closed.addCallback(lambda _: self._links.discard(link))
        return link

    def _announce(self) -> None:
        where = self._listening.getHost()
        log.info(
            "node {name} offers {cpus} slots at {host}:{port}",
            name=self._facts.name,
            cpus=self._facts.cpus,
            host=where.host,
            port=where.port,
        )
        if self._config.discoverable:
            self._herald = self._let_be_found(where.host, where.port)
        if self._config.end_with_stdin:
            self._stdin = _EndOfInput(self._reactor)
        if self._config.announce_fd is not None:
            os.write(self._config.announce_fd, f"{where.host} {where.port}\n".encode())
            os.close(self._config.announce_fd)

    def _let_be_found(self, host: str, port: int) -> Herald:
        porch = Answerer(self._reactor, Presence(self._facts.uid, port, self._facts.name), host, port, time.monotonic)
        bench = self._steward.bench
        herald = Herald(
            porch, lambda: bench.holder is None and not bench.stopping, self._reactor, time.monotonic, self._config.ping_interval
        )
        herald.begin()
        self._steward.freed = herald.freed
        return herald

    def stopService(self) -> Deferred[None]:
        """Take nothing new, cancel what runs, tell it, end the supervisors; what nobody acknowledges stays in the journal."""
        super().stopService()
        if not hasattr(self, "_listening"):
            return succeed(None)
        if self._stdin is not None:
            self._stdin.stop()
        done: Deferred[Any] = self._listening.stopListening() or succeed(None)
        if self._herald is not None:
            herald = self._herald
            done.addCallback(lambda _: herald.stop())
        done.addCallback(lambda _: self._steward.do(self._steward.bench.stopped()))
        done.addCallback(lambda _: self._launcher.stop())
        done.addCallback(lambda _: self._say_goodbye())
        return done.addBoth(self._closed)

    def _say_goodbye(self) -> Deferred[Any]:
        told: Deferred[Any] = self._steward.stop()
        told.addTimeout(TELLING, self._reactor, onTimeoutCancel=lambda *_: None)
        told.addCallback(lambda _: self._keep_the_rest())
        return told.addCallback(lambda _: self._hang_up())

    def _keep_the_rest(self) -> Deferred[Any]:
        return self._keeper.flush().addTimeout(TELLING, self._reactor, onTimeoutCancel=lambda *_: None)

    def _hang_up(self) -> Deferred[Any]:
        for link in list(self._links):
            link.transport.loseConnection()
        gone: Deferred[Any] = DeferredList([link.closed for link in self._links], consumeErrors=True)
        return gone.addTimeout(TELLING, self._reactor, onTimeoutCancel=lambda *_: self._cut())

    def _cut(self) -> None:
        for link in list(self._links):
            link.abort()

    def _closed(self, result: Any) -> Any:
        self._close()
        return result

    def _close(self) -> None:
        self._keeper.stop()
        self._journal.close()
        self._state.close()


class _EndOfInput:
    """Stops the reactor when standard input ends: whoever held the other end of the pipe is gone."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ended = False
        reactor.addReader(self)

    def fileno(self) -> int:
        """Standard input."""
        return 0

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return "stdin"

    def doRead(self) -> None:
        """Something was written, or this is the end."""
        if not os.read(0, 4096):
            self.connectionLost(None)

    def connectionLost(self, reason: Any) -> None:
        """A pipe's other end is closed: epoll says so without a last read."""
        if not self._ended:
            self.stop()
            self._reactor.stop()

    def stop(self) -> None:
        """Watch no more."""
        self._ended = True
        self._reactor.removeReader(self)
