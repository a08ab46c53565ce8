"""SharedJobCluster, as far as it is there."""

from __future__ import annotations

import inspect
import unittest

from dispytw.client.cluster import JobCluster
from dispytw.client.sharedcluster import SharedJobCluster

#: The manual's parameters, in its order.
MANUAL = [
    *("computation", "nodes", "depends", "ip_addr", "port", "scheduler_node", "scheduler_port", "ext_ip_addr", "dest_path", "loglevel"),
    *("cleanup", "reentrant", "exclusive", "secret", "keyfile", "certfile"),
]


class Shared(unittest.TestCase):
    """Its name imports, and its words are there."""

    def test_not_built_yet(self) -> None:
        """Making one says so, and what works meanwhile."""
        with self.assertRaisesRegex(NotImplementedError, "SharedJobCluster is not built yet.*JobCluster works"):
            SharedJobCluster(print, scheduler_host="x")

    def test_order(self) -> None:
        """The manual's parameters in the manual's order."""
        parameters = inspect.signature(SharedJobCluster).parameters.values()
        self.assertEqual(MANUAL, [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD])
        self.assertTrue(issubclass(SharedJobCluster, JobCluster))
