"""A node that is killed in the midst of its work and started again: nothing is lost in silence, nothing hangs."""

from __future__ import annotations

import os
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Completed, Daemons, RunningNode
from tests.functional.telling import Gate, TellingProgram

#: The first four jobs end at once, the others when the lock on a file has been given up.
PROGRAM = """
import collections, time
import dispytw as dispy
from dispytw.client import dialer

def compute(n, gate, starts):
    import fcntl
    with open(starts, "a") as file:
        file.write(f"{n}\\n")
    if n >= 4:
        with open(gate) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    return n, bytes(n * 4000)

def lines(path):
    with open(path) as file:
        return len(file.readlines())

def called(job):
    endings[job.id].append(job.status)

if __name__ == "__main__":
    address, gate, starts, kind = sys.argv[1:]
    dialer.LONGEST = 0.1  # seconds: the test has five
    endings = collections.defaultdict(list)
    isolation = "worker" if kind == "kept workers" else "job"
    cluster = dispy.JobCluster(compute, nodes=[address], callback=called, reentrant=kind == "reentrant", isolation=isolation)
    jobs = [cluster.submit(n, gate, starts) for n in range(20)]
    while sum(job.status == dispy.DispyJob.Running for job in jobs) < 2 or lines(starts) < 6:
        time.sleep(0.01)
    print("two jobs run", file=sys.stderr, flush=True)
    cluster.wait()
    for n, job in enumerate(jobs):
        assert endings[job.id] == [job.status] and job.finish.is_set(), (n, endings[job.id])
        if job.status == dispy.DispyJob.Finished:
            assert job.result == job() == (n, bytes(n * 4000)), n
            print(n, "finished")
        else:
            assert job.status == dispy.DispyJob.Cancelled and job.exception == "Cancelled", (n, job.status, job.exception)
            assert job.result is job() is None
            print(n, "cancelled", job.reason)
    cluster.close()
"""

IN_SETUP = """
import dispytw as dispy
from dispytw.client import dialer

def setup(fifo, gate):
    import fcntl
    with open(fifo, "w") as telling:
        telling.write("in setup")
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return 0

def compute(n):
    return n

if __name__ == "__main__":
    import functools
    address, fifo, gate = sys.argv[1:]
    dialer.LONGEST = 0.1
    cluster = dispy.JobCluster(compute, nodes=[address], setup=functools.partial(setup, fifo, gate))
    jobs = [cluster.submit(n) for n in range(20)]
    print([job() for job in jobs] == list(range(20)))
"""


class RestartTests(SynchronousTestCase):
    """kill -9 on the daemon, and a new one on its port and state directory."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node = self.daemons.node("--cpus", "2")
        self.gate = Gate(self, self.daemons.root / "gate")

    def restart(self) -> RunningNode:
        self.node.kill()
        return self.daemons.node("--cpus", "2", port=self.node.port, state_dir=self.node.state_dir)

    def run_through(self, kind: str) -> tuple[Completed, Counter[str]]:
        """How the program ended, and how often each job was started."""
        starts = self.daemons.file("starts", "")
        program = TellingProgram(self.daemons, PROGRAM, self.node.address, self.gate.path, starts, kind)
        program.hear("two jobs run")
        self.restart()
        self.gate.open()
        done = program.wait()
        self.assertEqual(0, done.code, done)
        return done, Counter(starts.read_text().split())

    def assert_all_finish(self, kind: str) -> None:
        done, starts = self.run_through(kind)
        self.assertEqual("".join(f"{n} finished\n" for n in range(20)), done.out, done)
        self.assertEqual({1}, set(starts.values()), starts)

    def test_reentrant(self) -> None:
        """Every job finishes with its result, and was started once: those that ran went on, and the new daemon has adopted them."""
        self.assert_all_finish("reentrant")

    def test_not_reentrant(self) -> None:
        """It makes no difference whether jobs may be started anew: none has to be."""
        self.assert_all_finish("not reentrant")

    def test_kept_workers(self) -> None:
        """Workers that are kept go on too, and so does what waits for them."""
        self.assert_all_finish("kept workers")

    def test_in_setup(self) -> None:
        """Killed while setup() runs: the new node runs it anew, and all jobs."""
        fifo = self.daemons.root / "fifo"
        os.mkfifo(fifo)
        program = TellingProgram(self.daemons, IN_SETUP, self.node.address, fifo, self.gate.path)
        self.assertEqual("in setup", fifo.read_text())
        self.restart()
        self.assertEqual("in setup", fifo.read_text())
        self.gate.open()
        done = program.wait()
        self.assertEqual((0, "True\n"), (done.code, done.out), done)
