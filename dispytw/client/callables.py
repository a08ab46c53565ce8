"""What nodes are to call, in the forms in which a program may give it: functions, partials of them, methods.

A method is found on the node through its class, which goes along. Of a method bound to an instance, setup() and cleanup() take the instance
along as their first argument; as a computation it is called with the instance that each job brings (see `Called.receiver`).
"""

from __future__ import annotations

import functools
import inspect
import sys
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import attrs

#: Functions that only begin something when they are called: what they are, what they make, and how that is gone through.
_BEGINNING = (
    (inspect.iscoroutinefunction, "a coroutine function (async def)", "a coroutine", "asyncio.run({}(…))"),
    (inspect.isgeneratorfunction, "a generator function (it has a yield)", "a generator", "list({}(…))"),
    (inspect.isasyncgenfunction, "an asynchronous generator function", "a generator", "asyncio.run, and a list of what {} yields"),
)


@attrs.frozen(eq=False)
class Called:
    """One callable.

    :param target: the function; or the class through which a method is found.
    :param method: the method's name, or empty.
    :param args: arguments that a partial, or an instance, has given already.
    :param receiver: the instance that a method was bound to, where that is not among the arguments.
    """

    target: Any
    method: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = attrs.field(factory=dict)
    receiver: Any = None

    @property
    def name(self) -> str:
        """For people."""
        return self.method or str(getattr(self.target, "__name__", "computation"))

    def arguments_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments of one call, with the instance before them if they do not bring one themselves, as dispy wants it.

        An instance of the method's class in the first place is taken to be the one that is meant, if the call makes sense so.
        """
        if self.receiver is None:
            return args
        if args and isinstance(args[0], self.target) and _fits(getattr(self.target, self.method), args, kwargs):
            return args
        return (self.receiver, *args)


def called_computation(computation: Any) -> Called:
    """What each job calls.

    :raises TypeError: for anything that is none of the forms, and for what `refuse_beginning` refuses.
    """
    called = _called(computation)
    if called is None:
        raise TypeError(f"a computation is a function or the path of a program, not {computation!r} ({type(computation).__name__})")
    refuse_beginning("computation", computation)
    if called.method and called.args and not isinstance(computation, functools.partial):
        return attrs.evolve(called, args=(), receiver=called.args[0])
    return called


def called_once(what: str, function: Any) -> Called | None:
    """What setup or cleanup calls; None for None.

    :raises TypeError: for anything that is none of the forms, and for what `refuse_beginning` refuses.
    """
    if function is None:
        return None
    refuse_beginning(what, function)
    called = _called(function)
    if called is None:
        raise TypeError(
            f"{what} must be a function or a functools.partial of one, not {function!r} ({type(function).__name__})"
        )
    return called


def refuse_beginning(what: str, function: Any) -> None:
    """See that a call of the function does what it is there for: nobody goes through what a call has only begun.

    :raises TypeError: for functions with ``async`` or ``yield``.
    """
    for is_one, kind, made, through in _BEGINNING:
        if is_one(function) or is_one(getattr(type(function), "__call__", None)):  # noqa: B004
            inner = function.func if isinstance(function, functools.partial) else function
            name = getattr(inner, "__name__", type(inner).__name__)
            raise TypeError(
                f"{what}: {name} is {kind}, and a call of it only makes {made}, which nobody would go through; give a function that "
                f"does so by {through.format(name)}"
            )


def _called(given: Any) -> Called | None:
    if isinstance(given, functools.partial):
        inner = _called(given.func)
        return None if inner is None else attrs.evolve(inner, args=(*inner.args, *given.args), kwargs=dict(given.keywords))
    if isinstance(given, MethodType) and isinstance(given.__func__, FunctionType):
        instance = given.__self__
        owner = instance if isinstance(instance, type) else type(instance)
        return Called(owner, given.__name__, () if owner is instance else (instance,))
    if not is_function(given):
        return None
    cls = _owner(given)
    return Called(given) if cls is None else Called(cls, given.__name__)


def is_function(thing: Any) -> bool:
    """Whether something is a function, or what a decorator made of one."""
    if isinstance(thing, (type, MethodType, functools.partial)):
        return False
    return isinstance(thing, BuiltinFunctionType) or (callable(thing) and isinstance(inspect.unwrap(thing), FunctionType))


def _owner(function: Any) -> type | None:
    """The class in whose body a function was defined, where that leads back to it."""
    if not isinstance(function, FunctionType):
        return None
    path, _, name = function.__qualname__.rpartition(".")
    found: Any = sys.modules.get(function.__module__)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and getattr(found, name, None) is function else None


def _fits(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True
