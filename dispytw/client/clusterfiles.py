"""dispy's words for files that go to nodes after the cluster was made. On the user's threads."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping

from twisted.internet.defer import Deferred

from dispytw.client.engine import Engine
from dispytw.client.luggage import described_file
from dispytw.client.nodes import DispyNode
from dispytw.client.view import View
from dispytw.values import Stored


class ClusterFiles:
    """The part of a cluster that sends files."""

    uid: bytes
    view: View
    _engine: Engine

    def _refuse_when_closed(self) -> None:
        raise NotImplementedError

    def send_file(self, path: str | os.PathLike[str], node: DispyNode | str, relay: bool = False) -> int:
        """Send a file to a node, where all jobs of this cluster find it: under its path relative to the current directory, or, if it
        lies elsewhere, under its name alone. Jobs that run already see it appear whole.

        :param path: of the file.
        :param node: a DispyNode, an IP address, a host name or ``'host:port'``. One that is not ready yet is waited for.
        :param relay: dispy's; files always travel the way that jobs travel.
        :returns: 0 when the node has verified the file and put it to its place, else -1; the log says why.
        :raises FileNotFoundError: when there is no such file.
        :raises TypeError: when path or node is neither of these.
        :raises ClusterClosedError: when the cluster is closed.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"send_file: path must be the path of a file, not {path!r}")
        if not isinstance(node, (DispyNode, str)):
            raise TypeError(f"send_file: node must be a DispyNode, an IP address, a host name or 'host:port', not {node!r}")
        self._refuse_when_closed()
        self._engine.bridge.refuse_to_wait("send_file")
        local = os.path.abspath(os.fsdecode(path))
        file = described_file(local, "send_file")
        names = names_of(node)

        def sent() -> str | Deferred[str]:
            find = functools.partial(find_node, names, self.view.nodes)
            return self._engine.session.send_file(self.uid, find, file, Stored(local, file.size))

        why: str = self._engine.bridge.wait(sent)
        if why:
            self.view.say(f"send_file: {os.fspath(path)!r} is not on node {sorted(names)[0]}: {why}")
        return -1 if why else 0


def names_of(node: DispyNode | str) -> frozenset[str]:
    """What a node that is meant may be called, as `find_node` compares it."""
    if isinstance(node, DispyNode):
        return frozenset({f"{node.ip_addr}:{node.port}"})
    host, colon, port = node.rpartition(":") if node.count(":") == 1 or node.startswith("[") else (node, "", "")
    host = host.strip("[]")
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        addresses = set()  # it may be a node's own name, which only it knows
    return frozenset(f"{name}{colon}{port}" for name in {host, *addresses})


def find_node(names: frozenset[str], nodes: Mapping[bytes, DispyNode]) -> bytes:
    """The one node with one of these names.

    :raises LookupError: when there is none, or more than one.
    """
    found = [uid for uid, each in nodes.items() if not names.isdisjoint(_called(each))]
    if len(found) == 1:
        return found[0]
    if not found:
        known = ", ".join(f"{each.ip_addr}:{each.port} ({each.name})" for each in nodes.values())
        raise LookupError(f"the cluster knows no such node; it knows {known or 'none'}")
    raise LookupError(f"it may be each of {', '.join(f'{nodes[uid].ip_addr}:{nodes[uid].port}' for uid in found)}: name the port")


def _called(node: DispyNode) -> set[str]:
    hosts = {node.ip_addr, node.name}
    return hosts.union(f"{host}:{node.port}" for host in hosts)
