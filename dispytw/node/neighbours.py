"""What the steward needs of those around it: a launcher, and the workspace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from dispytw.node.adoption import Papers
from dispytw.values import Attempt, Body, Computation, File
from dispytw.wire.jobframes import JobFrame


class Launches(Protocol):
    """What the steward needs of a launcher; its events come back as this class's ``supervisor_…`` and ``job_…`` methods."""

    def launch(self, papers: Papers, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        """Start a supervisor."""

    def start(self, computation: bytes, attempts: list[tuple[Attempt, Body]], timeouts: Mapping[Attempt, float]) -> None:
        """Hand attempts to it, some with a limit of seconds."""

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        """Cancel one."""

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        """Run cleanup() and end it."""

    def recall(self, computation: bytes, most: int) -> None:
        """Get attempts back that have not started."""

    def kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        """Outcomes are kept elsewhere: let it forget them."""

    def say(self, computation: bytes, frames: Sequence[JobFrame]) -> None:
        """Say something about its running jobs."""

    def change_hands(self, computation: bytes, client: bytes, name: str) -> None:
        """It works for this client from now on."""


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

    def remove_bodies(self, attempts: Iterable[Attempt]) -> None:
        """Delete what attempts left whose outcomes name no files."""
