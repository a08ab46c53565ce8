"""A node is dialled again and again, after random waits that grow, for as long as it is wanted."""

from __future__ import annotations

import random
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.task import Clock

from dispytw.client.dialer import LONGEST, SHORTEST, Dialer, describe
from dispytw.client.nodes import Address
from dispytw.errors import AuthError, VersionError, WireError
from dispytw.wire.credentials import Certified
from tests.wire.certified import TlsPair, by_openssl
from tests.wire.certifying import pair
from tests.wire.doorways import SECRET, client_end, node_end

ADDRESS = Address("node7", 51348)


class Chance(random.Random):
    """A die that always falls on one side, and remembers how far it could have gone.

    :param share: 0 for the shortest possible wait, 1 for the longest.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.ranges: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.ranges.append((a, b))
        return a + self.share * (b - a)


class Dialling:
    """A dialer, what it has dialled, and what it was told."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self.clock = Clock()
        self.dialled: list[Deferred[Any]] = []
        self.failures: list[Exception] = []
        self.cancelled = 0
        self.dialer = Dialer(ADDRESS, self._connect, self.clock, chance or Chance(1), self._failed)

    def _connect(self, address: Address) -> Deferred[Any]:
        assert address == ADDRESS
        self.dialled.append(Deferred(self._cancel))
        return self.dialled[-1]

    def _cancel(self, _: Any) -> None:
        self.cancelled += 1

    def _failed(self, dialer: Dialer, error: Exception) -> None:
        assert dialer is self.dialer
        self.failures.append(error)

    @property
    def waits(self) -> list[float]:
        """Seconds until the next try; empty when there is none."""
        return [call.getTime() - self.clock.seconds() for call in self.clock.getDelayedCalls()]

    def fail(self, error: Exception | None = None) -> None:
        """The present try fails."""
        self.dialled[-1].errback(error or ConnectionRefusedError())

    def fails_again(self) -> float:
        """The present try fails, and the next begins; seconds between."""
        self.fail()
        (wait,) = self.waits
        self.clock.advance(wait)
        return wait


class Waiting(unittest.TestCase):
    """How long until the next try."""

    def test_full_jitter(self) -> None:
        """Any time from none up to half a second; the most is doubled at each failure, up to half a minute, for ever."""
        chance = Chance(0.5)
        dialling = Dialling(chance)
        dialling.dialer.dial()
        waits = [dialling.fails_again() for _ in range(12)]
        self.assertEqual([(0, 0.5), (0, 1.0), (0, 2.0), (0, 4.0), (0, 8.0), (0, 16.0)] + 6 * [(0, 30.0)], chance.ranges)
        self.assertEqual([0.25, 0.5, 1.0, 2.0, 4.0, 8.0] + 6 * [15.0], waits)
        self.assertEqual((0.5, 30.0), (SHORTEST, LONGEST))

    @given(st.integers(), st.integers(1, 100))
    def test_bounds(self, seed: int, failures: int) -> None:
        """Whatever the chance, no wait is longer than half a minute, and there is always exactly one next try."""
        dialling = Dialling(random.Random(seed))
        dialling.dialer.dial()
        for _ in range(failures):
            self.assertTrue(0 <= dialling.fails_again() <= LONGEST)
        self.assertEqual(failures + 1, len(dialling.dialled))

    def test_refused_certificates(self) -> None:
        """A certificate that is refused, at whichever end and in whichever way, is not shown again and again: the waits grow as ever."""
        mine, other = Certified(pair().as_certificate()), Certified(pair("other").as_certificate())
        for client, node, by_tls in ((mine, other, False), (mine, SECRET, False), (SECRET, mine, False), (mine, mine, True)):
            chance = Chance(1)
            dialling = Dialling(chance)
            dialling.dialer.dial()
            for _ in range(4):
                self.meet(dialling, TlsPair(client_end(client), node_end(node), node=by_openssl if by_tls else None))
            self.assertEqual([(0, 0.5), (0, 1.0), (0, 2.0), (0, 4.0)], chance.ranges)
            self.assertEqual([AuthError] * 4, [type(each) for each in dialling.failures])
            self.assertEqual(1, len({str(each) for each in dialling.failures}), "said once, if it is the same each time")

    def meet(self, dialling: Dialling, pair: TlsPair) -> None:
        """The present try comes to this end, and the next begins."""
        pair.run()
        dialling.fail(*pair.outcome)
        dialling.clock.advance(dialling.waits[0])

    def test_clients_come_at_different_times(self) -> None:
        """Two programs that lose the same node do not dial it in step."""
        first, second = Dialling(random.Random(1)), Dialling(random.Random(2))
        for dialling in (first, second):
            dialling.dialer.dial()
        self.assertNotEqual([first.fails_again() for _ in range(5)], [second.fails_again() for _ in range(5)])

    def test_from_the_beginning(self) -> None:
        """A node that has said what it is begins with a clean slate: its next loss is a first one."""
        chance = Chance(1)
        dialling = Dialling(chance)
        dialling.dialer.dial()
        for _ in range(5):
            dialling.fails_again()
        dialling.dialled[-1].callback("link")
        dialling.dialer.introduced(b"n")
        dialling.dialer.link_ended()
        self.assertEqual((0, 0.5), chance.ranges[-1])

    def test_greeted_is_not_introduced(self) -> None:
        """A node that greets and then leaves is dialled less and less often."""
        chance = Chance(1)
        dialling = Dialling(chance)
        dialling.dialer.dial()
        for _ in range(4):
            dialling.dialled[-1].callback("link")
            dialling.dialer.link_ended()
            dialling.clock.advance(dialling.waits[0])
        self.assertEqual([(0, 0.5), (0, 1.0), (0, 2.0), (0, 4.0)], chance.ranges)


