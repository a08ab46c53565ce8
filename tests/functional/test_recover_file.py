"""The recover file of a program that is not killed: when it is there, when it goes, and what happens when it cannot be written."""

from __future__ import annotations

import os
import unittest

from tests.functional.daemons import Daemons, in_common
from tests.functional.telling import Gate, TellingProgram

EVERY_PYTHON = False

#: The program may write no file beyond so many bytes, until it hears that it may: a full disk for its recover file alone.
FULL = """
import resource
import dispytw as dispy

def compute(n):
    return n

def called(job):
    print(job.result, flush=True)

cluster = dispy.JobCluster(compute, nodes=[sys.argv[1]], callback=called, recover_file=sys.argv[2])
first = cluster.submit(0)
cluster.wait()
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[2]) + 20, limit[1]))
jobs = [cluster.submit(n) for n in range(1, 5)]
jobs[0].id = "set while there is no room"
print("waited:", cluster.wait(1.0), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
os.write(2, b"room\\n")
cluster.wait()
"""

FAILS = """
import dispytw as dispy
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

def compute(n):
    return n * n

def fails(cluster):
    jobs = [cluster.submit(n) for n in range(4)]
    print(jobs[0](), flush=True)
    raise ValueError("no more")

cluster = dispy.JobCluster(compute, nodes=[sys.argv[1]])
if sys.argv[2] == "with":
    with cluster:
        fails(cluster)
elif sys.argv[2] == "caught":
    try:
        with cluster:
            fails(cluster)
    except ValueError:
        pass
else:
    fails(cluster)
"""

RECOVERS = """
import dispytw
for job in dispytw.recover_jobs():
    print(job.id, job.result)
"""

RUNS = """
import dispytw as dispy

def compute(gate):
    import fcntl
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)

clusters = [dispy.JobCluster(compute, nodes=[sys.argv[1]], recover=recover) for recover in (True, False)]
clusters[0].submit(sys.argv[2])
os.write(2, b"submitted\\n")
"""


class RecoverFile(unittest.TestCase):
    """Real programs with one node."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def files(self) -> list[str]:
        """Recover files in the programs' directory."""
        return [name for name in os.listdir(self.daemons.root) if name.startswith(("_dispy_", "rec"))]

    def test_a_clean_end(self) -> None:
        """The file is there while the program runs, refused to others, and gone at its end; recover=False makes none."""
        gate = Gate(self, self.daemons.root / "gate")
        program = TellingProgram(self.daemons, RUNS, self.node.address, gate.path)
        program.hear("submitted")
        (name,) = self.files()
        self.assertRegex(name, r"^_dispy_\d{14}$")
        refused = self.daemons.program(RECOVERS)
        self.assertIn("1 belong to programs that still run", refused.err)
        gate.open()
        done = program.wait()
        self.assertEqual((0, []), (done.code, self.files()), done)

    def test_a_program_that_fails(self) -> None:
        """An exception that nobody catches leaves results that nobody has read, and a line that says where they are."""
        self.assert_left("plain")

    def test_a_with_block_that_fails(self) -> None:
        """The same from within a ``with``, though that closes the cluster; unless the program goes on and ends well."""
        self.assert_left("with")
        in_common().settle()
        done = TellingProgram(self.daemons, FAILS, self.node.address, "caught").wait()
        self.assertEqual((0, "0\n", [], ""), (done.code, done.out, self.files(), done.err), done)

    def assert_left(self, how: str) -> None:
        """Its results, and nothing else."""
        done = TellingProgram(self.daemons, FAILS, self.node.address, how).wait()
        (name,) = self.files()
        self.assertEqual((1, "0\n"), (done.code, done.out), done)
        self.assertRegex(done.err, rf"ValueError: no more\ndispytw: 3 results were not read: dispytw.recover_jobs\('/.*/{name}'\) has them\n\Z")
        recovered = self.daemons.program(RECOVERS)
        self.assertEqual((0, "2 1\n3 4\n4 9\n"), (recovered.code, recovered.out), recovered)
        self.assertEqual([], self.files())

    def test_no_room(self) -> None:
        """No job leaves while the file cannot be written, which is said once; when it can, all run."""
        program = TellingProgram(self.daemons, FULL, self.node.address, self.daemons.root / "rec")
        program.hear("room")
        done = program.wait()
        self.assertEqual((0, []), (done.code, self.files()), done)
        first, waited, *others = done.out.splitlines()
        self.assertEqual(("0", "waited: False", ["1", "2", "3", "4"]), (first, waited, sorted(others)), done)
        self.assertEqual(1, done.err.count("cannot be written: File too large; until it can, no more jobs leave"), done)
