"""Where nodes do not fork: setup() runs once, and what it leaves in globals reaches fresh processes, or is named in an error."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons
from tests.functional.telling import Gate, TellingProgram

EVERY_PYTHON = False

#: The computation is a module of the program's, then the program itself.
COMPUTATION = """
import os, sys, time

class Table:
    def __init__(self, base):
        self.rows = {n: n + base for n in range(100)}
    def row(self, n):
        return self.rows[n]

settings = {"factor": 1}

def setup(path):
    global table, lock, counter, scaled, marks
    marks = path
    table, lock, counter = Table(7), multiprocessing.Lock(), multiprocessing.Value("i", 0)
    settings["factor"] = 10
    def scaled(n):
        return table.row(n) * settings["factor"]
    with open(path, "a") as file:
        file.write(f"setup {os.getpid()}\\n")
    return 0

def cleanup():
    with open(marks, "a") as file:
        file.write(f"cleanup {os.getpid()} {counter.value}\\n")

def compute(n, how=""):
    with lock:
        counter.value += 1
    print("computing", n)
    if how == "sleeps":
        with open(marks + "-asleep", "w"):
            pass
        time.sleep(600)
    if how == "dies":
        os._exit(7)
    if how == "tells":
        assert dispy_provisional_result(Table(n)) == 0
    return scaled(n), os.getpid(), dispy_node_name, isinstance(table, Table)
"""

WALK = """
    import functools
    import dispytw as dispy
    address, isolation, marks = sys.argv[1:]
    told = []
    def called(job):
        if job.status == dispy.DispyJob.ProvisionalResult:
            told.append(job.result)
    with dispy.JobCluster(compute, nodes=[address], setup=functools.partial(setup, marks), cleanup=cleanup, callback=called,
                          isolation=isolation, start_method="spawn") as cluster:
        jobs = [cluster.submit(n) for n in range(3)]
        results = [job() for job in jobs]
        assert [each[0] for each in results] == [70, 80, 90], [job.exception for job in jobs]
        assert all(each[2:] == ("here", True) for each in results), results
        assert [job.stdout for job in jobs] == [f"computing {n}\\n" for n in range(3)]
        pids = len({each[1] for each in results})
        assert pids == 3 if isolation == "job" else pids <= 2, results
        dead, tells, slow = (cluster.submit(9, how=how) for how in ("dies", "tells", "sleeps"))
        assert dead() is None and "status 7" in dead.exception
        assert tells.future.result()[0] == 160, tells.exception
        while slow.status != dispy.DispyJob.Running or not os.path.exists(marks + "-asleep"):  # it runs before it has counted
            time.sleep(0.01)
        assert cluster.cancel(slow) == 0
        assert slow() is None and slow.status == dispy.DispyJob.Cancelled, slow.status
        cluster.wait()
        assert [type(each) for each in told] == [Table], told
"""

REFUSED = """
import fcntl, threading
import dispytw as dispy

def setup():
    global np, lock, words, fine
    import json as np
    lock, fine = threading.Lock(), 1
    words = (word for word in ("a", "b"))
    return 0

def compute():
    return np.dumps(fine)

if __name__ == "__main__":
    node, gate = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[node], setup=setup, start_method="spawn")
    job = cluster.submit()
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    assert job.status == dispy.DispyJob.Created
    cluster.close(terminate=True)
"""


class SpawnTests(SynchronousTestCase):
    """A node of two slots."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node = self.daemons.node("--cpus", "2", "--name", "here")

    def walked(self, program: str, isolation: str) -> None:
        marks = self.daemons.root / f"marks-{isolation}"
        done = self.daemons.program(program, self.node.address, isolation, str(marks))
        self.assertEqual(0, done.code, done)
        self.assertEqual(0, self.node.stop(), self.node.log())
        (setup, at_first), (cleanup, in_the_end, count) = map(str.split, marks.read_text().splitlines())
        self.assertEqual(("setup", "cleanup", "6"), (setup, cleanup, count), "jobs have counted in memory that they share")
        self.assertEqual(at_first, in_the_end, "both ran in one process")

    def test_a_process_for_each_job(self) -> None:
        """Setup and cleanup run once, in one process; jobs have what setup left: copies of it, and multiprocessing's own things shared."""
        self.walked(f"{COMPUTATION}\nif __name__ == '__main__':{WALK}", "job")

    def test_kept_workers(self) -> None:
        """The same for processes that are kept, and for a computation that is a module of the program's."""
        self.daemons.file("computation.py", COMPUTATION)
        self.walked(f"import sys\nfrom computation import *\nif __name__ == '__main__':{WALK}", "worker")

    def test_what_cannot_be_sent(self) -> None:
        """Each global that cannot be sent is named in what the user is told of the failed setup."""
        lines = (
            "np: a module; modules are not sent, import it in the computation instead",
            "lock: a _thread.lock; TypeError: cannot pickle '_thread.lock' object",
            "words: a generator; TypeError: cannot pickle 'generator' object",
        )
        gate = Gate(self, self.daemons.root / "gate")
        program = TellingProgram(self.daemons, REFUSED, self.node.address, gate.path)
        for line in lines:
            program.hear(line)
        gate.open()
        done = program.wait()
        self.assertEqual(0, done.code, done)
        self.assertIn("start_method='spawn'", done.err)
        for line in lines:
            self.assertEqual(1, done.err.count(line), done)
        self.assertNotIn("fine:", done.err)
