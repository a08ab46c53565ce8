"""How a program names nodes, and what it is shown of them: dispy's NodeAllocate, DispyNode and DispyNodeAvailInfo."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs

#: Where dispynode listens unless told otherwise.
NODE_PORT = 51348

#: The node that `nodes=["local"]` stands for: a private one, started for this program.
LOCAL = "local"


@attrs.frozen
class Address:
    """Where a node is dialled.

    :param host: host name or IP address.
    :param port: TCP port.
    :param named: the address as a cluster gave it, where that was another one; two addresses are equal without it.
    """

    host: str
    port: int
    named: Address | None = attrs.field(default=None, eq=False, repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int) -> Address:
    """The address in ``host``, ``host:port`` or ``[v6]:port``; two or more colons without brackets are a bare IPv6 address.

    :raises ValueError: when the port is no number from 1 to 65535, or the host is missing.
    """
    host, port = text, str(default_port)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else str(default_port) if bracket and not rest else "?"
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"nodes: {text!r} is no address; wanted 'host', 'host:port' or '[v6]:port' with a port from 1 to 65535")
    return Address(host, int(port))


class DispyNodeAvailInfo:
    """How busy a node is.

    :ivar cpu: free CPU, percent.
    :ivar memory: available memory, bytes.
    :ivar disk: free disk where jobs run, bytes.
    :ivar swap: free swap, percent.
    """

    __slots__ = ("cpu", "disk", "memory", "swap")

    def __init__(self, cpu: float, memory: int, disk: int, swap: float) -> None:
        self.cpu = cpu
        self.memory = memory
        self.disk = disk
        self.swap = swap


class DispyNode:
    """What a cluster knows of one node.

    :ivar ip_addr: its address, as this program reached it.
    :ivar name: its host name.
    :ivar cpus: slots that this cluster may use there.
    :ivar avail_cpus: slots that the node offers.
    :ivar busy: jobs of this cluster that are there now.
    :ivar jobs_done: jobs of this cluster that ended there.
    :ivar cpu_time: seconds of wall time that those took.
    :ivar update_time: wall time of the last change, seconds.
    :ivar tx: bytes of arguments sent there.
    :ivar rx: bytes of results received from there.
    """

    __slots__ = (
        "avail_cpus",
        "avail_info",
        "busy",
        "cpu_time",
        "cpus",
        "ip_addr",
        "jobs_done",
        "name",
        "port",
        "rx",
        "tx",
        "update_time",
    )

    Initialized = 4
    Closed = 16
    AvailInfo = 17

    def __init__(self, ip_addr: str, name: str, cpus: int, port: int = NODE_PORT) -> None:
        self.ip_addr = ip_addr
        self.name = name
        self.cpus = cpus
        self.avail_cpus = cpus
        self.busy = 0
        self.jobs_done = 0
        self.cpu_time = 0.0
        self.update_time = 0.0
        self.avail_info: DispyNodeAvailInfo | None = None
        self.tx = 0
        self.rx = 0
        self.port = port

    def __repr__(self) -> str:
        return f"<DispyNode {self.name} at {self.ip_addr}: {self.busy} of {self.cpus} busy>"


class NodeAllocate:
    """Which node to use, and how many of its slots. Subclass it to decide when the node is known.

    :param host: host name or IP address; with a ``*`` in it, the addresses of nodes that are found: ``'192.168.3.*'``, or ``'*'`` for all.
    :param port: where its dispynode listens; the cluster's ``node_port`` if None.
    :param cpus: the most slots to use there; 0 for all, a negative number leaves as many free.
    :raises TypeError: for a host that is no string, or numbers that are none.
    """

    def __init__(self, host: str, port: int | None = None, cpus: int = 0) -> None:
        if not isinstance(host, str) or not host:
            raise TypeError(f"NodeAllocate: host must be a host name or IP address, not {host!r}")
        if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536):
            raise TypeError(f"NodeAllocate: port must be a number from 1 to 65535, not {port!r}")
        if not isinstance(cpus, int) or isinstance(cpus, bool):
            raise TypeError(f"NodeAllocate: cpus must be a whole number, not {cpus!r}")
        self.host = host
        self.port = port
        self.cpus = cpus

    def allocate(
        self,
        cluster: Any,
        ip_addr: str,
        name: str,
        cpus: int,
        avail_info: DispyNodeAvailInfo | None = None,
        platform: str = "",
    ) -> int:
        """How many slots of the node the cluster uses; 0 for none. Called when the node is found.

        :param cluster: the cluster that asks.
        :param ip_addr: the node's address.
        :param name: its host name.
        :param cpus: slots that it offers.
        :param avail_info: how busy it is, if known.
        :param platform: as ``platform.platform()`` gives it there.
        """
        if self.cpus > 0:
            return min(self.cpus, cpus)
        return max(cpus + self.cpus, 0)


def node_entries(nodes: Any, node_port: int) -> list[NodeAllocate]:
    """What a cluster's ``nodes`` say, as NodeAllocate objects with ports; None means ``['*']``.

    :raises TypeError: for an entry that is neither a string nor a NodeAllocate, naming it.
    :raises ValueError: for an empty list, an address that is none, or a wildcard that can match none.
    """
    if nodes is None:
        nodes = ["*"]
    if isinstance(nodes, (str, NodeAllocate)):
        nodes = [nodes]
    if not isinstance(nodes, Iterable):
        raise TypeError(f"nodes must be a list of strings or NodeAllocate objects, not {nodes!r}")
    entries = [_entry(node, node_port) for node in nodes]
    if not entries:
        raise ValueError("nodes is empty: name at least one node, or leave it out")
    return entries


def _entry(node: Any, node_port: int) -> NodeAllocate:
    host = node.host if isinstance(node, NodeAllocate) else node
    if not isinstance(host, str):
        raise TypeError(f"nodes: {node!r} must be a string ('host', 'host:port') or a NodeAllocate")
    if "*" in host:
        _check_pattern(host if isinstance(node, NodeAllocate) else parse_address(host, node_port).host)
    if isinstance(node, NodeAllocate):
        return node
    if node in ("*", LOCAL):
        return NodeAllocate(node)
    address = parse_address(node, node_port)
    return NodeAllocate(address.host, address.port)


def _check_pattern(pattern: str) -> None:
    """Raise for a wildcard that can match no address."""
    if not re.fullmatch(r"[0-9A-Fa-f:.%*]+", pattern):
        raise ValueError(f"nodes: {pattern!r} can match no IP address; '*' stands for parts of addresses, not of host names: name the node")
