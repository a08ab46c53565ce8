"""The source of functions and classes, cut out of their files as it stands, so that line numbers and strings stay true.

What a module's name stands for is found by the statement that binds it there: ``def``, ``class``, or an assignment such as
``Point = namedtuple(…)``. A function inside a function goes by source only where it uses nothing of what surrounds it.
"""

from __future__ import annotations
import __future__

import ast
import functools
import inspect
import linecache
import os
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, Union

import attrs

from dispytw.wire.bundle import Source

_FEATURES = [getattr(__future__, name) for name in __future__.all_feature_names]
_FLAGS = sum({feature.compiler_flag for feature in _FEATURES})

_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Definition = Union[ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef]


@attrs.frozen
class _File:
    name: str
    lines: tuple[str, ...]
    tree: ast.Module

    def cut(self, statement: ast.stmt, name: str, module_globals: Mapping[str, Any], flags: int) -> Source:
        first = _first_line(statement)
        text = "".join(self.lines[first - 1 : statement.end_lineno])
        return Source(name, str(module_globals.get("__name__", "__main__")), self.name, first, flags, text)


def top_source(name: str, value: Any, module_globals: Mapping[str, Any]) -> Source | None:
    """The statement by which a module gives a name to a function or class, or None when none tells it.

    :param value: what the name stands for; a function, a class, or what a decorator made of one.
    """
    function = inspect.unwrap(value)
    at_home = isinstance(function, FunctionType) and function.__globals__ is module_globals
    file = _file(_filename(module_globals) or _typed_in(function, module_globals), module_globals)
    statement = None if file is None else _last_binding(file.tree.body, name)
    if file is None or statement is None or not _makes(statement, function, value):
        return None
    flags = function.__code__.co_flags & _FLAGS if at_home else _futures(module_globals)
    return file.cut(statement, name, module_globals, flags)


def inner_source(function: FunctionType) -> Source | None:
    """The definition of a function inside a function, or None when only its bytecode tells it."""
    code = function.__code__
    file = _file(code.co_filename, function.__globals__)
    if file is None or code.co_freevars:
        return None
    for definition, outer in _definitions(file.tree, ()):
        if definition.name == code.co_name and _first_line(definition) == code.co_firstlineno:
            if not _is_independent(definition, outer):
                return None
            return file.cut(definition, code.co_name, function.__globals__, code.co_flags & _FLAGS)
    return None


def imported_from(name: str, module_globals: Mapping[str, Any]) -> tuple[str, str] | None:
    """The module and its attribute that a ``from … import`` of this module gave the name to, or None."""
    file = _file(_filename(module_globals), module_globals)
    statement = None if file is None else _last_binding(file.tree.body, name)
    if not isinstance(statement, ast.ImportFrom):
        return None
    attribute = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
    module = absolute_name(statement.module or "", statement.level, module_globals.get("__package__") or "")
    return None if module is None else (module, attribute)


def absolute_name(module: str, level: int, package: str) -> str | None:
    """What a relative import means in a package; None when it leads out of it."""
    if level == 0:
        return module
    parts = package.split(".")
    if not package or level > len(parts):
        return None
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{module}" if module else base


def described(thing: Any) -> str:
    """What something is and where it is defined, for a message."""
    function = inspect.unwrap(thing) if callable(thing) and not isinstance(thing, type) else thing
    if isinstance(function, FunctionType):
        return f"{function.__qualname__} ({function.__code__.co_filename}:{function.__code__.co_firstlineno})"
    if isinstance(thing, type):
        return f"class {thing.__module__}.{thing.__qualname__}"
    if isinstance(thing, ModuleType):
        return f"module {thing.__name__}"
    text = repr(thing)
    return f"the value {text[:60]}{'…' if len(text) > 60 else ''}"


def _filename(module_globals: Mapping[str, Any]) -> str:
    filename = module_globals.get("__file__")
    return os.path.abspath(filename) if isinstance(filename, str) and filename.endswith((".py", ".pyw")) else ""


def _typed_in(value: Any, module_globals: Mapping[str, Any]) -> str:
    """The name that an interactive session gave to the text of a function, or of a class with methods."""
    functions = vars(value).values() if isinstance(value, type) else [value]
    for function in functions:
        if isinstance(function, FunctionType) and function.__globals__ is module_globals:
            filename = function.__code__.co_filename
            if linecache.getlines(filename):
                return filename
    return ""


def _file(filename: str, module_globals: Mapping[str, Any]) -> _File | None:
    lines = linecache.getlines(filename, dict(module_globals)) if filename else []
    return _parsed(filename, tuple(lines)) if lines else None


@functools.lru_cache(maxsize=256)
def _parsed(filename: str, lines: tuple[str, ...]) -> _File | None:
    try:
        return _File(filename, lines, ast.parse("".join(lines), filename))
    except (SyntaxError, ValueError):
        return None


def _futures(module_globals: Mapping[str, Any]) -> int:
    """The flags of the features that a module has imported, as its globals show."""
    flags = 0
    for feature in _FEATURES:
        if any(value is feature for value in module_globals.values()):
            flags |= int(feature.compiler_flag)
    return flags


def _first_line(statement: ast.stmt) -> int:
    lines: list[int] = [statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))]
    return min(lines)


def _makes(statement: ast.stmt, function: Any, value: Any) -> bool:
    """Whether running the statement again makes this value again."""
    if isinstance(statement, _Function):
        at_line = isinstance(function, FunctionType) and function.__code__.co_firstlineno == _first_line(statement)
        return bool(statement.decorator_list) or (at_line and value is function)
    if isinstance(statement, ast.ClassDef):
        return bool(statement.decorator_list) or isinstance(value, type)
    made_by = getattr(statement, "value", None)
    if isinstance(value, FunctionType):
        return isinstance(made_by, ast.Lambda) and made_by.lineno == value.__code__.co_firstlineno
    return isinstance(made_by, ast.Call)


def _last_binding(body: list[ast.stmt], name: str) -> ast.stmt | None:
    """The last statement that binds a name, in the branches of the module's own level too."""
    found: ast.stmt | None = None
    for statement in body:
        if name in _bound_by(statement):
            found = statement
        elif not isinstance(statement, _Definition):
            for inner in _blocks(statement):
                found = _last_binding(inner, name) or found
    return found


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for kind in ("body", "orelse", "finalbody"):
        yield getattr(statement, kind, [])
    for clause in [*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]:
        yield clause.body


def _bound_by(statement: ast.stmt) -> set[str]:
    if isinstance(statement, _Definition):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _definitions(node: ast.AST, outer: tuple[Definition, ...]) -> Iterator[tuple[Definition, tuple[Definition, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield child, outer
            yield from _definitions(child, (*outer, child))
        else:
            yield from _definitions(child, outer)


def _is_independent(definition: Definition, outer: tuple[Definition, ...]) -> bool:
    """Whether its decorators, defaults and annotations name nothing that the surrounding functions bind."""
    if isinstance(definition, ast.ClassDef) or (outer and isinstance(outer[-1], ast.ClassDef)):
        return False
    bound = {name for function in outer for name in _names_in(function)}
    evaluated = [*definition.decorator_list, definition.args, definition.returns or ast.Pass()]
    used = {node.id for part in evaluated for node in ast.walk(part) if isinstance(node, ast.Name)}
    return used.isdisjoint(bound)


def _names_in(function: Definition) -> Iterator[str]:
    """Names that a function or anything in it binds; too many rather than too few."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, _Definition) and node is not function:
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
