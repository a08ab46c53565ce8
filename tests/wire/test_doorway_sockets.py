"""The doorway on real sockets of this machine, under real TLS: strangers, men in the middle, and good clients among them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dispytw.errors import AuthError, WireError
from dispytw.wire import doorway
from dispytw.wire.credentials import INSECURE, Certified, Credential
from dispytw.wire.dialling import connect
from dispytw.wire.doorway import Doorway, DoorwayServerFactory
from dispytw.wire.tls import under_tls
from tests.wire.certifying import pair
from tests.wire.doorways import OTHER_SECRET, SECRET, End, client_end, node_end

reactor: Any = _reactor

CERTIFIED = Certified(pair().as_certificate())


class Census:
    """Knows how many of its protocols are connected, and when the last one has gone."""

    def __init__(self, case: TestCase, protocol: Any) -> None:
        self.here = 0
        self._empty: Deferred[None] | None = None
        made, lost = protocol.connectionMade, protocol.connectionLost
        case.patch(protocol, "connectionMade", lambda each: (self._add(1), made(each)))
        case.patch(protocol, "connectionLost", lambda each, reason: (lost(each, reason), self._add(-1)))

    def _add(self, number: int) -> None:
        self.here += number
        if not self.here and self._empty is not None:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def empty(self) -> Deferred[None]:
        """Fires when nobody is connected."""
        self._empty = Deferred()
        self._add(0)
        return self._empty or deferLater(reactor, 0, lambda: None)


class Plain(Protocol):
    """A stranger: says what it is told to, and notes what it hears."""

    def __init__(self, says: bytes = b"") -> None:
        self.says = says
        self.heard = b""
        self.on_lost: Callable[[], Any] = lambda: None

    def connectionMade(self) -> None:
        self.transport.write(self.says)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.on_lost()


def inside(protocol: Any) -> Any:
    """The protocol under TLS, or the protocol."""
    return getattr(protocol, "wrappedProtocol", protocol)


class Between(Protocol):
    """Stands between two ends: whatever comes from one goes to the other.

    :ivar carried: bytes so far.
    """

    def __init__(self, meddle: Callable[[int, bytes], bytes] = lambda position, data: data) -> None:
        self.other: Between | None = None
        self.meddle = meddle
        self.carried = 0
        self._early = b""

    def meet(self, other: Between) -> None:
        """The other side is there."""
        self.other = other
        self.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:
        self._early += data
        if self.other is None:
            return
        data, self._early = self._early, b""
        self.other.transport.write(self.meddle(self.carried, data))  # type: ignore[union-attr]
        self.carried += len(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()  # type: ignore[union-attr]


class Sockets(TestCase):
    """A port of a node, and the certainty that all connections are gone when a test ends."""

    timeout = 20

    def setUp(self) -> None:
        self.censuses = [Census(self, protocol) for protocol in (Doorway, Plain, Between)]
        self.ends: list[End] = []
        self.addCleanup(lambda: gatherResults([census.empty() for census in self.censuses]))
        self.addCleanup(self.hang_up)

    def hang_up(self) -> None:
        """Close every link."""
        for end in self.ends:
            for link in end.links:
                if link.transport is not None:
                    link.transport.abortConnection()

    def listen(self, credential: Credential = SECRET, **bounds: Any) -> tuple[End, int]:
        """A node, and its port."""
        end = node_end(credential)
        self.ends.append(end)
        self.factory = DoorwayServerFactory(reactor, **end.identity, **bounds)
        return end, self.open_port(self.factory.listening())

    def open_port(self, factory: Any) -> int:
        """A port of this machine."""
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def dial(self, port: int, credential: Credential = SECRET) -> tuple[End, Deferred[Any]]:
        """A client, and how its dialling ends."""
        end = client_end(credential)
        self.ends.append(end)
        return end, connect(reactor, "127.0.0.1", port, **end.identity)

    def stranger(self, port: int, says: bytes = b"", tls: bool = False) -> Deferred[Any]:
        """One who connects and says something."""
        factory = Factory.forProtocol(lambda: Plain(says))  # type: ignore[arg-type]
        connecting = TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(
            under_tls(factory, False, reactor) if tls else factory
        )
        return connecting.addCallback(inside)

    def between(self, port: int, tls: bool, meddle_up: Any = None, meddle_down: Any = None) -> int:
        """The port of somebody in the middle."""

        def build() -> Between:
            near = Between(*filter(None, [meddle_up]))
            far = Factory.forProtocol(lambda: Between(*filter(None, [meddle_down])))  # type: ignore[arg-type]
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
            endpoint.connect(under_tls(far, False, reactor) if tls else far).addCallback(joined, near)
            return near

        def joined(there: Any, near: Between) -> None:
            near.meet(inside(there))
            inside(there).meet(near)

        middle = Factory.forProtocol(build)  # type: ignore[arg-type]
        return self.open_port(under_tls(middle, True, reactor) if tls else middle)


class GoodClients(Sockets):
    """The right secret."""

    async def test_opens_and_carries_amp(self) -> None:
        """Under TLS 1.3, both ways."""
        dialled, port = self.listen()
        _, done = self.dial(port)
        link = await done
        self.assertEqual({"role": "node"}, await link.answered)
        self.assertEqual({"role": "client"}, await dialled.links[0].answered)
        self.assertEqual("TLSv1.3", link.transport.getHandle().get_protocol_version_name())
        self.assertEqual(0, self.factory.strangers)

    async def test_insecure(self) -> None:
        """Said at both ends, it opens in the clear."""
        _, port = self.listen(INSECURE)
        link = await self.dial(port, INSECURE)[1]
        self.assertTrue(link.peer.insecure)
        self.assertEqual({"role": "node"}, await link.answered)

    async def test_twenty_at_once(self) -> None:
        """A program with twenty links to one node gets them all."""
        _, port = self.listen()
        for link in await gatherResults([self.dial(port)[1] for _ in range(20)]):
            await link.answered

    async def test_one_that_has_a_link_already(self) -> None:
        """Wants none in the end: nothing is answered, and the other's link ends."""
        dialled, port = self.listen()
        _, done = self.dial(port)
        dialling_again = client_end(SECRET)
        dialling_again.build_link = lambda peer: None  # type: ignore[method-assign,assignment,return-value]
        await done
        self.assertIsNone(await connect(reactor, "127.0.0.1", port, **dialling_again.identity))
        await self.second_of(dialled).lost
        self.assertEqual(0, dialling_again.answers)

    def second_of(self, end: End) -> Any:
        """Its second link: the acceptor opens before the initiator."""
        return end.links[1]

    async def test_a_producer_is_slowed(self) -> None:
        """One that sends faster than the other end reads is paused, and goes on later, under TLS."""
        dialled, port = self.listen()
        _, done = self.dial(port)
        link = await done
        await gatherResults([link.answered, dialled.links[0].answered])
        arrived: list[int] = []
        complete: Deferred[None] = Deferred()

        def count(data: bytes) -> None:
            arrived.append(len(data))
            if sum(arrived) >= Flood.TOTAL:
                complete.callback(None)

        link.transport.wrappedProtocol.dataReceived = count
        link.transport.pauseProducing()
        flood = Flood(dialled.links[0].transport)
        await flood.paused
        self.assertLess(sum(arrived), Flood.TOTAL)
        link.transport.resumeProducing()
        await complete
        self.assertGreater(flood.resumed, 0)


