"""``dispytw run``: how a program's end becomes the command's, and what the program finds."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr
from typing import Any
from unittest import mock

from dispytw.cli import run as module
from dispytw.cli.run import run_program
from dispytw.client.nodes import Address
from tests.functional.daemons import Daemons, RunningProgram
from tests.worker.driving import word_from


class Node:
    """Stands for a private node."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.address = Address("127.0.0.1", 40001)
        self.secret_file = "/run/secret"
        self.ended = 0

    def end(self) -> None:
        self.ended += 1


class Running(unittest.TestCase):
    """In this process, with a stand-in for the node."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.nodes: list[Node] = []
        patch = mock.patch.object(module, "PrivateNode", self._start)
        patch.start()
        self.addCleanup(patch.stop)

    def _start(self, cpus: int) -> Node:
        self.nodes.append(Node(cpus))
        return self.nodes[-1]

    def run_source(self, source: str, *arguments: str, **options: Any) -> int:
        """The status of a program."""
        path = os.path.join(self.directory, "program.py")
        with open(path, "w") as file:
            file.write(source)
        return run_program(path, arguments, **options)

    def test_exit_status(self) -> None:
        """The status is the program's."""
        for source, status in (("", 0), ("import sys; sys.exit(3)", 3), ("import os; os._exit(255)", 255)):
            self.assertEqual(status, self.run_source(source))

    def test_killed(self) -> None:
        """128 + n when signal n ended it, as shells have it."""
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            source = f"import os, signal; signal.signal({number}, signal.SIG_DFL) if {number} != 9 else 0; os.kill(os.getpid(), {number})"
            self.assertEqual(128 + number, self.run_source(source))

    def test_what_the_program_finds(self) -> None:
        """Its arguments, where its node listens and which file holds the secret, beside the environment that was there."""
        out = os.path.join(self.directory, "found")
        source = f"import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open({out!r}, 'w'))"
        with mock.patch.dict(os.environ, {"CANARY": "sings"}):
            self.run_source(source, "-x", "a b")
        with open(out) as file:
            arguments, environment = json.load(file)
        self.assertEqual(["-x", "a b"], arguments)
        found = [environment.get(name) for name in ("DISPYTW_RUN_NODE", "DISPYTW_RUN_SECRET_FILE", "CANARY")]
        self.assertEqual(["127.0.0.1:40001", "/run/secret", "sings"], found)
        self.assertNotIn("DISPYTW_RUN_NODE", os.environ)

    def test_node(self) -> None:
        """One node with so many slots, which is ended when the program has."""
        self.run_source("", cpus=3)
        self.assertEqual([(3, 1)], [(node.cpus, node.ended) for node in self.nodes])

    def test_node_ends_whatever_happens(self) -> None:
        """Even when the program cannot be executed."""
        with mock.patch.object(subprocess, "Popen", side_effect=OSError("too many processes")), self.assertRaises(OSError):
            self.run_source("")
        self.assertEqual([1], [node.ended for node in self.nodes])

    def test_no_such_file(self) -> None:
        """Status 2, a line about it, and no node is started."""
        for path in (os.path.join(self.directory, "none.py"), self.directory):
            with redirect_stderr(io.StringIO()) as err:
                self.assertEqual(2, run_program(path, []))
            self.assertEqual(f"dispytw run: no such file: {path}\n", err.getvalue())
        self.assertEqual([], self.nodes)

    def test_node_does_not_start(self) -> None:
        """Status 1 and what the node said; the program does not run."""
        ran = os.path.join(self.directory, "ran")
        failing = mock.patch.object(module, "PrivateNode", side_effect=RuntimeError("the private node did not start"))
        with failing, redirect_stderr(io.StringIO()) as err:
            self.assertEqual(1, self.run_source(f"open({ran!r}, 'w')"))
        self.assertEqual("dispytw run: the private node did not start\n", err.getvalue())
        self.assertFalse(os.path.exists(ran))

    def test_handlers_come_back(self) -> None:
        """Signals are as before when the program has ended."""
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        self.run_source("")
        self.assertEqual(before, [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])

    def test_sigterm_while_the_program_starts(self) -> None:
        """It is passed on as well, and does not end the command before its program."""
        overlooked: list[int] = []
        self.addCleanup(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, lambda number, frame: overlooked.append(number)))
        start = subprocess.Popen

        def starting(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            child = start(command, **options)
            signal.raise_signal(signal.SIGTERM)
            return child

        with mock.patch.object(subprocess, "Popen", starting):
            self.assertEqual(128 + signal.SIGTERM, self.run_source("import time; time.sleep(20)"))
        self.assertEqual([], overlooked)

    def test_ignored_signals(self) -> None:
        """What whoever has started it ignores, its program ignores as well."""
        for number in (signal.SIGINT, signal.SIGTERM):
            earlier = signal.signal(number, signal.SIG_IGN)
            try:
                self.assertEqual(3, self.run_source(f"import os, sys; os.kill(os.getpid(), {number}); sys.exit(3)"))
            finally:
                signal.signal(number, earlier)


#: The command, with a stand-in for the node.
COMMAND = """
import signal, sys
from dispytw.cli import run
from tests.cli.test_run import Node

class Told(Node):
    def end(self):
        print("node ended", flush=True)

run.PrivateNode = Told
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores Ctrl-C
sys.exit(run.run_program(sys.argv[1], sys.argv[2:]))
"""

#: A program that counts the signals it gets until SIGTERM, and says so. One that came just before signal.pause() would not end that.
PROGRAM = """
import os, signal, sys

def interrupted(number, frame):
    print("interrupted", flush=True)

def terminated(number, frame):
    print("terminated", flush=True)
    sys.exit(7)

signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGTERM, terminated)
woken, wakeup = os.pipe()
os.set_blocking(wakeup, False)
signal.set_wakeup_fd(wakeup)
with open(sys.argv[1], "w") as said:
    said.write("ready")
while True:
    os.read(woken, 1)
"""


class Signals(unittest.TestCase):
    """Ctrl-C and SIGTERM, in processes of their own."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=15.0)

    def command(self) -> RunningProgram:
        """The command, whose program is ready."""
        said = self.daemons.root / "said"
        os.mkfifo(said)
        program = self.daemons.file("waits.py", PROGRAM)
        command = self.daemons.start_program(COMMAND, str(program), str(said))
        self.assertEqual("ready", word_from(str(said)))
        return command

    def test_sigterm(self) -> None:
        """SIGTERM is passed on; the program decides how it ends, and then the node ends."""
        command = self.command()
        command.send_signal(signal.SIGTERM)
        done = command.wait()
        self.assertEqual((7, "terminated\nnode ended\n", ""), (done.code, done.out, done.err))

    def test_sigint(self) -> None:
        """Ctrl-C does not end the command, and is not sent to the program a second time: a terminal has done that."""
        command = self.command()
        command.send_signal(signal.SIGINT)
        command.send_signal(signal.SIGTERM)
        done = command.wait()
        self.assertEqual((7, "terminated\nnode ended\n", ""), (done.code, done.out, done.err))

    def test_ctrl_c_in_a_terminal(self) -> None:
        """What a terminal sends to both reaches the program as well: it is not born deaf."""
        command = self.command()
        os.killpg(command.pid, signal.SIGINT)
        while b"interrupted" not in command.out_path.read_bytes():
            self.assertIsNone(command.process.poll())
        command.send_signal(signal.SIGTERM)
        done = command.wait()
        self.assertEqual((7, "interrupted\nterminated\nnode ended\n"), (done.code, done.out))


WHOLE = """
import sys
import dispytw as dispy

def compute(n):
    return n * n

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, secret="of no use here")
    print(cluster.submit(int(sys.argv[1]))(), [node.avail_cpus for node in cluster.status().nodes])
    sys.exit(5)
"""


class Whole(unittest.TestCase):
    """With dispynode itself."""

    def test_a_program_as_it_stands(self) -> None:
        """A program that names no node runs on the private one, whatever secret it passes, and nothing is left."""
        daemons = Daemons(self)
        program = daemons.file("program.py", WHOLE)
        argv = [sys.executable, "-m", "dispytw.cli.main", "run", "--cpus", "3", str(program), "7"]
        done = daemons.run(argv, env={"TMPDIR": str(daemons.root)})
        self.assertEqual((5, "49 [3]\n"), (done.code, done.out), done)
        self.assertEqual([], [name for name in os.listdir(daemons.root) if name.startswith("dispytw-")])
