"""Which node is meant by what a program says."""

from __future__ import annotations

import unittest
from typing import Any

from dispytw.client.lookup import find_node, named_address
from dispytw.client.nodes import DispyNode, NodeAllocate
from dispytw.errors import AmbiguousNodeError, UnknownNodeError

SEVEN, EIGHT, NINE = b"7" * 16, b"8" * 16, b"9" * 16
NODES = {
    SEVEN: DispyNode("10.0.0.7", "seven", 4, 51348),
    EIGHT: DispyNode("10.0.0.8", "eight", 4, 51348),
    NINE: DispyNode("10.0.0.8", "nine", 4, 51400),
}
NAMES = {SEVEN: {"10.0.0.7", "seven.example"}, EIGHT: {"10.0.0.8"}}


class Finding(unittest.TestCase):
    """Three nodes, two of which share an address."""

    def find(self, node: Any, resolved: dict[str, list[str]] | None = None) -> bytes:
        return find_node(node, "submit_node: node", NODES, NAMES, lambda host: (resolved or {}).get(host, ()))

    def test_by_address_or_name(self) -> None:
        """An IP address, the host's name, the name by which it was reached, with a port or without."""
        for node in ("10.0.0.7", "seven", "seven.example", "10.0.0.7:51348", "seven.example:51348"):
            self.assertEqual(SEVEN, self.find(node), node)
        self.assertEqual(NINE, self.find("10.0.0.8:51400"))
        self.assertEqual(NINE, self.find("nine"))

    def test_by_what_was_shown(self) -> None:
        """A DispyNode, that of another cluster too; a NodeAllocate."""
        self.assertEqual(EIGHT, self.find(NODES[EIGHT]))
        self.assertEqual(NINE, self.find(DispyNode("10.0.0.8", "whatever", 1, 51400)))
        self.assertEqual(SEVEN, self.find(NodeAllocate("seven")))

    def test_by_another_name(self) -> None:
        """A name by which no node is known is looked up."""
        self.assertEqual(SEVEN, self.find("also-seven", {"also-seven": ["::7", "10.0.0.7"]}))

    def test_several(self) -> None:
        """A bare host at which there are several is an error that names their ports."""
        with self.assertRaisesRegex(AmbiguousNodeError, r"submit_node: node: '10.0.0.8' may be any of '10.0.0.8:51348', '10.0.0.8:51400'"):
            self.find("10.0.0.8")
        with self.assertRaises(AmbiguousNodeError):
            self.find(NodeAllocate("10.0.0.8"))

    def test_none(self) -> None:
        """Is an error that names those that are known."""
        with self.assertRaisesRegex(UnknownNodeError, r"the cluster knows no node '10.0.0.9'; known: 10.0.0.7:51348 \(seven\), 10"):
            self.find("10.0.0.9")
        with self.assertRaisesRegex(UnknownNodeError, "knows no node 10.0.0.7:5; known"):
            self.find(DispyNode("10.0.0.7", "seven", 4, 5))
        with self.assertRaisesRegex(UnknownNodeError, "known: none has been found"):
            find_node(NodeAllocate("a"), "node", {}, {})

    def test_no_word_for_a_node(self) -> None:
        """Is an error that says what is wanted."""
        for wrong in (5, None, b"10.0.0.7", ["10.0.0.7"]):
            with self.assertRaisesRegex(TypeError, "^submit_node: node must be a DispyNode, an IP address, a host name or 'host:port', not"):
                named_address(wrong, "submit_node: node")
        with self.assertRaisesRegex(ValueError, "^submit_node: node: 'a:b' is no address"):
            self.find("a:b")
