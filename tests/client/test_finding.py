"""When a cluster asks for nodes, what it does with those that show up, and what it says of it."""

from __future__ import annotations

import itertools
import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dispytw.client import finding
from dispytw.client.enrolled import Target
from dispytw.client.finding import JITTER, PAUSES, Finder, Search, own_addresses
from dispytw.client.nodes import Address, Choices, NodeAllocate
from dispytw.client.wildcards import Wildcard
from dispytw.discovery import udp
from dispytw.discovery.beacon import Presence
from dispytw.discovery.interfaces import ANY, Interface
from dispytw.discovery.udp import Answerer, Surroundings
from tests.discovery.network import Machine, Socket

PORT = 51348


class Networks(SynchronousTestCase):
    """A desk and a node on one network in memory."""

    def setUp(self) -> None:
        self.desk, self.node = Machine(Interface("10.0.0.1", 24)), Machine(Interface("10.0.0.7", 24))
        self.desk.joined(self.node)
        self.patch(udp, "_open_shared", self._shared)
        self.finder = Finder(self.desk, self.desk.seconds, random.Random(1))
        self.finder.surroundings = Surroundings(self.desk.seconds, self.desk.find)
        self.choices = Choices()
        self.found: list[Target] = []
        self.served = False

    @staticmethod
    def _shared(machine: Machine, protocol: Any, host: str, port: int) -> Socket:
        return machine._opened(port, protocol, host, 300, True)

    def answerer(self, machine: Machine, host: str = ANY, port: int = PORT) -> Answerer:
        """A node that answers."""
        surroundings = Surroundings(machine.seconds, machine.find)
        answerer = Answerer(machine, Presence(b"n" * 16, port, "node7"), host, port, machine.seconds, surroundings)
        answerer.open()
        return answerer

    def search(self, *patterns: str, port: int = PORT, hosts: tuple[str, ...] = (), ping_interval: float | None = None) -> Search:
        """A search that has begun."""
        wildcards = [Wildcard(pattern, port, NodeAllocate(pattern), "credential") for pattern in patterns]
        search = self.finder.search(wildcards, self.choices, hosts, ping_interval)
        search.begin(self.found.append, lambda: self.served)
        self.addCleanup(search.end)
        return search

    def questions(self, seconds: float) -> list[float]:
        """When questions were asked in these seconds."""
        times: list[float] = []
        for _ in range(int(seconds * 20)):
            before = len(self.desk.sent)
            self.desk.advance(0.05)
            times += [self.desk.seconds()] * (len(self.desk.sent) > before)
        return times


