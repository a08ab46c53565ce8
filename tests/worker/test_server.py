"""What a supervisor knows of a process that serves a slot."""

from __future__ import annotations

import unittest
from unittest import mock

from dispytw.values import EMPTY, Attempt, Inline
from dispytw.worker.server import Server
from dispytw.worker.slotwords import output_here

A, B = Attempt(b"a" * 16, 1), Attempt(b"b" * 16, 1)


class ServerTests(unittest.TestCase):
    """What it has, and what its last job has written."""

    def test_load(self) -> None:
        """What it runs, and what waits in its queue."""
        server = Server(mock.Mock(), 1)
        self.assertEqual(0, server.load)
        server.given[A] = EMPTY
        self.assertEqual(1, server.load)
        server.running = B
        self.assertEqual(2, server.load)

    def test_a_job_that_takes_long(self) -> None:
        """It lingers once it has been seen twice; the next one, or none, does not."""
        server = Server(mock.Mock(), 1)
        seen = []
        for running in (None, None, A, B, B, B, None, B):
            server.running = running
            server.look()
            seen.append(server.lingers)
        self.assertEqual([False, False, False, False, True, True, False, False], seen)
        server.look()
        self.assertTrue(server.lingers)
        server.running = A
        self.assertFalse(server.lingers)

    def test_an_output_is_taken_once(self) -> None:
        """Asked again, as the other one did not fit the disk, it is the same."""
        slot = mock.Mock()
        slot.stdout.take.return_value = output_here(b"printed")
        slot.stderr.take.side_effect = OSError(28, "no space")
        server = Server(slot, 1)
        for _ in range(2):
            self.assertEqual(Inline(b"printed"), server.take("stdout", "/out"))
            with self.assertRaises(OSError):
                server.take("stderr", "/err")
        slot.stdout.take.assert_called_once_with("/out")
