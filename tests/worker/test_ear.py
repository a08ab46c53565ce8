"""The supervisor's ear, alone: who speaks, in which order, and what is not heard."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import unittest
from collections.abc import Callable
from unittest import mock

from dispytw.values import Attempt, Inline
from dispytw.wire.frames import Decoder, Frame, Ready, encode
from dispytw.wire.jobframes import HEARD, PROVISIONAL, REFUSED, UNDERWAY, Answer, Logged, Remark, Unsaid
from dispytw.worker import descriptors
from dispytw.worker import ear as module
from dispytw.worker.ear import Ear

A, B = Attempt(b"a" * 16, 1), Attempt(b"b" * 16, 1)


def remark(attempt: Attempt = A, number: int = 0, value: bytes = b"v") -> Remark:
    return Remark(attempt, number, PROVISIONAL, "", Inline(value))


class EarTests(unittest.TestCase):
    """Two attempts run; the test is the loop, and all speakers."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="ear-")
        self.addCleanup(shutil.rmtree, directory)
        self.addCleanup(os.chdir, os.getcwd())
        ours = mock.patch.object(descriptors, "_ours", set())  # whatever is still there in the end: no later child should close it
        ours.start()
        self.addCleanup(ours.stop)
        self.listener, self.path = Ear.bound(os.path.join(directory, "s.sock"))
        self.watched: dict[socket.socket, Callable[[], None]] = {}
        self.addCleanup(self.close)
        self.told: list[Frame] = []
        self.running = {A, B}
        self.ear = Ear(self.listener, self.watched.__setitem__, self.watched.__delitem__, self.told.append, self.running.__contains__)

    def close(self) -> None:
        """Whoever still speaks is not heard any more."""
        for each in {self.listener, *self.watched}:
            each.close()

    def speaker(self) -> socket.socket:
        """A connection, accepted if there is room."""
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.settimeout(5)
        connection.connect(self.path)
        self.turn()
        return connection

    def turn(self) -> None:
        """Everything that can be read is read."""
        for call in list(self.watched.values()):
            call()

    def say(self, speaker: socket.socket, *frames: Frame) -> list[Frame]:
        """What the daemon is told then."""
        speaker.sendall(b"".join(map(encode, frames)))
        self.turn()
        told, self.told[:] = list(self.told), []
        return told

    def answer(self, speaker: socket.socket) -> Frame | None:
        """What a speaker hears next; None at the end."""
        received = speaker.recv(1 << 16)
        return Decoder().feed(received)[0] if received else None

    def test_numbers(self) -> None:
        """Each remark gets the next number of its attempt, and its own speaker the answer."""
        first, second, other = self.speaker(), self.speaker(), self.speaker()
        self.assertEqual([remark(number=1)], self.say(first, remark()))
        self.assertEqual([remark(number=2)], self.say(second, remark()))
        self.assertEqual([remark(B, 1)], self.say(other, remark(B)))
        self.assertEqual(3, len(self.ear.standing()))
        self.ear.answered(Answer(A, 2, HEARD))
        self.assertEqual(Answer(A, 2, HEARD), self.answer(second))
        self.ear.answered(Answer(A, 1, UNDERWAY))
        self.assertEqual(Answer(A, 1, UNDERWAY), self.answer(first))
        self.assertEqual([remark(number=1), remark(B, 1)], self.ear.standing())

    def test_one_after_another(self) -> None:
        """A connection may carry more than one remark, but not two at a time."""
        speaker = self.speaker()
        self.say(speaker, remark())
        self.ear.answered(Answer(A, 1, HEARD))
        self.answer(speaker)
        self.assertEqual([remark(number=2)], self.say(speaker, remark()))
        self.assertEqual([Unsaid(A, 2)], self.say(speaker, remark()))
        self.assertIsNone(self.answer(speaker))

    def test_gone(self) -> None:
        """A speaker that is gone takes its remark back; an answered one does not."""
        speaker, other = self.speaker(), self.speaker()
        self.say(speaker, remark())
        self.say(other, remark(B))
        self.ear.answered(Answer(B, 1, HEARD))
        speaker.close()
        other.close()
        self.turn()
        self.assertEqual(([Unsaid(A, 1)], []), (self.told, self.ear.standing()))
        self.assertEqual([self.listener], list(self.watched))
        self.ear.answered(Answer(A, 1, HEARD))

    def test_not_running(self) -> None:
        """What is said for a job that is over is refused, and nobody is told."""
        self.running.clear()
        speaker = self.speaker()
        self.assertEqual([], self.say(speaker, remark()))
        self.assertEqual(Answer(A, 0, REFUSED, "this job is over"), self.answer(speaker))

    def test_ended(self) -> None:
        """When a job ends, whoever still waits for it hears no more; the daemon knows that already."""
        speaker = self.speaker()
        self.say(speaker, remark())
        self.ear.ended(A)
        self.ear.ended(B)
        self.assertIsNone(self.answer(speaker))
        self.assertEqual(([], []), (self.told, self.ear.standing()))

    def test_nonsense(self) -> None:
        """What is no frame, or not a job's to say, ends the connection and nothing else."""
        for said in (b"\xff" * 100, encode(Ready()), encode(Answer(A, 1, HEARD))):
            speaker = self.speaker()
            speaker.sendall(said)
            self.turn()
            self.assertIsNone(self.answer(speaker))
        self.assertEqual(([], [self.listener]), (self.told, list(self.watched)))

    def test_lines_for_the_log(self) -> None:
        """Go on at once, from anybody."""
        self.running.clear()
        self.assertEqual([Logged(None, 20, "x"), Logged(A, 30, "y")], self.say(self.speaker(), Logged(None, 20, "x"), Logged(A, 30, "y")))

    def test_many(self) -> None:
        """Only so many are heard at a time; the next one is when another is gone."""
        self.addCleanup(setattr, module, "MOST", module.MOST)
        module.MOST = 2
        first, _second, third = (self.speaker() for _ in range(3))
        self.assertEqual(2, len(self.watched))
        self.assertNotIn(self.listener, self.watched)
        first.close()
        self.turn()
        self.turn()
        self.assertEqual(2, len(self.watched))
        self.assertEqual([remark(number=1)], self.say(third, remark()))
