"""Files that a program sends to a node after its cluster was made: what the session does for it, in the reactor thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionClosed

from dispytw.client.enrolled import Enrolled
from dispytw.errors import RefusedError, StreamError, UnknownComputationError
from dispytw.scheduler.ledger import Ledger
from dispytw.scheduler.outfitting import place_files
from dispytw.values import Body, File
from dispytw.wire.clock import Waker

#: Seconds that a node may take to be ready.
PREPARING = 60.0
#: Seconds between two looks.
_LOOK = 0.05


class SendsFiles:
    """The part of a session that sends files."""

    ledger: Ledger
    dispatcher: Any
    _enrolled: dict[bytes, Enrolled]
    _clock: Waker
    _now: Callable[[], float]

    def send_file(self, cluster: bytes, node: bytes, file: File, body: Body) -> Deferred[str]:
        """Have a file put where the cluster's jobs run on a node.

        The node may still be on its way: it is waited for, a minute until it is ready.

        :returns: fires with nothing when the node has verified the file and put it there, else with the reason.
        """
        return ensureDeferred(self._file_sent(cluster, node, file, body))

    async def _file_sent(self, cluster: bytes, node: bytes, file: File, body: Body) -> str:
        began = self._now()
        while True:
            obstacle, patience = self._obstacle(cluster, node)
            if not obstacle:
                obstacle, patience = await self._tried(cluster, node, file, body)
            if not obstacle or self._now() >= began + patience:
                return obstacle
            look: Deferred[None] = Deferred()
            self._clock.callLater(_LOOK, look.callback, None)
            await look

    def _obstacle(self, cluster: bytes, uid: bytes) -> tuple[str, float]:
        """Why the file cannot be sent now, and how many seconds after the first try this may change."""
        if cluster not in self._enrolled:
            return "its cluster was closed", 0.0
        node = self.ledger.nodes.get(uid)
        if node is None:
            return "it does not answer", PREPARING
        preparation = node.preparations.get(cluster)
        state = "not asked" if preparation is None else preparation.state.value
        if preparation is not None and preparation.obstacle:
            told = self._enrolled[cluster].refusals.get(uid)
            return told or f"the cluster does not use {node.name}: {preparation.obstacle}", 0.0
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
            later = enrolled.later.setdefault(node, {})
            later.pop(file.path, None)
            later[file.path] = file
            enrolled.files[file.digest] = body
