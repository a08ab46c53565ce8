"""cluster.send_file, on the user's side."""

from __future__ import annotations

import os
import tempfile
from unittest import mock

from dispytw.client import nodemethods
from dispytw.client.nodes import DispyNode
from dispytw.errors import AmbiguousNodeError, ClusterClosedError, ReactorThreadError
from dispytw.values import File, Stored
from tests.client.clustering import ClusterTestCase

NODES = {
    b"1": DispyNode("127.0.0.1", "one", 2, 51348),
    b"2": DispyNode("127.0.0.1", "two", 2, 51350),
    b"3": DispyNode("2001:db8::3", "three", 2, 51348),
}


class Sending(ClusterTestCase):
    """What the session is asked, and what the program gets."""

    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)
        os.mkdir("sub")
        with open("sub/file", "wb") as file:
            file.write(b"content")
        self.made = self.cluster()
        self.made.view.nodes.update(NODES)
        self.session.answers["send_file"] = ""

    @property
    def sent(self) -> list[tuple[bytes, bytes, File, Stored]]:
        """What the session was asked."""
        return [asked[1:] for asked in self.session.asked if asked[0] == "send_file"]  # type: ignore[misc]

    def test_what_is_asked(self) -> None:
        """The file with its place, where its content is, and which node is meant; nodes are found as by every other method."""
        self.assertEqual(0, self.made.send_file("sub/file", "one", relay=True))
        self.assertEqual(0, self.made.send_file(os.path.abspath("sub/file"), NODES[b"2"]))
        self.assertEqual(0, self.made.send_file("sub/file", "[2001:db8::3]:51348"))
        self.assertEqual([b"1", b"2", b"3"], [node for _, node, _, _ in self.sent])
        for cluster, _, file, body in self.sent:
            self.assertEqual((self.made.uid, "sub/file", 7), (cluster, file.path, file.size))
            self.assertEqual(Stored(os.path.abspath("sub/file"), 7), body)

    def test_failure(self) -> None:
        """-1, and a line with the reason."""
        self.session.answers["send_file"] = "no space left"
        with self.assertLogs("dispytw", "WARNING") as logged:
            self.assertEqual(-1, self.made.send_file("sub/file", "one"))
        self.assertIn("send_file: 'sub/file' is not on node 127.0.0.1:51348 (one): no space left", logged.output[0])

    def test_no_such_node(self) -> None:
        """-1, and a line with those that there are; where several may be meant, their ports are asked for."""
        self.patch(nodemethods, "_addresses_of", lambda host: ())
        with self.assertLogs("dispytw", "WARNING") as logged:
            self.assertEqual(-1, self.made.send_file("sub/file", "nowhere.invalid"))
        self.assertRegex(logged.output[0], "send_file: node: the cluster knows no node 'nowhere.invalid'; known: .*51350 .two.")
        with self.assertRaisesRegex(AmbiguousNodeError, "127.0.0.1:51348', '127.0.0.1:51350'"):
            self.made.send_file("sub/file", "127.0.0.1")
        self.assertEqual([], self.sent)

    def test_a_node_on_its_way(self) -> None:
        """One that the cluster names is waited for."""

        def found(seconds: float, known: int) -> bool:
            self.made.view.nodes[b"4"] = DispyNode("node7", "node7", 2, 51348)
            return True

        self.patch(nodemethods, "_addresses_of", lambda host: ())
        with mock.patch.object(self.made.view, "wait_for_nodes", found):
            self.assertEqual(0, self.made.send_file("sub/file", "node7"))
        self.assertEqual([b"4"], [node for _, node, _, _ in self.sent])

    def test_bad_input(self) -> None:
        """Is an error that names it."""
        for path, node, error, text in (
            ("none", "one", FileNotFoundError, "send_file: there is no file .*none"),
            ("sub", "one", OSError, "no ordinary file"),
            (b"sub/file", "one", TypeError, "path must be"),
            ("sub/file", None, TypeError, "send_file: node must be"),
            ("sub/file", b"one", TypeError, "send_file: node must be"),
        ):
            with self.assertRaisesRegex(error, text):
                self.made.send_file(path, node)  # type: ignore[arg-type]
        self.engine.refusal = ReactorThreadError("here")
        self.assertRaises(ReactorThreadError, self.made.send_file, "sub/file", "one")
        self.engine.refusal = None
        self.made.close()
        self.assertRaises(ClusterClosedError, self.made.send_file, "sub/file", "one")
        self.assertEqual([], self.sent)
