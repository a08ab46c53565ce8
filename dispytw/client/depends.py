"""What goes to the nodes with a computation: its code in a bundle, and its files, all named by their content.

`pack_computation` sorts what the user named in depends: functions and classes join the namespace of the computation, modules travel
whole (as files too, for programs that a job starts), files keep their place under the current directory or go flat beside the
computation. What the code refers to beyond that is collected (`dispytw.client.collecting`).
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Union

import attrs

from dispytw.client.collecting import Collection
from dispytw.client.scopes import Scope
from dispytw.client.shipped import ShippedCode, packed_code
from dispytw.client.sources import MAIN, find_module, is_own_module, module_source, package_modules
from dispytw.errors import ShippingError
from dispytw.values import JOB, WORKER, Computation, File

#: Path of the bundle among a computation's files; it is never laid out.
BUNDLE_PATH = ".bundle"

_CHUNK = 1 << 20


@attrs.frozen
class Shipment:
    """A computation ready to go.

    :param bundle: its code.
    :param files: content of all its files and of the bundle by digest: a local path, or the bytes.
    :param shipped: what arguments may name instead of bringing it.
    """

    computation: Computation
    bundle: bytes
    files: dict[bytes, Union[str, bytes]]
    shipped: ShippedCode


@attrs.define
class _Depends:
    """What the user named, sorted."""

    definitions: dict[str, Any] = attrs.field(factory=dict)
    modules: dict[str, None] = attrs.field(factory=dict)
    files: dict[str, File] = attrs.field(factory=dict)
    contents: dict[bytes, Union[str, bytes]] = attrs.field(factory=dict)

    def add_file(self, path: str, mode: int | None = None) -> str:
        """Take a file of this machine; returns its place in the computation's directory."""
        status = os.stat(path)
        place, digest = _place(path), _digest(path)
        self.files[place] = File(place, digest, status.st_size, status.st_mode & 0o777 if mode is None else mode)
        self.contents[digest] = os.path.abspath(path)
        return place

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
        digest = hashlib.sha256(content).digest()
        place = name.replace(".", "/") + ("/__init__.py" if package else ".py")
        if filename:
            self.files[place] = File(place, digest, len(content))
            self.contents[digest] = content


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
) -> Shipment:
    """Pack a computation with all that it needs.

    :param computation: a function, or the path of a program (as it stands, or in the PATH).
    :param depends: functions, classes, instances (standing for their class), modules, paths of files.
    :param setup: a function, or a partial of one, for each node to call once.
    :param cleanup: the same for the end; True and False pack nothing.
    :param token: what proves, later, that a process may take the computation over.
    :param name: the computation's name for people, if not its own.
    :param isolation: ``job`` or ``worker``; see `values.Computation`.
    :raises TypeError: when something is of another type; it is named.
    :raises FileNotFoundError: when a program or file is not there.
    :raises ShippingError: when code cannot be sent; it says why and what to do.
    """
    cleanup = None if isinstance(cleanup, bool) else cleanup
    for what, function in (("setup", setup), ("cleanup", cleanup)):
        _check_called(what, function)
    sorted_depends = _Depends()
    program = _program(computation, sorted_depends) if isinstance(computation, (str, os.PathLike)) else None
    if program is None:
        _check_computation(computation)
    elif isolation == WORKER:
        raise ValueError("isolation: 'worker' keeps a Python process for job after job, and a program is a process of its own")
    for position, thing in enumerate(depends or ()):
        _sort(thing, f"depends[{position}]", sorted_depends, program is not None)
    called = {"computation": None if program else computation, "setup": setup, "cleanup": cleanup}
    collection, bundle = _collected(called, sorted_depends)
    bundle_file = File(BUNDLE_PATH, hashlib.sha256(bundle).digest(), len(bundle))
    return Shipment(
        Computation(
            uid=uid,
            name=name or (os.path.basename(program) if program else str(getattr(computation, "__name__", "computation"))),
            bundle=bundle_file,
            files=tuple(sorted_depends.files.values()),
            program=program,
            python=collection.python,
            setup_timeout=setup_timeout,
            token=token,
            isolation=isolation,
            max_jobs_per_worker=max_jobs_per_worker,
        ),
        bundle,
        {**sorted_depends.contents, bundle_file.digest: bundle},
        ShippedCode(collection),
    )


