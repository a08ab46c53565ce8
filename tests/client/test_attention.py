"""Who listens for a job's end is told once, whatever others who listen do."""

from __future__ import annotations

from typing import NoReturn

from twisted.trial.unittest import SynchronousTestCase

from dispytw.client.attention import Attention

EVERY_PYTHON = True


class Settling(SynchronousTestCase):
    """`Attention.settled`."""

    def test_everybody_is_told_once(self) -> None:
        """Each listener is called, in order; a second end would call nobody."""
        attention, told = Attention(), []
        attention.listeners += (lambda: told.append(1), lambda: told.append(2))
        attention.settled()
        attention.settled()
        self.assertEqual([1, 2], told)

    def test_one_that_raises(self) -> None:
        """Is logged, and keeps nobody else from being told."""
        attention, told = Attention(), []

        def fails() -> NoReturn:
            raise ValueError("on purpose")

        attention.listeners += (fails, lambda: told.append(2))
        attention.settled()
        self.assertEqual([2], told)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_nobody(self) -> None:
        """Nothing is there that was not asked for."""
        attention = Attention()
        attention.settled()
        self.assertEqual((None, None, None), (attention.event, attention.future, attention.error))
