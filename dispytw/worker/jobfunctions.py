"""The names a function computation may use without importing them, beside the modules of dispy's list (dispy's manual, "Job functions")."""

from __future__ import annotations

import logging
import os

#: Lines logged by jobs go to the supervisor's log on the node, not to the job's stderr.
dispynode_logger = logging.getLogger("dispynode")


class _LineToDescriptor(logging.Handler):
    """Each record is one write to an append-only file, so that lines of concurrent jobs do not mix."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        os.write(self._descriptor, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))


def log_to(descriptor: int) -> None:
    """Let dispynode_logger write to a duplicate of ``descriptor``, which jobs inherit."""
    sink = _LineToDescriptor(os.dup(descriptor))
    sink.setFormatter(logging.Formatter("%(asctime)s %(levelname)s job process %(process)d: %(message)s"))
    dispynode_logger.addHandler(sink)
    dispynode_logger.setLevel(logging.DEBUG)
    dispynode_logger.propagate = False


def dispy_provisional_result(result: object, relay: bool = False, timeout: float = 10) -> int:
    """Send a result to the client while the job goes on; not built yet.

    :raises NotImplementedError: always.
    """
    raise NotImplementedError("dispy_provisional_result is not available in this version of dispytw")


def dispy_send_file(path: str, relay: bool = False, timeout: float = 10) -> int:
    """Send a file to the client; not built yet.

    :raises NotImplementedError: always.
    """
    raise NotImplementedError("dispy_send_file is not available in this version of dispytw")


#: What a computation's namespace holds besides its own. The supervisor's facts (dispy_node_name, dispy_node_ip_addr, dispy_job_path)
#: come on top.
NAMES: dict[str, object] = {
    "dispy_provisional_result": dispy_provisional_result,
    "dispy_send_file": dispy_send_file,
    "dispynode_logger": dispynode_logger,
    "dispy_job_path": os.getcwd(),
}
