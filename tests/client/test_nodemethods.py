"""What a cluster offers about single nodes, and what each method asks of the session."""

from __future__ import annotations

import logging
from typing import Any
from unittest import mock

from twisted.internet.defer import succeed

from dispytw.client import nodemethods
from dispytw.client.cluster import JobCluster
from dispytw.client.job import DispyJob
from dispytw.client.nodes import Address, DispyNode, NodeAllocate
from dispytw.errors import AmbiguousNodeError, ClusterClosedError, ReactorThreadError, UnknownNodeError
from dispytw.values import NodeFacts
from tests.client.clustering import ClusterTestCase

SEVEN, EIGHT, NINE = b"7" * 16, b"8" * 16, b"9" * 16
PLACES = {SEVEN: ("10.0.0.7", 51348), EIGHT: ("10.0.0.8", 51348), NINE: ("10.0.0.8", 51400)}


class NodeCase(ClusterTestCase):
    """A cluster that has found three nodes, two of which share an address."""

    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(nodemethods, "_addresses_of", lambda host: ("10.0.0.7",) if host == "also-seven" else ())
        patch.start()
        self.addCleanup(patch.stop)
        self.made = self.cluster(nodes=["10.0.0.7", "10.0.0.8:51348", "10.0.0.8:51400", "10.0.1.*"])
        for uid, (host, port) in PLACES.items():
            self.find(uid, host, port)
        self.session.asked.clear()

    def find(self, uid: bytes, host: str, port: int) -> None:
        """A node is found."""
        self.made.view.node_found(NodeFacts(uid, 1, f"n{uid[:1].decode()}", 4), Address(host, port))

    def warned(self) -> Any:
        return self.assertLogs("dispytw", logging.WARNING)


class Submitting(NodeCase):
    """Jobs for one node alone, and jobs with an id."""

    def test_one_node(self) -> None:
        """However it is named, the session is told which one it is; a DispyNode as cluster_status gets it, too."""
        for node in ("10.0.0.7", "n7", "10.0.0.7:51348", "also-seven", self.made.view.nodes[SEVEN]):
            job = self.made.submit_node(node, 3, plus=1)
            self.assertIsInstance(job, DispyJob)
        self.made.submit(3)
        self.assertEqual([*[SEVEN] * 5, None], self.session.pinned)

    def test_ids(self) -> None:
        """From the start: written down before the job can leave. Anything but None is one, 0 too."""
        identified: list[Any] = []
        with mock.patch.object(self.made.view.file, "identified", lambda job, value: identified.append(value)):
            jobs = [self.made.submit_job_id(wanted, 1) for wanted in ("first", 0, (1, 2))]
            jobs.append(self.made.submit_job_id_node("there", "n8", 1))
        self.assertEqual(["first", 0, (1, 2), "there"], [job.id for job in jobs])
        self.assertEqual(identified, [job.id for job in jobs])
        self.assertEqual([None, None, None, EIGHT], self.session.pinned)
        self.assertIsInstance(self.made.submit_job_id(None, 1).id, int)

    def test_no_such_node(self) -> None:
        """Is an error, not None; so is one that may be either of two."""
        with self.assertRaisesRegex(UnknownNodeError, r"^submit_node: node: the cluster knows no node '10.0.0.9'; known: 10.0.0.7:51348"):
            self.made.submit_node("10.0.0.9", 1)
        with self.assertRaisesRegex(AmbiguousNodeError, r"'10.0.0.8' may be any of '10.0.0.8:51348', '10.0.0.8:51400'"):
            self.made.submit_job_id_node("x", "10.0.0.8", 1)
        with self.assertRaisesRegex(TypeError, "node must be a DispyNode, an IP address, a host name or 'host:port', not 7"):
            self.made.submit_node(7, 1)
        self.assertEqual([], self.session.submitted)

    def test_a_node_of_no_use(self) -> None:
        """Is an error that says why, as long as that is so."""
        for refuse, why in (
            (lambda: self.made.view.node_closed(SEVEN, "setup failed", True), "setup failed"),
            (lambda: self.made.deallocate_node("n7"), "it was deallocated"),
            (lambda: self.made.close_node("n7"), "it was closed"),
        ):
            refuse()
            with self.assertRaisesRegex(UnknownNodeError, rf"compute does not use node 10.0.0.7:51348 \(n7\): {why}"):
                self.made.submit_node("n7", 1)
            self.made.resetup_node("n7")
            self.made.submit_node("n7", 1)

    def test_a_node_that_has_not_answered_yet(self) -> None:
        """One that the cluster names is waited for; another one is not."""
        made = self.cluster(nodes=["10.0.0.5", "10.0.0.6:9"])
        waits: list[float] = []

        def wait(seconds: float, known: int) -> bool:
            waits.append(seconds)
            made.view.node_found(NodeFacts(bytes([len(waits)]) * 16, 1, "n", 4), Address(f"10.0.0.{4 + len(waits)}", 51348))
            return len(waits) < 3

        with mock.patch.object(made.view, "wait_for_nodes", wait):
            made.submit_node("10.0.0.5", 1)
            self.assertEqual((1, bytes([1]) * 16), (len(waits), self.session.pinned[-1]))
            for other in ("10.0.0.9", "10.0.0.5:9"):
                self.assertRaises(UnknownNodeError, made.submit_node, other, 1)
            self.assertEqual(1, len(waits))
            self.assertRaises(UnknownNodeError, made.submit_node, "10.0.0.6:9", 1)
            self.assertEqual(3, len(waits), "nobody came any more")
            self.engine.refusal = ReactorThreadError("no")
            self.assertRaises(UnknownNodeError, made.submit_node, "10.0.0.6:9", 1)
        self.assertEqual(3, len(waits), "where that would never end, nobody waits")
        self.assertLessEqual(max(waits), nodemethods.ANSWERING)

    def test_closed(self) -> None:
        """A closed cluster says so."""
        self.made.close()
        self.assertRaises(ClusterClosedError, self.made.submit_node, "n7", 1)
        self.assertRaises(ClusterClosedError, self.made.submit_job_id, 1, 1)


