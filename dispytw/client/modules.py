"""The user's modules that travel whole, each with the modules of the user's that it imports."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from dispytw.client.definitions import absolute_name
from dispytw.client.references import ImportStatement, references
from dispytw.client.sources import MAIN, find_module, is_own_module, module_source
from dispytw.errors import ShippingError
from dispytw.wire.bundle import Module


@attrs.define(eq=False)
class WholeModules:
    """Modules collected so far.

    :param withheld: tells whether a module does not travel whole; it is asked before each.
    """

    withheld: Callable[[str], bool]
    modules: dict[str, Module] = attrs.field(factory=dict)

    def add(self, name: str) -> None:
        """Take a module, its packages, and what they import; a module without source is left to the nodes."""
        if name in MAIN or name in self.modules or self.withheld(name):
            return
        parent, _, _ = name.rpartition(".")
        if parent:
            self.add(parent)
        place = find_module(name)
        if place is None or name in self.modules:
            return
        source = module_source(name, place.filename)
        self.modules[name] = Module(name, place.path is not None, place.filename, source)
        self.add_imported(_imports_in(name, place.filename, source), parent if place.path is None else name)

    def add_imported(self, statements: Iterable[ImportStatement], package: str) -> None:
        """Take the modules of the user's own that these statements import.

        :param package: the package that relative imports begin at.
        """
        for statement in statements:
            module = absolute_name(statement.module, statement.level, package)
            if module is None or not is_own_module(module):
                continue
            self.add(module)
            for name in statement.names:
                if is_own_module(f"{module}.{name}"):
                    self.add(f"{module}.{name}")


def _imports_in(name: str, filename: str, source: bytes) -> list[ImportStatement]:
    try:
        code = compile(source, filename or f"<package {name}>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ShippingError(f"module {name} ({filename}) cannot be sent to nodes: {error}") from error
    return references(code).imports
