"""What the session knows of a cluster: its computation, the nodes that it names, and how each of them was reached."""

from __future__ import annotations

from typing import Any

import attrs

from dispytw.client.clusterend import ClusterEnd
from dispytw.client.nodes import Target
from dispytw.values import Body, Computation, File


@attrs.define(eq=False)
class Enrolled:
    """A cluster that is open.

    :ivar variants: the computation as a node has it, for nodes that get more than the others.
    :ivar later: files that were sent to a node when it had the computation, by their places.
    :ivar refusals: what the user has been told of a node or an address.
    :ivar led: which target led to a node.
    """

    computation: Computation
    files: dict[bytes, Body]
    end: ClusterEnd
    targets: tuple[Target, ...]
    pulse_interval: float | None
    note: str
    reminder: Any = None
    refusals: dict[bytes, str] = attrs.field(factory=dict)
    led: dict[bytes, Target] = attrs.field(factory=dict)
    variants: dict[bytes, Computation] = attrs.field(factory=dict)
    later: dict[bytes, dict[str, File]] = attrs.field(factory=dict)

    def computation_for(self, node: bytes) -> Computation:
        """What a node is to have when it is prepared now."""
        made, later = self.variants.get(node, self.computation), self.later.get(node)
        if not later:
            return made
        return attrs.evolve(made, files=(*(file for file in made.files if file.path not in later), *later.values()))
