"""Arguments of programs: strings, packed without pickle."""

from __future__ import annotations

import os
from typing import Any

import msgpack


def pack_strings(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Arguments of a program, packed for the worker that executes it.

    :param args: strings; numbers and paths are written as strings.
    :raises TypeError: for anything else, and for keyword arguments.
    """
    if kwargs:
        raise TypeError(f"submit: a program takes no keyword arguments, but {', '.join(sorted(kwargs))} came")
    return bytes(msgpack.packb([_string(index, arg) for index, arg in enumerate(args, 1)], unicode_errors="surrogatepass"))


def _string(index: int, arg: Any) -> str:
    if isinstance(arg, (str, int, float)):
        return str(arg)
    if isinstance(arg, os.PathLike):
        return os.fsdecode(arg)
    raise TypeError(f"submit: argument {index} of a program must be a string, not {arg!r}")
