"""Files that a program sends, as the session sees it: to whom, when, and why not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.sending import PREPARING
from dispytw.errors import RefusedError, StreamError
from dispytw.testing import House
from dispytw.values import Attempt, File, Inline

CONTENT = Inline(b"content")
SENT = File("sub/sent", hashlib.sha256(b"content").digest(), 7)
OTHER = File("sub/other", hashlib.sha256(b"other").digest(), 5)


class Sending(SynchronousTestCase):
    """With a node in memory."""

    def setUp(self) -> None:
        self.house = House()
        self.node = self.house.node(cpus=2)
        self.client = self.house.client()
        self.cluster = self.client.cluster([self.node])
        self.named: list[tuple[list[str], bytes | None]] = []
        placing = self.node.steward.placing
        named = placing.named

        def noted(client: bytes, computation: bytes, files: Sequence[File], attempt: Attempt | None = None) -> Any:
            done = named(client, computation, files, attempt)
            self.named.append(([file.path for file in files], attempt and attempt.job))
            return done

        placing.named = noted  # type: ignore[method-assign]

    def send(self, file: File = SENT, seconds: float = 0.5) -> Deferred[str]:
        """Send a file; the answer may come in that time."""
        done = self.client.session.send_file(self.cluster.uid, self.node.uid, file, CONTENT)
        self.house.advance(seconds)
        return done

    def test_to_a_node_that_is_ready(self) -> None:
        """It has the file when that is said."""
        self.house.advance(0.5)
        self.assertEqual("", self.successResultOf(self.send()))
        self.assertEqual([(["sub/sent"], None)], self.named)

    def test_to_one_that_is_on_its_way(self) -> None:
        """It is waited for."""
        done = self.send(seconds=0)
        self.assertNoResult(done)
        self.house.advance(1)
        self.assertEqual("", self.successResultOf(done))

    def test_to_one_that_was_left(self) -> None:
        """At once too; one that is set up anew is waited for."""
        self.house.advance(0.5)
        session, names = self.client.session, (self.cluster.uid, self.node.uid)
        session.resetup_node(*names, False)
        self.assertEqual("", self.successResultOf(self.send()))
        session.close_node(*names, False)
        self.house.advance(0.5)
        self.assertIn("does not use node51348: it was closed", self.successResultOf(self.send(seconds=0)))

    def test_to_one_that_the_cluster_does_not_use(self) -> None:
        """At once; where the user was told why, that is the reason."""
        self.cluster.allocate = lambda node: 0
        self.house.advance(0.5)
        self.assertIn("does not use node51348", self.successResultOf(self.send()))
        self.cluster = self.client.cluster([self.node])
        self.cluster.allocate = lambda node: {}["nothing"]  # type: ignore[return-value]
        self.house.advance(0.5)
        self.assertIn("KeyError", self.successResultOf(self.send()))

    def test_to_one_that_does_not_answer(self) -> None:
        """It has a minute to come back."""
        self.house.advance(0.5)
        self.node.crash()
        done = self.send(seconds=PREPARING - 5)
        self.assertNoResult(done)
        self.house.advance(10)
        self.assertIn("does not answer", self.successResultOf(done))

    def test_a_link_that_is_cut(self) -> None:
        """The file goes over the next one."""
        self.house.advance(0.5)
        done = self.send(seconds=0)
        for wire in self.house.wires_of(self.node):
            wire.cut()
        self.house.advance(5)
        self.assertEqual("", self.successResultOf(done))

    def test_a_cluster_that_is_closed(self) -> None:
        """Sends nothing."""
        self.house.advance(0.5)
        self.cluster.close()
        self.assertIn("closed", self.successResultOf(self.send()))

    def test_what_the_node_says(self) -> None:
        """Is the reason: a place that cannot be, a disk that is full."""
        self.house.advance(0.5)
        for error in (RefusedError("through a symlink"), StreamError("No space left")):

            def named(*arguments: Any, error: Exception = error) -> Any:
                raise error

            self.node.steward.placing.named = named  # type: ignore[method-assign]
            self.assertEqual(str(error), self.successResultOf(self.send()))

    def test_should_the_supervisor_die(self) -> None:
        """The node gets the latest of the files with the computation, when it is prepared anew."""
        self.house.advance(0.5)
        session = self.client.session
        for file in (SENT, OTHER, File(SENT.path, OTHER.digest, 5)):
            self.send(file)
        prepared = session.computation(self.cluster.uid, self.node.uid)
        self.assertEqual([("sub/other", OTHER.digest), ("sub/sent", OTHER.digest)], [(each.path, each.digest) for each in prepared.files])
        self.assertEqual(CONTENT, session.file_of(self.cluster.uid, OTHER.digest))
        self.assertEqual((), session.computation(self.cluster.uid, b"?" * 16).files)

    def test_should_it_be_set_up_anew(self) -> None:
        """The node gets them with what its NodeAllocate adds by then; of two at one place, what was sent."""
        self.house.advance(0.5)
        self.send()
        session, names = self.client.session, (self.cluster.uid, self.node.uid)
        added = File("added", OTHER.digest, 5)
        variant = attrs.evolve(session.computation(*names), files=(added, attrs.evolve(SENT, digest=OTHER.digest, size=5)))
        session.use_variant(*names, variant, {OTHER.digest: Inline(b"other")})
        self.assertEqual((added, SENT), session.computation(*names).files)
