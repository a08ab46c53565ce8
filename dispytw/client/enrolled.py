"""What the session knows of a cluster: its computation, the nodes that it names, and how each of them was reached."""

from __future__ import annotations

from typing import Any

import attrs

from dispytw.client.clusterend import ClusterEnd
from dispytw.client.nodes import Target
from dispytw.values import Body, Computation


@attrs.define(eq=False)
class Enrolled:
    """A cluster that is open.

    :ivar variants: the computation as a node has it, for nodes that get more than the others.
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
