"""What jobs say, as frames; that they survive the journey is shown by test_frames."""

from __future__ import annotations

import struct
import unittest

import msgpack

from dispytw.errors import WireError
from dispytw.values import Attempt
from dispytw.wire.frames import Decoder
from dispytw.wire.jobframes import HEARD, REFUSED, STOPPED, UNDERWAY, Answer

A = [b"j" * 16, 1]


class JobFramesTests(unittest.TestCase):
    """What is no frame, and which answers end the wait."""

    def test_frames_that_are_refused(self) -> None:
        """Wrong counts, types, words and sizes."""
        for fields in (
            [40, -1], [40, "10m"], [40, True], [41, A, 1, "song", "", b""], [41, A, -1, "file", "x", b""], [41, A, 1, "file", 7, b""],
            [41, A, 1, "file", "x", ["p", -1]], [41, A, 1, "file", "x", 5], [42, A, 1, "perhaps", ""], [42, A, 1, "heard", None],
            [43, A], [43, [b"short", 1], 1], [44, 7, 20, "text"], [44, None, "INFO", "text"], [45, A, False, -1],
            [46, A, False, 0, "text"], [46, A, False, 0],
        ):  # fmt: skip
            packed = msgpack.packb(fields)
            with self.subTest(fields=fields), self.assertRaises(WireError):
                Decoder().feed(struct.pack(">I", len(packed)) + packed)

    def test_final_answers(self) -> None:
        """A remark is done with when it was heard or refused."""
        attempt = Attempt(b"j" * 16, 1)
        final = [verdict for verdict in (UNDERWAY, STOPPED, HEARD, REFUSED) if Answer(attempt, 1, verdict).is_final]
        self.assertEqual([HEARD, REFUSED], final)
