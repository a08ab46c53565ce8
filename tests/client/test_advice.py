"""What a user is told when something has to be waited for."""

from __future__ import annotations

import unittest

from dispytw.client.advice import asked_for_nodes, no_node_yet, rejection


class Advice(unittest.TestCase):
    """The texts."""

    def test_no_node_yet(self) -> None:
        """Each address with what came of it, and how many jobs wait."""
        self.assertEqual(
            "no node for compute yet; 7 jobs wait. Tried:\n"
            "  10.0.0.7:51348: connection refused\n"
            "  10.0.0.8:51348: answered; preparing",
            no_node_yet(
                "compute",
                [("10.0.0.7:51348", "connection refused"), ("10.0.0.8:51348", "answered; preparing")],
                7,
            ),
        )

    def test_rejection(self) -> None:
        """Which node, and the whole traceback, without an empty line behind it."""
        self.assertEqual("node a:1 (a) is not used: Traceback\n  OSError", rejection("node a:1 (a)", "Traceback\n  OSError\n\n"))

    def test_asked_for_nodes(self) -> None:
        """Where and how often it was asked, what went wrong there, and what to do if nobody has answered."""
        pattern, text = asked_for_nodes(["10.*", "*"], 51348, [("10.0.0.255", ""), ("10.9.0.255", "unreachable")], 2, 0)
        self.assertEqual("10.*, *", pattern)
        self.assertRegex(text, r"^asked 2 times by UDP at 10\.0\.0\.255, 10\.9\.0\.255 \(unreachable\), port 51348; nobody answered: start 'dispynode'")
        self.assertEqual(("*", "asked 1 time by UDP at no network, port 5; 3 answered"), asked_for_nodes(["*"], 5, [], 1, 3))
