"""How a program names nodes, and what it is shown of them."""

from __future__ import annotations

import inspect
import unittest

from hypothesis import example, given
from hypothesis import strategies as st

from dispytw.client.nodes import (
    Address,
    Choices,
    DispyNode,
    DispyNodeAvailInfo,
    NodeAllocate,
    node_entries,
    parse_address,
)

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
        self.assertEqual("(host, port=None, cpus=0, depends=(), setup_args=())", _names(inspect.signature(NodeAllocate)))
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
            ("depends", ("h", None, 0, "file.py")),
            ("setup_args", ("h", None, 0, [], "text")),
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

    def test_tuples_and_dicts(self) -> None:
        """Fields in dispy's order, or by name; a list within the list is as good as a tuple. What is left out has its default."""
        for node in (("a", 9, 2), ["a", 9, 2], {"host": "a", "port": 9, "cpus": 2}, ("a:9", None, 2), {"host": "a:9", "cpus": 2}):
            self.assertEqual([("a", 9, 2)], self.entries([node]), node)
        self.assertEqual([("a", 7, 0), ("b", 7, 0), ("*", None, -1)], self.entries([("a",), {"host": "b", "port": None}, ("*", None, -1)]))
        self.assertEqual([("a", 9, 0)], self.entries({"host": "a", "port": 9}))
        for node in (("a", 9, 2, ["x.py"], (1,)), {"host": "a", "depends": ["x.py"], "setup_args": [1]}):
            (entry,) = node_entries([node], 7)
            self.assertEqual((["x.py"], (1,)), (entry.depends, entry.setup_args))

    def test_shown_nodes(self) -> None:
        """A DispyNode stands for its address."""
        self.assertEqual([("10.0.0.7", 9, 0)], self.entries([DispyNode("10.0.0.7", "node7", 4, 9)]))
        self.assertEqual([("10.0.0.7", 9, 0)], self.entries(DispyNode("10.0.0.7", "node7", 4, 9)))

    def test_nothing_is_shared(self) -> None:
        """What allocate adds to one object's dependencies is not in another's, nor in the list that was given."""
        given = ["x.py"]
        first, second = NodeAllocate("a", depends=given), NodeAllocate("a", depends=given)
        first.depends.append("y.py")
        NodeAllocate("b").depends.append("z.py")
        self.assertEqual((["x.py"], ["x.py"], []), (given, second.depends, NodeAllocate("c").depends))
    def test_parts_of_addresses(self) -> None:
        """A star within an address, with or without a port."""
        self.assertEqual([("192.168.3.*", None, 0), ("10.*", 9, 0), ("*", 9, 0)], self.entries(["192.168.3.*", "10.*:9", "*:9"]))
        chosen = NodeAllocate("192.168.3.*", cpus=2)
        self.assertIs(chosen, node_entries([chosen], 7)[0])

    def test_parts_of_names(self) -> None:
        """A star within a host name would never match: that is said at once, of a string as of a NodeAllocate."""
        for node in ("node*", NodeAllocate("node*"), "*.example.org:9"):
            with self.assertRaisesRegex(ValueError, r"^nodes: '.*' can match no IP address; .*name the node"):
                node_entries([node], 7)

    def test_wrong_types(self) -> None:
        """What names no node raises, naming it, what came and what is wanted."""
        unmade = NodeAllocate.__new__(NodeAllocate)
        for nodes, words in (
            (5, "each entry a string .*; not 5"),
            (b"a", "not b'a'"),
            ([5], "an entry must be a string .*; not 5"),
            (["a", ("b", "9")], r"\('b', '9'\): port must be a number from 1 to 65535, not '9'"),
            ([()], r"\(\) has 0 fields; wanted \(host, port"),
            ([("a", 1, 2, [], (), 6)], "has 6 fields"),
            ([(None, 5)], r"\(None, 5\): host must be"),
            ([{"port": 5}], "names no host; its keys are"),
            ([{"host": "a", "cpu": 5}], r"has no use for \['cpu'\]; its keys are"),
            ([{"host": "a", "cpus": "5"}], "cpus must be a whole number, not '5'"),
            ([unmade], "has no host: its __init__ must call NodeAllocate's"),
        ):
            with self.assertRaisesRegex(TypeError, f"^nodes.*{words}"):
                node_entries(nodes, 7)
        for nodes in ([], ""):
            with self.assertRaisesRegex(ValueError, "^nodes"):
                node_entries(nodes, 7)


class Deciding(unittest.TestCase):
    """Which entries have a say about a node."""

    def hosts(self, address: Address, *wild: str, port: int | None = None, **exact: int) -> list[str]:
        """The hosts of those who decide about a node at this address."""
        named = {Address(host, number): NodeAllocate(host) for host, number in exact.items()}
        choices = Choices(named, [NodeAllocate(host, port) for host in wild])
        return [entry.host for entry in choices.of(address)]

    def test_the_one_that_names_it(self) -> None:
        """Is asked first, then those that match it most closely."""
        address = Address("10.0.0.7", 5, named=Address("node7", 5))
        self.assertEqual(["node7", "10.0.0.*", "10.*", "*"], self.hosts(address, "*", "10.*", "10.0.0.*", "192.*", node7=5))

    def test_patterns(self) -> None:
        """Match the whole of an IP address, a star any characters in it, dots too; host names they do not match."""
        for pattern, host, matches in (
            ("10.0.0.*", "10.0.0.7", True),
            ("10.*.7", "10.0.0.7", True),
            ("10.0.0.1*", "10.0.0.15", True),
            ("*0.0.1", "10.0.0.15", False),
            ("10x0x0x*", "10.0.0.7", False),
            ("node*", "10.0.0.7", False),
        ):
            found = self.hosts(Address(host, 5, named=Address("node7", 5)), pattern)
            self.assertEqual([pattern if matches else host], found, pattern)

    def test_ports(self) -> None:
        """A pattern with a port matches nodes at that port only."""
        self.assertEqual(["10.*"], self.hosts(Address("10.0.0.7", 5), "10.*", port=5))
        self.assertEqual(["10.0.0.7"], self.hosts(Address("10.0.0.7", 6), "10.*", port=5))

    def test_later_ones(self) -> None:
        """One that is added replaces what named the address, and goes before patterns that match as much."""
        choices = Choices({Address("a", 5): NodeAllocate("a", cpus=1)}, [NodeAllocate("*", cpus=2)])
        choices.add(Address("a", 5), NodeAllocate("a", cpus=3))
        choices.add_wild(NodeAllocate("*", cpus=4))
        self.assertEqual([3, 4, 2], [entry.cpus for entry in choices.of(Address("a", 5))])
        self.assertTrue(choices.matches(Address("b", 5)))
        self.assertFalse(Choices({Address("a", 5): NodeAllocate("a")}).matches(Address("b", 5)))


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
