"""AMP made safe: whatever the other end says, a link stays within its bounds, and errors do not take it along."""

from __future__ import annotations

import struct
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed, ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dispytw.errors import NodeHeldError, WireError
from dispytw.wire import limits
from dispytw.wire.arguments import Records, Text, Whole
from dispytw.wire.limits import MOST_BYTES, MOST_KEYS, MOST_TEXT, Link
from tests.wire import links


class Double(amp.Command):
    """Answered with twice the number."""

    arguments = [(b"number", Whole())]
    response = [(b"number", Whole())]
    errors = {NodeHeldError: b"HELD", WireError: b"WIRE"}


class Fail(amp.Command):
    """Answered with an error, or much later."""

    arguments = [(b"how", Text())]
    errors = {NodeHeldError: b"HELD", WireError: b"WIRE"}


class Mutter(amp.Command):
    """Never answered."""

    arguments = [(b"how", Text())]
    errors = {WireError: b"WIRE"}
    requiresAnswer = False


class Keep(amp.Command):
    """Brings a list."""

    arguments = [(b"jobs", Records())]
    errors = {WireError: b"WIRE"}


class Unheard(amp.Command):
    """Nobody answers it."""

    errors = {WireError: b"WIRE"}


class End(Link):
    """A link that answers, and remembers what became of it."""

    def __init__(self) -> None:
        self.time = 100.0
        self.events: list[str] = []
        self.heard: list[str] = []
        self.late: list[Deferred[dict[str, Any]]] = []
        super().__init__(lambda: self.time)
        self.closed.addCallback(lambda _: self.events.append("closed"))

    def link_opened(self) -> None:
        self.events.append("opened")

    def link_lost(self, reason: Failure) -> None:
        self.events.append("lost")

    @Double.responder
    def double(self, number: int) -> dict[str, Any]:
        return {"number": 2 * number}

    @Fail.responder
    def fail(self, how: str) -> Any:
        if how == "late":
            self.late.append(Deferred())
            return self.late[-1]
        if how == "no answer":
            return {"number": object()}
        errors = {"held": NodeHeldError("by me"), "wire": WireError("nonsense"), "long": NodeHeldError("€" * 70_000)}
        raise errors.get(how, ZeroDivisionError(how))

    @Mutter.responder
    def mutter(self, how: str) -> dict[str, Any]:
        self.heard.append(how)
        raise WireError(how) if how == "wire" else ZeroDivisionError(how)

    @Keep.responder
    def keep(self, jobs: list[Any]) -> dict[str, Any]:
        return {}


class Line(StringTransport):
    """A transport that tells how often it was aborted; what is sent is read as boxes."""

    aborted = 0

    def abortConnection(self) -> None:
        self.aborted += 1
        self.disconnecting = True

    def boxes(self) -> list[amp.AmpBox]:
        """What was sent since the last look."""
        sent = amp.parseString(self.value())
        self.clear()
        return list(sent)


class Pair(links.Pair):
    """Two ends with a line between them."""

    def __init__(self) -> None:
        super().__init__(End(), End())


def single() -> tuple[End, Line]:
    """One end, and the transport that leads to the other."""
    end, line = End(), Line(peerAddress=links.PEER)
    end.makeConnection(line)
    return end, line


def keys(count: int, value: bytes = b"v") -> bytes:
    """So many keys of a box that does not end."""
    return b"".join(struct.pack("!H3sH", 3, b"%03d" % index, len(value)) + value for index in range(count))


class Case(SynchronousTestCase):
    """Each test sees what is logged."""

    def setUp(self) -> None:
        self.logged: list[Any] = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)

    def warnings(self) -> int:
        """How many warnings, or worse, were logged."""
        return sum(event["log_level"] >= LogLevel.warn for event in self.logged)

    def assert_alive(self, pair: Pair) -> None:
        """Both ends still ask and answer."""
        self.assertEqual({"number": 14}, self.successResultOf(pair.ask(Double, number=7)))
        self.assertEqual(["opened"], pair.near.events + pair.far.events[1:])

    def assert_closed(self, end: End, line: Line) -> None:
        """Closed once, quietly, with one line in the log; and nothing that comes after counts."""
        self.assertEqual((1, 1), (line.aborted, self.warnings()))
        line.clear()
        end.dataReceived(amp.AmpBox({b"_command": b"Double", b"_ask": b"9", b"number": b"1"}).serialize())
        self.assertEqual([], line.boxes())
        self.failureResultOf(end.ask(Double, number=1), ConnectionClosed)


