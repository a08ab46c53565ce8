"""A node's and a client's sockets, over networks in memory."""

from __future__ import annotations

import errno
import random
import socket
from unittest import mock

from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dispytw.discovery import udp
from dispytw.discovery.beacon import SIZE, Presence, Question, packed
from dispytw.discovery.interfaces import ANY, Interface
from dispytw.discovery.udp import Answerer, Asker, DiscoverySocket, Sighting, Surroundings, find_interfaces, open_ear
from tests.discovery.network import Machine, Socket

PORT = 51348
QUESTION = packed(Question(b"t" * 8))


class Networks(SynchronousTestCase):
    """A desk and a node on one network, all in memory; real sockets are bound to nothing."""

    def setUp(self) -> None:
        self.desk, self.node = Machine(Interface("10.0.0.1", 24)), Machine(Interface("10.0.0.7", 24))
        self.desk.joined(self.node)
        self.chance = random.Random(1)
        self.seen: list[Sighting] = []
        self.patch(udp, "_open_shared", self._shared)

    @staticmethod
    def _shared(machine: Machine, ear: DiscoverySocket, host: str, port: int) -> Socket:
        return machine._opened(port, ear, host, SIZE + 1, True)

    def answerer(self, machine: Machine, host: str = ANY, port: int = PORT, name: str = "node7") -> Answerer:
        """A node's end, which hears."""
        presence = Presence(b"n" * 16, port, name)
        answerer = Answerer(machine, presence, host, port, machine.seconds, Surroundings(machine.seconds, machine.find))
        answerer.open()
        return answerer

    def asker(self, machine: Machine) -> Asker:
        """A client's end."""
        surroundings = Surroundings(machine.seconds, machine.find)
        return Asker(machine, self.seen.append, machine.seconds, surroundings, self.chance.randbytes)


class Asking(Networks):
    """Questions and answers."""

    def test_a_neighbour(self) -> None:
        """It answers; its host is where the answer came from, its port what the answer says."""
        self.answerer(self.node)
        asked = self.asker(self.desk).ask(PORT)
        self.assertEqual([("127.0.0.1", ""), ("127.255.255.255", ""), ("10.0.0.255", "")], asked)
        self.assertEqual([Sighting("10.0.0.7", PORT, PORT, "10.0.0.1", "node7")], self.seen)

    def test_ourselves(self) -> None:
        """A node on this machine is found by each of its addresses."""
        self.answerer(self.desk)
        self.asker(self.desk).ask(PORT)
        self.assertEqual({("127.0.0.1", "127.0.0.1"), ("10.0.0.1", "10.0.0.1")}, {(each.host, each.via) for each in self.seen})

    def test_loopback_only(self) -> None:
        """A node on 127.0.0.1 hears this machine, and nobody else."""
        answerer = self.answerer(self.node, "127.0.0.1")
        self.asker(self.desk).ask(PORT)
        self.assertEqual(([], 0), (self.seen, answerer.answering.dropped))
        self.asker(self.node).ask(PORT)
        self.assertEqual({"127.0.0.1"}, {each.host for each in self.seen})

    def test_a_node_on_one_address(self) -> None:
        """Hears what comes to it and what is broadcast on its network, which others of its machine may share."""
        self.node.interfaces.append(Interface("10.9.0.7", 24))
        self.answerer(self.node, "10.0.0.7")
        self.assertEqual([("10.0.0.255", PORT), ("10.0.0.7", PORT)], self.node.open_sockets())
        self.assertEqual({True: "10.0.0.255", False: "10.0.0.7"}, {each.shared: each.host for each in self.node.sockets})
        self.asker(self.desk).ask(PORT)
        self.assertEqual(["10.0.0.7"], [each.host for each in self.seen])

    def test_another_port(self) -> None:
        """Nodes are asked where they are said to listen."""
        self.answerer(self.node, port=60000)
        asker = self.asker(self.desk)
        asker.ask(PORT)
        self.assertEqual([], self.seen)
        asker.ask(60000)
        self.assertEqual([(60000, 60000)], [(each.port, each.asked) for each in self.seen])

    def test_on_one_network(self) -> None:
        """A client may ask on some of its addresses only; no socket is opened on others."""
        self.answerer(self.node)
        self.answerer(self.desk, port=PORT)
        self.assertEqual(["127.0.0.1", "127.255.255.255"], [place for place, _ in self.asker(self.desk).ask(PORT, ["127.0.0.1"])])
        self.assertEqual({"127.0.0.1"}, {each.host for each in self.seen})
        self.assertEqual({"127.0.0.1", "127.255.255.255", ANY}, {host for host, _ in self.desk.open_sockets()})

    def test_asked_from_each_address(self) -> None:
        """And from the same socket each time: its port is free, so that any number of clients can ask."""
        asker = self.asker(self.desk)
        asker.ask(PORT)
        before = self.desk.open_sockets()
        asker.ask(PORT)
        self.assertEqual(before, self.desk.open_sockets())
        self.assertEqual({"127.0.0.1", "10.0.0.1"}, {source for _, source, _, _ in self.desk.sent})
        self.assertEqual(2, len({datagram for datagram, *_ in self.desk.sent}))
        self.asker(self.desk).ask(PORT)
        self.assertEqual(2 * len(before), len(self.desk.open_sockets()))

    def test_networks_come_and_go(self) -> None:
        """An interface that is new is asked the next time, after ten seconds at most."""
        asker = self.asker(self.desk)
        asker.ask(PORT)
        self.desk.interfaces.append(Interface("10.9.0.1", 24))
        self.assertNotIn(("10.9.0.255", ""), asker.ask(PORT))
        self.assertEqual(1, self.desk.looks)
        self.desk.advance(udp.STEADY)
        self.assertIn(("10.9.0.255", ""), asker.ask(PORT))

    def test_a_machine_that_does_not_tell(self) -> None:
        """What was known stays known; nothing raises."""
        surroundings = Surroundings(self.desk.seconds, self.desk.find)
        before = surroundings.look()
        self.patch(surroundings, "_find", mock.Mock(side_effect=OSError(errno.ENODEV, "No such device")))
        self.desk.advance(udp.STEADY)
        with capturedLogs() as logged:
            self.assertEqual(before, surroundings.look())
        self.assertEqual(1, len(logged))
        self.assertEqual([], Surroundings(self.desk.seconds, mock.Mock(side_effect=PermissionError())).look())

    def test_troubles(self) -> None:
        """A network on which nothing can be sent is said, and the others are asked."""
        asker = self.asker(self.desk)
        asker.ask(PORT)
        self.desk.sockets[3].trouble = OSError(errno.ENETUNREACH, "Network is unreachable")
        self.assertEqual("10.0.0.1", self.desk.sockets[3].host)
        self.assertEqual(("10.0.0.255", "Network is unreachable"), asker.ask(PORT)[-1])
        self.desk.taken |= {("10.0.0.1", port) for port in range(40000, 50000)}
        self.assertIn("Address already in use", str(self.asker(self.desk).ask(PORT)[-1]))

    def test_closing(self) -> None:
        """No socket is left; it may be used again."""
        answerer, asker = self.answerer(self.node, "10.0.0.7"), self.asker(self.desk)
        asker.ask(PORT)
        for end in (answerer, asker):
            self.successResultOf(end.close())
        self.assertEqual(([], []), (self.desk.open_sockets(), self.node.open_sockets()))
        asker.ask(PORT)
        self.assertEqual(4, len(self.desk.open_sockets()))

    def test_forked(self) -> None:
        """A forked copy closes what it has inherited."""
        asker = self.asker(self.desk)
        asker.ask(PORT)
        for each in self.desk.sockets:
            each.socket = mock.Mock()
        asker.abandon()
        self.assertEqual(4, sum(each.socket.close.called for each in self.desk.sockets))


