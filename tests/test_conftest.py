"""What tests/conftest.py promises, shown on small test runs of their own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[1]

EVERY_PYTHON = False

TRIAL = """
    from twisted.internet import reactor, task
    from twisted.trial.unittest import TestCase

    class Trial(TestCase):
        def test_waits(self):
            return task.deferLater(reactor, 0.01, lambda: None)
"""

PYTEST_TWISTED = """
    import pytest_twisted
    from twisted.internet import reactor, task

    @pytest_twisted.ensureDeferred
    async def test_awaits():
        await task.deferLater(reactor, 0.01, lambda: None)
"""


def run_pytest(files: dict[str, str], *options: str) -> tuple[int, str]:
    """Runs these files, in this order, as a test suite of their own under our conftest; exit status and output."""
    with tempfile.TemporaryDirectory() as directory:
        for name, source in files.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source), encoding="utf-8")
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--rootdir", directory, *options]
        argv += ["-p", "tests.conftest"]
        done = subprocess.run(
            [*argv, *files],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    return done.returncode, done.stdout + done.stderr


class Order(unittest.TestCase):
    """A test that returns a Deferred and one of pytest-twisted, in one run."""

    def test_written_in_either_order(self) -> None:
        """Both pass, whichever is written first: trial's runs first."""
        for first, second in ((TRIAL, PYTEST_TWISTED), (PYTEST_TWISTED, TRIAL)):
            code, output = run_pytest({"test_a.py": first, "test_b.py": second})
            self.assertEqual(0, code, output)
            self.assertIn("2 passed", output)
            self.assertLess(output.index("test_waits PASSED"), output.index("test_awaits PASSED"), output)


LEAVES_THE_MACHINE = """
    import socket
    def test_leaves():
        with socket.socket() as s:
            s.connect_ex(("127.0.0.1", 9))
            try:
                s.connect(("192.0.2.1", 9))
            except OSError:
                pass
"""

LEAVES_A_CHILD = """
    import atexit, subprocess, sys
    def test_leaves():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        atexit.register(lambda: (child.communicate(), None))
    def test_innocent():
        pass
"""

IN_COMMON = """
    import pytest
    from tests.functional.daemons import in_common
    pids = set()
    @pytest.mark.parametrize("n", range(3))
    def test_uses(n):
        pids.add(in_common().node.pid)
        assert len(pids) == 1
    def test_strews():
        (in_common().node.state_dir / "run" / "stray").touch()
"""

AFTER = """
    from tests.functional import daemons
    def test_after():
        assert not daemons._common
"""


@functools.cache
def guarded() -> tuple[int, str]:
    """One run in which each guard has something to find, as pytest takes a second to begin."""
    return run_pytest({"test_a.py": LEAVES_THE_MACHINE, "test_b.py": LEAVES_A_CHILD, "test_c.py": IN_COMMON, "test_d.py": AFTER})


class Guards(unittest.TestCase):
    """What fails a run."""

    def test_only_what_is_wrong(self) -> None:
        """All tests pass; two that did what they may not are errors, and no other."""
        code, output = guarded()
        self.assertEqual(1, code, output)
        self.assertIn("8 passed, 2 errors", output)

    def test_leaving_the_machine(self) -> None:
        """A test that tries to leave this machine fails although it swallowed the error."""
        self.assertRegex(guarded()[1], r"test_a.py::test_leaves - Failed: connect to \('192\.0\.2\.1', 9\)")

    def test_leaving_a_child(self) -> None:
        """A process that a test leaves behind fails the run, which names both."""
        self.assertRegex(
            guarded()[1], r"left behind: process \d+ \([\w-]+: .*input\(\)\), first seen after test_b.py::test_leaves\n"
        )
        self.assertEqual(1, guarded()[1].count("left behind"), guarded()[1])

    def test_a_child_fails_the_run(self) -> None:
        """Also when all tests have passed."""
        code, output = run_pytest({"test_b.py": LEAVES_A_CHILD})
        self.assertEqual(1, code, output)
        self.assertIn("2 passed", output)

    def test_a_node_in_common(self) -> None:
        """It is one for all tests of a module, and ends with them; what it leaves is an error."""
        self.assertRegex(guarded()[1], r"(?s)ERROR at teardown of test_strews.*left in /\S+/run: stray")

    def test_portable(self) -> None:
        """--portable keeps what says EVERY_PYTHON, and everything that is not functional and does not say the contrary."""
        files = {"test_a.py": "def test_unit(): pass", "test_b.py": "EVERY_PYTHON = False\ndef test_once(): raise ValueError"}
        code, output = run_pytest(files, "--portable")
        self.assertEqual(0, code, output)
        self.assertIn("1 passed, 1 deselected", output)
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--portable", "--collect-only", "-q"]
        argv.append("tests/functional")
        collected = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
        self.assertIn("functional/test_endings.py", collected)
        self.assertNotIn("functional/test_packaging.py", collected)
