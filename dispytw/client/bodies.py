"""What is too large to stand in a recover file: each body in a file of its own, in a directory beside it."""

from __future__ import annotations

import os
import secrets

from dispytw.errors import StreamError
from dispytw.values import Stored


def store_body(directory: str, data: bytes) -> Stored:
    """Write a body to a file of its own, in a directory that is made at need.

    :raises OSError: when there is no room for it.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, secrets.token_hex(8))
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError:
        if os.path.exists(path):
            os.unlink(path)
        raise
    return Stored(path, len(data))


def stored_body(directory: str, name: bytes) -> Stored:
    """The body that has this name in the directory.

    :raises StreamError: when it is not there.
    """
    path = os.path.join(directory, os.path.basename(os.fsdecode(name)))
    try:
        return Stored(path, os.path.getsize(path))
    except OSError as error:
        raise StreamError(f"{path} is not there: {error}") from None