class Trying(unittest.TestCase):
    """When there is a next try, and what is said of the last."""

    def setUp(self) -> None:
        self.dialling = Dialling()
        self.dialer = self.dialling.dialer

    def test_before_the_first(self) -> None:
        """Nothing happens unasked."""
        self.assertEqual(([], "not tried yet", None), (self.dialling.dialled, self.dialer.state, self.dialer.node))

    def test_connected(self) -> None:
        """A link is kept; nothing is dialled while it is there."""
        self.dialer.dial()
        self.dialling.dialled[0].callback("link")
        self.assertEqual(("connected", []), (self.dialer.state, self.dialling.waits))
        self.dialer.introduced(b"n")
        self.assertEqual((b"n", []), (self.dialer.node, self.dialling.waits))

    def test_one_try_at_a_time(self) -> None:
        """Whatever asks for a try while one is underway, or due, adds none."""
        self.dialer.dial()
        self.dialer.dial()
        self.dialer.link_ended()
        self.assertEqual((1, []), (len(self.dialling.dialled), self.dialling.waits))
        self.dialling.fail()
        self.dialer.link_ended()
        self.dialer.link_ended()
        self.assertEqual(1, len(self.dialling.waits))

    def test_failure(self) -> None:
        """The state says what went wrong, and whoever wants to know is told each time."""
        self.dialer.dial()
        for error in (DNSLookupError(), AuthError("wrong secret")):
            self.dialling.fail(error)
            self.assertEqual(describe(error), self.dialer.state)
            self.assertIs(error, self.dialling.failures[-1])
            self.dialling.clock.advance(30)
        self.assertEqual(2, len(self.dialling.failures))

    def test_at_once(self) -> None:
        """Whoever has reason to believe that the node is there now does not wait for the next try; a try that goes on is left alone."""
        self.dialer.dial()
        self.dialer.hasten()
        self.assertEqual(1, len(self.dialling.dialled))
        self.dialling.fail()
        self.dialer.hasten()
        self.assertEqual((2, []), (len(self.dialling.dialled), self.dialling.waits))
        self.dialer.stop()
        self.dialer.hasten()
        self.assertEqual(2, len(self.dialling.dialled))

    def test_called_off_by_somebody_else(self) -> None:
        """A try that was cancelled below us is a failure like any other: there is a next one."""
        self.dialer.dial()
        self.dialling.fail(CancelledError())
        self.assertEqual(([0.5], 1), (self.dialling.waits, len(self.dialling.failures)))

    def test_a_link_ends(self) -> None:
        """The state says so, and it is dialled again."""
        self.dialer.dial()
        self.dialling.dialled[0].callback("link")
        self.dialer.link_ended()
        self.assertEqual("its connection was closed", self.dialer.state)
        self.dialling.clock.advance(0.5)
        self.assertEqual(2, len(self.dialling.dialled))

    def test_a_reason_already_known(self) -> None:
        """What was said about a link before it ended is not forgotten with it."""
        self.dialer.dial()
        self.dialling.dialled[0].callback("link")
        self.dialer.state = "another version"
        self.dialer.link_ended()
        self.assertEqual("another version", self.dialer.state)

    def test_greeted_and_not_wanted(self) -> None:
        """Something of another role answered: it is tried again, and the reason stays."""
        self.dialer.dial()
        self.dialer.state = "it is no node but a client"
        self.dialling.dialled[0].callback(None)
        self.assertEqual("it is no node but a client", self.dialer.state)
        self.assertEqual([0.5], self.dialling.waits)

    def test_another_name_of_a_node_with_a_link(self) -> None:
        """No second link was wanted: it counts as connected, and is not dialled while that link is there."""
        self.dialer.dial()
        self.dialer.introduced(b"n")
        self.dialling.dialled[0].callback(None)
        self.assertEqual(("connected", []), (self.dialer.state, self.dialling.waits))


