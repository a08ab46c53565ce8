"""dispy.httpd, as far as it is there."""

from __future__ import annotations

import logging
import unittest
from types import SimpleNamespace
from typing import Any
from unittest import mock

from dispytw import httpd
from dispytw.httpd import DispyHTTPServer


def cluster(name: str) -> Any:
    return SimpleNamespace(name=name)


class Server(unittest.TestCase):
    """A program that makes one runs."""

    def setUp(self) -> None:
        patch = mock.patch.object(httpd, "_told", [])
        patch.start()
        self.addCleanup(patch.stop)

    def test_says_so_once(self) -> None:
        """That nothing is served is said in one line, however many are made."""
        with self.assertLogs("dispytw", logging.WARNING) as heard:
            DispyHTTPServer(cluster("a"))
            DispyHTTPServer(None, "127.0.0.1", 8182, poll_sec=5, show_job_args=False).shutdown()
        (line,) = [each.getMessage() for each in heard.records]
        self.assertEqual("DispyHTTPServer: the web monitor is not built yet; nothing is served at port 8181", line)

    def test_methods(self) -> None:
        """Clusters come and go; what cannot be meant is a warning, not an error."""
        httpd._told.append(8181)
        server = DispyHTTPServer(cluster("a"))
        server.add_cluster(cluster("b"))
        server.del_cluster(cluster("a"))
        with self.assertLogs("dispytw", logging.WARNING) as heard:
            server.add_cluster(cluster("b"))
            server.del_cluster(cluster("a"))
        self.assertEqual(["cluster b is shown already", "cluster a is not shown"], [e.getMessage().partition(": ")[2] for e in heard.records])
        server.shutdown(wait=False)
        server.shutdown()
