"""Jobs that speak while they run, through a real daemon: provisional results, files, output that is followed, and what they know."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons
from tests.functional.telling import Gate, TellingProgram

EVERY_PYTHON = False

SPEAKS = """
import os, sys, threading
import dispytw as dispy

def compute(isolation):
    node, address, path = dispy_node_name, dispy_node_ip_addr, dispy_job_path
    heard = [dispy_provisional_result((isolation, n)) for n in range(20)]
    heard.append(dispy_provisional_result(b"x" * (1 << 20)))
    os.makedirs("out", exist_ok=True)
    with open(f"out/{isolation}.dat", "w") as file:
        file.write(isolation * 1000)
    sent = [dispy_send_file(f"out/{isolation}.dat"), dispy_send_file("missing"), dispy_send_file(os.path.join(path, "out", isolation + ".dat"))]
    with open("large.dat", "wb") as file:
        file.write(bytes((10 << 20) + 1))
    sent.append(dispy_send_file("large.dat"))
    dispynode_logger.warning("said by %s", isolation)
    return heard, sent, (node, address, os.path.isdir(path), glob.__name__, hashlib.__name__)

def called(job):
    said.append((job.id, job.status, len(job.result) if job.status == dispy.DispyJob.ProvisionalResult else None, job))

def status(status, node, job):
    if job is not None:
        statuses.append((status, node and node.name, len(said)))

if __name__ == "__main__":
    for isolation in ("job", "worker"):
        said, statuses = [], []
        with dispy.JobCluster(compute, nodes=sys.argv[1:], callback=called, cluster_status=status, isolation=isolation) as cluster:
            job = cluster.submit(isolation)
            cluster.wait()
        assert job.status == dispy.DispyJob.Finished, job.exception
        heard, sent, names = job.result
        assert heard == [0] * 21, heard
        assert sent == [0, -1, 0, -1], (sent, job.stderr)
        assert names == ("speaker", "127.0.0.1", True, "glob", "hashlib"), names
        assert "dispy_send_file('missing'): " in job.stderr and "No such file" in job.stderr, job.stderr
        assert "10485761 bytes, more than the 10485760" in job.stderr, job.stderr
        assert [each[1] for each in said] == [7] * 21 + [dispy.DispyJob.Finished]
        assert [each[2] for each in said] == [2] * 20 + [1 << 20, None]
        told = [(7, "speaker", n) for n in range(1, 22)] + [(dispy.DispyJob.Finished, "speaker", 22)]
        assert statuses == [(dispy.DispyJob.Created, None, 0), (dispy.DispyJob.Running, "speaker", 0), *told], statuses
        assert all(each[3] == job and hash(each[3]) == hash(job) and each[3] in [job] for each in said)
        with open(f"out/{isolation}.dat") as file:
            assert file.read() == isolation * 1000
    assert sorted(os.listdir("out")) == ["job.dat", "worker.dat"]
    assert not os.path.exists("large.dat") and not [name for name in os.listdir(".") if name.endswith(".part")]
"""

FOLLOWS = """
import sys
import dispytw as dispy

def compute(gate):
    import fcntl, os
    os.write(1, "first ä".encode()[:-1])
    print("second", file=sys.stderr, flush=True)
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    os.write(1, "ä".encode()[-1:])
    print(" third")

def followed(job, text, is_stderr):
    told.append((job.id, is_stderr, text))

