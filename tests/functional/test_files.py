"""Files of every kind on their way to real nodes, and what is left of them."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.counting import CountingDoor
from tests.functional.daemons import Daemons

SENDING = """
import os, sys
import dispytw as dispy

def compute(path):
    with open(path) as file:
        return file.read()

if __name__ == "__main__":
    os.makedirs("sub", exist_ok=True)
    for isolation in ("job", "worker"):
        cluster = dispy.JobCluster(compute, nodes=sys.argv[1:], isolation=isolation)
        for content in ("first", "second"):
            with open("sub/sent.txt", "w") as file:
                file.write(content)
            assert cluster.send_file("sub/sent.txt", sys.argv[1].split(":")[0]) == 0
            assert cluster.submit("sub/sent.txt")() == content
        node = cluster.status().nodes[0]
        assert cluster.send_file(os.path.abspath("sub/sent.txt"), node) == 0
        assert cluster.send_file(dispy.__file__, node, relay=True) == 0
        assert "dispytw" in cluster.submit("__init__.py")()
        os.makedirs("sub/sent.txt.d", exist_ok=True)
        with open("sub/sent.txt.d/inside", "w") as file:
            file.write("inside")
        assert cluster.send_file("sub/sent.txt.d/inside", node) == 0
        os.rename("sub/sent.txt.d", "sub/moved")
        with open("sub/sent.txt.d", "w") as file:
            file.write("a file where the node has a directory")
        assert cluster.send_file("sub/sent.txt.d", node) == -1
        os.remove("sub/sent.txt.d")
        os.rename("sub/moved", "sub/sent.txt.d")
        cluster.close()
"""

NAMED = """
import functools, os, sys
import dispytw as dispy

def mark(what):
    with open("marks", "a") as file:
        file.write(what)
    return 0

def compute(path):
    with open(path, "rb") as file:
        size = len(file.read())
    return size, os.getcwd(), os.path.exists("marks") and open("marks").read()

if __name__ == "__main__":
    address, cleanup, dest_path = sys.argv[1:]
    cleanup = {"True": True, "False": False, "mark": functools.partial(mark, "c")}[cleanup]
    cluster = dispy.JobCluster(compute, nodes=[address], depends=["tree", "large"], dest_path=dest_path or None,
                               setup=functools.partial(mark, "s"), cleanup=cleanup)
    print(*cluster.submit("tree/deep/small")(), cluster.submit("large")()[0])
    cluster.close()
"""


JOBS = """
import os, sys, time
import dispytw as dispy

def step():
    return "the cluster's"

class Bag:
    pass

def compute(n, **more):
    assert not more, more
    found = open("input.txt").read()
    own = os.getcwd()
    assert own == dispy_job_path
    with open("made by job", "w") as file:
        file.write(str(n))
    if n == 5:
        import extra
        return extra.WORD
    if n == 7:
        os.kill(os.getpid(), 9)
    return n, found, open("common.txt").read(), open("sub/deep.txt").read(), step(), sorted(os.listdir("."))

def plain():
    return step(), sorted(os.listdir(".")), os.getcwd(), "extra" in sys.modules

if __name__ == "__main__":
    address, isolation = sys.argv[1:]
    def made(word):
        def step():
            return word
        return step
    names = {}
    def write(name, text):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w") as file:
            file.write(text)
        return name
    write("common.txt", "common")
    write("sub/deep.txt", "deep")
    write("sub/cluster.txt", "cluster")
    cluster = dispy.JobCluster(compute, nodes=[address], depends=["common.txt", "sub"], isolation=isolation, cleanup=False)
    other = dispy.JobCluster(plain, nodes=[address], depends=["common.txt"], isolation=isolation)
    jobs = []
    for n in range(4):  # one path, another content each time
        exec(f"def step():\\n    return {n}", names)
        depends = [write("input.txt", f"content {n}"), write("sub/own.txt", "own"), names["step"]]
        jobs.append(cluster.submit(n, dispy_job_depends=depends))
    inside = ["common.txt", "input.txt", "made by job", "sub"]
    for n, job in enumerate(jobs):
        assert job() == (n, f"content {n}", "common", "deep", n, inside), (job.result, job.exception)
    write("extra.py", "WORD = 'extra'")
    sys.path.insert(0, os.getcwd())
    import extra
    assert cluster.submit(5, dispy_job_depends=["input.txt", extra])() == "extra"
    killed = cluster.submit(7, dispy_job_depends=["input.txt"])
    assert killed() is None and "SIGKILL" in killed.exception, killed.exception
    lacking = cluster.submit(8)
    assert lacking() is None and "input.txt" in lacking.exception, lacking.exception
    own, seen, where, loaded = other.submit(dispy_job_depends=[])()
    assert (own, seen, loaded) == ("the cluster's", ["common.txt"], False), (own, seen, loaded)
    assert other.submit()()[0] == "the cluster's"
    for depends, error in ((["no-such-file"], FileNotFoundError), ("input.txt", TypeError), ([3], TypeError)):
        try:
            cluster.submit(1, dispy_job_depends=depends)
        except error as refused:
            assert "dispy_job_depends" in str(refused), refused
        else:
            raise AssertionError(depends)
    write("large", "x" * 2_000_000)
    held = [cluster.submit(n, dispy_job_depends=["input.txt", "large"]) for n in range(2)]
    for job in held:
        assert job()[1] == "content 3", job.exception
    cluster.close()
    other.close()
