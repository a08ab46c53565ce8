"""A job does not find its node's secret: not in what it inherits, and not in what /proc tells of the daemon."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dispytw.wire.credentials import new_secret, secret_credential
from tests.functional.daemons import NODE, Daemons
from tests.wire.certifying import pair, write_pair

#: Who the node is when root runs the tests, as root may look into every process. That it can open every file, as the interpreter may
#: lie where only root gets, helps it to find the secret, if at all.
NOBODY = 65534
UNPRIVILEGED: tuple[str, ...] = (
    ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    if os.geteuid() == 0
    else ()
)

#: A node that hides nothing.
CARELESS = """
from dispytw.node import service, supervisorlink, tap

def kept(environment, computation):
    return {**environment, b"DISPYTW_COMPUTATION": computation.hex().encode()}

supervisorlink.scrubbed = kept
service.hide_process = lambda: None
tap.main()
"""

#: What the job looks for are the secret and the key made from it, each byte raised by one, in what it reads, raised alike: so it never
#: has in its own memory what it looks for.
SPY = """
import json, os, sys
import dispytw as dispy
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

RAISED = bytes((byte + 1) % 256 for byte in range(256))
MOST = 1 << 20

def spy(daemon, raised):
    spied = Spied([bytes.fromhex(each) for each in raised])
    spied.look("own environment", repr(os.environ).encode() + repr(os.environb).encode())
    for who, pid in (("own", os.getpid()), ("supervisor's", os.getppid()), ("daemon's", daemon)):
        spied.process(who, f"/proc/{pid}")
    return spied.found, spied.refused, spied.bytes, os.getuid()

class Spied:
    def __init__(self, wanted):
        self.wanted, self.found, self.refused, self.bytes = wanted, [], [], {}

    def look(self, where, content):
        content = content.translate(RAISED)
        self.bytes[where] = self.bytes.get(where, 0) + len(content)
        for number, each in enumerate(self.wanted):
            if each in content:
                self.found.append(f"{('secret', 'key')[number]} in {where}")

    def process(self, who, proc):
        for part in (self.files, self.descriptors, self.memory):
            try:
                part(who, proc)
            except PermissionError as error:
                self.refused.append(f"{who} {error.filename[len(proc) + 1:]}")
            except (FileNotFoundError, ProcessLookupError):
                pass

    def files(self, who, proc):
        for name in ("cmdline", "environ"):
            with open(f"{proc}/{name}", "rb") as file:
                self.look(f"{who} {name}", file.read())

    def descriptors(self, who, proc):
        for name in os.listdir(f"{proc}/fd"):
            target = os.readlink(f"{proc}/fd/{name}")
            self.look(f"{who} fd", target.encode())
            if os.path.isfile(f"{proc}/fd/{name}"):
                with open(f"{proc}/fd/{name}", "rb") as file:
                    self.look(f"{who} fd", file.read(MOST))

    def memory(self, who, proc):
        with open(f"{proc}/maps") as maps, open(f"{proc}/mem", "rb", 0) as memory:
            for line in maps:
                span, mode = line.split()[:2]
                begin, end = (int(each, 16) for each in span.split("-"))
                if mode[:2] == "rw":
                    self.region(who, memory, begin, end)

    def region(self, who, memory, begin, end):
        before = b""
        for place in range(begin, end, MOST):
            try:
                content = os.pread(memory.fileno(), min(MOST, end - place), place)
            except OSError:
                return
            self.look(f"{who} memory", before + content)
            before = content[-100:]

if __name__ == "__main__":
    address, daemon, credential, *raised = sys.argv[1:]
    with dispy.JobCluster(spy, nodes=[address], **json.loads(credential)) as cluster:
        job = cluster.submit(int(daemon), raised)
        print(json.dumps(job()), job.exception or "")
