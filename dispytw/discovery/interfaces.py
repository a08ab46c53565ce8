"""Where questions and announcements go: picked from what the machine says of its network. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

#: Every address of this machine.
ANY = "0.0.0.0"


@attrs.frozen
class Interface:
    """One IPv4 address of this machine, on a network that has a broadcast address.

    :param address: the address.
    :param length: bits of the network's part.
    :ivar network: the addresses that are reached without a router.
    :ivar broadcast: reaches everybody there. Worked out, since what systems say of it is at times the interface's own address.
    """

    address: str
    length: int
    network: ipaddress.IPv4Network = attrs.field(init=False, eq=False, repr=False)
    broadcast: str = attrs.field(init=False, eq=False, repr=False)

    @network.default
    def _network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((self.address, self.length), strict=False)

    @broadcast.default
    def _broadcast(self) -> str:
        return str(self.network.broadcast_address)

    @property
    def places(self) -> tuple[str, ...]:
        """Where to ask: on loopback at the address too, since not every platform broadcasts there."""
        return (self.address, self.broadcast) if self.network.is_loopback else (self.broadcast,)


def interfaces_of(addresses: Mapping[str, Iterable[Any]], up: Mapping[str, Any], family: Any) -> list[Interface]:
    """The interfaces among what `psutil.net_if_addrs` and `psutil.net_if_stats` say, loopback first.

    :param family: what marks an IPv4 address there.
    """
    found = []
    for name, each in addresses.items():
        if name in up and not up[name].isup:
            continue
        found += [i for one in each if one.family == family and (i := _interface(one.address, one.netmask)) is not None]
    return sorted(dict.fromkeys(found), key=lambda interface: not interface.network.is_loopback)


def _interface(address: str, netmask: str | None) -> Interface | None:
    try:
        length = ipaddress.IPv4Network(f"{address}/{netmask}", strict=False).prefixlen
    except ValueError:
        return None
    return Interface(address, length) if length < 31 else None


def chosen(interfaces: Iterable[Interface], hosts: Sequence[str]) -> list[Interface]:
    """Those that have one of these addresses; all without any, or with `ANY`. Every address of 127.0.0.0/8 means loopback."""
    if not hosts or ANY in hosts:
        return list(interfaces)
    return [each for each in interfaces if each.address in hosts or (each.network.is_loopback and _any_in(hosts, each))]


def _any_in(hosts: Iterable[str], interface: Interface) -> bool:
    return any(is_near(host, [interface]) for host in hosts)


def is_near(host: str, interfaces: Iterable[Interface]) -> bool:
    """Whether the address is on a network of one of these interfaces, and is that of a single machine there."""
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return any(address in each.network and host not in (each.broadcast, str(each.network.network_address)) for each in interfaces)