"""

TOGETHER = """
import os, sys
import dispytw as dispy

def word():
    return "the cluster's"

def helper():
    return "the node's"

def setup(*words):
    global prepared
    prepared = words
    return 0

def compute(n, tried=None):
    with open("input.txt") as mine:
        found = mine.read()
    if tried and not os.path.exists(tried):
        open(tried, "w").close()
        raise ValueError("the first time")
    there = globals().get("helper")
    return found, word(), prepared, there and there(), sorted(os.listdir("."))

def own(n):
    names = {}
    exec(f"def word():\\n    return 'job {n}'", names)
    with open("input.txt", "w") as file:
        file.write(f"input {n}")
    return ["input.txt", names["word"]]

if __name__ == "__main__":
    address, isolation = sys.argv[1:]
    for name in ("table.txt", "later.txt"):
        with open(name, "w") as file:
            file.write(name)
    node = dispy.NodeAllocate(address, depends=["table.txt", helper], setup_args=("a", 1))
    cluster = dispy.JobCluster(compute, nodes=[node], depends=[word], setup=setup, dest_path="shared", isolation=isolation)
    hurried = cluster.options(timeout=20)
    ways = [
        cluster.submit,
        lambda *args, **kwargs: cluster.submit_node(address, *args, **kwargs),
        lambda *args, **kwargs: cluster.submit_job_id("id", *args, **kwargs),
        lambda *args, **kwargs: cluster.submit_job_id_node("id", address, *args, **kwargs),
        hurried.submit,
        lambda *args, **kwargs: hurried.submit_node(address, *args, **kwargs),
    ]
    jobs = [submit(n, dispy_job_depends=own(n)) for n, submit in enumerate(ways)]
    for n, job in enumerate(jobs):
        assert job() == (f"input {n}", f"job {n}", ("a", 1), "the node's", ["input.txt", "table.txt"]), (n, job.result, job.exception)
    again = cluster.options(retries=2, backoff=0.1).submit(9, os.path.abspath("tried"), dispy_job_depends=own(9))
    assert again()[:2] == ("input 9", "job 9") and again.attempts == 2, (again.result, again.exception, again.attempts)

    # What was sent is there when the node has been set up anew, beside what its NodeAllocate adds.
    assert cluster.send_file("later.txt", address) == 0
    cluster.resetup_node(address)
    renewed = cluster.submit_node(address, 10, dispy_job_depends=own(10))
    assert renewed()[4] == ["input.txt", "later.txt", "table.txt"], (renewed.result, renewed.exception)
    cluster.close_node(address)
    while cluster.send_file("later.txt", address) == 0:
        pass
    assert cluster.send_file("later.txt", "192.0.2.1") == -1
    cluster.close()
"""

TOOL = """#!/bin/sh
cat input.txt common.txt
echo
pwd
echo $dispy_job_path
"""

PROGRAM = """
import sys
import dispytw as dispy

if __name__ == "__main__":
    cluster = dispy.JobCluster("tool.sh", nodes=sys.argv[1:], depends=["common.txt"])
    jobs = []
    for n in range(2):
        with open("input.txt", "w") as file:
            file.write(f"{n}")
        jobs.append(cluster.submit(dispy_job_depends=["input.txt"]))
    for n, job in enumerate(jobs):
        assert job() == 0, (job.result, job.stderr, job.exception)
        text, where, path = job.stdout.decode().split()
        assert text == f"{n}common" and where == path, job.stdout
    cluster.close()
