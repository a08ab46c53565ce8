"""docs/compatibility.csv, read; and the tests that it names, looked up without importing them."""

from __future__ import annotations

import ast
import csv
import functools
import importlib
import inspect
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "compatibility.csv"
SNAPSHOT = Path(__file__).with_name("dispy-4.15.2.txt")

MANUAL, DISPY, OURS = "4.6", "4.15", "dispytw"
WORKS, ACCEPTED, NOT_YET, LEFT_OUT = "works", "accepted", "not yet", "left out"

#: Names that are no attributes of a package: jobs find them.
IN_A_JOB = ("dispy_provisional_result", "dispy_send_file", "dispynode_logger")
#: Parameters that are taken out of the keywords of a call.
AMONG_KEYWORDS = ("dispy_job_depends",)


@attrs.frozen
class Row:
    """One name.

    :param of: whose it is: 4.6, 4.15, both, or dispytw.
    :param tests: that show its effect, each as module, class and method.
    """

    name: str
    of: tuple[str, ...]
    status: str
    tests: tuple[str, ...]
    remarks: str


def read_table() -> list[Row]:
    """The rows, in their order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Row(row["name"].strip("`"), tuple(row["of"].split()), row["status"], tuple(row["shown by"].split()), row["remarks"]) for row in rows
    ]


def snapshot() -> list[str]:
    """The names of dispy 4.15.2."""
    return SNAPSHOT.read_text(encoding="utf-8").split("\n")[:-1]


@functools.cache
def _tests_of(module: str) -> frozenset[str]:
    """``Class.method`` of every test that a module defines."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        return frozenset()
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return frozenset(f"{c.name}.{n.name}" for c in classes for n in c.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test"))


def is_a_test(name: str) -> bool:
    """Whether there is a test of this name."""
    module, _, rest = name.rpartition(".")
    module, _, cls = module.rpartition(".")
    return f"{cls}.{rest}" in _tests_of(module)


def is_there(name: str, package: str = "dispytw") -> bool:
    """Whether the package has the name."""
    dotted, _, parameter = name.rstrip(")").partition("(")
    try:
        found: Any = importlib.import_module(package)
        for part in dotted.split("."):
            found = getattr(found, part)
    except AttributeError:
        return _is_an_attribute_of_its_values(dotted)
    if not parameter:
        return True
    return parameter in AMONG_KEYWORDS or parameter.lstrip("*") in inspect.signature(found).parameters


def _is_an_attribute_of_its_values(dotted: str) -> bool:
    """NodeAllocate's attributes are there once there is one."""
    import dispytw

    name, _, attribute = dotted.partition(".")
    return name == "NodeAllocate" and attribute in vars(dispytw.NodeAllocate("127.0.0.1"))
