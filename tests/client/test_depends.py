"""What goes along with a computation, and what is refused with which words."""

from __future__ import annotations

import functools
import hashlib
import math
import os
import stat
import sys
import tempfile
import threading
from typing import Any
from unittest import TestCase, mock

from dispytw.client import depends as module
from dispytw.client.depends import BUNDLE_PATH, Shipment, names_of, pack_computation
from dispytw.errors import ShippingError
from dispytw.wire.bundle import Bundle, Constant, Entry, Import, Source, decode
from dispytw.wire.payload import open_value
from tests.client.elsewhere import Failed, call_there, run_program

EVERY_PYTHON = True

LIMIT = 3
WORDS = {"one": (1, 1.5, b"b"), "two": [None, True, {2j}]}
LARGE = "x" * 70_000
LOCK = threading.Lock()


class Shape:
    """A class that a computation uses."""

    limit = LIMIT


def helper() -> int:
    return LIMIT


def there() -> Any:
    return helper(), WORDS, Shape, math.pi


def uses_large() -> str:
    return LARGE


def uses_lock() -> Any:
    return LOCK


def setup(value: int = 0) -> int:
    return 0


def shipment(computation: Any = there, **options: Any) -> Shipment:
    return pack_computation(computation, uid=b"u" * 16, **options)


def bundle(computation: Any = there, **options: Any) -> Bundle:
    return decode(shipment(computation, **options).bundle)


def entries(computation: Any = there, **options: Any) -> dict[str, Entry]:
    return {entry.name: entry for entry in bundle(computation, **options).entries}


