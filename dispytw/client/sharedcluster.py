"""SharedJobCluster: many programs, one scheduler. Its name and its words are here; the scheduler daemon is not built yet."""

from __future__ import annotations

import logging
from typing import Any

from dispytw.client.cluster import JobCluster


class SharedJobCluster(JobCluster):
    """A cluster whose jobs are scheduled by a ``dispyscheduler``, together with other programs'.

    The parameters are those of dispy 4.6, in its order, and by keyword those of dispy 4.15.

    :raises NotImplementedError: always.
    """

    def __init__(
        self,
        computation: Any,
        nodes: Any = None,
        depends: Any = (),
        ip_addr: Any = None,
        port: Any = None,
        scheduler_node: Any = None,
        scheduler_port: Any = None,
        ext_ip_addr: Any = None,
        dest_path: Any = None,
        loglevel: int = logging.WARNING,
        cleanup: Any = True,
        reentrant: bool = False,
        exclusive: bool = False,
        secret: str = "",
        keyfile: Any = None,
        certfile: Any = None,
        *,
        callback: Any = None,
        job_status: Any = None,
        cluster_status: Any = None,
        host: Any = None,
        ext_host: Any = None,
        dispy_port: Any = None,
        client_port: Any = None,
        scheduler_host: Any = None,
        setup: Any = None,
        poll_interval: Any = None,
        recover_file: Any = None,
    ) -> None:
        raise NotImplementedError(
            "SharedJobCluster is not built yet: its scheduler is still to come. JobCluster works, and several programs may use the "
            "same nodes with it, one after another"
        )
