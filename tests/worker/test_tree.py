"""The processes below this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest
from unittest import mock

from dispytw.worker import tree

SLEEP = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
SWEEPS = """
import os, signal, sys, time
from dispytw.worker import tree
tree.adopt_orphans()
heard, said = os.pipe()
def child(depth):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if depth: child(depth - 1)
        else: os.write(said, b".")
        if depth % 2: os._exit(0)
        time.sleep(600)
child(0); spared = tree.children(); os.read(heard, 1)
for depth in (1, 2, 3, 4): child(depth); os.read(heard, 1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
while not tree.sweep(spared): signal.sigwait({signal.SIGCHLD})
assert tree.children() == spared, (tree.children(), spared)
while not tree.sweep(()): signal.sigwait({signal.SIGCHLD})
assert tree.children() == set()
"""


ORPHANS = """
import os, signal, time
from dispytw.worker import tree
tree.adopt_orphans()
heard, said = os.pipe()
parent = os.fork()
if parent == 0:
    die_with_parent = tree.dying_with_parent()
    if os.fork() == 0: die_with_parent(); os.write(said, b"%d" % os.getpid())
    time.sleep(15); os._exit(0)
child = int(os.read(heard, 20))
os.kill(parent, signal.SIGKILL)
os.waitpid(parent, 0)
assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


class TreeTests(unittest.TestCase):
    """Children, reaping, sweeping."""

    def _sleeper(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(SLEEP, stdout=subprocess.PIPE, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        return process

    def test_children(self) -> None:
        """A child is among them until it is reaped."""
        process = self._sleeper()
        self.assertIn(process.pid, tree.children())
        self.assertTrue(tree.has_children())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertIn(process.pid, tree.children())
        self.assertTrue(tree.has_children())
        process.wait()
        self.assertNotIn(process.pid, tree.children())

    def test_no_children(self) -> None:
        """Known without looking for them."""
        subprocess.run([sys.executable, "-c", "from dispytw.worker import tree\nassert not tree.has_children()"], check=True, cwd=ROOT)

    def test_reap(self) -> None:
        """None while it lives, then its wait status."""
        process = self._sleeper()
        self.assertIsNone(tree.reap(process.pid))
        process.terminate()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        status = tree.reap(process.pid)
        process.returncode = 0  # reaped behind its back
        self.assertEqual(status, signal.SIGTERM)

    def test_gone_processes(self) -> None:
        """A signal to who is gone is no error."""
        process = self._sleeper()
        process.kill()
        process.wait()
        tree.kill(process.pid)
        tree.signal_group(process.pid, signal.SIGTERM)

    def test_dying_with_a_parent(self) -> None:
        """Who has called it is killed when its parent ends; where the system knows no such thing, it lives on."""
        subprocess.run([sys.executable, "-c", ORPHANS], check=True, timeout=20, cwd=ROOT)
        with mock.patch.object(tree, "_prctl", None):
            self.assertIsNone(tree.dying_with_parent()())

    def test_sweep(self) -> None:
        """Whatever hides at any depth below is found and killed, and the spared is spared; in a process of its own."""
        subprocess.run([sys.executable, "-c", SWEEPS], check=True, timeout=20, cwd=ROOT)


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
