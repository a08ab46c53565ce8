"""How the processes that serve slots come to be: forked (`ForkedServers`), or executed (`dispytw.worker.spawning.Spawner`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dispytw.worker.slots import Slot
from dispytw.worker.voice import voice


class Servers(Protocol):
    """How the processes that serve slots come to be."""

    def open_slot(self) -> Slot:
        """A new slot; raises OSError when there can be none."""

    def begin(self, slot: Slot) -> int:
        """Start a process that serves a slot; returns its id. Raises OSError when there can be none."""


class ForkedServers:
    """Forks what serves slots.

    :param fork: forks one, and returns its process id (`dispytw.worker.computation.Computation.begin`).
    :param out: directory for captures.
    """

    def __init__(self, fork: Callable[[tuple[int, ...], int], int], out: str) -> None:
        self._fork, self._out = fork, out

    def open_slot(self) -> Slot:
        """See `Servers`."""
        return Slot.open(self._out)

    def begin(self, slot: Slot) -> int:
        """See `Servers`."""
        return self._fork(slot.passing, voice.max_file_size)
