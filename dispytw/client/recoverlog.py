"""The recover file as bytes: an append-only log that one process at a time writes, and that a crash leaves readable.

A line that says what it is, then records: length and CRC-32, four bytes each, then msgpack. What does not check ends the file: it is what
a process was writing when it was killed. The file is its user's alone, and whoever writes it holds its lock (flock), so that nobody reads
what a living program still adds to.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO
from weakref import WeakSet

import msgpack

from dispytw.errors import (
    RecoverFileBusyError,
    RecoverFileError,
    RecoverFileMissingError,
    RecoverFileUnsafeError,
    WireError,
)
from dispytw.wire.chunks import write_all

MAGIC = b"dispytw recover file 1\n"

_FRAME = struct.Struct("<II")
#: Names that are tried before a directory is taken to be full of them.
_MOST_NAMES = 10_000

_open_logs: WeakSet[RecoverLog] = WeakSet()


def framed(record: Any) -> bytes:
    """A record as it stands in the file."""
    packed: bytes = msgpack.packb(record, unicode_errors="surrogatepass")
    return _FRAME.pack(len(packed), zlib.crc32(packed)) + packed


def replay(file: BinaryIO, take: Callable[[Any], None], upto: int | None = None) -> int:
    """Give every whole record after the first line, and before ``upto``, to ``take``; returns where the last of them ends."""
    end = file.tell()
    size = os.fstat(file.fileno()).st_size if upto is None else upto
    while True:
        head = file.read(_FRAME.size) if end < size else b""
        if len(head) < _FRAME.size:
            return end
        length, crc = _FRAME.unpack(head)
        packed = file.read(length) if length <= size - end else b""
        if len(packed) < length or zlib.crc32(packed) != crc:
            return end
        take(msgpack.unpackb(packed, unicode_errors="surrogatepass"))
        end += _FRAME.size + length


class RecoverLog:
    """A recover file that this process writes. `append` may be called in any thread.

    :param path: where it lies, absolute.
    :param descriptor: open for appending, locked.
    :param size: bytes that are whole.
    """

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = size
        self._writing = threading.Lock()
        _open_logs.add(self)

    @property
    def bodies(self) -> str:
        """The directory for what is too large to stand in the file."""
        return f"{self.path}.bodies"

    def append(self, *frames: bytes) -> None:
        """Write framed records, all or none, in one go; they outlive this process from now on. Nothing happens when it is closed.

        :raises OSError: when the disk is full, or fails.
        """
        data = b"".join(frames)
        with self._writing:
            if self._descriptor < 0:
                return
            try:
                write_all(self._descriptor, data)
            except OSError:
                os.ftruncate(self._descriptor, self._size)
                raise
            self._size += len(data)

    @property
    def size(self) -> int:
        """Bytes that are whole."""
        return self._size

    def replace_by(self, fresh: RecoverLog, whole: int) -> None:
        """Put another file in this one's place, which says the same as the first ``whole`` bytes of this one.

        :raises OSError: when what was appended since then finds no room there, or this log is closed.
        """
        with self._writing:
            if self._descriptor < 0:
                raise OSError(errno.EBADF, "the log is closed")
            while whole < self._size:
                chunk = os.pread(self._descriptor, min(self._size - whole, 1 << 20), whole)
                fresh.append(chunk)
                whole += len(chunk)
            os.rename(fresh.path, self.path)
            self._descriptor, fresh._descriptor = fresh._descriptor, self._descriptor
            self._size = fresh._size
        fresh.close()

    def close(self) -> None:
        """Give the lock up and leave the file where it is."""
        with self._writing:
            self.close_copy()

    def remove(self) -> None:
        """Everything it was for is over: no such file is left."""
        with self._writing:
            if self._descriptor >= 0:
                shutil.rmtree(self.bodies, ignore_errors=True)
                for path in (self.path, f"{self.path}.new"):
                    try:
                        os.unlink(path)
                    except FileNotFoundError:
                        pass  # its user was faster; and only who is killed while a file is written anew leaves two
                self.close_copy()

    def close_copy(self) -> None:
        """In a forked copy of this process: keep no lock alive. Takes none either, as nobody could give it back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _after_fork_in_child() -> None:
    for log in list(_open_logs):
        log.close_copy()


