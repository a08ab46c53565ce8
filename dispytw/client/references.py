"""Which global names a piece of code uses, read from its bytecode."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType

import attrs

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_BETWEEN = frozenset({"PUSH_NULL", "PRECALL", "CACHE", "EXTENDED_ARG"})
_STORES_LOCALLY = frozenset({"STORE_NAME", "DELETE_NAME"})
_STORES_GLOBALLY = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_OPTIMIZED = 1


@attrs.frozen
class ImportStatement:
    """``from <level dots><module> import <names>``; no names for ``import module``."""

    module: str
    level: int
    names: tuple[str, ...]


@attrs.define
class References:
    """What a piece of code uses.

    :ivar names: global names, each with the chains of attributes read from it, in order of appearance.
    :ivar eager: those of them that are used while the piece is being defined.
    :ivar stored: global names that its functions assign.
    """

    names: dict[str, set[tuple[str, ...]]] = attrs.field(factory=dict)
    eager: set[str] = attrs.field(factory=set)
    stored: set[str] = attrs.field(factory=set)
    imports: list[ImportStatement] = attrs.field(factory=list)


def references(code: CodeType, *, definition: bool = True) -> References:
    """The references of a code object and all code in it.

    :param definition: whether this is code that defines something (a piece or module), rather than a function's body.
    """
    found = References()
    _walk(code, found, eager=definition)
    return found


def _walk(code: CodeType, found: References, *, eager: bool) -> None:
    bound: set[str] = set()
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _BETWEEN]
    for position, instruction in enumerate(instructions):
        name = instruction.argval
        if instruction.opname in _LOADS and name not in bound:
            chain = tuple(_attributes(instructions, position + 1))
            found.names.setdefault(name, set()).add(chain)
            if eager:
                found.eager.add(name)
        elif instruction.opname in _STORES_LOCALLY:
            bound.add(name)
        elif instruction.opname in _STORES_GLOBALLY:
            found.stored.add(name)
        elif instruction.opname == "IMPORT_NAME":
            found.imports.append(_import(instructions, position))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _walk(constant, found, eager=eager and _runs_at_once(constant))


def _attributes(instructions: list[dis.Instruction], position: int) -> Iterator[str]:
    for instruction in instructions[position:]:
        if instruction.opname in _ATTRIBUTES:
            yield instruction.argval
        else:
            return


def _import(instructions: list[dis.Instruction], position: int) -> ImportStatement:
    """IMPORT_NAME follows the two constants that say from how far up, and what."""
    level, names = (instruction.argval for instruction in instructions[position - 2 : position])
    return ImportStatement(instructions[position].argval, level, tuple(names or ()))


def _runs_at_once(code: CodeType) -> bool:
    """Class bodies and comprehensions run where they stand; functions and lambdas later."""
    return not code.co_flags & _OPTIMIZED or (code.co_name.startswith("<") and code.co_name != "<lambda>")