@implementer(IPushProducer)
class Flood:
    """Writes as long as it may."""

    TOTAL = 32 * 2**20

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.left = self.TOTAL
        self.paused: Deferred[None] = Deferred()
        self.resumed = 0
        self.running = True
        transport.registerProducer(self, True)
        self.write()

    def write(self) -> None:
        """Write until told not to."""
        while self.running and self.left:
            self.left -= 2**16
            self.transport.write(b"x" * 2**16)
        if not self.left:
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Twisted's word."""
        self.running = False
        if not self.paused.called:
            self.paused.callback(None)

    def resumeProducing(self) -> None:
        """Twisted's word."""
        self.running = True
        self.resumed += 1
        self.write()

    def stopProducing(self) -> None:
        """Twisted's word."""
        self.running = False


class Strangers(Sockets):
    """The wrong secret, none, or another program."""

    def closed(self, end: End, dialling: End) -> None:
        """Nobody has a link."""
        self.assertEqual(([], []), (end.links, dialling.links))

    async def test_wrong_secret(self) -> None:
        """Both ends say so, with the other's address and the fix."""
        dialled, port = self.listen()
        dialling, done = self.dial(port, OTHER_SECRET)
        with capturedLogs() as logged:
            error = await self.assertFailure(done, AuthError)
        self.assertIn(f"this end and 127.0.0.1:{port} do not hold the same secret; give both the same", str(error))
        (said,) = [event["error"] for event in logged if event["log_level"] is LogLevel.warn]
        self.assertIsInstance(said, AuthError)
        self.assertRegex(str(said), r"127\.0\.0\.1:\d+ do not hold the same secret; give both the same")
        self.closed(dialled, dialling)

    async def test_somebody_in_the_middle(self) -> None:
        """Both ends hold the right secret, TLS ends in the middle (with our own certificate, even): neither opens."""
        dialled, port = self.listen()
        middle = self.between(port, tls=True)
        dialling, done = self.dial(middle)
        with capturedLogs() as logged:
            error = await self.assertFailure(done, AuthError)
        self.assertIn("somebody stands between them", str(error))
        self.assertEqual(1, len([event for event in logged if event["log_level"] is LogLevel.warn]))
        self.closed(dialled, dialling)

    async def test_somebody_in_the_middle_of_certificates(self) -> None:
        """Both ends have the right pair, and whoever ends TLS between them has not: neither opens, and both say so."""
        dialled, port = self.listen(CERTIFIED)
        dialling, done = self.dial(self.between(port, tls=True), CERTIFIED)
        with capturedLogs() as logged:
            error = await self.assertFailure(done, AuthError)
            await self.censuses[0].empty()
        said = [str(event["error"]) for event in logged if event["log_level"] is LogLevel.warn]
        for text in (str(error), *said):
            self.assertRegex(text, r"^the certificate of 127\.0\.0\.1:\d+ is refused: there is none")
        self.assertEqual(1, len(said))
        self.closed(dialled, dialling)

    async def test_the_middle_is_sound(self) -> None:
        """The same relay that leaves TLS alone changes nothing: the test above is not passed by accident."""
        _, port = self.listen()
        link = await self.dial(self.between(port, tls=False))[1]
        self.assertEqual({"role": "node"}, await link.answered)

    async def test_clear_words_where_tls_is_spoken(self) -> None:
        """Both ends say what to do."""
        dialled, port = self.listen()
        dialling, done = self.dial(port, INSECURE)
        with capturedLogs() as logged:
            error = await self.assertFailure(done, WireError)
            await self.censuses[0].empty()
        self.assertIn("if it wants a secret, leave --insecure out", str(error))
        said = [str(event["error"]) for event in logged if event["log_level"] is LogLevel.warn]
        self.assertIn("does not speak TLS 1.3: if it runs with --insecure, leave that out", said[0])
        self.closed(dialled, dialling)

    async def test_tls_where_none_is_spoken(self) -> None:
        """Both ends say what to do."""
        dialled, port = self.listen(INSECURE)
        dialling, done = self.dial(port)
        with capturedLogs() as logged:
            error = await self.assertFailure(done, WireError)
        self.assertIn("is it a dispytw program, and not one with --insecure?", str(error))
        said = [str(event["error"]) for event in logged if event["log_level"] is LogLevel.warn]
        self.assertIn("start both with --insecure, or neither", said[0])
        self.closed(dialled, dialling)

    async def test_other_programs(self) -> None:
        """A browser and noise, in the clear and inside TLS: closed, and no answer in words of ours."""
        dialled, port = self.listen()
        for tls in (False, True):
            for says in (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", random.Random(6).randbytes(5000)):
                stranger = await self.stranger(port, says, tls)
                closed: Deferred[None] = Deferred()
                stranger.on_lost = lambda closed=closed: closed.callback(None)
                await closed  # else nobody need have come yet, nor heard anything
                await self.censuses[0].empty()
                self.assertNotIn(b"dispyT", stranger.heard)
        self.assertEqual([], dialled.links)

    async def test_garbled_tls(self) -> None:
        """A changed byte in either direction, at places drawn from a seed: nobody opens that was to receive it."""
        chance = random.Random(7)
        dialled, port = self.listen()
        sizes = await self.sizes(port)
        self.patch(doorway, "PATIENCE", 0.5)
        for upwards in (True, False):
            greeting = range(sizes[upwards] - 200, sizes[upwards])  # encrypted frames; before them, TLS's own handshake
            for place in chance.sample(greeting, 6) + chance.sample(range(11, 60), 2):
                meddle = garbler(place, chance.randrange(1, 256))
                before = (len(dialled.links), dialled.answers)
                middle = self.between(port, False, *((meddle, None) if upwards else (None, meddle)))
                dialling, done = self.dial(middle)
                error = await self.assertFailure(done, Exception)
                self.assertIsInstance(error, WireError)
                self.assertEqual(([], 0), (dialling.links, dialling.answers))
                await self.censuses[0].empty()
                if upwards:
                    self.assertEqual(before, (len(dialled.links), dialled.answers), place)
                self.assertEqual(before[1], dialled.answers)

    async def sizes(self, port: int) -> dict[bool, int]:
        """Bytes that TLS and greeting take, up (True) and down."""
        counted = {True: 0, False: 0}

        def counter(upwards: bool) -> Any:
            def count(position: int, data: bytes) -> bytes:
                if not any(end.links for end in self.ends if end.role == ("node" if upwards else "client")):
                    counted[upwards] = position + len(data)
                return data

            return count

        link = await self.dial(self.between(port, False, counter(True), counter(False)))[1]
        await link.answered
        link.transport.abortConnection()
        await self.censuses[0].empty()
        return counted


def garbler(place: int, mask: int) -> Callable[[int, bytes], bytes]:
    """Changes the byte at this place."""

    def garble(position: int, data: bytes) -> bytes:
        if not position <= place < position + len(data):
            return data
        at = place - position
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]

    return garble


