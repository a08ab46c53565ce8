"""The node's hands for files: a store of contents by digest, and a directory for each computation.

The store is read-only and shared; a computation gets copies (reflinks where the file system has them), never hard links, so that a
job which writes to its file changes nobody else's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterable

import attrs

from dispytw.errors import StreamError
from dispytw.node.statedir import StateDir
from dispytw.values import Attempt, Body, Computation, File, Stored
from dispytw.wire.paths import join_under

#: Bytes that must be free for jobs to be taken.
RESERVE = 1024 * 1024

_FICLONE = 0x40049409


@attrs.frozen
class LaidOut:
    """Where a computation's files lie."""

    bundle_path: str
    work_dir: str


class Workspace:
    """Files of one node.

    :param state: its state directory.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def tidy(
        self,
        computations: Collection[bytes] = (),
        args: Collection[str] = (),
        owed: Collection[Attempt] = (),
        supervisors: Collection[str] = (),
    ) -> None:
        """Delete what an earlier incarnation left and nobody owns any more.

        :param computations: those that are still here.
        :param args: files of arguments of attempts that are still here.
        :param owed: attempts whose outcomes are still here, or to come.
        :param supervisors: names of what supervisors have left in the spool.
        """
        _empty(self._state.work, {uid.hex() for uid in computations})
        _empty(self._state.inbox, {os.path.basename(path) for path in args})
        kept = {_body_name(attempt) for attempt in owed}.union(supervisors)
        _empty(self._state.spool, {name for name in os.listdir(self._state.spool) if name.partition(".")[0] in kept})
        for name in os.listdir(self._state.store):
            if name.endswith(".part"):
                os.unlink(os.path.join(self._state.store, name))

    def has_room(self) -> bool:
        """Whether there is room for what jobs may write, and for their outcomes."""
        free = os.statvfs(self._state.path)
        return free.f_bavail * free.f_frsize >= RESERVE

    def remove_bodies(self, attempts: Iterable[Attempt]) -> None:
        """Delete what attempts left whose outcomes name no files, or whose outcomes nobody wants any more."""
        for attempt in attempts:
            for kind in ("result", "stdout", "stderr"):
                _remove(os.path.join(self._state.spool, f"{_body_name(attempt)}.{kind}"))

    def _stored(self, digest: bytes) -> str:
        return os.path.join(self._state.store, digest.hex())

    def missing(self, files: Iterable[File]) -> list[File]:
        """Those of the files whose content is not here, each content once."""
        unseen = {file.digest: file for file in files}
        return [file for file in unseen.values() if not os.path.isfile(self._stored(file.digest))]

    def lay_out(self, computation: Computation) -> LaidOut:
        """Copy a computation's files to its own directory. Waits for the disk.

        :raises UnsafePathError: when a path leads elsewhere.
        """
        work = os.path.join(self._state.work, computation.uid.hex())
        os.mkdir(work, 0o700)
        for file in computation.files:
            place = join_under(work, file.path)
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            _copy(self._stored(file.digest), place, file.mode)
        return LaidOut(self._stored(computation.bundle.digest), work)

    def remove(self, computation: bytes) -> None:
        """Delete a computation's directory. Waits for the disk."""
        _remove(os.path.join(self._state.work, computation.hex()))

    def sinks(self) -> StoreSinks:
        """Where the streams of one link go."""
        return StoreSinks(self._state)


def _copy(source: str, place: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(source, "rb") as taken, open(os.open(place, flags, 0o600), "wb") as given:
        try:
            fcntl.ioctl(given, _FICLONE, taken.fileno())
        except OSError:
            shutil.copyfileobj(taken, given, 1024 * 1024)
        os.fchmod(given.fileno(), mode | 0o400)


def _body_name(attempt: Attempt) -> str:
    """How the worker names the files of an outcome, but for their endings."""
    return f"{attempt.job.hex()}-{attempt.number}"


def _empty(directory: str, kept: Collection[str] = ()) -> None:
    for name in sorted(set(os.listdir(directory)).difference(kept)):
        _remove(os.path.join(directory, name))


def _remove(place: str) -> None:
    """Delete whatever is there: a tree in which jobs may have set odd modes, a symlink they may have put in its stead, or nothing."""
    if os.path.isdir(place) and not os.path.islink(place):
        os.chmod(place, 0o700)
        for parent, directories, _ in os.walk(place):
            for name in directories:
                below = os.path.join(parent, name)
                if not os.path.islink(below):
                    os.chmod(below, 0o700)
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)


class StoreSinks:
    """Bodies go to the inbox, files of computations to the store.

    :param state: the node's state directory.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def open(self, stream: bytes, size: int, kind: bytes) -> FileSink:
        """See `dispytw.wire.streams.Sinks`."""
        free = shutil.disk_usage(self._state.path).free
        if size > free:
            raise StreamError(f"{size} bytes do not fit: {free} are free on the node's disk")
        if len(kind) not in (0, 32):
            raise StreamError("a file is named by a sha256")
        if kind:
            return FileSink(os.path.join(self._state.store, kind.hex()), kind, stream.hex())
        return FileSink(os.path.join(self._state.inbox, stream.hex()), None)

    def delete(self, body: Body) -> None:
        """A body that nobody has taken; what is in the store stays."""
        if isinstance(body, Stored) and os.path.dirname(body.path) == self._state.inbox and os.path.exists(body.path):
            os.unlink(body.path)


class FileSink:
    """Writes a stream to a file, which gets its name when it is whole.

    :param path: its name.
    :param wanted: the sha256 it must have, or None.
    """

    def __init__(self, path: str, wanted: bytes | None, part: str = "") -> None:
        self._path = path
        self._part = f"{path}{part}.part"
        self._wanted = wanted
        self._size = 0
        self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> int:
        """See `dispytw.wire.streams.Sink`."""
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]
        return self._size

    def finish(self, digest: bytes) -> Body:
        """See `dispytw.wire.streams.Sink`."""
        if self._wanted is not None and digest != self._wanted:
            raise StreamError("the content is not what its digest says")
        self._close()
        os.rename(self._part, self._path)
        return Stored(self._path, self._size)

    def discard(self) -> None:
        """See `dispytw.wire.streams.Sink`; follows a `finish` that failed, too."""
        self._close()
        os.unlink(self._part)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
