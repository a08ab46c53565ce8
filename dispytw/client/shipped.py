"""What the nodes know of the program's classes and functions, and what an argument must bring along because they do not.

A class that the computation never mentions, an instance of which is an argument all the same, is collected when it first comes; its source
then travels with every argument that needs it. Named in depends it would travel once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import FunctionType
from typing import Any

import attrs

from dispytw.client.collecting import Collection
from dispytw.client.scopes import Scope, located
from dispytw.client.sources import MAIN, is_own_module
from dispytw.wire.bundle import Bundle, encode
from dispytw.wire.payload import Packed


@attrs.define(eq=False)
class ShippedCode:
    """What was collected for a computation, seen from its arguments; may be asked from any thread.

    :param collection: the computation's.
    """

    collection: Collection
    _late: dict[Any, Packed | None] = attrs.field(factory=dict)
    _told: dict[str, Any] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def finds(self, thing: Any) -> bool:
        """Whether a node finds this class or function by its name."""
        module, qualname = thing.__module__, thing.__qualname__
        if not isinstance(module, str) or not located(thing, module, qualname):
            return False
        collection = self.collection
        if module in collection.modules.modules:
            return True
        if module not in MAIN and module not in collection.homes:
            return not is_own_module(module)
        known = collection.known.get(qualname.partition(".")[0])
        return known is not None and known.module == module and known.is_named and located(known.value, module, qualname.partition(".")[0])

    def supplement(self, thing: Any) -> Packed | None:
        """The code of a class or function that the computation does not have, or None when it has no source.

        :raises ShippingError: when it refers to something that cannot be sent.
        """
        if "<" in thing.__qualname__:
            return None  # made at run time: never by name, and not to be kept alive here
        with self._lock:
            if thing not in self._late:
                self._late[thing] = self._collected(thing)
            return self._late[thing]

    def globals_of(self, function: FunctionType) -> bool:
        """A function that an argument brings has its own globals."""
        return False

    def _collected(self, thing: Any) -> Packed | None:
        base = self.collection
        late = Collection(home=base.home, homes=base.homes, wholes=base.wholes, explicit=base.explicit, base=base)
        if not late.finds(thing):
            return None
        late.follow()
        late.check()
        if any(self._told.setdefault(name, known.value) is not known.value for name, known in late.known.items()):
            return None  # a name that a node may know as something else: redefined in a notebook, say; so it goes by value
        return Packed(packed_code(late), late.python)


def packed_code(collection: Collection, instead: Iterable[str] | None = None, **roles: Any) -> bytes:
    """A collection as a bundle.

    :param instead: where it is for a single job, the names that it uses otherwise than the computation.
    :param roles: the computation, setup and cleanup, as far as there are any.
    """
    aliases = sorted(module for module in collection.homes if module not in collection.modules.modules)
    return encode(
        Bundle(
            home=collection.home if collection.home in collection.modules.modules else "__main__",
            package=str(Scope.of_module(collection.home).names.get("__package__") or ""),
            aliases=tuple(aliases),
            modules=tuple(collection.modules.modules.values()),
            imports=tuple(collection.imports),
            entries=tuple(collection.entries()),
            initial=collection.initial,
            instead=None if instead is None else tuple(sorted(instead)),
            wanted=tuple(sorted(collection.wanted)),
            **roles,
        )
    )