os.register_at_fork(after_in_child=_after_fork_in_child)


def create_log(path: str) -> RecoverLog:
    """A new recover file, locked. Where there is one of this name, the next is ``path-2``, then ``path-3``.

    :raises RecoverFileError: when none can be made.
    """
    path = os.path.abspath(path)
    for number in range(1, _MOST_NAMES):
        name = path if number == 1 else f"{path}-{number}"
        try:
            log = RecoverLog(name, locked_file(name, os.O_EXCL), 0)
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_be_made(name, error) from error
        try:
            log.append(MAGIC)
        except OSError as error:
            log.remove()
            raise _cannot_be_made(name, error) from error
        return log
    raise _cannot_be_made(path, OSError(errno.EEXIST, "too many of this name"))


def locked_file(path: str, how: int) -> int:
    """A descriptor of a new file of this user's alone, to append to.

    :param how: O_EXCL if there must be none yet, O_TRUNC if what there is does not count.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _cannot_be_made(path: str, error: OSError) -> RecoverFileError:
    return RecoverFileError(
        f"the recover file {path} cannot be made: {error.strerror}; name one elsewhere by recover_file=…, or do without by "
        "recover=False"
    )


def reopen_log(path: str, take: Callable[[Any], None]) -> RecoverLog:
    """A recover file that somebody has left, locked, its records given to ``take``; it can be written to.

    :raises RecoverFileMissingError: when there is none.
    :raises RecoverFileUnsafeError: when it is not this user's alone; nothing of it has been read.
    :raises RecoverFileBusyError: when its program still runs, or somebody else recovers from it.
    :raises RecoverFileError: when it is something else.
    """
    path = os.path.abspath(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _cannot_be_opened(path, error) from error
    try:
        _check_owner(path, os.fstat(descriptor))
        _lock(path, descriptor)
        end = _read(path, descriptor, take)
        os.ftruncate(descriptor, end)
    except BaseException:
        os.close(descriptor)
        raise
    return RecoverLog(path, descriptor, end)


def _cannot_be_opened(path: str, error: OSError) -> RecoverFileError:
    if isinstance(error, FileNotFoundError):
        return RecoverFileMissingError(f"there is no recover file {path}: it is removed when a program ends well")
    if isinstance(error, PermissionError):
        return RecoverFileUnsafeError(f"{path} is not yours to read: only the user whose program wrote it can recover its jobs")
    if error.errno == errno.ELOOP:
        return RecoverFileUnsafeError(f"{path} is a symbolic link: name the file itself")
    return RecoverFileError(f"{path} cannot be opened as a recover file: {error.strerror}")


def _check_owner(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise RecoverFileError(f"{path} is no recover file: it is no file at all")
    if found.st_uid != os.geteuid():
        raise RecoverFileUnsafeError(f"{path} belongs to another user: only the user whose program wrote it can recover its jobs")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise RecoverFileUnsafeError(
            f"others can read or write {path}, so what is in it is not to be trusted; if you know that nobody did: chmod 600 {path}"
        )


def _lock(path: str, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecoverFileBusyError(
            f"{path} is in use: its program still runs, or somebody recovers from it right now; end that first"
        ) from None
    if not os.fstat(descriptor).st_nlink:
        raise RecoverFileMissingError(f"there is no recover file {path} any more: somebody else has just recovered from it")


def _read(path: str, descriptor: int, take: Callable[[Any], None]) -> int:
    with open(os.dup(descriptor), "rb") as file:
        file.seek(0)
        first = file.read(len(MAGIC))
        if not MAGIC.startswith(first):
            raise RecoverFileError(f"{path} is no recover file, or one of another version of dispytw")
        try:
            return replay(file, take) if first == MAGIC else 0  # less: its program was killed while it wrote that
        except (ValueError, TypeError, LookupError, WireError, msgpack.UnpackException) as error:
            raise RecoverFileError(f"{path} is damaged: {error!r:.200}") from error
