"""Who may greet, and how often: the bounds that stand before anything costly. Pure; ``now`` is monotonic seconds."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

#: Greetings a second, and at once: from one address, and in all. One costs about 8 ms of a processor at each end.
ADDRESS_RATE, ADDRESS_BURST = 10.0, 40.0
TOTAL_RATE, TOTAL_BURST = 40.0, 120.0
#: Addresses that are remembered.
MOST_ADDRESSES = 4096
#: Connections that have not greeted yet, at most. More than a reactor accepts in two turns (100 or so), so that the first word of
#: a good client is read before enough others have come to push it out.
MOST_STRANGERS = 256
#: Seconds between two log lines about one address.
QUIET = 10.0

Stranger = TypeVar("Stranger")


@attrs.define
class Bucket:
    """Fills by so many tokens a second; each greeting takes one.

    :param rate: tokens a second.
    :param burst: tokens that it holds.
    :param filled: tokens in it.
    :param at: when that was so.
    """

    rate: float
    burst: float
    filled: float
    at: float

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        self.filled = min(self.burst, self.filled + (now - self.at) * self.rate)
        self.at = now
        if self.filled < 1:
            return False
        self.filled -= 1
        return True


class Admission:
    """Token buckets, one for each address and one for all; and whether a line about an address may be logged.

    :param now: the time at the start.
    """

    def __init__(self, now: float) -> None:
        self._total = Bucket(TOTAL_RATE, TOTAL_BURST, TOTAL_BURST, now)
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()
        self._logged: OrderedDict[str, float] = OrderedDict()

    def admits(self, host: str, now: float) -> bool:
        """Whether a greeting from the address may be answered now; takes a token if so."""
        address = neighbourhood(host)
        bucket = self._addresses.get(address)
        if bucket is None:
            bucket = Bucket(ADDRESS_RATE, ADDRESS_BURST, ADDRESS_BURST, now)
        _remember(self._addresses, address, bucket)
        return bucket.take(now) and self._total.take(now)

    def may_log(self, host: str, now: float) -> bool:
        """Whether a line about the address may be logged now; the next may in `QUIET` seconds."""
        address = neighbourhood(host)
        last = self._logged.get(address)
        if last is not None and now - last < QUIET:
            return False
        _remember(self._logged, address, now)
        return True


def neighbourhood(host: str) -> str:
    """What one machine can call itself: an IPv4 address, or the 64-bit network of an IPv6 address, which holds 2**64 of them."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))


def _remember(table: OrderedDict[str, Stranger], key: str, value: Stranger) -> None:
    """Keep the latest `MOST_ADDRESSES`."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > MOST_ADDRESSES:
        table.popitem(last=False)


class Lobby(Generic[Stranger]):
    """Where strangers wait until they have greeted: so many, and then one must go for each that comes.

    The first to go is the longest here of those who have said nothing at all, then of those whose hello has not come. A stranger whose
    hello has been admitted (it took a token, so there are few) goes only when there is nobody else.

    :param most: places.
    :param has_spoken: whether a stranger has said anything.
    """

    def __init__(self, has_spoken: Callable[[Stranger], bool], most: int = MOST_STRANGERS) -> None:
        self._has_spoken = has_spoken
        self._most = most
        self._waiting: dict[Stranger, None] = {}
        self._greeting: dict[Stranger, None] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._greeting)

    def enter(self, stranger: Stranger) -> Stranger | None:
        """A stranger has come; the one who must go for it, if any."""
        pushed = None
        if len(self) >= self._most:
            pushed = self._least_promising()
            self.leave(pushed)
        self._waiting[stranger] = None
        return pushed

    def _least_promising(self) -> Stranger:
        silent = (stranger for stranger in self._waiting if not self._has_spoken(stranger))
        return next(silent, next(iter(self._waiting or self._greeting)))

    def greets(self, stranger: Stranger) -> None:
        """Its hello has been admitted."""
        if stranger in self._waiting:
            del self._waiting[stranger]
            self._greeting[stranger] = None

    def leave(self, stranger: Stranger) -> None:
        """It is a stranger no more, or gone; said of one who has left, it changes nothing."""
        self._waiting.pop(stranger, None)
        self._greeting.pop(stranger, None)
