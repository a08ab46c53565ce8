"""A process that serves a slot (a kept worker, or a forker), as its supervisor sees it."""

from __future__ import annotations

import attrs

from dispytw.values import EMPTY, Attempt, Body
from dispytw.worker.serverwords import output_of
from dispytw.worker.slots import Slot


@attrs.define(eq=False)
class Server:
    """One such process.

    :ivar given: attempts in its queue, each with its arguments; they have not started, as far as is known.
    :ivar running: the attempt that it has said to have begun, with its arguments ``args``, at the wall time ``began``.
    :ivar cancelled: the attempt that has been sent a cancel.
    :ivar stopping: the attempt for which it is stopped, to be killed if that still runs.
    :ivar wait_status: how it has ended, as `os.waitpid` tells it.
    :ivar taken: outputs of its last job that have been taken; see `take`.
    """

    slot: Slot
    pid: int
    given: dict[Attempt, Body] = attrs.field(factory=dict)
    running: Attempt | None = None
    args: Body = EMPTY
    began: float = 0.0
    cancelled: Attempt | None = None
    stopping: Attempt | None = None
    wait_status: int | None = None
    _seen: Attempt | None = None
    _lingering: Attempt | None = None
    taken: dict[str, Body] = attrs.field(factory=dict)

    def take(self, output: str, path: str) -> Body:
        """What its last job has written to one of its outputs, once; the file at ``path`` if it is long.

        :raises OSError: when there is no room for that.
        """
        if output not in self.taken:
            self.taken[output] = output_of(getattr(self.slot, output).take(path))
        return self.taken[output]

    def runs(self, attempt: Attempt) -> bool:
        """Whether it lives, and has this attempt under way."""
        return self.running == attempt and self.wait_status is None

    @property
    def load(self) -> int:
        """Jobs that it has."""
        return len(self.given) + (self.running is not None)

    @property
    def lingers(self) -> bool:
        """Whether `look` has found it twice with the job that it runs: nothing should wait behind that."""
        return self.running is not None and self.running == self._lingering

    def look(self) -> None:
        """Said now and then, at the same intervals."""
        self._lingering = self.running if self.running == self._seen else None
        self._seen = self.running
