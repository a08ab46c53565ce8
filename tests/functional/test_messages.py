"""Nobody waits in silence: each thing that can keep a program waiting is said in one clear line, at both ends where there are two."""

from __future__ import annotations

import re
import socket
import sys

from twisted.trial.unittest import SynchronousTestCase

from dispytw.version import VERSION
from dispytw.wire import WIRE_VERSION
from tests.functional.daemons import Completed, Daemons, RunningNode
from tests.functional.telling import Gate, TellingProgram

ONE_JOB = """
import fcntl
import dispytw as dispy

def setup():
    {setup}

def compute(n):
    return n

if __name__ == "__main__":
    node, gate = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[node], setup=setup, secret={secret!r})
    job = cluster.submit(1)
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    job.finish.wait({seconds})
    print(job.status)
    cluster.close(terminate=True)
"""

HOLDER = """
import time
import dispytw as dispy

def compute(gate):
    import fcntl
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)

if __name__ == "__main__":
    address, gate = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[address])
    job = cluster.submit(gate)
    while job.status != dispy.DispyJob.Running:
        time.sleep(0.01)
    print("held", file=sys.stderr, flush=True)
"""

#: A node of another version: what the first line names is changed before the rest is imported.
OTHER_VERSION = """
import {module}
{module}.{name} = {value!r}
from dispytw.node import tap
tap.main()
"""


def program(setup: str = "return 0", secret: str = "", seconds: float = 0.0) -> str:
    """A program that waits for a gate, and then for one job for a while."""
    return ONE_JOB.format(setup=setup, secret=secret, seconds=seconds)


class MessageTests(SynchronousTestCase):
    """The text of each message."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.gate = Gate(self, self.daemons.root / "gate")

    def told(self, source: str, node: str, words: str) -> Completed:
        """What becomes of a program that goes on when it has said these words."""
        program = TellingProgram(self.daemons, source, node, self.gate.path)
        program.hear(words)
        self.gate.open()
        return program.wait()

    def test_no_node(self) -> None:
        """After three seconds the client says what it tried, what came of it, and what to do."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        done = self.told(program(), f"127.0.0.1:{port}", "start a node with")
        self.assertEqual((0, "5\n"), (done.code, done.out), done)
        self.assertIn("no node for compute yet; 1 jobs wait. Tried:", done.err)
        self.assertIn(
            f"127.0.0.1:{port}: connection refused: nothing listens there; start a node with 'dispynode'", done.err
        )

    def test_nobody_answers(self) -> None:
        """Nodes that are found by asking: where it was asked, and what to do when nobody answers."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        source = program().replace("secret=", f"node_port={port}, ip_addr='127.0.0.1', secret=")
        done = self.told(source, "*", "nobody answered")
        self.assertRegex(done.err, rf"  \*: asked [34] times by UDP at 127\.0\.0\.1, 127\.255\.255\.255, port {port}; nobody answered: start ")

    def test_wrong_secret(self) -> None:
        """Both ends say that the secrets differ, with the other's address and the fix."""
        node = self.daemons.node(secret="the right one")
        done = self.told(program(secret="another one"), node.address, "cannot be used")
        node.hear("refused")
        self.assertEqual("5\n", done.out, done)
        self.assertIn(f"node {node.address} cannot be used: wrong secret", done.err)
        self.assertIn("do not hold the same secret; give both the same", done.err)
        node.stop()
        self.assertIn("refused 127.0.0.1:", node.log())
        self.assertIn("do not hold the same secret; give both the same", node.log())

    def test_setup_failure(self) -> None:
        """The traceback of a setup that fails is shown at the client, and said at the node."""
        node = self.daemons.node()
        done = self.told(program(setup="raise OSError('no table here')", seconds=0.5), node.address, "OSError: no table here")
        self.assertEqual("5\n", done.out, done)
        self.assertEqual(1, done.err.count("OSError: no table here"), done)
        self.assertIn(f"node {node.address}", done.err)
        self.assertIn("is not used", done.err)
        node.stop()
        self.assertIn("OSError: no table here", node.log())

    def test_held_node(self) -> None:
        """A node in use by somebody else says by whom, at both ends; when it is free it is used."""
        node = self.daemons.node("--cpus", "1")
        holder = TellingProgram(self.daemons, HOLDER, node.address, self.gate.path)
        holder.hear("held")
        other = TellingProgram(self.daemons, program(seconds=25.0), node.address, self.gate.path)
        line = other.hear("is in use by ")
        self.gate.open()
        holder_name = rf"\S+@\S+ \(pid {holder.program.pid}\)"
        self.assertRegex(line, rf"node {node.address} \(\S+\) is in use by {holder_name}; it will be used when it is free\n\Z")
        done = other.wait()
        self.assertEqual((0, "11\n", line), (done.code, done.out, done.err), done)
        self.assertEqual(0, holder.wait().code)
        node.stop()
        waiting = rf"\S+@\S+ \(pid {other.program.pid}\) has to wait for this node: in use by {holder_name}\n"
        self.assertEqual(1, len(re.findall(waiting, node.log())), node.log())

    def other_version(self, module: str, name: str, value: object) -> RunningNode:
        script = self.daemons.file("other.py", OTHER_VERSION.format(module=module, name=name, value=value))
        return self.daemons.node(command=(sys.executable, str(script)))

    def assert_said_at_both_ends(self, node: RunningNode, here: str, there: str) -> None:
        """The program says this line once, and no other; the node logs that one, without a traceback."""
        done = self.told(program(seconds=0.7), node.address, "cannot be used")
        self.assertEqual("5\n", done.out, done)
        self.assertRegex(done.err, rf"\A\S+ \S+ dispytw - node {node.address} cannot be used: {here}\n\Z")
        node.hear("refused")
        node.stop()
        self.assertRegex(node.log(), rf"#warn\] refused {there}\n")
        self.assertNotIn("Traceback", node.log())

    def test_wire_version(self) -> None:
        """Ends that speak different versions of the wire say both, and what to do."""
        node = self.other_version("dispytw.wire", "WIRE_VERSION", WIRE_VERSION + 1)
        self.assert_said_at_both_ends(
            node,
            rf"{node.address} speaks wire version {WIRE_VERSION + 1}, this end {WIRE_VERSION}: install the same dispytw on both",
            rf"(127.0.0.1:\d+): \1 speaks wire version {WIRE_VERSION}, this end {WIRE_VERSION + 1}: install the same dispytw on both",
        )

    def test_package_version(self) -> None:
        """Packages whose first number differs do not work together, and say both versions."""
        major = int(VERSION.partition(".")[0]) + 1
        node = self.other_version("dispytw.version", "VERSION", f"{major}.2.3")
        words = rf"this node runs dispytw {major}\.2\.3, the client {re.escape(VERSION)}: install the same on both"
        self.assert_said_at_both_ends(node, words, rf"\S+@\S+ \(pid \d+\) at 127\.0\.0\.1: {words}")
