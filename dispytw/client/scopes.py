"""Where a global name was written, and what it stands for there."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import attrs

from dispytw.client.definitions import imported_from
from dispytw.wire.bundle import Constant, Entry, Source


@attrs.frozen(eq=False)
class Scope:
    """The globals that a piece of code was written in, and their module's name."""

    names: Mapping[str, Any]
    module: str

    @classmethod
    def of(cls, thing: Any) -> Scope:
        """The scope of a function, or of a class's module."""
        if isinstance(thing, FunctionType):
            return cls(thing.__globals__, str(thing.__globals__.get("__name__", "__main__")))
        return cls.of_module(str(thing.__module__))

    @classmethod
    def of_module(cls, name: str) -> Scope:
        """The scope of a loaded module."""
        return cls(vars(sys.modules[name]) if name in sys.modules else {}, name)


@attrs.frozen(eq=False)
class Known:
    """What a name stands for in the namespace.

    :param needs: names that must be defined before it.
    :param uses: names that it uses later.
    """

    value: Any
    entry: Entry
    module: str
    needs: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()

    @property
    def is_named(self) -> bool:
        """Whether the other end finds the value by this name; not while it is being packed."""
        return isinstance(self.entry, Source) or (isinstance(self.entry, Constant) and bool(self.entry.payload))


def is_definition(value: Any) -> bool:
    """Whether a value is made by a definition, and so is told by source or by where it is."""
    if isinstance(value, (type, FunctionType, BuiltinFunctionType, typing.TypeVar, typing.NewType)):
        return True
    return callable(value) and isinstance(inspect.unwrap(value), FunctionType)


def where(name: str, value: Any, scope: Scope) -> tuple[str, str]:
    """The module and the name in it by which a definition can be had; in the last resort the scope's own."""
    candidates = [imported_from(name, scope.names), (getattr(value, "__module__", None), getattr(value, "__qualname__", name))]
    for candidate in candidates:
        if candidate is None or not isinstance(candidate[0], str):
            continue
        if candidate[0] == scope.module and candidate[1] == name:
            break
        if located(value, *candidate):
            return candidate[0], candidate[1]
    return scope.module, name


def located(thing: Any, module: str, qualname: str) -> bool:
    """Whether a name in a loaded module leads to this very thing."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is thing
