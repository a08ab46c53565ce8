"""What a user sees of a cluster's nodes, and the events that cluster_status is told. Written in the reactor thread, read in any."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address, DispyNode, DispyNodeAvailInfo
from dispytw.client.placing import Placing
from dispytw.values import CREATED, RUNNING, Availability, NodeFacts

#: cluster_status as dispy has it: the status, the node or None, the job or None.
Status = Callable[[int, "DispyNode | None", "DispyJob | None"], Any]


class CallbackThread(Protocol):
    """The thread that calls users back."""

    def call_back(self, function: Callable[..., Any], job: Any, then: Callable[[], Any]) -> None:
        """Call a user's function there with the job, and ``then`` after it."""


class NodeView:
    """The nodes of one cluster as its user sees them.

    :param placing: asks how a node is to be used.
    :param status: the user's cluster_status, or None.
    :ivar nodes: what is shown of each node that was found.
    :ivar names: by what names each was reached.
    :ivar obstacles: of nodes that take no jobs, why.
    """

    def __init__(self, placing: Placing, threads: CallbackThread, status: Status | None) -> None:
        self.nodes: dict[bytes, DispyNode] = {}
        self.names: dict[bytes, set[str]] = {}
        self.obstacles: dict[bytes, str] = {}
        self.placing = placing
        self._threads = threads
        self._status = status
        self._changed = threading.Condition()
        self._uncalled = 0
        self._ready: set[bytes] = set()
        self._allotted: dict[bytes, int] = {}
        self._limits: dict[bytes, int] = {}
        self._pulses: set[bytes] = set()

    # The user's threads.
    def wait_for_nodes(self, timeout: float, known: int) -> bool:
        """Wait until more nodes than these are known."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.nodes) > known, timeout)

    def created(self, job: DispyJob) -> None:
        """A job was submitted."""
        self._tell_status(CREATED, None, job)

    # The reactor thread (`dispytw.client.clusterend.ClusterEnd`).
    def node_found(self, node: NodeFacts, address: Address) -> Deferred[int]:
        """See ClusterEnd."""
        shown = self._shown(node, address)

        def allotted(cpus: int) -> int:
            self._allotted[node.uid] = max(0, min(cpus, node.cpus))
            self._show_cpus(node.uid)
            if cpus <= 0:
                self.obstacles[node.uid] = "its NodeAllocate gives it no CPUs"
            return cpus

        return self.placing.ask(shown, node, address).addCallback(allotted)

    def _shown(self, node: NodeFacts, address: Address) -> DispyNode:
        """One object stands for a node as long as the cluster lives, whatever becomes of its link."""
        with self._changed:
            shown = self.nodes.get(node.uid)
            if shown is None:
                shown = self.nodes[node.uid] = DispyNode(address.host, node.name, node.cpus, address.port)
            self.names.setdefault(node.uid, set()).update(each.host for each in (address, address.named) if each is not None)
            self._changed.notify_all()
        shown.ip_addr, shown.port, shown.name, shown.avail_cpus = address.host, address.port, node.name, node.cpus
        shown.avail_info = _avail_info(node.available)
        self.obstacles.pop(node.uid, None)
        return shown

    def _show_cpus(self, node: bytes) -> None:
        shown = self.nodes[node]
        allotted = self._allotted.get(node, shown.avail_cpus)
        shown.cpus = min(allotted, self._limits.get(node, allotted))

    def node_ready(self, node: bytes) -> None:
        """See ClusterEnd."""
        self.obstacles.pop(node, None)
        if node not in self._ready:
            self._ready.add(node)
            self._node_changed(node, DispyNode.Initialized)

    def node_closed(self, node: bytes, why: str, is_over: bool) -> None:
        """See ClusterEnd."""
        if is_over:
            self.obstacles[node] = why
        if node in self._ready:
            self._ready.discard(node)
            self._node_changed(node, DispyNode.Closed)

    def node_limited(self, node: bytes, cpus: int) -> None:
        """See ClusterEnd."""
        self._limits[node] = cpus
        if node in self.nodes:
            self._show_cpus(node)

    def node_available(self, node: bytes, available: Availability | None) -> None:
        """See ClusterEnd. A user who is slow hears of the latest word only."""
        shown = self.nodes.get(node)
        if shown is None:
            return
        shown.avail_info, shown.update_time = _avail_info(available), time.time()
        if self._status is not None and node not in self._pulses:
            self._pulses.add(node)
            called = partial(self._pulses.discard, node)
            self._threads.call_back(partial(self._pulse_told, self._status, called), shown, lambda: None)

    @staticmethod
    def _pulse_told(status: Status, called: Callable[[], Any], shown: DispyNode) -> None:
        called()
        status(DispyNode.AvailInfo, shown, None)

    def _node_changed(self, node: bytes, status: int) -> None:
        shown = self.nodes[node]
        shown.update_time = time.time()
        self._tell_status(status, shown, None)

    def _tell_running(self, job: DispyJob, shown: DispyNode) -> None:
        self._tell_status(RUNNING, shown, job)

    # cluster_status.
    @property
    def _statuses(self) -> int:
        """How many calls an event makes."""
        return 0 if self._status is None else 1

    def _status_call(self, status: int, node: DispyNode) -> Callable[[DispyJob], Any] | None:
        """What tells cluster_status of a job, if there is one."""
        return None if self._status is None else partial(self._status, status, node)

    def _tell_status(self, status: int, node: DispyNode | None, job: DispyJob | None, counted: bool = False) -> None:
        """Have cluster_status told, after what it was told before.

        :param counted: whether those who wait know of the call already.
        """
        if self._status is None:
            return
        if not counted:
            with self._changed:
                self._uncalled += 1
        self._threads.call_back(partial(self._status, status, node), job, self._one_called)

    def _one_called(self) -> None:
        with self._changed:
            self._uncalled -= 1
            self._changed.notify_all()


def _avail_info(available: Availability | None) -> DispyNodeAvailInfo | None:
    if available is None:
        return None
    return DispyNodeAvailInfo(available.cpu, available.memory, available.disk, available.swap)
