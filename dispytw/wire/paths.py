"""Paths that came from elsewhere: relative, below their root, never through a symlink."""

from __future__ import annotations

import os
import stat

from dispytw.errors import UnsafePathError

#: How the directory of a job's own files is called, behind the attempt's name.
OWN_FILES = "files"

_MOST_PARTS = 64


def safe_parts(path: str) -> tuple[str, ...]:
    """The components of a relative path.

    :raises UnsafePathError: when it is absolute, climbs, is empty, or holds what some system reads otherwise.
    """
    parts = tuple(path.split("/"))
    if not path or len(path) > 4096 or len(parts) > _MOST_PARTS:
        raise UnsafePathError(f"a path that is empty or too long: {path[:80]!r}")
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or "\\" in part or not 0 < _length(part) <= 255:
            raise UnsafePathError(f"a path that is not plainly relative: {path[:200]!r}")
    if len(parts[0]) > 1 and parts[0][1] == ":":
        raise UnsafePathError(f"a path with a drive: {path[:200]!r}")
    return parts


def _length(part: str) -> int:
    """Bytes of a file name; 0 when no file can be called so."""
    try:
        return len(os.fsencode(part))
    except UnicodeEncodeError:
        return 0


def join_under(root: str, path: str) -> str:
    """The place of ``path`` below ``root``, none of whose existing components is a symlink.

    :raises UnsafePathError: otherwise.
    """
    place = root
    for part in safe_parts(path):
        place = os.path.join(place, part)
        try:
            if stat.S_ISLNK(os.lstat(place).st_mode):
                raise UnsafePathError(f"a path through a symlink: {path[:200]!r}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UnsafePathError(f"a path that cannot be looked at: {path[:200]!r}: {error.strerror}") from None
    return place
