"""dispy.config: defaults that a program may change."""

from __future__ import annotations

from typing import Any
from unittest import TestCase, mock

from dispytw import config


class Ports(TestCase):
    """Ports are numbers, or follow DispyPort."""

    def port(self, name: str = "NodePort", **settings: Any) -> int:
        with mock.patch.multiple(config, **settings):
            return config.port_of(name)

    def test_defaults(self) -> None:
        """The ports of dispy's manual."""
        names = ("ClientPort", "NodePort", "SharedSchedulerPort", "HTTPServerPort")
        self.assertEqual([51347, 51348, 51349, 8181], [config.port_of(name) for name in names])

    def test_settings(self) -> None:
        """They follow the first, unless they are set to something else; dispy's own expressions are understood."""
        self.assertEqual(9701, self.port(DispyPort=9700))
        self.assertEqual(9710, self.port(DispyPort=9700, NodePort="dispy.config.DispyPort + 10"))
        for setting in (51400, "51400", "DispyPort+53"):
            self.assertEqual(51400, self.port(NodePort=setting))

    def test_mistakes(self) -> None:
        """What is no port is named; no expression is executed."""
        for settings, text in (
            ({"NodePort": "__import__('os').getpid()"}, "dispy.config.NodePort is \"__import__"),
            ({"NodePort": 65536}, "which is port 65536; wanted one from 1 to 65535"),
            ({"NodePort": None}, "NodePort is None"),
            ({"DispyPort": "x"}, "DispyPort is 'x'"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                self.port(**settings)


class Others(TestCase):
    """The rest of dispy's names."""

    def test_values(self) -> None:
        """Ours where dispytw decides otherwise: the manual's 10 MB."""
        self.assertEqual((10, 10 * 1024 * 1024, "239.255.61.59"), (config.MsgTimeout, config.MaxFileSize, config.IPv4MulticastGroup))
