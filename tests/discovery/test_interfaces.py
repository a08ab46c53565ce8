"""Where questions and announcements go, on machines with networks of every kind."""

from __future__ import annotations

import unittest
from types import SimpleNamespace
from typing import Any

from dispytw.discovery.interfaces import ANY, Interface, chosen, interfaces_of, is_near

LOOPBACK = Interface("127.0.0.1", 8)
LAN = Interface("192.168.3.7", 24)
OTHER = Interface("10.1.2.3", 8)


def address(host: str, netmask: str | None, family: int = 2, broadcast: str | None = None) -> Any:
    """An address as psutil has it."""
    return SimpleNamespace(family=family, address=host, netmask=netmask, broadcast=broadcast, ptp=None)


class Finding(unittest.TestCase):
    """What psutil says."""

    def found(self, addresses: dict[str, list[Any]], up: dict[str, bool] | None = None) -> list[Interface]:
        """The interfaces."""
        return interfaces_of(addresses, {name: SimpleNamespace(isup=each) for name, each in (up or {}).items()}, 2)

    def test_an_ordinary_machine(self) -> None:
        """Loopback first, then each network; addresses of other families are passed over."""
        found = self.found({
            "eth0": [address("192.168.3.7", "255.255.255.0"), address("fe80::1%eth0", "ffff::", 10)],
            "lo": [address("127.0.0.1", "255.0.0.0"), address("00:00:00:00:00:00", None, 17)],
        })
        self.assertEqual([LOOPBACK, LAN], found)

    def test_several_addresses(self) -> None:
        """An interface may have many; one that is said twice is one."""
        found = self.found({"eth0": [address("192.168.3.7", "255.255.255.0"), address("10.1.2.3", "255.0.0.0"), address("10.1.2.3", "255.0.0.0")]})
        self.assertEqual([LAN, OTHER], found)

    def test_no_broadcast(self) -> None:
        """Point to point links and single addresses have nobody to be asked; what cannot be read is passed over."""
        for netmask in ("255.255.255.255", "255.255.255.254", None, "nonsense"):
            self.assertEqual([], self.found({"tun0": [address("10.8.0.2", netmask)]}))

    def test_down(self) -> None:
        """An interface that is down is none."""
        addresses = {"eth0": [address("192.168.3.7", "255.255.255.0")]}
        self.assertEqual([], self.found(addresses, {"eth0": False}))
        self.assertEqual([LAN], self.found(addresses, {"eth0": True}))


class Places(unittest.TestCase):
    """Where one asks."""

    def test_broadcast(self) -> None:
        """It is worked out from address and netmask."""
        self.assertEqual(["192.168.3.255", "10.255.255.255"], [LAN.broadcast, OTHER.broadcast])
        self.assertEqual(("192.168.3.255",), LAN.places)

    def test_loopback(self) -> None:
        """At the address and by broadcast."""
        self.assertEqual(("127.0.0.1", "127.255.255.255"), LOOPBACK.places)


class Choosing(unittest.TestCase):
    """What a program or a node is restricted to."""

    def test_all(self) -> None:
        """Nothing said, or the address that means all."""
        for hosts in ((), (ANY,), (ANY, "10.1.2.3")):
            self.assertEqual([LOOPBACK, LAN, OTHER], chosen([LOOPBACK, LAN, OTHER], hosts))

    def test_some(self) -> None:
        """By their addresses; any loopback address means loopback, and an address that is not here nothing."""
        self.assertEqual([LAN], chosen([LOOPBACK, LAN, OTHER], ["192.168.3.7"]))
        self.assertEqual([LOOPBACK, OTHER], chosen([LOOPBACK, LAN, OTHER], ["10.1.2.3", "127.0.0.2"]))
        for host in ("192.168.3.8", "::1", "nonsense"):
            self.assertEqual([], chosen([LOOPBACK, LAN, OTHER], [host]))


class Near(unittest.TestCase):
    """Who is a neighbour."""

    def test_neighbours(self) -> None:
        """Machines on our networks, ourselves included."""
        for host in ("192.168.3.7", "192.168.3.1", "127.0.0.1", "127.9.9.9"):
            self.assertTrue(is_near(host, [LOOPBACK, LAN]), host)

    def test_strangers(self) -> None:
        """Machines elsewhere, addresses that are not of one machine, and what is none."""
        for host in ("192.168.4.1", "8.8.8.8", "192.168.3.255", "192.168.3.0", "255.255.255.255", "0.0.0.0", "::1", "", "x"):
            self.assertFalse(is_near(host, [LOOPBACK, LAN]), host)
        self.assertFalse(is_near("127.0.0.1", [LAN]))
