"""What a computation can be and bring along: programs, dependencies, setup and cleanup; through a real node."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons, in_common

PROGRAM = """
import sys
import dispytw as dispy

if __name__ == "__main__":
    cluster = dispy.JobCluster("tool.sh", nodes=sys.argv[1:], depends=["words.txt"])
    job = cluster.submit("one", "two words")
    assert job() == 3, (job.result, job.exception, job.stderr)
    assert job.status == dispy.DispyJob.Finished
    assert job.stdout == b"one-two words-\\xff", job.stdout
    assert job.stderr == b"from a file", job.stderr
    try:
        cluster.submit(b"bytes")
    except TypeError as error:
        print(error)
    try:
        dispy.JobCluster("no-such-program", nodes=sys.argv[1:])
    except FileNotFoundError as error:
        print(error)
"""

TOOL = rb"""#!/bin/sh
printf '%s-%s-\377' "$1" "$2"
cat words.txt >&2
exit 3
"""

DEPENDS = """
import sys
import dispytw as dispy
import lonely

def helper(n):
    return n + 1

class Scale:
    factor = 10
    def __call__(self, n):
        return n * self.factor

STEP = 1000

def compute(n):
    with open("numbers.txt") as file:
        more = int(file.read())
    return alone(Scale()(helper(n))) + more + STEP

if __name__ == "__main__":
    from lonely import alone
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], depends=[helper, Scale, lonely, "numbers.txt"])
    print(cluster.submit(1)())
"""

LONELY = """
def alone(n):
    return -n
"""

SETUP = """
import functools, os, sys
import dispytw as dispy

def setup(path, base):
    global table, home
    table = {n: n + base for n in range(100)}
    home = path
    with open(home, "a") as file:
        file.write("setup\\n")
    return 0

def cleanup():
    with open(home, "a") as file:
        file.write("cleanup %d\\n" % len(table))

def compute(n):
    return table[n], os.getcwd()

if __name__ == "__main__":
    marks, address = sys.argv[1:]
    with dispy.JobCluster(compute, nodes=[address], setup=functools.partial(setup, marks, base=7), cleanup=cleanup) as cluster:
        jobs = [cluster.submit(n) for n in range(20)]
        assert [job()[0] for job in jobs] == [n + 7 for n in range(20)], [job.exception for job in jobs]
        print(jobs[0].result[1])
"""

CALLBACKS = """
import sys, threading
import dispytw as dispy

def compute(n):
    return n

seen, threads = [], set()

def called(job):
    seen.append(job)
    threads.add(threading.current_thread())
    if job.result is not None and job.result < 3:
        assert cluster.submit(job.result + 10)() == job.result + 10
    if job.result == 4:
        raise ValueError("said once")

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], callback=called)
    jobs = [cluster.submit(n) for n in range(5)]
    cluster.wait()
    assert sorted(job.result for job in seen) == [0, 1, 2, 3, 4, 10, 11, 12], seen
    assert len(threads) == 1 and threading.main_thread() not in threads
    cluster.close()
"""


class ComputationTests(SynchronousTestCase):
    """Programs and functions, with what they need."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def test_program(self) -> None:
        """A program gets strings, its output comes home as bytes, its exit status is the result."""
        self.daemons.file("tool.sh", TOOL, mode=0o755)
        self.daemons.file("words.txt", "from a file")
        done = self.daemons.program(PROGRAM, self.node.address)
        self.assertEqual(0, done.code, done)
        self.assertIn("argument 1 of a program must be a string, not b'bytes'", done.out)
        self.assertIn("no-such-program", done.out)

    def test_depends_of_all_four_kinds(self) -> None:
        """A function, a class, a module and a file are there for every job."""
        self.daemons.file("lonely.py", LONELY)
        self.daemons.file("numbers.txt", "7")
        done = self.daemons.program(DEPENDS, self.node.address)
        self.assertEqual((0, "987\n"), (done.code, done.out), done)

    def test_setup_and_cleanup(self) -> None:
        """setup runs once, its globals are in every job; cleanup runs at close; the directory is gone afterwards."""
        marks, node = self.daemons.root / "marks", self.daemons.node("--cpus", "2")
        done = self.daemons.program(SETUP, str(marks), node.address)
        self.assertEqual(0, done.code, done)
        self.assertEqual(0, node.stop(), node.log())
        self.assertEqual("setup\ncleanup 100\n", marks.read_text())
        self.assertEqual([], list((node.state_dir / "work").iterdir()))

    def test_callbacks(self) -> None:
        """Callbacks come one after another on one thread, may submit and wait, and one that raises is told of."""
        done = self.daemons.program(CALLBACKS, self.node.address)
        self.assertEqual(0, done.code, done)
        self.assertEqual(1, done.err.count("ValueError: said once"), done)
