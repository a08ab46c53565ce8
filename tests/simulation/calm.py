"""What must come to pass once nothing goes wrong any more, and long before anybody's patience is over.

- A link that is dead is closed at both ends, and one that lives stays.
- Client and node agree: what the client believes to be on a node is there, and what has ended there has been told.
- A stream moves.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

import attrs

from dispytw.inmemory import Wire
from dispytw.testing import MemoryClient, MemoryNode
from tests.simulation.watching import Broken

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Seconds for which something may be unsettled in a world without trouble: silence is noticed after 25, and a link dialled after 30 more.
PATIENCE = 100.0
#: Seconds for which reactors sleep after the wall clock has been set back by an hour.
SET_BACK = 3600.0


@attrs.define(eq=False)
class Calm:
    """Looks at a world again and again.

    :param since: true time at which the trouble ended.
    """

    world: World
    since: float
    _seen: dict[Hashable, tuple[float, str]] = attrs.field(factory=dict)
    _links: set[Wire] | None = None

    def look(self) -> None:
        """See what is unsettled now.

        :raises Broken: when it was so, without a break, for too long.
        """
        now = self.world.house.now()
        since = self.since + (SET_BACK if self.world.house.wall_shift < 0 else 0.0)
        if now < since:
            return
        if now >= since + PATIENCE:
            self._links_stay()
        unsettled = dict(self._unsettled())
        self._seen = {key: self._seen.get(key, (now, text)) for key, text in unsettled.items()}
        for began, text in self._seen.values():
            if now - began >= PATIENCE:
                raise Broken(f"for {now - began:.0f} s without any trouble {text}")

    def _links_stay(self) -> None:
        links = {wire for wire, *_ in self.world.house.wires if wire.open}
        if self._links is not None and links - self._links:
            raise Broken("a link was lost without any trouble, and made anew")
        self._links = links

    def _unsettled(self) -> Iterator[tuple[Hashable, str]]:
        for wire, client, node in self.world.house.wires:
            if wire.open and client.process.alive and node.process.alive:
                yield from _of_link(wire, client, node)


def _of_link(wire: Wire, client: MemoryClient, node: MemoryNode) -> Iterator[tuple[Hashable, str]]:
    if wire.near.other is None or wire.far.other is None:
        yield wire, f"{node.facts.name} or its client believes in a link that is dead"
        return
    for end in (wire.near, wire.far):
        for outgoing in end.protocol.streams._outgoing.values():
            yield (outgoing.stream, outgoing.offset), f"a stream stands at {outgoing.offset} of {outgoing.size} bytes"
    entry = client.session.ledger.nodes.get(node.uid)
    if entry is None or not entry.live or client.session.dispatcher.links.get(node.uid) is not wire.near.protocol:
        return
    for job in entry.jobs.values():
        placed = node.bench._placed.get(job.attempt)
        if placed is None:
            yield (client.uid, job.attempt), f"a client believes that {job.attempt} is on {node.facts.name}, which does not know it"
        elif placed.outcome is not None:
            yield (client.uid, job.attempt), f"a client has not heard that {job.attempt} has ended on {node.facts.name}"
