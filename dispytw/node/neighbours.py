"""What the steward needs of those around it: a launcher, the workspace, a link to each client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.values import Attempt, Body, Computation, File, Outcome


class Launches(Protocol):
    """What the steward needs of a launcher; its events come back as this class's ``supervisor_…`` and ``job_…`` methods."""

    def launch(self, computation: Computation, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """Start a supervisor."""

    def start(self, computation: bytes, attempts: list[tuple[Attempt, Body]]) -> None:
        """Hand attempts to it."""

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """Cancel one."""

    def recall(self, computation: bytes, most: int) -> None:
        """Get attempts back that have not started."""

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        """Run cleanup() and end it."""


class LaidOut(Protocol):
    """Where a computation's files lie."""

    @property
    def bundle_path(self) -> str:
        """The packed code."""

    @property
    def work_dir(self) -> str:
        """The directory in which jobs run."""


class Files(Protocol):
    """What the steward needs of the workspace."""

    def missing(self, files: Iterable[File]) -> list[File]:
        """Those of the files that are not here."""

    def lay_out(self, computation: Computation) -> LaidOut:
        """Copy a computation's files to where its jobs run."""

    def remove(self, computation: bytes) -> None:
        """Delete what a computation left."""


class ClientLink(Protocol):
    """What the steward needs of a link to a client."""

    local_host: str

    def send_body(self, body: Body) -> Deferred[bytes]:
        """Stream a body that does not fit a box."""

    def tell_ready(self, computation: bytes, generation: int) -> Deferred[Any]:
        """A computation is ready."""

    def tell_failed(self, computation: bytes, generation: int, text: str) -> Deferred[Any]:
        """A computation is not, or no more."""

    def tell_started(self, jobs: Sequence[tuple[Attempt, float]]) -> Deferred[Any]:
        """Attempts run."""

    def tell_ended(self, jobs: Sequence[tuple[Attempt, Outcome]], streams: dict[str, bytes]) -> list[Deferred[list[Attempt]]]:
        """Attempts have ended; each Deferred gives those that may be forgotten."""

    def tell_given_back(self, attempts: Sequence[Attempt]) -> Deferred[Any]:
        """Attempts never started."""

    def tell_freed(self) -> Deferred[Any]:
        """The node is free."""

    def drop(self, reason: str) -> None:
        """Close the link."""
