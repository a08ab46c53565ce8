"""Nodes that a program does not name: on this machine, and on others of its network."""

from __future__ import annotations

import os
import socket
import time
import unittest

from twisted.trial.unittest import SynchronousTestCase

from dispytw.discovery.beacon import ANSWERS, SIZE, TOKEN, Presence, Question, packed, parsed
from dispytw.wire.credentials import new_secret
from tests.functional.daemons import Daemons, RunningNode
from tests.functional.networks import Network, obstacle
from tests.functional.telling import Gate, TellingProgram

#: Looks for nodes, says when it has begun, and on how many nodes jobs have run.
LOOKS = """
import dispytw as dispy

def compute(n):
    import time
    time.sleep(0.05)
    return n

if __name__ == "__main__":
    options = eval(sys.argv[1])
    wanted = int(sys.argv[2])
    cluster = dispy.JobCluster(compute, **options)
    print("looks", file=sys.stderr, flush=True)
    hosts = set()
    while len(hosts) < wanted:
        jobs = [cluster.submit(n) for n in range(8)]
        assert [job() for job in jobs] == list(range(8)), [job.exception for job in jobs]
        hosts |= {job.ip_addr for job in jobs}
    print(*sorted(hosts))
"""

#: Looks for nodes, and cannot use any, until the gate is opened.
WAITS = LOOKS.replace("wanted = int(sys.argv[2])", "wanted = 0") + """
    job = cluster.submit(1)
    import fcntl
    with open(sys.argv[2]) as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
    cluster.close(terminate=True)
"""

#: Looks for nodes, and tells everything, until the gate is opened.
TELLS = """
import fcntl, logging
import dispytw as dispy

def compute():
    pass

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, loglevel=logging.INFO, **eval(sys.argv[1]))
    job = cluster.submit()
    with open(sys.argv[2]) as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
    print(job.status)
    cluster.close(terminate=True)
"""


#: Looks for all nodes, and then in a second cluster for those whose address ends so.
LOOKS_TWICE = LOOKS + """
    cluster.close()
    cluster = dispy.JobCluster(compute, nodes=["10.77.*.3"], **options)
    jobs = [cluster.submit(n) for n in range(8)]
    print(*sorted({job.ip_addr for job in jobs if job() is not None}))
"""


def free_port(test: unittest.TestCase) -> int:
    """A port that nobody has, for TCP and UDP, and that nobody is given before the test has ended: only who asks for it can listen there."""
    held = socket.socket()
    test.addCleanup(held.close)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    with socket.socket(type=socket.SOCK_DGRAM) as datagram:
        datagram.bind(held.getsockname())
    return int(held.getsockname()[1])


