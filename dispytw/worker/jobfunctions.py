"""The names a function computation may use without importing them, beside the modules of dispy's list (dispy's manual, "Job functions")."""

from __future__ import annotations

import logging
import os

from dispytw.worker import speaking

#: Lines logged by jobs go to the node's log, not to the job's stderr.
dispynode_logger = logging.getLogger("dispynode")


class _LineToNode(logging.Handler):
    """Each record goes to the node's log, which names the job; what cannot go there stands in the supervisor's own."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        if not speaking.log_line(record.levelno, self.format(record)):
            line = f"{record.levelname} job process {record.process}: {self.format(record)}\n"
            os.write(self._descriptor, line.encode("utf-8", "backslashreplace"))


def log_to(descriptor: int) -> None:
    """Let dispynode_logger speak; what is not heard goes to a duplicate of ``descriptor``, which jobs inherit."""
    dispynode_logger.addHandler(_LineToNode(os.dup(descriptor)))
    dispynode_logger.setLevel(logging.DEBUG)
    dispynode_logger.propagate = False


def dispy_provisional_result(result: object, relay: bool = False, timeout: float | None = 10) -> int:
    """Send a result to the client while the job goes on.

    :param result: anything that can be pickled.
    :param relay: dispy's; results always travel the way on which the job came.
    :param timeout: seconds that the client has to answer, or None; while bytes travel, time does not count.
    :returns: 0 once the client has it, else -1, and the job's stderr says why.
    :raises PayloadError: when the result cannot be pickled.
    """
    return speaking.provisional_result(result, timeout)


def dispy_send_file(path: str, relay: bool = False, timeout: float | None = 10) -> int:
    """Send a file to the client, which keeps it under the directory in which it runs.

    :param path: a relative path is the same there; of a file elsewhere than below the job's directory, only the name is kept.
    :param relay: dispy's; files always travel the way on which the job came.
    :param timeout: seconds that the client has to answer, or None; while bytes travel, time does not count.
    :returns: 0 once the client has written and verified it, else -1, and the job's stderr says why.
    """
    return speaking.send_file(path, timeout)


#: What a computation's namespace holds besides its own. The supervisor's facts (dispy_node_name, dispy_node_ip_addr, dispy_job_path)
#: come on top.
NAMES: dict[str, object] = {
    "dispy_provisional_result": dispy_provisional_result,
    "dispy_send_file": dispy_send_file,
    "dispynode_logger": dispynode_logger,
    "dispy_job_path": os.getcwd(),
}
