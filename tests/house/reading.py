"""Turns source text into what the laws look at: modules, their length, and every import anywhere in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs


@attrs.frozen
class Import:
    """One import, wherever it stands: at the top, in a function, for type checkers only, or by ``import_module("…")``.

    :param module: dotted name of what is imported; the longest part of it that is known to be a module.
    :param line: where, counted from 1.
    """

    module: str
    line: int


@attrs.frozen
class Module:
    """A module of the house.

    :param name: dotted name; a package goes by its own, without ``__init__``.
    :param lines: how long its source is.
    """

    name: str
    lines: int
    imports: tuple[Import, ...]

    @property
    def room(self) -> str:
        """``node`` for ``dispytw.node.bench``, and the empty string for what stands in no room (``dispytw.values``)."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 2 else ""

    @property
    def short(self) -> str:
        """``node.bench`` for ``dispytw.node.bench``."""
        return self.name.partition(".")[2]


House = Mapping[str, Module]


def read_house(root: Path) -> House:
    """Every module of the package directory ``root``."""
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    packages = {".".join([root.name, *p.parent.relative_to(root).parts]) for p in root.rglob("__init__.py")}
    return read_sources(sources, packages)


def read_sources(sources: Mapping[str, str], packages: set[str] | None = None) -> House:
    """The house made of these sources, by dotted name.

    :param packages: which of them are packages: relative imports start there.
    """
    known = set(sources)
    house = {}
    for name, source in sources.items():
        package = name if name in (packages or ()) else name.rpartition(".")[0]
        found = [_imported(node, package, known) for node in ast.walk(ast.parse(source))]
        imports = tuple(imported for several in found for imported in several)
        house[name] = Module(name, len(source.splitlines()), imports)
    return house


def _imported(node: ast.AST, package: str, known: set[str]) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno)
    elif isinstance(node, ast.ImportFrom):
        origin = _origin(node, package)
        for alias in node.names:
            whole = f"{origin}.{alias.name}"
            yield Import(whole if whole in known or whole == "twisted.internet.reactor" else origin, node.lineno)
    elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
        yield from (Import(a.value, node.lineno) for a in node.args[:1] if isinstance(a, ast.Constant))


def _origin(node: ast.ImportFrom, package: str) -> str:
    """What stands after ``from``, relative imports resolved."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