class Bounds(Case):
    """What an end without end may say."""

    def test_too_many_keys(self) -> None:
        """A box may have so many keys; with the next one the link is closed."""
        end, line = single()
        end.dataReceived(keys(MOST_KEYS))
        self.assertEqual(0, line.aborted)
        end.dataReceived(keys(MOST_KEYS + 100)[len(keys(MOST_KEYS)) :] + keys(100))
        self.assert_closed(end, line)

    def test_too_many_bytes(self) -> None:
        """A box may hold so many bytes; what comes beyond closes the link before it is kept."""
        end, line = single()
        sent = 0
        while not line.aborted and sent < 3 * MOST_BYTES:
            end.dataReceived(b"\0\1k\xff\xff" + b"v" * 0xFFFF)
            sent += 0x10000
        self.assertGreater(sent, MOST_BYTES)
        self.assertLess(sent, MOST_BYTES + 2 * 0x10000)
        self.assert_closed(end, line)

    def test_keys_count_as_bytes(self) -> None:
        """One key, said again and again, is a box without end too."""
        end, line = single()
        with mock.patch.object(limits, "MOST_BYTES", 10_000):
            for _ in range(50):
                end.dataReceived(b"\0\xff" + b"k" * 0xFF + b"\0\0")
        self.assert_closed(end, line)

    def test_each_box_counts_for_itself(self) -> None:
        """Any number of boxes within the bounds goes."""
        pair = Pair()
        with mock.patch.object(limits, "MOST_BYTES", 1000):
            for number in range(100):
                self.assertEqual({"number": 2 * number}, self.successResultOf(pair.ask(Double, number=number)))

    def test_no_box_at_all(self) -> None:
        """A key of 256 bytes, an empty box, a box that is neither command nor answer; nothing that follows is kept."""
        for said in (b"\1\0" + b"k" * 256, b"\0\0", amp.AmpBox({b"key": b"value"}).serialize()):
            self.logged.clear()
            end, line = single()
            end.dataReceived(said)
            self.assert_closed(end, line)
            kept = len(end._unprocessed)
            end.dataReceived(b"\1\0" + b"more" * 1000)
            self.assertEqual(kept, len(end._unprocessed))

    @given(st.lists(st.dictionaries(
        st.sampled_from([b"_command", b"_ask", b"_answer", b"_error", b"_error_code", b"_error_description", b"number", b"how"]),
        st.sampled_from([b"", b"1", b"2", b"Double", b"Fail", b"StartTLS", b"HELD", b"\xff\xfe"]), max_size=5), max_size=6),
        st.binary(max_size=20), st.integers(1, 40))  # fmt: skip
    @settings(deadline=None)
    def test_whatever_is_said(self, said: list[dict[bytes, bytes]], rest: bytes, size: int) -> None:
        """Nonsense in pieces of any size raises nothing; asks that wait for answers have them, or fail with the link."""
        end, line = single()
        ended: list[Any] = []
        for asked in (end.ask(Double, number=1), end.ask(Unheard)):
            asked.addBoth(ended.append)
        stream = b"".join(amp.AmpBox(box).serialize() for box in said) + rest
        for start in range(0, len(stream), size):
            end.dataReceived(stream[start : start + size])
        self.assertLessEqual(line.aborted, 1)
        end.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(2, len(ended))
        self.assertEqual(["opened", "lost", "closed"], end.events)
        self.flushLoggedErrors(ZeroDivisionError)  # what Fail raises


