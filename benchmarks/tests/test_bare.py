"""The machine's own limits, for a moment each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from benchmarks import bare


class Limits(unittest.TestCase):
    """Each cell gives a figure."""

    @mock.patch.object(bare, "LENGTH", 0.0)
    def test_bandwidth(self) -> None:
        """TCP and TLS move bytes between two processes, though the time was over before the first."""
        here = os.getcwd()
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            self.addCleanup(os.chdir, here)
            self.assertGreater(bare.tcp().figures["tcp"], 1)
            self.assertGreater(bare.tls().figures["tls"], 1)
            os.chdir(here)

    def test_forks_come_from_a_small_process(self) -> None:
        """As it is started it has less than 20 MB, and forks; a bigger one refuses."""
        command = [sys.executable, "-m", "benchmarks.bare", "1", "fork_slots"]
        root = Path(__file__).parents[2]
        said = json.loads(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
        self.assertGreater(said["figures"]["fork_slots"], 1)
        with mock.patch.object(bare, "resident", lambda: 30_000_000), self.assertRaisesRegex(RuntimeError, "grown to 30 MB"):
            bare.fork_slots()
