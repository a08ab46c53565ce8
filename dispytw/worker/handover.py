"""What setup() has left in globals, for processes that are no copies of the one in which it ran.

They lay out the same bundle, so only what differs from that is sent: globals that setup() has made or bound anew, and those whose content
it has changed. What multiprocessing can give to a process that it spawns (its locks, values, queues, shared memory) is given in the same
way. What cannot be sent is named. As under dispy on Windows, modules are not sent: whoever needs one imports it.
"""

from __future__ import annotations

import copyreg
import functools
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

import attrs

from dispytw.errors import PayloadError
from dispytw.wire.payload import Packed, pack_value

_HEAD = "setup() has left globals that cannot be sent to the fresh processes in which jobs run (start_method='spawn'):"
_ADVICE = "Make such a thing in the computation, where it is used, or keep it in a local variable of setup()."


class HandoverError(PayloadError):
    """Something that setup() has left cannot be sent; the message names each such global."""


@attrs.frozen
class Handed:
    """What a fresh process gets.

    :param payload: the globals, as a packed dict.
    :param descriptors: those that are named in it, and have to have the same numbers there.
    """

    payload: bytes
    descriptors: tuple[int, ...]


class Handover:
    """Knows the globals as the bundle has made them; to be made before setup() is called.

    :param names: the globals.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._before = dict(names)
        self._contents = {name: self._content(value) for name, value in names.items() if not _is_ours(name)}

    def handed(self) -> Handed:
        """What setup() has left, packed.

        :raises HandoverError: when something of it cannot be.
        """
        left = {name: value for name, value in self._names.items() if self._is_left(name, value)}
        with _spawning() as descriptors, self._without(_classes_in(left)):
            try:
                if not any(isinstance(value, ModuleType) for value in left.values()):
                    return Handed(pack_value(left, self).data, tuple(descriptors))
                why = ""
            except PayloadError as error:
                why = str(error)
            refused = [f"{name}: {_kind(value)}; {reason}" for name, value in left.items() if (reason := self._why_not(value))]
        raise HandoverError("\n  ".join([_HEAD, *(refused or [why])]) + "\n" + _ADVICE)

    def _is_left(self, name: str, value: Any) -> bool:
        if _is_ours(name):
            return False
        if name not in self._before or self._before[name] is not value:
            return True
        before = self._contents[name]
        return before is not None and before != self._content(value)

    def _content(self, value: Any) -> bytes | None:
        """What a value holds, as far as that can be told; of code it is not asked."""
        if isinstance(value, (ModuleType, FunctionType, type)):
            return None
        try:
            return pack_value(value, self).data
        except PayloadError:
            return None

    def _why_not(self, value: Any) -> str:
        """Why it cannot be sent; empty when it can."""
        if isinstance(value, ModuleType):
            return "modules are not sent, import it in the computation instead"
        try:
            pack_value(value, self)
            return ""
        except PayloadError as error:
            return str(error)

    @contextmanager
    def _without(self, classes: dict[str, type]) -> Iterator[None]:
        """In here classes that setup() has made are not found under their names, so that nobody takes these for enough."""
        for name in classes:
            del self._names[name]
        self._names.update({name: self._before[name] for name in classes if name in self._before})
        try:
            yield
        finally:
            self._names.update(classes)

    # What is found where there is nothing but the bundle (`dispytw.wire.payload.Shipped`).
    def finds(self, thing: Any) -> bool:
        """Whether it has this class or function under its name."""
        module, qualname = thing.__module__, thing.__qualname__
        if not isinstance(module, str) or "<" in qualname:
            return False
        if getattr(sys.modules.get(module), "__dict__", None) is not self._names:
            return True
        name, *attributes = qualname.split(".")
        return functools.reduce(_attribute, attributes, self._before.get(name)) is thing

    def supplement(self, thing: Any) -> Packed | None:
        """Nothing: the bundle is all the code that there is."""
        return None

    def globals_of(self, function: FunctionType) -> bool:
        """A function that setup() has made goes on to share its globals with all others."""
        return function.__globals__ is self._names


def _classes_in(left: dict[str, Any]) -> dict[str, type]:
    return {name: value for name, value in left.items() if isinstance(value, type)}


def _attribute(thing: Any, name: str) -> Any:
    return getattr(thing, name, None)


def _is_ours(name: str) -> bool:
    """Whether a global is Python's rather than the user's."""
    return name.startswith("__") and name.endswith("__")


def _kind(value: Any) -> str:
    kind = type(value)
    return f"a {kind.__name__}" if kind.__module__ == "builtins" else f"a {kind.__module__}.{kind.__qualname__}"


class _Passing:
    """Stands where multiprocessing has the process that it is about to spawn."""

    def __init__(self) -> None:
        from multiprocessing.popen_spawn_posix import Popen

        self.descriptors: list[int] = []
        self.DupFd = Popen.DupFd

    def duplicate_for_child(self, descriptor: int) -> int:
        """A descriptor is to be passed; returns its number there."""
        self.descriptors.append(descriptor)
        return descriptor


@contextmanager
def _spawning() -> Iterator[list[int]]:
    """In here multiprocessing's things can be pickled; yields the descriptors that they want to be passed."""
    from multiprocessing import context, reduction

    passing = _Passing()
    known = dict(copyreg.dispatch_table)
    copyreg.dispatch_table.update(reduction.ForkingPickler(io.BytesIO()).dispatch_table)
    context.set_spawning_popen(passing)  # type: ignore[arg-type]
    try:
        yield passing.descriptors
    finally:
        context.set_spawning_popen(None)
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(known)
