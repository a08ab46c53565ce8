"""What a cluster offers about single nodes, in dispy's words: jobs for one node, nodes to allocate, to close, to set up anew, their CPUs.

A node is named as dispy has it: a DispyNode, an IP address, a host name, or ``host:port`` where several nodes share an address.
"""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from dispytw.client import speech
from dispytw.client.job import DispyJob
from dispytw.client.lookup import find_node, named_address
from dispytw.client.nodes import Choices, NodeAllocate, Target, node_entries
from dispytw.client.privatenode import private_node
from dispytw.client.targets import Targets, find_targets
from dispytw.client.view import View
from dispytw.errors import ReactorThreadError, UnknownNodeError
from dispytw.wire.certificates import Certificate

#: Seconds for which a node that the cluster names, and that has not answered yet, is waited for.
ANSWERING = 3.0


class Addressing:
    """How a cluster's entries become addresses with credentials, those that come later too."""

    def __init__(self, node_port: int, secret: str, certificate: Certificate | None) -> None:
        self.node_port = node_port
        self._secret = secret
        self._certificate = certificate

    def entries(self, nodes: Any) -> list[NodeAllocate]:
        """What is said of nodes, as entries; see `dispytw.client.nodes.node_entries`."""
        return node_entries(nodes, self.node_port)

    def targets(self, entries: list[NodeAllocate]) -> Targets:
        """What they mean."""
        return find_targets(entries, self.node_port, self._secret, private_node, os.environ, self._certificate)


