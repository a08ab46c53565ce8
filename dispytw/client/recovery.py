"""recover_jobs: brings home the jobs of a program that was killed. Runs on the user's thread and waits only through the bridge."""

from __future__ import annotations

import functools
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from dispytw.client import speech
from dispytw.client.bodies import stored_body
from dispytw.client.engine import engine
from dispytw.client.fetching import Fetcher, Means
from dispytw.client.ids import opened_id
from dispytw.client.job import DispyJob
from dispytw.client.recoverfile import reopened_file
from dispytw.client.recoverlog import framed, reopen_log
from dispytw.client.remains import LeftJob, Owned, Remains, delivered_entry
from dispytw.errors import PayloadError, RecoverFileBusyError, RecoverFileError, RecoverFileMissingError
from dispytw.values import CANCELLED, Body, Inline, Outcome, Stored
from dispytw.wire.batches import open_outcome
from dispytw.wire.records import outcome_bodies
from dispytw.wire.streams import MemorySinks

_DEFAULT_NAME = re.compile(r"_dispy_\d{14}(-\d+)?")


def recover_jobs(recover_file: Any = None, timeout: float | None = None, terminate_pending: bool = False) -> list[DispyJob]:
    """Bring home the jobs of a program that was killed, from its recover file and from the nodes that have their results.

    Each job that had left for a node, or had been given an id, and was not delivered (its callback had not returned, or its result had
    not been read) is returned once, as it ended. This may itself be killed and called again. When every job has been returned, the
    file is removed and the nodes are free for others.

    :param recover_file: path of the file; None for the newest ``_dispy_YYYYMMDDHHMMSS`` in the current directory whose program does
        not run any more.
    :param timeout: seconds to wait for jobs that have not ended; None for as long as it takes. Those that have not ended by then are not
        returned; they go on, and another call brings them home.
    :param terminate_pending: cancel what has not ended when the timeout has passed, or at once if there is none.
    :returns: the jobs, in the order in which they were sent.
    :raises RecoverFileMissingError: when there is no such file.
    :raises RecoverFileBusyError: when its program still runs.
    :raises RecoverFileUnsafeError: when it is another user's, or others can write it.
    :raises RecoverFileError: when it is no recover file, or cannot be written.
    """
    _check_types(recover_file, timeout, terminate_pending)
    with _newest() if recover_file is None else _Left(recover_file) as left:
        return left.jobs(timeout, terminate_pending)


def _check_types(recover_file: Any, timeout: Any, terminate_pending: Any) -> None:
    if recover_file is not None and not isinstance(recover_file, (str, os.PathLike)):
        raise TypeError(f"recover_jobs: recover_file must be the path of a file, not {recover_file!r}")
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (number and timeout >= 0):
        raise TypeError(f"recover_jobs: timeout must be seconds, not {timeout!r}")
    if not isinstance(terminate_pending, bool):
        raise TypeError(f"recover_jobs: terminate_pending must be True or False, not {terminate_pending!r}")


def _newest() -> _Left:
    names = [name for name in os.listdir() if _DEFAULT_NAME.fullmatch(name)]
    for name in sorted(names, key=_age, reverse=True):
        try:
            return _Left(name)
        except (RecoverFileBusyError, RecoverFileMissingError):
            continue
    running = f"; {len(names)} belong to programs that still run" if names else ""
    raise RecoverFileMissingError(f"there is no recover file _dispy_… in {os.getcwd()}{running}")


def _age(name: str) -> tuple[str, int]:
    stamp, _, number = name.removeprefix("_dispy_").partition("-")
    return stamp, int(number or 1)


