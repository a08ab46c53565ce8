"""What travels for one call, and what is refused with which words."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import Any
from unittest import TestCase, mock

from dispytw.client import jobpacking
from dispytw.client.depends import Shipment, pack_computation
from dispytw.client.jobpacking import pack_job
from dispytw.errors import PayloadError, ShippingError
from dispytw.values import Body, Equipped, Inline, Stored
from dispytw.wire.bundle import OWN_PLACE, Bundle, Source, decode
from dispytw.wire.payload import open_arguments
from tests.client.elsewhere import run_program

EVERY_PYTHON = True


class Point:
    """A class with a method."""

    def __init__(self, x: int) -> None:
        self.x = x

    def scaled(self, by: int) -> int:
        return self.x * by


def compute(n: int, plus: int = 0) -> int:
    return n + plus


def step(n: int) -> int:
    return compute(n)


def shipment(computation: Any = compute, **options: Any) -> Shipment:
    return pack_computation(computation, uid=b"u" * 16, **options)


def data(body: Body) -> bytes:
    assert isinstance(body, Inline)
    return body.data


class Arguments(TestCase):
    """Of functions, methods and programs."""

    def test_function(self) -> None:
        """They are packed as they are, or named when they cannot be."""
        self.assertEqual(((1,), {"plus": 2}), open_arguments(data(pack_job(shipment(), (1,), {"plus": 2}))))
        with self.assertRaisesRegex(PayloadError, "argument 'plus', a _thread.lock,"):
            pack_job(shipment(), (1,), {"plus": threading.Lock()})

    def test_method(self) -> None:
        """The instance that a job does not bring is the one that the method was bound to, as it is now."""
        point = Point(3)
        packed = shipment(point.scaled)
        point.x = 4
        for args in ((5,), (point, 5)):
            (receiver, by), _ = open_arguments(data(pack_job(packed, args, {})))
            self.assertEqual((4, 5), (receiver.x, by))

    def test_program(self) -> None:
        """Strings, without pickle."""
        with tempfile.NamedTemporaryFile() as program:
            packed = shipment(os.path.abspath(program.name))
        self.assertEqual(b"\x92\xa1a\xa13", data(pack_job(packed, ("a", 3), {})))
        with self.assertRaisesRegex(TypeError, "argument 1 of a program"):
            pack_job(packed, (b"",), {})


class InDirectory(TestCase):
    """With a directory of files, the current one."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)

    def write(self, path: str, content: bytes) -> str:
        with open(path, "wb") as file:
            file.write(content)
        return path

    def packed(self, *depends: Any, **options: Any) -> Equipped:
        body = pack_job(shipment(**options), (1,), {"dispy_job_depends": list(depends)})
        assert isinstance(body, Equipped)
        return body


class Files(InDirectory):
    """That one job alone needs."""

    def test_taken_as_they_are_at_submit(self) -> None:
        """What is written to them later is another job's; equal ones are kept once."""
        first = self.packed(self.write("file", b"1"))
        second = self.packed(self.write("file", b"2"), self.write("other", b"1"))
        self.assertEqual([b"1", b"2", b"1"], [body.contents[file.digest].data for body in (first, second) for file in body.files])  # type: ignore[union-attr]
        self.assertIs(first.contents[first.files[0].digest], second.contents[first.files[0].digest])
        self.assertEqual((OWN_PLACE, ((1,), {})), (first.data[:1], open_arguments(first.data[1:])))

    def test_long_ones(self) -> None:
        """Stay where they are."""
        with mock.patch.object(jobpacking, "SNAPSHOT", 2):
            body = self.packed(self.write("long file", b"123"))
        self.assertEqual([Stored(os.path.abspath("long file"), 3)], list(body.contents.values()))

    def test_programs(self) -> None:
        """Have files, and no code."""
        self.write("program", b"")
        body = pack_job(shipment("program"), ("a",), {"dispy_job_depends": [self.write("file", b"1")]})
        assert isinstance(body, Equipped)
        self.assertEqual((OWN_PLACE + b"\x91\xa1a", ["file"]), (body.data, [file.path for file in body.files]))
        with self.assertRaisesRegex(TypeError, r"dispy_job_depends\[0\]: a program's"):
            pack_job(shipment("program"), (), {"dispy_job_depends": [step]})

    def test_what_is_none(self) -> None:
        """A wrong list, and wrong things in it, are named."""
        for depends, error, text in (
            ("file", TypeError, "must be a list, not 'file'"),
            (3, TypeError, "must be a list, not 3"),
            ([None], TypeError, r"dispy_job_depends\[0\] is None"),
            ([step, "none"], FileNotFoundError, r"dispy_job_depends\[1\]: there is no file 'none'"),
        ):
            with self.assertRaisesRegex(error, text):
                pack_job(shipment(), (1,), {"dispy_job_depends": depends})

    def test_the_callers_keywords(self) -> None:
        """Stay as they are."""
        keywords = {"dispy_job_depends": [], "plus": 1}
        pack_job(shipment(), (1,), keywords)
        self.assertEqual({"dispy_job_depends": [], "plus": 1}, keywords)


