"""Files that a program sends to a node after its cluster was made: what the session does for it, in the reactor thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionClosed

from dispytw.errors import RefusedError, StreamError, UnknownComputationError
from dispytw.scheduler.ledger import Ledger
from dispytw.scheduler.outfitting import place_files
from dispytw.values import Body, File
from dispytw.wire.clock import Waker

#: Seconds that a node may take to be found, and to be ready.
FINDING, PREPARING = 3.0, 60.0
#: Seconds between two looks.
_LOOK = 0.05

#: Finds the node that is meant among those that are there; raises LookupError, telling why there is none.
Find = Callable[[], bytes]


class SendsFiles:
    """The part of a session that sends files."""

    ledger: Ledger
    dispatcher: Any
    _enrolled: dict[bytes, Any]
    _clock: Waker
    _now: Callable[[], float]

    def send_file(self, cluster: bytes, find: Find, file: File, body: Body) -> Deferred[str]:
        """Have a file put where the cluster's jobs run on a node.

        The node may still be on its way: it is waited for, a few seconds until it is found and a minute until it is ready.

        :returns: fires with nothing when the node has verified the file and put it there, else with the reason.
        """
        return ensureDeferred(self._file_sent(cluster, find, file, body))

    async def _file_sent(self, cluster: bytes, find: Find, file: File, body: Body) -> str:
        began = self._now()
        while True:
            obstacle, patience = self._obstacle(cluster, find)
            if not obstacle:
                obstacle, patience = await self._tried(cluster, find(), file, body)
            if not obstacle or self._now() >= began + patience:
                return obstacle
            look: Deferred[None] = Deferred()
            self._clock.callLater(_LOOK, look.callback, None)
            await look

    def _obstacle(self, cluster: bytes, find: Find) -> tuple[str, float]:
        """Why the file cannot be sent now, and how many seconds after the first try this may change."""
        if cluster not in self._enrolled:
            return "its cluster was closed", 0.0
        try:
            node = self.ledger.nodes[find()]
        except LookupError as error:
            return str(error.args[0] if error.args else error), FINDING
        preparation = node.preparations.get(cluster)
        state = "not asked" if preparation is None else preparation.state.value
        if state in ("unused", "rejected"):
            told = self._enrolled[cluster].refusals.get(node.uid)
            return told or f"the cluster does not use {node.name}", 0.0
        if not node.live or state != "ready":
            return f"{node.name} is not ready ({state if node.live else 'it does not answer'})", PREPARING
        return "", 0.0

    async def _tried(self, cluster: bytes, node: bytes, file: File, body: Body) -> tuple[str, float]:
        """As `_obstacle`."""
        try:
            await place_files(self.dispatcher.links[node], cluster, [file], {file.digest: body})
        except (ConnectionClosed, UnknownComputationError) as error:
            return f"the node went away: {error}", PREPARING
        except (RefusedError, StreamError) as error:
            return str(error), 0.0
        self._note_later_file(cluster, node, file, body)
        return "", 0.0

    def _note_later_file(self, cluster: bytes, node: bytes, file: File, body: Body) -> None:
        """Should the computation be prepared anew on this node, it gets the file with the others."""
        enrolled = self._enrolled.get(cluster)
        if enrolled is not None:
            known = enrolled.variants.get(node, enrolled.computation)
            others = [each for each in known.files if each.path != file.path]
            enrolled.variants[node] = attrs.evolve(known, files=(*others, file))
            enrolled.files[file.digest] = body
