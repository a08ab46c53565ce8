"""What wakes a supervisor, and when."""

from __future__ import annotations

import socket
import time
import unittest
from unittest import mock

from dispytw.worker.sources import Sources


class SourcesTests(unittest.TestCase):
    """A server, and something else, that speak through sockets."""

    def setUp(self) -> None:
        self.sources = Sources()
        self.addCleanup(self.sources.close)
        self.heard: list[str] = []
        self.server, self.other = self.pair(), self.pair()
        self.sources.watch_server(self.server[0], lambda: self.hears("server", self.server[0]))
        self.sources.watch(self.other[0], lambda: self.hears("other", self.other[0]))

    def pair(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair

    def hears(self, who: str, end: socket.socket) -> None:
        self.heard.append(who)
        end.recv(100)

    def say(self, *ends: tuple[socket.socket, socket.socket]) -> None:
        for _, end in ends:
            end.send(b"word")

    def test_both_at_any_moment(self) -> None:
        """Without ease; and nothing is waited for longer than was said."""
        self.say(self.server)
        self.sources.hear(None, 0.0)
        self.say(self.other)
        self.sources.hear(None, 0.0)
        self.sources.hear(0.0, 0.0)
        self.assertEqual(["server", "other"], self.heard)

    def test_at_ease(self) -> None:
        """A server has to wait until the time is over since it was last heard; anything else does not."""
        with mock.patch("dispytw.worker.sources.monotonic") as now:
            now.return_value = 100.0
            self.sources.hear(0.0, 0.05)
            self.say(self.server, self.other)
            for later in (0.0, 0.04):
                now.return_value = 100.0 + later
                self.sources.hear(None, 0.05)
                self.assertEqual(["other"], self.heard)
            now.return_value = 100.0 + 0.05
            self.sources.hear(None, 0.05)
        self.assertEqual(["other", "server"], self.heard)

    def test_heard_though_others_speak_all_the_time(self) -> None:
        """Who has waited for the time is heard with them."""
        self.sources.hear(0.0, 0.02)
        self.say(self.server)
        deadline = time.monotonic() + 10
        while "server" not in self.heard and time.monotonic() < deadline:
            self.say(self.other)
            self.sources.hear(None, 0.02)
        self.assertIn("server", self.heard)

    def test_other_things_to_do(self) -> None:
        """End the sleep, and nobody is heard for that."""
        self.sources.hear(0.0, 60.0)
        self.say(self.server)
        self.sources.hear(0.01, 60.0)
        self.assertEqual([], self.heard)

    def test_ease_that_is_over(self) -> None:
        """What a server has said by then is heard at once, and later words too."""
        self.sources.hear(0.0, 60.0)
        self.say(self.server)
        self.sources.hear(None, 0.0)
        self.say(self.server)
        self.sources.hear(None, 0.0)
        self.assertEqual(["server"] * 2, self.heard)

    def test_room(self) -> None:
        """Waited for where it is wanted, and only as long."""
        calls: list[str] = []
        self.sources.unwatch(self.other[0])
        self.sources.watch(self.other[0], lambda: calls.append("room"))
        self.sources.expect_room(self.other[0], True)
        self.sources.hear(None, 0.0)
        self.sources.expect_room(self.other[0], False)
        self.sources.hear(0.0, 0.0)
        self.assertEqual(["room"], calls)

    def test_nobody_any_more(self) -> None:
        """Who is no longer watched is not heard, with ease and without."""
        self.say(self.server, self.other)
        self.sources.unwatch_server(self.server[0])
        self.sources.unwatch(self.other[0])
        for ease in (0.0, 0.001, 0.0):
            self.sources.hear(0.01, ease)
        self.assertEqual([], self.heard)
