"""What the session knows of a cluster: its computation, the nodes that it names, how each of them was reached; and who looks for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from dispytw.client.clusterend import ClusterEnd
from dispytw.client.nodes import Address, Target
from dispytw.client.wildcards import Wildcard
from dispytw.values import Body, Computation


class Search(Protocol):
    """Looks for the nodes that a cluster's wildcards stand for. Lives in the reactor thread."""

    def begin(self, found: Callable[[Target], None], is_served: Callable[[], bool]) -> None:
        """Call ``found`` with each target that shows up; ask less once the cluster has a node."""

    def look_for(self, wildcards: Sequence[Wildcard]) -> None:
        """The cluster has more entries from now on."""

    def ask_again(self) -> None:
        """Ask for nodes now, whatever is known."""

    def failed(self, target: Target, text: str, refused: bool) -> bool:
        """A target that was found could not be used; whether it is given up."""

    def told(self) -> list[tuple[str, str]]:
        """What was asked and who answered without being used, for the user."""

    def end(self) -> None:
        """The cluster is closed."""


@attrs.define(eq=False)
class Enrolled:
    """A cluster that is open.

    :ivar search: who looks for nodes that it does not name.
    :ivar variants: the computation as a node has it, for nodes that get more than the others.
    :ivar refusals: what the user has been told of a node or an address.
    :ivar led: which target led to a node.
    """

    computation: Computation
    files: dict[bytes, Body]
    end: ClusterEnd
    targets: tuple[Target, ...]
    pulse_interval: float | None
    search: Search | None = None
    reminder: Any = None
    refusals: dict[bytes, str] = attrs.field(factory=dict)
    led: dict[bytes, Target] = attrs.field(factory=dict)
    variants: dict[bytes, Computation] = attrs.field(factory=dict)

    def target_at(self, address: Address) -> Target | None:
        """The cluster's own entry for an address."""
        return next((target for target in self.targets if target.address == address), None)
