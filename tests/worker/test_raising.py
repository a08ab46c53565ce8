"""What a job raised is packed where it can be, and whatever goes wrong at that does no harm."""

from __future__ import annotations

import unittest

import msgpack

from dispytw.values import ERROR_LIMIT
from dispytw.worker.raising import packed_death, packed_error


class Packer:
    """A namespace that packs as it is told to."""

    def __init__(self, packed: bytes | BaseException) -> None:
        self.packed = packed

    def pack_error(self, error: BaseException) -> bytes:
        if isinstance(self.packed, BaseException):
            raise self.packed
        return self.packed


class Raising(unittest.TestCase):
    """`packed_error`."""

    def test_what_can_be_packed(self) -> None:
        """As the namespace packs it, up to the limit."""
        for packed in (b"p.", b"p" * ERROR_LIMIT):
            self.assertEqual(packed, packed_error(ValueError("x"), Packer(packed)))

    def test_what_cannot(self) -> None:
        """Too large, refused by its own class in whatever way, or raised where there is no namespace: nothing."""
        self.assertEqual(b"", packed_error(ValueError("x"), Packer(b"p" * (ERROR_LIMIT + 1))))
        for refusal in (TypeError("no"), SystemExit(3), KeyboardInterrupt()):
            self.assertEqual(b"", packed_error(ValueError("x"), Packer(refusal)))
        self.assertEqual(b"", packed_error(OSError("no such program"), None))

    def test_sys_exit(self) -> None:
        """Its status, as Python would make it, and never the exception, which would end whoever raises it again."""
        for code, status in ((None, 0), (3, 3), (-1, 255), (256, 0), ("a message", 1), (True, 1)):
            packed = packed_error(SystemExit(code), Packer(b"never"))
            self.assertEqual((b"m", ["exit", status]), (packed[:1], msgpack.unpackb(packed[1:])))

    def test_deaths(self) -> None:
        """Are what msgpack would open, for any status and any signal."""
        for how in ("exit", "signal"):
            for number in (0, 1, 9, 64, 255, 256, 65535, -1):
                packed = packed_death(how, number)
                self.assertEqual((b"m", [how, number]), (packed[:1], msgpack.unpackb(packed[1:])))
