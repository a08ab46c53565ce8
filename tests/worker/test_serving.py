"""A slot is served job by job, and its supervisor hears of each start before the body, and of each end."""

from __future__ import annotations

import errno
import unittest
from unittest import mock

from dispytw.values import EMPTY, FINISHED, Attempt, Inline
from dispytw.wire.frames import Ended, Started
from dispytw.worker import descriptors, serving
from dispytw.worker.nodelog import dispynode_logger
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.slots import Slot
from dispytw.worker.slotwords import FORM, over
from dispytw.worker.words import RETURNED
from tests.worker.driving import served, slot_of, tag_of


def job(number: int) -> Attempt:
    """An attempt."""
    return Attempt(b"j" * 16, number)


class Recorder:
    """Runs jobs, notes what the supervisor has heard when each begins, and puts more into the queue."""

    spent = False

    def __init__(self, slot: Slot, more: list[Attempt], alone: bool) -> None:
        self.slot, self.more, self.alone = slot, more, alone
        self.heard: list[list[tuple[type, int]]] = []

    def begin(self) -> None:
        pass

    def perform(self, order: bytes) -> bytes:
        self.heard.append([(type(frame), frame.attempt.number) for frame in self.slot.hear()])
        if self.more:
            self.slot.give(self.more.pop(0), EMPTY)
        return over(order[:FORM], 1.0, 2.0, RETURNED, order[FORM:])


class ServingTests(unittest.TestCase):
    """The loop, in this process."""

    #: Whether bodies run elsewhere.
    alone = True

    def setUp(self) -> None:
        self.slot = slot_of(self)
        self.inside = served(self, self.slot)
        descriptors.guard(self.inside.words)
        self.addCleanup(descriptors._identities.clear)

    def served(self, most_jobs: int | None, jobs: int = 3, spent: bool = False) -> Recorder:
        first, *more = [job(number + 1) for number in range(jobs)]
        self.slot.give(first, EMPTY)
        recorder = Recorder(self.slot, more, self.alone)
        recorder.spent = spent
        serving._serve(recorder, self.inside, most_jobs)
        return recorder

    def test_what_is_heard_before_a_body(self) -> None:
        """Its start, and the end of the one before, together."""
        recorder = self.served(3)
        self.assertEqual([[(Started, 1)], [(Ended, 1), (Started, 2)], [(Ended, 2), (Started, 3)]], recorder.heard)
        (last,) = self.slot.hear()
        assert isinstance(last, Ended)
        self.assertEqual((job(3), FINISHED, Inline(b"i")), (last.attempt, last.outcome.status, last.outcome.result))

    def test_idle(self) -> None:
        """An end is said before the server sleeps; where there will be no more orders, it goes."""
        orders = [tag_of(job(1)) + b"i", None, None]
        heard: list[tuple[bool, list[type]]] = []

        def take(inside: ServedSlot, wait: bool) -> bytes | None:
            heard.append((wait, [type(frame) for frame in self.slot.hear()]))
            return orders.pop(0)

        with mock.patch.object(ServedSlot, "take", take):
            serving._serve(Recorder(self.slot, [], self.alone), self.inside, None)
        self.assertEqual([(True, []), (False, []), (True, [Ended])], heard)

    def test_most_jobs(self) -> None:
        """After so many it takes no more."""
        self.assertEqual(2, len(self.served(2, jobs=3).heard))
        self.assertEqual([job(3)], self.slot.take_back())

    def test_spent(self) -> None:
        """One that can run no more is asked for no more."""
        self.served(None, jobs=2, spent=True)
        self.assertEqual([job(2)], self.slot.take_back())


class ServingBodiesTests(ServingTests):
    """The same where bodies run in this process."""

    alone = False

    def test_a_socket_that_is_not_ours_any_more(self) -> None:
        """Is not written to where bodies may have replaced it: the server ends."""
        descriptors._identities.clear()
        with mock.patch("os._exit", side_effect=SystemExit) as leave, self.assertRaises(SystemExit):
            self.served(1)
        leave.assert_called_once_with(1)
        self.assertEqual([], self.slot.hear())


class TakenTests(unittest.TestCase):
    """Outputs, as a server takes them."""

    def setUp(self) -> None:
        self.capture = mock.Mock(is_empty=lambda: False)

    def test_nothing(self) -> None:
        """Is not looked for any further."""
        self.capture.is_empty = lambda: True
        self.assertEqual(b"", serving.taken(self.capture, "/out"))
        self.capture.take.assert_not_called()

    def test_no_room(self) -> None:
        """It is tried again until there is; the log of the node tells why the job does not end."""
        self.capture.take.side_effect = [OSError(errno.ENOSPC, "full"), OSError(errno.ENOENT, "none"), b"\0out"]
        with mock.patch("time.sleep") as sleep, self.assertLogs(dispynode_logger, "WARNING") as logged:
            self.assertEqual(b"\0out", serving.taken(self.capture, "/out"))
        self.assertEqual([mock.call(1.0)] * 2, sleep.call_args_list)
        self.assertEqual(2, len(logged.output))
        self.assertIn("cannot be stored: [Errno 28] full", logged.output[0])

    def test_closed(self) -> None:
        """By a job that closes everything: that is no want of room."""
        self.capture.take.side_effect = OSError(errno.EBADF, "closed")
        with self.assertRaises(OSError):
            serving.taken(self.capture, "/out")
