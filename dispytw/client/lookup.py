"""Which node is meant by what a program says: a DispyNode, an address, a host name, ``host:port``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dispytw.client.nodes import DispyNode, NodeAllocate, split_address
from dispytw.errors import AmbiguousNodeError, UnknownNodeError


def named_address(node: Any, what: str) -> tuple[str, int | None]:
    """Host and port that a program's word for a node names; no port where it names none.

    :param what: the method and its parameter, for messages.
    :raises TypeError: for what is no word for a node.
    :raises ValueError: for a string that is no address.
    """
    if isinstance(node, DispyNode):
        return node.ip_addr, node.port
    if isinstance(node, NodeAllocate):
        return node.host, node.port
    if not isinstance(node, str):
        raise TypeError(f"{what} must be a DispyNode, an IP address, a host name or 'host:port', not {node!r}")
    try:
        return split_address(node)
    except ValueError as error:
        raise ValueError(f"{what}: {str(error).removeprefix('nodes: ')}") from None


def find_node(
    node: Any,
    what: str,
    nodes: Mapping[bytes, DispyNode],
    names: Mapping[bytes, Iterable[str]],
    resolve: Callable[[str], Iterable[str]] = lambda host: (),
) -> bytes:
    """The uid of the one node that is meant.

    :param nodes: those that the cluster has found.
    :param names: by what other names each was reached.
    :param resolve: the IP addresses of a host name; asked when no node is known by it.
    :raises UnknownNodeError: when there is none; those that are known are named.
    :raises AmbiguousNodeError: when there are several; their ports are named.
    """
    host, port = named_address(node, what)
    there = [uid for uid, each in nodes.items() if port in (None, each.port)]
    found = [uid for uid in there if host in (nodes[uid].ip_addr, nodes[uid].name) or host in names.get(uid, ())]
    if not found:
        addresses = set(resolve(host))
        found = [uid for uid in there if nodes[uid].ip_addr in addresses]
    if not found:
        known = ", ".join(f"{each.address} ({each.name})" for each in nodes.values()) or "none has been found"
        raise UnknownNodeError(f"{what}: the cluster knows no node {_said(node)}; known: {known}")
    if len(found) > 1:
        several = ", ".join(sorted(f"'{nodes[uid].address}'" for uid in found))
        raise AmbiguousNodeError(f"{what}: {_said(node)} may be any of {several}; say which, with its port")
    return found[0]


def _said(node: Any) -> str:
    if isinstance(node, str):
        return repr(node)
    return str(node.address) if isinstance(node, DispyNode) else repr(node.host)
