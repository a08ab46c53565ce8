"""Names of machines as addresses."""

from __future__ import annotations

import socket
import unittest
from unittest import mock

from dispytw.client.resolving import _node_ipaddr


class Resolving(unittest.TestCase):
    """What dispy's _node_ipaddr gives."""

    def test_addresses(self) -> None:
        """Are what they are, IPv6 in its short form; a wildcard too."""
        for given, found in (("127.0.0.1", "127.0.0.1"), ("0:0:0:0:0:0:0:1", "::1"), ("10.0.0.*", "10.0.0.*"), ("", None)):
            self.assertEqual(found, _node_ipaddr(given))

    def test_names(self) -> None:
        """IPv4 rather than IPv6, without the interface."""
        four, six = (socket.AF_INET, 1, 6, "", ("10.0.0.7", 0)), (socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 0, 0, 2))
        for answer, found in (([six, four], "10.0.0.7"), ([six], "fe80::1")):
            with mock.patch.object(socket, "getaddrinfo", return_value=answer):
                self.assertEqual(found, _node_ipaddr("node7"))

    def test_unknown(self) -> None:
        """None, whatever is wrong with the name."""
        with mock.patch.object(socket, "getaddrinfo", side_effect=socket.gaierror):
            self.assertIsNone(_node_ipaddr("nowhere"))
        self.assertIsNone(_node_ipaddr("x" * 70 + ".example"))