class Asking(Networks):
    """When it is asked."""

    def test_nothing_to_look_for(self) -> None:
        """A cluster without wildcards asks nobody, opens no socket, and hears nothing of what others find."""
        search = self.search()
        search.ask_again()
        self.assertEqual(([], [], []), (self.desk.sockets, self.desk.getDelayedCalls(), search.told()))
        self.answerer(self.node)
        self.search("*").end()
        self.assertEqual(1, len(self.found))

    def test_at_the_beginning(self) -> None:
        """At once, and twice more within seconds, since datagrams get lost, even if a node is there; then no more."""
        self.served = True
        self.search("*")
        self.assertEqual(3, len(self.desk.sent))
        times = self.questions(300)
        self.assertEqual(2, len(times))
        self.assertApproximates(0.5, times[0], 0.5 * JITTER + 0.06)
        self.assertApproximates(2.0, times[1], 2.0 * JITTER + 0.06)

    def test_as_long_as_there_is_none(self) -> None:
        """Less and less often, every minute in the end; and again when the last node is gone."""
        self.search("*")
        times = self.questions(sum(PAUSES) + 300)
        pauses = [after - before for before, after in zip([0.0, *times], times)]
        for pause, expected in zip(pauses, [*PAUSES, *[PAUSES[-1]] * 4]):
            self.assertApproximates(expected, pause, expected * JITTER + 0.11)
        self.assertEqual(len(times), len(set(times)))
        self.served = True
        self.assertEqual([], self.questions(300))
        self.served = False
        self.assertEqual(1, len(self.questions(60 * (1 + JITTER))))

    def test_ping_interval(self) -> None:
        """For ever, about so often, whether or not there is a node."""
        for self.served in (True, False):
            search = self.search("*", ping_interval=5)
            times = self.questions(63)[2:]
            self.assertGreaterEqual(len(times), 60 / (5 * (1 + JITTER)) - 1)
            self.assertLessEqual(len(times), 60 / (5 * (1 - JITTER)) + 1)
            self.assertGreater(len({round(b - a, 1) for a, b in itertools.pairwise(times)}), 3, "no jitter")
            search.end()

    def test_a_long_ping_interval(self) -> None:
        """Does not slow down the search for the first node."""
        self.search("*", ping_interval=1000)
        self.assertGreaterEqual(len(self.questions(100)), 6)

    def test_again(self) -> None:
        """Somebody may want it asked now; what was found by then is found no second time."""
        self.answerer(self.node)
        search = self.search("*")
        self.questions(10)
        before = len(self.desk.sent)
        search.ask_again()
        self.assertEqual((before + 3, 1), (len(self.desk.sent), len(self.found)))

    def test_ports(self) -> None:
        """Each port that an entry names is asked, once for all its entries."""
        wildcards = [Wildcard(pattern, port, NodeAllocate(pattern)) for pattern, port in (("*", 5000), ("10.*", 5000), ("10.*", 6000))]
        search = self.finder.search(wildcards, self.choices)
        search.begin(self.found.append, lambda: True)
        self.addCleanup(search.end)
        self.assertEqual([5000] * 3 + [6000] * 3, [port for *_, port in self.desk.sent])

    def test_end(self) -> None:
        """Nothing is asked any more; the last search closes the sockets, and the next opens them again."""
        first, second = self.search("*"), self.search("*")
        first.end()
        self.assertNotEqual([], self.desk.open_sockets())
        second.end()
        self.assertEqual(([], []), (self.desk.open_sockets(), self.desk.getDelayedCalls()))
        self.answerer(self.node)
        self.search("*")
        self.assertEqual(["10.0.0.7:51348"], [str(target.address) for target in self.found])

    def test_forked(self) -> None:
        """A forked copy closes what it has inherited, if there is something."""
        self.finder.abandon()
        self.search("*")
        closed: list[Any] = []
        for each in self.desk.sockets:
            each.socket = type("Real", (), {"close": lambda self: closed.append(self)})()
        self.finder.abandon()
        self.assertEqual(4, len(closed))


class Finding(Networks):
    """What becomes of nodes that show up."""

    def test_found(self) -> None:
        """The address that it came from is dialled with the entry's credential, as one that nobody has named; the entry decides."""
        self.answerer(self.node)
        self.search("10.0.*")
        self.assertEqual([Target(Address("10.0.0.7", PORT), "credential")], self.found)
        self.assertTrue(self.found[0].found)
        self.assertEqual("10.0.*", self.choices.exact[Address("10.0.0.7", PORT)].host)

    def test_named_as_well(self) -> None:
        """An entry that names the address decides about it all the same."""
        self.choices.exact[Address("10.0.0.7", PORT)] = named = NodeAllocate("10.0.0.7", cpus=1)
        self.answerer(self.node)
        self.search("*")
        self.assertIs(named, self.choices.exact[Address("10.0.0.7", PORT)])

    def test_not_matching(self) -> None:
        """A node for which no entry stands is not dialled, and the reminder says so."""
        self.answerer(self.node)
        search = self.search("192.168.*")
        self.assertEqual([], self.found)
        self.assertEqual(("10.0.0.7:51348 (node7)", "answered; no entry of nodes stands for it"), search.told()[-1])

    def test_later(self) -> None:
        """A node that starts later says so itself."""
        self.search("*")
        self.questions(10)
        answerer = self.answerer(self.node)
        self.assertEqual([], self.found)
        answerer.announce()
        self.assertEqual(1, len(self.found))

    def test_two_clusters(self) -> None:
        """Each has its own entries; what one asks serves the other."""
        self.search("10.*")
        self.questions(10)
        self.answerer(self.node)
        self.search("*")
        self.assertEqual(2, len(self.found))

    def test_on_one_network(self) -> None:
        """A cluster that is restricted to an address of this machine uses what is found there, whoever has asked."""
        self.answerer(self.node)
        self.answerer(self.desk)
        self.search("*", hosts=("127.0.0.2",))
        self.assertEqual(["127.0.0.1"], [target.address.host for target in self.found])
        self.search("*", hosts=("10.0.0.1",))
        self.assertEqual(["10.0.0.1", "10.0.0.7"], sorted(target.address.host for target in self.found[1:]))

    def test_more_entries(self) -> None:
        """A cluster may have more of them later, and even its first: what they stand for is asked for, and found."""
        self.answerer(self.node)
        self.answerer(self.node, port=60000)
        more = [Wildcard("10.*", port, NodeAllocate("10.*"), "credential") for port in (PORT, 60000)]
        for search in (self.search(), self.search("192.168.*")):
            self.questions(100)
            search.look_for(more[:1])
            search.look_for(more[1:])
            self.assertEqual(["10.0.0.7:51348", "10.0.0.7:60000"], [str(target.address) for target in self.found])
            self.found.clear()
            search.end()
        self.assertEqual([], self.desk.getDelayedCalls())

    def test_given_up(self) -> None:
        """A node that refuses us is dropped, told of, and found again when it has rested."""
        answerer = self.answerer(self.node)
        search = self.search("*")
        self.assertTrue(search.failed(self.found[0], "wrong secret", True))
        self.assertEqual(("10.0.0.7:51348 (node7)", "answered; wrong secret"), search.told()[-1])
        answerer.announce()
        self.assertEqual(1, len(self.found))
        self.desk.advance(5)
        answerer.announce()
        self.assertEqual(2, len(self.found))
        self.assertFalse(search.failed(self.found[0], "refused", False))


