"""Faults of dispy's, looked for with real processes; the numbers are those of docs/promises.csv, see also tests.compat.test_faults."""

from __future__ import annotations

import unittest

from tests.functional.daemons import Daemons, in_common
from tests.functional.telling import Gate, TellingProgram

EVERY_PYTHON = False

POLLS = """
import socket
import psutil
import dispytw as dispy

def compute(n):
    if n == 2:
        raise ValueError("no twos")
    return n * n

def sockets():
    return [each for each in psutil.Process().net_connections() if each.family in (socket.AF_INET, socket.AF_INET6)]

cluster = dispy.JobCluster(compute, nodes=[sys.argv[1]], poll_interval=5)
jobs = [cluster.submit(n) for n in range(4)]
print([job() for job in jobs], [job.status == dispy.DispyJob.Finished for job in jobs])
print([each.status for each in sockets()])
cluster.close()
"""

RAISES = """
import signal
import dispytw as dispy

def compute(n, gate):
    import fcntl
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    raise ValueError("nobody is there", n)

def status(status, node, job):
    if status == dispy.DispyJob.Running:
        running.append(job)
        if len(running) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

running = []
cluster = dispy.JobCluster(compute, nodes=[sys.argv[1]], cluster_status=status)
for n in range(2):
    cluster.submit(n, sys.argv[2])
cluster.wait()
"""

RECOVERS = """
import dispytw
for job in dispytw.recover_jobs():
    print(job.status == dispytw.DispyJob.Terminated, repr(job.error), job.exception.splitlines()[-1])
"""


class DispysFaults(unittest.TestCase):
    """A node, and programs with ordinary jobs."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def test_nobody_calls_the_client(self) -> None:
        """11. Outcomes come over the one link that the client has opened; it listens nowhere, so there is nothing to fetch."""
        done = TellingProgram(self.daemons, POLLS, self.node.address).wait()
        self.assertEqual((0, ["[0, 1, None, 9] [True, True, False, True]", "['ESTABLISHED']"]), (done.code, done.out.splitlines()), done)

    def test_an_exception_while_nobody_listens(self) -> None:
        """14. Jobs raise after their program was killed: recover_jobs brings home what."""
        gate = Gate(self, self.daemons.root / "gate")
        done = TellingProgram(self.daemons, RAISES, self.node.address, gate.path).wait()
        self.assertEqual(-9, done.code, done)
        gate.open()
        recovered = self.daemons.program(RECOVERS)
        lines = [f"True ValueError('nobody is there', {n}) ValueError: ('nobody is there', {n})" for n in range(2)]
        self.assertEqual((0, lines), (recovered.code, recovered.out.splitlines()), recovered)
