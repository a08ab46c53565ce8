"""Code that is there for one job only: what it takes the place of comes back when the job is over."""

from __future__ import annotations

import sys
from types import ModuleType

from dispytw.lighttyping import Any, Protocol
from dispytw.wire.bundle import Bundle, Module

_NOTHING = object()


class Finder(Protocol):
    """What knows the user's modules."""

    modules: dict[str, Module]


class Replaced:
    """What has made way for a job's own code.

    :param module: the namespace.
    :param finder: of modules that came whole.
    """

    def __init__(self, module: ModuleType, finder: Finder) -> None:
        self.module, self.finder = module, finder
        self._names: dict[str, Any] = {}
        self._shipped: dict[str, Module | None] = {}
        self._loaded: dict[str, ModuleType | None] = {}

    def make_way(self, bundle: Bundle) -> None:
        """Note what the bundle will replace, and take its modules out so that its own are imported."""
        names = vars(self.module)
        for name in [*(entry.name for entry in bundle.entries), *bundle.wanted]:
            self._names.setdefault(name, names.get(name, _NOTHING))
        for module in bundle.modules:
            self._shipped.setdefault(module.name, self.finder.modules.pop(module.name, None))
            self._loaded.setdefault(module.name, sys.modules.pop(module.name, None))

    def rebind(self) -> None:
        """Let names that stood for replaced modules stand for those that took their place."""
        names = vars(self.module)
        for name, value in list(names.items()):
            if isinstance(value, ModuleType) and self._loaded.get(value.__name__) is value:
                self._names.setdefault(name, value)
                names[name] = __import__(value.__name__, fromlist=["*"])

    def restore(self) -> None:
        """Everything is as it was before."""
        names = vars(self.module)
        for name, value in self._names.items():
            if value is _NOTHING:
                names.pop(name, None)
            else:
                names[name] = value
        for name, shipped in self._shipped.items():
            _put(self.finder.modules, name, shipped)
        for name, loaded in self._loaded.items():
            _put(sys.modules, name, loaded)


def _put(there: dict[str, Any], name: str, value: Any) -> None:
    there.pop(name, None)
    if value is not None:
        there[name] = value
