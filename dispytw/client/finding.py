"""Looks for nodes that are not named: one `Finder` in a process, and a `Search` for each cluster with wildcards.

A search asks when it begins, twice more soon after, and then less and less often until the cluster has a node; with a ping interval it
goes on for ever. Whatever has shown up is dialled if an entry stands for its address.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from dispytw.client.advice import asked_for_nodes
from dispytw.client.nodes import Address, Choices, Target
from dispytw.client.wildcards import Sightings, Wildcard
from dispytw.discovery.interfaces import ANY, chosen
from dispytw.discovery.udp import Asker, Sighting, Surroundings, find_interfaces

log = Logger()

#: Seconds between questions as long as there is no node, the last for ever; each is shortened or lengthened at random by up to so much.
PAUSES = (0.5, 1.5, 3.0, 10.0, 15.0, 30.0, 60.0)
JITTER = 0.2
#: Of these, so many are asked even if a node was found: datagrams get lost.
AT_LEAST = 2


class Finder:
    """Asks for all searches of a process, and brings each what it has to know.

    :param reactor: opens sockets, and wakes us.
    :param now: monotonic seconds.
    :param chance: source of the jitter.
    """

    def __init__(self, reactor: Any, now: Callable[[], float], chance: random.Random | None = None) -> None:
        self.reactor = reactor
        self.now = now
        self.chance = chance or random.Random()
        self.surroundings = Surroundings(now)
        self.searches: list[Search] = []
        self._asker: Asker | None = None

    def search(
        self,
        wildcards: Sequence[Wildcard],
        choices: Choices,
        hosts: Sequence[str] = (),
        ping_interval: float | None = None,
    ) -> Search:
        """A search for the nodes that the wildcards stand for; without any, nothing is asked.

        :param choices: where it is written down which entry decides about a node, unless that is known.
        :param hosts: addresses of this machine whose networks are asked; all without any.
        :param ping_interval: seconds between two questions, for ever.
        """
        return Search(self, wildcards, choices, hosts, ping_interval)

    def ask(self, port: int, hosts: Sequence[str]) -> list[tuple[str, str]]:
        """Ask at a UDP port; see `Asker.ask`."""
        if self._asker is None:
            self._asker = Asker(self.reactor, self._heard, self.now, self.surroundings)
        return self._asker.ask(port, hosts)

    def _heard(self, sighting: Sighting) -> None:
        for search in list(self.searches):
            search.sighted(sighting)

    def ended(self, search: Search) -> None:
        """A search is over; the last one closes the sockets."""
        self.searches = [each for each in self.searches if each is not search]
        if not self.searches and self._asker is not None:
            asker, self._asker = self._asker, None
            asker.close()

    def abandon(self) -> None:
        """In a forked copy of this process: close its copies of the sockets."""
        if self._asker is not None:
            self._asker.abandon()


class Search:
    """One cluster's search (`dispytw.client.enrolled.Search`); parameters are those of `Finder.search`."""

    def __init__(
        self,
        finder: Finder,
        wildcards: Sequence[Wildcard],
        choices: Choices,
        hosts: Sequence[str],
        ping_interval: float | None,
    ) -> None:
        self._finder = finder
        self._sightings = Sightings(wildcards)
        self._choices = choices
        self._hosts = hosts
        self._ping_interval = ping_interval
        self._asked: dict[int, dict[str, str]] = {}
        self._rounds = 0
        self._timer: Any = None

    def begin(self, found: Callable[[Target], None], is_served: Callable[[], bool]) -> None:
        """See the protocol."""
        self._found, self._is_served = found, is_served
        if self._sightings.wildcards:
            self._begin_asking()

    def _begin_asking(self) -> None:
        self._finder.searches.append(self)
        self._ask_on()

    def look_for(self, wildcards: Sequence[Wildcard]) -> None:
        """The cluster has more entries from now on: ask for them."""
        self._sightings.add(wildcards)
        if self._timer is None:
            self._begin_asking()
        else:
            self.ask_again()

    def _ask_on(self) -> None:
        if self._rounds <= AT_LEAST or self._ping_interval is not None or not self._is_served():
            self.ask_again()
        pause = PAUSES[min(self._rounds, len(PAUSES)) - 1]
        if self._ping_interval is not None and self._rounds > AT_LEAST:
            pause = self._ping_interval if self._is_served() else min(pause, self._ping_interval)
        pause *= self._finder.chance.uniform(1 - JITTER, 1 + JITTER)
        self._timer = self._finder.reactor.callLater(pause, self._ask_on)

    def ask_again(self) -> None:
        """Ask now, whatever is known."""
        self._rounds += 1
        for port in sorted({wildcard.port for wildcard in self._sightings.wildcards}):
            self._asked[port] = dict(self._finder.ask(port, self._hosts))

    def sighted(self, sighting: Sighting) -> None:
        """A node has shown up, for this search or another."""
        if self._hosts and not chosen_by(self._hosts, sighting.via):
            return
        address = Address(sighting.host, sighting.port)
        wildcard = self._sightings.seen(address, sighting.asked, sighting.name, self._finder.now())
        if wildcard is not None:
            log.info("node {address} ({name}) is here", address=address, name=sighting.name)
            self._choices.found(address, wildcard.entry)
            self._found(Target(address, wildcard.credential, found=True))

    def failed(self, target: Target, text: str, refused: bool) -> bool:
        """See the protocol."""
        given_up = self._sightings.failed(target.address, text, refused, self._finder.now())
        if given_up:
            log.info("node {address} is not used: {text}", address=target.address, text=text)
        return given_up

    def told(self) -> list[tuple[str, str]]:
        """See the protocol."""
        patterns = {port: [w.pattern for w in self._sightings.wildcards if w.port == port] for port in self._asked}
        lines = [
            asked_for_nodes(patterns[port], port, list(asked.items()), self._rounds, len(self._sightings))
            for port, asked in self._asked.items()
        ]
        return [*lines, *self._sightings.unused()]

    def end(self) -> None:
        """See the protocol."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._finder.ended(self)


def chosen_by(hosts: Sequence[str], via: str) -> bool:
    """Whether somebody who asks on these addresses of this machine hears what came to that one."""
    return via in hosts or (ipaddress.ip_address(via).is_loopback and any(ipaddress.ip_address(each).is_loopback for each in hosts))


def own_addresses(ip_addr: Any) -> tuple[str, ...]:
    """The addresses of this machine that a cluster's ``ip_addr`` names; none for None, which means all. Host names are looked up.

    :raises TypeError: when it is neither a string nor a list of strings.
    :raises ValueError: when this machine has no such address, or it is on no network on which nodes can be asked.
    """
    if ip_addr is None:
        return ()
    given = [ip_addr] if isinstance(ip_addr, str) else ip_addr
    if not isinstance(given, (list, tuple)) or not given or not all(isinstance(each, str) and each for each in given):
        raise TypeError(f"JobCluster: ip_addr must be an address of this machine or a list of some, not {ip_addr!r}")
    addresses = tuple(_own_address(each) for each in given)
    return () if ANY in addresses else addresses


def _own_address(host: str) -> str:
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        raise ValueError(f"JobCluster: ip_addr={host!r}: {error.strerror or error}") from None
    interfaces = find_interfaces()
    if not chosen(interfaces, [address]):
        known = ", ".join(interface.address for interface in interfaces)
        raise ValueError(f"JobCluster: ip_addr={host!r}: this machine has no such address on a network; it has {known}")
    return address