class InDirectory(TestCase):
    """Tests of files, with a directory of their own as the current one."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)

    def write(self, path: str, content: bytes = b"content", mode: int = 0o644) -> str:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        return path


class Functions(TestCase):
    """A function and what it refers to."""

    def test_what_is_collected(self) -> None:
        """Functions, classes, constants and modules, each once; constants first."""
        found = entries()
        self.assertEqual({name: type(entry) for name, entry in found.items()}, {
            "LIMIT": Constant, "WORDS": Constant, "there": Source, "helper": Source, "Shape": Source, "math": Import,
        })
        self.assertEqual([type(entry) for entry in found.values()][:2], [Constant, Constant])
        words = found["WORDS"]
        assert isinstance(words, Constant)
        self.assertEqual(open_value(words.payload), WORDS)

    def test_the_shipment(self) -> None:
        """It names the computation, and its bundle by digest."""
        made = shipment()
        computation = made.computation
        self.assertEqual((computation.uid, computation.name, computation.program, computation.python), (b"u" * 16, "there", None, None))
        self.assertEqual(computation.bundle.path, BUNDLE_PATH)
        self.assertEqual(computation.bundle.digest, hashlib.sha256(made.bundle).digest())
        self.assertEqual(computation.bundle.size, len(made.bundle))
        self.assertEqual(made.files, {computation.bundle.digest: made.bundle})
        self.assertEqual(shipment(name="other", setup_timeout=3.0).computation.setup_timeout, 3.0)

    def test_where_it_runs_and_what_stays(self) -> None:
        """dest_path names a directory; only cleanup=False leaves anything."""
        for cleanup, keeps in ((True, False), (None, False), (setup, False), (False, True)):
            made = shipment(cleanup=cleanup, dest_path="/a/b/").computation
            self.assertEqual(("a/b", keeps), (made.dest_path, made.keeps))
        self.assertEqual("", shipment().computation.dest_path)

    def test_nothing_in_depends(self) -> None:
        """None and an empty list are fine; True and False for cleanup pack nothing."""
        for depends in (None, [], ()):
            self.assertEqual(shipment(depends=depends).computation.files, ())
        for cleanup in (True, False, None):
            self.assertIsNone(bundle(cleanup=cleanup).cleanup)

    def test_source_is_cut_out_as_it_stands(self) -> None:
        """A function inside a function keeps its indentation and line number, and is not confused with others of its name."""

        def helper() -> str:
            return """
  kept"""

        found = entries(helper)["helper"]
        assert isinstance(found, Source)
        self.assertEqual(found.line, helper.__code__.co_firstlineno)
        self.assertIn('            return """\n  kept"""\n', found.text)
        self.assertEqual(call_there(helper, ()), ["\n  kept"])

    def test_defaults_of_the_surroundings(self) -> None:
        """A default that names a local variable of the surrounding function keeps its value, whatever the globals say."""
        LIMIT = 99

        def computed(limit: int = LIMIT) -> int:
            return limit

        self.assertEqual(call_there(computed, ()), [99])

    def test_builtin_function(self) -> None:
        """A function of an installed module is named, not packed."""
        self.assertEqual(call_there(math.hypot, (3, 4)), [5.0])

    def test_same_bundle_twice(self) -> None:
        """The same computation gives the same digest, so that nodes need it once."""
        self.assertEqual(shipment().bundle, shipment().bundle)


class Refused(TestCase):
    """What cannot go along."""

    def refused(self, kind: type[BaseException], *words: str, computation: Any = there, **options: Any) -> None:
        with self.assertRaises(kind) as caught:
            shipment(computation, **options)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_types(self) -> None:
        """Each parameter's wrong types are named."""
        self.refused(TypeError, "42 (int)", computation=42)
        self.refused(TypeError, "Shape", computation=Shape)
        self.refused(TypeError, "functools.partial", computation=functools.partial(Shape))
        self.refused(TypeError, "setup must be", "'text' (str)", setup="text")
        self.refused(TypeError, "cleanup must be", "3 (int)", cleanup=3)
        self.refused(TypeError, "depends[1] is 42 (int)", depends=[helper, 42])
        self.refused(TypeError, "depends[0] is None", depends=[None])
        self.refused(TypeError, "depends[0] has no name", depends=[lambda: 1])

    def test_methods_in_depends(self) -> None:
        """A method has no name of its own that a computation could use."""
        self.refused(TypeError, "depends[0]", "an instance of a class", depends=[self.test_methods_in_depends])

    def test_init_depends_with_parameters(self) -> None:
        """It is called without any, so that is said at once."""

        def init_depends(path: str) -> None:
            pass

        self.refused(TypeError, "depends[1]", "init_depends is called without arguments", "'path'", depends=[helper, init_depends])

    def test_functions_that_only_begin(self) -> None:
        """What is called once, or for each job, has to be gone through by somebody; functions in depends are the computation's matter."""

        async def begins() -> None:
            pass

        async def init_depends() -> None:
            pass

        self.refused(TypeError, "computation: begins is a coroutine function", computation=begins)
        self.refused(TypeError, "cleanup: begins is a coroutine function", cleanup=begins)
        self.refused(TypeError, "depends[0]: init_depends is a coroutine function", depends=[init_depends])
        shipment(depends=[begins])

    def test_too_many_files(self) -> None:
        """More than a single message can name is refused with advice."""
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(module, "MOST_DESCRIBED", 200):
            for name in ("a", "b", "c"):
                open(os.path.join(directory, name), "w").close()
            self.refused(ShippingError, "too many files", "archive", depends=[directory])

    def test_large_constants(self) -> None:
        """More than 64 KiB of constants is refused with the largest one's name and with advice."""
        self.refused(ShippingError, "'LARGE'", "65536", "arguments", "depends", "setup()", computation=uses_large)

    def test_unshippable_global(self) -> None:
        """Something that does not pickle is named with the reason and the way out."""
        self.refused(ShippingError, "'LOCK'", "cannot pickle", "make it in setup()", computation=uses_lock)

    def test_unshippable_global_that_setup_makes(self) -> None:
        """It stays at home when setup() makes the node's own."""

        def make() -> int:
            global LOCK
            LOCK = threading.Lock()
            return 0

        self.assertNotIn("LOCK", entries(uses_lock, setup=make))

    def test_closure_over_something_unshippable(self) -> None:
        """A function that goes neither by source nor by value is refused, saying why and what to do."""
        held = (each for each in ())

        def closure() -> Any:
            return held

        self.refused(ShippingError, "closure", "no source of its own", "cannot pickle 'generator' object", computation=closure)

    def test_module_without_source(self) -> None:
        """A module in depends that is not in Python."""
        self.refused(ShippingError, "math", "no Python source", depends=[math])


