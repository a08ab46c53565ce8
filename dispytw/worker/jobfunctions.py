"""The names a function computation may use without importing them, beside the modules of dispy's list (dispy's manual, "Job functions")."""

from __future__ import annotations

import os
from collections.abc import Collection

from dispytw.lighttyping import Any


def dispy_provisional_result(result: object, relay: bool = False, timeout: float | None = 10) -> int:
    """Send a result to the client while the job goes on.

    :param result: anything that can be pickled.
    :param relay: dispy's; results always travel the way on which the job came.
    :param timeout: seconds that the client has to answer, or None; while bytes travel, time does not count.
    :returns: 0 once the client has it, else -1, and the job's stderr says why.
    :raises PayloadError: when the result cannot be pickled.
    """
    from dispytw.worker import speaking

    return speaking.provisional_result(result, timeout)


def dispy_send_file(path: str, relay: bool = False, timeout: float | None = 10) -> int:
    """Send a file to the client, which keeps it under the directory in which it runs.

    :param path: a relative path is the same there; of a file elsewhere than below the job's directory, only the name is kept.
    :param relay: dispy's; files always travel the way on which the job came.
    :param timeout: seconds that the client has to answer, or None; while bytes travel, time does not count.
    :returns: 0 once the client has written and verified it, else -1, and the job's stderr says why.
    """
    from dispytw.worker import speaking

    return speaking.send_file(path, timeout)


class LateLogger:
    """Stands for the logger, which takes time to load, until it is used; as it may be by code that nobody has seen: text that is exec'd,
    or what comes with arguments."""

    def __getattr__(self, name: str) -> Any:
        from dispytw.worker.nodelog import dispynode_logger

        return getattr(dispynode_logger, name)

    def __setattr__(self, name: str, value: object) -> None:
        from dispytw.worker.nodelog import dispynode_logger

        setattr(dispynode_logger, name, value)


#: What a computation's namespace holds besides its own. The supervisor's facts (dispy_node_name, dispy_node_ip_addr, dispy_job_path)
#: come on top.
NAMES: dict[str, object] = {
    "dispy_provisional_result": dispy_provisional_result,
    "dispy_send_file": dispy_send_file,
    "dispy_job_path": os.getcwd(),
    "dispynode_logger": LateLogger(),
}


def names(mentions: Collection[str]) -> dict[str, object]:
    """The same, with what takes time to load where the code has it in it; then what that needs is loaded now, and once.

    :param mentions: of `dispytw.wire.bundle.JOB_NAMES`.
    """
    if "dispynode_logger" in mentions:
        from dispytw.worker.nodelog import dispynode_logger

        return {**NAMES, "dispynode_logger": dispynode_logger}
    if "dispy_provisional_result" in mentions or "dispy_send_file" in mentions:
        from dispytw.worker import speaking  # noqa: F401
    return NAMES
