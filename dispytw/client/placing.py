"""Asks a cluster's NodeAllocate objects how a node is to be used. They are the user's code, and run on a thread for such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

from dispytw.client.depends import Shipment
from dispytw.client.nodes import Address, Choices, DispyNode, NodeAllocate
from dispytw.values import NodeFacts

#: Packs the computation for one node, with its dependencies and its arguments for setup.
Pack = Callable[[Sequence[Any], Sequence[Any]], Shipment]
#: Uses a packed computation for a node; None for what all nodes get. Called in the reactor thread.
Use = Callable[[bytes, "Shipment | None"], Any]


class AllocationThread(Protocol):
    """The thread on which users' NodeAllocate objects are asked."""

    def allocate(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Call it there; the Deferred gives what it returns, in the reactor thread."""


class Placing:
    """How a cluster uses nodes.

    :param cluster: handed to NodeAllocate.allocate.
    :param choices: who decides about which node.
    :param thread: where users' code runs.
    """

    def __init__(
        self, cluster: Any, choices: Choices, thread: AllocationThread, pack: Pack | None = None, use: Use | None = None
    ) -> None:
        self.choices = choices
        self._cluster = cluster
        self._thread = thread
        self._pack = pack
        self._use = use

    def ask(self, shown: DispyNode, node: NodeFacts, address: Address) -> Deferred[int]:
        """How many slots of a node the cluster uses; what its NodeAllocate adds to the computation is packed by then.

        :param shown: the node as users see it.
        """
        entries = self.choices.of(address)

        def decide() -> tuple[int, Shipment | None]:
            for entry in entries:
                cpus = self.counted(self.answer_of(entry, shown, node))
                if cpus > 0:
                    return cpus, self.packed(entry)
            return 0, None

        def decided(answer: tuple[int, Shipment | None]) -> int:
            return self.taken(node, *answer)

        if all(map(_is_plain, entries)):
            return succeed(decide()).addCallback(decided)
        return self._thread.allocate(decide).addCallback(decided)

    def answer_of(self, entry: NodeAllocate, shown: DispyNode, node: NodeFacts) -> Any:
        """What an entry says of a node."""
        return entry.allocate(
            self._cluster, shown.ip_addr, node.name, node.cpus, avail_info=shown.avail_info, platform=node.platform
        )

    @staticmethod
    def counted(answer: Any) -> int:
        """The slots that it means.

        :raises TypeError: when it is no number.
        """
        if not isinstance(answer, int):
            raise TypeError(f"it returned {answer!r}, not a number of CPUs")
        return answer

    def taken(self, node: NodeFacts, cpus: int, shipment: Shipment | None) -> int:
        """It is decided; to be called in the reactor thread."""
        if self._use is not None:
            self._use(node.uid, shipment)
        return cpus

    def packed(self, entry: NodeAllocate) -> Shipment | None:
        """The computation with what an entry adds to it; None where it adds nothing."""
        depends, arguments = getattr(entry, "depends", ()), getattr(entry, "setup_args", ())
        return self._pack(depends, arguments) if self._pack is not None and (depends or arguments) else None


def _is_plain(entry: NodeAllocate) -> bool:
    """Whether nothing of the user's has to run to know what it says."""
    ours = type(entry).allocate is NodeAllocate.allocate
    return ours and not getattr(entry, "depends", ()) and not getattr(entry, "setup_args", ())