class Announcing(Networks):
    """Nodes that say by themselves that they are here."""

    def test_neighbours_hear_it(self) -> None:
        """Every client that has asked, at the port below; on the machine itself by loopback too."""
        askers = [self.asker(self.desk), self.asker(self.desk), self.asker(self.node)]
        for asker in askers:
            asker.ask(PORT)
        self.node.sent.clear()
        self.answerer(self.node).announce()
        self.assertEqual(["10.0.0.7"] * 3 + ["127.0.0.1"], sorted(each.host for each in self.seen))
        self.assertEqual({(PORT, PORT)}, {(each.port, each.asked) for each in self.seen})
        self.assertEqual({("127.255.255.255", PORT - 1), ("10.0.0.255", PORT - 1)}, {(host, port) for *_, host, port in self.node.sent})

    def test_on_its_own_network_only(self) -> None:
        """A node on one address announces itself there."""
        self.answerer(self.node, "127.0.0.1").announce()
        self.assertEqual({"127.255.255.255"}, {host for *_, host, _ in self.node.sent})

    def test_nobody_has_asked(self) -> None:
        """A client that looks for no nodes hears nothing."""
        self.asker(self.desk)
        self.answerer(self.node).announce()
        self.assertEqual(([], []), (self.seen, self.desk.open_sockets()))

    def test_a_port_that_is_taken(self) -> None:
        """The client does without announcements; a node that cannot hear says so, and goes on."""
        self.desk.taken |= {("10.0.0.255", PORT - 1), ("127.255.255.255", PORT - 1)}
        self.answerer(self.node)
        self.asker(self.desk).ask(PORT)
        self.assertEqual(["10.0.0.7"], [each.host for each in self.seen])
        self.node.taken |= {(ANY, 60000)}
        answerer = Answerer(self.node, Presence(b"n" * 16, 1, ""), ANY, 60000, self.node.seconds, Surroundings(self.node.seconds, self.node.find))
        self.assertIn("UDP port 60000 on 0.0.0.0: [Errno 98] Address already in use", answerer.open())
        answerer.announce()

    def test_no_network(self) -> None:
        """A node on an address that is on no IPv4 network says that it cannot be found, and opens nothing."""
        for host in ("::1", "10.9.0.1"):
            answerer = Answerer(self.node, Presence(b"n" * 16, PORT, ""), host, PORT, self.node.seconds, Surroundings(self.node.seconds, self.node.find))
            self.assertEqual(f"{host} is on no IPv4 network with a broadcast address", answerer.open())
            answerer.announce()
        self.assertEqual([], self.node.sockets)

    def test_closed(self) -> None:
        """A node that has ended announces nothing."""
        answerer = self.answerer(self.node)
        answerer.close()
        answerer.announce()
        self.assertEqual([], self.node.sent)


