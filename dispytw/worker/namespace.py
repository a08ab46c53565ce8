"""A computation's namespace: the one set of globals that all its functions share, laid out from the bundle and called from here.

It is registered as ``__main__``, and under the names of the modules that parts of it were taken from, so that what is pickled by name
is found. Modules of the user's that came whole are imported like any others, by a finder of ours. Tracebacks show the origin's files
and lines.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import linecache
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, ModuleType

from dispytw.errors import PayloadError
from dispytw.lighttyping import Any
from dispytw.wire.batches import BATCHED, open_calls
from dispytw.wire.bundle import (
    JOB_MODULES,
    JOB_NAMES,
    Alias,
    Bundle,
    Constant,
    Entry,
    Import,
    Module,
    Role,
    Source,
    decode,
)
from dispytw.wire.payload import Packed, calling, not_opened, open_arguments, open_value, pack_result, pack_value
from dispytw.worker import jobfunctions
from dispytw.worker.batching import perform_calls
from dispytw.worker.replacing import Replaced

_MAIN = ("__main__", "__mp_main__")


class Missing:
    """Stands for something that could not be imported here; whoever uses it learns so."""

    def __init__(self, reason: str) -> None:
        self.__dict__["_reason"] = reason

    def __getattr__(self, name: str) -> Any:
        raise ModuleNotFoundError(self.__dict__["_reason"])

    def __call__(self, *args: object, **kwargs: object) -> Any:
        raise ModuleNotFoundError(self.__dict__["_reason"])


class ShippedFinder:
    """Imports the user's modules from their source in the bundle: a meta path finder, and a loader.

    It has not their abstract classes for bases, which would bring twenty modules into every job's process.

    :param given: names that every module may use without importing them.
    """

    def __init__(self, given: dict[str, object], modules: dict[str, Module] | None = None) -> None:
        self.given = given
        self.modules = {} if modules is None else modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answers the import system."""
        module = self.modules.get(fullname)
        if module is None:
            return None
        loader: Any = self
        spec = importlib.machinery.ModuleSpec(
            fullname, loader, origin=module.filename or None, is_package=module.package
        )
        spec.has_location = bool(module.filename)
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Let the import system make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's source."""
        shipped = self.modules[module.__name__]
        code = compile(shipped.source, shipped.filename or f"<package {shipped.name}>", "exec", dont_inherit=True)
        vars(module).update(_given(set(_names_in(code)), self.given))
        exec(code, vars(module))

    def get_source(self, name: str) -> str:
        """Source for tracebacks."""
        return importlib.util.decode_source(self.modules[name].source)


