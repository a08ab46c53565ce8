"""The fixture that owns a test's processes keeps its promises."""

from __future__ import annotations

import io
import json
import os
import unittest
from collections.abc import Callable
from contextlib import redirect_stderr

from tests.functional.daemons import Common, Daemons, DeadlineError

#: Starts a child in a session of its own, says its pid, and ends without it.
LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
print(child.pid, flush=True)
child.returncode = 0
"""


def outcome_of(story: Callable[[Daemons], None], seconds: float = 30.0) -> tuple[unittest.TestResult, Daemons]:
    """Runs a test that consists of this story; what became of it."""
    made = []

    class Inner(unittest.TestCase):
        def runTest(self) -> None:
            made.append(Daemons(self, seconds))
            made[0].patience = 0.1  # what these leave behind does not end by itself
            story(made[0])

    result = unittest.TestResult()
    with redirect_stderr(io.StringIO()):
        Inner().run(result)
    return result, made[0]


class Programs(unittest.TestCase):
    """Programs that a test runs."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def test_what_a_program_says(self) -> None:
        """Exit status, standard output and standard error come back as they were."""
        done = self.daemons.program("import sys; sys.stdout.buffer.write(b'\\xff'); sys.exit(sys.argv[1])", "no")
        self.assertEqual((1, b"\xff", "no\n"), (done.code, done.stdout, done.err))

    def test_empty_home(self) -> None:
        """A program sees an empty home, the package under test, and nothing of the tester's settings."""
        os.environ["DISPYTW_CANARY"] = "sings"
        self.addCleanup(os.environ.pop, "DISPYTW_CANARY")
        source = "import os, json, dispytw; print(json.dumps([os.listdir(os.path.expanduser('~')), dict(os.environ)]))"
        names, environment = json.loads(self.daemons.program(source).out)
        self.assertEqual([], names)
        self.assertNotIn("DISPYTW_CANARY", environment)
        self.assertEqual(self.daemons.mark, environment["DISPYTW_TEST"])


class Promises(unittest.TestCase):
    """What happens when a test does not clean up."""

    def test_quiet_end(self) -> None:
        """A test that leaves nothing passes, and its directory is gone."""
        result, daemons = outcome_of(lambda daemons: self.assertEqual(0, daemons.program("").code))
        self.assertTrue(result.wasSuccessful(), result)
        self.assertFalse(daemons.root.exists())

    def test_left_behind(self) -> None:
        """A process that left its session and its parent is found, named, ended, and fails the test."""
        pids = []
        result, daemons = outcome_of(lambda daemons: pids.append(daemons.program(LEAVES_A_CHILD).out.strip()))
        self.assertIn(f"left behind: process {pids[0]}: ", result.failures[0][1])
        self.assertEqual([], daemons.marked())

    def test_trespass(self) -> None:
        """A program that tries to send something off this machine fails the test, even if it swallowed the error; nothing is sent."""
        source = "import socket; s = socket.socket(type=socket.SOCK_DGRAM)\ntry: s.sendto(b'', ('192.0.2.1', 9))\nexcept OSError: pass"
        result, _ = outcome_of(lambda daemons: self.assertEqual(0, daemons.program(source).code))
        self.assertRegex(result.failures[0][1], r"process \d+ \(\S+program\.py\): sendto to \('192\.0\.2\.1', 9\)")

    def test_left_in_run(self) -> None:
        """What a node leaves in its run directory is named, and fails the test."""

        def strews(daemons: Daemons) -> None:
            (daemons.node().state_dir / "run" / "stray").touch()

        result, _ = outcome_of(strews)
        self.assertRegex(result.failures[0][1], r"left in /\S+/run: stray")

    def test_deadline(self) -> None:
        """A test that waits too long fails where it waits; logs are printed, processes are gone."""
        caught = []

        def waits(daemons: Daemons) -> None:
            try:
                daemons.program("import signal; print('here I am', flush=True); signal.pause()")
            except DeadlineError as error:
                caught.append(error)

        result, daemons = outcome_of(waits, seconds=1.0)
        self.assertEqual(1, len(caught))
        self.assertIn("more than 1 seconds", result.failures[0][1])
        self.assertEqual([], daemons.marked())
        self.assertFalse(daemons.root.exists())


class InCommon(unittest.TestCase):
    """A node that several tests have in common."""

    def test_it_outlives_tests(self) -> None:
        """Its processes are not those of the tests meanwhile; what they leave is found in the end."""
        common = Common()
        common.daemons.patience = 0.1
        self.addCleanup(common.daemons._end_all)
        pid = common.daemons.program(LEAVES_A_CHILD).out.strip()
        for _ in range(2):
            result, _ = outcome_of(lambda daemons: self.assertEqual(0, daemons.program("").code))
            self.assertTrue(result.wasSuccessful(), result)
            self.assertIsNone(common.node.process.poll())
        with self.assertRaisesRegex(AssertionError, rf"left behind: process {pid}: "):
            common.end()
        self.assertEqual([], common.daemons.marked())
        self.assertFalse(common.daemons.root.exists())


class Nodes(unittest.TestCase):
    """Nodes that a test starts."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def test_a_node_listens_and_ends(self) -> None:
        """A node says where it listens, and ends on SIGTERM with exit status 0 and nothing left."""
        node = self.daemons.node("--cpus", "1")
        self.assertEqual("127.0.0.1", node.host)
        self.assertIn(node.pid, [process.pid for process in self.daemons.marked()])
        self.assertEqual(0, node.stop(), node.log())
        self.assertEqual([], self.daemons.marked())

    def test_a_node_that_does_not_start(self) -> None:
        """A node that ends before it listens fails the test with what it said."""
        with self.assertRaisesRegex(AssertionError, r"(?s)ended before it listened.*exit status"):
            self.daemons.node("--no-such-option")
