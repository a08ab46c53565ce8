"""The doorway in memory: who gets a link, who is shown out, and that nothing is left of either."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dispytw.errors import AuthError, WireError
from dispytw.wire.doorway import FAREWELL, PATIENCE, DoorwayServerFactory, Peer
from dispytw.wire.greeting import FRAME
from tests.wire.doorways import (
    CLIENT,
    NODE,
    OTHER_SECRET,
    SECRET,
    End,
    Keeping,
    Pair,
    client_end,
    node_end,
    same_exporter,
)


class Memory(SynchronousTestCase):
    """Gives plain transports an exporter."""

    def setUp(self) -> None:
        same_exporter(self)

    def pair(self, dialling: End, dialled: End) -> Pair:
        """Two ends that have said all they have to say."""
        pair = Pair(dialling, dialled)
        pair.run()
        return pair


class Opening(Memory):
    """Two ends that get on."""

    def test_carries_amp(self) -> None:
        """With a secret and without, both ends get a link and an answer over it."""
        for credential, insecure in ((SECRET, False), (client_end().credential, True)):
            dialling, dialled = client_end(credential), node_end(credential)
            pair = self.pair(dialling, dialled)
            self.assertEqual((1, 1), (dialling.answers, dialled.answers))
            self.assertEqual(dialling.links, pair.outcome)
            self.assertEqual(Peer(NODE, "node", "127.0.0.1", 51348, False, insecure), dialling.links[0].peer)
            self.assertEqual(Peer(CLIENT, "client", "127.0.0.1", 40000, True, insecure), dialled.links[0].peer)

    def test_nothing_is_left(self) -> None:
        """No timer runs on once there is a link, and no stranger is counted."""
        pair = self.pair(client_end(SECRET), node_end(SECRET))
        self.assertEqual(([], 0), (pair.clock.getDelayedCalls(), pair.factory.strangers))

    def test_bytes_do_not_come_by_any_more(self) -> None:
        """What arrives goes straight to the link."""
        dialling, dialled = client_end(), node_end()
        pair = self.pair(dialling, dialled)
        self.assertEqual(dialled.links[0].dataReceived, pair.node.dataReceived)
        self.assertIs(pair.from_node, dialled.links[0].transport)

    def test_the_end_is_told_once(self) -> None:
        """The link hears of the end of the connection, and nobody else does."""
        dialling, dialled = client_end(), node_end()
        pair = self.pair(dialling, dialled)
        pair.hang_up()
        self.successResultOf(dialling.links[0].lost)
        self.successResultOf(dialled.links[0].lost)
        self.assertEqual(dialling.links, pair.outcome)

    def test_an_initiator_that_wants_none(self) -> None:
        """It knows the other end already: it closes before any command is answered."""
        dialling, dialled = client_end(), node_end()
        dialling.build_link = lambda peer: None  # type: ignore[method-assign,assignment,return-value]
        pair = self.pair(dialling, dialled)
        self.assertEqual([None], pair.outcome)
        self.successResultOf(dialled.links[0].lost)
        self.assertEqual((0, 0), (dialling.answers, dialled.answers))
        self.assertEqual([], pair.clock.getDelayedCalls())

    def test_a_link_that_cannot_be_made(self) -> None:
        """An error in build_link ends the connection and reaches whoever dialled."""
        dialling, dialled = client_end(), node_end()
        dialling.build_link = lambda peer: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        pair = Pair(dialling, dialled)
        pair.begin()
        self.assertRaises(ZeroDivisionError, pair.pump.flush)
        pair.hang_up()
        self.assertIsInstance(pair.outcome[0], WireError)
        self.assertEqual([], pair.clock.getDelayedCalls())

    def test_producers(self) -> None:
        """The link's transport is the real one, which takes a producer."""

        @implementer(IPushProducer)
        class Producer:
            def pauseProducing(self) -> None: ...

            def resumeProducing(self) -> None: ...

            def stopProducing(self) -> None: ...

        dialled = node_end(SECRET)
        pair = self.pair(client_end(SECRET), dialled)
        producer: Any = Producer()
        dialled.links[0].transport.registerProducer(producer, True)
        self.assertIs(producer, pair.from_node.producer)