class Conflicts(TestCase):
    """One name that stands for two things."""

    FIRST = "LIMIT = 1\ndef helper():\n    return 'first'\ndef there():\n    return helper(), LIMIT\n"
    SECOND = "LIMIT = {limit}\ndef helper():\n    return 'second'\ndef setup():\n    print({used})\n    return 0\n"
    TRY = """
        import first, second
        from tests.client.elsewhere import call_there
        try:
            print(call_there(first.there, (), setup=second.setup, depends={depends}))
        except Exception as error:
            print(type(error).__name__, error)
    """

    def tried(self, used: str, limit: int = 1, depends: str = "[]") -> str:
        second = self.SECOND.format(used=used, limit=limit)
        return run_program({"first.py": self.FIRST, "second.py": second, "program.py": self.TRY.format(depends=depends)})

    def test_collected_functions(self) -> None:
        """Two functions are an error that names both places."""
        printed = self.tried("helper()")
        self.assertIn("ShippingError the name 'helper' means two things", printed)
        self.assertIn("first.py:2", printed)
        self.assertIn("second.py:2", printed)

    def test_constants(self) -> None:
        """Two constants are an error, unless they are equal."""
        self.assertIn("('first', 1)", self.tried("LIMIT"))
        self.assertIn("the value 2 in second", self.tried("LIMIT", limit=2))

    def test_depends_decides(self) -> None:
        """An entry of depends wins over what would be collected, a later one over an earlier."""
        self.assertIn("('second', 1)", self.tried("helper()", depends="[second.helper]"))
        self.assertIn("('second', 1)", self.tried("helper()", depends="[first.helper, second.helper]"))
        self.assertIn("('first', 1)", self.tried("helper()", depends="[second.helper, first.helper]"))

    def test_setup_and_computation_of_one_name(self) -> None:
        """The computation and setup live in the same globals, so they need two names."""
        first = self.FIRST.replace("def there", "def setup") + "there = setup\n"
        program = self.TRY.format(depends="[]")
        printed = run_program({"first.py": first, "second.py": self.SECOND.format(used=1, limit=1), "program.py": program})
        self.assertIn("the name 'setup' means two things", printed)

    def test_module_that_is_the_namespace(self) -> None:
        """Names of a module needed whole count as well."""
        first = self.FIRST.replace("return helper(), LIMIT", "import first; return first.helper(), LIMIT")
        program = self.TRY.format(depends="[]")
        printed = run_program({"first.py": first, "second.py": self.SECOND.format(used="helper()", limit=1), "program.py": program})
        self.assertIn("the name 'helper' means two things", printed)


