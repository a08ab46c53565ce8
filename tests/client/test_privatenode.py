"""A private node: it says where it listens, it is its program's alone, and it ends with it."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from dispytw.client import privatenode
from dispytw.client.nodes import Address
from dispytw.client.privatenode import PrivateNode, private_node
from dispytw.wire.credentials import read_secret_file, secret_credential
from tests.client.watching import PATIENCE, WatchedLock
from tests.functional.daemons import Daemons
from tests.worker.driving import word_from

EVERY_PYTHON = True

#: Stands for a node: announces an address, and ends when its standard input is closed.
LISTENS = """
import os, sys
announced = int(sys.argv[sys.argv.index("--announce-fd") + 1])
os.write(announced, b"127.0.0.1 40001\\n")
os.close(announced)
sys.stdin.read()
"""

#: A program with a private node, which it says where to find.
PROGRAM = """
import os, signal, sys
from dispytw.client import privatenode

privatenode.private_node()
node = privatenode._private
print(node._process.pid, node.directory, flush=True)
"""


class StandIn(unittest.TestCase):
    """With a stand-in for dispynode."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        patch = mock.patch("tempfile.tempdir", str(self.daemons.root))
        patch.start()
        self.addCleanup(patch.stop)

    def node(self, source: str = LISTENS) -> PrivateNode:
        """A private node that is this program."""
        with mock.patch.object(PrivateNode, "_command", lambda self, cpus: [sys.executable, "-c", source]):
            node = PrivateNode()
        self.addCleanup(node.end)
        return node

    def left(self) -> list[str]:
        """Directories of private nodes."""
        return [name for name in os.listdir(self.daemons.root) if name.startswith("dispytw-")]

    def test_address(self) -> None:
        """It listens where it says."""
        self.assertEqual(Address("127.0.0.1", 40001), self.node().address)
        self.assertEqual(Address("::1", 40001), self.node(LISTENS.replace("127.0.0.1", "::1")).address)

    def test_what_it_is_told(self) -> None:
        """dispynode is told to listen on loopback at any free port, to show itself to nobody, to end with its standard input, and how many slots to offer."""
        node = self.node()
        command = node._command(3)
        self.assertEqual([sys.executable, "-m", "dispytw.node.tap"], command[:3])
        for words in ("--host 127.0.0.1", "--port 0", "--no-discovery", "--end-with-stdin", "--cpus 3", f"--secret-file {node.secret_file}", node.directory):
            self.assertIn(words, " ".join(command))

    def test_secret(self) -> None:
        """It has a secret of its own, in a file that nobody else may read."""
        node, other = self.node(), self.node()
        self.assertEqual(0o600, stat.S_IMODE(os.stat(node.secret_file).st_mode))
        self.assertEqual(0o700, stat.S_IMODE(os.stat(node.directory).st_mode))
        self.assertEqual(secret_credential(read_secret_file(node.secret_file)), node.credential)
        self.assertNotEqual(node.credential, other.credential)

    def test_session(self) -> None:
        """It is in a session of its own: Ctrl-C reaches the program only."""
        node = self.node()
        self.assertEqual(node._process.pid, os.getsid(node._process.pid))

    def test_end(self) -> None:
        """It ends when it is told to, and leaves nothing; saying it twice changes nothing."""
        node = self.node()
        self.assertIsNone(node._process.poll())
        node.end()
        node.end()
        self.assertEqual((0, []), (node._process.returncode, self.left()))

    def test_does_not_end(self) -> None:
        """One that does not end is killed."""
        node = self.node(LISTENS + "import signal\nwhile True: signal.pause()")
        with mock.patch.object(privatenode, "ENDING", 0.1):
            node.end()
        self.assertEqual((-signal.SIGKILL, []), (node._process.returncode, self.left()))

    def test_does_not_start(self) -> None:
        """One that ends at once is an error that says what it said, and leaves nothing."""
        with self.assertRaisesRegex(RuntimeError, "the private node did not start; it said:\ncannot listen"):
            self.node("import sys; sys.exit('cannot listen')")
        self.assertEqual([], self.left())

    def test_says_nothing(self) -> None:
        """One that never listens is an error too, not a wait for ever."""
        with mock.patch.object(privatenode, "STARTING", 0.3), self.assertRaisesRegex(RuntimeError, "it said:\nthinking\nin vain"):
            self.node("import sys; print('thinking', flush=True); sys.stdin.read(); print('in vain')")
        self.assertEqual([], self.left())

    def test_interrupted(self) -> None:
        """Ctrl-C while it starts leaves nothing, either."""
        with mock.patch("select.select", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.node()
        self.assertEqual([], self.left())

    def test_a_forked_copy(self) -> None:
        """A process forked from the program does not take the node with it when it ends."""
        node = self.node()
        with mock.patch("os.getpid", lambda: node._pid + 1):
            node.end()
        self.assertIsNone(node._process.poll())
        self.assertEqual(1, len(self.left()))


class OnePerProcess(unittest.TestCase):
    """`private_node`."""

    def test_one(self) -> None:
        """However many threads ask, one node is started, and its end is the program's."""
        made: list[Any] = []

        class Node:
            address, credential = Address("127.0.0.1", 40001), "credential"

            def __init__(self) -> None:
                made.append(self)
                lock.wait_for(4 if len(made) == 1 else 0)

            def end(self) -> None:
                """Nothing to end."""

        lock = WatchedLock()
        module = mock.patch.multiple(privatenode, PrivateNode=Node, _private=None, _starting=lock)
        with module, mock.patch("atexit.register") as register, ThreadPoolExecutor(4) as threads:
            asked = list(threads.map(lambda _: private_node(), range(4), timeout=PATIENCE))
        self.assertEqual([(Address("127.0.0.1", 40001), "credential")] * 4, asked)
        self.assertEqual(1, len(made))
        register.assert_called_once_with(made[0].end)


class Programs(unittest.TestCase):
    """With dispynode itself."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.env = {"TMPDIR": str(self.daemons.root)}

    def test_as_long_as_its_program(self) -> None:
        """It listens while the program runs, and when the program has ended it has, too, and its directory is gone."""
        source = PROGRAM + "import socket\nsocket.create_connection((node.address.host, node.address.port)).close()\nprint('listens')"
        done = self.daemons.program(source, env=self.env)
        self.assertEqual((0, "listens"), (done.code, done.out.splitlines()[-1]), done)
        pid, directory = done.out.splitlines()[0].split()
        self.assertFalse(os.path.exists(f"/proc/{pid}") or os.path.exists(directory))

    def test_however_it_ends(self) -> None:
        """A program that is killed takes its node with it, though a process that it has forked lives on."""
        source = PROGRAM + """
if os.fork() == 0:
    with open(sys.argv[1], "w") as said:
        said.write(f"{node._process.pid} {os.getpid()}")
while True:
    signal.pause()
"""
        said = self.daemons.root / "said"
        os.mkfifo(said)
        program = self.daemons.start_program(source, str(said), env=self.env)
        node, forked = map(os.pidfd_open, map(int, word_from(str(said)).split()))
        self.addCleanup(os.close, node)
        self.addCleanup(os.close, forked)
        program.process.kill()
        self.assertTrue(self.ends(node, PATIENCE))
        self.assertFalse(self.ends(forked, 0))
        signal.pidfd_send_signal(forked, signal.SIGKILL)
        self.assertTrue(self.ends(forked, PATIENCE))

    def ends(self, pidfd: int, seconds: float) -> bool:
        """Whether the process ends before the seconds have passed."""
        return bool(select.select([pidfd], [], [], seconds)[0])
