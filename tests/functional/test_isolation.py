"""Kept workers behind a real daemon: the same program, other processes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons

EVERY_PYTHON = False

WALK = """
import sys
import dispytw as dispy

class Colour:
    def __init__(self, name):
        self.name = name

def setup():
    global told
    told = "by setup"
    return 0

def compute(n, how="returns"):
    import os
    print("computing", n)
    if how == "dies":
        os._exit(7)
    if how == "raises":
        raise ValueError(n)
    if how == "sleeps":
        time.sleep(600)
    return n, os.getpid(), told, Colour("red")

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], setup=setup, isolation="worker", max_jobs_per_worker=50)
    jobs = [cluster.submit(n) for n in range(200)]
    pids = set()
    for n, job in enumerate(jobs):
        number, pid, word, colour = job()
        assert (number, word) == (n, "by setup") and isinstance(colour, Colour)
        assert job.stdout == f"computing {n}\\n" and job.status == dispy.DispyJob.Finished
        pids.add(pid)
    assert 4 <= len(pids) <= 6, pids
    dead, failed = cluster.submit(1, how="dies"), cluster.submit(2, how="raises")
    assert dead() is None and "status 7" in dead.exception and dead.status == dispy.DispyJob.Terminated
    assert failed() is None and "ValueError: 2" in failed.exception
    slow = cluster.submit(3, how="sleeps")
    while slow.status != dispy.DispyJob.Running:
        pass
    assert cluster.cancel(slow) == 0
    assert slow() is None and slow.status == dispy.DispyJob.Cancelled, slow.status
    assert cluster.submit(4)()[0] == 4
    cluster.close()
"""


class IsolationTests(SynchronousTestCase):
    """A node of two slots."""

    def test_kept_workers(self) -> None:
        """Results, output, deaths and cancels are those of jobs with a process each; there are few processes."""
        daemons = Daemons(self)
        node = daemons.node("--cpus", "2")
        done = daemons.program(WALK, node.address)
        self.assertEqual(0, done.code, done)