class Stopping(unittest.TestCase):
    """A node that nobody wants any more is left alone."""

    def setUp(self) -> None:
        self.dialling = Dialling()
        self.dialling.dialer.dial()

    def is_quiet(self) -> None:
        """Nothing is dialled, nothing is due."""
        tries = len(self.dialling.dialled)
        self.dialling.dialer.dial()
        self.dialling.dialer.link_ended()
        self.assertEqual([], self.dialling.waits)
        self.assertEqual(tries, len(self.dialling.dialled))

    def test_during_a_try(self) -> None:
        """A try that is underway is called off, and nobody is told of its failure."""
        self.dialling.dialer.stop()
        self.assertEqual(1, self.dialling.cancelled)
        self.assertEqual([], self.dialling.failures)
        self.is_quiet()

    def test_between_tries(self) -> None:
        """So is the next one."""
        self.dialling.fail()
        self.dialling.dialer.stop()
        self.is_quiet()

    def test_with_a_link(self) -> None:
        """When its link ends it is not dialled again."""
        self.dialling.dialled[0].callback("link")
        self.dialling.dialer.stop()
        self.is_quiet()

    def test_twice(self) -> None:
        """Saying it twice changes nothing."""
        self.dialling.fail()
        self.dialling.dialer.stop()
        self.dialling.dialer.stop()
        self.is_quiet()


class Describing(unittest.TestCase):
    """What a failed try says, and what to do."""

    def test_each_kind(self) -> None:
        """Each kind of failure has its words."""
        for error, words in (
            (ConnectionRefusedError(), "connection refused: nothing listens there; start a node with 'dispynode'"),
            (DNSLookupError(), "no such host"),
            (AuthError("wrong secret: give both the same"), "wrong secret: give both the same"),
            (VersionError("it speaks version 7"), "it speaks version 7"),
            (WireError("it said nonsense"), "it said nonsense"),
            (OSError("no route to host"), "no route to host (is a node running there, and is its port open?)"),
            (CancelledError(), "CancelledError (is a node running there, and is its port open?)"),
        ):
            self.assertEqual(words, describe(error))

    def test_timeout(self) -> None:
        """A node that does not answer is asked about."""
        self.assertRegex(describe(TimeoutError()), r"^User timeout .*\(is a node running there, and is its port open\?\)$")
