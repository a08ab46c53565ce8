"""The logger that jobs are given."""

from __future__ import annotations

import logging
import os
import tempfile
import unittest
from unittest import mock

from dispytw.worker import nodelog, speaking
from dispytw.worker.nodelog import _LineToNode, dispynode_logger


class NodeLog(unittest.TestCase):
    """Where its lines go; that they arrive in the node's log is shown by test_speaking."""

    def record(self, text: str) -> logging.LogRecord:
        return logging.LogRecord("dispynode", logging.WARNING, __file__, 1, text, (), None)

    def test_the_logger(self) -> None:
        """It is dispy's by name, takes every level, and its lines reach no handler of the user's."""
        self.assertEqual(("dispynode", logging.DEBUG, False), (dispynode_logger.name, dispynode_logger.level, dispynode_logger.propagate))
        self.assertEqual(1, sum(isinstance(each, _LineToNode) for each in dispynode_logger.handlers))

    def test_to_the_node(self) -> None:
        """A record is said as a line, with its level."""
        with mock.patch.object(speaking, "log_line", return_value=True) as said:
            nodelog._LineToNode(-1).emit(self.record("thirsty"))
        said.assert_called_once_with(logging.WARNING, "thirsty")

    def test_what_cannot_go_there(self) -> None:
        """Stands in the supervisor's own log, whatever is in it."""
        with tempfile.TemporaryFile() as log, mock.patch.object(speaking, "log_line", return_value=False):
            nodelog._LineToNode(log.fileno()).emit(self.record("thirsty \udcff"))
            log.seek(0)
            self.assertEqual(f"WARNING job process {os.getpid()}: thirsty \\udcff\n", log.read().decode())
