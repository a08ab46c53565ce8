"""The output of running jobs as it comes, and who reads it."""

from __future__ import annotations

import queue
import threading
import unittest
from collections.abc import Sequence

from dispytw.client import feeds as module
from dispytw.client.feeds import Feeds
from dispytw.client.job import DispyJob
from dispytw.client.output import Reader
from dispytw.values import FINISHED, Attempt, Inline, Outcome
from dispytw.wire.jobframes import Wrote
from tests.client.test_job import Owner, made
from tests.client.watching import PATIENCE

DONE = Outcome(FINISHED, Inline(b"1"), Inline(b"one two three"), Inline(b"err"))


def wrote(position: int, data: bytes, is_stderr: bool = False, attempt: int = 1) -> Wrote:
    return Wrote(Attempt(b"u" * 16, attempt), is_stderr, position, data)


class FeedsTests(unittest.TestCase):
    """One job."""

    def setUp(self) -> None:
        self.asked: list[tuple[bool, int]] = []
        self.feeds = Feeds(self._ask)
        self.job = made()
        self.reader = Reader()

    def _ask(self, job: bytes, outputs: Sequence[tuple[bool, int]]) -> None:
        self.asked += outputs

    def read(self) -> list[tuple[str, bool]]:
        return self.feeds.read(self.job, self.reader)

    def test_nobody_listens(self) -> None:
        """Then nothing is asked for, and what comes all the same is dropped."""
        self.feeds.follow(self.job)
        self.feeds.wrote(self.job, wrote(0, b"one"))
        self.feeds.follow_all()
        self.assertEqual(([], []), (self.asked, self.read()))

    def test_piece_by_piece(self) -> None:
        """What has come is answered by asking for what comes behind it."""
        self.feeds.listen(self.job, self.reader)
        self.feeds.follow(self.job)
        self.assertEqual([(False, 0), (True, 0)], self.asked)
        self.feeds.wrote(self.job, wrote(0, b"one"))
        self.feeds.wrote(self.job, wrote(0, b"err", True))
        self.assertEqual([(False, 3), (True, 3)], self.asked[2:])
        self.assertEqual([("one", False), ("err", True)], self.read())
        self.feeds.follow_all()
        self.assertEqual([(False, 3), (True, 3)], self.asked[4:])

    def test_told_twice(self) -> None:
        """After a new link something may come again, or overlap: it counts once. Where something is missing, it is asked for."""
        self.feeds.listen(self.job, self.reader)
        for position, data in ((0, b"one"), (0, b"one"), (2, b"e two"), (50, b"far")):
            self.feeds.wrote(self.job, wrote(position, data))
        self.assertEqual([("one two", False)], self.read())
        self.assertEqual((False, 7), self.asked[-1])

    def test_another_attempt(self) -> None:
        """What a lost attempt wrote is followed by all that the next one writes."""
        self.feeds.listen(self.job, self.reader)
        self.feeds.wrote(self.job, wrote(0, b"one"))
        self.read()
        self.feeds.wrote(self.job, wrote(0, b"uno", attempt=2))
        self.assertEqual([("uno", False)], self.read())

    def test_tried_again(self) -> None:
        """The next attempt is read from its beginning, also when it was too short to be followed."""
        self.feeds.listen(self.job, self.reader)
        self.feeds.wrote(self.job, wrote(0, b"one"))
        self.read()
        self.feeds.retried(self.job)
        self.assertEqual([], self.read())
        self.job._settled(DONE, None)
        self.feeds.settled(self.job)
        self.assertEqual([("one two three", False), ("err", True)], self.read())

    def test_the_end(self) -> None:
        """The outcome brings what has not come, and nothing is kept any more."""
        self.feeds.listen(self.job, self.reader)
        self.feeds.wrote(self.job, wrote(0, b"one"))
        self.read()
        self.job._settled(DONE, None)
        self.feeds.settled(self.job)
        self.assertEqual([(" two three", False), ("err", True)], self.read())
        self.assertEqual([], self.read())
        self.assertEqual({}, self.feeds._feeds)
        self.feeds.wrote(self.job, wrote(3, b" two"))

    def test_bounded(self) -> None:
        """A node that sends more than nodes keep is not believed."""
        self.feeds.listen(self.job, self.reader)
        self.addCleanup(setattr, module, "MOST", module.MOST)
        module.MOST = 5
        for position in (0, 4, 8, 12):
            self.feeds.wrote(self.job, wrote(position, b"1234"))
        self.assertEqual([("12341234", False)], self.read())


class StreamTests(unittest.TestCase):
    """The iterator, in a thread of its own."""

    def setUp(self) -> None:
        self.feeds = Feeds(lambda job, outputs: None)
        self.job = DispyJob(Owner(), b"u" * 16, 1, 1.0)
        self.over = False
        self.texts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.started = threading.Event()

    def begin(self) -> threading.Thread:
        def read() -> None:
            for text in self.feeds.stream(self.job, self.started.set, lambda: self.over):
                self.texts.put(text)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self.assertTrue(self.started.wait(PATIENCE))
        return thread

    def test_as_it_comes(self) -> None:
        """A waiting reader gets each piece, and the rest at the end, which ends it."""
        thread = self.begin()
        self.feeds.wrote(self.job, wrote(0, b"one"))
        self.assertEqual("one", self.texts.get(timeout=PATIENCE))
        self.job._settled(DONE, None)
        self.feeds.settled(self.job)
        self.assertEqual(" two three", self.texts.get(timeout=PATIENCE))
        self.assertEqual("err", self.texts.get(timeout=PATIENCE))
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())

    def test_given_up(self) -> None:
        """Who stops reading is forgotten."""
        stream = self.feeds.stream(self.job, lambda: self.feeds.wrote(self.job, wrote(0, b"one")), lambda: False)
        self.assertEqual("one", next(stream))
        stream.close()  # type: ignore[attr-defined]
        self.assertEqual({}, self.feeds._feeds)

    def test_nothing_will_come(self) -> None:
        """When the reactor has stopped, nobody waits."""
        self.addCleanup(setattr, module, "_LOOK", module._LOOK)
        module._LOOK = 0.01
        self.over = True
        thread = self.begin()
        thread.join(PATIENCE)
        self.assertEqual((False, True), (thread.is_alive(), self.texts.empty()))

    def test_of_a_job_that_has_ended(self) -> None:
        """It is all there, without anybody being asked."""
        self.job._settled(DONE, None)
        self.assertEqual(["one two three", "err"], list(self.job.stream()))