class Depends(InDirectory):
    """What the user names."""

    def test_functions_classes_instances(self) -> None:
        """Each is defined by its name, though nothing refers to it; an instance stands for its class."""

        def alone() -> None:
            pass

        found = entries(alone, depends=[helper, Shape()])
        self.assertEqual(list(found), ["LIMIT", "helper", "Shape", "alone"])

    def test_files(self) -> None:
        """Under the current directory they keep their place, from elsewhere they come flat; mode, size and digest are the file's."""
        inner = self.write("sub/dir/script.sh", b"#!/bin/sh\n", 0o755)
        with tempfile.TemporaryDirectory() as elsewhere:
            outer = self.write(os.path.join(elsewhere, "deep", "outer.txt"))
            made = shipment(depends=[inner, os.path.abspath("sub/dir/script.sh"), outer])
        script, text = made.computation.files
        self.assertEqual((script.path, script.mode, script.size), ("sub/dir/script.sh", 0o755, 10))
        self.assertEqual(script.digest, hashlib.sha256(b"#!/bin/sh\n").digest())
        self.assertEqual(made.files[script.digest], os.path.abspath(inner))
        self.assertEqual((text.path, stat.S_IMODE(text.mode)), ("outer.txt", 0o644))

    def test_later_file_wins(self) -> None:
        """Two files of one place: the later one goes."""
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            paths = [self.write(os.path.join(one, "x"), b"1"), self.write(os.path.join(two, "x"), b"2")]
            files = shipment(depends=paths).computation.files
        self.assertEqual([file.digest for file in files], [hashlib.sha256(b"2").digest()])

    def test_missing_file(self) -> None:
        """A file that is not there, and what is no file, are named."""
        with self.assertRaisesRegex(FileNotFoundError, r"depends\[1\].*'no-such-file'"):
            shipment(depends=[helper, "no-such-file"])
        os.mkfifo("pipe")
        with self.assertRaisesRegex(OSError, r"depends\[0\].*'pipe' is no ordinary file"):
            shipment(depends=["pipe"])

    def test_directories(self) -> None:
        """All that is in them goes along, below their place under the current directory, or below their own name."""
        for path in ("sub/tree/one", "sub/tree/deep/two", "sub/tree/__pycache__/by-product", "sub/other"):
            self.write(path, path.encode())
        self.assertEqual(["sub/tree/one", "sub/tree/deep/two"], names_of(shipment(depends=["sub/tree"]).computation.files))
        self.assertEqual(["sub/other", "sub/tree/one", "sub/tree/deep/two"], names_of(shipment(depends=[os.curdir]).computation.files))
        there = os.path.abspath("sub/tree")
        os.makedirs("elsewhere")
        os.chdir("elsewhere")
        self.assertEqual(["tree/one", "tree/deep/two"], names_of(shipment(depends=[there]).computation.files))

    def test_modules(self) -> None:
        """A module travels with its place in its package; a package with all that is in it."""
        import tests.client.elsewhere

        made = shipment(depends=[tests.client.elsewhere])
        self.assertEqual(names_of(made.computation.files), ["tests/__init__.py", "tests/client/__init__.py", "tests/client/elsewhere.py"])
        modules = {module.name: module.package for module in decode(made.bundle).modules}
        self.assertEqual(modules["tests.client.elsewhere"], False)
        self.assertEqual(modules["tests.client"], True)
        everything = names_of(shipment(depends=[tests.client]).computation.files)
        self.assertLessEqual({"tests/client/elsewhere.py", "tests/client/test_depends.py"}, set(everything))

    def test_module_is_imported_there(self) -> None:
        """A job imports it though its directory holds no such file."""
        files = {
            "sub/extra.py": "WORD = 'extra'\n",
            "program.py": """
                import sys
                sys.path.insert(0, "sub")
                import extra
                def there():
                    return __import__("extra").WORD
                if __name__ == "__main__":
                    from tests.client.elsewhere import call_there
                    assert call_there(there, (), depends=[extra]) == ["extra"]
            """,
        }
        run_program(files)

    def test_partial(self) -> None:
        """Arguments of a partial setup() are packed; classes in them come along."""
        packed = bundle(setup=functools.partial(setup, value=7))
        assert packed.setup is not None
        self.assertEqual(packed.setup.name, "setup")
        self.assertEqual(open_value(packed.setup.arguments), ((), {"value": 7}))
        self.assertIn("Shape", entries(helper, setup=functools.partial(setup, Shape())))

    def test_partial_of_the_list(self) -> None:
        """It stands for its function."""
        self.assertIn("helper", entries(lambda: 1, depends=[functools.partial(helper, 1)]))

    def test_init_depends_comes_first(self) -> None:
        """It is called before any module of the user's is imported, and before all definitions that it does not use."""
        files = {
            "looks.py": """
                import os
                FOUND = os.environ["MADE_BY_INIT"]
            """,
            "program.py": """
                import os
                os.environ["MADE_BY_INIT"] = "here"
                import looks

                VALUE = "by init"
                def used():
                    return VALUE
                def init_depends():
                    global calls
                    os.environ["MADE_BY_INIT"] = used()
                    calls = globals().get("calls", 0) + 1
                    assert "there" not in globals() and "Early" not in globals()
                class Early:
                    seen = os.environ["MADE_BY_INIT"]
                def setup():
                    assert calls == 1
                    return 0
                def there():
                    return looks.FOUND, Early.seen, calls

                if __name__ == "__main__":
                    from tests.client.elsewhere import call_there
                    for depends in ([Early, init_depends], [init_depends, Early]):
                        assert call_there(there, (), depends=depends, setup=setup) == [("by init", "by init", 1)]
            """,
        }
        run_program(files)

    def test_init_depends_is_called_only_where_it_is_named(self) -> None:
        """A function of that name which merely lies about is one like others."""
        program = """
            def init_depends():
                raise AssertionError
            def there():
                return init_depends.__name__
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, ()) == ["init_depends"]
        """
        run_program({"program.py": program})


