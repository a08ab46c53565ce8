"""The names of `typing` that are needed where a job's process is forked, without that module: it takes a megabyte, in every such process.

To whoever checks types they are those of `typing`. When the program runs, annotations are not evaluated, so most need not be anything.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import NamedTuple as NamedTuple
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
else:
    Any = NoReturn = object

    class Protocol:
        """What is written down of somebody else's class; nobody asks it."""

    class _Tuples(type):
        def __new__(cls, name, bases, names):
            if not bases:
                return super().__new__(cls, name, bases, names)
            fields = list(names.get("__annotations__", ()))
            defaults = [names.pop(field) for field in fields if field in names]
            return type(name, (namedtuple(name, fields, defaults=defaults),), {"__slots__": (), **names})

    class NamedTuple(metaclass=_Tuples):
        """A class below it is a named tuple of its annotations, with methods if it has any."""