class Asking(NodeCase):
    """What runs on a node."""

    def test_node_jobs(self) -> None:
        """As it is known here, or as the node says."""
        self.session.answers.update(jobs_at=["here"], ask_for_jobs=["there"])
        self.assertEqual(["here"], self.made.node_jobs("n7"))
        self.assertEqual(["there"], self.made.node_jobs(self.made.view.nodes[SEVEN], from_node=True))
        self.assertEqual([("jobs_at", self.made.uid, SEVEN), ("ask_for_jobs", self.made.uid, SEVEN)], self.session.asked)

    def test_nobody_to_say(self) -> None:
        """A node that does not answer, or is not known, has none, with a warning; which of two is meant has to be said."""
        with self.warned() as logs:
            self.assertEqual([], self.made.node_jobs("n7", from_node=True))
            self.assertEqual([], self.made.node_jobs("10.0.0.9"))
        self.assertRegex(logs.output[0], "node_jobs: node n7 does not answer")
        self.assertRegex(logs.output[1], "node_jobs: node: the cluster knows no node '10.0.0.9'")
        self.assertRaises(AmbiguousNodeError, self.made.node_jobs, "10.0.0.8")


class Using(NodeCase):
    """Which nodes are used, and how."""

    def test_leaving_and_renewing(self) -> None:
        """Each method asks the session, for the node that is meant, and returns 0."""
        uid = self.made.uid
        self.assertEqual([0] * 5, [
            self.made.deallocate_node("n7"),
            self.made.close_node("n7"),
            self.made.close_node("n7", terminate_pending=True),
            self.made.resetup_node(self.made.view.nodes[NINE]),
            self.made.resetup_node("n7", True),
        ])  # fmt: skip
        self.assertEqual(
            [
                ("deallocate_node", uid, SEVEN),
                ("close_node", uid, SEVEN, False),
                ("close_node", uid, SEVEN, True),
                ("resetup_node", uid, NINE, False),
                ("resetup_node", uid, SEVEN, True),
            ],
            self.session.asked,
        )

    def test_no_such_node(self) -> None:
        """-1, and a warning that names it and those that are known; nothing is asked of the session."""
        methods = (self.made.deallocate_node, self.made.close_node, self.made.resetup_node, lambda node: self.made.set_node_cpus(node, 1))
        for method in methods:
            with self.warned() as logs:
                self.assertEqual(-1, method("10.0.0.9"))
            self.assertRegex(logs.output[0], r"(deallocate|close|resetup|set)_node.*: node: the cluster knows no node '10.0.0.9'; known:")
        self.assertEqual([], self.session.asked)

    def test_wrong_types(self) -> None:
        """Are named."""
        for call, words in (
            (lambda: self.made.close_node("n7", 1), "close_node: terminate_pending must be True or False, not 1"),
            (lambda: self.made.resetup_node("n7", "yes"), "resetup_node: terminate_pending must be"),
            (lambda: self.made.set_node_cpus("n7", 1.5), "set_node_cpus: cpus must be a whole number, not 1.5"),
            (lambda: self.made.set_node_cpus("n7", True), "set_node_cpus: cpus must be"),
            (lambda: self.made.allocate_node(5), "not 5"),
            (lambda: self.made.discover_nodes([5]), "not 5"),
        ):
            with self.assertRaisesRegex(TypeError, words):
                call()

    def test_cpus(self) -> None:
        """What the session answers."""
        self.session.answers["limit_node"] = 3
        self.assertEqual(3, self.made.set_node_cpus("n7", -1))
        self.assertEqual([("limit_node", SEVEN, -1)], self.session.asked)