class OnThisMachine(SynchronousTestCase):
    """On loopback; the port is the test's own."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=60.0)
        self.port = free_port(self)
        self.options = f"dict(ip_addr='127.0.0.1', node_port={self.port})"

    def node(self, *options: str) -> RunningNode:
        """A node at that port."""
        return self.daemons.node("--cpus", "1", *options, port=self.port)

    def looks(self, source: str = LOOKS, nodes: int = 1) -> TellingProgram:
        """A program that names no node."""
        return TellingProgram(self.daemons, source, self.options, str(nodes))

    def test_a_node_that_starts_later(self) -> None:
        """Is found when it says that it is there, by two programs of one machine: one uses it when the other has ended."""
        programs = [self.looks(), self.looks()]
        for each in programs:
            each.hear("looks")
        self.node()
        for each in programs:
            done = each.wait()
            self.assertEqual((0, "127.0.0.1\n"), (done.code, done.out), done)

    def test_a_node_with_another_secret(self) -> None:
        """Is not used, and no warning says so: on a network of many there are many. Whoever wants to know can see it."""
        node = self.daemons.node(secret="another one", port=self.port)
        gate = Gate(self, self.daemons.root / "gate")
        program = TellingProgram(self.daemons, TELLS, self.options, gate.path)
        program.hear(f"node {node.address} is not used: wrong secret")
        gate.open()
        done = program.wait()
        self.assertEqual((0, "5\n"), (done.code, done.out), done)
        self.assertNotIn("cannot be used", done.err)

    def test_a_flood(self) -> None:
        """A node answers the address that floods it so many times, each time no longer than the question, and goes on."""
        node = self.node()
        with socket.socket(type=socket.SOCK_DGRAM) as asks:
            asks.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
            asks.settimeout(10)
            began = time.monotonic()
            for number in range(3000):
                token = number.to_bytes(TOKEN, "big")
                asks.sendto(packed(Question(token)), ("127.0.0.1", node.port))
                if number % 3 == 0:
                    asks.sendto(os.urandom(number % 2000), ("127.0.0.1", node.port))
            answers = [parsed(asks.recv(65536)) for _ in range(20)]
            asks.settimeout(0.3)
            try:
                while True:
                    answers.append(parsed(asks.recv(65536)))
            except TimeoutError:
                seconds = time.monotonic() - began
        self.assertLessEqual(len(answers), ANSWERS[1] + ANSWERS[0] * seconds + 1)
        for answer in answers:
            assert isinstance(answer, Presence), answer
            self.assertEqual(node.port, answer.port)
        self.assertEqual("127.0.0.1\n", self.daemons.program("import os, sys\n" + LOOKS, self.options, "1").out)

    def test_a_liar(self) -> None:
        """Whoever answers in a node's place is dialled, proves nothing, and keeps nobody from the real one."""
        with socket.socket(type=socket.SOCK_DGRAM) as lies, socket.create_server(("127.0.0.1", 0)) as trap:
            lies.bind(("127.255.255.255", self.port))
            program = self.looks()
            question, asker = lies.recvfrom(SIZE)
            asked = parsed(question)
            assert isinstance(asked, Question)
            for port in (trap.getsockname()[1], *range(1, 50)):
                lies.sendto(packed(Presence(b"l" * 16, port, "liar", asked.token)), asker)
            trap.accept()[0].close()
            self.node()
            done = program.wait()
        self.assertEqual((0, "127.0.0.1\n"), (done.code, done.out), done)


class OnOtherMachines(SynchronousTestCase):
    """On machines of one network; nodes and program hold a secret of their own."""

    def setUp(self) -> None:
        if obstacle():
            print(f"\nnot tried: {obstacle()}")
            self.skipTest(obstacle())
        self.daemons = Daemons(self, seconds=60.0)
        self.network = Network(self.daemons, self, 3)
        self.secret = new_secret()

    def test_two_nodes(self) -> None:
        """A program finds both by broadcast; a cluster with a wildcard uses those that match."""
        for number in (1, 2):
            self.network.node(number, secret=self.secret)
        done = self.network.program(0, LOOKS_TWICE, f"dict(secret={self.secret!r})", "2").wait()
        self.assertEqual((0, "10.77.0.2 10.77.0.3\n10.77.0.3\n"), (done.code, done.out), done)

    def test_a_node_that_starts_later(self) -> None:
        """Says so to all machines; programs that ask on its network hear it, one that asks on loopback only does not."""
        gate = Gate(self, self.daemons.root / "gate")
        here = self.network.program(2, WAITS, f"dict(secret={self.secret!r}, ip_addr='127.0.0.1')", str(gate.path))
        programs = [
            self.network.program(0, LOOKS, f"dict(secret={self.secret!r}, ip_addr='10.77.0.1')", "1"),
            self.network.program(2, LOOKS, f"dict(secret={self.secret!r}, nodes=['10.*.2'])", "1"),
        ]
        for each in (here, *programs):
            each.hear("looks")
        self.network.node(1, secret=self.secret, host=self.network.host(1))
        for each in programs:
            done = each.wait()
            self.assertEqual((0, "10.77.0.2\n"), (done.code, done.out), done)
        here.hear("nobody answered")
        gate.open()
        done = here.wait()
        self.assertEqual(0, done.code, done)
