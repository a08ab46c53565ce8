"""The benchmark's own environment, without making one."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from benchmarks import environment
from benchmarks.environment import Environment


class Environments(unittest.TestCase):
    """What is installed, and where."""

    def test_peers_are_pinned(self) -> None:
        """Each peer of requirements.txt states one version."""
        peers = environment.peers(environment.REQUIREMENTS.read_text(encoding="utf-8"))
        self.assertEqual({"dispy", "distributed", "ray"}, {peer.partition("==")[0] for peer in peers})
        self.assertEqual([], [part for peer in peers for part in peer.split() if "==" not in part])

    def test_a_directory_of_somebody_else(self) -> None:
        """Is not cleared for an environment."""
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "thesis.tex").write_text("years of work")
            with self.assertRaisesRegex(FileExistsError, "left alone"):
                Environment(Path(directory)).prepare(print)
            self.assertEqual("years of work", Path(directory, "thesis.tex").read_text())

    def test_reasons_are_one_line(self) -> None:
        """pip's last error, without its prefix."""
        self.assertEqual("No matching distribution", environment.reason("WARNING: x\nERROR: a\nERROR: No matching distribution\n"))
        self.assertEqual("broken pipe", environment.reason("broken pipe"))
        self.assertEqual("no reason given", environment.reason(""))
