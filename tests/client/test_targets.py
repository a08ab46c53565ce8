"""Which addresses a cluster's entries mean, and which secret each is dialled with."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest
from typing import Any

from dispytw.client.nodes import Address, NodeAllocate, node_entries
from dispytw.client.session import Target
from dispytw.client.targets import RUN_NODE, RUN_SECRET_FILE, Targets, find_targets
from dispytw.errors import AuthError
from dispytw.wire.certificates import Certificate
from dispytw.wire.credentials import Certified, new_secret, secret_credential, user_secret
from tests.wire.certifying import pair

PASSED, OF_RUN, OF_PRIVATE = new_secret(), new_secret(), new_secret()
RUN_ADDRESS = Address("127.0.0.1", 40001)
PRIVATE_ADDRESS = Address("127.0.0.1", 40002)


class TargetsTestCase(unittest.TestCase):
    """A user with an empty home."""

    def setUp(self) -> None:
        self.home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.home)
        self.environ = {"XDG_CONFIG_HOME": self.home}
        self.private_nodes = 0

    def under_run(self) -> None:
        """From now on the program runs under ``dispytw run``."""
        path = os.path.join(self.home, "run")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(OF_RUN)
        self.environ.update({RUN_NODE: str(RUN_ADDRESS), RUN_SECRET_FILE: path})

    def private_node(self) -> tuple[Address, Any]:
        """Stands for a private node."""
        self.private_nodes += 1
        return PRIVATE_ADDRESS, secret_credential(OF_PRIVATE)

    def find(
        self, nodes: object, secret: str = PASSED, node_port: int = 51348, certificate: Certificate | None = None
    ) -> Targets:
        """What a cluster with these nodes dials."""
        return find_targets(node_entries(nodes, node_port), node_port, secret, self.private_node, self.environ, certificate)

    def dialled(self, nodes: object, secret: str = PASSED) -> list[tuple[str, Any]]:
        """Address and credential of each target."""
        return [(str(target.address), target.credential) for target in self.find(nodes, secret).targets]


class Naming(TargetsTestCase):
    """Addresses."""

    def test_named_nodes(self) -> None:
        """Each entry is dialled where it says, with what the program passed."""
        credential = secret_credential(PASSED)
        expected = [("a:51348", credential), ("b:51400", credential), ("c:51500", credential), ("d:51348", credential)]
        self.assertEqual(expected, self.dialled(["a", "b:51400", NodeAllocate("c", 51500), NodeAllocate("d")]))

    def test_port(self) -> None:
        """Who is named without a port listens at the cluster's node_port."""
        found = self.find(["a", NodeAllocate("b"), "*", NodeAllocate("10.*", 5)], node_port=60000)
        self.assertEqual(["a:60000", "b:60000"], [str(target.address) for target in found.targets])
        self.assertEqual([60000, 5], [wildcard.port for wildcard in found.wildcards])

    def test_who_decides(self) -> None:
        """Which entry decides about a node is found by the address that was dialled; the first of two counts."""
        few, many = NodeAllocate("a", cpus=1), NodeAllocate("a", 51348, cpus=5)
        found = self.find([few, many, "b"])
        self.assertEqual(2, len(found.targets))
        self.assertIs(few, found.choices.exact[Address("a", 51348)])
        self.assertEqual("b", found.choices.exact[Address("b", 51348)].host)

    def test_patterns(self) -> None:
        """A star within an address dials nobody; it has a say about whatever is found."""
        found = self.find(["10.0.*", "a"])
        self.assertEqual(["a:51348"], [str(target.address) for target in found.targets])
        self.assertEqual(["10.0.*"], [entry.host for entry in found.choices.of(Address("10.0.7.7", 51348))])

    def test_a_port_in_a_host(self) -> None:
        """A NodeAllocate may name it there."""
        self.assertEqual(["a:51400", "[::1]:51348"], [address for address, _ in self.dialled([NodeAllocate("a:51400"), NodeAllocate("::1")])])

    def test_wildcards(self) -> None:
        """They dial nobody; each goes with its entry and what the program passed."""
        entry = NodeAllocate("10.0.*", cpus=1)
        found = self.find(["*", entry, "a"])
        self.assertEqual(["a:51348"], [str(target.address) for target in found.targets])
        credential = secret_credential(PASSED)
        self.assertEqual([("*", credential), ("10.0.*", credential)], [(each.pattern, each.credential) for each in found.wildcards])
        self.assertIs(entry, found.wildcards[1].entry)
        self.assertEqual((), self.find("a").wildcards)

    def test_local(self) -> None:
        """'local' is a private node with a secret of its own, whatever the program passed."""
        self.assertEqual([(str(PRIVATE_ADDRESS), secret_credential(OF_PRIVATE))], self.dialled("local"))
        self.assertEqual(1, self.private_nodes)

    def test_which_ends_with_the_program(self) -> None:
        """A private node is told apart: it does not outlive the program."""
        self.assertEqual([True, False], [target.private for target in self.find(["local", "a"]).targets])
        self.under_run()
        self.assertEqual([True, False], [target.private for target in self.find(["*", "a"]).targets])

    def test_no_private_node_unasked(self) -> None:
        """A private node is started for 'local' only."""
        self.find(["*", "a", "localhost"])
        self.assertEqual(0, self.private_nodes)


