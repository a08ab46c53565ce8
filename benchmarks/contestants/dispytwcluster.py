"""dispytw as it comes: TLS, the user's own secret file, a dispynode with two slots."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from benchmarks.contestants import SLOTS
from benchmarks.contestants.dispyapi import DispyApi
from benchmarks.work import same


class DispytwCluster(DispyApi):
    """A node as an administrator starts it, and a JobCluster that names it.

    :ivar node: the node's process.
    """

    def __init__(self, isolation: str) -> None:
        super().__init__()
        # "job" is what JobCluster does unasked.
        self._words: dict[str, Any] = {} if isolation == "job" else {"isolation": isolation}
        self.node: Any = None

    def start(self) -> None:
        import dispytw

        self.node, address = start_node()
        self.cluster = dispytw.JobCluster(same, nodes=[address], **self._words)
        self.warm_up()

    def stop(self) -> None:
        super().stop()
        self.node.terminate()
        self.node.wait(10)


def start_node() -> tuple[subprocess.Popen[bytes], str]:
    """A node on a free port, and where it listens."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "dispytw.node.tap", "--host", "127.0.0.1", "--port", "0", "--cpus", str(SLOTS)]
    command += ["--state-dir", os.path.abspath("node"), "--announce-fd", str(writing)]
    process = subprocess.Popen(command, pass_fds=(writing,), stdin=subprocess.DEVNULL)
    os.close(writing)
    with open(reading, encoding="utf-8") as announcement:
        line = announcement.readline()
    if not line:
        raise RuntimeError(f"the node ended before it listened, exit status {process.wait()}")
    return process, ":".join(line.split())
