"""Files that follow a computation to a node: those of a single attempt, before it is handed over, and those that a program sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList

from dispytw.errors import StreamError, WireError
from dispytw.values import TERMINATED, Attempt, Body, File, Outcome

#: How often files are offered before they are given up.
MOST_ROUNDS = 4


class FilesLink(Protocol):
    """What is needed of a link to a node."""

    def place_files(self, computation: bytes, files: Sequence[File], attempt: Attempt | None = None) -> Deferred[list[bytes]]:
        """Name files; the digests that the node lacks, or none when they are at their places."""

    def send_file(self, digest: bytes, body: Body) -> Deferred[Any]:
        """Stream a file that the node lacks."""


async def place_files(
    link: FilesLink, computation: bytes, files: Sequence[File], contents: Mapping[bytes, Body], attempt: Attempt | None = None
) -> None:
    """Have the files put to their places: where the computation's jobs run, or where this attempt alone finds them.

    :param contents: what they hold, by digest.
    :raises SourceError: when one is not, or no more, what it is said to be.
    :raises StreamError: when they do not arrive, or do not fit there now.
    :raises RefusedError: when they cannot be put there.
    :raises UnknownComputationError: when the node does not have the computation any more.
    """
    for _ in range(MOST_ROUNDS):
        missing = await link.place_files(computation, files, attempt)
        if not missing:
            return
        if not set(missing) <= contents.keys():
            raise WireError("the node asks for files that nobody has named")
        await all_of(link.send_file(digest, contents[digest]) for digest in missing)
    raise StreamError("the files did not stay there")


def not_placed(error: Exception) -> Outcome:
    """The outcome of an attempt whose files cannot be put to its node."""
    text = f"the files that the job needs could not be sent: {error}"
    return Outcome(TERMINATED, exception=text, reason=text)


async def all_of(deferreds: Iterable[Deferred[Any]]) -> None:
    """Wait for all of them; then raise the first failure, if any."""
    for succeeded, value in await DeferredList(list(deferreds), consumeErrors=True):
        if not succeeded:
            value.raiseException()
