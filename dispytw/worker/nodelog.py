"""The logger that jobs are given: its lines go to the node's log, not to the job's stderr."""

from __future__ import annotations

import logging
import os

from dispytw.worker import speaking
from dispytw.worker.voice import voice


class _LineToNode(logging.Handler):
    """Each record goes to the node's log, which names the job; what cannot go there stands in the supervisor's own."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        if not speaking.log_line(record.levelno, self.format(record)):
            line = f"{record.levelname} job process {record.process}: {self.format(record)}\n"
            os.write(self._descriptor, line.encode("utf-8", "backslashreplace"))


def _made() -> logging.Logger:
    logger = logging.getLogger("dispynode")
    logger.addHandler(_LineToNode(voice.log))
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


dispynode_logger = _made()
