"""One client process at work: its ledger, its links, its clusters. Lives in the reactor thread and runs no user code.

JobCluster *is* a scheduler that lives in the client: the session owns a ledger and a dispatcher, dials the nodes that clusters
name, and brings what becomes of jobs to the cluster they belong to (a `ClusterEnd`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from dispytw.client.advice import no_node_yet
from dispytw.client.clusterend import ClusterEnd
from dispytw.client.dialer import Dialer
from dispytw.client.enrolled import Enrolled, Search
from dispytw.client.listening import Listening
from dispytw.client.nodedesk import NodeDesk
from dispytw.client.nodes import Address, Target
from dispytw.client.remains import Place
from dispytw.client.sending import SendsFiles
from dispytw.errors import AuthError, RefusedError, VersionError
from dispytw.scheduler.connections import ConnectionFromNode, Introduction
from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.scheduler.ledger import Ledger
from dispytw.scheduler.orders import ShowRetry
from dispytw.values import PLAIN, Attempt, Body, Computation, JobOptions, NodeFacts, Outcome
from dispytw.wire.clock import Waker
from dispytw.wire.heartbeat import DEFAULT_HEARTBEAT
from dispytw.wire.streams import Sinks

log = Logger()

__all__ = ["ClusterEnd", "Introduction", "Session", "Target"]

#: Seconds after which a cluster without a node is told about, and between two tellings.
FIRST_WORD = 3.0
NEXT_WORD = 60.0
#: Seconds that a closing link gets to say what it still has to say.
CLOSING = 5.0


Connect = Callable[[Address, Any, Callable[[Any], Any]], Deferred[Any]]


class Session(NodeDesk, Listening, SendsFiles):
    """The client's side of everything.

    :param uid: 16 random bytes, one per process.
    :param connect: dials an address with a credential; ``build_link(peer)`` gives the protocol for an open link, or None.
    :param introduction: what nodes are told of us.
    :param sinks: where received streams are kept.
    :param clock: wakes us.
    :param now: monotonic seconds.
    :param chance: source of the jitter.
    """

    def __init__(
        self,
        uid: bytes,
        connect: Connect,
        introduction: Introduction,
        sinks: Sinks,
        clock: Waker,
        now: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        super().__init__()
        self.uid = uid
        self.ledger = Ledger()
        self.dispatcher = Dispatcher(self.ledger, self, clock, now)
        self._connect = connect
        self._introduction = introduction
        self._sinks = sinks
        self._clock = clock
        self._now = now
        self._chance = chance or random.Random()
        self._enrolled: dict[bytes, Enrolled] = {}
        self._jobs: dict[bytes, tuple[bytes, Body, Any]] = {}
        self._dialers: dict[Target, Dialer] = {}
        self._links: dict[ConnectionFromNode, Address] = {}
        self._addresses: dict[bytes, Address] = {}
        self._endings: dict[ConnectionFromNode, Deferred[None]] = {}

    # What clusters ask.
    def open_cluster(
        self,
        computation: Computation,
        files: dict[bytes, Body],
        end: ClusterEnd,
        targets: Sequence[Target],
        reentrant: bool = False,
        pulse_interval: float | None = None,
        search: Search | None = None,
    ) -> None:
        """Enrol a cluster and dial its nodes.

        :param files: digest → content, for every file of the computation and its bundle.
        :param search: looks for nodes that are not named, if there may be any.
        """
        enrolled = Enrolled(computation, files, end, tuple(targets), pulse_interval, search)
        self._enrolled[computation.uid] = enrolled
        self.dispatcher.do(self.ledger.cluster_opened(computation.uid, reentrant, pulse_interval))
        enrolled.reminder = self._clock.callLater(FIRST_WORD, self._remind, computation.uid)
        for target in enrolled.targets:
            self._use(target, computation.uid)
        if search is not None:
            search.begin(lambda target: self.found(computation.uid, target), lambda: self._is_served(computation.uid))

    def _use(self, target: Target, cluster: bytes) -> None:
        dialer = self._dialers.get(target)
        if dialer is None:
            dialer = Dialer(target.address, lambda _: self._dial(target), self._clock, self._chance, self._dial_failed)
            self._dialers[target] = dialer
            dialer.users.add(cluster)
            dialer.dial()
            return
        dialer.users.add(cluster)
        if dialer.node is not None:
            self._serve(dialer.node)

    def submit(
        self, cluster: bytes, job: bytes, body: Body, handle: Any, options: JobOptions = PLAIN, node: bytes | None = None
    ) -> None:
        """Queue a job.

        :param body: its packed arguments.
        :param handle: what the cluster's end is given back when something becomes of the job.
        :param node: the node that it is for, if it is for one alone.
        """
        self._jobs[job] = (cluster, body, handle)
        self.dispatcher.do(self.ledger.submitted(cluster, job, options, node))

    def cancel(self, job: bytes) -> bool:
        """Cancel a job; False when it has ended already."""
        known = job in self.ledger.jobs
        self.dispatcher.do(self.ledger.cancelled(job))
        return known

    def give_up(self, cluster: bytes, why: str) -> None:
        """Settle every job of the cluster now."""
        if cluster in self._enrolled:
            self.dispatcher.do(self.ledger.given_up(cluster, why))

    def leave(self, recoverable: Collection[bytes] = ()) -> set[bytes]:
        """The program ends by force: what was not sent is settled, what was sent is cancelled.

        :param recoverable: clusters whose jobs are left running, except on private nodes.
        :returns: those that have such jobs.
        """

        def goes_on(cluster: bytes, node: bytes) -> bool:
            return cluster in recoverable and not self._target(cluster, node).private

        self.dispatcher.do(self.ledger.unsent_given_up(self._enrolled, goes_on))
        jobs = self.ledger.jobs.values()
        return {job.cluster for job in jobs if job.node is not None and goes_on(job.cluster, job.node)}

    def unfinished(self) -> int:
        """Jobs without a final status, over all clusters."""
        return len(self.ledger.jobs)

    def close_cluster(self, cluster: bytes) -> Deferred[Any]:
        """Clean up on the nodes; fires when they have been told, at most five seconds later."""
        enrolled = self._enrolled.get(cluster)
        if enrolled is None:
            return succeed(None)
        self.dispatcher.do(self.ledger.cluster_closed(cluster))
        if enrolled.reminder.active():
            enrolled.reminder.cancel()
        del self._enrolled[cluster]
        if enrolled.search is not None:
            enrolled.search.end()
        for target in set(enrolled.targets):
            self._dialers[target].users.discard(cluster)
        return self._close_unused()

    def _close_unused(self) -> Deferred[Any]:
        for target, dialer in list(self._dialers.items()):
            if not dialer.users:
                dialer.stop()
                del self._dialers[target]
        used = {dialer.node for dialer in self._dialers.values()}
        endings = []
        for link in list(self._links):
            if link.uid not in used:
                endings.append(self._endings.setdefault(link, Deferred()))
                link.transport.loseConnection()
        if not endings:
            return succeed(None)
        done: Deferred[Any] = DeferredList(endings, consumeErrors=True)
        return done.addTimeout(CLOSING, self._clock, onTimeoutCancel=lambda *_: None)  # type: ignore[arg-type]

    def abandon_links(self) -> None:
        """In a forked copy of this process: close its copies of the links' descriptors, without a word to anybody."""
        for link in self._links:
            link.transport.socket.close()

    # Dialling.
    def _dial(self, target: Target) -> Deferred[Any]:
        return self._connect(target.address, target.credential, lambda peer: self._build_link(target, peer))

    def _build_link(self, target: Target, peer: Any) -> ConnectionFromNode | None:
        dialer = self._dialers.get(target)
        if dialer is None:
            return None
        if peer.role != "node":
            dialer.node, dialer.state = None, f"it is no node but a {peer.role}"
            self._refused(dialer, dialer.state)
            return None
        dialer.node = peer.uid
        if self._is_linked(peer.uid):  # by another of its names (127.0.0.1 and localhost): one link serves both
            self._serve(peer.uid)
            return None
        introduction = attrs.evolve(self._introduction, heartbeat=self._heartbeat(peer.uid), pulse=self._pulse(peer.uid))
        link = ConnectionFromNode(peer.uid, self.dispatcher, introduction, self, self._sinks, self._clock, self._now)
        self._links[link] = dialer.address
        return link

    def _is_linked(self, node: bytes) -> bool:
        return any(link.uid == node and link not in self._endings for link in self._links)

    def _serve(self, node: bytes) -> None:
        """Let every cluster that names the node, by whatever name, use it, if its link is introduced."""
        link = next((link for link in self._links if self.dispatcher.links.get(node) is link), None)
        if link is not None:
            link.quicken(self._heartbeat(node), self._pulse(node))
            for dialer in self._dialers_of(node):
                dialer.introduced(node)
            for cluster in self._users_of(node):
                self.dispatcher.do(self.ledger.wanted(cluster, node))

    def _dialers_of(self, node: bytes) -> list[Dialer]:
        return [dialer for dialer in self._dialers.values() if dialer.node == node]

    def _users_of(self, node: bytes) -> list[bytes]:
        return sorted({user for dialer in self._dialers_of(node) for user in dialer.users})

    def _heartbeat(self, node: bytes) -> float:
        return min(DEFAULT_HEARTBEAT, self._pulse(node) or DEFAULT_HEARTBEAT)

    def _pulse(self, node: bytes) -> float:
        pulses = [self._enrolled[user].pulse_interval for user in self._users_of(node)]
        return min([pulse for pulse in pulses if pulse is not None], default=0.0)

    def _dial_failed(self, dialer: Dialer, error: Exception) -> None:
        self._refused(dialer, dialer.state, isinstance(error, (AuthError, VersionError)))

    def _refused(self, dialer: Dialer, text: str, by_somebody: bool = True) -> None:
        """A node cannot be used, or nobody is there. Of one that was named the user is told; one that was found may be dropped."""
        for cluster in sorted(dialer.users):
            target = self._enrolled[cluster].target_at(dialer.address)
            if target is not None and target.found:
                self._lost_interest(cluster, target, text, by_somebody)
            elif by_somebody:
                self._say_once(cluster, str(dialer.address).encode(), f"node {dialer.address} cannot be used: {text}")

    def _lost_interest(self, cluster: bytes, target: Target, text: str, by_somebody: bool) -> None:
        enrolled, known = self._enrolled[cluster], self._dialers[target].node in self.ledger.nodes
        if not known and enrolled.search is not None and enrolled.search.failed(target, text, by_somebody):
            enrolled.targets = tuple(each for each in enrolled.targets if each != target)
            self._dialers[target].users.discard(cluster)
            self._clock.callLater(0, self._close_unused)  # not now: its dialer is at work

    # How links begin and end (`dispytw.scheduler.connections.LinkEnds`).
    def link_introduced(self, link: ConnectionFromNode, facts: NodeFacts, holder: str) -> None:
        """A node has said what it is: the clusters that name it may use it."""
        self._addresses[facts.uid] = Address(link.peer_host, self._links[link].port)
        self._serve(facts.uid)
        self.follow_again()

    def link_refused(self, link: ConnectionFromNode, error: Exception) -> None:
        """A node runs something that does not go with us."""
        for dialer in self._dialers_of(link.uid):
            dialer.state = str(error)
            self._refused(dialer, str(error))

    def link_ended(self, link: ConnectionFromNode) -> None:
        """A link is gone: it is dialled again if a cluster wants it, by every name that led to it."""
        self._links.pop(link, None)
        ending = self._endings.pop(link, None)
        if ending is not None and not ending.called:
            ending.callback(None)
        if not self._is_linked(link.uid):
            for dialer in self._dialers_of(link.uid):
                dialer.link_ended()

    # What the dispatcher asks (`dispytw.scheduler.neighbours.Customer`).
    def computation(self, cluster: bytes, node: bytes) -> Computation:
        """See Customer."""
        return self._still(cluster).computation_for(node)

    def file_of(self, cluster: bytes, digest: bytes) -> Body:
        """See Customer."""
        return self._still(cluster).files[digest]

    def _still(self, cluster: bytes) -> Enrolled:
        if cluster not in self._enrolled:
            raise RefusedError("its cluster was closed meanwhile")
        return self._enrolled[cluster]

    def body_of(self, job: bytes) -> Body:
        """See Customer."""
        return self._jobs[job][1]

    def allocate(self, cluster: bytes, node: NodeFacts) -> Deferred[int]:
        """See Customer."""
        named = next((dialer.address for dialer in self._dialers_of(node.uid) if cluster in dialer.users), None)
        return self._enrolled[cluster].end.node_found(node, attrs.evolve(self._addresses[node.uid], named=named))

    def settle(self, job: bytes, outcome: Outcome, node: bytes | None, attempts: int = 0) -> None:
        """See Customer."""
        cluster, body, handle = self._jobs.pop(job)
        address = self._addresses.get(node) if node is not None else None
        self._enrolled[cluster].end.job_settled(handle, node, address, outcome, body.size, attempts)

    def show_retry(self, order: ShowRetry) -> None:
        """See Customer."""
        cluster, _, handle = self._jobs[order.job]
        self._enrolled[cluster].end.job_retried(handle, order.node, order.attempt, order.outcome, order.attempts, order.seconds)

    def leaving(self, cluster: bytes, node: bytes, attempts: Sequence[Attempt]) -> bool:
        """See Customer."""
        target = self._target(cluster, node)
        place = Place(node, target.address.host, target.address.port, target.credential, target.private)
        jobs = [(attempt, self._jobs[attempt.job][2]) for attempt in attempts]
        entry = self.ledger.nodes[node]
        given = entry.incarnation, entry.preparations[cluster].generation
        return self._still(cluster).end.jobs_leave(place, given, jobs)

    def _target(self, cluster: bytes, node: bytes) -> Target:
        """What led a cluster to a node, an entry of its own rather than another cluster's."""
        enrolled = self._enrolled[cluster]
        dialer = self._dialers.get(enrolled.led[node]) if node in enrolled.led else None
        if dialer is None or dialer.node != node:
            mine = enrolled.targets
            enrolled.led[node] = next((each for each in (*mine, *self._dialers) if self._dialers[each].node == node), mine[0])
        return enrolled.led[node]

    def kept(self) -> Deferred[Any] | None:
        """See Customer."""
        waiting = [kept for each in self._enrolled.values() if (kept := each.end.kept()) is not None]
        return DeferredList(waiting) if waiting else None

    # Nobody waits in silence.
    def _remind(self, cluster: bytes) -> None:
        enrolled = self._enrolled[cluster]
        enrolled.reminder = self._clock.callLater(NEXT_WORD, self._remind, cluster)
        if not self._is_served(cluster):
            tried = [(str(target.address), self._state_of(target, cluster)) for target in enrolled.targets]
            tried += enrolled.search.told() if enrolled.search is not None else []
            enrolled.end.say(no_node_yet(enrolled.computation.name, tried, self.ledger.pending(cluster)))

    def _is_served(self, cluster: bytes) -> bool:
        return any(node.live and self._is_ready(cluster, node) for node in self.ledger.nodes.values())

    @staticmethod
    def _is_ready(cluster: bytes, node: Any) -> bool:
        preparation = node.preparations.get(cluster)
        return preparation is not None and preparation.state.value == "ready"

    def _state_of(self, target: Target, cluster: bytes) -> str:
        dialer = self._dialers[target]
        node = self.ledger.nodes.get(dialer.node) if dialer.node is not None else None
        if node is None or not node.live:
            return dialer.state
        told = self._enrolled[cluster].refusals.get(node.uid)
        preparation = node.preparations.get(cluster)
        return f"answered; {told or (preparation.state.value if preparation is not None else 'not asked')}"
