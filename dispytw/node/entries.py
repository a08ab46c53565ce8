"""The bench's entries: what it remembers of a client, a computation and an attempt."""

from __future__ import annotations

import enum
from collections import OrderedDict

import attrs

from dispytw.values import Attempt, Computation, Outcome
from dispytw.wire.records import HANDED

#: Attempts that are remembered after their outcomes have been forgotten: acknowledged ones, and as many that were given up.
_REMEMBERED = 10_000


class Stage(enum.Enum):
    """How far a computation has come here."""

    FETCHING = "fetching"
    LAUNCHING = "launching"
    READY = "ready"
    FAILED = "failed"
    CLOSING = "closing"


@attrs.define(eq=False)
class Client:
    """One client, and since when its link is gone."""

    uid: bytes
    name: str
    gone_since: float | None = None


@attrs.define(eq=False)
class Opened:
    """One computation, and how far it has come here."""

    computation: Computation
    client: bytes
    stage: Stage = Stage.FETCHING
    generation: int = 0
    text: str = ""
    launched: bool = False


@attrs.define(eq=False)
class Placed:
    """One attempt that is here, or whose outcome is owed."""

    client: bytes
    computation: bytes
    token: bytes
    word: str = HANDED
    started: float = 0.0
    cancelled: bool = False
    outcome: Outcome | None = None


class EndedAttempts(OrderedDict[Attempt, None]):
    """Attempts whose outcomes have been forgotten: an old request for one starts nothing, and none is said never to have started."""

    def remember(self, attempt: Attempt) -> None:
        """One more; the oldest goes when there are too many."""
        self[attempt] = None
        if len(self) > _REMEMBERED:
            self.popitem(last=False)
