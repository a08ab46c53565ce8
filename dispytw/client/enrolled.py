"""What the session knows of a cluster: its computation, the nodes that it names, and how each of them was reached."""

from __future__ import annotations

from typing import Any

import attrs

from dispytw.client.clusterend import ClusterEnd
from dispytw.client.nodes import Address
from dispytw.values import Body, Computation


@attrs.frozen
class Target:
    """One node that a cluster names.

    :param address: where it is dialled.
    :param credential: what proves that we may; belongs to this entry, not to the session.
    :param private: whether this node was started for the program and ends with it.
    """

    address: Address
    credential: Any
    private: bool = attrs.field(default=False, eq=False)


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
