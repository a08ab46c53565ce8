"""Nobody waits in silence: each thing that can keep a program waiting is said in one clear line, at both ends where there are two."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons

ONE_JOB = """
import sys
import dispytw as dispy

def setup():
    {setup}

def compute(n):
    return n

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], setup=setup, secret={secret!r})
    job = cluster.submit(1)
    job.finish.wait({seconds})
    print(job.status)
    cluster.close(terminate=True)
"""

HOLDER = """
import sys, time
import dispytw as dispy

def compute(n):
    import time
    time.sleep(n)

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:2])
    job = cluster.submit(60)
    while job.status != dispy.DispyJob.Running:
        time.sleep(0.01)
    print("held", flush=True)
    sys.stdin.read()
"""


def program(setup: str = "return 0", secret: str = "", seconds: float = 4.0) -> str:
    """A program that waits for one job for a while."""
    return ONE_JOB.format(setup=setup, secret=secret, seconds=seconds)


class MessageTests(SynchronousTestCase):
    """The text of each message."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def test_no_node(self) -> None:
        """After three seconds the client says what it tried, what came of it, and what to do."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        done = self.daemons.program(program(seconds=3.3), f"127.0.0.1:{port}")
        self.assertEqual((0, "5\n"), (done.code, done.out), done)
        self.assertIn("no node for compute yet; 1 jobs wait. Tried:", done.err)
        self.assertIn(
            f"127.0.0.1:{port}: connection refused: nothing listens there; start a node with 'dispynode'", done.err
        )

    def test_star_is_explained(self) -> None:
        """Without discovery '*' means this machine, and the message says so."""
        done = self.daemons.program(program(seconds=3.3), "*")
        self.assertIn("'*' means 127.0.0.1:51348 until discovery is built", done.err)

    def test_wrong_secret(self) -> None:
        """Both ends say that the secrets differ, with the other's address and the fix."""
        node = self.daemons.node(secret="the right one")
        done = self.daemons.program(program(secret="another one", seconds=1), node.address)
        self.assertEqual("5\n", done.out, done)
        self.assertIn(f"node {node.address} cannot be used: wrong secret", done.err)
        self.assertIn("do not hold the same secret; give both the same", done.err)
        node.stop()
        self.assertIn("refused 127.0.0.1:", node.log())
        self.assertIn("do not hold the same secret; give both the same", node.log())

    def test_setup_failure(self) -> None:
        """The traceback of a setup that fails is shown at the client, and said at the node."""
        node = self.daemons.node()
        done = self.daemons.program(program(setup="raise OSError('no table here')", seconds=1.5), node.address)
        self.assertEqual("5\n", done.out, done)
        self.assertEqual(1, done.err.count("OSError: no table here"), done)
        self.assertIn(f"node {node.address}", done.err)
        self.assertIn("is not used", done.err)
        node.stop()
        self.assertIn("OSError: no table here", node.log())

    def test_held_node(self) -> None:
        """A node in use by somebody else says by whom; when it is free it is used."""
        node = self.daemons.node("--cpus", "1")
        holder = self.daemons.start_program(HOLDER.replace("sys.stdin.read()", "time.sleep(2); cluster.close(terminate=True)"), node.address)
        while b"held" not in holder.out_path.read_bytes():
            self.assertIsNone(holder.process.poll())
        done = self.daemons.program(program(seconds=10), node.address)
        self.assertEqual("11\n", done.out, done)
        self.assertIn(f"(pid {holder.pid}); it will be used when it is free", done.err)
        self.assertIn("is in use by ", done.err)
