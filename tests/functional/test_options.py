"""Options of single jobs, against a real node: timeout, retries, priority."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons

PROGRAM = """
import os, sys, time
import dispytw as dispy

def compute(what, directory="", timeout=None):
    if what == "stuck":
        time.sleep(600)
    elif what == "flaky":
        tries = len(os.listdir(directory))
        open(os.path.join(directory, str(tries)), "w").close()
        if tries == 0:
            raise ValueError("the first time")
        if tries == 1:
            os._exit(7)
        return tries
    return what, timeout

if __name__ == "__main__":
    node, directory, isolation = sys.argv[1:]
    os.mkdir(directory)
    called = []
    cluster = dispy.JobCluster(compute, nodes=[node], callback=called.append, isolation=isolation)
    flaky = cluster.options(retries=3, backoff=0.1).submit("flaky", directory)
    assert flaky() == 2 and flaky.attempts == 3 and flaky.status == dispy.DispyJob.Finished, (flaky, flaky.attempts)

    began = time.monotonic()
    stuck = cluster.options(timeout=0.4, retries=1, backoff=0).submit("stuck")
    assert stuck() is None and stuck.status == dispy.DispyJob.Terminated, stuck
    assert stuck.exception.endswith("TimeoutError: it ran longer than its timeout of 0.4 s"), stuck.exception
    assert stuck.reason == "timed out after 0.4 s; attempt 2, and no retry is left", stuck.reason
    assert stuck.attempts == 2 and time.monotonic() - began < 30

    blocker = cluster.submit("stuck")
    while blocker.status != dispy.DispyJob.Running:
        time.sleep(0.01)
    jobs = [cluster.options(priority=priority, timeout=60).submit(priority, timeout=5) for priority in (0, -1, 2, 0)]
    assert cluster.cancel(blocker) == 0
    cluster.wait()
    assert [job.result for job in jobs] == [(0, 5), (-1, 5), (2, 5), (0, 5)]
    assert [job.id for job in called[-4:]] == [jobs[each].id for each in (2, 0, 3, 1)], [job.id for job in called]
    assert called[0] is flaky and called[1] is stuck and len(called) == 7
    cluster.close()
    print("all as wanted")
"""

KILLED = """
import os, signal, sys, time
import dispytw as dispy

def compute(what, directory):
    import os, time
    if what == "rests" or not os.path.exists(directory + "/first"):
        open(directory + "/first", "w").close()
        raise ValueError("the first time")
    open(directory + "/second", "w").close()
    while not os.path.exists(directory + "/gate"):
        time.sleep(0.01)
    return "the second time"

if __name__ == "__main__":
    node, directory, what = sys.argv[1:]
    os.mkdir(directory)
    cluster = dispy.JobCluster(compute, nodes=[node], recover_file=directory + "/rec")
    cluster.options(retries=1, backoff=600 if what == "rests" else 0).submit(what, directory).id = what
    def seen():
        with open(directory + "/rec", "rb") as file:
            return b"the first time" in file.read() if what == "rests" else os.path.exists(directory + "/second")
    while not seen():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""

RECOVERS = """
import sys
import dispytw as dispy
for job in dispy.recover_jobs(sys.argv[1]):
    print(job.id, job.status, job.result, job.attempts, (job.exception or "").strip().rpartition(": ")[2])
"""


class OptionsTests(SynchronousTestCase):
    """What cluster.options promises."""

    def test_options(self) -> None:
        """A job is tried again until it succeeds, ends in time, and goes before others; with either isolation."""
        daemons = Daemons(self)
        node = daemons.node("--cpus", "1")
        for isolation in ("job", "worker"):
            done = daemons.program(PROGRAM, node.address, str(daemons.root / isolation), isolation)
            self.assertEqual((0, "all as wanted\n"), (done.code, done.out), done)

    def test_killed_meanwhile(self) -> None:
        """While a job rests, what its last attempt ended with comes home; while the next attempt runs, that one's result."""
        daemons = Daemons(self)
        node = daemons.node("--cpus", "1")
        for what, found in (("rests", "rests 9 None 1 the first time\n"), ("runs", "runs 11 the second time 2 \n")):
            directory = daemons.root / what
            self.assertEqual(-9, daemons.program(KILLED, node.address, str(directory), what).code)
            (directory / "gate").touch()
            done = daemons.program(RECOVERS, str(directory / "rec"))
            self.assertEqual((0, found), (done.code, done.out), done)