class Answering(Case):
    """What may go wrong while a command is answered."""

    def test_a_declared_error(self) -> None:
        """Arrives as itself, with its text; nothing is logged."""
        pair = Pair()
        for how, kind, text in (("held", NodeHeldError, "by me"), ("wire", WireError, "nonsense")):
            self.assertEqual(text, str(self.failureResultOf(pair.ask(Fail, how=how), kind).value))
        self.assertEqual(0, self.warnings())
        self.assert_alive(pair)

    def test_an_undeclared_exception(self) -> None:
        """Is answered FAILED, logged where it was raised, and the link lives."""
        pair = Pair()
        error = self.failureResultOf(pair.ask(Fail, how="by mistake"), amp.UnknownRemoteError).value
        self.assertEqual("the other end failed; its log says how", error.description)
        self.assert_alive(pair)
        end, line = single()
        end.dataReceived(amp.AmpBox({b"_command": b"Fail", b"_ask": b"1", b"how": b"?"}).serialize())
        self.assertEqual([(b"1", b"FAILED")], [(box[b"_error"], box[b"_error_code"]) for box in line.boxes()])
        self.assertEqual(2, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_nonsense_in_arguments(self) -> None:
        """What the wire does not allow is answered WIRE, with a line in the log and no traceback."""
        end, line = single()
        for said in ({b"_command": b"Double", b"number": b"-1"}, {b"_command": b"Double"}, {b"_command": b"Keep", b"jobs": b"1"}):
            end.dataReceived(amp.AmpBox({**said, b"_ask": b"1"}).serialize())
            (box,) = line.boxes()
            self.assertEqual((b"1", b"WIRE"), (box[b"_error"], box[b"_error_code"]))
        self.assertEqual((3, 0), (self.warnings(), line.aborted))

    def test_an_error_with_much_to_say(self) -> None:
        """An error whose text does not fit a box is shortened."""
        pair = Pair()
        error = self.failureResultOf(pair.ask(Fail, how="long"), NodeHeldError).value
        self.assertEqual("€" * MOST_TEXT, str(error))
        self.assertLess(4 * MOST_TEXT, 0xFFFF)
        self.assert_alive(pair)

    def test_an_answer_that_is_none(self) -> None:
        """An answer that cannot be said is a failure like others."""
        with mock.patch.object(Fail, "response", [(b"number", Whole())]):
            pair = Pair()
            self.failureResultOf(pair.ask(Fail, how="no answer"), amp.UnknownRemoteError)
            self.assertEqual(1, len(self.flushLoggedErrors(amp.BadLocalReturn)))
            self.assert_alive(pair)

    def test_an_unknown_command(self) -> None:
        """Is answered with an error, whatever it is called (AMP's own, which starts TLS, too), in silence; the link lives."""
        pair = Pair()
        self.failureResultOf(pair.ask(Unheard), amp.UnhandledCommand)
        self.assertEqual(0, self.warnings())
        self.assert_alive(pair)
        end, line = single()
        for name in (b"", b"unheard", b"\xff", b"\0" * 1000, b"D" * 0xFFFF, amp.StartTLS.commandName):
            end.dataReceived(amp.AmpBox({b"_command": name, b"_ask": b"1"}).serialize())
            self.assertEqual([b"UNHANDLED"], [box[b"_error_code"] for box in line.boxes()])
        self.assertEqual((0, 0, False), (self.warnings(), line.aborted, line.disconnecting))

    def test_nobody_waits(self) -> None:
        """A command that is never answered may fail as well: nothing is sent back, and the link lives."""
        pair = Pair()
        for how in ("wire", "by mistake"):
            self.assertIsNone(self.successResultOf(pair.ask(Mutter, how=how)))
        self.assertEqual(["wire", "by mistake"], pair.far.heard)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assert_alive(pair)
        end, line = single()
        for said in ({b"_command": b"Mutter", b"how": b"wire"}, {b"_command": b"Unheard"}, {b"_command": b"Double", b"number": b"x"}):
            end.dataReceived(amp.AmpBox(said).serialize())
        self.assertEqual(([], 0), (line.boxes(), line.aborted))

    def test_too_many_at_once(self) -> None:
        """An end that asks and asks without waiting for answers is closed on, with or without asking for them."""
        for last in ({b"_ask": b"9"}, {}):
            self.logged.clear()
            end, line = single()
            box = {b"_command": b"Fail", b"how": b"late"}
            with mock.patch.object(limits, "MOST_ASKS", 3):
                for number in range(3):
                    end.dataReceived(amp.AmpBox({**box, b"_ask": b"%d" % number}).serialize())
                self.assertEqual(0, line.aborted)
                end.dataReceived(amp.AmpBox({**box, **last}).serialize())
            self.assertEqual(3, len(end.late))
            self.assert_closed(end, line)

    def test_answered_asks_do_not_count(self) -> None:
        """Any number may come, one after the other; those that failed are over too."""
        pair = Pair()
        with mock.patch.object(limits, "MOST_ASKS", 3):
            for number in range(10):
                self.successResultOf(pair.ask(Double, number=number))
                self.failureResultOf(pair.ask(Fail, how="held"), NodeHeldError)
            self.assert_alive(pair)

    def test_answers_that_come_too_late(self) -> None:
        """What is answered after the link has gone is dropped, an error as well."""
        pair = Pair()
        asked = [pair.ask(Fail, how="late"), pair.ask(Fail, how="late")]
        pair.cut()
        pair.far.late[0].callback({})
        pair.far.late[1].errback(WireError("too late"))
        for answer in asked:
            self.failureResultOf(answer, ConnectionClosed)


class Asking(Case):
    """What may go wrong while somebody asks."""

    def test_an_answer_that_nobody_asked_for(self) -> None:
        """Closes the link; so does a second answer, and one that hides in a command."""
        for said in (
            {b"_answer": b"77"}, {b"_error": b"77", b"_error_code": b"HELD", b"_error_description": b""},
            {b"_answer": b"77", b"_command": b"Double", b"_ask": b"1"}, {b"_error": b"77", b"_command": b"Double"},
        ):  # fmt: skip
            self.logged.clear()
            end, line = single()
            end.dataReceived(amp.AmpBox(said).serialize())
            self.assert_closed(end, line)
        self.logged.clear()
        end, line = single()
        answer = end.ask(Double, number=1)
        for _ in range(2):
            end.dataReceived(amp.AmpBox({b"_answer": b"1", b"number": b"2"}).serialize())
        self.assertEqual({"number": 2}, self.successResultOf(answer))
        self.assert_closed(end, line)

    def test_half_an_error(self) -> None:
        """An error without code or text closes the link, and the ask fails with it."""
        for said in ({}, {b"_error_code": b"HELD"}, {b"_error_description": b"by me"}):
            self.logged.clear()
            end, line = single()
            answer = end.ask(Double, number=1)
            end.dataReceived(amp.AmpBox({b"_error": b"1", **said}).serialize())
            self.assert_closed(end, line)
            end.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(answer, ConnectionClosed)

    def test_too_many(self) -> None:
        """An ask too many fails and is not sent; one more goes when an answer has come. What needs no answer goes."""
        end, line = single()
        with mock.patch.object(limits, "MOST_ASKS", 3):
            asked = [end.ask(Double, number=number) for number in range(3)]
            self.assertEqual(3, len(line.boxes()))
            self.failureResultOf(end.ask(Double, number=3), WireError)
            end.tell(Mutter, how="on")
            self.assertEqual([b"Mutter"], [box[b"_command"] for box in line.boxes()])
            end.dataReceived(amp.AmpBox({b"_answer": b"2", b"number": b"2"}).serialize())
            self.assertEqual({"number": 2}, self.successResultOf(asked[1]))
            self.assertNoResult(end.ask(Double, number=3))
            self.assertEqual(1, len(line.boxes()))

    def test_what_cannot_be_sent(self) -> None:
        """Arguments that do not fit fail the ask, leave nothing behind, and the link lives."""
        pair = Pair()
        self.failureResultOf(pair.ask(Double, number=-1), WireError)
        self.failureResultOf(pair.ask(Keep, jobs=[b"j" * 2_000_000]), WireError)
        self.failureResultOf(pair.ask(Double), amp.InvalidSignature)
        self.assertEqual({}, pair.near._outstandingRequests)
        self.assert_alive(pair)

    def test_after_the_end(self) -> None:
        """An ask fails when the link is closed, and before it is open; what needs no answer is dropped in silence."""
        closed, line = single()
        closed.connectionLost(Failure(ConnectionDone()))
        aborted, _ = single()
        aborted.abort()
        for end in (closed, aborted, End()):
            self.failureResultOf(end.ask(Double, number=1), ConnectionClosed)
            self.assertIsNone(self.successResultOf(end.tell(Mutter, how="?")))
        self.assertEqual([], line.boxes())

    def test_nothing_is_left_pending(self) -> None:
        """Every ask fails with the link, those that are asked meanwhile too; then the link says that it is lost."""
        pair = Pair()
        asked = [pair.ask(Fail, how="late") for _ in range(10)]
        again: list[Any] = []
        asked[0].addErrback(lambda _: pair.near.ask(Double, number=1).addErrback(again.append))
        pair.near.link_lost = lambda reason: pair.near.events.append(f"lost, {sum(a.called for a in asked)} failed")  # type: ignore[method-assign]
        pair.cut()
        self.assertEqual(["opened", "lost, 10 failed", "closed"], pair.near.events)
        self.assertTrue(again[0].check(ConnectionClosed))
        for answer in asked[1:]:
            self.failureResultOf(answer, ConnectionClosed)


class Times(Case):
    """What a link tells of itself."""

    def test_signs_of_life(self) -> None:
        """Every byte that comes is one, also in the middle of a box; every box that leaves is one of ours."""
        end, _ = single()
        self.assertEqual((100.0, 100.0), (end.last_received, end.last_sent))
        end.time = 101.0
        end.dataReceived(b"\0")
        end.time = 102.0
        end.tell(Mutter, how="?")
        self.assertEqual((101.0, 102.0), (end.last_received, end.last_sent))

    def test_a_life(self) -> None:
        """A link opens, and is lost, once; as long as it lives, its other end has an address."""
        self.assertEqual("", End().peer_host)
        end, line = single()
        self.assertEqual("127.0.0.1", end.peer_host)
        end.abort()
        end.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((["opened", "lost", "closed"], 1, ""), (end.events, line.aborted, end.peer_host))
