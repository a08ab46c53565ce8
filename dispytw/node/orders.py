"""What the bench asks its hands to do: one frozen value for each order, carried out by the steward."""

from __future__ import annotations

from typing import Union

import attrs

from dispytw.values import Attempt, Computation, Outcome


@attrs.frozen
class Launch:
    """Lay the computation's files out and start its supervisor, of this generation, for this client."""

    computation: Computation
    client: bytes
    generation: int


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
class GetBack:
    """Get at most so many attempts back from the computation's supervisor that have not started."""

    computation: bytes
    most: int


@attrs.frozen
class End:
    """Run cleanup() and end the supervisor, and whatever jobs it has left."""

    computation: bytes


@attrs.frozen
class Remove:
    """Delete what the computation left on the disk, unless it is to stay.

    ``returns`` says that its client will soon want it here again.
    """

    computation: bytes
    returns: bool = False


@attrs.frozen
class Owed:
    """An outcome, and to whom it is owed: the client whose computation it is, or who shows its token."""

    attempt: Attempt
    client: bytes
    computation: bytes
    token: bytes
    outcome: Outcome


@attrs.frozen
class Keep:
    """Keep the outcome on the disk; then its supervisor may forget it."""

    owed: Owed


@attrs.frozen
class Forget:
    """The outcome has arrived where it belongs: it need not be kept any more, by nobody here; delete its files."""

    attempt: Attempt
    computation: bytes
    outcome: Outcome


@attrs.frozen
class BringBack:
    """Outcomes owed to the client are on the disk only: bring them back."""

    client: bytes


@attrs.frozen
class Reassign:
    """What the disk holds of the computation is owed to this client now: write that down, and bring it back."""

    computation: bytes
    client: bytes


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
    GetBack,
    End,
    Remove,
    Keep,
    Forget,
    BringBack,
    Reassign,
    TellReady,
    TellFailed,
    TellStarted,
    TellEnded,
    TellGivenBack,
    TellFreed,
]
