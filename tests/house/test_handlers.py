"""No handler hides an error: whoever catches everything raises, logs, or hands on what was caught.

Handlers of named exceptions are left alone: they mend what they name. What Twisted's Deferreds carry counts too: an errback made on the spot
uses the failure that it gets.
"""

from __future__ import annotations

import ast
import unittest
from pathlib import Path

EVERY_PYTHON = False

ROOT = Path(__file__).parents[2]

#: Calls that take the exception that is being handled without its being named.
TAKES_IT = {"failure", "exception", "print_exc", "format_exc", "exc_info", "errback", "Failure"}

#: Handlers that are right to keep quiet, by module and function, and why.
QUIET = {
    ("client/joberrors.py", "_explain"): "a note that an exception does not take stands in the cause instead",
    ("worker/raising.py", "packed_error"): "an exception that cannot be packed is told by its traceback's text",
}


def hiding(source: str) -> list[tuple[int, str]]:
    """Line and function of every handler that catches everything and keeps it to itself."""
    tree = ast.parse(source)
    owners = {inner: node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for inner in ast.walk(node)}
    return [(node.lineno, owners.get(node, "")) for node in ast.walk(tree) if _hides(node)]


def _hides(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return _catches_all(node.type) and not any(_takes(each, node.name) for each in ast.walk(node))
    if isinstance(node, ast.Call) and _name(node.func) == "suppress":
        return any(map(_catches_all, node.args))
    if isinstance(node, ast.Call) and _name(node.func) in ("addErrback", "addBoth", "addCallbacks"):
        lambdas = node.args[1:2] if _name(node.func) == "addCallbacks" else node.args[:1] if _name(node.func) == "addErrback" else []
        return any(isinstance(each, ast.Lambda) and not _uses_its_argument(each) for each in lambdas)
    return False


def _catches_all(caught: ast.expr | None) -> bool:
    """Whether it names nothing, or everything, alone or among others."""
    if isinstance(caught, ast.Tuple):
        return any(map(_catches_all, caught.elts))
    return caught is None or _name(caught) in ("Exception", "BaseException")


def _takes(node: ast.AST, name: str | None) -> bool:
    if isinstance(node, ast.Name):
        return name is not None and node.id == name
    return isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _name(node.func) in TAKES_IT)


def _uses_its_argument(given: ast.Lambda) -> bool:
    names = {argument.arg for argument in given.args.args}
    return any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(given.body))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


class TheHouse(unittest.TestCase):
    """dispytw as it stands."""

    def test_no_error_is_hidden(self) -> None:
        """Every handler of everything says what it caught, or stands above with its reason; and every reason is needed."""
        package = ROOT / "dispytw"
        found = {}
        for path in sorted(package.rglob("*.py")):
            for line, function in hiding(path.read_text(encoding="utf-8")):
                found[str(path.relative_to(package)), function] = line
        self.assertEqual(set(QUIET), set(found), found)


class Looking(unittest.TestCase):
    """What hides an error is seen, and what does not is not."""

    def test_hidden(self) -> None:
        """In each way in which that can be done."""
        for source in (
            "try: f()\nexcept: pass",
            "try: f()\nexcept Exception: pass",
            "try: f()\nexcept builtins.BaseException as error: g()",
            "try: f()\nexcept (ValueError, Exception): x = None",
            "with contextlib.suppress(Exception): f()",
            "f().addErrback(lambda _: None)",
            "f().addCallbacks(g, lambda failure: None)",
        ):
            self.assertEqual([(1 if "try" not in source else 2, "")], hiding(source), source)
        self.assertEqual([(3, "f")], hiding("def f():\n try: g()\n except Exception: pass"))

    def test_open(self) -> None:
        """Raised, logged, handed on, or named."""
        for source in (
            "try: f()\nexcept Exception as error: g(error)",
            "try: f()\nexcept BaseException:\n    g()\n    raise",
            "try: f()\nexcept Exception: raise Other from None",
            "try: f()\nexcept Exception: log.failure('it failed')",
            "try: f()\nexcept Exception: deferred.errback()",
            "try: f()\nexcept (OSError, ValueError): pass",
            "with suppress(FileNotFoundError): f()",
            "f().addErrback(lambda failure: log.failure('no', failure)).addCallbacks(g, h)",
        ):
            self.assertEqual([], hiding(source), source)
