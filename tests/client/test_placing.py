"""NodeAllocate objects are asked how nodes are to be used: users' code, on a thread of its own."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from dispytw.client.nodes import Address, Choices, DispyNode, DispyNodeAvailInfo, NodeAllocate
from dispytw.client.placing import Placing
from dispytw.values import NodeFacts

ADDRESS = Address("10.0.0.7", 51348)
NODE = NodeFacts(b"n" * 16, 1, "node7", 4, platform="Linux-6.1-x86_64")


class Chooser(NodeAllocate):
    """Remembers what it is asked, and answers as it is told."""

    def __init__(self, answer: Any, host: str = "10.0.0.7") -> None:
        super().__init__(host)
        self.answer = answer
        self.asked: list[Any] = []

    def allocate(
        self, cluster: Any, ip_addr: str, name: str, cpus: int, avail_info: DispyNodeAvailInfo | None = None, platform: str = ""
    ) -> int:
        self.asked.append((cluster, ip_addr, name, cpus, avail_info, platform))
        if callable(self.answer):
            return self.answer(self)  # type: ignore[no-any-return]
        return self.answer  # type: ignore[no-any-return]


class PlacingTestCase(unittest.TestCase):
    """A cluster's words about one node."""

    def setUp(self) -> None:
        self.shown = DispyNode("10.0.0.7", "node7", 4, 51348)
        self.calls: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.packed: list[tuple[Any, Any]] = []
        self.used: list[tuple[bytes, Any]] = []

    def allocate(self, function: Callable[[], Any]) -> Deferred[Any]:
        """The thread."""
        self.calls.append((function, Deferred()))
        return self.calls[-1][1]

    def pack(self, depends: Any, arguments: Any) -> Any:
        self.packed.append((list(depends), arguments))
        return "a shipment"

    def ask(self, *wild: NodeAllocate, named: NodeAllocate | None = None) -> list[Any]:
        """The answer, as far as there is one yet."""
        choices = Choices({} if named is None else {ADDRESS: named}, wild)
        placing = Placing("the cluster", choices, self, self.pack, lambda node, shipment: self.used.append((node, shipment)))
        answers: list[Any] = []
        placing.ask(self.shown, NODE, ADDRESS).addBoth(answers.append)
        return answers

    def answered(self, *wild: NodeAllocate, named: NodeAllocate | None = None) -> Any:
        """The answer, with the users' code run on its thread."""
        answers = self.ask(*wild, named=named)
        self.assertEqual([], answers)
        ((function, answer),) = self.calls
        answer.callback(function())
        return answers[0]


class Asking(PlacingTestCase):
    """Who is asked, and with what."""

    def test_nobody_s_code(self) -> None:
        """dispytw's own NodeAllocate needs no thread."""
        self.assertEqual([2], self.ask(named=NodeAllocate("10.0.0.7", cpus=2)))
        self.assertEqual([(NODE.uid, None)], self.used)

    def test_a_subclass(self) -> None:
        """Is asked on a thread of its own, with what the manual says: how busy the node is among it."""
        self.shown.avail_info = DispyNodeAvailInfo(75.0, 1, 2, 100.0)
        entry = Chooser(3)
        self.assertEqual(3, self.answered(named=entry))
        self.assertEqual([("the cluster", "10.0.0.7", "node7", 4, self.shown.avail_info, "Linux-6.1-x86_64")], entry.asked)

    def test_until_one_wants_it(self) -> None:
        """Each whose address or pattern it is, the closest first, until one gives CPUs; nobody does: none."""
        first, second, third = Chooser(0), Chooser(2, "10.*"), Chooser(4, "*")
        self.assertEqual(2, self.answered(third, second, named=first))
        self.assertEqual([1, 1, 0], [len(each.asked) for each in (first, second, third)])
        self.calls.clear()
        self.assertEqual(0, self.answered(named=Chooser(0)))

    def test_no_number(self) -> None:
        """Is an error that says what was returned."""
        for wrong in (None, "2", 1.5):
            self.calls.clear()
            self.assertEqual([], self.ask(named=Chooser(wrong)))
            with self.assertRaisesRegex(TypeError, f"it returned {wrong!r}, not a number of CPUs"):
                self.calls[0][0]()


class Adding(PlacingTestCase):
    """What a node gets beside the computation."""

    def test_in_the_entry(self) -> None:
        """Is packed, on the thread, before the node is used."""
        self.assertEqual(4, self.answered(named=NodeAllocate("10.0.0.7", depends=["x.py"], setup_args=(1,))))
        self.assertEqual([(["x.py"], (1,))], self.packed)
        self.assertEqual([(NODE.uid, "a shipment")], self.used)

    def test_by_allocate(self) -> None:
        """What allocate sets counts for the node that it was asked about."""

        def add(entry: Chooser) -> int:
            entry.depends.append("y.py")
            entry.setup_args = (2, "b")
            return 1

        self.answered(named=Chooser(add))
        self.assertEqual([(["y.py"], (2, "b"))], self.packed)

    def test_a_node_that_is_not_used(self) -> None:
        """Nothing is packed for it."""
        entry = Chooser(0)
        entry.setup_args = (1,)
        self.answered(named=entry)
        self.assertEqual([], self.packed)

    def test_a_subclass_of_old(self) -> None:
        """One that was written before there was such a thing, and does not call our __init__, has nothing to add."""

        class Old(NodeAllocate):
            def __init__(self) -> None:
                self.host, self.port, self.cpus = "10.0.0.7", None, 0

        self.assertEqual([4], self.ask(named=Old()))