class Telling(Networks):
    """What is said to a user who waits."""

    def test_nobody(self) -> None:
        """Which entries, how often and where it was asked, and what to do."""
        search = self.search("*", "10.*")
        self.assertEqual(
            [(
                "10.*, *",
                "asked 1 time by UDP at 127.0.0.1, 127.255.255.255, 10.0.0.255, port 51348; nobody answered: start 'dispynode' here, or "
                "on other machines with a secret that both share; let UDP and TCP port 51348 pass their firewalls; or name the nodes",
            )],
            search.told(),
        )

    def test_somebody(self) -> None:
        """How many have answered; what came of those that are dialled, the session says."""
        self.answerer(self.node)
        search = self.search("*", hosts=("10.0.0.1",))
        search.ask_again()
        self.assertEqual([("*", "asked 2 times by UDP at 10.0.0.255, port 51348; 1 answered")], search.told())

    def test_no_network(self) -> None:
        """Where there is no network to ask, and where asking fails, it says so."""
        search = self.search("*", hosts=("10.0.0.1",))
        self.desk.sockets[-1].trouble = OSError(1, "Operation not permitted")
        search.ask_again()
        self.assertIn("at 10.0.0.255 (Operation not permitted), port", search.told()[0][1])
        self.desk.interfaces.clear()
        self.desk.advance(20)
        self.assertIn("by UDP at no network, port", search.told()[0][1])


class Parameters(SynchronousTestCase):
    """What programs pass."""

    def setUp(self) -> None:
        self.patch(finding, "find_interfaces", lambda: [Interface("127.0.0.1", 8), Interface("10.0.0.1", 24)])

    def test_addresses(self) -> None:
        """One, several, or names; nothing, or the address that means all, for all."""
        for given, expected in (
            (None, ()),
            ("10.0.0.1", ("10.0.0.1",)),
            (["10.0.0.1", "localhost"], ("10.0.0.1", "127.0.0.1")),
            (("127.0.0.2",), ("127.0.0.2",)),
            ("0.0.0.0", ()),
        ):
            self.assertEqual(expected, own_addresses(given))

    def test_no_addresses(self) -> None:
        """What is none of this machine's is an error that says which it has; what is no address, another."""
        with self.assertRaisesRegex(ValueError, r"^JobCluster: ip_addr='10\.0\.0\.2': .*it has 127\.0\.0\.1, 10\.0\.0\.1"):
            own_addresses("10.0.0.2")
        with self.assertRaisesRegex(ValueError, r"^JobCluster: ip_addr='::1': "):
            own_addresses("::1")
        for wrong in (5, "", [], [""], [5], b"10.0.0.1"):
            with self.assertRaisesRegex(TypeError, "^JobCluster: ip_addr must be an address of this machine or a list"):
                own_addresses(wrong)
