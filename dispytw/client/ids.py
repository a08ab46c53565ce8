"""Ids that programs give their jobs, as they stand in a recover file: anything that can be packed."""

from __future__ import annotations

import sys
from typing import Any

from dispytw.client.remains import PACKED, PLAIN
from dispytw.wire.payload import open_value, pack_value

_PLAIN = (str, bytes, bool, float, type(None))


def packed_id(value: Any) -> tuple[str, Any]:
    """An id as (form, value).

    :raises PayloadError: when it cannot be packed.
    """
    if type(value) in _PLAIN or (type(value) is int and -(2**63) <= value < 2**63):
        return PLAIN, value
    return PACKED, pack_value(value, _Importable()).data


def opened_id(form: str, value: Any) -> Any:
    """What `packed_id` packed. Unpickles: whoever calls this has made sure whose file it is from.

    :raises PayloadError: when it cannot be opened here.
    """
    return open_value(value) if form == PACKED else value


class _Importable:
    """For `pack_value`: whoever opens an id can import modules, but has another main program."""

    def finds(self, thing: Any) -> bool:
        """Whether the thing's module, unless that is the program itself, has it under its name."""
        found: Any = sys.modules.get(thing.__module__) if thing.__module__ != "__main__" else None
        for name in thing.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is thing

    def supplement(self, thing: Any) -> None:
        """None: there is no computation that it could be part of."""

    def globals_of(self, function: Any) -> bool:
        """No: a function brings what it uses."""
        return False
