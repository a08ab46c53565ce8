"""A node whose processes are killed in the midst of their work, for some seconds; the campaign of the same name does it for minutes."""

from __future__ import annotations

import os
import select
import signal
import unittest

from dispytw.values import FINISHED
from tests.functional.daemons import Daemons
from tests.functional.nodekilling import Killing, left_in
from tests.functional.telling import Gate, TellingProgram

JOBS, KILLS = 40, 2

#: Jobs that wait for the gate.
WAITING = """
import dispytw as dispy
from dispytw.client import dialer

def compute(gate):
    import fcntl, os
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return os.getpid()

if __name__ == "__main__":
    import time
    address, gate = sys.argv[1:]
    dialer.LONGEST = 0.1
    cluster = dispy.JobCluster(compute, nodes=[address])
    job = cluster.submit(gate)
    while job.status != dispy.DispyJob.Running:
        time.sleep(0.01)
    print("it runs", file=sys.stderr, flush=True)
    job()
    print(job.status)
    cluster.close()
"""


class DaemonKilled(unittest.TestCase):
    """SIGKILL to the daemon, and a new one in its place."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def test_nothing_is_lost_or_done_twice(self) -> None:
        """Every job is started once and called back once, with its own result; nothing is left on the disk."""
        killing = Killing(self, self.daemons, JOBS, seed=1, cpus=2)
        for kill in range(1, KILLS + 1):
            self.assertTrue(killing.wait_for_starts(10 * kill - len(killing.lines("start"))))
            killing.kill_daemon()
        killed = killing.end()
        self.assertEqual({str(FINISHED): JOBS}, killed.told["statuses"], killed)
        self.assertEqual({"1": JOBS}, killed.told["calls"], killed)
        self.assertEqual([], killed.told["wrong"])
        self.assertEqual({1: JOBS}, {times: len(killed.starts) for times in set(killed.starts.values())}, killed)


class Signals(unittest.TestCase):
    """How a node may be ended."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.gate = Gate(self, self.daemons.root / "gate")

    def start(self, *options: str) -> TellingProgram:
        self.node = self.daemons.node("--cpus", "1", *options)
        program = TellingProgram(self.daemons, WAITING, self.node.address, self.gate.path)
        program.hear("it runs")
        (self.supervisor,) = [p for p in self.daemons.marked() if p.ppid() == self.node.process.pid]
        return program

    def ended(self) -> bool:
        return not self.supervisor.is_running() or self.supervisor.status() == "zombie"

    def test_hangup(self) -> None:
        """SIGHUP ends the daemon alone: the job goes on, and comes home by way of the next daemon."""
        program = self.start()
        self.node.send_signal(signal.SIGHUP)
        self.node.process.wait()
        self.assertFalse(self.ended())
        again = self.daemons.node("--cpus", "1", port=self.node.port, state_dir=self.node.state_dir)
        self.assertIn("1 supervisors have outlived an earlier daemon", again.log())
        self.gate.open()
        self.assertEqual(f"{FINISHED}\n", program.wait().out)
        self.assertEqual(0, again.stop())
        self.assertEqual({}, left_in(again))

    def test_termination(self) -> None:
        """SIGTERM ends the supervisors too: a job of a cluster that is not reentrant ends Cancelled."""
        program = self.start()
        self.assertEqual(0, self.node.stop())
        self.assertTrue(self.ended())
        self.assertEqual("8\n", program.wait().out)
        self.assertEqual({}, left_in(self.node))

    def test_the_lease(self) -> None:
        """Without a daemon for the lease the supervisor ends what runs and leaves the outcome, which the next daemon tells."""
        program = self.start("--lease", "0")
        watched = os.pidfd_open(self.supervisor.pid)  # as long as it certainly lives
        self.node.kill()
        self.assertEqual([watched], select.select([watched], [], [], 20)[0])
        os.close(watched)
        spooled = [name for name in os.listdir(self.node.state_dir / "spool") if name.endswith(".owed")]
        self.assertEqual(1, len(spooled))
        again = self.daemons.node("--cpus", "1", port=self.node.port, state_dir=self.node.state_dir)
        self.assertEqual("8\n", program.wait().out)
        self.assertEqual(0, again.stop())
        self.assertEqual({}, left_in(again))
