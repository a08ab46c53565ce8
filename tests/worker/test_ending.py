"""Judgement of endings, without a process."""

from __future__ import annotations

import unittest

from dispytw.values import CANCELLED, ERROR_LIMIT, FINISHED, TERMINATED, Inline, Outcome, Stored
from dispytw.worker import words
from dispytw.worker.ending import Raised, Returned, Said, judge, not_started, opened_word
from dispytw.worker.raising import packed_death

RETURNED, RAISED = Returned(Inline(b"pr")), Raised("ValueError: x")
EXITED_0, EXITED_3, KILLED, TERMED = 0, 3 << 8, 9, 15


class OpenedTests(unittest.TestCase):
    """A word, as a worker has left it; that one arrives whole is told in the tests of `dispytw.worker.words`."""

    def test_none(self) -> None:
        """Where nothing was said there is none, whatever lies there from before."""
        self.assertIsNone(opened_word(words.NONE, b"from before", "/there"))

    def test_nonsense(self) -> None:
        """Is no word, whatever it is."""
        for kind, content in (
            (9, b"x"),
            (words.STORED, b"short"),
            (words.STORED, words.stored_size(7) + b"x"),
            (words.RAISED, b"len"),
            (words.RAISED, words.raised("", b"e" * (ERROR_LIMIT + 1))),
        ):
            with self.subTest(kind=kind, size=len(content)):
                self.assertIsNone(opened_word(kind, content, "/there"))

    def test_a_text_that_is_none(self) -> None:
        """Is readable all the same."""
        self.assertEqual(Raised("\ufffd"), opened_word(words.RAISED, words.TEXT.pack(1) + b"\xff", ""))

    def test_a_result_in_a_file(self) -> None:
        """Is where the supervisor knows that it must be: the word says no more than its length."""
        self.assertEqual(Returned(Stored("/there", 7)), opened_word(words.STORED, words.stored_size(7), "/there"))


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

    def test_the_exit_status_of_a_program_as_payload(self) -> None:
        """A format byte, then msgpack."""
        self.assertEqual(judge(None, EXITED_3, cancelled=False, program=True).result, Inline(b"m\x03"))

    def test_no_process(self) -> None:
        """An attempt for which none could be made never began."""
        outcome = Outcome(TERMINATED, exception="no memory", ended=2.0, reason="its process could not be started")
        self.assertEqual((outcome, None), (not_started("no memory", 2.0), outcome.started))
