"""How a program names nodes, and what it is shown of them."""

from __future__ import annotations

import inspect
import unittest

from hypothesis import example, given
from hypothesis import strategies as st

from dispytw.client.nodes import Address, DispyNode, DispyNodeAvailInfo, NodeAllocate, node_entries, parse_address

PORTS = st.integers(1, 65535)
HOSTS = st.one_of(
    st.text("az09-.", min_size=1, max_size=20),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)


class Addresses(unittest.TestCase):
    """Text as an address, and back."""

    def test_spellings(self) -> None:
        """A host, a host with its port, IPv6 in brackets or bare; without a port it is the cluster's."""
        for text, host, port in (
            ("node7", "node7", 1),
            ("node7:51400", "node7", 51400),
            ("10.0.0.7", "10.0.0.7", 1),
            ("10.0.0.7:65535", "10.0.0.7", 65535),
            ("::1", "::1", 1),
            ("fe80::1:51400", "fe80::1:51400", 1),
            ("[::1]", "::1", 1),
            ("[::1]:51400", "::1", 51400),
        ):
            self.assertEqual(Address(host, port), parse_address(text, 1), text)

    @given(HOSTS, PORTS, PORTS)
    @example("::1", 1, 65535)
    def test_there_and_back(self, host: str, port: int, default: int) -> None:
        """The text of an address is the address."""
        self.assertEqual(Address(host, port), parse_address(str(Address(host, port)), default))

    @given(HOSTS, PORTS)
    def test_a_bare_host(self, host: str, default: int) -> None:
        """A host alone, of either kind, gets the default port."""
        self.assertEqual(Address(host, default), parse_address(host, default))

    def test_no_address(self) -> None:
        """What is none raises ValueError, which quotes it."""
        for text in ("", ":51348", "node7:", "node7:0", "node7:65536", "node7:x", "node7:-1", "[]", "[]:5", "[::1", "[::1]x", "[::1]:"):
            with self.assertRaisesRegex(ValueError, "is no address; wanted 'host', 'host:port' or") as caught:
                parse_address(text, 51348)
            self.assertIn(repr(text), str(caught.exception))

    def test_by_another_name(self) -> None:
        """An address stays the same one under whatever name it was reached."""
        self.assertEqual(Address("10.0.0.7", 5), Address("10.0.0.7", 5, named=Address("node7", 5)))
        self.assertEqual("10.0.0.7:5", str(Address("10.0.0.7", 5, named=Address("node7", 5))))


class Allocating(unittest.TestCase):
    """dispy's NodeAllocate."""

    def test_signature(self) -> None:
        """Parameters and defaults are the manual's."""
        self.assertEqual("(host, port=None, cpus=0)", _names(inspect.signature(NodeAllocate)))
        allocate = _names(inspect.signature(NodeAllocate("h").allocate))
        self.assertEqual("(cluster, ip_addr, name, cpus, avail_info=None, platform='')", allocate)

    def test_defaults(self) -> None:
        """A host alone means its usual port and all slots."""
        entry = NodeAllocate("node7")
        self.assertEqual(("node7", None, 0), (entry.host, entry.port, entry.cpus))
        self.assertEqual(8, entry.allocate(None, "10.0.0.7", "node7", 8))

    @given(st.integers(-64, 64), st.integers(0, 64))
    def test_slots(self, cpus: int, offered: int) -> None:
        """Never more than offered nor fewer than none: at most ``cpus``, or all but ``-cpus``."""
        used = NodeAllocate("h", cpus=cpus).allocate(None, "h", "h", offered)
        self.assertTrue(0 <= used <= offered)
        self.assertEqual(min(cpus, offered) if cpus > 0 else max(0, offered + cpus), used)

    def test_wrong_types(self) -> None:
        """Each parameter of a wrong type raises TypeError, which names it."""
        for name, arguments in (
            ("host", ("",)),
            ("host", (None,)),
            ("host", (("10.0.0.7", 51348),)),
            ("port", ("h", "51348")),
            ("port", ("h", 0)),
            ("port", ("h", 65536)),
            ("port", ("h", True)),
            ("cpus", ("h", None, 1.5)),
            ("cpus", ("h", None, "all")),
            ("cpus", ("h", None, True)),
        ):
            with self.assertRaisesRegex(TypeError, f"^NodeAllocate: {name} must be"):
                NodeAllocate(*arguments)  # type: ignore[arg-type]


