"""What the steward needs of those around it: a launcher, and the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from dispytw.node.adoption import Papers
from dispytw.values import Attempt, Body, Computation, File, Stored
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
    """What the steward needs of the workspace. What is released is deleted later, outside the reactor thread."""

    def missing(self, files: Iterable[File]) -> list[File]:
        """Those of the files that are not here."""

    def hold(self, computation: Computation) -> None:
        """The computation is here."""

    def release(self, computation: bytes, returns: bool = False) -> Any:
        """It is no more: what is to be deleted."""

    def remove(self, waste: Any) -> None:
        """Delete it."""

    def lay_out(self, computation: Computation) -> LaidOut:
        """Copy a computation's files to where its jobs run."""

    def hold_files(self, computation: bytes, files: Iterable[File], attempt: Attempt | None = None) -> None:
        """Files for the computation that come later, or for one attempt."""

    def lay_out_later(self, computation: bytes, files: Iterable[File], attempt: Attempt | None = None) -> None:
        """Put these to where the computation's jobs run, or to the attempt's own."""

    def laid_out_for(self, computation: bytes, attempt: Attempt) -> Any:
        """The attempt has its files: what is to be deleted."""

    def own_files(self, attempt: Attempt) -> Any:
        """The attempt's own files, to be deleted."""

    def with_own_files(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Those of the attempts that have files of their own."""

    def remove_bodies(self, attempts: Iterable[Attempt]) -> None:
        """Delete what attempts left whose outcomes name no files."""


class NoLauncher:
    """Stands where the launcher will be, until the node's service has made it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the node has no launcher yet")


def delete_bodies(bodies: Iterable[Body]) -> None:
    """Remove the files of those that are in files."""
    for body in bodies:
        if isinstance(body, Stored):
            try:
                os.unlink(body.path)
            except FileNotFoundError:
                pass