class Attacking(Networks):
    """Datagrams from whoever wants to abuse it."""

    def setUp(self) -> None:
        super().setUp()
        self.answering = self.answerer(self.node).answering
        (self.ear,) = self.node.sockets

    def test_an_invented_source_elsewhere(self) -> None:
        """Nothing is sent to who is no neighbour, to a network as a whole, or to no port."""
        for source in (("8.8.8.8", 53), ("10.0.1.1", 5), ("10.0.0.255", 5), ("255.255.255.255", 5), ("0.0.0.0", 5), ("10.0.0.1", 0)):
            self.ear.receive(QUESTION, *source)
        self.assertEqual(([], 6), (self.node.sent, self.answering.dropped))

    def test_an_invented_source_nearby(self) -> None:
        """Gets an answer that is no longer than the question, so many times."""
        for _ in range(1000):
            self.ear.receive(QUESTION, "10.0.0.9", 53)
        self.assertLessEqual(len(self.node.sent), 40)
        self.assertEqual({SIZE}, {len(datagram) for datagram, *_ in self.node.sent})

    def test_another_node_as_source(self) -> None:
        """Two nodes that are made to answer each other do not go on: an answer is no question."""
        other = self.answerer(self.desk)
        self.ear.receive(QUESTION, "10.0.0.1", PORT)
        self.assertEqual((1, 1, 1), (len(self.node.sent), other.answering.dropped, self.answering.answered))

    def test_oversized(self) -> None:
        """Of what is too long no more is read than tells that it is."""
        for length in (0, 1, SIZE - 1, SIZE + 1, 65507):
            self.ear.receive(QUESTION.ljust(length, b"\0")[:length], "10.0.0.1", 5)
        self.assertEqual(([], 5), (self.node.sent, self.answering.dropped))

    def test_hints_from_elsewhere(self) -> None:
        """A client believes nobody who is not on the network where it asked; so it is made to dial no stranger."""
        asker = self.asker(self.desk)
        asker.ask(PORT)
        self.seen.clear()
        announcement = packed(Presence(b"e" * 16, 22, "evil"))
        for each in self.desk.sockets:
            for host in ("8.8.8.8", "10.0.1.1", "10.0.0.255"):
                each.receive(announcement, host, 5)
        dropped = asker.hearing.dropped
        self.assertEqual(([], 12), (self.seen, dropped))

    def test_an_address_inside(self) -> None:
        """There is no place for a host in a datagram: whoever sends one can name none but itself."""
        self.asker(self.desk).ask(PORT)
        self.assertEqual({"10.0.0.7"}, {each.host for each in self.seen})


class RealSockets(SynchronousTestCase):
    """What the system has to do with it."""

    def test_in_turn(self) -> None:
        """However many datagrams there are, empty ones too, others get their turn after so many; nothing is lost by it."""
        real = mock.Mock()
        real.recvfrom.return_value = b"", ("10.0.0.1", 5)
        in_turn = udp.InTurn(real)
        for _ in range(3):
            for _ in range(udp.AT_ONCE):
                self.assertEqual((b"", ("10.0.0.1", 5)), in_turn.recvfrom(9))
            with self.assertRaises(BlockingIOError) as caught:
                in_turn.recvfrom(9)
            self.assertEqual(errno.EWOULDBLOCK, caught.exception.args[0])
        self.assertEqual(3 * udp.AT_ONCE, real.recvfrom.call_count)
        self.assertIs(real.fileno, in_turn.fileno)

    def test_interfaces(self) -> None:
        """This machine has loopback at least."""
        self.assertIn(Interface("127.0.0.1", 8), find_interfaces())

    def test_shared(self) -> None:
        """Two clients of one machine hear at the same place; a program that does not share is in the way, and that is said."""
        machine = Machine()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.255.255.255", 0))
            port = other.getsockname()[1]
            opened = [open_ear(machine, DiscoverySocket(mock.Mock()), "127.255.255.255", port, shared=True) for _ in range(2)]
        self.assertEqual([("127.255.255.255", port)] * 2, [(each.host, each.port) for each in opened])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.255.255.255", 0))
            with self.assertRaises(CannotListenError):
                open_ear(machine, DiscoverySocket(mock.Mock()), "127.255.255.255", other.getsockname()[1], shared=True)

    def test_broadcast(self) -> None:
        """A socket may send to broadcast addresses, and reads one byte more than a datagram has."""
        machine = Machine()
        opened = open_ear(machine, DiscoverySocket(mock.Mock()), "127.0.0.1", 0)
        self.assertIsInstance(opened.socket, udp.InTurn)
        self.assertEqual((True, SIZE + 1), (opened.may_broadcast, opened.longest))
