"""Arguments arrive as they were sent; what no honest end sends is a WireError."""

from __future__ import annotations

import math
import struct
import unittest
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp

from dispytw.errors import WireError
from dispytw.wire.arguments import MOST_DEPTH, MOST_PARTS, Bytes, Digest, Long, Records, Seconds, Text, Uid, Whole
from tests.wire.commands import packable

PART = 0xFFFF
#: Of each type, which bytes no honest end sends.
REFUSED: dict[amp.Argument, tuple[bytes, ...]] = {
    Uid(): (b"", b"u" * 15, b"u" * 17, b"u" * 32),
    Digest(): (b"", b"d" * 31, b"d" * 33, b"d" * 16),
    Whole(): (b"", b"-1", b"+1", b"1.0", b"1_0", b" 1", b"0x1", b"\xb2", b"%d" % 2**63, b"9" * 19, b"0" * 20),
    Seconds(): (b"", b"one", b"nan", b"inf", b"-inf", b"1e999", b"1" * 400, b"1,5", b"\xff", b"0x1p3"),
}


def parts(value: Any, name: bytes = b"jobs") -> amp.AmpBox:
    """A box with a list of records."""
    box = amp.AmpBox()
    Records().toBox(name, box, {name.decode(): value}, None)
    return box


def joined(box: dict[bytes, bytes], name: bytes = b"jobs") -> Any:
    """What the box holds."""
    values: dict[str, Any] = {}
    Records().fromBox(name, amp.AmpBox(box), values, None)
    return values[name.decode()]


def packed_in(packed: bytes, count: bytes = b"1") -> dict[bytes, bytes]:
    """A box that says it has so many parts, with these bytes as the first."""
    return {b"jobs": count, b"jobs.0": packed}


