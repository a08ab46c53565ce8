"""Collecting the code of a computation: what it refers to, what that refers to, and so on, as far as it is the user's own.

Each global name that the code uses becomes one entry of the namespace in which it will run: a definition in source, a constant, or
an import. Definitions are taken out of the *homes* (the main program, and the modules of the functions and classes that we were given);
anything else of the user's is imported from its module, which travels whole. A home that is needed whole, because a module imports it,
is treated so too, and if the computation itself lives there, that module becomes the namespace.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import attrs

from dispytw.client.definitions import described, imported_from, inner_source, top_source
from dispytw.client.modules import WholeModules
from dispytw.client.references import References, references
from dispytw.client.scopes import Known, Scope, is_definition, located, where
from dispytw.client.sources import MAIN, is_own_module
from dispytw.errors import PayloadError, ShippingError
from dispytw.wire.bundle import JOB_NAMES, Alias, Constant, Entry, Import, Role, Source
from dispytw.wire.payload import Packed, pack_value

#: Name of the function in depends that nodes call before anything else (dispy 4.15).
INIT = "init_depends"
#: Bytes of constants in all that a computation may bring along.
CONSTANTS_LIMIT = 64 * 1024


@attrs.define(eq=False)
class Collection:
    """The code collected for a computation, or, on top of a ``base``, for one argument of it.

    :param home: the module of the computation.
    :param homes: modules whose definitions travel one by one.
    :param wholes: those of them that turned out to be needed whole.
    :param explicit: names that `depends` decides, whatever the code's own globals say.
    :param overriding: those of them that the base has no say in.
    :ivar wanted_whole: homes that a module imports; where this is not `wholes`, collect anew.
    """

    home: str = "__main__"
    homes: frozenset[str] = MAIN
    wholes: frozenset[str] = frozenset()
    explicit: Mapping[str, Any] = attrs.field(factory=dict)
    base: Collection | None = None
    overriding: frozenset[str] = frozenset()
    known: dict[str, Known] = attrs.field(factory=dict)
    imports: dict[str, None] = attrs.field(factory=dict)
    wanted: set[str] = attrs.field(factory=set)
    wanted_whole: set[str] = attrs.field(factory=set)
    python: tuple[int, int] | None = None
    modules: WholeModules = attrs.field(init=False)
    _stored: set[str] = attrs.field(factory=set)
    _unshippable: dict[str, str] = attrs.field(factory=dict)
    _touched: set[str] = attrs.field(factory=set)
    _pending: list[tuple[References, Scope]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.modules = WholeModules(self._is_withheld)

    # What is given to us

    def called(self, target: Any, method: str = "") -> Role:
        """Collect a function that the node will call, or the class of a method that it will, and say how it finds it there."""
        if isinstance(target, BuiltinFunctionType):
            return Role(function=self._packed(target).data)
        scope = Scope.of(inspect.unwrap(target))
        ending = f".{method}" if method else ""
        if self._is_namespace(scope.module):
            self.modules.add(scope.module)
            if located(target, scope.module, target.__qualname__):
                return Role(target.__qualname__ + ending)
        name = self.define(target)
        return Role(name + ending) if name else Role(function=self._packed_function(target).data)

    def define(self, thing: Any) -> str | None:
        """Collect a function or class that was named to us, and return its name there; None when it has no source."""
        function: Any = inspect.unwrap(thing)
        scope = Scope.of(function if isinstance(function, FunctionType) else thing)
        name = str(thing.__name__)
        if isinstance(thing, type) or scope.names.get(name) is thing:
            if (known := self._lookup(name)) is None or known.value is not thing:
                self._bind(name, thing, {()}, scope, given=True)
            return name
        text = inner_source(thing) if isinstance(thing, FunctionType) else None
        if text is None:
            return None
        name = str(thing.__code__.co_name)
        if self._lookup(name) is not None:
            self._refuse_other(name, thing, scope)
        else:
            self._add_source(name, thing, text, scope)
        return name

    def give(self, thing: Any) -> None:
        """Collect a function or class named in depends, by value where it has no source."""
        name, defined = str(thing.__name__), self.define(thing)
        if defined is None:
            self._pack_entry(name, thing, Scope.of(thing), self._packed_function)
        elif defined != name:
            self._add(name, thing, Alias(name, defined), Scope.of(thing).module, frozenset({defined}))

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Pack the arguments of a partial, collecting what they need."""
        return self._packed((args, kwargs)).data

    # What the pickler asks

    def finds(self, thing: Any) -> bool:
        """Whether a class or function can be named to the node; collects it where it can."""
        module, qualname = thing.__module__, thing.__qualname__
        if not isinstance(module, str) or not located(thing, module, qualname):
            return False
        if self._is_namespace(module) or not (self._is_piecewise(module) or is_own_module(module)):
            return True
        if not self._is_piecewise(module):
            self.modules.add(module)
            return True
        return self._reaches(qualname.partition(".")[0], Scope.of_module(module))

    def supplement(self, thing: Any) -> Packed | None:
        """Nothing comes later than a collection."""
        return None

    def globals_of(self, function: FunctionType) -> bool:
        """A function by value runs in the namespace, so what it uses must be there."""
        found = references(function.__code__, definition=False)
        self._touched |= found.names.keys()
        self._pending.append((found, Scope.of(function)))
        return True

    # The result

    def follow(self) -> None:
        """Collect what everything collected so far refers to, until there is nothing new.

        :raises ShippingError: when one name stands for two things, or a function cannot be sent.
        """
        while self._pending:
            self._follow(*self._pending.pop(0))

    def check(self) -> None:
        """See whether all of it can be sent.

        :raises ShippingError: when not, with advice.
        """
        for name, reason in self._unshippable.items():
            if name not in self._stored:  # setup() makes it there
                raise ShippingError(f"{reason}; make it in setup(), pass it as an argument, or define it in a module")
        sizes = {
            name: len(known.entry.payload) for name, known in self.known.items() if isinstance(known.entry, Constant)
        }
        if sum(sizes.values()) > CONSTANTS_LIMIT:
            largest = max(sizes, key=lambda name: sizes[name])
            raise ShippingError(
                f"the global constants that the computation uses take {sum(sizes.values())} bytes ({largest!r} alone {sizes[largest]}), "
                f"more than {CONSTANTS_LIMIT}; pass them as arguments, put them into a file named in depends, or make them in setup()"
            )

    def entries(self) -> Iterator[Entry]:
        """The entries, constants first, each after what it needs to be defined."""
        done: set[str] = set()
        yield from self._initial(done)
        constants = [name for name, known in self.known.items() if isinstance(known.entry, Constant) and not known.needs]
        for name in [*constants, *self.known]:
            yield from self._before(name, done)

    def _initial(self, done: set[str]) -> Iterator[Entry]:
        """`INIT`, if it was given, and all that it may use when it is called."""
        if INIT in (self.explicit if self.base is None else self.overriding):
            yield from self._before(INIT, done, set())

    @property
    def initial(self) -> int:
        """How many entries come before the call of `INIT`; none without it."""
        return sum(1 for _ in self._initial(set()))

    def _before(self, name: str, done: set[str], called: set[str] | None = None) -> Iterator[Entry]:
        """An entry not yet done, after what it needs; with all that it uses where it may be called."""
        known = self.known.get(name)
        if known is None:
            return
        if name not in done:
            done.add(name)
            reached: set[str] = set()
            for needed in sorted(known.needs):
                yield from self._before(needed, done, reached)
            yield known.entry
        if called is not None and name not in called:
            called.add(name)
            for used in sorted(known.uses):
                yield from self._before(used, done, called)

    # Names

    def _follow(self, found: References, scope: Scope) -> None:
        self._stored |= found.stored
        for name, chains in found.names.items():
            self._use(name, chains, scope)
        self.modules.add_imported(found.imports, str(scope.names.get("__package__") or ""))

    def _use(self, name: str, chains: set[tuple[str, ...]], scope: Scope) -> None:
        if name.startswith("__") and name.endswith("__"):
            return
        if name in self.explicit:
            self.give(self.explicit[name])
        elif name in JOB_NAMES or name not in scope.names:
            if not hasattr(builtins, name):
                self.wanted.add(name)
        elif not self._is_namespace(scope.module):
            self._bind(name, scope.names[name], chains, scope)

    def _bind(self, name: str, value: Any, chains: set[tuple[str, ...]], scope: Scope, given: bool = False) -> None:
        """Let a name of the namespace stand for what it stands for in its scope.

        :param given: whether the user named this very thing: then a function runs in the namespace, wherever it was defined.
        """
        if isinstance(value, ModuleType):
            self._reach_through(value, chains)
        if self._lookup(name) is not None:
            return self._refuse_other(name, value, scope)
        if isinstance(value, ModuleType):
            self._add(name, value, Import(name, value.__name__, ""), scope.module)
        elif given and not isinstance(value, type):
            self._define_there(name, value, scope)
        elif not self._is_piecewise(scope.module):
            self._import(name, value, scope.module, name, scope)
        elif is_definition(value):
            self._definition(name, value, scope)
        else:
            self._constant(name, value, scope)

    def _refuse_other(self, name: str, value: Any, scope: Scope) -> None:
        known = self._lookup(name)
        assert known is not None
        if known.value is value or (isinstance(known.entry, Constant) and known.entry.payload == self._packed_or_nothing(value)):
            return
        raise ShippingError(
            f"the name {name!r} means two things in this computation: {described(known.value)} in {known.module}, and "
            f"{described(value)} in {scope.module}; rename one, or list the one to be used in depends"
        )

    def _definition(self, name: str, value: Any, scope: Scope) -> None:
        module, qualname = where(name, value, scope)
        if not self._is_piecewise(module):
            return self._import(name, value, module, qualname, scope)
        root = qualname.partition(".")[0]
        if (module, qualname) == (scope.module, name):
            return self._define_there(name, value, scope)
        origin = scope if module == scope.module else Scope.of_module(module)
        self._bind(root, origin.names[root], {()}, origin)
        if qualname != name:
            self._add(name, value, Alias(name, qualname), scope.module, frozenset({root}))

    def _define_there(self, name: str, value: Any, scope: Scope) -> None:
        text = top_source(name, value, scope.names)
        if text is not None:
            return self._add_source(name, value, text, scope)
        self._pack_entry(name, value, scope, self._packed_function)

    def _constant(self, name: str, value: Any, scope: Scope) -> None:
        try:
            self._pack_entry(name, value, scope, lambda value: pack_value(value, self))
        except PayloadError as error:
            del self.known[name]
            module, attribute = imported_from(name, scope.names) or ("", "")
            if module and not self._is_piecewise(module):
                return self._import(name, value, module, attribute, scope)
            what = f"{name!r}, {described(value)} in {scope.module}"
            self._unshippable[name] = f"the computation uses {what}, which cannot be sent to nodes: {error}"

    def _pack_entry(self, name: str, value: Any, scope: Scope, pack: Callable[[Any], Packed]) -> None:
        """Pack a value into an entry, which is there while it is packed, for what leads back to it."""
        self._add(name, value, Constant(name, b""), scope.module)
        before, self._touched = self._touched, set()
        packed, touched = pack(value), self._touched
        self._touched = before | touched
        self._note(packed)
        self._add(name, value, Constant(name, packed.data), scope.module, frozenset(touched))

    def _import(self, name: str, value: Any, module: str, attribute: str, scope: Scope) -> None:
        self._take(module)
        self._add(name, value, Import(name, module, attribute), scope.module)

    def _reach_through(self, module: ModuleType, chains: set[tuple[str, ...]]) -> None:
        """Take a module and the submodules that attributes are read through, as `dom` in ``xml.dom.minidom``."""
        self._take(module.__name__)
        for chain in chains:
            reached = module
            for attribute in chain:
                inner = getattr(reached, attribute, None)
                if not isinstance(inner, ModuleType) or inner.__name__ != f"{reached.__name__}.{attribute}":
                    break
                reached = inner
                self._take(reached.__name__)
                self.imports[reached.__name__] = None

    def _take(self, module: str) -> None:
        if is_own_module(module):
            self.modules.add(module)

    def _reaches(self, root: str, scope: Scope) -> bool:
        """Whether a definition of a home can be named, being there already or having a source to define it by."""
        value = scope.names.get(root)
        known = self._lookup(root)
        if known is None:
            text = top_source(root, value, scope.names)
            if text is None:
                return False
            self._add_source(root, value, text, scope)
        elif known.value is not value or not known.is_named:
            return False
        self._touched.add(root)
        return True

    def _add_source(self, name: str, value: Any, text: Source, scope: Scope) -> None:
        found = references(text.compiled())
        self._add(name, value, text, scope.module, frozenset(found.eager), frozenset(found.names))
        self._pending.append((found, scope))

    def _add(
        self,
        name: str,
        value: Any,
        entry: Entry,
        module: str,
        needs: frozenset[str] = frozenset(),
        uses: frozenset[str] = frozenset(),
    ) -> None:
        self.known[name] = Known(value, entry, module, needs, uses)

    # Modules

    def _is_piecewise(self, module: str) -> bool:
        return module in MAIN or (module in self.homes and module not in self.wholes)

    def _is_namespace(self, module: str) -> bool:
        """Whether a module, whole, is the namespace itself, so that all its names are there."""
        return module == self.home and module in self.wholes

    def _is_withheld(self, name: str) -> bool:
        if name in self.homes and name not in self.wholes:
            if self.base is not None:
                raise ShippingError(f"module {name} is needed whole; list it in depends")
            self.wanted_whole.add(name)
            return True
        return self.base is not None and name in self.base.modules.modules

    # Packing

    def _lookup(self, name: str) -> Known | None:
        """What a name of the namespace stands for already: here, in the base, or in the module that is the namespace."""
        known = self.known.get(name)
        if known is None and name in self.overriding:
            return None
        if known is None and self.base is not None:
            return self.base._lookup(name)
        if known is None and self.home in self.wholes and name not in self.explicit:
            there = Scope.of_module(self.home).names
            return Known(there[name], Import(name, self.home, name), self.home) if name in there else None
        return known

    def _note(self, packed: Packed) -> None:
        self.python = self.python or packed.python

    def _packed(self, value: Any) -> Packed:
        try:
            packed = pack_value(value, self)
        except PayloadError as error:
            raise ShippingError(f"{described(value)} cannot be sent to nodes: {error}") from error
        self._note(packed)
        return packed

    def _packed_function(self, value: Any) -> Packed:
        try:
            packed = pack_value(value, self)
        except PayloadError as error:
            raise ShippingError(
                f"{described(value)} cannot be sent to nodes: it has no source of its own (a lambda, a closure, or made at run time), "
                f"and by value it does not go either: {error}; define it with def in a file, and pass what it closes over as arguments"
            ) from error
        self._note(packed)
        return packed

    def _packed_or_nothing(self, value: Any) -> bytes:
        try:
            return pack_value(value, self).data
        except PayloadError:
            return b""