"""


class SecrecyTests(SynchronousTestCase):
    """A job that reads whatever it is let."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.secret = new_secret()

    def spied(self, command: Sequence[str], in_file: bool) -> tuple[set[str], list[str], dict[str, int]]:
        """What the job found, what it was refused, and how many bytes it saw of what."""
        options: tuple[str, ...] = ()
        env = {"DISPYTW_SECRET": self.secret}
        if in_file:
            options = ("--secret-file", str(self.owned(self.daemons.file("secret", self.secret, mode=0o600))))
            env = {}
        wanted = [self.secret.encode(), secret_credential(self.secret).key]
        return self.spied_with(command, options, env, {"secret": self.secret}, wanted)

    def spied_with(
        self, command: Sequence[str], options: Sequence[str], env: dict[str, str], credential: dict[str, str], wanted: list[bytes]
    ) -> tuple[set[str], list[str], dict[str, int]]:
        """The same of any node, and of any two things that are not to be found."""
        state_dir = self.daemons.root / "state"
        state_dir.mkdir(mode=0o700)
        node = self.daemons.node(
            *options, env=env, state_dir=self.owned(state_dir), command=(*UNPRIVILEGED, *command)
        )
        raised = [bytes((byte + 1) % 256 for byte in each).hex() for each in wanted]
        done = self.daemons.program(SPY, node.address, str(node.pid), json.dumps(credential), *raised)
        self.assertEqual((0, ""), (done.code, done.err), done)
        found, refused, seen, uid = json.loads(done.out)
        self.assertNotEqual(0, uid)
        return set(found), refused, seen

    def owned(self, path: Path) -> Path:
        """Gives a file to whoever runs the node."""
        if UNPRIVILEGED:
            os.chown(path, NOBODY, NOBODY)
        return path

    def spied_for_the_key(self, command: Sequence[str]) -> tuple[set[str], list[str], dict[str, int]]:
        """The same of a node with a certificate: a line of its key's file is the secret, the number that the key is, the key."""
        own, theirs = (self.daemons.root / name for name in ("own", "theirs"))
        credentials = []
        for directory in (own, theirs):
            directory.mkdir(mode=0o700)
            credentials.append(dict(zip(("certfile", "keyfile"), write_pair(directory, pair()))))
        for path in (theirs, *theirs.iterdir()):
            self.owned(path)
        options = [word for name, path in credentials[1].items() for word in (f"--{name}", path)]
        wanted = [pair().key_pem.splitlines()[1], pair().key.private_numbers().private_value.to_bytes(32, "big")]
        return self.spied_with(command, options, {}, credentials[0], wanted)

    def assert_hidden(self, found: set[str], refused: list[str], seen: dict[str, int]) -> None:
        self.assertEqual(set(), found)
        self.assertLessEqual({"daemon's environ", "daemon's maps"}, set(refused))
        for where in ("own environment", "own environ", "own fd", "supervisor's fd", "supervisor's environ", "daemon's cmdline"):
            self.assertGreater(seen[where], 0, where)
        for where in ("own memory", "supervisor's memory"):
            self.assertGreater(seen[where], 2_000_000, where)
        self.assertFalse([where for where in seen if where.startswith("daemon's") and where != "daemon's cmdline"])

    def test_secret_in_the_environment(self) -> None:
        """A secret that the node has from its environment."""
        self.assert_hidden(*self.spied(NODE, in_file=False))

    def test_secret_in_a_file(self) -> None:
        """A secret that the node has from a file."""
        self.assert_hidden(*self.spied(NODE, in_file=True))

    def test_private_key(self) -> None:
        """A private key, of which the node's command line tells the file and nothing more."""
        self.assert_hidden(*self.spied_for_the_key(NODE))

    def careless(self) -> tuple[str, str]:
        return sys.executable, str(self.daemons.file("careless.py", CARELESS))

    def test_careless_node_with_a_secret_in_the_environment(self) -> None:
        """The job would find it: of a node that hides nothing it does, everywhere."""
        found, _, _ = self.spied(self.careless(), in_file=False)
        places = ("own environment", "own environ", "own memory", "supervisor's environ", "daemon's environ", "daemon's memory")
        self.assertLessEqual({f"secret in {place}" for place in places}, found)
        self.assertIn("key in daemon's memory", found)

    def test_careless_node_with_a_secret_in_a_file(self) -> None:
        """... and so it does with a file."""
        found, _, _ = self.spied(self.careless(), in_file=True)
        self.assertIn("key in daemon's memory", found)
        self.assertFalse([each for each in found if "daemon's" not in each], found)

    def test_careless_node_with_a_private_key(self) -> None:
        """... and with a certificate: the key's number is in the daemon's memory, if nowhere else."""
        found, _, _ = self.spied_for_the_key(self.careless())
        self.assertIn("daemon's memory", {each.partition(" in ")[2] for each in found})
        self.assertFalse([each for each in found if "daemon's" not in each], found)
