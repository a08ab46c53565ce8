"""The threads that run user code."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.callbacks import UserThread
from tests.client.watching import PATIENCE

EVERY_PYTHON = True


class Calls(SynchronousTestCase):
    """One after another, whatever they do."""

    def setUp(self) -> None:
        self.thread = UserThread("test")  # as in a program, it is there for good

    def results(self, thread: UserThread, function: Callable[..., object], *args: object) -> object:
        """What the function returned on the thread."""
        returned: queue.SimpleQueue[object] = queue.SimpleQueue()
        thread.call(lambda: returned.put(function(*args)), then=lambda: None)
        return returned.get(timeout=PATIENCE)

    def test_who_is_calling(self) -> None:
        """The thread knows itself, and is no other."""
        self.assertTrue(self.results(self.thread, lambda: self.thread.is_current))
        self.assertFalse(self.thread.is_current)
        self.assertFalse(self.results(UserThread("another"), lambda: self.thread.is_current))

    def test_it_does_not_keep_the_program(self) -> None:
        """A program can end while the thread waits for its next call."""
        self.assertTrue(self.results(self.thread, lambda: threading.current_thread().daemon))
        self.assertEqual("test", self.results(self.thread, lambda: threading.current_thread().name))

    @given(st.lists(st.sampled_from([None, ValueError, SystemExit, KeyboardInterrupt]), max_size=20))
    def test_order(self, ends: list[type[BaseException] | None]) -> None:
        """Calls run in the order in which they came, each followed by what comes after it, however each ends."""
        said: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()

        def call(number: int, end: type[BaseException] | None) -> None:
            said.put((number, "called"))
            if end is not None:
                raise end

        for number, end in enumerate(ends):
            self.thread.call(call, number, end, then=lambda number=number: said.put((number, "then")))  # type: ignore[misc]
        heard = [said.get(timeout=PATIENCE) for _ in range(2 * len(ends))]
        self.assertEqual([(number, word) for number in range(len(ends)) for word in ("called", "then")], heard)
        self.flushLoggedErrors()

    def test_from_many_threads(self) -> None:
        """Calls from many threads run on this one alone, none is lost, and each thread's own stay in order."""
        seen: list[tuple[int, int, int]] = []

        def call(caller: int, number: int) -> None:
            seen.append((caller, number, threading.get_ident()))

        callers = [
            threading.Thread(target=lambda me=me: [self.thread.call(call, me, n, then=int) for n in range(50)])  # type: ignore[misc]
            for me in range(4)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(PATIENCE)
        self.results(self.thread, int)
        self.assertEqual({self.thread._thread.ident}, {ident for _, _, ident in seen})
        for me in range(4):
            self.assertEqual(list(range(50)), [number for caller, number, _ in seen if caller == me])

    def test_exceptions_are_shown(self) -> None:
        """What a callback raises is logged with its traceback and its name."""

        def wrong(job: object) -> None:
            raise ZeroDivisionError(f"no {job}")

        self.thread.call(wrong, 7, then=lambda: None)
        self.results(self.thread, int)
        logged = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(["no 7"], [str(failure.value) for failure in logged])
        self.assertIn("in wrong", logged[0].getTraceback())

    def test_callables_without_a_name(self) -> None:
        """A callback may be any callable; one without a name is shown as it is."""

        class Callback:
            def __call__(self) -> None:
                raise ZeroDivisionError

        self.thread.call(Callback(), then=lambda: None)
        self.results(self.thread, int)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