class More(NodeCase):
    """Nodes that come later."""

    def targets(self) -> list[tuple[str, list[str]]]:
        """What was asked of the session, with addresses."""
        return [(name, [str(each.address) for each in rest[-1]]) for name, *rest in self.session.asked if name in ("extend", "dial_again")]

    def test_new_ones(self) -> None:
        """Whatever ``nodes`` may be, one or a list; they are dialled with what the cluster is opened with."""
        self.assertEqual([0, 0, 0], [self.made.allocate_node(node) for node in ("10.0.0.5", ("10.0.0.6", 9, 1), [{"host": "a"}, NodeAllocate("b")])])
        extended = [names for name, names in self.targets() if name == "extend"]
        self.assertEqual([["10.0.0.5:51348"], ["10.0.0.6:9"], ["a:51348", "b:51348"]], extended)
        self.assertEqual(1, self.made.view.placing.choices.of(Address("10.0.0.6", 9))[0].cpus)
        credentials = {each.credential for name, *rest in self.session.asked for each in rest[-1]}
        self.assertEqual({self.made._targets[0].credential}, credentials)

    def test_known_ones(self) -> None:
        """Their new entry is asked about them, and they are used again if they had been left."""
        self.made.close_node("n7")
        self.assertEqual(0, self.made.allocate_node(NodeAllocate("10.0.0.7", cpus=1)))
        self.assertIn(("allocate_node", self.made.uid, SEVEN), self.session.asked)
        self.assertEqual(1, self.made.view.placing.choices.of(Address("10.0.0.7", 51348))[0].cpus)
        self.made.submit_node("n7", 1)

    def test_patterns(self) -> None:
        """All known nodes that match are asked about; nobody is dialled for it."""
        self.assertEqual(0, self.made.allocate_node("10.0.0.8*"))
        asked = [uid for name, _, *rest in self.session.asked if name == "allocate_node" for uid in rest]
        self.assertEqual([EIGHT, NINE], asked)
        self.assertEqual([("extend", [])], self.targets())
        (wildcards,) = [rest[-1] for name, *rest in self.session.asked if name == "search_again"]
        self.assertEqual(["10.0.0.8*"], [each.pattern for each in wildcards])

    def test_closed(self) -> None:
        """-1, and a warning."""
        self.made.close()
        with self.warned() as logs:
            self.assertEqual(-1, self.made.allocate_node("10.0.0.5"))
        self.assertRegex(logs.output[0], "allocate_node: cluster compute is closed")

    def test_what_they_get(self) -> None:
        """Is looked at now: a file that is not there, arguments that nobody takes."""
        with self.assertRaisesRegex(FileNotFoundError, "no-such-file"):
            self.made.allocate_node(NodeAllocate("10.0.0.5", depends=["no-such-file"]))
        for call in (self.made.allocate_node, lambda node: self.cluster(nodes=[node])):
            with self.assertRaisesRegex(TypeError, r"setup_args \(1,\) are for setup, and the cluster has none"):
                call(NodeAllocate("10.0.0.5", setup_args=(1,)))
        self.assertEqual([], self.session.asked)

    def test_looking(self) -> None:
        """Those that are named are dialled now; of new ones only what matches the cluster's own nodes is used."""
        self.assertEqual(0, self.made.discover_nodes(["10.0.0.7", "10.0.1.4", "10.0.2.4"]))
        self.assertEqual([("extend", ["10.0.1.4:51348"]), ("dial_again", ["10.0.0.7:51348", "10.0.1.4:51348", "10.0.2.4:51348"])], self.targets())
        self.session.asked.clear()
        self.made.discover_nodes("10.0.1.4")
        self.assertEqual([("extend", []), ("dial_again", ["10.0.1.4:51348"])], self.targets())

    def test_looking_for_all(self) -> None:
        """A star means whatever can be found: a search begins in one place."""
        with mock.patch.object(JobCluster, "_discover") as discover:
            self.assertEqual(0, self.made.discover_nodes("*"))
        discover.assert_called_once_with()
        self.session.asked.clear()
        self.made.discover_nodes("*")
        self.assertIn(("search_again", self.made.uid), self.session.asked)
        self.assertEqual(("dial_again", ["10.0.0.7:51348", "10.0.0.8:51348", "10.0.0.8:51400"]), self.targets()[0])


