"""dispy, with a dispynode that is told to stay on 127.0.0.1 and to take two jobs at a time.

``--daemon`` keeps the node from reading commands at its standard input, whose end would end it. The client's port and the node's are
dispy's own (9700 and 9701). It broadcasts to 255.255.255.255 all the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from benchmarks.contestants import SLOTS
from benchmarks.contestants.dispyapi import DispyApi
from benchmarks.work import same

SECRET = "benchmark"


class DispyCluster(DispyApi):
    """A dispynode and a JobCluster, both with a secret. dispy does not encrypt unless given certificates."""

    def __init__(self) -> None:
        super().__init__()
        self._node: Any = None

    def start(self) -> None:
        import dispy

        self._node = subprocess.Popen(
            # Not the script dispynode.py: dispytw has one of that name, and the environment holds both.
            [
                *(sys.executable, "-m", "dispy.dispynode", "--daemon", "--host", "127.0.0.1", "--cpus", str(SLOTS)),
                *("--secret", SECRET, "--clean", "--dest_path_prefix", os.path.abspath("node")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        self.cluster = dispy.JobCluster(
            same, nodes=["127.0.0.1"], host="127.0.0.1", secret=SECRET, loglevel=dispy.logger.WARNING, ping_interval=1
        )
        self._await_node()
        self.warm_up()

    def _await_node(self) -> None:
        """dispy asks for nodes once a second (``ping_interval``) until this one is up."""
        deadline = time.monotonic() + 10
        while not self.cluster.status().nodes:
            if time.monotonic() > deadline:
                raise TimeoutError("dispy found no node within 10 s")
            time.sleep(0.05)

    def stop(self) -> None:
        super().stop()
        self._node.terminate()
        self._node.wait(10)