class Refusing(Memory):
    """Two ends that do not."""

    def test_wrong_secret(self) -> None:
        """Neither opens; both say so, with the other's address and the fix."""
        dialling, dialled = client_end(OTHER_SECRET), node_end(SECRET)
        with capturedLogs() as logged:
            pair = self.pair(dialling, dialled)
        self.assertEqual(([], []), (dialling.links, dialled.links))
        self.assertIsInstance(pair.outcome[0], AuthError)
        self.assertIn("this end and 127.0.0.1:51348 do not hold the same secret; give both the same", str(pair.outcome[0]))
        (event,) = [event for event in logged if event["log_level"] >= LogLevel.warn]
        self.assertIn("this end and 127.0.0.1:40000 do not hold the same secret; give both the same", str(event["error"]))
        self.assertEqual("127.0.0.1:40000", event["peer"])
        self.assertEqual(([], 0), (pair.clock.getDelayedCalls(), pair.factory.strangers))

    def test_one_line_an_address(self) -> None:
        """A hundred wrong secrets from one address are one line in the log."""
        factory = DoorwayServerFactory(MemoryReactorClock(), **node_end(SECRET).identity)
        error = AuthError("wrong")
        with capturedLogs() as logged:
            for _ in range(100):
                accepting = factory.buildProtocol(None)
                accepting._where = ("10.0.0.1", 1)
                accepting._report(error)
        self.assertEqual(1, len([event for event in logged if event["log_level"] >= LogLevel.warn]))

    def test_another_program(self) -> None:
        """It is closed without a word, and what it said is in no log."""
        pair = Pair(client_end(), node_end())
        pair.client.connectionMade = lambda: pair.from_client.write(b"GET /\x1b[31m HTTP/1.1\r\n\r\n" * 50)
        with capturedLogs() as logged:
            pair.run()
        self.assertEqual(b"", pair.from_node.getOutBuffer() or b"")
        self.assertEqual(0, pair.from_node.carried)
        self.assertNotIn("GET", repr(logged))
        self.assertEqual(([], 0), (pair.clock.getDelayedCalls(), pair.factory.strangers))

    def test_too_often(self) -> None:
        """Who greets too often is told, and SPAKE2 is not computed for it."""
        dialling, dialled = client_end(SECRET), node_end(SECRET)
        pair = Pair(dialling, dialled)
        pair.factory._admission.admits = lambda host, now: False  # type: ignore[method-assign]
        pair.run()
        self.assertIsInstance(pair.outcome[0], WireError)
        self.assertIn("greeted too often", str(pair.outcome[0]))
        self.assertIsNone(pair.node._greeting)

    def test_silence(self) -> None:
        """After ten seconds an end that says nothing is cut off, at either end."""
        for silent in ("from_client", "from_node"):
            pair = Pair(client_end(), node_end())
            getattr(pair, silent).meddle = lambda position, byte: None
            pair.run()
            pair.clock.advance(PATIENCE - 0.1)
            self.assertEqual([], pair.outcome)
            pair.clock.advance(0.2)
            pair.pump.flush()
            self.assertIsInstance(pair.outcome[0], WireError)
            self.assertTrue(pair.from_client.disconnected and pair.from_node.disconnected)
            self.assertEqual(([], 0), (pair.clock.getDelayedCalls(), pair.factory.strangers))

    def test_a_byte_now_and_then(self) -> None:
        """Does not buy time: the ten seconds are for all of the greeting."""
        pair = Pair(client_end(), node_end())
        pair.from_client.meddle = lambda position, byte: byte if position < pair.clock.seconds() * 5 else None
        pair.begin()
        for _ in range(11):
            pair.clock.advance(1)
            pair.client.transport.write(b"d")
            pair.pump.flush()
        self.assertTrue(pair.from_node.disconnected)

    def test_who_does_not_hang_up(self) -> None:
        """A refused end that keeps the connection is cut off after a second, and counts as a stranger until then."""
        dialled = node_end()
        factory = DoorwayServerFactory(clock := MemoryReactorClock(), **dialled.identity)
        accepting, transport = factory.buildProtocol(None), Keeping()
        accepting.makeConnection(transport)
        accepting.dataReceived(b"GET / HTTP/1.1")
        accepting.dataReceived(b"Host: here")
        self.assertEqual((["lose"], 1), (transport.told, factory.strangers))
        clock.advance(FAREWELL)
        self.assertEqual(["lose", "abort"], transport.told)

    def test_too_many_strangers(self) -> None:
        """The longest silent goes for a new one."""
        factory = DoorwayServerFactory(MemoryReactorClock(), most=2, **node_end().identity)
        transports = [Keeping() for _ in range(4)]
        for transport in transports:
            factory.buildProtocol(None).makeConnection(transport)
        self.assertEqual([["abort"], ["abort"], [], []], [transport.told for transport in transports])
        self.assertEqual(2, factory.strangers)


