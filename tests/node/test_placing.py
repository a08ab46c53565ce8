"""Files that come after their computation: who may name them, when they are put to their places, and when they go."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred

from dispytw.errors import RefusedError, StreamError, UnknownComputationError, UnsafePathError, WireError
from dispytw.values import FINISHED, Attempt, File, Outcome
from dispytw.wire import nodecommands as ask
from dispytw.wire.records import file_record
from tests.node.benching import ALICE, BOB, ONE, TWO, X
from tests.node.linking import ConnectionCase
from tests.node.stewarding import StewardCase

A, B = (File(name, hashlib.sha256(name.encode()).digest(), 1) for name in ("a", "sub/b"))
FINE = Outcome(FINISHED)


class PlacingCase(StewardCase):
    """X is ready for Alice."""

    def setUp(self) -> None:
        super().setUp()
        self.prepare()
        self.files.asked.clear()

    def named(self, *files: File, attempt: Attempt | None = None) -> Any:
        """What is missing of files that Alice names for X."""
        return self.successResultOf(self.steward.placing.named(ALICE, X.uid, files, attempt))


class ForAll(PlacingCase):
    """Files for all jobs."""

    def test_until_nothing_is_missing(self) -> None:
        """What is missing is told, and held from then on; what is here is put to its place."""
        self.files.lacking = [A]
        self.assertEqual([A.digest], self.named(A, B))
        self.assertEqual([], self.files.asked)
        self.files.lacking = []
        self.assertEqual([], self.named(A, B))
        self.assertEqual([("lay out later", X.uid)], self.files.asked)
        self.assertEqual([(X.uid, ["a", "sub/b"], None)] * 2, self.files.held_files)

    def test_others(self) -> None:
        """Neither another client nor one with a computation that is not ready puts anything anywhere."""
        for client, computation in ((BOB, X.uid), (ALICE, b"?" * 16)):
            self.assertRaises(UnknownComputationError, self.steward.placing.named, client, computation, [A])
        self.steward.supervisor_ended(X.uid, "killed")
        self.assertRaises(UnknownComputationError, self.steward.placing.named, ALICE, X.uid, [A])
        self.assertEqual([], self.files.held_files)

    def test_places_that_cannot_be(self) -> None:
        """Are told apart from a disk that is full."""
        for obstacle, error in (
            (UnsafePathError("through a symlink"), RefusedError),
            (IsADirectoryError(21, "Is a directory"), RefusedError),
            (OSError(28, "No space left on device"), StreamError),
        ):
            self.files.obstacle = obstacle
            failure = self.failureResultOf(self.steward.placing.named(ALICE, X.uid, [A]), error)
            self.assertIn(str(obstacle.args[-1]), str(failure.value))


class ForOne(PlacingCase):
    """Files that are an attempt's own."""

    def test_from_first_to_last(self) -> None:
        """They are there before it is handed over, and go when it has ended; the contents are not held for long."""
        self.assertEqual([], self.named(A, attempt=ONE))
        self.assertEqual([("lay out later", ONE), ("not needed by", ONE)], self.files.asked)
        generation = self.bench._opened[X.uid].generation
        self.assertEqual([], self.steward.run_jobs(ALICE, X.uid, generation, [(ONE, FINE.stdout)]))
        self.files.asked.clear()
        self.steward.job_ended(X.uid, ONE, FINE)
        self.assertEqual([("not needed by", ONE), ("remove own", ONE)], self.files.asked)
        self.steward.job_ended(X.uid, TWO, FINE)
        self.assertEqual(2, len(self.files.asked))

    def test_named_again_too_late(self) -> None:
        """A request that comes twice, the second time when the attempt is here, changes nothing."""
        self.named(A, attempt=ONE)
        generation = self.bench._opened[X.uid].generation
        self.steward.run_jobs(ALICE, X.uid, generation, [(ONE, FINE.stdout)])
        self.files.asked.clear()
        self.assertEqual([], self.named(A, attempt=ONE))
        self.steward.job_ended(X.uid, ONE, FINE)
        self.files.asked.clear()
        self.assertEqual([], self.named(A, attempt=ONE))
        self.assertEqual([], self.files.asked)

    def test_one_that_is_refused(self) -> None:
        """Its files go at once; so do those of one that is given back."""
        self.named(A, attempt=ONE)
        self.named(A, attempt=TWO)
        self.files.asked.clear()
        self.steward.run_jobs(ALICE, X.uid, 99, [(ONE, FINE.stdout)])
        self.assertIn(("remove own", ONE), self.files.asked)
        self.steward.jobs_given_back(X.uid, [TWO])
        self.assertIn(("remove own", TWO), self.files.asked)

    def test_one_that_is_cancelled_before(self) -> None:
        """Its files go; of one that is here they stay until it has ended."""
        generation = self.bench._opened[X.uid].generation
        for each in (ONE, TWO):
            self.named(A, attempt=each)
        self.steward.run_jobs(ALICE, X.uid, generation, [(TWO, FINE.stdout)])
        self.files.asked.clear()
        self.steward.cancel_jobs(ALICE, [ONE, TWO])
        self.assertEqual([("not needed by", ONE), ("remove own", ONE)], self.files.asked)

    def test_one_that_never_came(self) -> None:
        """Its files go with the computation."""
        self.named(A, attempt=ONE)
        self.files.lacking = [B]
        self.named(B, attempt=TWO)
        self.steward.close_computation(ALICE, X.uid)
        self.files.asked.clear()
        self.steward.supervisor_ended(X.uid, "")
        self.assertEqual({("remove own", ONE), ("remove own", TWO)}, {each for each in self.files.asked if each[0] == "remove own"})
        self.assertEqual(("remove", X.uid), self.files.asked[-1])

    def test_a_place_that_cannot_be(self) -> None:
        """Nothing is left of what was begun."""
        self.files.obstacle = FileExistsError(17, "File exists")
        placed = self.steward.placing.named(ALICE, X.uid, [A], ONE)
        self.failureResultOf(placed, RefusedError)
        self.assertIn(("remove own", ONE), self.files.asked)
        self.flushLoggedErrors(FileExistsError)

    def test_a_slow_disk(self) -> None:
        """The answer waits for it; an end in between waits too, and comes behind it."""
        waiting: list[tuple[Any, tuple[Any, ...], Deferred[Any]]] = []

        def in_thread(function: Any, *arguments: Any) -> Deferred[Any]:
            waiting.append((function, arguments, Deferred()))
            return waiting[-1][2]

        def work() -> None:
            function, arguments, done = waiting.pop(0)
            done.callback(function(*arguments))

        self.steward = self.make(in_thread=in_thread)
        placed = self.steward.placing.named(ALICE, X.uid, [A], ONE)
        self.assertNoResult(placed)
        self.steward.placing.over([ONE])
        while waiting:
            work()
        self.assertEqual([], self.successResultOf(placed))
        self.assertEqual(("lay out later", ("remove own", ONE)), (self.files.asked[0][0], self.files.asked[-2]))

    def test_inherited(self) -> None:
        """Attempts that run since before this incarnation, and have files of their own, lose them when they end."""
        self.files.owners = {ONE}
        self.steward.placing.inherit({ONE: X.uid, TWO: X.uid})
        self.steward.placing.over([ONE, TWO])
        self.assertEqual([("not needed by", ONE), ("remove own", ONE)], self.files.asked)


