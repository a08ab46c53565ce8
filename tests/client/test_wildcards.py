"""Which addresses a wildcard stands for, and which of the nodes that show up a cluster uses."""

from __future__ import annotations

import unittest

from dispytw.client.nodes import Address, NodeAllocate
from dispytw.client.wildcards import (
    FIRST_REST,
    LONGEST_REST,
    MOST_NAMED,
    MOST_PORTS,
    MOST_SEEN,
    TRIES,
    Sightings,
    Wildcard,
)

PORT = 51348


def wildcard(pattern: str, port: int = PORT) -> Wildcard:
    """An entry."""
    return Wildcard(pattern, port, NodeAllocate(pattern))


class Matching(unittest.TestCase):
    """Addresses."""

    def test_anchored(self) -> None:
        """From the first character to the last, any characters for a star, and nothing but itself for a dot."""
        for pattern, host, expected in (
            ("*", "192.168.3.7", True),
            ("192.168.3.*", "192.168.3.7", True),
            ("192.168.3.*", "192.168.30.7", False),
            ("192.168.3.*", "1192.168.3.7", False),
            ("192.*", "192.168.3.7", True),
            ("192.*.7", "192.168.3.7", True),
            ("192.*.7", "192.168.3.71", False),
            ("*.7", "192.168.3.7", True),
            ("10.0.0.1*", "10.0.0.15", True),
            ("10.0.0.1*", "10.0.0.1", True),
            ("10.0.0.*1", "10.0.0.15", False),
            ("192.168.*", "192x168.3.7", False),
            ("fe80::*", "fe80::1", True),
        ):
            self.assertEqual(expected, wildcard(pattern).matches(host), (pattern, host))


class Choosing(unittest.TestCase):
    """Which entry takes which node."""

    def chosen(self, host: str, *patterns: str) -> str | None:
        """The entry that takes a node at this address."""
        taken = Sightings(map(wildcard, patterns)).seen(Address(host, PORT), PORT, "", 0.0)
        return taken.pattern if taken else None

    def test_the_most_precise(self) -> None:
        """Of the entries that match, the one that fixes most; of equals the first."""
        for patterns in (("*", "10.0.*", "10.0.0.*"), ("10.0.0.*", "10.0.*", "*")):
            self.assertEqual("10.0.0.*", self.chosen("10.0.0.7", *patterns))
            self.assertEqual("10.0.*", self.chosen("10.0.9.7", *patterns))
            self.assertEqual("*", self.chosen("11.0.0.7", *patterns))
        self.assertEqual("10.0.*", self.chosen("10.0.0.7", "10.0.*", "*0.0.7"))

    def test_none(self) -> None:
        """A node for which no entry stands is not used, and is told of."""
        self.assertIsNone(self.chosen("10.0.0.7", "192.168.*"))
        sightings = Sightings([wildcard("192.168.*")])
        sightings.seen(Address("10.0.0.7", PORT), PORT, "node7", 0.0)
        self.assertEqual([("10.0.0.7:51348 (node7)", "answered; no entry of nodes stands for it")], sightings.unused())

    def test_ports(self) -> None:
        """An entry with a port is for the nodes that were asked there, whatever TCP port they have."""
        sightings = Sightings([wildcard("10.*", 5), wildcard("*", 6)])
        for asked, pattern in ((5, "10.*"), (6, "*"), (7, None)):
            taken = sightings.seen(Address(f"10.0.0.{asked}", 9), asked, "", 0.0)
            self.assertEqual(pattern, taken and taken.pattern)


class Adding(unittest.TestCase):
    """Entries that come later."""

    def test_no_entry_before(self) -> None:
        """A node for which none stood is found when it shows up again; one that is dialled stays with its entry."""
        sightings = Sightings([wildcard("10.*")])
        there, elsewhere = Address("10.0.0.7", PORT), Address("192.168.0.7", PORT)
        for address in (there, elsewhere):
            sightings.seen(address, PORT, "", 0.0)
        sightings.add([wildcard("192.*"), wildcard("10.0.*")])
        self.assertEqual(["10.0.*", "192.*", "10.*"], [each.pattern for each in sightings.wildcards])
        self.assertIsNone(sightings.seen(there, PORT, "", 0.0))
        taken = sightings.seen(elsewhere, PORT, "", 0.0)
        self.assertEqual("192.*", taken and taken.pattern)


