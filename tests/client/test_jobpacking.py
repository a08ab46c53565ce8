"""What travels for one call, and what is refused with which words."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import Any
from unittest import TestCase

from dispytw.client.depends import Shipment, pack_computation
from dispytw.client.jobpacking import pack_job
from dispytw.errors import PayloadError
from dispytw.values import Body, Inline
from dispytw.wire.payload import open_arguments


class Point:
    """A class with a method."""

    def __init__(self, x: int) -> None:
        self.x = x

    def scaled(self, by: int) -> int:
        return self.x * by


def compute(n: int, plus: int = 0) -> int:
    return n + plus


def shipment(computation: Any = compute, **options: Any) -> Shipment:
    return pack_computation(computation, uid=b"u" * 16, **options)


def data(body: Body) -> bytes:
    assert isinstance(body, Inline)
    return body.data


class Arguments(TestCase):
    """Of functions, methods and programs."""

    def test_function(self) -> None:
        """They are packed as they are, or named when they cannot be."""
        self.assertEqual(((1,), {"plus": 2}), open_arguments(data(pack_job(shipment(), (1,), {"plus": 2}))))
        with self.assertRaisesRegex(PayloadError, "argument 'plus', a _thread.lock,"):
            pack_job(shipment(), (1,), {"plus": threading.Lock()})

    def test_method(self) -> None:
        """The instance that a job does not bring is the one that the method was bound to, as it is now."""
        point = Point(3)
        packed = shipment(point.scaled)
        point.x = 4
        for args in ((5,), (point, 5)):
            (receiver, by), _ = open_arguments(data(pack_job(packed, args, {})))
            self.assertEqual((4, 5), (receiver.x, by))

    def test_program(self) -> None:
        """Strings, without pickle."""
        with tempfile.NamedTemporaryFile() as program:
            packed = shipment(os.path.abspath(program.name))
        self.assertEqual(b"\x92\xa1a\xa13", data(pack_job(packed, ("a", 3), {})))
        with self.assertRaisesRegex(TypeError, "argument 1 of a program"):
            pack_job(packed, (b"",), {})
