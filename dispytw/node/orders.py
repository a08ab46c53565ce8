"""What the bench asks its hands to do: one frozen value for each order, carried out by the steward."""

from __future__ import annotations

from typing import Union

import attrs

from dispytw.values import Attempt, Computation, Outcome


@attrs.frozen
class Launch:
    """Lay the computation's files out and start its supervisor."""

    computation: Computation


@attrs.frozen
class Start:
    """Hand the attempts to the computation's supervisor."""

    computation: bytes
    attempts: tuple[Attempt, ...]


@attrs.frozen
class Stop:
    """Cancel the attempt: KeyboardInterrupt first, in the end SIGKILL for its whole tree."""

    computation: bytes
    attempt: Attempt


@attrs.frozen
class Recall:
    """Get at most so many attempts back from the computation's supervisor that have not started."""

    computation: bytes
    most: int


@attrs.frozen
class End:
    """Run cleanup() and end the supervisor, and whatever jobs it has left."""

    computation: bytes


@attrs.frozen
class Remove:
    """Delete what the computation left on the disk."""

    computation: bytes


@attrs.frozen
class Forget:
    """The outcome has arrived where it belongs: delete its files."""

    attempt: Attempt
    outcome: Outcome


@attrs.frozen
class TellReady:
    """Tell the client that its computation is ready."""

    client: bytes
    computation: bytes
    generation: int


@attrs.frozen
class TellFailed:
    """Tell the client that its computation could not be made ready, or is no more."""

    client: bytes
    computation: bytes
    generation: int
    text: str


@attrs.frozen
class TellStarted:
    """Tell the client that an attempt runs."""

    client: bytes
    attempt: Attempt
    started: float


@attrs.frozen
class TellEnded:
    """Tell the client how an attempt ended, until it says that it knows."""

    client: bytes
    attempt: Attempt
    outcome: Outcome


@attrs.frozen
class TellGivenBack:
    """Tell the client that attempts never started, and never will here: the answer to its recall."""

    client: bytes
    attempts: tuple[Attempt, ...]


@attrs.frozen
class TellFreed:
    """Tell a client that was turned away that it may try again."""

    client: bytes


Order = Union[
    Launch,
    Start,
    Stop,
    Recall,
    End,
    Remove,
    Forget,
    TellReady,
    TellFailed,
    TellStarted,
    TellEnded,
    TellGivenBack,
    TellFreed,
]
