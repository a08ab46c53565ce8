"""How the processes that serve slots come to be."""

from __future__ import annotations

import shutil
import tempfile
import unittest

from dispytw.worker.servers import ForkedServers
from dispytw.worker.voice import voice


class Forked(unittest.TestCase):
    """Those that are forked; who forks them is shown by test_zygote and test_computation."""

    def test_what_is_asked_for(self) -> None:
        """A slot's descriptors are passed, and how large a file may be by now."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.addCleanup(setattr, voice, "max_file_size", voice.max_file_size)
        asked: list[tuple[tuple[int, ...], int]] = []

        def fork(passed: tuple[int, ...], max_file_size: int) -> int:
            asked.append((passed, max_file_size))
            return 17

        servers = ForkedServers(fork, directory)
        slot = servers.open_slot()
        self.addCleanup(slot.close)
        voice.max_file_size = 99
        self.assertEqual(17, servers.begin(slot))
        self.assertEqual([(slot.passing, 99)], asked)