"""


class FilesCase(SynchronousTestCase):
    """A node of two slots."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node = self.daemons.node("--cpus", "2")

    def left(self) -> list[str]:
        """What there is on the node, in all places where files of programs may be; the node is ended for that."""
        self.assertEqual(0, self.node.stop(), self.node.log())
        places = [self.node.state_dir / name for name in ("work", "dest", "store", "kept", "inbox", "spool", "run")]
        return sorted(str(each.relative_to(self.node.state_dir)) for place in places for each in place.rglob("*"))


class Sending(FilesCase):
    """cluster.send_file."""

    def test_send_file(self) -> None:
        """The file is where it belongs when 0 is returned, and a later one replaces it; -1 comes with a line. Nothing is left behind."""
        done = self.daemons.program(SENDING, self.node.address)
        self.assertEqual(0, done.code, done)
        self.assertEqual(2, done.err.count("'sub/sent.txt.d' is not on node 127.0.0.1:"), done)
        self.assertEqual([], self.left())


class Named(FilesCase):
    """dest_path and cleanup."""

    def setUp(self) -> None:
        super().setUp()
        self.door = CountingDoor(self, self.node.port)
        self.daemons.file("tree/deep/small", "12345")
        self.daemons.file("large", os.urandom(1_000_000))

    def run_cluster(self, cleanup: str, dest_path: str) -> tuple[list[str], int]:
        """What its jobs saw, and how many bytes went to the node."""
        before = self.door.to_node
        done = self.daemons.program(NAMED, f"127.0.0.1:{self.door.port}", cleanup, dest_path)
        self.assertEqual(0, done.code, done)
        return done.out.split(), self.door.to_node - before

    def test_files_that_stay(self) -> None:
        """A second cluster with the same files and dest_path sends none of them; it cleans up."""
        (small, where, marks, large), sent = self.run_cluster("False", "/shared/data")
        self.assertEqual(("5", "1000000", "s"), (small, large, marks))
        self.assertGreater(sent, 1_000_000)
        (_, again, marks, _), sent = self.run_cluster("mark", "shared/data")
        self.assertEqual((where, "ss"), (again, marks))
        self.assertLess(sent, 50_000)
        self.assertEqual([], self.left())

    def test_files_that_go(self) -> None:
        """By default each cluster has a directory of its own, and close leaves nothing; with cleanup=False it is left."""
        (_, first, _, _), _ = self.run_cluster("True", "")
        (_, second, marks, _), sent = self.run_cluster("False", "")
        self.assertNotEqual(first, second)
        self.assertEqual("s", marks)
        self.assertGreater(sent, 1_000_000)
        self.assertEqual({"large", "marks", "tree"}, set(os.listdir(second)))
        left = self.left()
        self.assertFalse(os.path.exists(first))
        self.assertEqual([], [name for name in left if name.startswith(("work", "store", "inbox", "spool", "run"))])
        self.assertIn(os.path.relpath(second, self.node.state_dir), left)


class OfJobs(FilesCase):
    """dispy_job_depends."""

    def jobs(self, isolation: str) -> None:
        """Each job sees its own, and nothing is left of it, though the cluster leaves its files."""
        done = self.daemons.program(JOBS, self.node.address, isolation)
        self.assertEqual(0, done.code, done)
        left = self.left()
        self.assertEqual([], [name for name in left if name.startswith(("work", "store", "inbox", "spool", "run"))])
        named = {os.path.basename(name) for name in left if name.startswith("dest")}
        self.assertEqual({"common.txt", "sub", "deep.txt", "cluster.txt"}, {name for name in named if not name.startswith("@")})

    def test_each_in_a_process_of_its_own(self) -> None:
        """Files, functions and modules that are there for one job only."""
        self.jobs("job")

    def test_one_after_another_in_kept_workers(self) -> None:
        """The next job in the same process finds nothing of the last one's."""
        self.jobs("worker")

    def test_with_all_else(self) -> None:
        """Through every way to submit, with options, on a node that gets more than others, and with what was sent to it before."""
        for isolation in ("job", "worker"):
            done = self.daemons.program(TOGETHER, self.node.address, isolation)
            self.assertEqual(0, done.code, done)
            self.assertRegex(done.err, "'later.txt' is not on node .*it was closed")
            self.assertIn("send_file: node: the cluster knows no node '192.0.2.1'", done.err)
            (self.daemons.root / "tried").unlink()
        self.assertEqual([], self.left())

    def test_programs(self) -> None:
        """They find their files where they run, and in their PATH."""
        self.daemons.file("tool.sh", TOOL, mode=0o755)
        self.daemons.file("common.txt", "common")
        done = self.daemons.program(PROGRAM, self.node.address)
        self.assertEqual(0, done.code, done)
        self.assertEqual([], self.left())
