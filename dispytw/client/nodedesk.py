"""The session's part that is about single nodes: which ones a cluster uses, how many of their CPUs, what runs there. Reactor thread.

Nodes that nobody has named are brought by a search (`dispytw.client.finding`) to `NodeDesk.found`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from dispytw.client.advice import rejection
from dispytw.client.dialer import Dialer
from dispytw.client.enrolled import Enrolled
from dispytw.client.nodes import Address, Target
from dispytw.client.wildcards import Wildcard
from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.scheduler.ledger import Ledger
from dispytw.scheduler.orders import TellAway, TellBack, TellClosed, TellHeld, TellReady, TellRejected
from dispytw.values import Attempt, Availability, Body, Computation


class NodeDesk:
    """What clusters want of single nodes, and what they are told of them."""

    ledger: Ledger
    dispatcher: Dispatcher
    _enrolled: dict[bytes, Enrolled]
    _jobs: dict[bytes, tuple[bytes, Body, Any]]
    _dialers: dict[Target, Dialer]
    _addresses: dict[bytes, Address]

    def _use(self, target: Target, cluster: bytes) -> None:
        raise NotImplementedError

    # Which nodes a cluster uses.
    def extend(self, cluster: bytes, targets: Iterable[Target]) -> None:
        """The cluster may use these nodes too."""
        enrolled = self._enrolled.get(cluster)
        if enrolled is None:
            return
        for target in targets:
            if target not in enrolled.targets:
                enrolled.targets = (*enrolled.targets, target)
            self._use(target, cluster)

    def dial_again(self, targets: Iterable[Target]) -> None:
        """Look for these nodes now, instead of when their next try is due."""
        for target in targets:
            if target in self._dialers:
                self._dialers[target].hasten()

    def use_variant(self, cluster: bytes, node: bytes, computation: Computation | None, files: dict[bytes, Body]) -> None:
        """A node gets the computation with what its NodeAllocate has added; None when it gets what all get."""
        enrolled = self._enrolled.get(cluster)
        if enrolled is not None:
            enrolled.files.update(files)
            enrolled.variants[node] = computation or enrolled.computation

    def allocate_node(self, cluster: bytes, node: bytes) -> None:
        """Ask NodeAllocate again about a node that the cluster has met, left or not."""
        if cluster in self._enrolled:
            self.dispatcher.do(self.ledger.node_allocated(cluster, node))

    def deallocate_node(self, cluster: bytes, node: bytes) -> None:
        """Give the node no more jobs of the cluster."""
        if cluster in self._enrolled:
            self.dispatcher.do(self.ledger.node_deallocated(cluster, node))

    def close_node(self, cluster: bytes, node: bytes, terminate: bool) -> None:
        """Leave the node when its jobs are done, or are cancelled."""
        if cluster in self._enrolled:
            self.dispatcher.do(self.ledger.node_closed(cluster, node, terminate))

    def resetup_node(self, cluster: bytes, node: bytes, terminate: bool) -> None:
        """Set the node up anew when its jobs are done, or are cancelled."""
        if cluster in self._enrolled:
            self._enrolled[cluster].refusals.pop(node, None)
            self.dispatcher.do(self.ledger.node_resetup(cluster, node, terminate))

    # How many of its CPUs, for all clusters.
    def limit_node(self, node: bytes, cpus: int) -> int:
        """Use so many CPUs of a node, or leave as many free if negative; the number in use from now on, -1 if there are not as many."""
        entry = self.ledger.nodes.get(node)
        if entry is None or entry.offered + cpus < 0:
            return -1
        self.dispatcher.do(self.ledger.node_limited(node, cpus))
        for enrolled in self._enrolled.values():
            enrolled.end.node_limited(node, entry.cpus)
        return entry.cpus

    # What runs there.
    def jobs_at(self, cluster: bytes, node: bytes) -> list[Any]:
        """The cluster's jobs that have a CPU of a node, as far as is known here."""
        return [self._jobs[job][2] for job in self.ledger.jobs_at(cluster, node)]

    def ask_for_jobs(self, cluster: bytes, node: bytes) -> Deferred[list[Any] | None]:
        """The same as the node sees it; None when it does not answer."""

        def answered(attempts: list[Attempt]) -> list[Any]:
            return [self._jobs[each.job][2] for each in attempts if each.job in self._jobs]

        link: Any = self.dispatcher.links.get(node)
        if link is None:
            return succeed(None)
        asked: Deferred[list[Any] | None] = link.list_jobs(cluster)
        return asked.addCallbacks(answered, self.dispatcher.unexpected, errbackArgs=(link,))

    # What clusters are told.
    def node_available(self, node: bytes, available: Availability | None) -> None:
        """See `dispytw.scheduler.neighbours.Customer`."""
        for cluster, enrolled in self._enrolled.items():
            if cluster in self.ledger.nodes[node].preparations:
                enrolled.end.node_available(node, available)

    def _show(self, order: TellReady | TellClosed) -> None:
        enrolled = self._enrolled.get(order.cluster)
        if enrolled is None:
            return
        if isinstance(order, TellReady):
            enrolled.end.node_ready(order.node)
        else:
            enrolled.end.node_closed(order.node, order.text, order.is_over)

    # Nodes that are found.
    def search_again(self, cluster: bytes, wildcards: Sequence[Wildcard] = ()) -> None:
        """Ask now for nodes that are not named; with wildcards, for those that they stand for too, from now on."""
        enrolled = self._enrolled.get(cluster)
        if enrolled is None or enrolled.search is None:
            return
        if wildcards:
            enrolled.search.look_for(wildcards)
        else:
            enrolled.search.ask_again()

    def found(self, cluster: bytes, target: Target) -> None:
        """A node that the cluster did not name is there: it is dialled like the others."""
        enrolled = self._enrolled.get(cluster)
        if enrolled is not None and target not in enrolled.targets:
            enrolled.targets += (target,)
            self._use(target, cluster)

    # What users are told of nodes.
    def tell(self, order: TellAway | TellBack | TellRejected | TellHeld | TellReady | TellClosed) -> None:
        """See Customer."""
        if isinstance(order, (TellReady, TellClosed)):
            return self._show(order)
        where = f"node {self._addresses[order.node]} ({self.dispatcher.facts[order.node].name})"
        if isinstance(order, TellRejected):
            self._say_once(order.cluster, order.node, rejection(where, order.text))
            self._show(TellClosed(order.cluster, order.node, order.text, is_over=True))
        elif isinstance(order, TellHeld):
            self._say_once(order.cluster, order.node, f"{where} is {order.text}; it will be used when it is free")
        elif isinstance(order, TellBack):
            self._say_to_users(order.node, f"{where} answers again")
        else:
            self._say_to_users(order.node, f"{where} does not answer; {order.jobs} jobs are there")

    def _say_once(self, cluster: bytes, node: bytes, text: str) -> None:
        enrolled = self._enrolled.get(cluster)
        if enrolled is not None and enrolled.refusals.get(node) != text:
            enrolled.refusals[node] = text
            enrolled.end.say(text)

    def _say_to_users(self, node: bytes, text: str) -> None:
        for cluster in list(self.ledger.nodes[node].preparations):
            if cluster in self._enrolled:
                self._enrolled[cluster].end.say(text)
