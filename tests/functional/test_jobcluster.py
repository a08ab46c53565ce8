"""JobCluster against a real node: what a program written for dispy relies on."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons, in_common

EVERY_PYTHON = True

WALK = """
import sys, time
import dispytw as dispy

def compute(n, plus=0):
    print("computing", n)
    return n * n + plus

if __name__ == "__main__":
    called = []
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], callback=called.append)
    jobs = [cluster.submit(n, plus=1) for n in range(10)]
    for n, job in enumerate(jobs):
        assert job() == job.result == n * n + 1, (n, job.result, job.exception)
        assert job.status == dispy.DispyJob.Finished
        assert job.stdout == f"computing {n}\\n", job.stdout
        assert job.stderr == "" and job.exception is None
        assert job.ip_addr == "127.0.0.1"
        assert job.submit_time - 1 < job.start_time <= job.end_time
    assert [job.id for job in jobs] == list(range(1, 11))
    cluster.wait()
    assert sorted(job.id for job in called) == list(range(1, 11))
    assert all(any(job is each for each in jobs) for job in called)
    while len(cluster.status().nodes) < len(sys.argv[1:]):  # one node may have done all, before another was there
        time.sleep(0.01)
    status = cluster.status()
    assert status.jobs_pending == 0
    assert sum(node.jobs_done for node in status.nodes) == 10
    cluster.print_status()
    assert cluster.close() is True
    try:
        cluster.submit(1)
    except RuntimeError as error:
        print(error)
"""

CLASSES = """
import dataclasses, enum, sys
import dispytw as dispy
import beside

class Point:
    def __init__(self, x):
        self.x = x

@dataclasses.dataclass
class Pair:
    left: int
    right: int

class Colour(enum.Enum):
    RED = 1

class Wrong(Exception):
    pass

def compute(kind, given):
    wanted = {"point": Point, "pair": Pair, "colour": Colour, "wrong": Wrong,
              "there": beside.There, "shade": beside.Shade, "bad": beside.Bad}[kind]
    assert isinstance(given, wanted), (type(given), wanted)
    if kind == "colour":
        assert given is Colour.RED
    if kind == "shade":
        assert given is beside.Shade.DARK
    return given

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:])
    given = {"point": Point(3), "pair": Pair(1, 2), "colour": Colour.RED, "wrong": Wrong("no"),
             "there": beside.There(5), "shade": beside.Shade.DARK, "bad": beside.Bad("b")}
    for kind, value in given.items():
        job = cluster.submit(kind, value)
        back = job()
        assert job.status == dispy.DispyJob.Finished, job.exception
        assert type(back) is type(value), (type(back), type(value))
        if isinstance(value, enum.Enum):
            assert back is value
        if isinstance(value, Exception):
            try:
                raise job.result
            except type(value) as error:
                assert error.args == value.args
    assert cluster.submit("pair", Pair(1, 2))() == Pair(1, 2)
    print("all kept")
"""

BESIDE = """
import enum

class There:
    def __init__(self, y):
        self.y = y

class Shade(enum.Enum):
    DARK = 1

class Bad(ValueError):
    pass
"""

ENDS = """
import os, signal, sys, threading, time
import dispytw as dispy

def compute(what):
    if what == "raise":
        raise ValueError("no such thing")
    if what == "exit":
        sys.exit(3)
    if what == "_exit":
        os._exit(4)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "unpicklable":
        return threading.Lock()
    if what == "sleep":
        time.sleep(60)
    return "fine"

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=[dispy.NodeAllocate("127.0.0.1", int(sys.argv[1]), cpus=1)])
    for what, words in [
        ("raise", "ValueError: no such thing"), ("exit", "3"), ("_exit", "4"),
        ("kill", "SIGKILL"), ("unpicklable", "lock"),
    ]:
        job = cluster.submit(what)
        assert job() is None
        assert job.status == dispy.DispyJob.Terminated, job
        assert words in job.exception, job.exception
    first, second = cluster.submit("sleep"), cluster.submit("sleep")
    while first.status != dispy.DispyJob.Running:
        time.sleep(0.01)
    assert cluster.cancel(second) == 0
    assert second.status == dispy.DispyJob.Cancelled
    assert cluster.cancel(first) == 0
    assert first() is None and first.status == dispy.DispyJob.Cancelled
    assert cluster.cancel(first) == -1
    assert cluster.submit("fine")() == "fine"
    left = cluster.submit("sleep")
    assert cluster.close(timeout=0.1) is False
    assert cluster.close(terminate=True) is True
    assert left.status == dispy.DispyJob.Cancelled and left.finish.is_set()
    print("all ended")
"""


class WalkTests(SynchronousTestCase):
    """One job, there and back, and the words around it."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def test_jobs_there_and_back(self) -> None:
        """Results, output, times, ids, callbacks and the table are what the manual says."""
        done = self.daemons.program(WALK, self.node.address)
        self.assertEqual(0, done.code, done)
        self.assertIn("cluster compute is closed", done.out)
        self.assertIn("Total job time", done.out)

    def test_two_nodes_on_one_host(self) -> None:
        """Two ports of one host are two nodes."""
        nodes = [self.daemons.node("--cpus", "1") for _ in range(2)]
        done = self.daemons.program(WALK, *(node.address for node in nodes))
        self.assertEqual(0, done.code, done)
        for node in nodes:
            self.assertIn(f"{node.address} (", done.out)

    def test_classes_keep_their_identity(self) -> None:
        """Instances, enum members and exceptions of the program and of a module beside it keep their class at both ends."""
        self.daemons.file("beside.py", BESIDE)
        done = self.daemons.program(CLASSES, self.node.address)
        self.assertEqual((0, "all kept\n"), (done.code, done.out), done)

    def test_jobs_that_end_badly(self) -> None:
        """Each way to end has its status and text; the slot is free again; cancel and close(terminate=True) end the rest."""
        done = self.daemons.program(ENDS, str(self.node.port))
        self.assertEqual((0, "all ended\n"), (done.code, done.out), done)
