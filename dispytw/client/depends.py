"""What goes to the nodes with a computation: its code in a bundle, and its files, all named by their content.

`pack_computation` sorts what the user named in depends: functions and classes join the namespace of the computation (a partial stands for
its function, an instance for its class), modules travel whole (as files too, for programs that a job starts), files and directories
find their place (`dispytw.client.luggage`). What the code refers to beyond that is collected (`dispytw.client.collecting`).
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import attrs

from dispytw.client.callables import Called, called_computation, called_once, is_function, refuse_beginning
from dispytw.client.collecting import INIT, Collection
from dispytw.client.luggage import Content, Luggage, checked_directory
from dispytw.client.scopes import Scope
from dispytw.client.shipped import ShippedCode, packed_code
from dispytw.client.sources import MAIN, find_module, is_own_module, module_source, package_modules
from dispytw.errors import ShippingError
from dispytw.values import JOB, WORKER, Computation, File
from dispytw.wire.bundle import Role

#: Path of the bundle among a computation's files; it is never laid out.
BUNDLE_PATH = ".bundle"

#: Bytes that the descriptions of a computation's files may take, and those of one besides its path: they travel in a single box.
MOST_DESCRIBED = 1_000_000
_DESCRIBED = 56


@attrs.frozen
class Shipment:
    """A computation ready to go.

    :param bundle: its code.
    :param files: content of all its files and of the bundle by digest: a local path, or the bytes.
    :param shipped: what arguments may name instead of bringing it.
    :param called: what each job calls; None for a program.
    """

    computation: Computation
    bundle: bytes
    files: dict[bytes, Content]
    shipped: ShippedCode
    called: Called | None = None


@attrs.define
class Depends:
    """What the user named, sorted.

    :ivar definitions: functions and classes by name; of two with one name the later stands.
    :ivar modules: names, the modules above and below included.
    """

    definitions: dict[str, Any] = attrs.field(factory=dict)
    modules: dict[str, None] = attrs.field(factory=dict)
    luggage: Luggage = attrs.field(factory=Luggage)

    def sort(self, things: Iterable[Any], what: str, program: bool) -> None:
        """Take what a list of dependencies names.

        :param what: the list's name, for messages.
        :param program: whether they are for a program, which has no namespace.
        """
        for position, thing in enumerate(things):
            self._sort(thing, f"{what}[{position}]", program)

    def _sort(self, thing: Any, where: str, program: bool) -> None:
        if isinstance(thing, functools.partial):
            thing = thing.func
        if isinstance(thing, (str, os.PathLike)):
            self.luggage.add(os.fsdecode(thing), where)
        elif isinstance(thing, ModuleType):
            self.add_module(thing.__name__)
        elif program:
            raise TypeError(f"{where}: a program's dependencies are modules and paths of files, not {thing!r}")
        elif isinstance(thing, type) or (is_function(thing) and not isinstance(thing, BuiltinFunctionType)):
            self._add_definition(thing, where)
        elif isinstance(thing, MethodType) or type(thing).__module__ == "builtins":
            raise TypeError(
                f"{where} is {thing!r} ({type(thing).__name__}); a dependency is a function, a class, an instance of a class, "
                "a module, or the path of a file or directory"
            )
        else:
            self._add_definition(type(thing), where)

    def _add_definition(self, thing: Any, where: str) -> None:
        name = str(getattr(thing, "__name__", ""))
        if not name.isidentifier():
            raise TypeError(f"{where} has no name that the computation could use it by: {thing!r}")
        if name == INIT:
            _check_init(thing, where)
        self.definitions.pop(name, None)
        self.definitions[name] = thing

    def add_module(self, name: str) -> None:
        """Take a module, with the packages above it and, if it is a package, the modules below."""
        place = find_module(name)
        if place is None:
            raise ShippingError(f"module {name} has no Python source to send to nodes; install it there")
        parents = [name.rsplit(".", count)[0] for count in range(name.count("."), 0, -1)]
        names = [*parents, name] if place.path is None else [*parents, name, *package_modules(name, place)]
        for each in names:
            found = find_module(each)
            if found is not None and each not in self.modules:
                self.modules[each] = None
                self._add_source(each, found.filename, found.path is not None)

    def _add_source(self, name: str, filename: str, package: bool) -> None:
        content = module_source(name, filename)
        place = name.replace(".", "/") + ("/__init__.py" if package else ".py")
        if filename:
            self.luggage.add_bytes(place, content)


def pack_computation(
    computation: Callable[..., Any] | str,
    *,
    depends: Sequence[Any] | None = (),
    setup: Callable[[], Any] | None = None,
    cleanup: Callable[[], Any] | bool | None = True,
    uid: bytes,
    token: bytes = bytes(16),
    name: str | None = None,
    setup_timeout: float | None = None,
    isolation: str = JOB,
    max_jobs_per_worker: int | None = None,
    start_method: str | None = None,
    dest_path: str | None = None,
) -> Shipment:
    """Pack a computation with all that it needs.

    :param computation: a function or method, a partial of one, or the path of a program (as it stands, or in the PATH).
    :param depends: functions, classes, instances (standing for their class), modules, paths of files and directories. A function named
        ``init_depends`` is called on each node before anything else of the code is run.
    :param setup: a function or method, or a partial of one, for each node to call once.
    :param cleanup: the same for the end; True and False pack nothing.
    :param token: what proves, later, that a process may take the computation over.
    :param name: the computation's name for people, if not its own.
    :param isolation: ``job`` or ``worker``; see `values.Computation`, as for what follows.
    :param dest_path: directory on the nodes that is shared by name; see `checked_directory`.
    :raises TypeError: when something is of another type; it is named.
    :raises FileNotFoundError: when a program or file is not there.
    :raises ShippingError: when code cannot be sent; it says why and what to do.
    """
    directory = checked_directory(dest_path)
    once = {"setup": setup, "cleanup": None if isinstance(cleanup, bool) else cleanup}
    called = {what: called_once(what, function) for what, function in once.items()}
    given = Depends()
    program = _program(computation, given.luggage) if isinstance(computation, (str, os.PathLike)) else None
    if program is not None and isolation == WORKER:
        raise ValueError("isolation: 'worker' keeps a Python process for job after job, and a program is a process of its own")
    called = {"computation": None if program else called_computation(computation), **called}
    given.sort(depends or (), "depends", program is not None)
    collection, bundle = _collected(called, given)
    bundle_file = File(BUNDLE_PATH, hashlib.sha256(bundle).digest(), len(bundle))
    own_name = os.path.basename(program) if program is not None else called["computation"].name  # type: ignore[union-attr]
    made = Computation(
        uid=uid,
        name=name or own_name,
        bundle=bundle_file,
        files=tuple(given.luggage.files.values()),
        program=program,
        python=collection.python,
        setup_timeout=setup_timeout,
        token=token,
        isolation=isolation,
        max_jobs_per_worker=max_jobs_per_worker,
        start_method=start_method,
        dest_path=directory,
        keeps=cleanup is False,
    )
    check_length(made.files, "depends")
    contents = {**given.luggage.contents, bundle_file.digest: bundle}
    return Shipment(made, bundle, contents, ShippedCode(collection), called["computation"])


def check_length(files: Iterable[File], what: str) -> None:
    """See whether nodes can be told of so many files.

    :raises ShippingError: when not, with advice.
    """
    length = sum(len(os.fsencode(file.path)) + _DESCRIBED for file in files)
    if length > MOST_DESCRIBED:
        raise ShippingError(
            f"{what}: these are too many files to be named one by one (their names take {length} bytes, {MOST_DESCRIBED} are possible); "
            "pack them into an archive and unpack it in setup()"
        )


def _collected(called: dict[str, Called | None], depends: Depends) -> tuple[Collection, bytes]:
    """Collect the code, again for as long as it turns out that a home is needed whole."""
    targets = [each.target for each in called.values() if each is not None]
    given = [*depends.definitions.values(), *targets]
    homes = MAIN.union(module for module in map(_home, given) if is_own_module(module))
    home = _home(targets[0]) if targets else "__main__"
    wholes: frozenset[str] = homes & frozenset(depends.modules)
    while True:
        collection = Collection(home=home, homes=homes, wholes=wholes, explicit=depends.definitions)
        collect_given(collection, depends)
        roles: dict[str, Any] = {what: None if each is None else _role(each, collection) for what, each in called.items()}
        collection.follow()
        if not collection.wanted_whole:
            collection.check()
            return collection, packed_code(collection, **roles)
        wholes |= collection.wanted_whole


def collect_given(collection: Collection, depends: Depends) -> None:
    """Let a collection have what the user named."""
    for module in depends.modules:
        collection.modules.add(module)
    for thing in depends.definitions.values():
        collection.give(thing)


def _role(called: Called, collection: Collection) -> Role:
    role = collection.called(called.target, called.method)
    if called.args or called.kwargs:
        role = role._replace(arguments=collection.arguments(called.args, called.kwargs))
    return role


def _home(thing: Any) -> str:
    function = inspect.unwrap(thing)
    return Scope.of(function if isinstance(function, FunctionType) else thing).module


def _check_init(function: Any, where: str) -> None:
    refuse_beginning(where, function)
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: {INIT} is called without arguments: {error}") from None


def _program(computation: Any, luggage: Luggage) -> str:
    wanted = os.fsdecode(computation)
    path = wanted if os.path.isfile(wanted) else shutil.which(wanted)
    if path is None:
        raise FileNotFoundError(f"computation: there is no program {wanted!r} in {os.getcwd()} or in the PATH")
    return luggage.add_file(path, "computation", mode=0o755)


def names_of(files: Iterable[File]) -> list[str]:
    """Where files go, for messages and tests."""
    return [file.path for file in files]