class Namespace:
    """A computation, laid out and ready to be called.

    :param bundle: its code.
    :param module: the module that its globals belong to.
    """

    def __init__(self, bundle: Bundle, module: ModuleType, finder: ShippedFinder) -> None:
        self.bundle, self.module, self.finder = bundle, module, finder
        self._defined: set[tuple[str, str]] = set()
        self._calls: dict[str, Callable[..., Any]] = {}
        self._replaced: Replaced | None = None

    @property
    def names(self) -> dict[str, Any]:
        """The globals."""
        return vars(self.module)

    @property
    def has_setup(self) -> bool:
        """Whether there is a setup() to call."""
        return self.bundle.setup is not None

    @property
    def has_cleanup(self) -> bool:
        """Whether there is a cleanup() to call."""
        return self.bundle.cleanup is not None

    def setup(self) -> object:
        """Call the user's setup(); returns what it returns."""
        return self._calls["setup"]()

    def cleanup(self) -> None:
        """Call the user's cleanup()."""
        self._calls["cleanup"]()

    def take_over(self, payload: bytes) -> None:
        """Have the globals that setup() has left in another process (`dispytw.worker.handover`).

        :raises PayloadError: when they cannot be opened here.
        """
        self.names.update(open_value(payload))
        self.prepare()

    def perform(self, args_payload: bytes) -> bytes:
        """Open the arguments, call the computation, pack what it returns.

        :raises PayloadError: when the arguments cannot be opened or the result cannot be packed; anything else is the job's own.
        """
        try:
            many = open_calls(args_payload, self.extend) if args_payload[:1] == BATCHED else None
            args, kwargs = open_arguments(args_payload, self.extend) if many is None else ((), {})
        except PayloadError as error:
            raise not_opened(error) from error.__cause__
        if many is not None:
            return perform_calls(self._calls["computation"], many, self)
        return self.pack(self._calls["computation"](*args, **kwargs))

    def performing(self) -> Callable[[bytes], bytes]:
        """Makes `perform`, for a process that runs one job: what plain arguments and results need has been looked up."""
        return (
            calling(self._calls["computation"], self.pack, self.perform)
            if "computation" in self._calls
            else self.perform
        )

    def pack(self, value: object) -> bytes:
        """Pack a result, final or provisional.

        :raises PayloadError: when it cannot be packed.
        """
        return pack_result(value, self)

    def pack_error(self, error: BaseException) -> bytes:
        """Pack what the computation raised.

        :raises PayloadError: when it cannot be packed.
        """
        return pack_value(error, self).data

    def define(self, bundle: Bundle, anew: Collection[str] | None = None) -> None:
        """Bring the code of a bundle into the namespace.

        :param anew: names of what may replace what is there; None for all.
        """
        self._define_all(bundle.entries[: bundle.initial], anew)
        if bundle.initial:
            vars(self.module)["init_depends"]()
        for name in bundle.imports:
            _imported(name, "")
        self._define_all(bundle.entries[bundle.initial :], anew)

    def _define_all(self, entries: tuple[Entry, ...], anew: Collection[str] | None) -> None:
        for entry in entries:
            if anew is None or entry.name in anew or entry.name not in vars(self.module):
                self._define(entry)

    def extend(self, packed: bytes) -> None:
        """Bring in code that an argument needs, where what is there stays; or code for one job, until `restore`."""
        bundle = decode(packed)
        if bundle.instead is not None:
            self._replaced = self._replaced or Replaced(self.module, self.finder)
            self._replaced.make_way(bundle)
        for module in bundle.modules:
            self.finder.modules.setdefault(module.name, module)
        vars(self.module).update(_given(set(bundle.wanted) - vars(self.module).keys(), {}))
        self.define(bundle, bundle.instead or ())
        if self._replaced is not None:
            self._replaced.rebind()

    def restore(self) -> None:
        """Undo what the last job had instead of what was there."""
        if self._replaced is not None:
            self._replaced.restore()
            self._replaced = None

    def finds(self, thing: Any) -> bool:
        """Whether the client finds a class or function by its name: what came from there, and what is installed."""
        module, qualname = thing.__module__, thing.__qualname__
        if not isinstance(module, str) or "<" in qualname:
            return False
        if sys.modules.get(module) is not self.module or module == self.bundle.home != "__main__":
            return True
        return (module, qualname.partition(".")[0]) in self._defined

    def supplement(self, thing: Any) -> Packed | None:
        """Nothing: the client gets no code from nodes."""
        return None

    def globals_of(self, function: FunctionType) -> bool:
        """A function that a result brings has its own globals."""
        return False

    def prepare(self) -> None:
        """Make ready what will be called."""
        for what in ("computation", "setup", "cleanup"):
            role: Role | None = getattr(self.bundle, what)
            if role is not None:
                self._calls[what] = self._callable(role)

    def _callable(self, role: Role) -> Callable[..., Any]:
        function: Callable[..., Any]
        if role.name:
            function = functools.reduce(getattr, role.name.split("."), self.module)  # type: ignore[assignment]
        else:
            function = open_value(role.function)
        if not role.arguments:
            return function
        args, kwargs = open_arguments(role.arguments)
        return functools.partial(function, *args, **kwargs)

    def _define(self, entry: Entry) -> None:
        names = vars(self.module)
        if isinstance(entry, Source):
            self._run(entry)
        elif isinstance(entry, Constant):
            names[entry.name] = value = open_value(entry.payload)
            if getattr(value, "__qualname__", "") == entry.name:
                self._defined.add((value.__module__, entry.name))
        elif isinstance(entry, Import):
            names[entry.name] = _imported(entry.module, entry.attribute)
        elif isinstance(entry, Alias):
            names[entry.name] = functools.reduce(getattr, entry.target.split("."), self.module)

    def _run(self, source: Source) -> None:
        """Run a definition, which belongs to the module that it was taken from."""
        names = vars(self.module)
        own_name = names["__name__"]
        names["__name__"] = source.module
        try:
            exec(source.compiled(), names)
        finally:
            names["__name__"] = own_name
        self._defined.add((source.module, source.name))
        _show_in_tracebacks(source)


def load(bundle: Bundle, *, facts: Mapping[str, object], mentions: Collection[str] = JOB_NAMES) -> Namespace:
    """Lay out a computation in this process, which is its own from now on.

    :param facts: names that jobs see beside those of `dispytw.worker.jobfunctions`: dispy_node_name and so on.
    :param mentions: names of those that its code has in it, as far as is known.
    :raises PayloadError: when something in the bundle cannot be opened here.
    """
    given = {**jobfunctions.names(mentions), **facts}
    finder = ShippedFinder(given, {module.name: module for module in bundle.modules})
    sys.meta_path.insert(0, finder)
    module = importlib.import_module(bundle.home) if bundle.home in finder.modules else ModuleType("__main__")
    namespace = Namespace(bundle, module, finder)
    _retired.append(sys.modules["__main__"])
    for name in (*_MAIN, *bundle.aliases):
        sys.modules[name] = module
    vars(module).update({**given, **_given(set(bundle.wanted), {})})
    if bundle.home not in finder.modules:
        module.__package__ = bundle.package
    namespace.define(bundle)
    namespace.prepare()
    return namespace


#: Modules that were ``__main__`` before; functions of theirs may still be running.
_retired: list[ModuleType] = []


def _given(wanted: set[str], given: Mapping[str, object]) -> dict[str, object]:
    """What is provided of these names: modules are imported only where they are used."""
    return {
        **{name: _imported(name, "") for name in sorted(wanted & JOB_MODULES)},
        **{name: given[name] for name in sorted(wanted & given.keys())},
    }


def _imported(module: str, attribute: str) -> Any:
    """A module or what is in it, or something that tells what is missing."""
    wanted = f"{module}.{attribute}" if attribute else module
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        return Missing(f"{wanted} could not be imported on this node: {error}; install it there, or name it in depends")
    try:
        return functools.reduce(getattr, filter(None, attribute.split(".")), found)
    except AttributeError:
        return Missing(f"{wanted} is not in the module {module} of this node; install the client's version of it there")


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _show_in_tracebacks(source: Source) -> None:
    """Let tracebacks quote a definition; other lines of its file are not known here."""
    lines = _shown.setdefault(source.filename, [])
    text = source.text.splitlines(keepends=True)
    first = source.line - 1
    lines += ["\n"] * (first + len(text) - len(lines))
    lines[first : first + len(text)] = text
    linecache.cache[source.filename] = (sum(map(len, lines)), None, lines, source.filename)


#: Lines of the files that definitions were taken from.
_shown: dict[str, list[str]] = {}
