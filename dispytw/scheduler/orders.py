"""What the ledger asks its hands to do: one frozen value for each order, carried out by the dispatcher."""

from __future__ import annotations

from typing import Union

import attrs

from dispytw.values import Attempt, Outcome


@attrs.frozen
class Allocate:
    """Ask the user's NodeAllocate how many slots of the node the cluster may use; answer with `Ledger.allocated`."""

    cluster: bytes
    node: bytes


@attrs.frozen
class Prepare:
    """Open the cluster's computation on the node; answer with `prepared`, `rejected` or `held`."""

    node: bytes
    cluster: bytes


@attrs.frozen
class Release:
    """Close the computation on the node."""

    node: bytes
    cluster: bytes


@attrs.frozen
class Assign:
    """Send the attempt to the node, for this generation of the cluster's computation there; its body may take so many seconds."""

    node: bytes
    cluster: bytes
    generation: int
    attempt: Attempt
    timeout: float | None = None


@attrs.frozen
class Recall:
    """Ask the node for at most so many attempts of the cluster that have not started; answer with `given_back`."""

    node: bytes
    cluster: bytes
    most: int


@attrs.frozen
class Withdraw:
    """Cancel the attempt on the node; its end is an event like any other."""

    node: bytes
    attempt: Attempt


@attrs.frozen
class Reconcile:
    """Ask the node about these attempts, each with the incarnation and the generation it was given to; answer with `reconciled`."""

    node: bytes
    attempts: tuple[tuple[Attempt, int, int], ...]


@attrs.frozen
class ShowRunning:
    """Show the job as running on the node since the wall time."""

    job: bytes
    node: bytes
    started: float


@attrs.frozen
class Settle:
    """Give the job its one terminal status, after so many attempts that have started, or may have."""

    job: bytes
    outcome: Outcome
    node: bytes | None
    attempts: int = attrs.field(default=0, eq=False)


@attrs.frozen
class ShowRetry:
    """Show that an attempt has ended so, one of so many by now, and that the job is tried again after so many seconds."""

    job: bytes
    outcome: Outcome
    node: bytes
    attempt: Attempt
    attempts: int
    seconds: float


@attrs.frozen
class TellAway:
    """Tell the user that the node does not answer, and how many jobs wait for it."""

    node: bytes
    jobs: int


@attrs.frozen
class TellBack:
    """Tell the user that the node answers again."""

    node: bytes


@attrs.frozen
class TellRejected:
    """Tell the user that the cluster cannot use the node, and why."""

    cluster: bytes
    node: bytes
    text: str


@attrs.frozen
class TellHeld:
    """Tell the user that the node is in use by somebody else."""

    cluster: bytes
    node: bytes
    text: str


@attrs.frozen
class TellReady:
    """Tell the user that jobs of the cluster can run on the node: it was set up for them."""

    cluster: bytes
    node: bytes


@attrs.frozen
class TellClosed:
    """Tell the user that no job of the cluster can run on the node any more, and why; unless it is over, until it is ready again."""

    cluster: bytes
    node: bytes
    text: str
    is_over: bool = False


Order = Union[
    Allocate,
    Prepare,
    Release,
    Assign,
    Recall,
    Withdraw,
    Reconcile,
    ShowRunning,
    Settle,
    ShowRetry,
    TellAway,
    TellBack,
    TellRejected,
    TellHeld,
    TellReady,
    TellClosed,
]
