"""A slot is served job by job, and its supervisor hears of each start before the body, and of each end."""

from __future__ import annotations

import shutil
import tempfile
import unittest

from dispytw.values import FINISHED, Attempt, Inline, Outcome
from dispytw.wire.frames import Ended, Start, Started
from dispytw.worker import descriptors, serving
from dispytw.worker.keptslots import KeptSlot


class Recorder:
    """Runs jobs, notes what the supervisor has heard when each begins, and puts more into the queue."""

    def __init__(self, slot: KeptSlot, more: list[Start]) -> None:
        self.spent = False
        self.slot = slot
        self.more = more
        self.heard: list[list[tuple[type, int]]] = []

    def begin(self) -> None:
        pass

    def perform(self, start: Start) -> Ended:
        self.heard.append([(type(frame), frame.attempt.number) for frame in self.slot.hear() if isinstance(frame, (Started, Ended))])
        if self.more:
            self.slot.give(self.more.pop(0))
        return Ended(start.attempt, Outcome(FINISHED))


class ServingTests(unittest.TestCase):
    """The loop, in this process."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.slot = KeptSlot.open(directory)
        self.addCleanup(self.slot.close)
        descriptors.guard(self.slot.theirs.fileno())
        self.addCleanup(descriptors._identities.clear)

    def starts(self, count: int) -> list[Start]:
        return [Start(Attempt(b"j" * 16, number + 1), Inline(b"")) for number in range(count)]

    def served(self, most_jobs: int | None, jobs: int = 3) -> Recorder:
        first, *more = self.starts(jobs)
        self.slot.give(first)
        recorder = Recorder(self.slot, more)
        serving._serve(recorder, self.slot, most_jobs)
        return recorder

    def test_what_is_heard_before_a_body(self) -> None:
        """Its start, and the end of the one before, together."""
        recorder = self.served(3)
        self.assertEqual([[(Started, 1)], [(Ended, 1), (Started, 2)], [(Ended, 2), (Started, 3)]], recorder.heard)
        self.assertEqual([Ended(Attempt(b"j" * 16, 3), Outcome(FINISHED))], self.slot.hear())

    def test_most_jobs(self) -> None:
        """After so many it takes no more."""
        self.assertEqual(2, len(self.served(2, jobs=3).heard))
        self.assertEqual([3], [start.attempt.number for start in self.slot.take_back()])

    def test_spent(self) -> None:
        """One that can run no more is asked for no more."""
        first, second = self.starts(2)
        self.slot.give(first)
        recorder = Recorder(self.slot, [second])
        recorder.spent = True
        serving._serve(recorder, self.slot, None)
        self.assertEqual([second], self.slot.take_back())