class Entries(unittest.TestCase):
    """The ``nodes`` of a cluster."""

    def entries(self, nodes: object) -> list[tuple[str, int | None, int]]:
        """Host, port and slots of each entry."""
        return [(entry.host, entry.port, entry.cpus) for entry in node_entries(nodes, 7)]

    def test_nothing_named(self) -> None:
        """Nothing named means whatever is found."""
        self.assertEqual([("*", None, 0)], self.entries(None))

    def test_one_or_many(self) -> None:
        """A list, any other iterable, or one alone."""
        expected = [("a", 7, 0), ("b", 9, 0)]
        for nodes in (["a", "b:9"], ("a", "b:9"), (each for each in ("a", "b:9"))):
            self.assertEqual(expected, self.entries(nodes))
        self.assertEqual([("b", 9, 0)], self.entries("b:9"))
        self.assertEqual([("b", None, 3)], self.entries(NodeAllocate("b", cpus=3)))

    def test_objects_stay_themselves(self) -> None:
        """A NodeAllocate, of whatever subclass, is asked itself."""

        class Chosen(NodeAllocate):
            pass

        chosen = Chosen("c")
        self.assertIs(chosen, node_entries([chosen], 7)[0])

    def test_special_names(self) -> None:
        """A star and ``'local'`` have no port of their own."""
        self.assertEqual([("*", None, 0), ("local", None, 0)], self.entries(["*", "local"]))

    def test_parts_of_addresses(self) -> None:
        """A star within an address, with or without a port."""
        self.assertEqual([("192.168.3.*", 7, 0), ("10.*", 9, 0), ("*", 9, 0)], self.entries(["192.168.3.*", "10.*:9", "*:9"]))
        chosen = NodeAllocate("192.168.3.*", cpus=2)
        self.assertIs(chosen, node_entries([chosen], 7)[0])

    def test_parts_of_names(self) -> None:
        """A star within a host name would never match: that is said at once, of a string as of a NodeAllocate."""
        for node in ("node*", NodeAllocate("node*"), "*.example.org:9"):
            with self.assertRaisesRegex(ValueError, r"^nodes: '.*' can match no IP address; .*name the node"):
                node_entries([node], 7)

    def test_wrong_types(self) -> None:
        """What names no node raises, naming it."""
        for nodes, words in ((5, "not 5"), ([5], "5 must be a string"), (["a", ("b", 9)], r"\('b', 9\) must be")):
            with self.assertRaisesRegex(TypeError, f"^nodes.*{words}"):
                node_entries(nodes, 7)
        for nodes in ([], ""):
            with self.assertRaisesRegex(ValueError, "^nodes"):
                node_entries(nodes, 7)


class Shown(unittest.TestCase):
    """What a program is shown."""

    def test_a_new_node(self) -> None:
        """A node that was just found is idle and has done nothing."""
        node = DispyNode("10.0.0.7", "node7", 4)
        self.assertEqual(("10.0.0.7", "node7", 4, 4, 51348), (node.ip_addr, node.name, node.cpus, node.avail_cpus, node.port))
        self.assertEqual((0, 0, 0.0, 0, 0), (node.busy, node.jobs_done, node.cpu_time, node.tx, node.rx))
        self.assertIsNone(node.avail_info)
        self.assertEqual("<DispyNode node7 at 10.0.0.7: 0 of 4 busy>", repr(node))

    def test_constants(self) -> None:
        """dispy's numbers."""
        self.assertEqual((4, 16, 17), (DispyNode.Initialized, DispyNode.Closed, DispyNode.AvailInfo))

    def test_how_busy(self) -> None:
        """dispy's four attributes."""
        info = DispyNodeAvailInfo(75.0, 2**30, 2**40, 100.0)
        self.assertEqual((75.0, 2**30, 2**40, 100.0), (info.cpu, info.memory, info.disk, info.swap))


def _names(signature: inspect.Signature) -> str:
    """Names and defaults, without types."""
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))
