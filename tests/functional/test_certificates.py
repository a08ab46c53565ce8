"""Certificates with real nodes and programs: a pair, a private authority, a secret beside it, and who is turned away."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import NODE, Completed, Daemons, RunningNode
from tests.functional.telling import Gate, TellingProgram
from tests.wire.certifying import Issued, authority, issue, pair, write, write_pair

#: Waits for its jobs, or for the gate if there is one.
PROGRAM = """
import fcntl, json
import dispytw as dispy
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

def compute(n):
    return n * n

if __name__ == "__main__":
    address, options, *gate = sys.argv[1:]
    options = json.loads(options)
    cluster = dispy.JobCluster(compute, nodes=[address], **options)
    jobs = [cluster.submit(n) for n in range(5)]
    if gate:
        with open(gate[0]) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    else:
        cluster.wait()
    print([job.result for job in jobs])
    cluster.close(terminate=True)
"""

DONE = "[0, 1, 4, 9, 16]\n"
NOTHING = "[None, None, None, None, None]\n"


class CertificateTests(SynchronousTestCase):
    """Real nodes, real programs."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def directory(self, name: str) -> Path:
        """One end's own directory."""
        path = self.daemons.root / name
        path.mkdir(mode=0o700)
        return path

    def node(self, issued: Issued, *options: str, cafile: Issued | None = None, secret: str | None = None) -> RunningNode:
        """A node with this certificate."""
        directory = self.directory("node")
        certfile, keyfile = write_pair(directory, issued)
        if cafile is not None:
            options = ("--cafile", write(directory, "ca", cafile.certificate_pem), *options)
        return self.daemons.node("--certfile", certfile, "--keyfile", keyfile, *options, secret=secret)

    def program(
        self, node: RunningNode, issued: Issued, cafile: Issued | None = None, secret: str = "", until: str = ""
    ) -> Completed:
        """What becomes of a program with this certificate, which waits for its jobs, or until it has said these words."""
        directory = self.directory("program")
        options = dict(zip(("certfile", "keyfile"), write_pair(directory, issued)))
        if cafile is not None:
            options["cafile"] = write(directory, "ca", cafile.certificate_pem)
        done = self.told(node, {**options, "secret": secret}, until)
        self.assertEqual(0, done.code, done)
        return done

    def told(self, node: RunningNode, options: dict[str, str], until: str) -> Completed:
        """What becomes of a program with these options."""
        if not until:
            return TellingProgram(self.daemons, PROGRAM, node.address, json.dumps(options)).wait()
        gate = Gate(self, self.daemons.root / "gate")
        program = TellingProgram(self.daemons, PROGRAM, node.address, json.dumps(options), gate.path)
        program.hear(until)
        gate.open()
        return program.wait()

    def assert_works(self, done: Completed) -> None:
        """All jobs have run, and there was nothing to say; no secret was made on the way."""
        self.assertEqual((DONE, ""), (done.out, done.err), done)
        self.assertEqual([], list(self.daemons.home.iterdir()))

    def test_pair(self) -> None:
        """The same pair on both machines."""
        self.assert_works(self.program(self.node(pair()), pair()))

    def test_authority(self) -> None:
        """A private authority has issued a certificate for the program, and one for the node's address."""
        node = self.node(issue("127.0.0.1", by=authority()), cafile=authority())
        self.assert_works(self.program(node, issue("dispytw:client", by=authority()), cafile=authority()))

    def test_secret_beside_a_pair(self) -> None:
        """Both are asked for, and both pass."""
        self.assert_works(self.program(self.node(pair(), secret="a secret"), pair(), secret="a secret"))

    def test_right_pair_and_wrong_secret(self) -> None:
        """The certificate alone does not help, nor does the secret; each end says what is wrong."""
        node = self.node(pair(), secret="a secret")
        done = self.program(node, pair(), secret="another", until="cannot be used")
        self.assertEqual(NOTHING, done.out)
        self.assertIn(f"node {node.address} cannot be used: wrong secret", done.err)
        node.hear("wrong secret")
        node.stop()
        self.assertIn("wrong secret: this end and 127.0.0.1:", node.log())

    def test_another_pair(self) -> None:
        """Is turned away, which both ends say once, in one line, with the other's address and the fix."""
        node = self.node(pair())
        done = self.program(node, pair("other"), until="cannot be used")
        self.assertEqual(NOTHING, done.out)
        (said,) = [line for line in done.err.splitlines() if "cannot be used" in line]
        self.assertIn(f"node {node.address} cannot be used: the certificate of {node.address} is refused: it is not the one", said)
        self.assertIn("without a cafile both ends need the same certfile and keyfile", said)
        node.hear("refused")
        node.stop()
        (logged,) = [line for line in node.log().splitlines() if "refused" in line]
        self.assertRegex(logged, r"refused 127\.0\.0\.1:\d+: the certificate of 127\.0\.0\.1:\d+ is refused: it is not the one")

    def test_a_program_without_a_certificate(self) -> None:
        """Is told by the node that it needs one."""
        node = self.node(pair())
        done = self.told(node, {"secret": "a secret"}, until="refuses the certificate")
        self.assertIn(f"{node.address} refuses the certificate of this end: there is none; give both ends one, by certfile=", done.err)

    def test_a_node_that_cannot_start(self) -> None:
        """A key of another pair: one line, exit status 1, and the key is not in it."""
        certfile, _ = write_pair(self.daemons.root, pair())
        _, keyfile = write_pair(self.daemons.root, pair("other"), "other")
        done = self.daemons.run([*NODE, "--certfile", certfile, "--keyfile", keyfile])
        self.assertEqual((1, ""), (done.code, done.out))
        self.assertEqual(
            f"dispynode: the key in {keyfile} does not belong to the first certificate in {certfile}: give both of one pair\n", done.err
        )
