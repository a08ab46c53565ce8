"""Control over nodes, through real ones: jobs for one of them, what each gets for itself, nodes that are left, renewed or killed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons

PLACING = """
import sys, threading
import dispytw as dispy

def compute(n):
    return n, dispy_node_name

def heard(status, node, job):
    events.append((status, node, job))
    if status == dispy.DispyNode.Initialized:
        placed[node.name] = [cluster.submit_node(node, n) for n in range(3)]
        if len(placed) == 2:
            both.set()

events, placed, both = [], {}, threading.Event()

if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    cluster = dispy.JobCluster(compute, nodes=[(host, int(port), 1), {"host": sys.argv[2]}], cluster_status=heard, pulse_interval=1.0)
    early = cluster.submit_job_id_node("early", sys.argv[2], 7)
    assert early() == (7, "two") and early.id == "early"
    both.wait()
    assert {name: [job() for job in jobs] for name, jobs in placed.items()} == {
        name: [(n, name) for n in range(3)] for name in ("one", "two")
    }
    assert {node.name: (node.cpus, node.avail_cpus) for node in cluster.status().nodes} == {"one": (1, 2), "two": (2, 2)}
    for wrong, error in ((host, ValueError), ("elsewhere.invalid", LookupError), (5, TypeError)):
        try:
            cluster.submit_node(wrong, 1)
        except error as raised:
            print(type(raised).__name__, raised)
    while not all(any(e[0] == dispy.DispyNode.AvailInfo and e[1].name == name for e in list(events)) for name in placed):
        early.finish.wait(); cluster.submit(0)()
    assert all(0 <= node.avail_info.cpu <= 100 and node.avail_info.memory > 0 for node in cluster.status().nodes)
    cluster.print_status()
    cluster.close()
    jobs = {job for _, _, job in events if job is not None}
    for job in jobs:
        told = [(status, node and node.name) for status, node, which in events if which is job]
        name = job.result[1]
        assert told == [(dispy.DispyJob.Created, None), (dispy.DispyJob.Running, name), (dispy.DispyJob.Finished, name)], told
    for node in cluster.status().nodes:
        told = [status for status, which, job in events if which is node and job is None and status != dispy.DispyNode.AvailInfo]
        assert told == [dispy.DispyNode.Initialized, dispy.DispyNode.Closed], told
    print("placed", len(jobs) >= 7)
"""

OWN = """
import os, sys
import dispytw as dispy

def helper():
    return "helped"

class Own(dispy.NodeAllocate):
    def allocate(self, cluster, ip_addr, name, cpus, avail_info=None, platform=""):
        assert isinstance(avail_info, dispy.DispyNodeAvailInfo) and avail_info.disk > 0, avail_info
        assert cluster.name == "compute" and platform, (cluster, platform)
        self.setup_args = (name, len(calls))
        calls.append(name)
        if name == "one":
            self.depends = [sys.argv[3], helper]
        return cpus

calls = []

left = sys.argv[4] if len(sys.argv) > 4 else ""

def setup(name, number):
    global made
    made = (name, number)
    return 0

def cleanup(name, number):
    with open(os.path.join(left, name), "w") as file:
        file.write(str(number))

def compute():
    here = globals().get("helper")
    return made, sorted(name for name in os.listdir() if name.endswith(".txt")), here and here()

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=[Own(sys.argv[1]), Own(sys.argv[2])], setup=setup, cleanup=cleanup)
    one, two = cluster.submit_node(sys.argv[1]), cluster.submit_node(sys.argv[2])
    assert one()[0][0] == "one" and one()[1:] == (["table.txt"], "helped"), (one.result, one.exception)
    assert two()[0][0] == "two" and two()[1:] == ([], None), (two.result, two.exception)
    before = len(calls)
    cluster.resetup_node("one")
    assert cluster.submit_node("one")()[0] == ("one", before), cluster.submit_node("one")()
    assert len(calls) == before + 1
    cluster.close()
    print("each its own")
"""

CONTROL = """
import sys, time
import dispytw as dispy

def compute(seconds):
    import time
    time.sleep(seconds)
    return dispy_node_name

