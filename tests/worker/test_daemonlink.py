"""The daemon at the other end: when it speaks nonsense, when there are two, when it does not read."""

from __future__ import annotations

import socket
import unittest

from dispytw.values import FINISHED, Attempt
from dispytw.wire.frames import Close, Frame, Kept, Ready, SetupFailed, Standing, encode
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
        """What it had said is heard although nothing can be said to it any more; then comes the end."""
        self.daemon.sendall(encode(Close()))
        self.daemon.close()
        self.connection.send(Ready())
        self.connection.flush()
        self.assertEqual((self.lost, self.connection.wants_to_write), (0, False))
        self.connection.read()
        self.assertEqual((self.heard, self.lost), ([Close()], 0))
        self.connection.read()
        self.connection.send(Ready())
        self.connection.drain(1)
        self.assertEqual((self.lost, self.connection.wants_to_write), (1, False))

    def test_the_same_user(self) -> None:
        """The other end of our own pair is ours."""
        self.assertTrue(is_same_user(self.daemon))


class SupervisorsDaemonTests(SupervisorTestCase):
    """A real supervisor."""

    def test_nonsense_from_the_daemon(self) -> None:
        """What is no frame ends the connection like a daemon that is gone; the supervisor waits for another one."""
        driver = self.supervisor("def fine(): return 1", lease=DEADLINE)
        driver.hear_a(Ready)
        driver.socket.sendall(b"\xff" * 100)
        with self.assertRaises(EOFError):
            driver.hear_a(Ready)
        driver.connect()
        self.assertEqual(Standing(True), driver.hear_a(Standing))
        self.assertEqual(driver.run("fine").status, FINISHED)

    def test_a_second_daemon_waits(self) -> None:
        """While one daemon is connected no other is heard; it has its turn when the first one's words have all been read."""
        driver = self.supervisor("def fine(): return 1", lease=DEADLINE)
        driver.hear_a(Ready)
        first = driver.socket
        driver.connect()
        driver.say(Close())
        second, driver.socket = driver.socket, first
        self.assertEqual(driver.run("fine").status, FINISHED)
        attempt = driver.begin("fine")
        first.close()
        driver.socket = second
        driver.outcome(attempt)
        driver.say(Kept(tuple(Attempt(b"%016d" % n, 1) for n in (1, 2))))
        self.assertEqual(self.ended(driver), 0)
