"""Payloads, opened where they were made: formats, laws, and what they refuse. What becomes of them elsewhere is in test_namespace."""

from __future__ import annotations

import collections
import enum
import math
import os
import pickle
import socket
import subprocess
import sys
import threading
from types import FunctionType
from typing import Any
from unittest import TestCase

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from dispytw.errors import PayloadError
from dispytw.wire.payload import (
    BYTECODE,
    PICKLED,
    PYTHON,
    SUPPLEMENTED,
    Packed,
    calling,
    not_opened,
    open_arguments,
    open_result,
    open_value,
    pack_arguments,
    pack_result,
    pack_value,
)

EVERY_PYTHON = True

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.integers()),
    max_leaves=20,
)


class Color(enum.Enum):
    """A class that has a name."""

    RED = 1


class Other:
    """Another end that knows all, or nothing of some things.

    :param unknown: what it does not find.
    :param supplements: what it could be brought by.
    """

    def __init__(self, *unknown: Any, supplements: dict[Any, Packed] | None = None) -> None:
        self.unknown = unknown
        self.supplements = supplements or {}
        self.asked: list[Any] = []

    def finds(self, thing: Any) -> bool:
        self.asked.append(thing)
        return "<" not in thing.__qualname__ and thing not in self.unknown

    def supplement(self, thing: Any) -> Packed | None:
        return self.supplements.get(thing)

    def globals_of(self, function: FunctionType) -> bool:
        return False


def function() -> str:
    return "named"