if __name__ == "__main__":
    one, two = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[one, two])
    other = dispy.JobCluster(compute, nodes=[two])
    assert cluster.submit_node(one, 0)() == "one" and cluster.submit_node(two, 0)() == "two" and other.submit(0)() == "two"
    # CPUs, in both clusters; a node with none drains.
    assert cluster.set_node_cpus(two, -1) == 1 and [node.cpus for node in other.status().nodes] == [1]
    assert cluster.set_node_cpus(two, 0) == 0 and cluster.set_node_cpus(two, -9) == -1
    assert {job() for job in [cluster.submit(0) for _ in range(6)]} == {"one"}
    waiting = other.submit(0)
    assert not waiting.finish.wait(0.3)
    assert cluster.set_node_cpus(two, 9) == 2 and waiting() == "two"
    # What runs where.
    job = cluster.submit_node(two, 30)
    while job.status != dispy.DispyJob.Running:
        cluster.submit(0)()
    assert cluster.node_jobs(two) == cluster.node_jobs(two, from_node=True) == [job] and cluster.node_jobs(one) == []
    # Left, with what ran there and what waited there.
    queued = [cluster.submit_node(two, 30) for _ in range(3)]
    assert cluster.close_node(two, terminate_pending=True) == 0
    for each in (job, *queued):
        each()
        assert each.status == dispy.DispyJob.Cancelled, each
    try:
        cluster.submit_node(two, 0)
    except LookupError as error:
        print(error)
    rest = [cluster.submit(0) for _ in range(6)]
    assert {job() for job in rest} == {"one"}, [(job, job(), job.exception, job.reason) for job in rest]
    assert other.submit(0)() == "two"
    # And back; the other one is spared.
    assert cluster.allocate_node((two.split(":")[0], int(two.split(":")[1]), 1)) == 0
    assert cluster.deallocate_node(one) == 0
    assert {job() for job in [cluster.submit(0) for _ in range(6)]} == {"two"}
    assert [node.cpus for node in cluster.status().nodes if node.name == "two"] == [1]
    assert cluster.close_node("nowhere.invalid") == -1
    cluster.close(), other.close()
    print("under control")
"""

LOST = """
import os, sys, threading
import dispytw as dispy

def compute(pid):
    import time
    if pid > 0:
        os.kill(pid, 9)
    if pid:
        time.sleep(60)
    return dispy_node_name

def heard(status, node, job):
    if job is None and status == dispy.DispyNode.Closed:
        closed.append(node.name)

closed = []

if __name__ == "__main__":
    one, two, pid = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[one, two], reentrant=True, pulse_interval=0.5, cluster_status=heard)
    assert cluster.submit_node(two, 0)() == "two"
    jobs = [cluster.submit_node(one, int(pid)), *[cluster.submit_node(one, -1) for _ in range(3)]]
    for job in jobs:
        job()
    assert [job.status for job in jobs] == [dispy.DispyJob.Cancelled] * 4, jobs
    print(jobs[0].exception, jobs[0].reason, jobs[-1].reason, sep="; ")
    assert cluster.submit(0)() == "two"
    assert closed == ["one"], closed
    cluster.close(terminate=True)
"""


class Nodes(SynchronousTestCase):
    """Two nodes of two CPUs each, on one address. What outlives a killed one ends soon."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.one, self.two = (self.daemons.node("--cpus", "2", "--lease", "0.001", "--name", name) for name in ("one", "two"))

    def run_program(self, source: str, *arguments: str) -> str:
        done = self.daemons.program(source, self.one.address, self.two.address, *arguments)
        self.assertEqual(0, done.code, done)
        return done.out

    def test_placing(self) -> None:
        """submit_node from cluster_status, as in dispy's job_scheduler; entries of every kind; all events, once and in order."""
        out = self.run_program(PLACING)
        first, second = sorted((self.one.address, self.two.address))
        self.assertIn(f"AmbiguousNodeError submit_node: node: '127.0.0.1' may be any of '{first}', '{second}'; say which", out)
        self.assertIn("UnknownNodeError submit_node: node: the cluster knows no node 'elsewhere.invalid'; known: 127.0.0.1:", out)
        self.assertIn("TypeError submit_node: node must be a DispyNode, an IP address, a host name or 'host:port', not 5", out)
        self.assertIn("placed True", out)

    def test_own(self) -> None:
        """allocate knows how busy the node is and where it runs; what it sets goes to that node, at each setup."""
        table = self.daemons.file("table.txt", "1 2 3")
        left = self.daemons.file("left/before", "").parent
        self.assertIn("each its own", self.run_program(OWN, str(table), str(left)))
        self.one.stop(), self.two.stop()
        self.assertEqual({"before": "", "one": "2", "two": (left / "two").read_text()}, {path.name: path.read_text() for path in left.iterdir()})

    def test_control(self) -> None:
        """CPUs over all clusters, what runs where, nodes that are left and taken back."""
        out = self.run_program(CONTROL)
        self.assertRegex(out, r"does not use node 127.0.0.1:\d+ \(two\): it was closed")
        self.assertIn("under control", out)

    def test_lost(self) -> None:
        """A node dies: what is for it alone runs nowhere else, reentrant or not; what runs there, and what waits, is Cancelled."""
        out = self.run_program(LOST, str(self.one.pid))
        self.assertRegex(out, r"Cancelled; attempt 1 on one: one did not answer for \d+ s; (attempt 1 on one: )?one did not")
