"""What a cluster needs of its recover file, and what stands in its place when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.client.remains import Place
from dispytw.values import Attempt, Outcome


class Keeping(Protocol):
    """A cluster's recover file; `dispytw.client.recoverfile.RecoverFile` is one.

    :ivar path: where it lies, or None.
    """

    path: str | None

    def leaving(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, Any]]) -> bool:
        """Attempts are about to be sent to a node, each with its job's id; False when they must not leave yet."""

    def identified(self, job: bytes, value: Any) -> None:
        """A program has set a job's id."""

    def ended(self, job: bytes, node: bytes | None, outcome: Outcome, number: int | None = None) -> None:
        """A job has its final status; or, with a number, that attempt has ended, and another may follow."""

    def delivered(self, job: bytes) -> None:
        """The program has a job's result."""

    def kept(self) -> Deferred[None] | None:
        """Fires when every outcome so far is written, or delivered; None when that is so."""

    def flush(self) -> Deferred[None] | None:
        """Write at once what has been gathered; fires when it is written, unless the disk is full. None when there is nothing."""

    def remove(self) -> None:
        """The cluster has ended well."""

    def leave(self) -> None:
        """Give the file up as it is, for `recover_jobs`."""


class NoFile:
    """For a cluster whose jobs are not to be recovered."""

    path: str | None = None

    def leaving(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, Any]]) -> bool:
        """Nothing keeps them."""
        return True

    def kept(self) -> Deferred[None] | None:
        """See Keeping."""
        return None

    flush = kept

    def _nothing(self, *_: Any) -> None:
        """See Keeping."""

    identified = ended = delivered = remove = leave = _nothing
