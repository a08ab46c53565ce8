"""What a forker blocks, a body gets; and SIGINT has to wait outside the body."""

from __future__ import annotations

import os
import signal
import unittest
from collections.abc import Callable
from unittest import mock

from dispytw.worker import masks

HELD = (int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGCHLD))


def blocked() -> set[int]:
    return {int(signum) for signum in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


class MasksTests(unittest.TestCase):
    """In a child, where SIGHUP was blocked before: setup() may have done that, and jobs inherit it."""

    def in_child(self, look: Callable[[], bool]) -> None:
        """Holds, and looks."""
        pid = os.fork()
        if pid == 0:
            right = False
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGHUP, signal.SIGINT})
                masks.hold(HELD)
                right = blocked() == {*HELD, signal.SIGHUP} and look()
            finally:
                os._exit(0 if right else 1)
        self.assertEqual(0, os.waitpid(pid, 0)[1])

    @staticmethod
    def _changes() -> bool:
        masks.let_through()
        inside = blocked()
        masks.block()
        return inside == {signal.SIGHUP} and blocked() == {signal.SIGINT, signal.SIGHUP}

    @staticmethod
    def _made_changes() -> bool:
        let_through, block = masks.letting_through(), masks.blocking()
        for _ in range(2):
            let_through()
            inside = blocked()
            block()
            if inside != {signal.SIGHUP} or blocked() != {signal.SIGINT, signal.SIGHUP}:
                return False
        return True

    @staticmethod
    def _interrupted() -> bool:
        return MasksTests._is_interrupted(masks.let_through) and MasksTests._is_interrupted(masks.letting_through())

    @staticmethod
    def _is_interrupted(let_through: Callable[[], object]) -> bool:
        masks.block()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            let_through()
            for _ in range(1000):
                pass
        except KeyboardInterrupt:
            return True
        return False

    def test_inside_and_outside(self) -> None:
        """A body has what was blocked before; after it SIGINT is blocked."""
        self.in_child(self._changes)

    def test_made_beforehand(self) -> None:
        """What a worker calls, who has looked nothing up, does the same."""
        self.in_child(self._made_changes)

    def test_one_that_came_before(self) -> None:
        """Interrupts the body at its beginning."""
        self.in_child(self._interrupted)

    def test_without_the_c_library(self) -> None:
        """The same by Python's own functions, where the C library is not called."""
        with mock.patch.object(masks, "_libc", None), mock.patch.object(masks, "_set", None):
            self.in_child(self._changes)
            self.in_child(self._made_changes)
            self.in_child(self._interrupted)