class Keeping(NodeCase):
    """What is the user's stays as it is."""

    def test_objects(self) -> None:
        """close() leaves a NodeAllocate as it was, for the next cluster."""
        entry = NodeAllocate("10.0.0.7", cpus=2, depends=[], setup_args=())
        before = dict(vars(entry))
        self.cluster(nodes=[entry]).close()
        self.assertEqual(before, vars(entry))

    def test_variants(self) -> None:
        """A node gets the computation with what its NodeAllocate adds, packed with everything else of the cluster's."""
        made = self.cluster(nodes=[NodeAllocate("10.0.0.7", setup_args=(1,))], setup=lambda number: 0)
        with mock.patch.object(self.engine, "allocate", lambda function: succeed(function()), create=True):
            made.view.node_found(NodeFacts(SEVEN, 1, "n7", 4), Address("10.0.0.7", 51348))
        ((_, cluster, node, computation, files),) = [each for each in self.session.asked if each[0] == "use_variant"][-1:]
        self.assertEqual((made.uid, SEVEN, made.uid), (cluster, node, computation.uid))
        self.assertIn(computation.bundle.digest, files)
        self.assertNotEqual(made._shipment.computation.bundle.digest, computation.bundle.digest)


class Looking(ClusterTestCase):
    """Host names."""

    def test_this_machine(self) -> None:
        """Has addresses; what is no name has none."""
        self.assertIn("127.0.0.1", nodemethods._addresses_of("localhost"))
        self.assertEqual((), nodemethods._addresses_of("x" * 300))

    def test_shown(self) -> None:
        """A DispyNode says where it is."""
        self.assertEqual("10.0.0.7:5", str(DispyNode("10.0.0.7", "n", 1, 5).address))
