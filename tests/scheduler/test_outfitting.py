"""Files that follow a computation: those of a single attempt go before it, and what becomes of it when they cannot."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionLost

from dispytw.errors import RefusedError, SourceError, StreamError, UnknownComputationError, WireError
from dispytw.scheduler.outfitting import MOST_ROUNDS, place_files
from dispytw.values import INLINE_LIMIT, TERMINATED, Equipped, File, Inline, Stored
from dispytw.wire.records import file_record
from tests.scheduler import linking
from tests.scheduler.dispatching import CLUSTER, GENERATION, Dispatching, FakeLink, attempt

A, B = (File(name, name.encode() * 32, 3) for name in "ab")
CONTENTS = {A.digest: Inline(b"one"), B.digest: Stored("/somewhere", 3)}
EQUIPPED = Equipped(b"args", (A, B), CONTENTS)


class Files(Dispatching):
    """To one node."""

    def setUp(self) -> None:
        super().setUp()
        self.link = FakeLink()
        self.placed = ensureDeferred(place_files(self.link, CLUSTER, [A, B], CONTENTS))

    def test_only_what_is_missing(self) -> None:
        """Travels; then they are named again."""
        self.link.answer("place", [B.digest])
        self.assertEqual([(B.digest, CONTENTS[B.digest])], self.link.heard("file"))
        self.link.answer("file", b"stream")
        self.link.answer("place", [])
        self.successResultOf(self.placed)
        self.assertEqual([(CLUSTER, [A, B], None)] * 2, self.link.heard("place"))

    def test_files_that_do_not_stay(self) -> None:
        """Are given up after a few rounds."""
        for _ in range(MOST_ROUNDS):
            self.link.answer("place", [B.digest])
            self.link.answer("file", b"stream")
        self.assertIn("did not stay", str(self.failureResultOf(self.placed, StreamError).value))

    def test_a_node_that_asks_for_more(self) -> None:
        """Gets nothing that nobody has named."""
        self.link.answer("place", [b"?" * 32])
        self.failureResultOf(self.placed, WireError)
        self.assertEqual([], self.link.heard("file"))


class Attempts(Dispatching):
    """Jobs with files of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.link = self.ready()

    def place(self) -> None:
        """The files are at their places."""
        self.link.answer("place", [A.digest])
        self.link.answer("file", b"stream")
        self.link.answer("place", [])

    def test_before_it_is_handed_over(self) -> None:
        """Its files are there; other jobs do not wait for that."""
        self.submit(1, body=EQUIPPED)
        self.submit(2)
        self.turn()
        self.assertEqual(([attempt(2)], [(CLUSTER, [A, B], attempt(1))]), (self.sent(self.link), self.link.heard("place")))
        self.place()
        self.assertEqual([attempt(2), attempt(1)], self.sent(self.link))
        self.assertEqual((CLUSTER, GENERATION, [(attempt(1), EQUIPPED, None)]), self.link.heard("run")[-1])

    def test_with_long_arguments(self) -> None:
        """These follow the files."""
        body = Equipped(b"x" * (INLINE_LIMIT + 1), (A,), CONTENTS)
        self.submit(1, body=body)
        self.turn()
        self.assertEqual([], self.link.heard("body"))
        self.link.answer("place", [])
        self.link.answer("body", b"stream")
        self.assertEqual([(attempt(1), body, b"stream")], self.link.heard("run")[-1][2])

    def test_a_file_that_has_changed(self) -> None:
        """Or that a node cannot put anywhere, ends the job with the reason: it would be so again."""
        for error in (SourceError("the file was changed"), RefusedError("a path through a symlink")):
            self.submit(1, body=EQUIPPED)
            self.turn()
            self.link.answer("place", error)
            _, outcome, _ = self.customer.settled.pop()
            self.assertEqual(TERMINATED, outcome.status)
            self.assertIn(str(error), outcome.exception or "")
        self.assertEqual([], self.sent(self.link))

    def test_a_disk_that_is_full(self) -> None:
        """Or a supervisor that has just died: the job waits, and is tried again."""
        for number, error in enumerate((StreamError("no room"), UnknownComputationError("not ready")), 1):
            self.submit(number, body=EQUIPPED)
            self.turn()
            self.link.answer("place", error)
            self.turn()
            self.assertEqual([], self.sent(self.link))
            self.clock.advance(2)
            self.place()
            self.assertEqual([attempt(number, 2)], self.sent(self.link))
            self.link.said.clear()

    def test_a_link_that_closes(self) -> None:
        """The job was never sent."""
        self.submit(1, body=EQUIPPED)
        self.turn()
        self.dispatcher.left(self.link, b"n" * 16)
        self.link.answer("place", ConnectionLost())
        self.assertEqual(([], 1), (self.customer.settled, self.ledger.pending(CLUSTER)))

    def test_one_that_is_cancelled_meanwhile(self) -> None:
        """Is not handed over; the node hears that its files are not needed."""
        self.submit(1, body=EQUIPPED)
        self.turn()
        self.cancel(1)
        self.turn()
        self.assertEqual([], self.link.heard("cancel"))
        self.place()
        self.assertEqual(([], [[attempt(1)]]), (self.sent(self.link), self.link.heard("cancel")))


class Said(linking.LinkTests):
    """On the wire."""

    def test_files(self) -> None:
        """Names travel, digests come back."""
        self.node.answers["PlaceFiles"] = {"missing": [A.digest]}
        for whose, record in ((None, []), (linking.attempt(1), [[linking.attempt(1).job, 1]])):
            placed: Any = self.link.place_files(linking.CLUSTER, [A], whose)
            self.assertEqual([A.digest], self.answer(placed))
            words = {"computation": linking.CLUSTER, "attempt": record, "files": [file_record(A)]}
            self.assertEqual(("PlaceFiles", words), self.node.heard[-1])

    def test_refusals(self) -> None:
        """Arrive as errors."""
        for error in (RefusedError("no"), StreamError("no"), UnknownComputationError("no"), WireError("no")):
            self.node.answers["PlaceFiles"] = error
            self.failure(self.link.place_files(linking.CLUSTER, [A]), type(error))

    def test_content_that_is_not_what_its_digest_says(self) -> None:
        """Is found out here, before its end is told."""
        self.assertIn("changed", self.failure(self.link.send_file(A.digest, Inline(b"one")), SourceError))
        text = self.failure(self.link.send_file(A.digest, Stored(__file__, 3)), SourceError)
        self.assertIn(f"{__file__}: the file grew", text)
