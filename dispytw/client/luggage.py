"""Files that go to nodes: where each goes there, and what it holds, named by its content.

Under the current directory a file keeps its place; from elsewhere it comes without directories. A directory keeps or loses its own place in
the same way, and what is in it stays where it is in it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from typing import Union
from urllib.parse import quote

import attrs

from dispytw.errors import UnsafePathError
from dispytw.values import File
from dispytw.wire.paths import safe_parts

#: By-products of Python, which are not sent with a directory.
_BY_PRODUCTS = frozenset({"__pycache__"})
_CHUNK = 1 << 20

Content = Union[str, bytes]


@attrs.define
class Luggage:
    """Files gathered so far.

    :ivar files: by the place that they go to.
    :ivar contents: what they hold, by digest: a path of this machine, or the bytes.
    """

    files: dict[str, File] = attrs.field(factory=dict)
    contents: dict[bytes, Content] = attrs.field(factory=dict)

    def add(self, path: str, where: str) -> None:
        """Take a file, or all that is in a directory.

        :param where: what the path was given as, for messages.
        :raises FileNotFoundError: when there is nothing.
        :raises OSError: when something cannot be read, or is neither a file nor a directory.
        """
        if os.path.isdir(path):
            place = place_of(path)
            for inner in files_in(path):
                self.add_file(os.path.join(path, inner), where, place=inner if place == "." else f"{place}/{inner.replace(os.sep, '/')}")
        else:
            self.add_file(path, where)

    def add_file(self, path: str, where: str, mode: int | None = None, place: str | None = None) -> str:
        """Take a file of this machine; returns its place on the nodes.

        :param mode: permission bits, if not its own.
        :param place: relative to the directory that it goes to, if not by the rule.
        """
        file = described_file(path, where, place)
        self.files[file.path] = file if mode is None else attrs.evolve(file, mode=mode)
        self.contents[file.digest] = os.path.abspath(path)
        return file.path

    def add_bytes(self, place: str, content: bytes) -> None:
        """Take bytes as a file."""
        digest = hashlib.sha256(content).digest()
        self.files[place] = File(place, digest, len(content))
        self.contents[digest] = content


def described_file(path: str, where: str, place: str | None = None) -> File:
    """A file of this machine as nodes are told of it; it is read from end to end.

    :raises OSError: when there is none, or it cannot be read; it names the file.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: there is no file {path!r} (current directory: {os.getcwd()})") from None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{where}: {path!r} is no ordinary file, and cannot be sent to nodes")
    try:
        digest = digest_of(path)
    except OSError as error:
        raise type(error)(f"{where}: {path!r} cannot be read: {error.strerror or error}") from error
    return File(place_of(path) if place is None else place, digest, status.st_size, stat.S_IMODE(status.st_mode) & 0o777)


def place_of(path: str) -> str:
    """Where a file or directory goes."""
    relative = os.path.relpath(os.path.abspath(path))
    parts = relative.split(os.sep)
    return os.path.basename(relative) if ".." in parts else "/".join(parts)


def checked_directory(path: str | None) -> str:
    """The directory on the nodes that ``dest_path`` names: below the place that a node has for such. A leading ``/`` means nothing, as in
    dispy; None and ``''`` name none.

    :raises TypeError: when it is no string.
    :raises ValueError: when it leads out of that place, or is too long.
    """
    if path is None:
        return ""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"dest_path must be the relative path of a directory, not {path!r}")
    relative = posixpath.normpath(os.fsdecode(path).lstrip("/") or ".")
    if relative == ".":
        return ""
    try:
        safe_parts(relative)
    except UnsafePathError as error:
        raise ValueError(f"dest_path: {error}; name a directory relative to the node's own place for them") from None
    if len(quote(relative, safe="")) > 200:
        raise ValueError(f"dest_path: {relative[:40]!r}… is too long")
    return relative


def files_in(directory: str) -> Iterator[str]:
    """All files below a directory, relative to it, in an order that is always the same; links are followed.

    :raises OSError: when a directory cannot be looked into, or a link leads in a circle.
    """
    for root, directories, files in os.walk(directory, onerror=_raise, followlinks=True):
        directories[:] = sorted(each for each in directories if each not in _BY_PRODUCTS)
        for name in directories:
            _refuse_circle(root, name)
        for name in sorted(files):
            yield os.path.relpath(os.path.join(root, name), directory)


def _refuse_circle(root: str, name: str) -> None:
    path = os.path.join(root, name)
    if os.path.islink(path) and (os.path.realpath(root) + os.sep).startswith(os.path.realpath(path) + os.sep):
        raise OSError(f"{path!r} is a link that leads in a circle, and cannot be sent to nodes")


def _raise(error: OSError) -> None:
    raise error


def digest_of(path: str) -> bytes:
    """The sha256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        read: Callable[[], bytes] = functools.partial(file.read, _CHUNK)
        for chunk in iter(read, b""):
            digest.update(chunk)
    return digest.digest()
