"""Names of machines as addresses, the way dispy writes them."""

from __future__ import annotations

import ipaddress
import socket


def _node_ipaddr(node: str) -> str | None:
    """The address of a node, IPv4 rather than IPv6; a wildcard as it is. Programs use it to compare addresses with dispy's.

    :param node: host name or address.
    :returns: None for a name that no address is known of.
    """
    if not node:
        return None
    if "*" in node:
        return node
    try:
        found = socket.getaddrinfo(node, None, 0, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    best = next((each for each in found if each[0] == socket.AF_INET), found[0])
    return str(ipaddress.ip_address(str(best[4][0]).partition("%")[0]))
