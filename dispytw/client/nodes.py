"""How a program names nodes, and what it is shown of them: dispy's NodeAllocate, DispyNode and DispyNodeAvailInfo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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


@attrs.frozen
class Target:
    """One node that a cluster names.

    :param address: where it is dialled.
    :param credential: what proves that we may; belongs to this entry, not to the session.
    :param private: whether this node was started for the program and ends with it.
    :param found: whether it has shown up, and was not named: then it is no use to insist where it is no node of ours.
    """

    address: Address
    credential: Any
    private: bool = attrs.field(default=False, eq=False)
    found: bool = attrs.field(default=False, eq=False)


def parse_address(text: str, default_port: int) -> Address:
    """The address in ``host``, ``host:port`` or ``[v6]:port``; two or more colons without brackets are a bare IPv6 address.

    :raises ValueError: when the port is no number from 1 to 65535, or the host is missing.
    """
    host, port = split_address(text)
    return Address(host, default_port if port is None else port)


def split_address(text: str) -> tuple[str, int | None]:
    """Host and port of an address, None where it names no port; see `parse_address`."""
    host, port = text, None
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else None if bracket and not rest else "?"
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not host or (port is not None and (not port.isdecimal() or not 0 < int(port) < 65536)):
        raise ValueError(f"nodes: {text!r} is no address; wanted 'host', 'host:port' or '[v6]:port' with a port from 1 to 65535")
    return host, None if port is None else int(port)


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

    @property
    def address(self) -> Address:
        """Where it is reached."""
        return Address(self.ip_addr, self.port)

    def __repr__(self) -> str:
        return f"<DispyNode {self.name} at {self.ip_addr}: {self.busy} of {self.cpus} busy>"


class NodeAllocate:
    """Which node to use, and how many of its slots. Subclass it to decide when the node is known.

    :param host: host name or IP address; with ``*``, which stands for any characters, those of the nodes found whose IP address it is.
    :param port: where its dispynode listens; the cluster's ``node_port`` if None.
    :param cpus: the most slots to use there; 0 for all, a negative number leaves as many free.
    :param depends: what this node needs beside what all get: functions, classes, modules, paths of files.
    :param setup_args: what the cluster's ``setup`` is called with on this node, and its ``cleanup``, if that takes as much.
    :raises TypeError: for a host that is no string, numbers that are none, lists that are none.
    """

    def __init__(
        self, host: str, port: int | None = None, cpus: int = 0, depends: Sequence[Any] = (), setup_args: Sequence[Any] = ()
    ) -> None:
        if not isinstance(host, str) or not host:
            raise TypeError(f"NodeAllocate: host must be a host name or IP address, not {host!r}")
        if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536):
            raise TypeError(f"NodeAllocate: port must be a number from 1 to 65535, not {port!r}")
        if not isinstance(cpus, int) or isinstance(cpus, bool):
            raise TypeError(f"NodeAllocate: cpus must be a whole number, not {cpus!r}")
        for name, value in (("depends", depends), ("setup_args", setup_args)):
            if not isinstance(value, (list, tuple)):
                raise TypeError(f"NodeAllocate: {name} must be a list or tuple, not {value!r}")
        self.host = host
        self.port = port
        self.cpus = cpus
        self.depends = list(depends)
        self.setup_args = tuple(setup_args)

    def allocate(
        self,
        cluster: Any,
        ip_addr: str,
        name: str,
        cpus: int,
        avail_info: DispyNodeAvailInfo | None = None,
        platform: str = "",
    ) -> int:
        """How many slots of the node the cluster uses; 0 for none. Called when the node is found, or is to be set up anew.

        It may set ``self.depends`` and ``self.setup_args``, which then go for this node.

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


#: What an entry of ``nodes`` may be.
_WANTED = (
    "a string ('host', 'host:port'), a tuple or list (host, port, cpus, depends, setup_args), a dict with these keys, "
    "a NodeAllocate or a DispyNode"
)
_FIELDS = ("host", "port", "cpus", "depends", "setup_args")


def node_entries(nodes: Any, node_port: int) -> list[NodeAllocate]:
    """What a cluster's ``nodes`` say, as NodeAllocate objects; None means ``['*']``. The user's own objects are taken as they are.

    :raises TypeError: for an entry that cannot be one, naming it.
    :raises ValueError: for an empty list, an address that is none, or a wildcard that can match none.
    """
    if nodes is None:
        nodes = ["*"]
    if isinstance(nodes, (str, dict, NodeAllocate, DispyNode)):
        nodes = [nodes]
    if not isinstance(nodes, Iterable) or isinstance(nodes, (bytes, bytearray)):
        raise TypeError(f"nodes must be a list, each entry {_WANTED}; not {nodes!r}")
    entries = [_entry(node, node_port) for node in nodes]
    if not entries:
        raise ValueError("nodes is empty: name at least one node, or leave it out")
    return entries


