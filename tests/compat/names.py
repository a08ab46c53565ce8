"""The names of dispy's API, read from a package by inspect: dispy's own in a tox environment that has it, ours anywhere.

A name is written as a user would: ``JobCluster.close``, ``JobCluster.close(timeout)`` for a parameter, ``JobCluster(nodes)`` for one of the
constructor, ``DispyJob.id`` for an attribute.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

#: Names with an underscore that programs use all the same.
USED_THOUGH_PRIVATE = ("_dispy_version", "_node_ipaddr")
#: Special methods that programs use.
SPECIAL = ("__call__", "__enter__", "__exit__")
#: What jobs find without importing it, as far as dispynode defines it by name.
IN_A_JOB = ("dispy_provisional_result", "dispy_send_file", "dispynode_logger")
#: Values of which attributes are only known once there is one: with arguments to make it.
MADE = {
    "DispyNode": ("10.0.0.7", "node7", 4),
    "DispyNodeAvailInfo": (50.0, 1, 1, 50.0),
    "NodeAllocate": ("127.0.0.1",),
}


def names_of(dispy: ModuleType) -> list[str]:
    """Everything of the package that is a user's to use, sorted."""
    found = {*module_names(dispy), *_logger(dispy.logger), *_job_names(dispy)}
    found |= {f"config.{name}" for name in vars(dispy.config) if name[0] != "_" and name[0].isupper()}
    found |= {f"httpd.{name}" for name in _class("DispyHTTPServer", dispy.httpd.DispyHTTPServer)}
    return sorted(found)


def module_names(dispy: ModuleType) -> Iterator[str]:
    """What the module itself defines, and the members of its classes."""
    yield "logger"
    for name, value in vars(dispy).items():
        mine = getattr(value, "__module__", "") == dispy.__name__
        if name in USED_THOUGH_PRIVATE or (mine and name[0] != "_"):
            if inspect.isclass(value):
                yield from _class(name, value)
            elif callable(value):
                yield name
                yield from _parameters(name, value)
            else:
                yield name


def _class(name: str, cls: type) -> Iterator[str]:
    yield name
    made = MADE.get(name)
    if made is not None:
        yield from (f"{name}.{attribute}" for attribute in vars(cls(*made)) if attribute[0] != "_")
    if not issubclass(cls, tuple):
        yield from _parameters(name, cls.__init__)
    for member, value in vars(cls).items():
        if member in SPECIAL or member[0] != "_":
            yield f"{name}.{member}"
            if inspect.isfunction(value) and member != "__exit__":
                yield from _parameters(f"{name}.{member}", value)


def _parameters(name: str, function: Any) -> Iterator[str]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self":
            star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
            yield f"{name}({star}{parameter.name})"


def _logger(logger: Any) -> Iterator[str]:
    members = {*vars(type(logger)), *vars(logger)}
    yield from (f"logger.{name}" for name in members if name[0] != "_")


def _job_names(dispy: ModuleType) -> Iterator[str]:
    """Of dispynode's source, as importing that module begins a daemon's work."""
    assert dispy.__file__ is not None
    source = Path(dispy.__file__).with_name("dispynode.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in IN_A_JOB:
            yield node.name
            yield from (f"{node.name}({argument.arg})" for argument in node.args.args)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in IN_A_JOB:
            yield node.targets[0].id
