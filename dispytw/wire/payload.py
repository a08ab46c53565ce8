"""Payloads: arguments and results as bytes. The only module that pickles; no daemon imports it.

A payload's first byte tells its format:

- ``p``: C pickle, protocol 5. Classes and functions are named, not packed: the other end finds them in its own modules, where `Shipped`
  promised that they are.
- ``d``: for what has no name over there (a lambda, a closure, a class made at run time, functions of an interactive session): dill, with
  bytecode. Two bytes say which Python made it, and no other opens it: it would crash.
- ``s``: code that the arguments need and the computation did not (a supplement, `dispytw.wire.bundle`), then another payload.
- ``m``: msgpack, for a program: its arguments, a list of strings; its result, the exit status.

Arguments of a job that has files of its own have an ``o`` in front (`dispytw.wire.bundle.OWN_PLACE`), which the worker takes off first.
"""

from __future__ import annotations

import enum
import importlib
import io
import pickle
import struct
import sys
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, ModuleType

from dispytw.errors import PayloadError
from dispytw.lighttyping import Any, NamedTuple, Protocol
from dispytw.wire.late import msgpack

PICKLED, BYTECODE, SUPPLEMENTED, MSGPACK = b"p", b"d", b"s", b"m"

PYTHON = (sys.version_info.major, sys.version_info.minor)

_LENGTH = struct.Struct(">I")

#: Types whose values have no parts, and names nothing; containers of no more than so many values are looked into.
_SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})
_CONTAINERS = frozenset({tuple, list, dict})
_MOST_PARTS = 8
#: Bytes of a payload up to which it is copied rather than viewed.
_SHORT = 1024


class Shipped(Protocol):
    """What the other end can find by name, as far as this end knows."""

    def finds(self, thing: Any) -> bool:
        """Whether it will find this class or function there."""

    def supplement(self, thing: Any) -> Packed | None:
        """Code that makes it find this class or function, or None when there is none."""

    def globals_of(self, function: FunctionType) -> bool:
        """Whether this function, packed by value, gets the namespace as its globals; otherwise it brings copies of what it uses."""


class Packed(NamedTuple):
    """Bytes for the other end.

    :param python: (major, minor) of the only Python that can open them, or None for any.
    """

    data: bytes
    python: tuple[int, int] | None = None


class _HasNoName(Exception):
    """Something can be packed by value only."""


def pack_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], shipped: Shipped) -> Packed:
    """Pack the arguments of a call.

    :raises PayloadError: when one cannot be packed; it is named, counted from 1.
    """
    try:
        return pack_value((args, kwargs), shipped)
    except PayloadError as error:
        raise PayloadError(f"{_culprit(args, kwargs, shipped)} cannot be sent to nodes: {error}") from error.__cause__