class Renewing:
    """Connections that are made again as soon as they are closed."""

    def __init__(self, connect: Callable[[], Deferred[Any]]) -> None:
        self._connect = connect
        self._connecting: set[Deferred[Any]] = set()
        self._held: set[Any] = set()
        self._over = False
        self.renewed = 0

    def hold(self) -> Deferred[None]:
        """One more."""
        connecting = self._connect()
        self._connecting.add(connecting)
        return connecting.addBoth(self._arrived, connecting).addCallback(self._connected)

    def _arrived(self, result: Any, connecting: Deferred[Any]) -> Any:
        self._connecting.discard(connecting)
        return result

    def _connected(self, stranger: Any) -> None:
        self._held.add(stranger)
        stranger.on_lost = lambda: self._lost(stranger)
        if self._over:
            stranger.transport.abortConnection()

    def _lost(self, stranger: Any) -> None:
        self._held.discard(stranger)
        if not self._over:
            self.renewed += 1
            self.hold().addErrback(lambda _: None)  # the port is closed by now, or we have stopped

    def stop(self) -> None:
        """Hang up everywhere."""
        self._over = True
        for connecting in list(self._connecting):
            connecting.cancel()
        for stranger in list(self._held):
            stranger.transport.abortConnection()


class Silence(Sockets):
    """Two hundred who connect, say nothing, and connect again when they are shown out."""

    timeout = 60

    async def keep_out(self, tls: bool, credential: Credential = SECRET, **bounds: Any) -> int:
        """A good client from the same address opens, five times in a row, and no silent one has to run out of time for it.

        It costs less than two seconds of work at both ends and at those of all the silent ones, however much of it a busy machine lets us
        do in a second.

        :returns: how many have come again meanwhile.
        """
        self.patch(doorway, "PATIENCE", 600.0)
        _, port = self.listen(credential, **bounds)
        silent = Renewing(lambda: self.stranger(port, tls=tls))
        await DeferredList([silent.hold() for _ in range(200)])
        for _ in range(5):
            begun = time.process_time()
            link = await self.dial(port, credential)[1]
            await link.answered
            self.assertLess(time.process_time() - begun, 2)
            self.assertLessEqual(self.factory.strangers, bounds.get("most", 256))
        silent.stop()
        return silent.renewed

    async def test_with_room_for_all(self) -> None:
        """As nodes are set up."""
        await self.keep_out(tls=False)

    async def test_with_room_for_few(self) -> None:
        """With fewer places than there are silent ones, who come again at once: a thousand a second."""
        await self.keep_out(tls=False, most=128)

    async def test_silent_inside_tls(self) -> None:
        """They go as far as they can without a word of greeting."""
        await self.keep_out(tls=True)

    async def test_where_certificates_are_shown(self) -> None:
        """The same at a node with a certificate."""
        await self.keep_out(False, CERTIFIED, most=128)

    async def test_nothing_to_show(self) -> None:
        """They go as far as TLS gets without a certificate. Nobody shows them out for it: each would come again, and cost a handshake."""
        self.assertEqual(0, await self.keep_out(True, CERTIFIED))