def _entry(node: Any, node_port: int) -> NodeAllocate:
    if isinstance(node, NodeAllocate):
        if not isinstance(getattr(node, "host", None), str):
            raise TypeError(f"nodes: {node!r} has no host: its __init__ must call NodeAllocate's")
        _check_pattern(node.host)
        return node
    if isinstance(node, DispyNode):
        return NodeAllocate(node.ip_addr, node.port)
    if isinstance(node, str):
        return _named(node, node_port)
    if isinstance(node, dict):
        unknown = sorted(map(str, node.keys() - set(_FIELDS)))
        if unknown or "host" not in node:
            raise TypeError(f"nodes: {node!r} {f'has no use for {unknown}' if unknown else 'names no host'}; its keys are {_FIELDS}")
        return _from_fields(node, node, node_port)
    if isinstance(node, (tuple, list)):
        if not 0 < len(node) <= len(_FIELDS):
            raise TypeError(f"nodes: {node!r} has {len(node)} fields; wanted (host, port, cpus, depends, setup_args), the first at least")
        return _from_fields(node, dict(zip(_FIELDS, node)), node_port)
    raise TypeError(f"nodes: an entry must be {_WANTED}; not {node!r}")


def _named(text: str, node_port: int) -> NodeAllocate:
    if text == LOCAL:
        return NodeAllocate(text)
    if "*" in text:
        _check_pattern(text)
        return NodeAllocate(*split_address(text))
    address = parse_address(text, node_port)
    return NodeAllocate(address.host, address.port)


def _from_fields(entry: Any, fields: dict[str, Any], node_port: int) -> NodeAllocate:
    """A tuple or dict as an object; a port in its host counts where it has none of its own."""
    try:
        made = NodeAllocate(**{name: value for name, value in fields.items() if value is not None or name == "host"})
    except TypeError as error:
        raise TypeError(f"nodes: {entry!r}: {str(error).removeprefix('NodeAllocate: ')}") from None
    if made.port is None and made.host != LOCAL and "*" not in made.host:
        address = parse_address(made.host, node_port)
        made.host, made.port = address.host, address.port
    _check_pattern(made.host)
    return made


def _check_pattern(host: str) -> None:
    """Raise for a wildcard that can match no address."""
    if "*" in host and not re.fullmatch(r"[0-9A-Fa-f:.%*\[\]]+", host):
        raise ValueError(f"nodes: {host!r} can match no IP address; '*' stands for parts of addresses, not of host names: name the node")


class Choices:
    """Which entries of a cluster decide about a node.

    :ivar exact: those that name an address, by the address.
    :ivar wild: those that match what is found.
    """

    def __init__(self, exact: Mapping[Address, NodeAllocate] | None = None, wild: Iterable[NodeAllocate] = ()) -> None:
        self.exact = dict(exact or {})
        self.wild = sorted(wild, key=lambda entry: len(entry.host.replace("*", "")), reverse=True)

    def add(self, address: Address, entry: NodeAllocate) -> None:
        """This entry decides about the node at this address, from now on."""
        self.exact[address] = entry

    def found(self, address: Address, entry: NodeAllocate) -> None:
        """A node has shown up at this address that this entry stands for: it decides, unless another names it."""
        self.exact.setdefault(address, entry)

    def add_wild(self, entry: NodeAllocate) -> None:
        """This entry decides about the nodes that it matches, before those that match as much."""
        self.wild = Choices(wild=[entry, *self.wild]).wild

    def matches(self, address: Address) -> bool:
        """Whether any entry decides about the node at an address."""
        return address in self.exact or any(_matches(entry, address) for entry in self.wild)

    def of(self, address: Address) -> list[NodeAllocate]:
        """The entries to ask about the node at an address, in this order: that which names it, then those that match it most closely."""
        named = self.exact.get(address.named or address)
        matching = [entry for entry in self.wild if _matches(entry, address) and entry is not named]
        found = matching if named is None else [named, *matching]
        return found or [NodeAllocate(address.host)]


def _matches(entry: NodeAllocate, address: Address) -> bool:
    """Whether a pattern is the node's IP address, from end to end; ``*`` stands for any characters, dots too."""
    pattern = re.escape(entry.host).replace(r"\*", ".*")
    return re.fullmatch(pattern, address.host) is not None and entry.port in (None, address.port)
