"""Judgement of endings, without a process."""

from __future__ import annotations

import unittest

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Inline
from dispytw.worker.ending import judge, packed_death
from dispytw.worker.words import Raised, Returned, Said

RETURNED, RAISED = Returned(Inline(b"pr")), Raised("ValueError: x")
EXITED_0, EXITED_3, KILLED, TERMED = 0, 3 << 8, 9, 15


class JudgeTests(unittest.TestCase):
    """Word, wait status, cancelled, program: status and a part of the exception."""

    def test_the_table(self) -> None:
        """Every combination that can occur."""
        table: list[tuple[Said | None, int, bool, bool, int, str]] = [
            (RETURNED, EXITED_0, False, False, FINISHED, ""),
            (RETURNED, KILLED, False, False, FINISHED, ""),  # its last word was heard; what follows is not the job
            (RETURNED, KILLED, True, False, FINISHED, ""),
            (RAISED, EXITED_0, False, False, TERMINATED, "ValueError: x"),
            (RAISED, EXITED_0, True, False, CANCELLED, "ValueError: x"),
            (RAISED, EXITED_0, False, True, TERMINATED, "ValueError: x"),
            (None, EXITED_0, False, False, TERMINATED, "status 0 without a result"),
            (None, EXITED_3, False, False, TERMINATED, "status 3 without a result"),
            (None, EXITED_3, True, False, CANCELLED, "status 3"),
            (None, KILLED, False, False, TERMINATED, "signal 9 (SIGKILL) perhaps by the kernel"),
            (None, KILLED, True, False, CANCELLED, "signal 9 (SIGKILL)"),
            (None, 34, False, False, TERMINATED, "signal 34 (SIGRTMIN)"),
            (None, 40, False, False, TERMINATED, "signal 40 (a real-time signal)"),
            (None, EXITED_0, False, True, FINISHED, ""),
            (None, EXITED_3, False, True, FINISHED, ""),
            (None, EXITED_0, True, True, FINISHED, ""),
            (None, EXITED_3, True, True, CANCELLED, "the program exited with status 3"),
            (None, TERMED, True, True, CANCELLED, "signal 15 (SIGTERM)"),
            (None, TERMED, False, True, TERMINATED, "signal 15 (SIGTERM)"),
        ]
        for word, wait_status, cancelled, program, status, says in table:
            with self.subTest(word=word, wait_status=wait_status, cancelled=cancelled, program=program):
                ending = judge(word, wait_status, cancelled=cancelled, program=program)
                self.assertEqual(ending.status, status)
                self.assertIn(says, ending.exception or "")
                self.assertEqual(ending.exception is None, status == FINISHED)
                self.assertEqual(ending.result is not None, status == FINISHED)

    def test_stderr_is_quoted_after_a_silent_death(self) -> None:
        """The tail of stderr tells what the process could not."""
        ending = judge(None, KILLED, cancelled=False, program=False, stderr_tail="out of luck\n")
        self.assertIn("out of luck", ending.exception or "")
        self.assertNotIn("stderr", judge(None, KILLED, cancelled=False, program=False).exception or "")

    def test_the_error(self) -> None:
        """What a job raised comes along packed, how it died in a form of its own; a cancelled job has neither."""
        packed = Raised("ValueError: x", b"p.")
        table: list[tuple[Said | None, int, bool, bytes]] = [
            (packed, EXITED_0, False, b"p."),
            (packed, EXITED_0, True, b""),
            (RETURNED, EXITED_0, False, b""),
            (None, EXITED_3, False, packed_death("exit", 3)),
            (None, KILLED, False, packed_death("signal", 9)),
            (None, KILLED, True, b""),
        ]
        for word, wait_status, cancelled, error in table:
            with self.subTest(word=word, wait_status=wait_status, cancelled=cancelled):
                self.assertEqual(error, judge(word, wait_status, cancelled=cancelled, program=False).error)
        self.assertEqual(b"m\x92\xa6signal\x09", packed_death("signal", 9))

    def test_the_exit_status_of_a_program_as_payload(self) -> None:
        """A format byte, then msgpack."""
        self.assertEqual(judge(None, EXITED_3, cancelled=False, program=True).result, Inline(b"m\x03"))