class Damage(Memory):
    """Bytes that are lost or changed on the way: who misses them never opens, and nobody answers a command."""

    def check(self, pair: Pair, receiver: End, dialling: End, dialled: End) -> None:
        """The one that got less, or something else, has no link; nothing was answered."""
        pair.hang_up()
        self.assertEqual([], receiver.links)
        self.assertEqual((0, 0), (dialling.answers, dialled.answers))
        self.assertEqual(([], 0), (pair.clock.getDelayedCalls(), pair.factory.strangers))
        if receiver is dialling:
            self.assertIsInstance(pair.outcome[0], Exception)

    def damage(self, credential: Any, to_node: bool, meddle: Any) -> None:
        """One greeting with a meddled wire."""
        dialling, dialled = client_end(credential), node_end(credential)
        pair = Pair(dialling, dialled)
        (pair.from_client if to_node else pair.from_node).meddle = meddle
        pair.run()
        self.check(pair, dialled if to_node else dialling, dialling, dialled)

    def test_cut_at_every_byte(self) -> None:
        """Of either direction."""
        for to_node in (True, False):
            for length in range(2 * FRAME):
                self.damage(client_end().credential, to_node, lambda at, byte, end=length: byte if at < end else None)

    def test_every_byte_garbled(self) -> None:
        """Of either direction, with one mask each, drawn from a seed."""
        chance = random.Random(3)
        for to_node in (True, False):
            for where in range(2 * FRAME):
                mask = chance.randrange(1, 256)
                self.damage(client_end().credential, to_node, lambda at, byte, p=where, m=mask: byte ^ m if at == p else byte)

    def test_with_a_secret(self) -> None:
        """The same with a secret, at places drawn from a seed; every place is in tests/wire/test_greeting.py."""
        chance = random.Random(4)
        for to_node in (True, False):
            for where in chance.sample(range(2 * FRAME), 16):
                mask = chance.randrange(1, 256)
                self.damage(SECRET, to_node, lambda at, byte, p=where, m=mask: byte ^ m if at == p else byte)
                self.damage(SECRET, to_node, lambda at, byte, end=where: byte if at < end else None)

    def test_the_wire_itself_is_sound(self) -> None:
        """Without damage the same wire opens: the tests above are not passed by accident."""
        dialling, dialled = client_end(SECRET), node_end(SECRET)
        self.pair(dialling, dialled)
        self.assertEqual((1, 1), (dialling.answers, dialled.answers))


class Texts(SynchronousTestCase):
    """How a peer is written."""

    def test_peer(self) -> None:
        """As host and port, brackets where the host has colons."""
        self.assertEqual("10.0.0.1:5", str(Peer(NODE, "node", "10.0.0.1", 5)))
        self.assertEqual("[::1]:5", str(Peer(NODE, "node", "::1", 5)))