class NodeMethods:
    """The part of a cluster that is about single nodes."""

    uid: bytes
    view: View
    _engine: Any
    _addressing: Addressing
    _targets: tuple[Target, ...]

    name: Any

    def _submitted(self, args: Any, kwargs: Any, node: bytes | None = None, job_id: Any = None) -> DispyJob:
        raise NotImplementedError

    def _refuse_when_closed(self) -> None:
        raise NotImplementedError

    def _check_allocations(self, entries: Iterable[NodeAllocate]) -> None:
        raise NotImplementedError

    # Jobs.
    def submit_node(self, node: Any, *args: Any, **kwargs: Any) -> DispyJob:
        """Queue one call of the computation for one node alone, and return its job; see `submit`.

        It takes its turn there by its age, and runs nowhere else: if the node goes away, or is left, it ends as Cancelled.

        :param node: a DispyNode, an IP address, a host name, or ``host:port``. One of the cluster's ``nodes`` that has not answered yet
            is waited for, three seconds at most.
        :raises UnknownNodeError: when the cluster knows no such node, or does not use it; it says why.
        :raises AmbiguousNodeError: when several nodes are at that address; it names their ports.
        """
        return self._submitted(args, kwargs, self._usable("submit_node: node", node))

    def submit_job_id(self, job_id: Any, *args: Any, **kwargs: Any) -> DispyJob:
        """Queue one call of the computation, and return its job, which has this id from the start; see `submit`.

        :param job_id: anything; None for the next number.
        """
        return self._submitted(args, kwargs, job_id=job_id)

    def submit_job_id_node(self, job_id: Any, node: Any, *args: Any, **kwargs: Any) -> DispyJob:
        """Queue one call of the computation for one node alone, with this id; see `submit_node` and `submit_job_id`."""
        return self._submitted(args, kwargs, self._usable("submit_job_id_node: node", node), job_id)

    def node_jobs(self, node: Any, from_node: bool = False) -> list[DispyJob]:
        """The cluster's jobs that run on a node now; none, with a warning, if there is no such node.

        :param from_node: whether to ask the node, instead of saying what is known here.
        :raises AmbiguousNodeError: when several nodes are at that address.
        """
        uid = self._known("node_jobs", node)
        if uid is None:
            return []
        session = self._engine.session
        jobs = self._engine.bridge.wait(session.ask_for_jobs if from_node else session.jobs_at, self.uid, uid)
        if jobs is None:
            speech.LOGGER.warning("node_jobs: node %s does not answer", self.view.nodes[uid].name)
        return list(jobs or ())

    # Which nodes are used, and how.
    def allocate_node(self, node: Any) -> int:
        """Use more nodes, or nodes again that were deallocated, closed or not used.

        :param node: what an entry of ``nodes`` of `JobCluster` may be, or a list of such.
        :returns: 0, or -1 when the cluster is closed.
        :raises TypeError: for what cannot be an entry; it is named.
        """
        entries = self._addressing.entries([node] if isinstance(node, tuple) else node)
        self._check_allocations(entries)
        try:
            self._refuse_when_closed()
        except RuntimeError as error:
            return self._failed("allocate_node", str(error))
        self._extend(entries)
        return 0

    def _extend(self, entries: list[NodeAllocate]) -> None:
        found = self._addressing.targets(entries)
        again = []
        for address, entry in found.choices.exact.items():
            self.view.placing.choices.add(address, entry)
            again += [uid for uid, each in self.view.nodes.items() if (each.ip_addr, each.port) == (address.host, address.port)]
        for entry in found.choices.wild:
            self.view.placing.choices.add_wild(entry)
            only = Choices(wild=[entry])
            again += [uid for uid, each in self.view.nodes.items() if entry in only.of(each.address)]
        self._targets = tuple(dict.fromkeys([*self._targets, *found.targets]))
        session, bridge = self._engine.session, self._engine.bridge
        for uid in dict.fromkeys(again):
            self.view.obstacles.pop(uid, None)
        bridge.wait(session.extend, self.uid, found.targets)
        if found.wildcards:
            bridge.wait(session.search_again, self.uid, found.wildcards)
        for uid in dict.fromkeys(again):
            bridge.wait(session.allocate_node, self.uid, uid)

    def deallocate_node(self, node: Any) -> int:
        """Give a node no more jobs of this cluster, but those that wait for it alone. `allocate_node` takes it back.

        :returns: 0, or -1 when there is no such node.
        """
        return self._told("deallocate_node", node, "it was deallocated", self._engine.session.deallocate_node)

    def close_node(self, node: Any, terminate_pending: bool = False) -> int:
        """Leave a node when its jobs are done: clean up there, and use it no more. Returns at once; cluster_status is told Closed.

        :param terminate_pending: whether jobs that run there, or wait for it alone, are cancelled.
        :returns: 0, or -1 when there is no such node.
        """
        _check_bool("close_node", terminate_pending)
        return self._told("close_node", node, "it was closed", self._engine.session.close_node, terminate_pending)

    def resetup_node(self, node: Any, terminate_pending: bool = False) -> int:
        """Set a node up anew when its jobs are done: cleanup, NodeAllocate, setup. Returns at once; cluster_status is told Initialized.

        :param terminate_pending: whether jobs that run there, or wait for it alone, are cancelled.
        :returns: 0, or -1 when there is no such node.
        """
        _check_bool("resetup_node", terminate_pending)
        return self._told("resetup_node", node, "", self._engine.session.resetup_node, terminate_pending)

    def _told(self, method: str, node: Any, obstacle: str, call: Callable[..., Any], *arguments: Any) -> int:
        uid = self._known(method, node)
        if uid is None:
            return -1
        self.view.obstacles.pop(uid, None)
        if obstacle:
            self.view.obstacles[uid] = obstacle
        self._engine.bridge.wait(call, self.uid, uid, *arguments)
        return 0

    def set_node_cpus(self, node: Any, cpus: int) -> int:
        """Use so many CPUs of a node from now on, in all clusters of this program. Jobs that run there go on.

        :param cpus: at most as many as the node offers are used; 0 for none; negative to leave as many free.
        :returns: how many are used now, or -1 when there is no such node, or it has not as many to leave free.
        """
        if not isinstance(cpus, int) or isinstance(cpus, bool):
            raise TypeError(f"set_node_cpus: cpus must be a whole number, not {cpus!r}")
        uid = self._known("set_node_cpus", node)
        if uid is None:
            return -1
        used: int = self._engine.bridge.wait(self._engine.session.limit_node, uid, cpus)
        return used

    def discover_nodes(self, nodes: Any) -> int:
        """Look for nodes now, instead of when their next try is due.

        :param nodes: names or addresses, or a list of such; ``'*'`` for whatever can be found. What the cluster's own ``nodes`` do not
            name or match is not used.
        :returns: 0.
        """
        entries = self._addressing.entries(nodes)
        if any("*" in entry.host for entry in entries):
            self._discover()
        targets = self._addressing.targets([entry for entry in entries if "*" not in entry.host]).targets
        matching = [target for target in targets if target not in self._targets and self.view.placing.choices.matches(target.address)]
        self._targets = (*self._targets, *matching)
        self._engine.bridge.wait(self._engine.session.extend, self.uid, matching)
        self._engine.bridge.wait(self._engine.session.dial_again, targets)
        return 0

    def _discover(self) -> None:
        """Look for nodes that nobody has named, and dial the others again."""
        session, bridge = self._engine.session, self._engine.bridge
        bridge.wait(session.dial_again, self._targets)
        bridge.wait(session.search_again, self.uid)

    # Which node is meant.
    def _find(self, what: str, node: Any) -> bytes:
        return find_node(node, what, self.view.nodes, self.view.names, _addresses_of)

    def _known(self, method: str, node: Any) -> bytes | None:
        """The node that is meant; None, with a warning, if there is none."""
        try:
            return self._find(f"{method}: node", node)
        except UnknownNodeError as error:
            self._failed(method, str(error))
            return None

    @staticmethod
    def _failed(method: str, text: str) -> int:
        speech.LOGGER.warning("%s", text if text.startswith(method) else f"{method}: {text}")
        return -1

    def _usable(self, what: str, node: Any) -> bytes:
        """The node that is meant, if jobs can be sent there."""
        self._refuse_when_closed()
        uid = self._found(what, node)
        why = self.view.obstacles.get(uid)
        if why:
            shown = self.view.nodes[uid]
            raise UnknownNodeError(f"{what}: {self.name} does not use node {shown.address} ({shown.name}): {why}")
        return uid

    def _found(self, what: str, node: Any) -> bytes:
        """As `_find`; a node that the cluster names, and that has not answered yet, is waited for."""
        deadline = time.monotonic() + ANSWERING
        while True:
            known = len(self.view.nodes)
            try:
                return self._find(what, node)
            except UnknownNodeError:
                left = deadline - time.monotonic()
                if left <= 0 or not self._is_awaited(what, node) or not self.view.wait_for_nodes(left, known):
                    raise

    def _is_awaited(self, what: str, node: Any) -> bool:
        try:
            self._engine.bridge.refuse_to_wait(what)
        except ReactorThreadError:
            return False
        host, port = named_address(node, what)
        hosts = {host, *_addresses_of(host)}
        return any(port in (None, each.address.port) and each.address.host in hosts for each in self._targets)


def _check_bool(method: str, terminate_pending: Any) -> None:
    if not isinstance(terminate_pending, bool):
        raise TypeError(f"{method}: terminate_pending must be True or False, not {terminate_pending!r}")


@functools.lru_cache(maxsize=256)
def _addresses_of(host: str) -> tuple[str, ...]:
    """The IP addresses of a host name; none if it has none."""
    try:
        return tuple(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))
    except (OSError, UnicodeError):
        return ()
