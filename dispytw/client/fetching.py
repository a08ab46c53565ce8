"""Bringing home what nodes have for a cluster whose program is gone. Lives in the reactor thread and runs no user code.

With each node that jobs were sent to: dial it, show the computation's token (`TakeOver`), reconcile. What has ended there is then told,
and is written to the recover file before the node may forget it, so that this too may be killed and begun again. A node of which
nothing more is wanted is released.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger

from dispytw.client.dialer import Dialer
from dispytw.client.keeping import Keeping
from dispytw.client.logins import login_from
from dispytw.client.nodes import Address
from dispytw.client.remains import LeftJob, Owned, Place, Remains
from dispytw.errors import RefusedError
from dispytw.scheduler.connections import ConnectionFromNode, Introduction
from dispytw.values import CANCELLED, Attempt, Availability, NodeFacts, Outcome
from dispytw.wire.clock import Waker
from dispytw.wire.records import HANDED, NEVER_STARTED, RUNNING, UNKNOWN
from dispytw.wire.remarkrecords import REFUSED, Announced, answer_record
from dispytw.wire.streams import Sinks

log = Logger()

#: Seconds after which it is told what is waited for, and between two tellings.
FIRST_WORD, NEXT_WORD = 3.0, 60.0
#: Seconds at the end: for jobs that are cancelled, for what was told to be written, and for nodes that owe nothing to be released.
CANCELLING, WRITING, RELEASING = 20.0, 1.0, 2.0

Connect = Callable[[Address, Any, Callable[[Any], Any]], Deferred[Any]]


@attrs.frozen
class Means:
    """What a fetcher works with: parameters as those of `dispytw.client.session.Session`, and ``say``, which tells the user."""

    connect: Connect
    introduction: Introduction
    sinks: Sinks
    clock: Waker
    now: Callable[[], float]
    chance: random.Random
    say: Callable[[str], None]


@attrs.define(eq=False)
class _Node:
    """A node that something is wanted of."""

    uid: bytes
    dialers: list[Dialer] = attrs.field(factory=list)
    link: ConnectionFromNode | None = None
    reconciled: bool = False
    released: bool = False
    refusal: str = ""


class Fetcher:
    """Fetches the outcomes of a cluster's unfinished jobs, which it writes into these.

    :param owned: the computation.
    :param remains: what its recover file says.
    :param file: the recover file, to be written to.
    :ivar done: fires when nothing is left to be fetched, or the time is over.
    """

    def __init__(self, owned: Owned, remains: Remains, file: Keeping, means: Means) -> None:
        self.done: Deferred[Any] = Deferred()
        self._owned = owned
        self._remains = remains
        self._file = file
        self._means = means
        self._nodes: dict[bytes, _Node] = {}
        self._wanted: defaultdict[bytes, dict[bytes, LeftJob]] = defaultdict(dict)
        self._timers: list[Any] = []
        self._over = False
        self._cancelling = self._releasing = False

    def start(self, timeout: float | None, terminate_pending: bool) -> Deferred[Any]:
        """Dial every node that something is wanted of.

        :param timeout: seconds after which what still runs is left running, or None.
        :param terminate_pending: it is cancelled instead; at once if there is no timeout.
        """
        for job in self._remains.unfinished:
            assert job.node is not None
            self._wanted[job.node][job.uid] = job
        self._cancelling = terminate_pending and timeout is None
        if timeout is not None:
            self._later(timeout, self._time_over, terminate_pending)
        self._later(FIRST_WORD, self._remind)
        for uid in list(self._remains.places):
            self._dial_all(uid)
        self._look_whether_done()
        return self.done

    def _later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> None:
        self._timers = [timer for timer in self._timers if timer.active()]
        self._timers.append(self._means.clock.callLater(seconds, call, *arguments))

    def _dial_all(self, uid: bytes) -> None:
        node = self._nodes[uid] = _Node(uid)
        places = self._remains.places[uid]
        if all(place.private for place in places):
            node.released = True
            return self._settle_all(uid, "its private node ended with the program")
        for place in places:
            dialer = Dialer(
                Address(place.host, place.port),
                lambda address, place=place, node=node: self._dial(address, place, node),  # type: ignore[misc]
                self._means.clock,
                self._means.chance,
                lambda dialer, error: None,
            )
            node.dialers.append(dialer)
            dialer.dial()

    def _dial(self, address: Address, place: Place, node: _Node) -> Deferred[Any]:
        return maybeDeferred(login_from, place.login).addCallback(
            lambda credential: self._means.connect(address, credential, lambda peer: self._build_link(peer, node))
        )

    def _build_link(self, peer: Any, node: _Node) -> ConnectionFromNode | None:
        if self._over or node.link is not None:
            return None
        if (peer.role, peer.uid) != ("node", node.uid):
            node.refusal = "another node is there now, which does not know these jobs"
            return None
        me: Any = self
        means = self._means
        node.link = ConnectionFromNode(node.uid, me, means.introduction, me, means.sinks, means.clock, means.now)
        return node.link

    # A link's life: what `ConnectionFromNode` tells a dispatcher, and whoever wants to know how links end.
    def joined(self, link: ConnectionFromNode, facts: NodeFacts) -> None:
        """A node has said what it is: take over what is ours."""
        node = self._nodes[link.uid]
        asked = link.take_over(self._owned.uid, self._owned.token)
        asked.addCallbacks(lambda known: self._reconcile(node, link), self._not_taken, errbackArgs=(node, link))
        asked.addErrback(self.unexpected, link)

    def _not_taken(self, failure: Any, node: _Node, link: ConnectionFromNode) -> None:
        failure.trap(RefusedError)
        node.refusal = str(failure.value)
        link.drop(f"it refused: {node.refusal}")

    def _reconcile(self, node: _Node, link: ConnectionFromNode) -> Deferred[None]:
        node.refusal = ""
        wanted = [(job.attempt, *job.given) for job in self._wanted[node.uid].values() if job.attempt is not None]
        return link.reconcile(wanted).addCallback(lambda answer: self._reconciled(node, link, answer[0]))

    def _reconciled(self, node: _Node, link: ConnectionFromNode, words: Iterable[tuple[Attempt, str]]) -> None:
        unwanted = []
        for attempt, word in words:
            job = self._wanted[node.uid].get(attempt.job)
            if job is None or job.attempt != attempt:
                unwanted += [attempt] if word in (HANDED, RUNNING) else []
            elif word == NEVER_STARTED:
                self._settle(job, Outcome(CANCELLED, reason="never sent"))
            elif word == UNKNOWN:
                self._settle(job, Outcome(CANCELLED, exception="Cancelled", reason=f"{self._name(node)} no longer knows it"))
        node.reconciled = True
        if unwanted:
            link.cancel_jobs(unwanted).addErrback(self.unexpected, link)
        if self._cancelling:
            self._cancel(node)
        self._look_whether_over(node)

    def _name(self, node: _Node) -> str:
        return f"node {' or '.join(str(dialer.address) for dialer in node.dialers)}"

    def ended(self, uid: bytes, jobs: Iterable[tuple[Attempt, Outcome]]) -> Deferred[None] | None:
        """Outcomes have come; the node may forget them when the Deferred fires. Those that nobody wants are forgotten."""
        for attempt, outcome in jobs:
            job = self._wanted[uid].get(attempt.job)
            if job is not None and job.attempt == attempt:
                self._settle(job, outcome)
        kept = self._file.kept()
        if kept is None:
            self._look_soon(uid)
            return None
        return kept.addCallback(lambda _: self._look_soon(uid))

    def available(self, uid: bytes, available: Availability | None) -> None:
        """How busy a node is: nobody has asked."""

    def remarked(self, uid: bytes, remarks: Iterable[Announced]) -> None:
        """Jobs that still run say something: who would have heard it is gone."""
        link = self._nodes[uid].link
        answers = [answer_record(each.attempt, each.number, REFUSED, "the program that submitted this job is gone") for each in remarks]
        if link is not None:
            link.answer_jobs(answers).addErrback(self.unexpected, link)

    def given_back(self, uid: bytes, attempts: Iterable[Attempt]) -> None:
        """The client that is gone had asked for these back; they never started."""
        for attempt in attempts:
            job = self._wanted[uid].get(attempt.job)
            if job is not None and job.attempt == attempt:
                self._settle(job, Outcome(CANCELLED, reason="never sent"))
        self._look_soon(uid)

    def _settle(self, job: LeftJob, outcome: Outcome) -> None:
        assert job.node is not None
        job.outcome = outcome
        del self._wanted[job.node][job.uid]
        self._file.ended(job.uid, job.node, outcome)

    def _settle_all(self, uid: bytes, why: str) -> None:
        for job in list(self._wanted[uid].values()):
            self._settle(job, Outcome(CANCELLED, exception="Cancelled", reason=why))

    def _look_soon(self, uid: bytes) -> None:
        """When the node has been answered."""
        self._later(0, self._look_whether_over, self._nodes[uid])

    def _look_whether_over(self, node: _Node) -> None:
        if self._over or self._wanted[node.uid] or not node.reconciled or node.link is None:
            return
        kept = self._file.kept()
        if kept is not None:
            kept.addCallback(lambda _: self._look_soon(node.uid))
            return
        node.reconciled = False
        closed = node.link.close_computation(self._owned.uid)
        closed.addErrback(self.unexpected, node.link).addCallback(lambda _: self._released(node))

    def _released(self, node: _Node) -> None:
        node.released = True
        for dialer in node.dialers:
            dialer.stop()
        if node.link is not None:
            node.link.transport.loseConnection()
        self._look_whether_done()

    def _look_whether_done(self) -> None:
        if self._over or any(self._wanted.values()):
            return
        if all(node.released and node.link is None for node in self._nodes.values()):
            self._finish()
        elif not self._releasing:
            self._releasing = True
            self._later(RELEASING, self._finish)

    def left(self, link: ConnectionFromNode, uid: bytes) -> None:
        """A link that was introduced is gone."""

    def link_ended(self, link: ConnectionFromNode) -> None:
        """A link is gone: dial again as long as something is wanted."""
        node = self._nodes[link.uid]
        node.link, node.reconciled = None, False
        node.released = node.released or not self._wanted[node.uid]
        if self._wanted[node.uid] and not self._over:
            for dialer in node.dialers:
                dialer.link_ended()
        self._look_whether_done()

    def link_introduced(self, link: ConnectionFromNode, facts: NodeFacts, holder: str) -> None:
        """Who holds the node does not matter."""
        for dialer in self._nodes[link.uid].dialers:
            dialer.introduced(link.uid)

    def link_refused(self, link: ConnectionFromNode, error: Exception) -> None:
        """The node runs a version that does not go with ours."""
        self._nodes[link.uid].refusal = str(error)

    def unexpected(self, failure: Any, link: ConnectionFromNode) -> None:
        """An ask failed: if not with its link, the next link may do better."""
        if not failure.check(ConnectionClosed):
            log.failure("an ask failed in a way that its command does not know", failure)
            link.drop("an ask failed")

    def _ignore(self, *_: Any) -> None:
        """Nothing follows from it here."""

    started = ready = failed = freed = wrote = _ignore

    # Time.
    def _time_over(self, terminate_pending: bool) -> Any:
        if not terminate_pending:
            self._later(WRITING, self._finish)
            written = self._file.flush()
            return self._later(0, self._finish) if written is None else written.addCallback(lambda _: self._later(0, self._finish))
        self._cancelling = True
        self._later(CANCELLING, self._finish)
        for node in self._nodes.values():
            if node.reconciled:
                self._cancel(node)

    def _cancel(self, node: _Node) -> None:
        assert node.link is not None
        attempts = [job.attempt for job in self._wanted[node.uid].values() if job.attempt is not None]
        if attempts:
            node.link.cancel_jobs(attempts).addErrback(self.unexpected, node.link)

    def _remind(self) -> None:
        """Nobody waits in silence."""
        self._later(NEXT_WORD, self._remind)
        for node in self._nodes.values():
            jobs = len(self._wanted[node.uid])
            if jobs and not node.reconciled:
                state = node.refusal or " or ".join(dialer.state for dialer in node.dialers)
                self._means.say(f"recover_jobs waits for {jobs} jobs on {self._name(node)}: {state}")
            elif jobs:
                self._means.say(f"recover_jobs waits for {jobs} jobs on {self._name(node)}, which still run")

    def _finish(self) -> None:
        """Want nothing more; what still runs goes on."""
        if self._over:
            return
        self._over = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        for node in self._nodes.values():
            for dialer in node.dialers:
                dialer.stop()
            if node.link is not None:
                node.link.transport.loseConnection()
        self.done.callback(None)

    def stop(self) -> None:
        """Nobody waits any more."""
        self._finish()
