"""dispy.httpd: the web server that shows clusters. Programs that make one run; the server itself is not built yet, and serves nothing."""

from __future__ import annotations

import logging
from typing import Any

from dispytw import config

_LOGGER = logging.getLogger("dispytw")
_told: list[int] = []


class DispyHTTPServer:
    """Keeps the clusters that are to be shown.

    :param cluster: the first, or None.
    :param host: address to listen on; all by default.
    :param port: port to listen on.
    :param poll_sec: seconds between two updates of a page.
    :param DocumentRoot: directory of the pages; the package's own by default.
    :param show_job_args: whether pages show jobs' arguments.
    """

    def __init__(
        self,
        cluster: Any,
        host: str = "",
        port: int | None = None,
        poll_sec: float = 10,
        DocumentRoot: str | None = None,
        keyfile: str | None = None,
        certfile: str | None = None,
        show_job_args: bool = True,
    ) -> None:
        self._clusters: dict[str, Any] = {}
        port = config.port_of("HTTPServerPort") if port is None else port
        if not _told:
            _told.append(port)
            _LOGGER.warning("DispyHTTPServer: the web monitor is not built yet; nothing is served at port %s", port)
        if cluster is not None:
            self.add_cluster(cluster)

    def add_cluster(self, cluster: Any) -> None:
        """Show one more cluster; of two with one name the first stays, as in dispy."""
        if cluster.name in self._clusters:
            _LOGGER.warning("DispyHTTPServer: cluster %s is shown already", cluster.name)
            return
        self._clusters[cluster.name] = cluster

    def del_cluster(self, cluster: Any) -> None:
        """Show it no more."""
        if self._clusters.pop(cluster.name, None) is None:
            _LOGGER.warning("DispyHTTPServer: cluster %s is not shown", cluster.name)

    def shutdown(self, wait: bool = True) -> None:
        """End; nothing is waited for, as nobody looks."""
        self._clusters.clear()
