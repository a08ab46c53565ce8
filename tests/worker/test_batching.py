"""Many calls in one job: each has its own end."""

from __future__ import annotations

import pickle
import sys
import threading
import unittest
from typing import Any

from dispytw.wire.batches import Answer, open_answers
from dispytw.worker.batching import perform_calls
from dispytw.worker.raising import packed_death
from tests.wire.test_payload import Other


class Packer(Other):
    """A namespace that finds everything."""

    def pack_error(self, error: BaseException) -> bytes:
        return b"p" + pickle.dumps(error)


def compute(what: Any, plus: int = 0) -> Any:
    """Ends as it is told to."""
    if isinstance(what, BaseException):
        raise what
    if what == "exit":
        sys.exit(3)
    return threading.Lock() if what == "lock" else what + plus


class Calls(unittest.TestCase):
    """`perform_calls`."""

    def performed(self, *calls: Any) -> list[Answer]:
        return open_answers(perform_calls(compute, list(calls), Packer()))

    def test_each_has_its_own_end(self) -> None:
        """Results, exceptions, sys.exit, and what cannot be packed, in order; the calls after them are performed."""
        told = self.performed(((1,), {}), ((ValueError("no"),), {}), (("exit",), {}), (("lock",), {}), ((2,), {"plus": 5}))
        self.assertEqual([True, False, False, False, True], [answer.result is not None for answer in told])
        self.assertEqual([1, 7], [pickle.loads((told[place].result or b"")[1:]) for place in (0, 4)])
        self.assertRegex(told[1].exception, r"(?s)\ATraceback.*in compute.*ValueError: no\n\Z")
        self.assertEqual("no", str(pickle.loads(told[1].error[1:])))
        self.assertEqual(packed_death("exit", 3), told[2].error)
        self.assertIn("cannot be sent back", told[3].exception)

    def test_a_cancel_ends_them_all(self) -> None:
        """KeyboardInterrupt is the job's, not a call's."""
        with self.assertRaises(KeyboardInterrupt):
            self.performed(((1,), {}), ((KeyboardInterrupt(),), {}), ((2,), {}))
