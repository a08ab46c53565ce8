"""A computation as one node gets it, with dependencies and arguments of its own."""

from __future__ import annotations

import functools
import os
import tempfile
import unittest
from typing import Any

from dispytw.client.variants import Variants
from dispytw.wire.bundle import decode
from dispytw.wire.payload import open_arguments

EVERY_PYTHON = False


def compute(n: int) -> int:
    return n


def begin(*words: str) -> int:
    return 0


def end() -> None:
    """Takes nothing."""


def end_with(first: str, second: str) -> None:
    """Takes what `begin` was given."""


def extra() -> str:
    return "only there"


class Packing(unittest.TestCase):
    """What is packed, and what it is made of."""

    def variants(self, setup: Any = begin, cleanup: Any = True) -> Variants:
        return Variants(compute, [], setup, cleanup, uid=b"u" * 16, token=b"t" * 16)

    def called_with(self, shipment: Any, role: str) -> Any:
        """What a role of the bundle is called with."""
        packed = getattr(decode(shipment.bundle), role).arguments
        return open_arguments(packed)[0] if packed else ()

    def test_the_same_computation(self) -> None:
        """Uid, token and name stay; what all nodes get is packed without anything more."""
        variants = self.variants()
        plain, other = variants.pack().computation, variants.pack([extra], ("a",)).computation
        self.assertEqual((plain.uid, plain.token, plain.name), (other.uid, other.token, other.name))
        self.assertNotEqual(plain.bundle.digest, other.bundle.digest)
        self.assertEqual(plain.bundle.digest, variants.pack().computation.bundle.digest)

    def test_dependencies(self) -> None:
        """Functions join the code, files the files, of that node only."""
        directory = tempfile.mkdtemp()
        path = os.path.join(directory, "table.txt")
        with open(path, "w") as file:
            file.write("1 2 3")
        self.addCleanup(os.rmdir, directory)
        self.addCleanup(os.unlink, path)
        variants = self.variants()
        shipment = variants.pack([extra, path])
        self.assertEqual(["table.txt"], [each.path for each in shipment.computation.files])
        self.assertIn("extra", [entry.name for entry in decode(shipment.bundle).entries])
        self.assertNotIn("extra", [entry.name for entry in decode(variants.pack().bundle).entries])

    def test_arguments_for_setup(self) -> None:
        """Follow those that it has of its own."""
        self.assertEqual(("a", 2), self.called_with(self.variants().pack((), ("a", 2)), "setup"))
        own = self.variants(functools.partial(begin, "own"))
        self.assertEqual(("own", "a"), self.called_with(own.pack((), ("a",)), "setup"))

    def test_arguments_for_cleanup(self) -> None:
        """Are the same, if it takes as many; else it gets none."""
        self.assertEqual(("a", "b"), self.called_with(self.variants(cleanup=end_with).pack((), ("a", "b")), "cleanup"))
        self.assertEqual((), self.called_with(self.variants(cleanup=end).pack((), ("a", "b")), "cleanup"))
        self.assertIsNone(decode(self.variants(cleanup=True).pack((), ("a",)).bundle).cleanup)

    def test_nobody_to_take_them(self) -> None:
        """Arguments without a setup are an error that names them."""
        with self.assertRaisesRegex(TypeError, r"setup_args \('a',\) are for setup, and the cluster has none"):
            self.variants(setup=None).pack((), ("a",))
