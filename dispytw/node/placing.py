"""Files that come after their computation: for all its jobs (a program's send_file), or for a single attempt.

A client names them, is told which contents are not here, sends these, and names the files again: when nothing is missing they are put to
their places, each at once and whole. Those of an attempt are its own; they go when it has ended, or when it never came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from dispytw.errors import RefusedError, StreamError, UnknownComputationError, UnsafePathError
from dispytw.node.bench import Bench
from dispytw.node.neighbours import Files
from dispytw.values import Attempt, File

log = Logger()


class Placing:
    """Later files of one node.

    :param bench: who is served.
    :param files: the workspace.
    :param on_disk: calls a function that waits for the disk, one after another, outside the reactor thread.
    """

    def __init__(self, bench: Bench, files: Files, on_disk: Callable[..., Deferred[Any]]) -> None:
        self._bench = bench
        self._files = files
        self._on_disk = on_disk
        self._own: dict[Attempt, bytes] = {}

    def named(self, client: bytes, computation: bytes, files: Sequence[File], attempt: Attempt | None = None) -> Deferred[list[bytes]]:
        """A client names files; fires with the digests that are missing, or, when the files are at their places, with none.

        :raises UnknownComputationError: when the computation is not ready here.
        """
        if not self._bench.serves(client, computation):
            raise UnknownComputationError("the computation is not ready here")
        if attempt is not None and self._bench.knows(attempt):
            return succeed([])  # it was handed over: this was said before
        if attempt is not None:
            self._own[attempt] = computation
        self._files.hold_files(computation, files, attempt)
        missing = self._files.missing(files)
        if missing:
            return succeed([file.digest for file in missing])
        placed = self._on_disk(self._files.lay_out_later, computation, files, attempt)
        return placed.addCallbacks(lambda _: self._placed(computation, attempt), self._not_placed, errbackArgs=(attempt,))

    def _placed(self, computation: bytes, attempt: Attempt | None) -> list[bytes]:
        if attempt is not None:
            self._remove(self._files.laid_out_for(computation, attempt))
        return []

    def _not_placed(self, failure: Any, attempt: Attempt | None) -> Any:
        if attempt is not None:
            self.over([attempt])
        if failure.check(UnsafePathError):
            raise RefusedError(str(failure.value))
        if failure.check(FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
            raise RefusedError(f"the files cannot be put to their places: {failure.value}")
        if failure.check(OSError):
            raise StreamError(f"the files cannot be put to their places: {failure.value}")
        return failure

    def over(self, attempts: Iterable[Attempt]) -> None:
        """These have ended, or never start here: their own files go."""
        for attempt in attempts:
            computation = self._own.pop(attempt, None)
            if computation is not None:
                self._remove(self._files.laid_out_for(computation, attempt))
                self._remove(self._files.own_files(attempt))

    def closed(self, computation: bytes) -> None:
        """Nothing of the computation runs any more; what came for attempts that did not is not needed."""
        self.over([attempt for attempt, whose in self._own.items() if whose == computation])

    def inherit(self, unfinished: Mapping[Attempt, bytes]) -> None:
        """These attempts run since before this incarnation, each with its computation."""
        self._own.update((attempt, unfinished[attempt]) for attempt in self._files.with_own_files(unfinished))

    def _remove(self, waste: Any) -> None:
        self._on_disk(self._files.remove, waste).addErrback(lambda failure: log.failure("files of a job are left", failure))