class Code(TestCase):
    """That one job alone needs."""

    def bundle(self, *depends: Any, **options: Any) -> Bundle:
        packed = data(pack_job(shipment(**options), (1,), {"dispy_job_depends": list(depends)}))
        found: list[bytes] = []
        open_arguments(packed, found.append)
        return decode(found[0])

    def test_only_what_the_computation_lacks(self) -> None:
        """And which names are the job's own."""
        made = self.bundle(step)
        self.assertEqual((["step"], ("step",)), ([entry.name for entry in made.entries], made.instead))
        assert isinstance(made.entries[0], Source)
        self.assertEqual([], [entry.name for entry in self.bundle(Point, computation=Point(1).scaled).entries if entry.name != "Point"])

    def test_whose_name_it_is(self) -> None:
        """An instance of a class whose name the job uses for another one is refused: over there it would be that other's."""
        other = type("Point", (), {"__module__": __name__})
        packed = shipment(Point(1).scaled)
        self.assertEqual(b"p", data(pack_job(packed, (Point(1), 2), {}))[:1])
        with self.assertRaisesRegex(PayloadError, "argument 1, a .*Point, cannot be sent.*that name stands for class .*Point.*rename one"):
            pack_job(packed, (Point(1), 2), {"dispy_job_depends": [other]})

    def test_what_cannot_be_sent(self) -> None:
        """Is said as for the cluster."""
        lock = threading.Lock()

        def held() -> Any:
            return lock

        with self.assertRaisesRegex(ShippingError, "no source of its own"):
            self.bundle(held)

    def test_there(self) -> None:
        """In one process, job after job: each has its own, and what was there before is there again."""
        program = """
            import os, sys, types
            TABLE = "the program's"
            class Point:
                pass
            def step():
                return "the cluster's"
            def setup():
                global TABLE, calls
                TABLE, calls = "made by setup", []
                return 0
            def compute(thing=None):
                import extra
                calls.append(step())
                return step(), extra.WORD, type(thing).__name__, thing, list(calls)
            def uses_table():
                return TABLE
            def init_depends():
                calls.append("init")
            class Late:
                def __eq__(self, other):
                    return type(other) is Late
            if __name__ == "__main__":
                import extra
                from tests.client.elsewhere import call_there_with
                replaced = types.FunctionType(uses_table.__code__, globals(), "step")
                replaced.__qualname__ = "step"
                results = call_there_with(compute, [
                    ((), []),
                    ((Late(),), [uses_table, Late]),
                    ((), [replaced, init_depends]),
                    ((), [extra]),
                    ((), []),
                ], setup=setup, edit=("extra.py", "WORD = 'second'"), before=3)
                assert results[0] == ("the cluster's", "first", "NoneType", None, ["the cluster's"]), results[0]
                assert results[1][2:4] == ("Late", Late()), results[1]
                assert results[2][0] == "made by setup" and results[2][4][-2:] == ["init", "made by setup"], results[2]
                assert results[3][:2] == ("the cluster's", "second"), results[3]
                assert results[4][:2] == ("the cluster's", "first"), results[4]
        """
        run_program({"program.py": program, "extra.py": "WORD = 'first'"})

    def test_a_part_of_a_module(self) -> None:
        """A module of which the computation has functions one by one cannot come whole for one job; it is said what to do."""
        program = """
            import tools
            from dispytw.client.depends import pack_computation
            from dispytw.client.jobpacking import pack_job
            try:
                pack_job(pack_computation(tools.compute, uid=b"u" * 16), (), {"dispy_job_depends": [tools]})
            except TypeError as error:
                print(error)
        """
        printed = run_program({"program.py": program, "tools.py": "def compute():\n    return 1\n"})
        self.assertIn("of module tools the computation has a part; list the module in the cluster's depends", printed)
