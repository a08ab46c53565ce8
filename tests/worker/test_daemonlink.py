"""The daemon at the other end: when it speaks nonsense, when there are two, when it does not read."""

from __future__ import annotations

import socket
import unittest

from dispytw.values import FINISHED
from dispytw.wire.frames import Close, Frame, Ready, SetupFailed, encode
from dispytw.worker.daemonlink import DaemonConnection, is_same_user
from tests.worker.driving import DEADLINE, SupervisorTestCase


class DaemonConnectionTests(unittest.TestCase):
    """One connection over a pair of sockets."""

    def setUp(self) -> None:
        ours, self.daemon = socket.socketpair()
        self.addCleanup(self.daemon.close)
        self.heard: list[Frame] = []
        self.lost = 0
        self.connection = DaemonConnection(ours, self.heard.append, self._lost)
        self.addCleanup(self.connection.close)

    def _lost(self) -> None:
        self.lost += 1

    def test_frames_in(self) -> None:
        """Frames are heard in order; the end is told once."""
        self.connection.read()
        self.daemon.sendall(encode(Ready()) + encode(Close()))
        self.connection.read()
        self.assertEqual(self.heard, [Ready(), Close()])
        self.daemon.close()
        self.connection.read()
        self.assertEqual((self.lost, self.connection.open), (1, False))

    def test_a_daemon_that_does_not_read(self) -> None:
        """What the socket does not take waits, and nothing blocks."""
        frame = SetupFailed("x" * 100_000)
        for _ in range(20):
            self.connection.send(frame)
        self.connection.flush()
        self.assertTrue(self.connection.wants_to_write)
        received = 0
        while received < 20 * len(encode(frame)):
            received += len(self.daemon.recv(1 << 20))
            self.connection.flush()
        self.assertFalse(self.connection.wants_to_write)

    def test_a_daemon_that_is_gone(self) -> None:
        """A write to it is its end; what is said afterwards is forgotten."""
        self.daemon.close()
        self.connection.send(Ready())
        self.connection.flush()
        self.connection.send(Ready())
        self.connection.drain(1)
        self.assertEqual((self.lost, self.connection.wants_to_write), (1, False))

    def test_the_same_user(self) -> None:
        """The other end of our own pair is ours."""
        self.assertTrue(is_same_user(self.daemon))


class SupervisorsDaemonTests(SupervisorTestCase):
    """A real supervisor."""

    def test_nonsense_from_the_daemon(self) -> None:
        """What is no frame ends it like a daemon that is gone."""
        driver = self.supervisor("")
        driver.hear_a(Ready)
        driver.socket.sendall(b"\xff" * 100)
        self.assertEqual(self.ended(driver), 0)

    def test_a_second_daemon_is_turned_away(self) -> None:
        """While one daemon is connected no other is heard."""
        driver = self.supervisor("def fine(): return 1")
        driver.hear_a(Ready)
        with socket.socket(socket.AF_UNIX) as second:
            second.settimeout(DEADLINE)
            second.connect(driver.path("s"))
            self.assertEqual(second.recv(1), b"")
        self.assertEqual(driver.run("fine").status, FINISHED)
