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
        """A second cluster with the same files and dest_path sends none of them, also after the node was restarted; the last one cleans up."""
        (small, where, marks, large), sent = self.run_cluster("False", "/shared/data")
        self.assertEqual(("5", "1000000", "s"), (small, large, marks))
        self.assertGreater(sent, 1_000_000)
        port, state_dir = self.node.port, self.node.state_dir
        self.assertEqual(0, self.node.stop(), self.node.log())
        self.node = self.daemons.node("--cpus", "2", port=port, state_dir=state_dir)
        (_, again, marks, _), sent = self.run_cluster("False", "shared/data")
        self.assertEqual((where, "ss"), (again, marks))
        self.assertLess(sent, 50_000)
        (_, _, marks, _), sent = self.run_cluster("mark", "shared/data")
        self.assertEqual("sss", marks)
        self.assertLess(sent, 50_000)
        self.assertEqual([], self.left())

    def test_files_that_go(self) -> None:
        """By default each cluster has a directory of its own, and close leaves nothing; with cleanup=False it is left."""
        (_, first, _, _), _ = self.run_cluster("True", "")
        self.assertFalse(os.path.exists(first))
        (_, second, marks, _), sent = self.run_cluster("False", "")
        self.assertNotEqual(first, second)
        self.assertEqual("s", marks)
        self.assertGreater(sent, 1_000_000)
        self.assertEqual({"large", "marks", "tree"}, set(os.listdir(second)))
        left = self.left()
        self.assertEqual([], [name for name in left if name.startswith(("work", "store", "inbox", "spool", "run"))])
        self.assertIn(os.path.relpath(second, self.node.state_dir), left)
