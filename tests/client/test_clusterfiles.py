"""cluster.send_file, on the user's side."""

from __future__ import annotations

import os
import tempfile
from typing import Any
from unittest import TestCase, mock

from dispytw.client.clusterfiles import find_node, names_of
from dispytw.client.nodes import DispyNode
from dispytw.errors import ClusterClosedError, ReactorThreadError
from dispytw.values import File, Stored
from tests.client.clustering import ClusterTestCase

NODES = {
    b"1": DispyNode("127.0.0.1", "one", 2, 51348),
    b"2": DispyNode("127.0.0.1", "two", 2, 51350),
    b"3": DispyNode("2001:db8::3", "three", 2, 51348),
}


class Naming(TestCase):
    """A node, by what programs have for it."""

    def found(self, node: Any) -> bytes:
        return find_node(names_of(node), NODES)

    def test_one(self) -> None:
        """A DispyNode, an address, a name; with a port where that is needed."""
        for node, uid in (
            (NODES[b"2"], b"2"),
            ("127.0.0.1:51350", b"2"),
            ("one", b"1"),
            ("three:51348", b"3"),
            ("2001:db8::3", b"3"),
            ("[2001:db8::3]:51348", b"3"),
        ):
            self.assertEqual(uid, self.found(node), node)

    def test_host_names(self) -> None:
        """Are looked up."""
        with mock.patch("socket.getaddrinfo", return_value=[(0, 0, 0, "", ("2001:db8::3", 0))]):
            self.assertEqual(b"3", self.found("somewhere.example"))

    def test_none_or_several(self) -> None:
        """Errors name the ports, or those that there are."""
        with self.assertRaisesRegex(LookupError, "127.0.0.1:51348, 127.0.0.1:51350: name the port"):
            self.found("127.0.0.1")
        with mock.patch("socket.getaddrinfo", side_effect=OSError), self.assertRaisesRegex(LookupError, "51350 .two."):
            self.found("nowhere.invalid")
        with self.assertRaisesRegex(LookupError, "it knows none"):
            find_node(names_of("127.0.0.1:5"), {})


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
        self.asked: list[tuple[bytes, bytes, File, Any]] = []
        self.answer = ""
        self.made = self.cluster()
        self.said: list[str] = []
        self.made.view.say = self.said.append
        self.made.view.nodes.update(NODES)
        session: Any = self.session
        session.send_file = self.send_file

    def send_file(self, cluster: bytes, find: Any, file: File, body: Any) -> str:
        self.asked.append((cluster, find(), file, body))
        return self.answer

    def test_what_is_asked(self) -> None:
        """The file with its place, its content by digest, and which node is meant."""
        self.assertEqual(0, self.made.send_file("sub/file", "one", relay=True))
        self.assertEqual(0, self.made.send_file(os.path.abspath("sub/file"), NODES[b"2"]))
        self.assertEqual([b"1", b"2"], [node for _, node, _, _ in self.asked])
        for cluster, _, file, body in self.asked:
            self.assertEqual((self.made.uid, "sub/file", 7), (cluster, file.path, file.size))
            self.assertEqual(Stored(os.path.abspath("sub/file"), 7), body)

    def test_failure(self) -> None:
        """-1, and a line with the reason."""
        self.answer = "no space left"
        self.assertEqual(-1, self.made.send_file("sub/file", "one"))
        self.assertEqual(["send_file: 'sub/file' is not on node one: no space left"], self.said)

    def test_bad_input(self) -> None:
        """Is an error that names it."""
        for path, node, error, text in (
            ("none", "one", FileNotFoundError, "send_file: there is no file .*none"),
            ("sub", "one", OSError, "no ordinary file"),
            (b"sub/file", "one", TypeError, "path must be"),
            ("sub/file", None, TypeError, "node must be"),
            ("sub/file", b"one", TypeError, "node must be"),
        ):
            with self.assertRaisesRegex(error, text):
                self.made.send_file(path, node)  # type: ignore[arg-type]
        self.engine.refusal = ReactorThreadError("here")
        self.assertRaises(ReactorThreadError, self.made.send_file, "sub/file", "one")
        self.engine.refusal = None
        self.made.close()
        self.assertRaises(ClusterClosedError, self.made.send_file, "sub/file", "one")
        self.assertEqual([], self.asked)