class PlainValues(TestCase):
    """What has no code in it."""

    @settings(deadline=None, max_examples=50)
    @given(st.lists(PLAIN).map(tuple), st.dictionaries(st.text(), PLAIN))
    def test_arguments_round_trip(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Arguments arrive as they were, for any Python."""
        packed = pack_arguments(args, kwargs, Other())
        self.assertIsNone(packed.python)
        self.assertEqual(open_arguments(packed.data), (args, kwargs))

    @settings(deadline=None, max_examples=50)
    @given(PLAIN)
    def test_results_round_trip(self, value: Any) -> None:
        """Results too, and their types."""
        opened = open_result(pack_result(value, Other()))
        self.assertEqual((opened, type(opened)), (value, type(value)))

    def test_costs_what_pickle_costs(self) -> None:
        """It is C pickle, protocol 5, behind one byte; nobody is asked anything."""
        other = Other()
        value = ([*range(1000)], {"a": [1.5, "x"]})
        packed = pack_arguments(value, {}, other)
        self.assertEqual(packed.data, PICKLED + pickle.dumps((value, {}), 5))
        self.assertEqual(other.asked, [])

    def test_identity_inside(self) -> None:
        """What is one thing in the arguments stays one thing."""
        shared: list[int] = []
        args, kwargs = open_arguments(pack_arguments((shared,), {"same": shared}, Other()).data)
        self.assertIs(args[0], kwargs["same"])

    def test_exit_status(self) -> None:
        """A program's result is its exit status."""
        self.assertEqual(open_result(b"m" + msgpack.packb(3)), 3)


class ByName(TestCase):
    """What the other end finds."""

    def test_classes_functions_modules(self) -> None:
        """They are named, and each is asked about once."""
        other = Other()
        value = [Color, Color.RED, function, os, math.sqrt, collections.OrderedDict(a=1), Color.RED]
        packed = pack_value(value, other)
        self.assertEqual(packed.data[:1], PICKLED)
        self.assertEqual(open_value(packed.data), value)
        self.assertEqual(other.asked.count(Color), 1)

    def test_supplement(self) -> None:
        """What it could be told travels in front, once, and is told before the rest is opened."""
        told: list[bytes] = []
        other = Other(Color, function, supplements={Color: Packed(b"code of Color"), function: Packed(b"other code", (3, 1))})
        packed = pack_arguments((Color.RED, Color), {"f": function}, other)
        self.assertEqual((packed.data[:1], packed.python), (SUPPLEMENTED, (3, 1)))
        self.assertEqual(open_arguments(packed.data, told.append), ((Color.RED, Color), {"f": function}))
        self.assertEqual(told, [b"code of Color", b"other code"])


class ByValue(TestCase):
    """What has no name at the other end."""

    def test_lambda(self) -> None:
        """It travels as bytecode with what it uses, and the payload says which Python made it."""
        packed = pack_arguments((lambda n: n + _STEP,), {}, Other())
        self.assertEqual((packed.data[:1], packed.python), (BYTECODE, PYTHON))
        (opened,), _ = open_arguments(packed.data)
        self.assertEqual(opened(1), 1 + _STEP)

    def test_named_things_beside_it(self) -> None:
        """Beside a lambda, what has a name is named all the same."""
        (_, color, kind), _ = open_arguments(pack_arguments((lambda: 1, Color.RED, Color), {}, Other()).data)
        self.assertIs(color, Color.RED)
        self.assertIs(kind, Color)

    def test_local_class(self) -> None:
        """A class made at run time travels with its instances."""

        class Local:
            def method(self) -> str:
                return function()

        instance, kind = open_result(pack_result((Local(), Local), Other()))
        self.assertIsInstance(instance, kind)
        self.assertEqual(instance.method(), "named")

    def test_local_enum(self) -> None:
        """An Enum made at run time keeps members, aliases, and methods; a member is one of its class."""

        class Level(enum.Enum):
            LOW = 1, "low"
            HIGH = 2, "high"
            TOP = 2, "high"  # noqa: PIE796 - an alias, on purpose

            def __init__(self, number: int, word: str) -> None:
                self.word = word

            def louder(self) -> Any:
                return Level.HIGH

            @property
            def loud(self) -> bool:
                return self is Level.HIGH

        kind, low = open_result(pack_result((Level, Level.LOW), Other()))
        self.assertIs(low, kind.LOW)
        self.assertIs(kind.TOP, kind.HIGH)
        self.assertEqual((low.word, low.loud, kind.HIGH.word, kind.__qualname__), ("low", False, "high", Level.__qualname__))
        self.assertIs(low.louder(), kind.HIGH)

    def test_other_python(self) -> None:
        """Another minor version refuses it before a byte of bytecode is looked at, naming both."""
        data = pack_result(lambda: 1, Other())
        major, minor = PYTHON
        for made_by in ((major, minor + 1), (major, minor - 1), (2, minor)):
            with self.assertRaises(PayloadError) as caught:
                open_result(data[:1] + bytes(made_by) + b"not even a pickle")
            self.assertIn("Python {}.{}".format(*made_by), str(caught.exception))
            self.assertIn(f"Python {major}.{minor}", str(caught.exception))

    def test_dill_is_imported_only_when_needed(self) -> None:
        """Plain values and named classes do without it."""
        program = (
            "import sys, collections; from tests.wire.test_payload import Other; from dispytw.wire.payload import *\n"
            "open_value(pack_value([1, collections.OrderedDict()], Other()).data); print('dill' in sys.modules, 'twisted' in sys.modules)\n"
            "open_value(pack_value(lambda: 1, Other()).data); print('dill' in sys.modules)"
        )
        ran = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": _ROOT}, capture_output=True, text=True)
        self.assertEqual(ran.stdout.split(), ["False", "False", "True"], ran.stderr)


class Calling(TestCase):
    """What a forked worker calls with a job's arguments: the same as opening them, calling, and packing, whatever they are."""

    def call(self, payload: bytes, function: Any = lambda *args, **kwargs: (args, kwargs)) -> bytes:
        """Calls the function with it; what is not plain is another's."""
        pack, otherwise = (lambda value: pack_result(value, Other())), (lambda payload: b"otherwise" + payload)
        return calling(function, pack, otherwise)(payload)

    @given(st.lists(PLAIN, max_size=3).map(tuple), st.dictionaries(st.text(), PLAIN, max_size=3))
    def test_plain_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Arrive as they were sent, or are left to who opens all."""
        payload = pack_arguments(args, kwargs, Other()).data
        said = self.call(payload)
        if said != b"otherwise" + payload:
            self.assertEqual((args, kwargs), open_result(said))

    @given(PLAIN)
    def test_results(self, value: Any) -> None:
        """Are packed as any result is."""
        payload = pack_arguments((value,), {}, Other()).data
        said = self.call(payload, lambda value: value)
        if said != b"otherwise" + payload:
            self.assertEqual(pack_result(pickle.loads(payload[1:])[0][0], Other()), said)

    def test_what_is_left_to_others(self) -> None:
        """Arguments of any other format, and long ones."""
        for payload in (b"", BYTECODE + b"x", SUPPLEMENTED + b"x", b"m\x90", PICKLED + bytes(1 << 20)):
            self.assertEqual(b"otherwise" + payload, self.call(payload))
        self.assertEqual(((7,), {}), open_result(self.call(pack_arguments((7,), {}, Other()).data)))

    def test_nothing_is_looked_up(self) -> None:
        """For plain arguments and results: neither what packs the others, nor what opens them, is asked."""
        call = calling(lambda x: x + 1, lambda value: self.fail("packed"), lambda payload: self.fail("opened"))  # type: ignore[arg-type,return-value]
        self.assertEqual(8, open_result(call(pack_arguments((7,), {}, Other()).data)))

    def test_what_cannot_be_opened(self) -> None:
        """Is what the job raises, with the reason; what the function raises is its own."""
        with self.assertRaises(PayloadError) as caught:
            self.call(PICKLED + b"junk")
        self.assertIn("the job's arguments cannot be opened on this node: this payload cannot be opened here: ", str(caught.exception))
        self.assertIsInstance(caught.exception.__cause__, pickle.UnpicklingError)
        self.assertEqual("the job's arguments cannot be opened on this node: why", str(not_opened(PayloadError("why"))))
        with self.assertRaises(ZeroDivisionError):
            self.call(pack_arguments((0,), {}, Other()).data, lambda x: 1 // x)

    def test_a_result_that_cannot_be_packed(self) -> None:
        """Is refused by who packs it."""
        with self.assertRaisesRegex(PayloadError, "the job's result"):
            self.call(pack_arguments((), {}, Other()).data, threading.Lock)


class Refused(TestCase):
    """What cannot be packed or opened."""

    def test_arguments_are_named(self) -> None:
        """The one that cannot be packed, by position from 1 or by name, with its type and the reason."""
        with socket.socket() as held:
            for args, kwargs, name in (
                ((1, held), {}, "argument 2, a socket.socket,"),
                ((1, 2), {"x": [held]}, "argument 'x', a list,"),
            ):
                with self.assertRaises(PayloadError) as caught:
                    pack_arguments(args, kwargs, Other())
                self.assertIn(f"{name} cannot be sent to nodes: TypeError: cannot pickle 'socket' object", str(caught.exception))

    def test_result(self) -> None:
        """A result that cannot be packed says what it was."""
        with self.assertRaisesRegex(PayloadError, "the job's result, a generator, cannot be sent back"):
            pack_result((each for each in ()), Other())

    def test_locks_do_not_travel_with_lambdas(self) -> None:
        """Beside a lambda too, what pickle refuses is refused: a copy over there would be another lock, another file."""
        with open(os.devnull) as file, socket.socket() as held:
            for thing in (file, held, threading.Lock(), threading.RLock()):
                with self.assertRaises(PayloadError):
                    pack_arguments((lambda: 1, thing), {}, Other())

    @settings(deadline=None, max_examples=50)
    @given(st.binary(max_size=200))
    def test_nonsense(self, data: bytes) -> None:
        """Bytes of an unknown format, or cut ones, raise PayloadError and nothing else."""
        whole = pack_value([Color.RED, "text", 5], Other()).data
        for broken in (b"?" + data, b"", PICKLED, whole[:-3], BYTECODE + data[:1], SUPPLEMENTED + data[:3], b"m"):
            with self.assertRaises(PayloadError):
                open_value(broken)


_STEP = 2
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
