"""The network that has nothing but loopback."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

#: Exit status 77 where the machine allows no namespace.
PROGRAM = """
import errno, socket, sys
from benchmarks import loopback
try:
    loopback.enter()
except OSError as error:
    print(error)
    sys.exit(77)
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    pass
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for address in ("192.0.2.1", "255.255.255.255"):
        assert sock.connect_ex((address, 9)) == errno.ENETUNREACH, address
"""


class Loopback(unittest.TestCase):
    """enter()"""

    def test_nothing_else_is_reachable(self) -> None:
        """Inside, 127.0.0.1 works, and neither a broadcast nor another machine has a route."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
        if done.returncode == 77:
            self.skipTest(done.stdout.strip())
        self.assertEqual((0, ""), (done.returncode, done.stderr))