class Said(ConnectionCase):
    """On the wire."""

    def test_files(self) -> None:
        """Names travel, digests come back; an attempt is one or none."""
        self.introduce()
        self.opened()
        self.files.lacking = [B]
        records = [file_record(A), file_record(B)]
        missing = self.answered(ask.PlaceFiles, computation=X.uid, attempt=[[ONE.job, ONE.number]], files=records)
        self.assertEqual({"missing": [B.digest]}, missing)
        self.files.lacking = []
        self.assertEqual({"missing": []}, self.answered(ask.PlaceFiles, computation=X.uid, attempt=[], files=records))
        self.assertEqual([(X.uid, ["a", "sub/b"], ONE), (X.uid, ["a", "sub/b"], None)], self.files.held_files)

    def test_errors(self) -> None:
        """Arrive as what they are."""
        self.introduce()
        self.opened()
        words: dict[str, Any] = {"computation": X.uid, "attempt": [], "files": [file_record(A)]}
        self.files.obstacle = OSError(28, "No space left on device")
        self.assertIn("No space left", self.refused(StreamError, ask.PlaceFiles, **words))
        self.files.obstacle = UnsafePathError("a path that climbs")
        self.assertIn("climbs", self.refused(RefusedError, ask.PlaceFiles, **words))
        self.refused(UnknownComputationError, ask.PlaceFiles, **{**words, "computation": b"?" * 16})
        self.refused(WireError, ask.PlaceFiles, **{**words, "files": [["a"]]})
        self.refused(WireError, ask.PlaceFiles, **{**words, "attempt": [["a"]]})
