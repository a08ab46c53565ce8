"""dispy's words for files that go to nodes after the cluster was made. On the user's threads."""

from __future__ import annotations

import os

from dispytw.client.luggage import described_file
from dispytw.client.nodemethods import NodeMethods
from dispytw.client.nodes import DispyNode
from dispytw.errors import UnknownNodeError
from dispytw.values import Stored


class ClusterFiles(NodeMethods):
    """The part of a cluster that sends files to single nodes."""

    def send_file(self, path: str | os.PathLike[str], node: DispyNode | str, relay: bool = False) -> int:
        """Send a file to a node, where all jobs of this cluster find it: under its path relative to the current directory, or, if it
        lies elsewhere, under its name alone. Jobs that run already see it appear whole.

        :param path: of the file.
        :param node: a DispyNode, an IP address, a host name or ``host:port``. One of the cluster's ``nodes`` that has not answered yet is
            waited for, three seconds at most, and one that is not ready yet a minute.
        :param relay: dispy's; files always travel the way that jobs travel.
        :returns: 0 when the node has verified the file and put it to its place, else -1; the log says why.
        :raises FileNotFoundError: when there is no such file.
        :raises TypeError: when path or node is neither of these.
        :raises AmbiguousNodeError: when several nodes are at that address; it names their ports.
        :raises ClusterClosedError: when the cluster is closed.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"send_file: path must be the path of a file, not {path!r}")
        self._refuse_when_closed()
        self._engine.bridge.refuse_to_wait("send_file")
        local = os.path.abspath(os.fsdecode(path))
        file = described_file(local, "send_file")
        try:
            uid = self._found("send_file: node", node)
        except UnknownNodeError as error:
            return self._failed("send_file", str(error))
        why: str = self._engine.bridge.wait(self._engine.session.send_file, self.uid, uid, file, Stored(local, file.size))
        if not why:
            return 0
        shown = self.view.nodes[uid]
        return self._failed("send_file", f"{os.fspath(path)!r} is not on node {shown.address} ({shown.name}): {why}")
