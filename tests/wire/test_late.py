"""msgpack comes late, and is the one that was there when we came."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = """
import sys
from dispytw.wire import bundle, late, payload
assert "msgpack" not in sys.modules
sys.path.insert(0, {directory!r})
class Finder:
    __module__ = "dispytw.worker.namespace"
    def find_spec(self, name, path=None, target=None):
        assert name != "msgpack", "a module of the user's is taken for it"
sys.meta_path.insert(0, Finder())
before = list(sys.path), list(sys.meta_path)
assert payload.open_value(b"m\\x93\\x01\\x02\\x03") == [1, 2, 3]
assert (sys.path, sys.meta_path) == before
assert late.msgpack() is late.msgpack() is sys.modules["msgpack"]
"""


class Late(unittest.TestCase):
    """In a process of its own."""

    def test_whose_it_is(self) -> None:
        """Neither a file of that name in a directory that has come first since, nor a module that came with a computation."""
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "msgpack.py"), "w") as other:
                other.write("raise ImportError('another one')")
            subprocess.run([sys.executable, "-c", PROGRAM.format(directory=directory)], cwd=ROOT, check=True, timeout=60)
