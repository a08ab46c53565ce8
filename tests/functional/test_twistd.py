"""The node as an administrator runs it: by its own command, by twistd in the foreground, and by twistd in the background."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys

import psutil
from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import NODE, Daemons, RunningNode
from tests.functional.telling import Gate, TellingProgram

#: What the `twistd` script does.
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
FOREGROUND = (*TWISTD, "-n", "dispynode")
BACKGROUND = (*TWISTD, "dispynode")

ONE_JOB = """
import sys
import dispytw as dispy
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

def compute(n):
    return n * n

if __name__ == "__main__":
    with dispy.JobCluster(compute, nodes=sys.argv[1:]) as cluster:
        print(cluster.submit(7)())
"""

ALL_AT_ONCE = """
import dispytw as dispy

def compute(n, fifo, gate):
    import fcntl
    with open(fifo, "w") as there:
        there.write("*")
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return n

if __name__ == "__main__":
    address, jobs, fifo, gate = sys.argv[1:]
    with dispy.JobCluster(compute, nodes=[address]) as cluster:
        jobs = [cluster.submit(n, fifo, gate) for n in range(int(jobs))]
        print(sum(job() for job in jobs))
"""

SLEEPERS = """
import time
import dispytw as dispy

def compute():
    import signal
    signal.pause()

def called(job):
    print("called", job.id, job.status == dispy.DispyJob.Cancelled, job.exception)

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], callback=called)
    jobs = [cluster.submit() for n in range(3)]
    while jobs[0].status != dispy.DispyJob.Running:
        time.sleep(0.01)
    print("running", file=sys.stderr, flush=True)
    assert jobs[0]() is None
    assert jobs[1].status == jobs[2].status == dispy.DispyJob.Created
    print("lost" if jobs[0].reason else "no reason", file=sys.stderr, flush=True)
    cluster.close(terminate=True)
    print(jobs[0].reason)
"""


class Background:
    """A process that is no child of ours, by a descriptor, as its id may be another's when it has ended.

    :param pid: its process id; it must live.
    """

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def send_signal(self, number: int) -> None:
        """Sends a signal; nothing when it has ended."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            pass

    def wait(self) -> None:
        """Waits for its end."""
        select.select([self._descriptor], [], [])

    def close(self) -> None:
        """Ends it, if it still lives."""
        self.send_signal(signal.SIGKILL)
        os.close(self._descriptor)


class RunningTests(SynchronousTestCase):
    """Nodes that run jobs, and end."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def assert_runs_a_job(self, node: RunningNode) -> None:
        done = self.daemons.program(ONE_JOB, node.address)
        self.assertEqual((0, "49\n", ""), (done.code, done.out, done.err), done)

    def assert_nothing_left(self, node: RunningNode) -> None:
        """No process, no socket, no pid file; what the node has to remember is there."""
        self.assertEqual([], self.daemons.marked())
        with socket.socket() as caller:
            self.assertRaises(ConnectionRefusedError, caller.connect, (node.host, node.port))
        self.assertEqual([], os.listdir(node.state_dir / "run"))
        self.assertFalse((self.daemons.root / "twistd.pid").exists())
        self.assertTrue((node.state_dir / "uid").exists())

    def test_dispynode(self) -> None:
        """`dispynode` runs a job, and ends on SIGTERM with exit status 0 and nothing left."""
        node = self.daemons.node(command=NODE)
        self.assert_runs_a_job(node)
        self.assertEqual(0, node.stop(), node.log())
        self.assert_nothing_left(node)

    def test_twistd_in_the_foreground(self) -> None:
        """`twistd -n dispynode` does, too, but for the exit status, which is twistd's for an end by SIGTERM."""
        node = self.daemons.node(command=FOREGROUND)
        self.assert_runs_a_job(node)
        self.assertEqual(-signal.SIGTERM, node.stop(), node.log())
        self.assertIn("Server Shut Down", node.log())
        self.assert_nothing_left(node)

    def test_twistd_in_the_background(self) -> None:
        """`twistd dispynode` returns while the node runs; SIGTERM to what its pid file names ends that; its log stays."""
        node = self.daemons.node(command=BACKGROUND)
        self.assertEqual(0, node.process.wait(), node.log())
        pid = int((self.daemons.root / "twistd.pid").read_text())
        process = Background(pid)
        self.addCleanup(process.close)
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
        self.assert_runs_a_job(node)
        process.send_signal(signal.SIGTERM)
        process.wait()
        self.assert_nothing_left(node)
        self.assertEqual("", node.log())
        log = (self.daemons.root / "twistd.log").read_text()
        self.assertIn(f"slots at {node.address}", log)
        self.assertIn("Server Shut Down", log)
        self.assertNotIn("Traceback", log)

    def test_more_slots_than_cores(self) -> None:
        """`--cpus` above the number of cores is obeyed: so many jobs run at once."""
        slots = (os.cpu_count() or 1) + 3
        node = self.daemons.node("--cpus", str(slots))
        gate, fifo = Gate(self, self.daemons.root / "gate"), self.daemons.root / "fifo"
        os.mkfifo(fifo)
        program = TellingProgram(self.daemons, ALL_AT_ONCE, node.address, str(slots), fifo, gate.path)
        with open(os.open(fifo, os.O_RDWR), "rb", buffering=0) as there:  # so that none of them ever finds it without a reader
            said = 0
            while said < slots:
                said += len(there.read(slots))
        gate.open()
        done = program.wait()
        self.assertEqual((0, f"{sum(range(slots))}\n"), (done.code, done.out), done)

    def test_end_with_a_running_job(self) -> None:
        """SIGTERM while a job runs: it ends Cancelled, once, and says why; jobs that were not sent wait for a node."""
        node = self.daemons.node("--cpus", "1")
        program = TellingProgram(self.daemons, SLEEPERS, node.address)
        program.hear("running")
        self.assertEqual(0, node.stop(), node.log())
        program.hear("lost")
        done = program.wait()
        self.assertEqual(0, done.code, done)
        called = sorted(line for line in done.out.splitlines() if line.startswith("called"))
        self.assertEqual([f"called {n} True {'Cancelled' if n == 1 else None}" for n in (1, 2, 3)], called)
        self.assertIn("attempt 1 on", done.out)
        self.assert_nothing_left(node)