def open_arguments(
    data: bytes, define: Callable[[bytes], None] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Open what `pack_arguments` packed.

    :param define: takes a supplement and defines what is in it.
    :raises PayloadError: when it cannot be opened here.
    """
    opened: tuple[tuple[Any, ...], dict[str, Any]]
    if data[:1] != PICKLED or len(data) > _SHORT:
        opened = open_value(data, define)
        return opened
    try:
        opened = pickle.loads(data[1:])  # at once, as most are: a forked worker's every call costs copied pages
        return opened
    except Exception as error:
        raise _unopened(error) from error


def not_opened(error: PayloadError) -> PayloadError:
    """What a job raises whose arguments cannot be opened."""
    return PayloadError(f"the job's arguments cannot be opened on this node: {error}")


def calling(
    function: Callable[..., Any], pack: Callable[[Any], bytes], otherwise: Callable[[bytes], bytes]
) -> Callable[[bytes], bytes]:
    """Makes what calls a function with packed arguments, and packs what it returns.

    In a forked process each name that is looked up is a page or two to be copied, so for plain arguments and results nothing is.

    :param pack: packs results that are not plain.
    :param otherwise: does it all for arguments that are not plain.
    """
    form, scalars, most, loads, dumps = PICKLED, _SCALARS, _SHORT, pickle.loads, pickle.dumps

    def call(payload: bytes) -> bytes:
        if payload[:1] != form or len(payload) > most:
            return otherwise(payload)
        try:
            args, kwargs = loads(payload[1:])
        except Exception as error:
            raise not_opened(_unopened(error)) from error
        value = function(*args, **kwargs)
        return form + dumps(value, 5) if type(value) in scalars else pack(value)

    return call


def pack_result(value: Any, shipped: Shipped) -> bytes:
    """Pack what a job returned.

    :raises PayloadError: when it cannot be packed.
    """
    if type(value) in _SCALARS:
        return PICKLED + pickle.dumps(value, 5)
    try:
        return pack_value(value, shipped).data
    except PayloadError as error:
        raise PayloadError(f"the job's result, {_kind(value)}, cannot be sent back: {error}") from error.__cause__


def open_result(data: bytes) -> Any:
    """Open what `pack_result` packed, or a program's exit status.

    :raises PayloadError: when it cannot be opened here.
    """
    return open_value(data)


def pack_value(value: Any, shipped: Shipped) -> Packed:
    """Pack anything, by name where the other end finds it and by value where not.

    :raises PayloadError: when it cannot be packed.
    """
    if _is_plain(value):
        return Packed(PICKLED + pickle.dumps(value, 5))
    try:
        try:
            return _by_name(value, shipped)
        except _HasNoName:
            return _by_value(value, shipped)
    except Exception as error:
        raise PayloadError(f"{type(error).__name__}: {error}") from error


def open_value(data: bytes, define: Callable[[bytes], None] | None = None) -> Any:
    """Open a payload of any format.

    :raises PayloadError: when it cannot be opened here, whatever the reason.
    """
    try:
        return _open(memoryview(data), define)
    except PayloadError:
        raise
    except Exception as error:
        raise _unopened(error) from error


def _unopened(error: Exception) -> PayloadError:
    return PayloadError(f"this payload cannot be opened here: {type(error).__name__}: {error}")


def _open(data: memoryview, define: Callable[[bytes], None] | None) -> Any:
    form, body = bytes(data[:1]), data[1:]
    if form == PICKLED:
        return pickle.loads(body)
    if form == BYTECODE:
        return _open_bytecode(body)
    if form == MSGPACK:
        return msgpack().unpackb(body, unicode_errors="surrogatepass")
    if form == SUPPLEMENTED and define is not None:
        (length,) = _LENGTH.unpack_from(body)
        define(bytes(body[_LENGTH.size : _LENGTH.size + length]))
        return _open(body[_LENGTH.size + length :], define)
    raise PayloadError(f"a payload of an unknown format {form!r}")


def _open_bytecode(body: memoryview) -> Any:
    made_by = (body[0], body[1])
    if made_by != PYTHON:
        raise PayloadError(
            "it holds bytecode of Python {}.{} (a lambda, a closure, or a class made at run time) and cannot be opened "
            "by Python {}.{}; define it with def or class in a file, or run one version everywhere".format(
                *made_by, *PYTHON
            )
        )
    import dill

    return dill.Unpickler(io.BytesIO(body[2:]), ignore=True).load()


def _is_plain(value: Any, depth: int = 3) -> bool:
    """Whether a small value is made of Python's own simple types alone: then nothing in it can need a name, and nobody needs to ask."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind not in _CONTAINERS or len(value) > _MOST_PARTS or not depth:
        return False
    for part in value:
        if not _is_plain(part, depth - 1):
            return False
    return kind is not dict or _is_plain(tuple(value.values()), depth - 1)


class _Pickler(pickle.Pickler):
    """C pickle that asks about every class and function before it names it."""

    def __init__(self, file: io.BytesIO, shipped: Shipped) -> None:
        super().__init__(file, 5)
        self._shipped = shipped
        self.supplements: dict[bytes, Packed] = {}

    def reducer_override(self, thing: Any) -> Any:
        kind = type(thing)
        if kind is FunctionType or issubclass(kind, type):
            if not _named(thing, self._shipped, self.supplements):
                raise _HasNoName
        elif kind is ModuleType:
            return importlib.import_module, (thing.__name__,)
        return NotImplemented


def _named(thing: Any, shipped: Shipped, supplements: dict[bytes, Packed]) -> bool:
    if shipped.finds(thing):
        return True
    supplement = shipped.supplement(thing)
    if supplement is not None:
        supplements[supplement.data] = supplement
    return supplement is not None


def _by_name(value: Any, shipped: Shipped) -> Packed:
    file = io.BytesIO()
    file.write(PICKLED)
    pickler = _Pickler(file, shipped)
    pickler.dump(value)
    return _supplemented(file.getvalue(), None, pickler.supplements)


def _by_value(value: Any, shipped: Shipped) -> Packed:
    import dill

    file = io.BytesIO()
    file.write(BYTECODE + bytes(PYTHON))
    pickler = dill.Pickler(file, protocol=5, recurse=True, byref=False)
    supplements: dict[bytes, Packed] = {}

    def reduce(thing: Any) -> Any:
        kind = type(thing)
        if kind is FunctionType or issubclass(kind, type):
            if _named(thing, shipped, supplements):
                return thing.__qualname__ if thing.__module__ != "builtins" else NotImplemented
            if kind is FunctionType and shipped.globals_of(thing):
                return _reduced_function(thing)
            if issubclass(kind, enum.EnumMeta):
                return _reduced_enum(thing)
        elif kind is CellType:
            return _reduced_cell(thing)
        elif kind is ModuleType:
            return importlib.import_module, (thing.__name__,)
        elif _belongs_here(thing):
            raise TypeError(f"cannot pickle {kind.__name__!r} object")
        return NotImplemented

    pickler.reducer_override = reduce
    pickler.dump(value)
    return _supplemented(file.getvalue(), PYTHON, supplements)


def _belongs_here(thing: Any) -> bool:
    """Whether dill would make another one over there of something that pickle refuses: a lock, an open file, a socket."""
    if isinstance(thing, io.IOBase):
        return not isinstance(thing, (io.BytesIO, io.StringIO))
    return type(thing).__module__ in ("_thread", "socket", "_socket")


def with_code(payload: Packed, code: Packed) -> Packed:
    """A payload that brings code along, which is defined before it is opened."""
    return _supplemented(payload.data, payload.python, {code.data: code})


def _supplemented(data: bytes, python: tuple[int, int] | None, supplements: dict[bytes, Packed]) -> Packed:
    for supplement in reversed(supplements.values()):
        data = SUPPLEMENTED + _LENGTH.pack(len(supplement.data)) + supplement.data + data
        python = python or supplement.python
    return Packed(data, python)


def _reduced_function(function: FunctionType) -> tuple[Any, ...]:
    """A function by value whose globals are the namespace's; what may lead back to it is set after it exists."""
    made_of = (function.__code__, function.__name__, function.__closure__)
    state = {
        "__qualname__": function.__qualname__,
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__annotations__": function.__annotations__,
    }
    return _function, made_of, (state, function.__dict__), None, None, _fill_function


def _function(code: CodeType, name: str, closure: tuple[CellType, ...] | None) -> FunctionType:
    return FunctionType(code, vars(sys.modules["__main__"]), name, None, closure)


def _fill_function(function: FunctionType, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for name, value in state[0].items():
        setattr(function, name, value)
    vars(function).update(state[1])


def _reduced_cell(cell: CellType) -> tuple[Any, ...]:
    try:
        return CellType, (), (cell.cell_contents,), None, None, _fill_cell
    except ValueError:  # an empty cell
        return CellType, ()


def _fill_cell(cell: CellType, state: tuple[Any]) -> None:
    (cell.cell_contents,) = state


def _reduced_enum(cls: Any) -> tuple[Any, ...]:
    """An Enum by value, which dill cannot do: the members and what makes them first, other methods when it exists."""
    methods = {name: value for name, value in vars(cls).items() if _is_method(value, cls)}
    makers = {name: methods.pop(name) for name in ("__new__", "__init__") if name in methods}
    members = {name: member.value for name, member in cls.__members__.items()}
    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return (
        _enum,
        (type(cls), cls.__name__, cls.__bases__, makers, members),
        {**named, **methods},
        None,
        None,
        _fill_enum,
    )


def _is_method(value: Any, cls: type) -> bool:
    function = getattr(value, "fget", None) or getattr(value, "__func__", value)
    return isinstance(function, FunctionType) and function.__qualname__.startswith(f"{cls.__qualname__}.")


def _enum(meta: Any, name: str, bases: tuple[type, ...], makers: dict[str, Any], members: dict[str, Any]) -> Any:
    body = meta.__prepare__(name, bases)
    for each, value in {**makers, **members}.items():
        body[each] = value
    return meta(name, bases, body)


def _fill_enum(cls: type, state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(cls, name, value)


def _culprit(args: tuple[Any, ...], kwargs: dict[str, Any], shipped: Shipped) -> str:
    places: list[tuple[str, Any]] = [(f"argument {number}", value) for number, value in enumerate(args, 1)]
    places += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for place, value in places:
        try:
            pack_value(value, shipped)
        except PayloadError:
            return f"{place}, {_kind(value)},"
    return "the arguments"


def _kind(value: Any) -> str:
    kind = type(value)
    return f"a {kind.__name__}" if kind.__module__ == "builtins" else f"a {kind.__module__}.{kind.__qualname__}"
