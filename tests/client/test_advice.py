"""What a user is told when something has to be waited for."""

from __future__ import annotations

import unittest

from dispytw.client.advice import no_node_yet, rejection


class Advice(unittest.TestCase):
    """The texts."""

    def test_no_node_yet(self) -> None:
        """Each address with what came of it, how many jobs wait, and how the addresses were chosen."""
        self.assertEqual(
            "no node for compute yet; 7 jobs wait. Tried:\n"
            "  10.0.0.7:51348: connection refused\n"
            "  10.0.0.8:51348: answered; preparing\n"
            "  ('*' means this machine)",
            no_node_yet(
                "compute",
                [("10.0.0.7:51348", "connection refused"), ("10.0.0.8:51348", "answered; preparing")],
                7,
                "'*' means this machine",
            ),
        )

    def test_nothing_to_note(self) -> None:
        """Without a note there is no line for it."""
        self.assertEqual("no node for f yet; 0 jobs wait. Tried:\n  a:1: no such host", no_node_yet("f", [("a:1", "no such host")], 0, ""))

    def test_rejection(self) -> None:
        """Which node, and the whole traceback, without an empty line behind it."""
        self.assertEqual("node a:1 (a) is not used: Traceback\n  OSError", rejection("node a:1 (a)", "Traceback\n  OSError\n\n"))
