"""Who gets fresh processes, and how these are started."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import unittest
from unittest import mock

import attrs

from dispytw.wire.frames import Setup
from dispytw.worker import descriptors, spawned, spawning
from dispytw.worker.spawning import Spawner, spawns
from dispytw.worker.voice import voice


class SpawningCase(unittest.TestCase):
    """A computation's setup."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.setup_frame = Setup("bundle", self.directory, None, {}, self.directory)

    def wanted(self, **changes: object) -> Setup:
        return attrs.evolve(self.setup_frame, **changes)  # type: ignore[arg-type]


class Whether(SpawningCase):
    """Fresh processes, or copies."""

    def test_where_there_is_fork(self) -> None:
        """Only when it is wanted; and a program is a process of its own anyway."""
        table = [(None, None, False), ("fork", None, False), ("spawn", None, True), ("spawn", "tool", False)]
        for method, program, fresh in table:
            self.assertEqual(fresh, spawns(self.wanted(start_method=method, program=program)), (method, program))

    def test_where_there_is_none(self) -> None:
        """Always; and whoever wants to fork is told so."""
        with mock.patch.object(spawning, "CAN_FORK", False):
            self.assertEqual([True, True], [spawns(self.wanted(start_method=method)) for method in (None, "spawn")])
            with self.assertRaisesRegex(OSError, "start_method='fork': this node cannot fork; leave it out, or use 'spawn'"):
                spawns(self.wanted(start_method="fork"))

    def test_jobs_of_a_process(self) -> None:
        """One, unless processes are kept; then as many as the user says."""
        table = [("job", None, 1), ("worker", None, None), ("worker", 5, 5)]
        for isolation, most, jobs in table:
            setup = self.wanted(isolation=isolation, max_jobs_per_worker=most)
            self.assertEqual(jobs, Spawner(setup, b"", {}).most_jobs)


class Starting(SpawningCase):
    """The processes, whose program is another one here: it prints its arguments."""

    def setUp(self) -> None:
        super().setUp()
        command = (sys.executable, "-c", "import os, sys; os.write(int(sys.argv[6]), ' '.join(sys.argv[1:]).encode())")
        self.addCleanup(setattr, spawning, "COMMAND", spawning.COMMAND)
        ours = mock.patch.object(descriptors, "_ours", set())  # a spawner keeps its papers as long as its process lives
        ours.start()
        self.addCleanup(ours.stop)
        spawning.COMMAND = command
        self.names = {"old": 1}
        self.spawner = Spawner(self.setup_frame, b"bundle", self.names)

    def test_papers(self) -> None:
        """Everything that a process has to know is in a file that has no name, which several read at a time."""
        self.names["new"] = 2
        voice.ear, before = "/ear", voice.ear
        self.addCleanup(setattr, voice, "ear", before)
        self.assertIsNone(self.spawner.take_over())
        self.assertEqual([], os.listdir(self.directory))
        descriptor = self.spawner._papers.fileno()
        for _ in range(2):
            papers = spawned.read(os.dup(descriptor))
            self.assertEqual((b"bundle", self.setup_frame, tuple(sys.path), "/ear"), (papers.bundle, papers.setup, papers.path, papers.ear))
        self.spawner._papers.close()

    def test_arguments(self) -> None:
        """Numbers: who starts it, how many jobs, how large a file, and what it is passed."""
        self.spawner.take_over()
        self.addCleanup(self.spawner._papers.close)
        slot = self.spawner.open_slot()
        self.addCleanup(slot.close)
        pid = self.spawner.begin(slot)
        self.assertEqual((pid, 0), os.waitpid(pid, 0))
        numbers = [os.getpid(), 1, voice.max_file_size, self.spawner._papers.fileno(), *slot.passing]
        self.assertEqual(numbers, list(map(int, slot.stdout.tail(1000).split())))

    def test_a_program_that_is_not_there(self) -> None:
        """Is an OSError, as a fork that fails is one."""
        spawning.COMMAND = ("/nowhere/python",)
        self.spawner.take_over()
        self.addCleanup(self.spawner._papers.close)
        slot = self.spawner.open_slot()
        self.addCleanup(slot.close)
        self.assertRaises(OSError, self.spawner.begin, slot)

    def test_what_cannot_be_sent(self) -> None:
        """Is why a setup() has failed."""
        self.names["sys"] = sys  # type: ignore[assignment]
        self.assertIn("sys: a module", self.spawner.take_over() or "")
