"""The node's hands for files: the store's contents, and the directories in which jobs run.

A computation has a directory of its own, which goes with it. One that names a directory (``dest_path``) shares it with all that give the
same name, at once or one after the other; the last of them to be closed decides whether it stays. A job with files of its own has
a directory for them, as long as it lives. All get copies of what the store has (reflinks where the file system has them), never hard links,
so that a job which writes to its file changes nobody else's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable
from urllib.parse import quote

import attrs

from dispytw.errors import StreamError
from dispytw.node.statedir import StateDir
from dispytw.node.store import Store
from dispytw.values import Attempt, Body, Computation, File, Stored
from dispytw.wire.chunks import write_all
from dispytw.wire.paths import OWN_FILES, join_under

#: Bytes that must be free for jobs to be taken.
RESERVE = 1024 * 1024

_FICLONE = 0x40049409
#: How the name of a directory begins that stays after its computation, and that of the mark by which it is known to.
_LEFT = "@"
#: For what a computation's bundle is held: code is never left.
_CODE = "code"


@attrs.frozen
class LaidOut:
    """Where a computation's files lie."""

    bundle_path: str
    work_dir: str


@attrs.frozen
class Waste:
    """What is to be deleted: directories and files."""

    places: tuple[str, ...] = ()


class Workspace:
    """Files of one node.

    :param state: its state directory.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._store = Store(state.store, state.kept)
        self._computations: dict[bytes, Computation] = {}

    def tidy(
        self,
        computations: Collection[bytes] = (),
        args: Collection[str] = (),
        owed: Collection[Attempt] = (),
        supervisors: Collection[str] = (),
        unfinished: Collection[Attempt] = (),
    ) -> None:
        """Delete what an earlier incarnation left and nobody owns any more.

        :param computations: those that are still here.
        :param args: files of arguments of attempts that are still here.
        :param owed: attempts whose outcomes are still here, or to come.
        :param supervisors: names of what supervisors have left in the spool.
        :param unfinished: attempts that have not ended: they keep files of their own.
        """
        _empty(self._state.work, {uid.hex() for uid in computations})
        _empty(self._state.dest, {os.path.basename(each) for each in self._directories()}.union(self._marked()))
        _empty(self._state.inbox, {os.path.basename(path) for path in args})
        kept = {_body_name(attempt) for attempt in owed}.union(supervisors)
        running = {os.path.basename(self._own(attempt)) for attempt in unfinished}
        spooled = {name for name in os.listdir(self._state.spool) if name.partition(".")[0] in kept}
        _empty(self._state.spool, {name for name in spooled if name in running or not name.endswith(f".{OWN_FILES}")})
        self._store.tidy()

    def has_room(self) -> bool:
        """Whether there is room for what jobs may write, and for their outcomes."""
        free = os.statvfs(self._state.path)
        return free.f_bavail * free.f_frsize >= RESERVE

    def remove_bodies(self, attempts: Iterable[Attempt]) -> None:
        """Delete what attempts left whose outcomes name no files, or whose outcomes nobody wants any more."""
        for attempt in attempts:
            for kind in ("result", "stdout", "stderr"):
                _remove(os.path.join(self._state.spool, f"{_body_name(attempt)}.{kind}"))

    # Contents.
    def missing(self, files: Iterable[File]) -> list[File]:
        """Those of the files whose content is not here, each content once."""
        unseen = {file.digest: file for file in files}
        return [file for file in unseen.values() if not self._store.has(file.digest)]

    def hold(self, computation: Computation) -> None:
        """The computation is here: what it needs stays until it is released."""
        self._computations[computation.uid] = computation
        self.hold_files(computation.uid, computation.files)
        self._store.hold((computation.uid, _CODE), [computation.bundle.digest])

    def hold_files(self, computation: bytes, files: Iterable[File], attempt: Attempt | None = None) -> None:
        """Files that come later stay as long as the computation, or until they are laid out for the attempt."""
        holder = computation if attempt is None else (computation, attempt)
        self._store.hold(holder, [file.digest for file in files])

    def release(self, computation: bytes, returns: bool = False) -> Waste:
        """The computation is no more.

        :param returns: whether it will soon be here again, and its files should not have to travel anew.
        :returns: what is to be deleted, outside the reactor thread.
        """
        known = self._computations.pop(computation, None)
        keeps = known is not None and known.keeps
        if returns:
            gone = [*self._store.rest(computation), *self._store.rest((computation, _CODE))]
        else:
            gone = [*self._store.let_go(computation, keeps), *self._store.let_go((computation, _CODE))]
        directory = os.path.join(self._state.work, computation.hex()) if known is None else self._directory(known)
        if keeps or directory in self._directories():
            return Waste(tuple(gone))
        return Waste((directory, self._mark(directory), *gone))

    def remove(self, waste: Waste) -> None:
        """Delete it. Waits for the disk."""
        for place in waste.places:
            _remove(place)

    # Directories.
    def lay_out(self, computation: Computation) -> LaidOut:
        """Copy a computation's files to its directory. Waits for the disk.

        :raises UnsafePathError: when a path leads elsewhere.
        """
        work = self._directory(computation)
        os.makedirs(work, 0o700, exist_ok=bool(computation.dest_path) or computation.keeps)
        if computation.keeps:
            open(self._mark(work), "wb").close()
        for file in computation.files:
            self._place(work, file)
        return LaidOut(self._store.path(computation.bundle.digest), work)

    def lay_out_later(self, computation: bytes, files: Iterable[File], attempt: Attempt | None = None) -> None:
        """Put files that have come where the computation's jobs run, or where this one finds its own. Waits for the disk.

        :raises UnsafePathError: when a path leads elsewhere.
        """
        known = self._computations.get(computation)
        if known is None:
            raise FileNotFoundError("the computation has just been closed")
        directory = self._directory(known) if attempt is None else self._own(attempt)
        os.makedirs(directory, 0o700, exist_ok=True)
        for file in files:
            self._place(directory, file)

    def laid_out_for(self, computation: bytes, attempt: Attempt) -> Waste:
        """The attempt has copies of its files: the next job may need the same; what is to be deleted."""
        return Waste(tuple(self._store.rest((computation, attempt))))

    def own_files(self, attempt: Attempt) -> Waste:
        """The directory of the attempt's own files, to be deleted."""
        return Waste((self._own(attempt),))

    def with_own_files(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Those of the attempts that have files of their own here."""
        there = set(os.listdir(self._state.spool))
        return [attempt for attempt in attempts if os.path.basename(self._own(attempt)) in there]

    def _own(self, attempt: Attempt) -> str:
        return os.path.join(self._state.spool, f"{_body_name(attempt)}.{OWN_FILES}")

    def _directory(self, computation: Computation) -> str:
        if computation.dest_path:
            return os.path.join(self._state.dest, quote(computation.dest_path, safe=""))
        if computation.keeps:
            return os.path.join(self._state.dest, _LEFT + computation.uid.hex())
        return os.path.join(self._state.work, computation.uid.hex())

    def _directories(self) -> set[str]:
        return {self._directory(each) for each in self._computations.values()}

    def _mark(self, directory: str) -> str:
        """The file that says of a directory that it stays."""
        return os.path.join(self._state.kept, _LEFT + os.path.basename(directory))

    def _marked(self) -> set[str]:
        return {name[len(_LEFT) :] for name in os.listdir(self._state.kept) if name.startswith(_LEFT)}

    def _place(self, directory: str, file: File) -> None:
        """A copy of the file at its place, where it appears whole, whatever was there before."""
        place = join_under(directory, file.path)
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        part = os.path.join(self._state.inbox, f"{secrets.token_hex(8)}.part")
        try:
            _copy(self._store.path(file.digest), part, file.mode)
            os.replace(part, place)
        except BaseException:
            _remove(part)
            raise

    def sinks(self) -> StoreSinks:
        """Where the streams of one link go."""
        return StoreSinks(self._state, self._store.is_held)


def _copy(source: str, place: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
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
    :param is_wanted: whether somebody here needs the content of a digest.
    """

    def __init__(self, state: StateDir, is_wanted: Callable[[bytes], bool]) -> None:
        self._state = state
        self._is_wanted = is_wanted

    def open(self, stream: bytes, size: int, kind: bytes) -> FileSink:
        """See `dispytw.wire.streams.Sinks`."""
        free = shutil.disk_usage(self._state.path).free
        if size > free:
            raise StreamError(f"{size} bytes do not fit: {free} are free on the node's disk")
        if len(kind) not in (0, 32):
            raise StreamError("a file is named by a sha256")
        if kind:
            return FileSink(os.path.join(self._state.store, kind.hex()), kind, stream.hex(), self._is_wanted)
        return FileSink(os.path.join(self._state.inbox, stream.hex()), None)

    def delete(self, body: Body) -> None:
        """A body that nobody has taken; what is in the store stays."""
        if isinstance(body, Stored) and os.path.dirname(body.path) == self._state.inbox and os.path.exists(body.path):
            os.unlink(body.path)


class FileSink:
    """Writes a stream to a file, which gets its name when it is whole.

    :param path: its name.
    :param wanted: the sha256 it must have, or None.
    :param part: makes the name unique that it has until then.
    :param is_wanted: whether anybody needs it, when it is whole.
    """

    def __init__(self, path: str, wanted: bytes | None, part: str = "", is_wanted: Callable[[bytes], bool] = bool) -> None:
        self._path = path
        self._part = f"{path}{part}.part"
        self._wanted = wanted
        self._is_wanted = is_wanted
        self._size = 0
        self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> int:
        """See `dispytw.wire.streams.Sink`."""
        write_all(self._descriptor, data)
        self._size += len(data)
        return self._size

    def finish(self, digest: bytes) -> Body:
        """See `dispytw.wire.streams.Sink`."""
        if self._wanted is not None and digest != self._wanted:
            raise StreamError("the content is not what its digest says")
        if self._wanted is not None and not self._is_wanted(digest):
            raise StreamError("nobody here needs it any more")
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