if __name__ == "__main__":
    import fcntl, os
    told = []
    for isolation in ("job", "worker"):
        with open("gate", "w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            with dispy.JobCluster(compute, nodes=sys.argv[1:], isolation=isolation, stream=followed) as cluster:
                job = cluster.submit(os.path.abspath("gate"))
                stream = job.stream()
                text = ""
                while "first" not in text or "second" not in text:
                    text += next(stream)
                assert job.status == dispy.DispyJob.Running
                fcntl.flock(gate, fcntl.LOCK_UN)
                text += "".join(stream)
                assert sorted(text) == sorted("first ä third\\nsecond\\n"), text
                cluster.wait()
                assert job.stdout == "first ä third\\n" and job.stderr == "second\\n", (job.stdout, job.stderr)
                assert "".join(job.stream()) == job.stdout + job.stderr
                assert "".join(text for _, err, text in told if not err) == job.stdout, told
                assert "".join(text for _, err, text in told if err) == job.stderr, told
                told.clear()
"""


LARGE = """
import sys
import dispytw as dispy

def compute(size):
    return dispy_provisional_result(bytes(range(256)) * (size >> 8))

if __name__ == "__main__":
    with dispy.JobCluster(compute, nodes=sys.argv[1:]) as cluster:
        job = cluster.submit(64 << 20)
        assert job(clear=True) == bytes(range(256)) * (1 << 18), job.status
        assert job(clear=True) == 0, job.stderr
"""

FLOODS = """
import sys, threading
import dispytw as dispy

def flood(count):
    # The answer to one for which there is room is only a matter of time; that to any other never comes.
    return [dispy_provisional_result(n, timeout=None if n < 100 else 0.1) for n in range(count)]

def called(job):
    status, result = job.status, job.result
    over.wait()
    if status == dispy.DispyJob.ProvisionalResult:
        said.append(result)

if __name__ == "__main__":
    said, over = [], threading.Event()
    with dispy.JobCluster(flood, nodes=sys.argv[1:], callback=called) as cluster:
        job = cluster.submit(110)
        while job.status != dispy.DispyJob.Finished:
            job(clear=True)
        over.set()
        cluster.wait()
    heard = job.result.count(0)
    assert heard == 100, job.result
    assert said[:100] == list(range(100)) and len(said) <= 102, said
"""

ADOPTED = """
import dispytw as dispy
from dispytw.client import dialer

def compute(gate):
    import fcntl
    first = dispy_provisional_result("first")
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return first, dispy_provisional_result("second", timeout=None), dispy_send_file("missing")

if __name__ == "__main__":
    address, gate = sys.argv[1:]
    dialer.LONGEST = 0.1
    said = []
    cluster = dispy.JobCluster(compute, nodes=[address], callback=lambda job: said.append(job.result))
    job = cluster.submit(gate)
    assert job(clear=True) == "first"
    print("said", file=sys.stderr, flush=True)
    assert job(clear=True) == "second"
    while job.status != dispy.DispyJob.Finished:
        job.finish.wait()
    cluster.wait()
    assert said == ["first", "second", (0, 0, -1)], said
    cluster.close()
"""


class SpeakingTests(SynchronousTestCase):
    """A node of two slots, and a program in the test's directory."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node = self.daemons.node("--cpus", "2", "--name", "speaker")

    def test_jobs_speak(self) -> None:
        """Provisional results and files arrive, in both isolations; what cannot be sent is -1, and stderr says why; the node logs lines."""
        done = self.daemons.program(SPEAKS, self.node.address)
        self.assertEqual(0, done.code, done)
        for isolation in ("job", "worker"):
            self.assertRegex(self.node.log(), rf"job [0-9a-f]{{8}}/1 of compute \(computation [0-9a-f]{{8}}\): said by {isolation}")
        self.assertEqual([], [name for name in os.listdir(self.node.state_dir / "spool") if "said" in name])

    def test_a_large_result(self) -> None:
        """64 MiB arrive as they were, and the job may go on when they have."""
        done = self.daemons.program(LARGE, self.node.address)
        self.assertEqual(0, done.code, done)

    def test_a_flood(self) -> None:
        """When the program does not keep up, its job gets -1: no more than a hundred results wait there, and each of those is told."""
        done = self.daemons.program(FLOODS, self.node.address)
        self.assertEqual(0, done.code, done)

    def test_a_daemon_is_killed(self) -> None:
        """What a job says after that arrives by way of the next daemon; also what it says while there is none."""
        gate = Gate(self, self.daemons.root / "gate")
        program = TellingProgram(self.daemons, ADOPTED, self.node.address, gate.path)
        program.hear("said")
        self.node.kill()
        gate.open()
        self.daemons.node("--cpus", "2", port=self.node.port, state_dir=self.node.state_dir)
        done = program.wait()
        self.assertEqual(0, done.code, done)

    def test_output_is_followed(self) -> None:
        """What a running job writes is there while it runs, in both isolations; in the end it is the same as its stdout and stderr."""
        done = self.daemons.program(FOLLOWS, self.node.address)
        self.assertEqual(0, done.code, done)
