"""A job that has files of its own runs in a directory of its own, beside those of other jobs, so that none sees another's.

The node has put the files there. When the job starts, everything in the computation's directory is shown beside them, through symlinks:
files that came with the computation, that setup() has made, or that earlier jobs have left. Of two with one name the job's own is
seen. What the job makes there goes with the directory.
"""

from __future__ import annotations

import os
import sys

from dispytw.wire.bundle import OWN_PLACE

#: The job's own directory and that of all jobs, as long as this process is in the first.
_at: tuple[str, str] | None = None


def enter(payload: bytes, own: str, shared: str) -> bytes:
    """Go to the job's own directory, if its arguments say that it has one; returns them without that mark.

    :param own: the directory.
    :param shared: that of all jobs of the computation.
    """
    global _at
    if payload[:1] != OWN_PLACE:
        return payload
    _show(shared, own)
    _at = (own, shared)
    _be_at(own, shared)
    return payload[1:]


def leave() -> None:
    """Go back, if a job in this process has had a directory of its own."""
    global _at
    if _at is not None:
        (own, shared), _at = _at, None
        _be_at(shared, own)


def environment_at(own: str, environment: dict[str, str]) -> dict[str, str]:
    """What a program finds in its environment that runs in a directory of its own."""
    return {**environment, "dispy_job_path": own, "PATH": own + os.pathsep + environment.get("PATH", os.defpath)}


def _show(shared: str, own: str) -> None:
    """Let everything that is shared be seen here too; directories that both have hold what both have."""
    with os.scandir(shared) as entries:
        for entry in entries:
            place = os.path.join(own, entry.name)
            if not os.path.lexists(place):
                os.symlink(entry.path, place)
            elif entry.is_dir(follow_symlinks=False) and os.path.isdir(place) and not os.path.islink(place):
                _show(entry.path, place)


def _be_at(here: str, before: str) -> None:
    os.chdir(here)
    sys.path[:] = [here if each == before else each for each in sys.path]
    names = vars(sys.modules["__main__"])
    if names.get("dispy_job_path") == before:
        names["dispy_job_path"] = here
