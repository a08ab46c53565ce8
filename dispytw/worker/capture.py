"""What a job writes to descriptor 1 or 2: a file without a name, kept by the slot and reused by its next job.

The file is opened for appending, so whoever looks can cut it back to the cap at any moment and the writers go on behind the cut: the
head stays, the rest is dropped and counted, and the disk never fills. At any moment but one: while another process takes what is there,
as a cut that comes when that is over would make an empty file as long as the cap.
"""

from __future__ import annotations

import fcntl
import os
import sys

from dispytw.plain import INLINE_LIMIT
from dispytw.worker import descriptors
from dispytw.worker.slotwords import output_here, output_in_file

#: Bytes that are kept of each of a job's two outputs.
CAP = 8 * 1024 * 1024
#: "At least", as what is written between the look and the cut goes uncounted.
NOTE = b"\n[at least %d bytes of output beyond this point were dropped]\n"


def write_by_line() -> None:
    """What a job has printed is not lost when it crashes; in UTF-8, whatever the node's locale, and file names as they are."""
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", line_buffering=True)  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def _nameless(directory: str) -> int:
    path = os.path.join(directory, f".capture-{os.getpid()}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return descriptors.keep(descriptor)


class Capture:
    """One output of one slot.

    :param descriptor: what becomes the job's descriptor 1 or 2.
    :param cap: bytes to keep.
    :ivar dropped: bytes that were not kept, at least.
    """

    def __init__(self, descriptor: int, cap: int) -> None:
        self.descriptor, self.cap = descriptor, cap
        self.dropped = 0

    @classmethod
    def open(cls, directory: str, cap: int = CAP) -> Capture:
        """A capture whose file is in ``directory`` and has no name there."""
        return cls(_nameless(directory), cap)

    def cut(self) -> int:
        """Cut the file back to the cap, unless another process takes it just now; returns the bytes it holds."""
        size = os.fstat(self.descriptor).st_size
        if size <= self.cap:
            return size
        try:
            self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return size
        try:
            return self._cut()
        finally:
            self._lock(fcntl.LOCK_UN)

    def _lock(self, how: int) -> None:
        """Among processes; where the file system has no locks, there are none."""
        try:
            fcntl.lockf(self.descriptor, how)
        except (BlockingIOError, PermissionError):
            raise
        except OSError:
            pass

    def _cut(self) -> int:
        size = os.fstat(self.descriptor).st_size
        if size <= self.cap:
            return size
        os.ftruncate(self.descriptor, self.cap)
        self.dropped += size - self.cap
        return self.cap

    def is_empty(self) -> bool:
        """Whether nothing was written; the quickest way to know. Who writes appends, wherever that leaves the file's position.

        :raises OSError: when the job has closed it.
        """
        return os.lseek(self.descriptor, 0, os.SEEK_END) == 0 and not self.dropped

    def take(self, path: str) -> bytes:
        """What was captured, with a note of what was dropped, as `dispytw.worker.slotwords` says it; the capture is empty afterwards.

        :param path: file to be made when it is more than `INLINE_LIMIT` bytes.
        :raises OSError: when that cannot be made; then nothing has been taken.
        """
        self._lock(fcntl.LOCK_EX)
        try:
            return self._taken(path)
        finally:
            self._lock(fcntl.LOCK_UN)

    def _taken(self, path: str) -> bytes:
        size = self._cut()
        if not size:
            return b""
        note = NOTE % self.dropped if self.dropped else b""
        is_long = size + len(note) > INLINE_LIMIT
        said = output_in_file(path, self._copied(path, size, note)) if is_long else output_here(self._read(0, size) + note)
        self.clear()
        return said

    def tail(self, size: int) -> bytes:
        """The last bytes written."""
        end = self.cut()
        start = max(0, end - size)
        return self._read(start, end - start)

    def clear(self) -> None:
        """Forget what was captured."""
        os.ftruncate(self.descriptor, 0)
        self.dropped = 0

    def close(self) -> None:
        """Give the file up."""
        descriptors.drop(self.descriptor)
        os.close(self.descriptor)

    def _read(self, start: int, size: int) -> bytes:
        return os.pread(self.descriptor, size, start)

    def _copied(self, path: str, size: int, note: bytes) -> int:
        try:
            with open(path, "wb") as copy:
                copy.writelines(self._read(start, min(1 << 20, size - start)) for start in range(0, size, 1 << 20))
                copy.write(note)
        except OSError:
            if os.path.exists(path):
                os.unlink(path)
            raise
        return size + len(note)
