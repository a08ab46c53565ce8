"""Every code example of dispy's client manual runs, unchanged but for what tests/functional/manualexamples.py lists."""

from __future__ import annotations

import shlex
import unittest

from tests.functional import manualexamples as manual
from tests.functional.daemons import Completed, Daemons
from tests.functional.manualexamples import Example


class ManualTestCase(unittest.TestCase):
    """Programs that say ``import dispy`` find dispytw under that name."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.daemons.file("dispy.py", "import sys, dispytw\nsys.modules['dispy'] = dispytw\n")

    def run_example(self, example: Example, node: str) -> Completed:
        """Run it, and look at what it says."""
        done = self.daemons.program(self.daemons.file("example.py", example.program(node)))
        self.assertEqual(0, done.code, f"{example.section}\n{done}")
        self.assertRegex(done.out, example.said, f"{example.section}\n{done}")
        return done


class Examples(ManualTestCase):
    """One after another."""

    def test_recovering(self) -> None:
        """A program that was killed after it had submitted five jobs, and the one that gets their results."""
        node = self.daemons.node("--cpus", "5")
        crashed = self.daemons.program(manual.CRASHED.replace("NODE", node.address))
        self.assertEqual(-9, crashed.code, crashed)
        done = self.run_example(manual.RECOVER, node.address)
        self.assertEqual(sorted(f"Job result: {n * n}" for n in range(5)), sorted(done.out.splitlines()))

    def test_certificates(self) -> None:
        """Made by the manual's three commands; key and certificate in two files, and in one."""
        commands = manual.SSL_COMMANDS
        for change in manual.SSL_CHANGES:
            commands = commands.replace(change.was, change.becomes)
        for command in commands.splitlines():
            self.assertEqual(0, self.daemons.run(shlex.split(command)).code, command)
        key, certificate = (self.daemons.root / name for name in ("dispy.key", "dispy.cert"))
        key.chmod(0o600)
        self.daemons.file("dispy.keycert", key.read_bytes() + certificate.read_bytes(), mode=0o600)
        node = self.daemons.node("--certfile", str(certificate), "--keyfile", str(key))
        for example in (manual.SSL, manual.KEYCERT):
            self.run_example(example, node.address)

    def test_cloud(self) -> None:
        """A node by its name; with an address of ours that it does not need; and with the one through which it is reached."""
        node = self.daemons.node("--cpus", "2")
        for example in (manual.CLOUD, manual.CLOUD_BEHIND_A_ROUTER, manual.CLOUD_BY_SSH):
            self.run_example(example, node.address)

    def test_filter(self) -> None:
        """A NodeAllocate that looks at what a node has to offer."""
        self.run_example(manual.FILTER, self.daemons.node("--cpus", "2").address)


class Speaking(ManualTestCase):
    """Those in which jobs speak while they run."""

    def test_provisional_results(self) -> None:
        """Jobs say what they have found so far, until it is good enough, and all are cancelled."""
        self.run_example(manual.PROVISIONAL, self.daemons.node("--cpus", "4").address)

    def test_sending_files(self) -> None:
        """A file that a job has made is where the program runs."""
        self.run_example(manual.SEND_FILE, self.daemons.node("--cpus", "1").address)


class Changes(unittest.TestCase):
    """What is changed in the examples."""

    def test_reasons(self) -> None:
        """Each change has one of the three reasons, and is of something that the manual says."""
        reasons = (manual.ADDRESS, manual.DURATION, manual.CORRECTION)
        examples = [each for each in vars(manual).values() if isinstance(each, Example)]
        self.assertGreaterEqual(len(examples), 9)
        for example in examples:
            example.program("127.0.0.1:1")
            for change in example.changes:
                self.assertTrue(change.why.startswith(reasons), change)
