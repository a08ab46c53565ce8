"""The guard that keeps tests on this machine lets through what stays here, and nothing else."""

from __future__ import annotations

import socket
import unittest

from tests import loopback

ELSEWHERE = ("192.0.2.1", 9)  # an address that RFC 5737 reserves for documentation


class Guard(unittest.TestCase):
    """Sockets of the test process."""

    def test_elsewhere_is_refused_and_remembered(self) -> None:
        """Each way of sending something away raises before anything is sent."""
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            attempts = (
                lambda: stream.connect(ELSEWHERE),
                lambda: stream.connect_ex(ELSEWHERE),
                lambda: datagram.connect(ELSEWHERE),
                lambda: datagram.sendto(b"", ELSEWHERE),
                lambda: datagram.sendto(b"", 0, ELSEWHERE),
                lambda: datagram.sendmsg([b""], [], 0, ELSEWHERE),
                lambda: datagram.sendto(b"", ("255.255.255.255", 9)),
            )
            for attempt in attempts:
                with self.assertRaises(loopback.LeftLoopbackError):
                    attempt()
        remembered = list(loopback.trespasses)
        loopback.trespasses.clear()
        self.assertEqual(len(attempts), len(remembered))

    def test_loopback_is_free(self) -> None:
        """Connections to 127.0.0.1 are made, by number and by name."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            for host in ("127.0.0.1", "localhost"):
                with socket.socket() as stream:
                    stream.connect((host, port))
        self.assertEqual([], loopback.trespasses)

    def test_datagrams_on_loopback_are_free(self) -> None:
        """To an address and by broadcast, and those that name no address since their socket is connected."""
        with socket.socket(type=socket.SOCK_DGRAM) as hears, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            hears.bind(("127.0.0.1", 0))
            datagram.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            datagram.sendto(b"a", hears.getsockname())
            datagram.sendto(b"b", ("127.255.255.255", hears.getsockname()[1]))
            datagram.connect(hears.getsockname())
            datagram.sendmsg([b"c"])
            datagram.sendmsg([b"d"], [], 0)
            self.assertEqual([b"a", b"c", b"d"], [hears.recv(9) for _ in range(3)])
        self.assertEqual([], loopback.trespasses)

    def test_what_counts_as_here(self) -> None:
        """Loopback, Unix paths and other families are here; the wildcard and other hosts are not."""
        self.assertTrue(loopback.is_here(socket.AF_UNIX, "/tmp/s"))
        self.assertTrue(loopback.is_here(socket.AF_INET6, ("::1", 1, 0, 0)))
        self.assertTrue(loopback.is_here(socket.AF_INET, ("127.8.9.10", 1)))
        for host in ("0.0.0.0", "10.0.0.1", "example.org", ""):
            self.assertFalse(loopback.is_here(socket.AF_INET, (host, 1)), host)