def nested(depth: int) -> Any:
    """Lists within lists; a list alone has depth 1."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


class Bounds(unittest.TestCase):
    """Values of fixed size, numbers and texts."""

    def test_refused(self) -> None:
        """What no honest end sends is refused, by WireError and nothing else."""
        for argument, refused in REFUSED.items():
            for value in refused:
                with self.subTest(argument=type(argument).__name__, value=value), self.assertRaises(WireError):
                    argument.fromString(value)

    def test_not_sent(self) -> None:
        """What would be refused over there is not even sent."""
        for argument, value in (
            (Uid(), b"u" * 15), (Uid(), "u" * 16), (Digest(), bytes(16)), (Whole(), -1), (Whole(), 2**63),
            (Seconds(), math.inf), (Seconds(), math.nan),
        ):  # fmt: skip
            with self.subTest(argument=type(argument).__name__, value=value), self.assertRaises(WireError):
                argument.toString(value)

    def test_missing(self) -> None:
        """Whatever a box should hold and does not."""
        for argument in (*REFUSED, Bytes(), Text(), Records(), Long()):
            with self.subTest(argument=type(argument).__name__), self.assertRaises(WireError):
                argument.fromBox(b"this", amp.AmpBox({b"that": b"1"}), {}, None)

    def test_the_outermost_values(self) -> None:
        """The smallest and the largest value of each type still go."""
        for argument, values in (
            (Whole(), (0, 2**63 - 1)),
            (Seconds(), (0.0, 5e-324, -1.7976931348623157e308, 0.1)),
            (Text(), ("", "t" * 60_000)),
            (Bytes(), (b"", b"b" * 0xFFFF)),
        ):
            for value in values:
                self.assertEqual(value, argument.fromString(argument.toString(value)))

    @given(st.sampled_from([Uid(), Digest(), Bytes(), Whole(), Seconds(), Text()]), st.binary(max_size=50))
    def test_any_bytes(self, argument: amp.Argument, received: bytes) -> None:
        """Whatever arrives is a value that could have been sent, or a WireError."""
        try:
            value = argument.fromString(received)
        except WireError:
            return
        self.assertEqual(value, argument.fromString(argument.toString(value)))


class Texts(unittest.TestCase):
    """Texts that are too long, or no Unicode."""

    @given(st.text(st.sampled_from("aé€😀"), min_size=1, max_size=8), st.integers(0, 3))
    def test_cut(self, pattern: str, shift: int) -> None:
        """A longer text arrives cut, in the middle of a character too, and is the beginning of what was said."""
        text = "x" * shift + pattern * (60_000 // len(pattern) + 1)
        sent = Text().toString(text)
        self.assertLessEqual(len(sent), 60_000)
        arrived = Text().fromString(sent).rstrip("\ufffd")
        self.assertTrue(text.startswith(arrived))
        self.assertGreater(len(arrived.encode()), 60_000 - 4)

    @given(st.text("aé€\ud800\udce9\udfff"))
    def test_lone_surrogates(self, text: str) -> None:
        """A name that is no Unicode is sent with marks in the place of what cannot be."""
        expected = "".join("?" if "\ud800" <= character <= "\udfff" else character for character in text)
        self.assertEqual(expected, Text().fromString(Text().toString(text)))

    @given(st.binary(max_size=50))
    def test_any_bytes(self, received: bytes) -> None:
        """Whatever bytes arrive, they are read."""
        self.assertIsInstance(Text().fromString(received), str)


class Lists(unittest.TestCase):
    """Lists of records, in as many parts as they need."""

    @given(st.lists(packable, max_size=5))
    def test_round_trip(self, records: list[Any]) -> None:
        """What is sent arrives."""
        self.assertEqual(records, joined(parts(records)))

    def test_names_that_are_no_unicode(self) -> None:
        """A file name with bytes that are no UTF-8 arrives as it is."""
        self.assertEqual(["caf\udce9.txt"], joined(parts(["caf\udce9.txt"])))

    @given(st.sampled_from([1, 2, 16, 17]), st.integers(-2, 0))
    def test_at_the_seams(self, count: int, off: int) -> None:
        """A list that fills its parts to the last byte, or to one or two less, takes so many and no more."""
        overhead = 4 if count == 1 else 6  # of the list, and of the length of its one entry
        records = [b"r" * (count * PART - overhead + off)]
        box = parts(records)
        self.assertEqual(b"%d" % count, box[b"jobs"])
        self.assertEqual({b"jobs", *(b"jobs.%d" % index for index in range(count))}, set(box))
        self.assertTrue(all(len(part) <= PART for part in box.values()))
        self.assertEqual(records, joined(box))

    def test_too_long(self) -> None:
        """What needs more than seventeen parts is not sent."""
        parts([b"r" * (MOST_PARTS * PART - 6)])
        with self.assertRaises(WireError):
            parts([b"r" * (MOST_PARTS * PART - 5)])

    def test_fewer_parts_than_declared(self) -> None:
        """Whichever part is missing, it is noticed."""
        whole = parts([b"r" * (3 * PART)])
        self.assertEqual(b"4", whole[b"jobs"])
        for missing in (b"jobs", b"jobs.0", b"jobs.1", b"jobs.2", b"jobs.3"):
            with self.subTest(missing=missing), self.assertRaises(WireError):
                joined({key: value for key, value in whole.items() if key != missing})

    def test_more_parts_than_declared(self) -> None:
        """Those that were declared count: a list that needs the others too is broken, one that does not is whole."""
        whole = parts([b"r" * (3 * PART)])
        with self.assertRaises(WireError):
            joined({**whole, b"jobs": b"3"})
        self.assertEqual([7], joined({**parts([7]), b"jobs.1": b"anything"}))

    def test_no_number_of_parts(self) -> None:
        """A number of parts is one to seventeen, in two digits at most."""
        packed = msgpack.packb([])
        for count in (b"", b"0", b"-1", b"18", b"99", b"1.0", b" 1", b"001", b"0010000000", b"\xb2", b"1" * 5000):
            with self.subTest(count=count[:20]), self.assertRaises(WireError):
                joined({b"jobs": count, **{b"jobs.%d" % index: packed if index == 0 else b"" for index in range(40)}})
        for count in (b"1", b"01", b"17"):
            self.assertEqual([], joined({b"jobs": count, **{b"jobs.%d" % i: packed if i == 0 else b"" for i in range(17)}}))

    def test_not_a_list(self) -> None:
        """Nothing but a list is a list of records."""
        for value in (None, 7, 1.5, "text", b"bytes", {}, {"a": []}, True, msgpack.ExtType(5, b"x"), msgpack.Timestamp(7)):
            with self.subTest(value=value), self.assertRaises(WireError):
                joined(packed_in(msgpack.packb(value)))

    def test_too_deep(self) -> None:
        """Lists and maps nest eight deep, not nine, and never so deep that the interpreter gives up."""
        self.assertEqual(nested(MOST_DEPTH), joined(packed_in(msgpack.packb(nested(MOST_DEPTH)))))
        for packed in (
            msgpack.packb(nested(MOST_DEPTH + 1)),
            msgpack.packb([1, {"a": nested(MOST_DEPTH - 1)}]),
            msgpack.packb([nested(2), nested(MOST_DEPTH), 3]),
            b"\x91" * 1000 + b"\x90",
            b"\x91" * 60_000 + b"\x90",
            b"\x81\xa1a" * 20_000 + b"\x90",
        ):
            with self.subTest(packed=packed[:20]), self.assertRaises(WireError):
                joined(packed_in(packed))

    def test_lengths_that_lie(self) -> None:
        """Claims of four thousand million entries, or bytes, that are not there."""
        for claim in (b"\xdd", b"\xdf", b"\xdb", b"\xc6"):
            with self.subTest(claim=claim), self.assertRaises(WireError):
                joined(packed_in(b"\x91" + claim + struct.pack(">I", 2**32 - 1)))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, packed: bytes) -> None:
        """Whatever bytes the parts hold, they are a list or a WireError."""
        try:
            self.assertIsInstance(joined(packed_in(packed)), list)
        except WireError:
            pass

    def test_a_name_of_its_own(self) -> None:
        """Two lists in one box do not meet."""
        box = {**parts([1], b"attempts"), **parts([2], b"computations")}
        self.assertEqual(([1], [2]), (joined(box, b"attempts"), joined(box, b"computations")))


class LongBytes(unittest.TestCase):
    """Bytes that may not fit one value."""

    @staticmethod
    def there_and_back(value: bytes) -> tuple[int, bytes]:
        """How many values it takes, and what arrives."""
        box, values = amp.AmpBox(), {}
        Long().toBox(b"chunk", box, {"chunk": value}, None)
        Long().fromBox(b"chunk", box, values, None)
        return len(box) - 1, values["chunk"]

    def test_any_length(self) -> None:
        """As many parts as it needs, one at least, seventeen at most."""
        for length, wanted in ((0, 1), (1, 1), (PART, 1), (PART + 1, 2), (MOST_PARTS * PART, MOST_PARTS)):
            value = bytes(range(256)) * (length // 256 + 1)
            with self.subTest(length=length):
                self.assertEqual((wanted, value[:length]), self.there_and_back(value[:length]))
        with self.assertRaises(WireError):
            self.there_and_back(bytes(MOST_PARTS * PART + 1))

    def test_parts_that_are_not_there(self) -> None:
        """A part is missing, or the number of them is none."""
        box = {b"chunk": b"2", b"chunk.0": b"a", b"chunk.1": b"b"}
        for wrong in ({**box, b"chunk": b"3"}, {**box, b"chunk": b"x"}, {**box, b"chunk": b"99"}, {**box, b"chunk": b"0"}):
            with self.subTest(wrong=wrong), self.assertRaises(WireError):
                Long().fromBox(b"chunk", amp.AmpBox(wrong), {}, None)