class Using(unittest.TestCase):
    """One address in the course of time."""

    def setUp(self) -> None:
        self.sightings = Sightings([wildcard("*")])

    def seen(self, now: float, host: str = "10.0.0.7", port: int = PORT) -> bool:
        """Whether a node that shows up is to be dialled."""
        return self.sightings.seen(Address(host, port), PORT, "node7", now) is not None

    def failed(self, now: float, refused: bool, text: str = "why", host: str = "10.0.0.7") -> bool:
        """Whether an address that failed is given up."""
        return self.sightings.failed(Address(host, PORT), text, refused, now)

    def test_once(self) -> None:
        """A node is dialled once, however often it shows up; one port is not another."""
        self.assertEqual([True, False, False], [self.seen(0.0) for _ in range(3)])
        self.assertTrue(self.seen(0.0, port=7))
        self.assertEqual((2, []), (len(self.sightings), self.sightings.unused()))

    def test_refused(self) -> None:
        """Who holds another secret is given up at once, and rests longer each time; then it is tried again."""
        rests, now = [], 0.0
        for _ in range(12):
            self.assertTrue(self.seen(now))
            self.assertTrue(self.failed(now, True))
            began = now
            while not self.seen(now):
                now += 1.0
            self.failed(now, True)
            rests.append(now - began)
            now += LONGEST_REST
        self.assertEqual(FIRST_REST, rests[0])
        self.assertEqual(LONGEST_REST, rests[-1])
        self.assertEqual(sorted(rests), rests)

    def test_silent(self) -> None:
        """Where nobody listens it is tried so often before it is given up; a try that is not ours counts for nothing."""
        self.seen(0.0)
        self.assertEqual([False] * (TRIES - 1) + [True], [self.failed(0.0, False) for _ in range(TRIES)])
        self.assertFalse(self.failed(0.0, False))
        self.assertFalse(self.failed(0.0, True, host="10.0.0.8"))
        self.assertTrue(self.seen(FIRST_REST))
        self.assertEqual([False] * (TRIES - 1) + [True], [self.failed(0.0, False) for _ in range(TRIES)])

    def test_told(self) -> None:
        """Of who was given up, the last reason; so many are named."""
        self.seen(0.0)
        self.failed(0.0, True, "wrong secret")
        self.assertEqual([("10.0.0.7:51348 (node7)", "answered; wrong secret")], self.sightings.unused())
        for i in range(MOST_NAMED + 5):
            self.seen(0.0, f"10.0.1.{i}")
            self.failed(0.0, True, host=f"10.0.1.{i}")
        self.assertEqual((MOST_NAMED + 1, ("…", "6 more")), (len(self.sightings.unused()), self.sightings.unused()[-1]))


class Attacking(unittest.TestCase):
    """Hints that somebody has made up."""

    def setUp(self) -> None:
        self.sightings = Sightings([wildcard("*")])

    def test_ports_of_one_host(self) -> None:
        """Nobody makes a client look at all ports of a host, or keeps it from the one where nodes are."""
        dialled = sum(self.sightings.seen(Address("10.0.0.7", port), PORT, "", 0.0) is not None for port in range(1, 60000))
        self.assertEqual(MOST_PORTS + 1, dialled)  # one is where nodes are
        self.assertIsNotNone(self.sightings.seen(Address("10.0.0.8", PORT), PORT, "", 0.0))

    def test_many_hosts(self) -> None:
        """So many are remembered; the oldest that is no use makes room, and one that is dialled stays."""
        for i in range(3 * MOST_SEEN):
            address = Address(f"10.{i // 65536}.{i // 256 % 256}.{i % 256}", PORT)
            self.sightings.seen(address, PORT, "", 0.0)
            if i:
                self.sightings.failed(address, "", True, 0.0)
        self.assertEqual(MOST_SEEN, len(self.sightings))
        self.assertIsNone(self.sightings.seen(Address("10.0.0.0", PORT), PORT, "", 1e9))

    def test_room_for_many_hosts_with_many_ports(self) -> None:
        """Nothing is remembered of those that had to make room."""
        for i in range(3 * MOST_SEEN):
            address = Address(f"10.{i // 65536}.{i // 256 % 256}.{i % 256}", 7)
            self.sightings.seen(address, PORT, "", 0.0)
            self.sightings.failed(address, "", True, 0.0)
        self.assertEqual((MOST_SEEN, MOST_SEEN), (len(self.sightings), len(self.sightings._of_host)))

    def test_all_in_use(self) -> None:
        """When all that are remembered are dialled, no more are."""
        for i in range(MOST_SEEN):
            self.assertIsNotNone(self.sightings.seen(Address(f"10.0.{i // 256}.{i % 256}", PORT), PORT, "", 0.0))
        self.assertIsNone(self.sightings.seen(Address("10.9.9.9", PORT), PORT, "", 0.0))
        self.assertEqual(MOST_SEEN, len(self.sightings))
