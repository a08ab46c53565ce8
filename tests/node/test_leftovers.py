"""What a starting node ends of an earlier run of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from dispytw.node.leftovers import MARK, Record, born, sweep_leftovers
from tests.worker.driving import is_alive


class LeftoversTests(SynchronousTestCase):
    """What a starting node ends, and what it does not."""

    def setUp(self) -> None:
        self.run = tempfile.mkdtemp(prefix="leftovers-")
        self.addCleanup(shutil.rmtree, self.run)
        self.uid = os.urandom(16)

    def _sleeper(self, *, marked: bool) -> subprocess.Popen[bytes]:
        environment = {**os.environ, MARK: self.uid.hex()} if marked else None
        process = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"],
            env=environment,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        return process

    def _record(self, process: subprocess.Popen[bytes] | None, when: str | None = None) -> None:
        pid = 0 if process is None else process.pid
        Record(self.uid, pid, born(pid) if when is None else when).write(os.path.join(self.run, "a.pid"))

    def test_processes_that_carry_the_mark(self) -> None:
        """Everything marked with a recorded computation is ended, even if the daemon died before it knew the pid."""
        process = self._sleeper(marked=True)
        self._record(None)
        self.assertEqual(sweep_leftovers(self.run, Logger()), 1)
        self.assertFalse(is_alive(process.pid))
        self.assertEqual(os.listdir(self.run), [])

    def test_a_recorded_supervisor_without_the_mark(self) -> None:
        """A supervisor that wiped its environment is found by its pid."""
        process = self._sleeper(marked=False)
        self._record(process)
        self.assertEqual(sweep_leftovers(self.run, Logger()), 1)
        self.assertFalse(is_alive(process.pid))

    def test_a_reused_pid_is_left_alone(self) -> None:
        """The same pid with another start time is somebody else."""
        process = self._sleeper(marked=False)
        self._record(process, when="1")
        self.assertEqual(sweep_leftovers(self.run, Logger()), 0)
        self.assertTrue(is_alive(process.pid))

    def test_unrecorded_and_torn_records(self) -> None:
        """Other nodes' computations are not touched; a torn record and other files are removed."""
        process = self._sleeper(marked=True)
        os.mkdir(os.path.join(self.run, "out"))
        for name, text in (("a.pid", "zz"), ("b.pid", ""), ("c.pid", "00 1"), ("b.log", "text"), ("out/x", "result")):
            with open(os.path.join(self.run, name), "w") as written:
                written.write(text)
        self.assertEqual(sweep_leftovers(self.run, Logger()), 0)
        self.assertTrue(is_alive(process.pid))
        self.assertEqual(os.listdir(self.run), [])