class Secrets(TargetsTestCase):
    """Credentials."""

    def test_nothing_passed(self) -> None:
        """Without a secret it is the user's own, made at first use."""
        targets = self.dialled("a", secret="")
        self.assertEqual([("a:51348", secret_credential(user_secret(self.environ)))], targets)

    def test_chosen_by_the_environment(self) -> None:
        """A secret in the environment counts more than what the program passed, for ordinary nodes only."""
        self.environ["DISPYTW_SECRET"] = chosen = new_secret()
        expected = [("a:51348", secret_credential(chosen)), (str(PRIVATE_ADDRESS), secret_credential(OF_PRIVATE))]
        self.assertEqual(expected, self.dialled(["a", "local"]))

    def test_a_private_node_needs_no_secret_of_the_user(self) -> None:
        """No secret file is made in the user's home for a private node, nor under ``dispytw run``."""
        self.dialled("local", secret="")
        self.under_run()
        self.dialled("*", secret="")
        self.assertEqual(["run"], os.listdir(self.home))


class Certificates(TargetsTestCase):
    """With a certificate."""

    own = pair().as_certificate()

    def credentials(self, nodes: object, secret: str = "") -> list[Any]:
        """What each target is dialled with, and then what will be found."""
        found = self.find(nodes, secret, certificate=self.own)
        return [*(target.credential for target in found.targets), *(each.credential for each in found.wildcards)]

    def test_alone(self) -> None:
        """The user's own secret is not asked for, and none is made."""
        self.assertEqual([Certified(self.own)] * 2, self.credentials(["a", "*"]))
        self.assertEqual([], os.listdir(self.home))

    def test_beside_a_secret(self) -> None:
        """One that the program passed, or that is set in the environment: both must pass."""
        self.assertEqual([Certified(self.own, secret_credential(PASSED))], self.credentials("a", PASSED))
        self.environ["DISPYTW_SECRET"] = chosen = new_secret()
        self.assertEqual([Certified(self.own, secret_credential(chosen))], self.credentials("a"))

    def test_a_private_node(self) -> None:
        """Is opened by its own secret, 'local' and under ``dispytw run``."""
        self.under_run()
        nodes = ["local", "*", "a"]
        self.assertEqual([secret_credential(OF_PRIVATE), secret_credential(OF_RUN), Certified(self.own)], self.credentials(nodes))


class UnderRun(TargetsTestCase):
    """A program started by ``dispytw run``."""

    def setUp(self) -> None:
        super().setUp()
        self.under_run()
        self.run_target = (str(RUN_ADDRESS), secret_credential(OF_RUN))

    def test_star(self) -> None:
        """A star means the private node, and nobody is asked; any other wildcard is one."""
        self.assertEqual([self.run_target], self.dialled("*"))
        self.assertEqual((), self.find("*").wildcards)
        self.assertEqual(["10.*"], [each.pattern for each in self.find(["*", "10.*"]).wildcards])
        self.assertEqual("*", self.find("*").choices.exact[RUN_ADDRESS].host)

    def test_whatever_was_passed(self) -> None:
        """The private node is opened by its own secret, however it is named and whatever else is passed or set."""
        self.environ["DISPYTW_SECRET"] = new_secret()
        for nodes in ("*", str(RUN_ADDRESS), NodeAllocate("127.0.0.1", 40001, cpus=1)):
            for secret in (PASSED, ""):
                self.assertEqual([self.run_target], self.dialled([nodes], secret))

    def test_other_nodes(self) -> None:
        """Its secret goes to no other address."""
        nodes = ["*", "127.0.0.1", "127.0.0.1:40003", "other:40001", "local"]
        passed = secret_credential(PASSED)
        expected = [
            self.run_target,
            ("127.0.0.1:51348", passed),
            ("127.0.0.1:40003", passed),
            ("other:40001", passed),
            (str(PRIVATE_ADDRESS), secret_credential(OF_PRIVATE)),
        ]
        self.assertEqual(expected, self.dialled(nodes))

    def test_named_twice(self) -> None:
        """Star and address are one target."""
        found = self.find(["*", str(RUN_ADDRESS)])
        self.assertEqual((Target(RUN_ADDRESS, secret_credential(OF_RUN)),), found.targets)

    def test_a_secret_that_others_can_read(self) -> None:
        """The file must be the user's alone."""
        os.chmod(self.environ[RUN_SECRET_FILE], 0o644)
        with self.assertRaisesRegex(AuthError, "chmod 600"):
            self.find("*")
