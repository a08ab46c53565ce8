"""A body in pieces, wherever it is kept, and pieces to where they are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dispytw.values import Body, Inline


def chunks_of(body: Body, size: int) -> Iterator[bytes]:
    """The body's bytes in pieces of at most ``size``; a file is opened when the first is wanted.

    :raises OSError: when it cannot be read.
    """
    if isinstance(body, Inline):
        view = memoryview(body.data)
        yield from (bytes(view[start : start + size]) for start in range(0, len(view), size))
        return
    with open(body.path, "rb", buffering=0) as file:
        while chunk := file.read(size):
            yield chunk


def write_all(descriptor: int, data: bytes) -> None:
    """Write the whole of it, however little the system takes at a time.

    :raises OSError: when it cannot be written; some of it may be there then.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