class Programs(InDirectory):
    """A computation that is the path of a program."""

    def test_program(self) -> None:
        """It goes as a file that can be executed, under its place below the current directory."""
        self.write("bin/program.py")
        made = shipment("bin/program.py", depends=[self.write("table.txt")], setup=setup)
        self.assertEqual((made.computation.program, made.computation.name), ("bin/program.py", "program.py"))
        self.assertEqual([(file.path, file.mode) for file in made.computation.files], [("bin/program.py", 0o755), ("table.txt", 0o644)])
        self.assertIsNone(decode(made.bundle).computation)
        self.assertIsNotNone(decode(made.bundle).setup)

    def test_program_of_the_path(self) -> None:
        """One that is found in the PATH goes flat."""
        made = shipment(sys.executable)
        self.assertEqual(made.computation.program, os.path.basename(sys.executable))

    def test_missing_program(self) -> None:
        """One that is nowhere is an error that says where it was sought."""
        with self.assertRaisesRegex(FileNotFoundError, "no program 'no-such-program'.*PATH"):
            shipment("no-such-program")

    def test_functions_do_not_fit(self) -> None:
        """A program has no namespace for functions."""
        self.write("program")
        with self.assertRaisesRegex(TypeError, r"depends\[0\].*modules and paths"):
            shipment("program", depends=[helper])


class Arguments(TestCase):
    """What arguments bring along, seen from the client."""

    def test_argument_that_refers_to_something_unshippable(self) -> None:
        """An argument whose class cannot be sent is refused by number, with the reason."""
        program = """
            import threading
            LOCK = threading.Lock()
            class Locked:
                def get(self):
                    return LOCK
            def there(thing):
                return thing
            from dispytw.client.depends import pack_computation
            from dispytw.wire.payload import pack_arguments
            try:
                pack_arguments((1, Locked()), {}, pack_computation(there, uid=b"u" * 16).shipped)
            except TypeError as error:
                print(error)
        """
        printed = run_program({"program.py": program})
        self.assertIn("argument 2, a __main__.Locked, cannot be sent to nodes", printed)
        self.assertIn("'LOCK'", printed)

    def test_failed_is_told(self) -> None:
        """The other interpreter of these tests tells of failures."""

        def fails() -> None:
            raise KeyError("there")

        (failed,) = call_there(fails, ())
        assert isinstance(failed, Failed)
        self.assertIn("KeyError: 'there'", failed.text)