class _Left:
    """What a program has left, opened for this process alone until the ``with`` ends."""

    def __init__(self, recover_file: Any) -> None:
        path = os.path.abspath(recover_file)
        self._remains = Remains(functools.partial(stored_body, f"{path}.bodies"))
        self._log = reopen_log(path, self._remains.take)

    def __enter__(self) -> _Left:
        return self

    def __exit__(self, *_: Any) -> None:
        self._log.close()

    def jobs(self, timeout: float | None, terminate_pending: bool) -> list[DispyJob]:
        """The jobs that can be had; they are the caller's when this returns."""
        owned = self._remains.owned
        if owned is None:  # it was killed before it had done anything
            self._log.remove()
            return []
        for job in self._remains.unfinished:
            if job.attempt is None:
                job.outcome = Outcome(CANCELLED, reason="never sent")
        if self._remains.places and timeout != 0:
            self._fetch(owned, timeout, terminate_pending)
        found = [_Recovered(owned).job(job, self._host(job)) for job in self._remains.jobs.values() if job.outcome is not None]
        self._hand_over(found)
        return found

    def _host(self, job: LeftJob) -> str | None:
        return self._remains.places[job.node][-1].host if job.node is not None else None

    def _fetch(self, owned: Owned, timeout: float | None, terminate_pending: bool) -> None:
        me = engine()
        file = reopened_file(self._log, me.bridge, speech.LOGGER.warning)
        uid = secrets.token_bytes(16)  # our own: this process may have clusters on the same nodes
        means = Means(
            connect=functools.partial(me.dial, uid),
            introduction=me.introduction,
            sinks=MemorySinks(),
            clock=me.bridge.reactor,
            now=time.monotonic,
            chance=random.Random(),
            say=speech.LOGGER.warning,
        )
        fetcher = Fetcher(owned, self._remains, file, means)
        try:
            me.bridge.wait(fetcher.start, timeout, terminate_pending)
        finally:
            me.bridge.wait(fetcher.stop)
            me.bridge.wait(file.rest)

    def _hand_over(self, found: list[DispyJob]) -> None:
        """From here on they will not be returned again."""
        if len(found) == len(self._remains.jobs):
            return self._log.remove()
        try:
            self._log.append(framed(delivered_entry(job._uid for job in found)))
        except OSError as error:
            raise RecoverFileError(
                f"{self._log.path} cannot be written: {error.strerror}; nothing is lost, call recover_jobs again when it can"
            ) from error


class _Recovered:
    """The cluster of recovered jobs (`dispytw.client.job.Owner`)."""

    def __init__(self, owned: Owned) -> None:
        self.is_program = owned.is_program

    def job(self, left: LeftJob, host: str | None) -> DispyJob:
        """A job as it ended; it needs no file any more."""
        assert left.outcome is not None
        job = DispyJob(self, left.uid, _id(left), left.sent)
        job._settled(_in_memory(left.outcome), host, 0 if left.attempt is None else left.attempt.number)
        return job

    def refuse_to_wait(self, what: str) -> None:
        """Nobody has to wait."""

    def open_result(self, data: bytes) -> Any:
        """Open a result."""
        return open_outcome(data)

    def identified(self, job: bytes, value: Any) -> None:
        """It is not written down any more."""

    def result_read(self, job: DispyJob) -> None:
        """It was delivered when it was returned."""

    def stream(self, job: DispyJob) -> Iterator[str]:
        """It has ended: nothing will come."""
        return iter(())

    def cancel_soon(self, job: DispyJob) -> None:
        """It has ended."""

    def call_back(self, function: Callable[[DispyJob], Any], job: DispyJob) -> None:
        """It has ended: what is hung on it is called at once, by whoever hangs it there."""


def _id(left: LeftJob) -> Any:
    if left.given_id is None:
        return left.number
    try:
        return opened_id(*left.given_id)
    except PayloadError as error:
        speech.LOGGER.warning("the id of a job cannot be opened here, it gets its number %s: %s", left.number, error)
        return left.number


def _in_memory(outcome: Outcome) -> Outcome:
    if not any(isinstance(body, Stored) for body in outcome_bodies(outcome)):
        return outcome
    result = None if outcome.result is None else _read(outcome.result)
    return attrs.evolve(outcome, result=result, stdout=_read(outcome.stdout), stderr=_read(outcome.stderr))


def _read(body: Body) -> Body:
    if isinstance(body, Inline):
        return body
    with open(body.path, "rb") as file:
        return Inline(file.read())
