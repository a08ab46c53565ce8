"""Where streams go that a client has asked for: long provisional results into memory, files of jobs to where they belong.

A file is written beside its place, under a name that ends in ``.part``, and gets its own when it is whole and its digest is right. What
comes from elsewhere never leads out of the directory: no absolute path, no ``..``, no symlink followed.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from typing import Protocol

import attrs

from dispytw.errors import StreamError, UnsafePathError
from dispytw.values import Body, Stored
from dispytw.wire.chunks import write_all
from dispytw.wire.paths import join_under
from dispytw.wire.streams import MemorySinks, Sink

#: Streams that may be expected at a time.
MOST_EXPECTED = 1024


def place_of(root: str, path: str) -> str:
    """Where a file goes.

    :raises UnsafePathError: when that is not below ``root``, or no file can be there.
    """
    place = join_under(root, path)
    if os.path.isdir(place):
        raise UnsafePathError(f"{place} is a directory")
    return place


class PartialFile:
    """Writes a stream beside its place.

    :param root: the directory below which it stays.
    :param path: its place, relative to that.
    :raises StreamError: when it cannot be there.
    """

    def __init__(self, root: str, path: str, size: int) -> None:
        try:
            self._place = place_of(root, path)
            os.makedirs(os.path.dirname(self._place), exist_ok=True)
            if size > shutil.disk_usage(os.path.dirname(self._place)).free:
                raise StreamError(f"{size} bytes do not fit on the client's disk")
            self._part = os.path.join(os.path.dirname(self._place), f".{secrets.token_hex(8)}.part")
            self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except (OSError, UnsafePathError) as error:
            raise StreamError(f"the client cannot keep it: {error}") from None
        self._root, self._path = root, path
        self._size = 0

    def write(self, data: bytes) -> int:
        """See `dispytw.wire.streams.Sink`."""
        write_all(self._descriptor, data)
        self._size += len(data)
        return self._size

    def finish(self, digest: bytes) -> Body:
        """See `dispytw.wire.streams.Sink`; whether it may be there is looked at anew."""
        self._close()
        try:
            os.replace(self._part, place_of(self._root, self._path))
        except UnsafePathError as error:
            raise StreamError(f"the client cannot keep it: {error}") from None
        return Stored(self._place, self._size)

    def discard(self) -> None:
        """See `dispytw.wire.streams.Sink`."""
        self._close()
        if os.path.exists(self._part):
            os.unlink(self._part)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Expectation(Protocol):
    """A stream that is to come."""

    def open(self, size: int) -> Sink:
        """Where its bytes go.

        :raises StreamError: when it cannot be kept, or is not what was announced.
        """

    def arrived(self, body: Body) -> None:
        """All of it has come and is kept."""

    def lost(self) -> None:
        """It will not come on this link."""


class IncomingSinks(MemorySinks):
    """Keeps bodies in memory, and what is expected where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self._expected: dict[bytes, Expectation] = {}

    def expect(self, kind: bytes, expectation: Expectation) -> None:
        """A stream of this kind is to come. Of those that never come, the oldest are forgotten."""
        self._expected[kind] = expectation
        if len(self._expected) > MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def open(self, stream: bytes, size: int, kind: bytes) -> Sink:
        """See `dispytw.wire.streams.Sinks`."""
        expectation = self._expected.pop(kind, None) if kind else None
        if expectation is None:
            return super().open(stream, size, kind)
        return _Expected(expectation, expectation.open(size))


@attrs.define(eq=False)
class _Expected:
    """The sink of a stream that was expected; says what becomes of it."""

    expectation: Expectation
    sink: Sink
    write: Callable[[bytes], int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.write = self.sink.write

    def finish(self, digest: bytes) -> Body:
        body = self.sink.finish(digest)
        self.expectation.arrived(body)
        return body

    def discard(self) -> None:
        self.sink.discard()
        self.expectation.lost()
