"""Every program in examples/ runs as it is. One that needs arguments, or a test of its own, says so here."""

from __future__ import annotations

import unittest
from collections.abc import Callable

from dispytw.client.targets import RUN_NODE, RUN_SECRET_FILE
from tests.functional.daemons import SOURCE_ROOT, Daemons, in_common

#: What a program's output must contain, by its name without ``.py``.
SAYS: dict[str, list[str]] = {
    "files": ["hello, Ada, 6, sent later, what Ada needs", "hello, Grace, 6, sent later, what Grace needs"],
    "options": ["download 1 is there after 3 attempts", "timed out after 0.5 s", "the urgent one has ended"],
    "choose_nodes": [" CPUs, ", "the values are [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]"],
    "job_scheduler": [" is ready, with ", "168 primes below 1000, says 127.0.0.1", "10 jobs were placed by this program"],
    "follow": ["alone: 1\n", "alone: lift-off\n", "  job 2 | one: 3\n", "! job 3 | two: lift-off\n"],
    "provisional": ["behind the point", "ended: cancelled cancelled cancelled cancelled\n"],
    "send_file": ["tables/0-1000.txt: 10427 bytes", "tables/4000-5000.txt: 14000 bytes"],
    "mapping": ["97 takes 118 steps", "2463 takes 208 steps"],
    "executor": ["10000000019 is prime", "10000000100 is not prime", "168 primes below 1000"],
    "twistedapp": ["28! has 30 digits", "no factorial of -1: ValueError"],
    "node_control": ["1 CPU is used from now on", " job runs there; the node says ", "the jobs: [0.2, 0.2]", ": it was closed"],
    "anynodes": ["found ", "which runs Linux", "20 jobs ran on 127.0.0.1"],
}
#: Those that are shown elsewhere.
ELSEWHERE = {"checksums": "tests/functional/test_checksums.py"}
#: A program of so many lines would not be an example of one thing.
TOO_LONG = 60

PROGRAMS = {path.stem: path for path in sorted((SOURCE_ROOT / "examples").glob("*.py"))}


class Examples(unittest.TestCase):
    """One after another on one node, each in the environment that `dispytw run` gives a program."""

    def assert_runs(self, name: str) -> None:
        """It ends well, and says what it promises."""
        common = in_common()
        environment = {RUN_NODE: common.node.address, RUN_SECRET_FILE: str(common.secret_file)}
        done = Daemons(self, common=common).program(PROGRAMS[name], env=environment)
        self.assertEqual(0, done.code, done)
        for text in SAYS[name]:
            self.assertIn(text, done.out)


def _runs(name: str) -> Callable[[Examples], None]:
    def test(self: Examples) -> None:
        self.assert_runs(name)

    test.__doc__ = f"examples/{name}.py runs as it is."
    return test


for _name in SAYS:
    setattr(Examples, f"test_{_name}", _runs(_name))


class Programs(unittest.TestCase):
    """As a reader finds them."""

    def test_none_is_forgotten(self) -> None:
        """Each is run here or elsewhere, and is short."""
        self.assertEqual(set(PROGRAMS), {*SAYS, *ELSEWHERE})
        for name, path in PROGRAMS.items():
            self.assertLess(len(path.read_text(encoding="utf-8").splitlines()), TOO_LONG, name)
