"""Every program in examples/ runs, against a node of its own, and says what it should. Each stays under sixty lines."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import SOURCE_ROOT, Daemons


@attrs.frozen
class Example:
    """How a program is run, and what it says.

    :param says: parts of its standard output.
    :param arguments: before the node's address.
    """

    says: tuple[str, ...]
    arguments: tuple[str, ...] = ()


EXAMPLES = {
    "executor.py": Example(("10000000019 is prime", "10000000100 is not prime", "168 primes below 1000")),
    "twistedapp.py": Example(("28! has 30 digits", "no factorial of -1: ValueError")),
    "mapping.py": Example(("97 takes 118 steps", "2463 takes 208 steps")),
}

#: Examples with a test of their own, and where.
ELSEWHERE = {"checksums.py": "tests/functional/test_checksums.py"}

#: Lines that an example may have.
LONGEST = 60


class Examples(SynchronousTestCase):
    """All of them. There is a test for each that runs it, ``test_mapping`` for mapping.py."""

    def test_none_is_forgotten(self) -> None:
        """Each program is run here or elsewhere."""
        names = {path.name for path in (SOURCE_ROOT / "examples").glob("*.py")}
        self.assertEqual(names, EXAMPLES.keys() | ELSEWHERE.keys())

    def test_each_is_short(self) -> None:
        """One feature, seen at a glance."""
        for name in EXAMPLES:
            lines = (SOURCE_ROOT / "examples" / name).read_text("utf-8").splitlines()
            self.assertLess(len(lines), LONGEST, name)


def _runs(name: str, example: Example) -> Callable[[SynchronousTestCase], None]:
    def test(self: SynchronousTestCase) -> None:
        daemons = Daemons(self)
        done = daemons.program(SOURCE_ROOT / "examples" / name, *example.arguments, daemons.node("--cpus", "2").address)
        self.assertEqual(0, done.code, done)
        for part in example.says:
            self.assertIn(part, done.out)

    test.__doc__ = f"{name} ends with exit code 0, and says what is expected."
    return test


for _name, _example in EXAMPLES.items():
    setattr(Examples, f"test_{_name.removesuffix('.py')}", _runs(_name, _example))
