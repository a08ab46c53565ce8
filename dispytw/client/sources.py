"""Which files are the user's own, and where the modules in them are.

A file is the user's own when it belongs neither to Python nor to an installed package nor to dispytw: what lives there is not to
be expected on a node, and goes along.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
import sysconfig
from collections.abc import Iterator
from typing import Any

import attrs

_PYTHON = tuple(sorted({os.path.realpath(sysconfig.get_path(kind)) + os.sep for kind in ("stdlib", "platstdlib")}))
_OURS = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
_INSTALLED = frozenset({"site-packages", "dist-packages"})

#: Names of the main program: a spawned multiprocessing child knows it under the second.
MAIN = frozenset({"__main__", "__mp_main__"})


@functools.lru_cache(maxsize=4096)
def is_own(filename: str) -> bool:
    """Whether a file is the user's own."""
    path = os.path.realpath(filename)
    return _INSTALLED.isdisjoint(path.split(os.sep)) and not path.startswith((*_PYTHON, _OURS))


@attrs.frozen
class Place:
    """Where a module's source is.

    :param filename: empty for a package without ``__init__``.
    :param path: directories of its submodules, or None when it is no package.
    """

    filename: str
    path: tuple[str, ...] | None


def find_module(name: str) -> Place | None:
    """Where a module with source is, loaded or not, without importing anything; None when there is none."""
    module = sys.modules.get(name)
    if module is not None:
        return _place(getattr(module, "__file__", None), getattr(module, "__path__", None))
    parent, _, _ = name.rpartition(".")
    package = find_module(parent) if parent else None
    if parent and (package is None or package.path is None):
        return None
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, list(package.path or ()) if package else None)
    except (ImportError, ValueError):
        return None
    except KeyError:  # a package without __init__ inside one that is not loaded: importlib wants that loaded first
        inner = [os.path.join(directory, name[len(parent) + 1 :]) for directory in (package.path or () if package else ())]
        return _place(None, filter(os.path.isdir, inner))
    return None if spec is None else _place(spec.origin if spec.has_location else None, spec.submodule_search_locations)


def _place(filename: object, path: Any) -> Place | None:
    directories = None if path is None else tuple(str(directory) for directory in path)
    if filename is None and directories is not None:
        return Place("", directories)
    if not isinstance(filename, str) or not filename.endswith((".py", ".pyw")):
        return None
    return Place(os.path.abspath(filename), directories)


def is_own_module(name: str) -> bool:
    """Whether a module has its source in a file of the user's own."""
    place = find_module(name)
    if place is None:
        return False
    return is_own(place.filename) if place.filename else any(map(is_own, place.path or ()))


def module_source(name: str, filename: str) -> bytes:
    """A module's source as it stands in its file, or wherever its loader keeps it; nothing for a package without ``__init__``.

    :raises OSError: when it cannot be read.
    """
    if not filename:
        return b""
    try:
        with open(filename, "rb") as file:
            return file.read()
    except OSError:
        get_source: Any = getattr(getattr(sys.modules.get(name), "__loader__", None), "get_source", None)
        text = get_source(name) if get_source is not None else None
        if text is None:
            raise
        return str(text).encode()


def package_modules(name: str, place: Place) -> Iterator[str]:
    """Names of all modules with source in a package's directories, however deep."""
    for directory in place.path or ():
        for root, directories, files in os.walk(directory):
            directories[:] = sorted(each for each in directories if each.isidentifier() and each != "__pycache__")
            parts = [name, *(part for part in os.path.relpath(root, directory).split(os.sep) if part != ".")]
            for file in sorted(files):
                stem, extension = os.path.splitext(file)
                if extension == ".py" and stem.isidentifier():
                    yield ".".join(parts if stem == "__init__" else [*parts, stem])
