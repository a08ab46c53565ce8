"""What a forked process keeps of its parent's descriptors."""

from __future__ import annotations

import os
import unittest

from dispytw.wire.frames import Ready
from dispytw.worker import descriptors
from tests.worker.driving import SupervisorTestCase, opened


class GuardTests(unittest.TestCase):
    """A guarded descriptor is known by what it is, not by its number."""

    def test_a_number_opened_anew_is_not_ours(self) -> None:
        """User code may close any number and open it anew."""
        first, second = os.pipe()
        self.addCleanup(os.close, second)
        descriptors.guard(first)
        self.addCleanup(descriptors._identities.clear)
        self.assertTrue(descriptors.is_ours(first))
        other = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, other)
        os.close(first)
        self.assertFalse(descriptors.is_ours(first))
        os.dup2(other, first)
        self.addCleanup(os.close, first)
        self.assertFalse(descriptors.is_ours(first))


class ForkTests(SupervisorTestCase):
    """Real jobs."""

    def test_a_job_holds_no_descriptor_of_the_supervisors(self) -> None:
        """Beside its three standard ones a job has the log, and nothing else; nor have its children."""
        driver = self.supervisor(
            "def target(fd):\n"
            "    try: return os.readlink(f'/proc/self/fd/{fd}')\n"
            "    except FileNotFoundError: return ''\n"
            "def look():\n"
            "    def sockets(): return [fd for fd in os.listdir('/proc/self/fd') if target(fd).startswith(('socket', 'anon_inode'))]\n"
            "    heard, said = os.pipe()\n"
            "    if os.fork() == 0: os.write(said, str(len(sockets())).encode()); os._exit(0)\n"
            "    return len(sockets()), int(os.read(heard, 10))\n"
        )
        driver.hear_a(Ready)
        attempts = [driver.begin("look") for _ in range(4)]
        for attempt in attempts:
            self.assertEqual(opened(driver.outcome(attempt).result), (0, 0))