def _collected(called: dict[str, Any], depends: _Depends) -> tuple[Collection, bytes]:
    """Collect the code, again for as long as it turns out that a home is needed whole."""
    given = [*depends.definitions.values(), *filter(None, map(_function_of, called.values()))]
    homes = MAIN.union(module for module in map(_home, given) if is_own_module(module))
    first = next(filter(None, map(_function_of, called.values())), None)
    home = "__main__" if first is None else _home(first)
    wholes: frozenset[str] = homes & frozenset(depends.modules)
    while True:
        collection = Collection(home=home, homes=homes, wholes=wholes, explicit=depends.definitions)
        for module in depends.modules:
            collection.modules.add(module)
        for thing in depends.definitions.values():
            collection.give(thing)
        roles = {what: _role(function, collection) for what, function in called.items()}
        collection.follow()
        if not collection.wanted_whole:
            collection.check()
            return collection, packed_code(collection, **roles)
        wholes |= collection.wanted_whole


def _role(function: Any, collection: Collection) -> Any:
    if not isinstance(function, functools.partial):
        return None if function is None else collection.called(function)
    role = collection.called(function.func)
    return attrs.evolve(role, arguments=collection.arguments(function.args, function.keywords))


def _function_of(called: Any) -> Any:
    return called.func if isinstance(called, functools.partial) else called


def _home(thing: Any) -> str:
    function = inspect.unwrap(thing)
    return Scope.of(function if isinstance(function, FunctionType) else thing).module


def _is_function(thing: Any) -> bool:
    return isinstance(thing, BuiltinFunctionType) or (callable(thing) and isinstance(inspect.unwrap(thing), FunctionType))


def _check_computation(computation: Any) -> None:
    if isinstance(computation, MethodType):
        raise NotImplementedError(
            f"the bound method {computation.__qualname__} cannot be a computation yet; write a function that calls it, "
            "and pass it the instance"
        )
    if isinstance(computation, type) or not _is_function(computation):
        raise TypeError(f"a computation is a function or the path of a program, not {computation!r} ({type(computation).__name__})")


def _check_called(what: str, function: Any) -> None:
    if isinstance(function, MethodType):
        raise NotImplementedError(f"{what}: the bound method {function.__qualname__} is not possible yet; use a function")
    function = _function_of(function)
    if function is not None and (isinstance(function, type) or not _is_function(function)):
        raise TypeError(f"{what} must be a function or a functools.partial of one, not {function!r} ({type(function).__name__})")


def _sort(thing: Any, where: str, depends: _Depends, program: bool) -> None:
    if isinstance(thing, (str, os.PathLike)):
        depends.add_file(_checked_file(os.fspath(thing), where))
    elif isinstance(thing, ModuleType):
        depends.add_module(thing.__name__)
    elif program:
        raise TypeError(f"{where}: a program's dependencies are modules and paths of files, not {thing!r}")
    elif isinstance(thing, type) or (_is_function(thing) and not isinstance(thing, BuiltinFunctionType)):
        _add_definition(thing, where, depends)
    elif isinstance(thing, (MethodType, functools.partial)) or type(thing).__module__ == "builtins":
        raise TypeError(
            f"{where} is {thing!r} ({type(thing).__name__}); a dependency is a function, a class, an instance of a class, "
            "a module or the path of a file"
        )
    else:
        _add_definition(type(thing), where, depends)


def _add_definition(thing: Any, where: str, depends: _Depends) -> None:
    name = str(thing.__name__)
    if not name.isidentifier():
        raise TypeError(f"{where} has no name that the computation could use it by: {thing!r}")
    depends.definitions.pop(name, None)
    depends.definitions[name] = thing


def _checked_file(path: Any, where: str) -> str:
    if os.path.isdir(path):
        raise NotImplementedError(f"{where}: {path!r} is a directory, which is not possible yet; list its files")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{where}: there is no file {path!r} (current directory: {os.getcwd()})")
    return os.fsdecode(path)


def _program(computation: Any, depends: _Depends) -> str:
    wanted = os.fsdecode(computation)
    path = wanted if os.path.isfile(wanted) else shutil.which(wanted)
    if path is None:
        raise FileNotFoundError(f"computation: there is no program {wanted!r} in {os.getcwd()} or in the PATH")
    return depends.add_file(path, mode=0o755)


def _place(path: str) -> str:
    """Under the current directory a file keeps its place; from elsewhere it comes without directories."""
    relative = os.path.relpath(os.path.abspath(path))
    parts = relative.split(os.sep)
    return os.path.basename(relative) if ".." in parts else "/".join(parts)


def _digest(path: str) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(functools.partial(file.read, _CHUNK), b""):
            digest.update(chunk)
    return digest.digest()


def names_of(files: Iterable[File]) -> list[str]:
    """Where files go, for messages and tests."""
    return [file.path for file in files]
