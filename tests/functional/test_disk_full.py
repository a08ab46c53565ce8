"""A node whose disk is full: nothing that it has accepted is lost, new jobs wait, and work goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

from tests.functional.daemons import Daemons
from tests.functional.telling import TellingProgram

#: In a namespace of its own: a small disk on the node's state directory, then the node. The disk ends with the namespace.
NODE_ON_A_SMALL_DISK = """
import os, subprocess, sys
state_dir = sys.argv[sys.argv.index("--state-dir") + 1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", state_dir], check=True)
os.execv(sys.executable, [sys.executable, "-m", "dispytw.node.tap", *sys.argv[1:]])
"""

#: Given the node's address and a FIFO for each step. Results of 100 KB do not fit a frame: they need the disk.
PROGRAM = """
import time
import dispytw as dispy

def compute(n, fifo=None):
    if fifo is not None:
        with open(fifo) as gate:
            gate.read()
    return n, bytes(100_000)

if __name__ == "__main__":
    address, fifo = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[address])
    running = cluster.submit(0, fifo)
    while running.status != dispy.DispyJob.Running:
        time.sleep(0.01)
    print("it runs", file=sys.stderr, flush=True)
    with open(fifo + ".full") as told:
        told.read()
    later = [cluster.submit(n) for n in range(1, 6)]
    print("submitted", file=sys.stderr, flush=True)
    results = [job() for job in (running, *later)]
    assert results == [(n, bytes(100_000)) for n in range(6)], [job.exception for job in (running, *later)]
    print("all came home")
    cluster.close()
"""


def _obstacle() -> str:
    """Why no small disk can be had here, or nothing."""
    if not sys.platform.startswith("linux"):
        return "mount namespaces are Linux's"
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no mount namespace: {tried.stderr.strip()}"


class DiskFull(unittest.TestCase):
    """A state directory of eight megabytes."""

    def setUp(self) -> None:
        obstacle = _obstacle()
        if obstacle:
            print(f"\nnot tried: {obstacle}")
            self.skipTest(obstacle)
        self.daemons = Daemons(self)

    def test_nothing_is_lost(self) -> None:
        """A result that has no room waits in its worker, jobs wait at the client; when there is room all come home."""
        script = self.daemons.file("small.py", NODE_ON_A_SMALL_DISK)
        node = self.daemons.node("--cpus", "2", command=("unshare", "-m", sys.executable, str(script)))
        inside = Path(f"/proc/{node.pid}/root{node.state_dir}")
        fifo = self.daemons.root / "fifo"
        for path in (fifo, Path(f"{fifo}.full")):
            os.mkfifo(path)
        program = TellingProgram(self.daemons, PROGRAM, node.address, fifo)
        program.hear("it runs")
        self.fill(inside / "filler")
        for path in (Path(f"{fifo}.full"), fifo):
            path.write_text("go on")
        program.hear("submitted")
        node.hear("no jobs are taken until they can")
        os.unlink(inside / "filler")
        done = program.wait()
        self.assertEqual((0, "all came home\n"), (done.code, done.out), done)
        self.assertIn("the disk has room again", node.log())
        self.assertEqual([], os.listdir(inside / "inbox"))
        self.assertEqual(0, node.stop())

    @staticmethod
    def fill(path: Path) -> None:
        """Write until the disk takes no more."""
        with open(path, "wb", buffering=0) as filler:
            for size in (65536, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue
