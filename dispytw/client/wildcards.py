"""Entries of ``nodes`` with a ``*``: which addresses they stand for, and what is known of the nodes that have shown up.

A wildcard is matched against the address that a node's datagram came from, from its first character to its last; ``*`` stands for any
characters, dots included. It never matches a host name, and dials nobody by itself: it selects among the nodes that were found.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs

from dispytw.client.nodes import Address, NodeAllocate

#: Addresses that are remembered, and how many of one host beside the port that was asked, where nodes are: who has many is no node.
MOST_SEEN = 4096
MOST_PORTS = 8
#: Tries after which an address is given up that has never been a node, and seconds until it may be found again: at first, and at last.
TRIES = 3
FIRST_REST, LONGEST_REST = 5.0, 600.0
#: How many of those that were not used are named to the user.
MOST_NAMED = 20

@attrs.frozen
class Wildcard:
    """An entry of a cluster with a star in it.

    :param pattern: what addresses look like.
    :param port: UDP port at which its nodes are asked.
    :param entry: the user's, which decides about the nodes.
    :param credential: what proves to them that we may.
    """

    pattern: str
    port: int
    entry: NodeAllocate
    credential: Any = attrs.field(default=None, repr=False)

    def matches(self, host: str) -> bool:
        """Whether the address is one of those."""
        return re.fullmatch(".*".join(map(re.escape, self.pattern.split("*"))), host) is not None

    @property
    def precision(self) -> int:
        """How many characters it fixes."""
        return len(self.pattern) - self.pattern.count("*")


@attrs.define(eq=False)
class _Seen:
    """An address that has shown up.

    :ivar elsewhere: whether its TCP port is another than the one that was asked by UDP.
    :ivar in_use: whether it is dialled.
    :ivar rests_until: when it may be dialled again; and how often it has been given up.
    """

    name: str
    wildcard: Wildcard | None
    elsewhere: bool
    state: str = ""
    in_use: bool = False
    failures: int = 0
    rests: int = 0
    rests_until: float = 0.0


class Sightings:
    """Which of the nodes that show up one cluster uses.

    :param wildcards: its entries; the one that fixes most decides, of equals the first.
    """

    def __init__(self, wildcards: Iterable[Wildcard]) -> None:
        self.wildcards: list[Wildcard] = []
        self._seen: dict[Address, _Seen] = {}
        self._unused: dict[Address, None] = {}
        self._of_host: Counter[str] = Counter()
        self.add(wildcards)

    def add(self, wildcards: Iterable[Wildcard]) -> None:
        """There are more entries: who has shown up, and no entry stood for it, counts as new."""
        self.wildcards = sorted([*self.wildcards, *wildcards], key=lambda wildcard: -wildcard.precision)
        for address in [address for address in self._unused if self._seen[address].wildcard is None]:
            self._forget(address)

    def seen(self, address: Address, asked: int, name: str, now: float) -> Wildcard | None:
        """A node has shown up at an address.

        :param asked: the UDP port at which it answers questions.
        :returns: the entry that wants it dialled now, or None.
        """
        seen = self._seen.get(address) or self._remembered(address, asked, name)
        if seen is None or seen.wildcard is None or seen.in_use or now < seen.rests_until:
            return None
        seen.in_use, seen.name, seen.state, seen.failures = True, name, "", 0
        del self._unused[address]
        return seen.wildcard

    def _remembered(self, address: Address, asked: int, name: str) -> _Seen | None:
        elsewhere = address.port != asked
        if (elsewhere and self._of_host[address.host] >= MOST_PORTS) or not self._has_room():
            return None
        mine = (each for each in self.wildcards if each.port == asked and each.matches(address.host))
        self._seen[address] = seen = _Seen(name, next(mine, None), elsewhere)
        self._unused[address] = None
        self._of_host[address.host] += elsewhere
        return seen

    def _has_room(self) -> bool:
        if len(self._seen) < MOST_SEEN:
            return True
        oldest = next(iter(self._unused), None)
        if oldest is None:
            return False
        self._forget(oldest)
        return True

    def _forget(self, address: Address) -> None:
        del self._unused[address]
        self._of_host[address.host] -= self._seen.pop(address).elsewhere
        if not self._of_host[address.host]:
            del self._of_host[address.host]

    def failed(self, address: Address, text: str, refused: bool, now: float) -> bool:
        """An address that has never been a node of ours could not be used.

        :param refused: whether somebody there said so: another secret, say.
        :returns: whether it is given up; when it has shown up again later, it is dialled again.
        """
        seen = self._seen.get(address)
        if seen is None or not seen.in_use:
            return False
        seen.state, seen.failures = text, seen.failures + 1
        if not refused and seen.failures < TRIES:
            return False
        seen.in_use = False
        self._unused[address] = None
        seen.rests_until = now + min(LONGEST_REST, FIRST_REST * 2.0**seen.rests)
        seen.rests = min(seen.rests + 1, 10)
        return True

    def unused(self) -> list[tuple[str, str]]:
        """Who has shown up and is not dialled: each with what came of it, for the user."""
        named = [(address, self._seen[address]) for address in itertools.islice(self._unused, MOST_NAMED)]
        lines = [(_named(address, seen.name), _state(seen)) for address, seen in named]
        return [*lines, ("…", f"{len(self._unused) - MOST_NAMED} more")] if len(self._unused) > MOST_NAMED else lines

    def __len__(self) -> int:
        return len(self._seen)


def _named(address: Address, name: str) -> str:
    return f"{address} ({name})" if name else str(address)


def _state(seen: _Seen) -> str:
    return "answered; no entry of nodes stands for it" if seen.wildcard is None else f"answered; {seen.state}"