class TakenPortTests(SynchronousTestCase):
    """A port that somebody else has: said, with exit status 1, and no traceback."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.port = self.listening.getsockname()[1]

    def said(self, command: tuple[str, ...]) -> str:
        """What the command writes to standard error and to its log, where that is standard output."""
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--state-dir", str(self.daemons.root / "state")]
        done = self.daemons.run([*command, *options])
        self.assertEqual(1, done.code, done)
        psutil.wait_procs(self.daemons.marked(), timeout=5)  # twistd ends before what it has in the background does
        self.assertEqual([], self.daemons.marked())
        self.assertFalse((self.daemons.root / "twistd.pid").exists())
        self.assertEqual([], os.listdir(self.daemons.root / "state/run"))
        self.assertNotIn("Traceback", done.out + done.err)
        return done.err + done.out

    def test_dispynode(self) -> None:
        """`dispynode` says it in one line."""
        said = self.said(NODE)
        self.assertEqual(1, said.count("\n"), said)
        self.assertRegex(said, rf"\Adispynode: port {self.port} on 127\.0\.0\.1 is taken: .*Address already in use\n\Z")

    def test_twistd_in_the_foreground(self) -> None:
        """`twistd -n dispynode` says it in one line of its log."""
        said = self.said(FOREGROUND)
        lines = [line for line in said.splitlines() if "twistd_unix" not in line]
        self.assertEqual(1, len(lines), said)
        self.assertRegex(lines[0], rf"port {self.port} on 127\.0\.0\.1 is taken: .*Address already in use")

    def test_twistd_in_the_background(self) -> None:
        """`twistd dispynode` says it in the two lines that twistd has for what happens in the background, the port in the first."""
        said = self.said(BACKGROUND)
        first, second = said.splitlines()
        self.assertIn(f"port {self.port} on 127.0.0.1 is taken", first)
        self.assertIn("log file", second)
        self.assertIn(f"port {self.port} on 127.0.0.1 is taken", (self.daemons.root / "twistd.log").read_text())


class StateDirTests(SynchronousTestCase):
    """A state directory that another node holds."""

    def test_taken(self) -> None:
        """It is said in one line, with the holder's process id and exit status 1."""
        daemons = Daemons(self)
        node = daemons.node()
        done = daemons.run([*NODE, "--port", "0", "--state-dir", str(node.state_dir)])
        self.assertEqual((1, ""), (done.code, done.out), done)
        self.assertRegex(done.err, rf"\Adispynode: state directory \S+ is in use by the node with process id {node.pid}; [^\n]*\n\Z")
