"""Programs whose functions run in another interpreter: what their classes, names, globals and tracebacks are there, and when they are back."""

from __future__ import annotations

from unittest import TestCase

from tests.client.elsewhere import run_program

SHAPES = """
    import math
    from dataclasses import dataclass
    from enum import Enum

    @dataclass
    class Point:
        x: int
        y: int

    class Color(Enum):
        RED = 1
        BLUE = 2

    class ShapeError(Exception):
        pass

    def length(point):
        return math.hypot(point.x, point.y)
"""

SAME_CLASSES = """
    def there(thing):
        return isinstance(thing, Point), thing is Color.RED, isinstance(thing, ShapeError), Point(1, 2), Color.BLUE, ShapeError("no")

    if __name__ == "__main__":
        from tests.client.elsewhere import call_there

        point, color, error = call_there(there, (Point(3, 4),), (Color.RED,), (ShapeError("yes"),))
        assert (point[:3], color[:3], error[:3]) == ((True, False, False), (False, True, False), (False, False, True)), (point, color, error)
        assert point[3] == Point(1, 2) and type(point[3]) is Point
        assert point[4] is Color.BLUE
        try:
            raise point[5]
        except ShapeError as raised:
            assert raised.args == ("no",)
"""

TOLD = """
    def there(thing):
        return thing

    if __name__ == "__main__":
        from tests.client.elsewhere import call_there
        import shapes

        things = [shapes.Point(1, 2), shapes.Color.RED, [shapes.Point(0, 0)], shapes.Point, shapes.length]
        for sent, back in zip(things, call_there(there, *[(thing,) for thing in things])):
            assert sent == back and type(sent) is type(back), (sent, back)
"""


class ClassesKeepTheirIdentity(TestCase):
    """isinstance, `is` for Enum members and except hold for arguments over there and for results back here."""

    def test_in_the_program(self) -> None:
        """Classes of the program itself."""
        run_program({"program.py": SHAPES + SAME_CLASSES})

    def test_in_a_module_beside_it_by_from_import(self) -> None:
        """Classes that the program took from a module of its own."""
        run_program({"shapes.py": SHAPES, "program.py": "    from shapes import *\n" + SAME_CLASSES})
        run_program(
            {"shapes.py": SHAPES, "program.py": "    from shapes import Point, Color, ShapeError\n" + SAME_CLASSES}
        )

    def test_in_a_module_beside_it_by_alias(self) -> None:
        """The same classes reached through the module and by name are the same over there."""
        program = """
            import shapes as s
            from shapes import Point as P

            def there(thing):
                import shapes
                return s is shapes, P is s.Point, isinstance(thing, P), s.length(thing)

            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, (P(3, 4),)) == [(True, True, True, 5.0)]
        """
        run_program({"shapes.py": SHAPES, "program.py": program})

    def test_in_the_module_of_the_computation(self) -> None:
        """A computation from a module beside the program, with the classes of that module."""
        module = SHAPES + SAME_CLASSES.partition("    if __name__")[0]
        program = "    from beside import *\n    if __name__" + SAME_CLASSES.partition("    if __name__")[2]
        run_program({"beside.py": module, "program.py": program})

    def test_what_is_there_stays(self) -> None:
        """What a later argument brings along never replaces what an earlier one brought: the job kept instances of it."""
        program = """
            class Middle:
                pass
            class Low(Middle):
                pass
            def setup():
                global kept
                kept = []
                return 0
            def there(thing):
                kept.append(thing)
                return all(isinstance(each, type(kept[0])) for each in kept)
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, (Middle(),), (Low(),), (Middle(),), setup=setup) == [True, True, True]
        """
        run_program({"program.py": program})

    def test_never_mentioned_by_the_function(self) -> None:
        """An argument brings the source of its class along when the function knows nothing of it; results keep the class too."""
        run_program({"shapes.py": SHAPES, "program.py": TOLD})
        run_program({"program.py": SHAPES + TOLD.replace("import shapes", "").replace("shapes.", "")})

    def test_unmentioned_subclass_of_a_mentioned_class(self) -> None:
        """What an argument brings along joins what is there; the classes of two arguments fit together."""
        program = """
            LIMIT = 5
            class Base:
                pass
            class Middle(Base):
                def limit(self):
                    return LIMIT + twice(1)
            def twice(n):
                return n * 2
            class Low(Middle):
                pass

            def there(first, second):
                return isinstance(first, Base), isinstance(second, type(first)), second.limit(), second

            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                [(a, b, c, low), (d, e, f, _)] = call_there(there, (Middle(), Low()), (Middle(), Low()))
                assert (a, b, c, d, e, f) == (True, True, 7, True, True, 7) and type(low) is Low
        """
        run_program({"program.py": program})

    def test_made_by_a_statement(self) -> None:
        """A namedtuple, an Enum by call and a class kept in another class are found by name too."""
        program = """
            import enum
            from collections import namedtuple
            Pair = namedtuple("Pair", "a b")
            Level = enum.Enum("Level", "LOW HIGH")
            class Outer:
                class Inner:
                    pass

            def there(pair, level):
                return Pair(pair.b, pair.a), isinstance(pair, Pair), level is Level.LOW, Level.HIGH, Outer.Inner()

            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                [(pair, same, low, high, inner)] = call_there(there, (Pair(1, 2), Level.LOW))
                assert type(pair) is Pair and pair == (2, 1) and same and low
                assert high is Level.HIGH and type(inner) is Outer.Inner
        """
        run_program({"program.py": program})

    def test_made_at_run_time(self) -> None:
        """A class of the function's own comes back by value; a local class goes and comes by value."""
        program = """
            def there(thing):
                class Local:
                    n = 3
                return thing.n, Local()

            def main():
                class Mine:
                    n = 2
                from tests.client.elsewhere import call_there
                [(n, local)] = call_there(there, (Mine(),))
                assert n == 2 and local.n == 3

            if __name__ == "__main__":
                main()
        """
        run_program({"program.py": program})


class OneSetOfGlobals(TestCase):
    """All functions of a computation share their globals, setup() included."""

    def test_setup_and_cleanup(self) -> None:
        """What setup() makes global, jobs and cleanup() see; setup's value wins over the program's; partials carry arguments."""
        program = """
            import functools, threading
            data = None
            lock = threading.Lock()
            LIMIT = 3
            def setup(value, *, more):
                global data, lock
                data, lock = value + more, "made there"
                return 0
            def cleanup(word):
                print("cleaned", data, word)
            def there():
                return data, lock, LIMIT
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                made = functools.partial(setup, 40, more=2)
                print(call_there(there, (), setup=made, cleanup=functools.partial(cleanup, "up")))
        """
        printed = run_program({"program.py": program})
        self.assertIn("cleaned 42 up", printed)
        self.assertIn("[(42, 'made there', 3)]", printed)

    def test_functions_of_several_modules(self) -> None:
        """A computation from one module sees what a setup from another made."""
        other = """
            STEP = 5
            def helper(n):
                return n + STEP
            def there(n):
                return helper(n) + data
        """
        program = """
            from other import there
            def setup():
                global data
                data = 100
                return 0
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, (1,), setup=setup) == [106]
        """
        run_program({"other.py": other, "program.py": program})

    def test_names_without_import(self) -> None:
        """dispy's modules and the facts of the node are there without importing them, in functions and in modules."""
        helper = """
            def stamp():
                return time.time() > 0 and dispy_node_name
        """
        program = """
            import helper
            dispy_node_name = "a stand-in for linters"
            def there():
                return os.getpid() > 0, sys.version_info[0], dispy_node_name, helper.stamp(), dispy_job_path != ""
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, ()) == [(True, 3, "elsewhere", "elsewhere", True)]
        """
        run_program({"helper.py": helper, "program.py": program})

    def test_main_program_is_never_run(self) -> None:
        """Only the definitions that are needed are run over there."""
        program = """
            import sys
            print("main runs", file=sys.stderr)
            def unneeded(x=print("unneeded runs", file=sys.stderr)):
                pass
            def there():
                return 1
            from tests.client.elsewhere import call_there
            assert call_there(there, ()) == [1]
        """
        printed = run_program({"program.py": program})
        self.assertEqual((printed.count("main runs"), printed.count("unneeded runs")), (1, 1))


class WhatComesAlong(TestCase):
    """Things that functions refer to."""

    def test_decorators(self) -> None:
        """A decorated function is decorated there, whether or not the decorator keeps its name."""
        program = """
            import functools
            def plain(function):
                def wrapper(*args):
                    return "plain", function(*args)
                return wrapper
            def wrapping(word):
                def decorate(function):
                    @functools.wraps(function)
                    def wrapper(*args):
                        return word, function(*args)
                    return wrapper
                return decorate
            @plain
            def one(n):
                return n
            @wrapping("w")
            def two(n=one):
                return n
            @functools.lru_cache(maxsize=None)
            def three(n):
                return n
            by_call = functools.lru_cache(three)
            square = lambda n: n * n
            @wrapping("there")
            def there():
                return one(1), two(2), three(3), by_call(4), square(5)
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, ()) == [("there", (("plain", 1), ("w", 2), 3, 4, 25))]
        """
        run_program({"program.py": program})

    def test_definitions_come_before_what_uses_them(self) -> None:
        """Bases, defaults, class bodies and functions called by decorators are there in time, whatever refers to them first."""
        program = """
            REGISTRY = {}
            def register(function):
                REGISTRY[function.__name__] = helper()
                return function
            def helper():
                return Zero.START
            class Zero:
                START = 7
            ORIGIN = Zero()
            class Child(Zero):
                origin = ORIGIN
                def other(self):
                    return there
            @register
            def there(zero=ORIGIN, child=Child):
                return child.origin is zero, Child().START, REGISTRY["there"], Child().other() is there
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(there, ()) == [(True, 7, 7, True)], call_there(there, ())
        """
        run_program({"program.py": program})

    def test_modules_of_packages(self) -> None:
        """Packages, relative imports, submodules read as attributes, and imports inside functions."""
        files = {
            "pkg/__init__.py": "from . import base\ndef get():\n    return base.VALUE\n",
            "pkg/base.py": "VALUE = 1\n",
            "pkg/values.py": "VALUE = 2\n",
            "pkg/deep/__init__.py": "",
            "pkg/deep/leaf.py": "from ..values import VALUE\nclass Leaf:\n    value = VALUE\n",
            "lonely.py": "def f():\n    import late\n    return late.WORD\n",
            "late.py": "WORD = 'late'\n",
            "space/inner.py": "WORD = 'namespace package'\n",
            "program.py": """
                import pkg.deep.leaf
                import xml.dom.minidom
                import lonely
                def there():
                    import space.inner
                    node = xml.dom.minidom.parseString("<a/>").documentElement.tagName
                    return pkg.get(), pkg.deep.leaf.Leaf.value, lonely.f(), space.inner.WORD, node
                if __name__ == "__main__":
                    from tests.client.elsewhere import call_there
                    assert call_there(there, ()) == [(1, 2, "late", "namespace package", "a")]
            """,
        }
        run_program(files)

    def test_computation_in_a_package_that_imports_it(self) -> None:
        """A module needed whole is one module there: its functions, its globals and the computation's are the same."""
        files = {
            "pkg/__init__.py": "from .jobs import compute\nfrom .model import Point\n",
            "pkg/model.py": "class Point:\n    def __init__(self, x):\n        self.x = x\n",
            "pkg/jobs.py": """
                from .model import Point
                class Shape:
                    pass
                def setup():
                    global DATA
                    DATA = 10
                    return 0
                def helper(n):
                    return DATA + n
                def compute(n, shape):
                    import pkg
                    return Point(helper(n) + extra), isinstance(shape, Shape), pkg.Point is Point, dispy_node_name, Shape()
            """,
            "program.py": """
                import functools, pkg.jobs
                def prepare():
                    global extra
                    extra = 1000
                    return pkg.jobs.setup()
                if __name__ == "__main__":
                    from tests.client.elsewhere import call_there
                    [(point, same, one, name, shape)] = call_there(pkg.compute, (1, pkg.jobs.Shape()), setup=prepare)
                    assert (point.x, same, one, name) == (1011, True, True, "elsewhere")
                    assert type(point) is pkg.Point and type(shape) is pkg.jobs.Shape
            """,
        }
        run_program(files)

    def test_methods_of_a_module_that_is_needed_whole(self) -> None:
        """They are found in it, those of classes inside classes too; the class is the one that its instances have."""
        files = {
            "shapes.py": """
                class Shape:
                    def same(self):
                        import shapes
                        return type(self) is Shape is shapes.Shape
                    @classmethod
                    def name(cls):
                        return cls.__name__
                    class Corner:
                        def same(self):
                            import shapes
                            return type(self) is shapes.Shape.Corner
            """,
            "program.py": """
                import shapes
                if __name__ == "__main__":
                    from tests.client.elsewhere import call_there
                    for shape in (shapes.Shape(), shapes.Shape.Corner()):
                        assert call_there(shape.same, (shape,)) == [True], call_there(shape.same, (shape,))
                    assert call_there(shapes.Shape.name, (), depends=[shapes]) == ["Shape"]
            """,
        }
        run_program(files)

    def test_long_chains(self) -> None:
        """However long a chain of functions is, it is followed to its end."""
        chain = "".join(f"def f{number}(n):\n    return f{number + 1}(n)\n" for number in range(500))
        program = "\nfrom tests.client.elsewhere import call_there\nassert call_there(f0, (1,)) == [1]\n"
        run_program({"program.py": chain + "def f500(n):\n    return n\n" + program})

    def test_missing_installed_module(self) -> None:
        """A module that is not installed there fails where it is used, and says so."""
        program = """
            import sys, types
            sys.modules["only_here"] = only_here = types.ModuleType("only_here")
            def there(use):
                return only_here.f() if use else "unused"
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                fine, failed = call_there(there, (False,), (True,))
                print(fine, failed.text)
        """
        printed = run_program({"program.py": program})
        self.assertIn("unused", printed)
        self.assertIn("ModuleNotFoundError: only_here could not be imported on this node", printed)


class ByValue(TestCase):
    """What has no source of its own."""

    def test_lambdas_and_closures(self) -> None:
        """They share the computation's globals and keep what they close over."""
        program = """
            import functools
            BASE = 100
            def helper(n):
                return BASE + n
            def made(k):
                count = 0
                def inner(n):
                    nonlocal count
                    count += 1
                    return helper(n) * k, count, inner.__name__, dispy_node_name
                return inner
            class Point:
                pass
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(lambda n: (helper(n), dispy_node_name), (1,)) == [(101, "elsewhere")]
                assert call_there(made(2), (1,), (2,)) == [(202, 1, "inner", "elsewhere"), (204, 2, "inner", "elsewhere")]
                assert call_there(lambda p: isinstance(p, Point), (Point(),)) == [True]
                assert call_there(helper, (1,), setup=lambda: 0) == [101]
                def apply(f, n):
                    return f(n)
                assert call_there(apply, (lambda n: helper(n) + n, 1)) == [102]
        """
        run_program({"program.py": program})

    def test_interactive_session(self) -> None:
        """Functions and classes typed in go along, recursion included, and come back as what they were."""
        typed = """\
import enum

class Color(enum.Enum):
    RED = 1
    BLUE = 2

class Point:
    def __init__(self, x):
        self.x = x

def fact(n):
    return 1 if n < 2 else n * fact(n - 1)

def there(point, color):
    return isinstance(point, Point) and color is Color.RED, fact(point.x), Point(7), Color.BLUE

from tests.client.elsewhere import call_there
[(same, product, back, blue)] = call_there(there, (Point(5), Color.RED))
print(same, product, type(back) is Point and blue is Color.BLUE)
"""
        self.assertIn("True 120 True", run_program({}, ("-i", "-q"), typed))
        self.assertIn("True 120 True", run_program({}, ("-",), typed))

    def test_bytecode_names_its_python(self) -> None:
        """A computation that needs bytecode says which Python it needs; one in source runs anywhere."""
        program = """
            import sys
            from dispytw.client.depends import pack_computation
            def there():
                return used
            used = 5
            def closure(k):
                return lambda: k
            table = {"f": closure(1)}
            def uses_table():
                return table["f"]()
            for function, python in (there, None), (closure(1), sys.version_info[:2]), (uses_table, sys.version_info[:2]):
                assert pack_computation(function, uid=b"u" * 16).computation.python == python, function
        """
        run_program({"program.py": program})


LOGGER = """
    import sys

    def there(thing):
        before = "dispytw.worker.nodelog" in sys.modules
        return before, eval(thing) if isinstance(thing, str) else thing.name()

    class Quiet:
        def name(self):
            return "nothing"

    class Logs:
        def name(self):
            return dispynode_logger.name

    if __name__ == "__main__":
        from tests.client.elsewhere import call_there

        answers = call_there(there, (Quiet(),), (Logs(),), ("dispynode" + "_logger.name",))
        assert answers == [(False, "nothing"), (False, "dispynode"), (True, "dispynode")], answers
"""


class TheLogger(TestCase):
    """It takes time to load, so that is done where it is used."""

    def test_in_arguments(self) -> None:
        """Code that comes with one job may use it though the computation does not, and so may text."""
        run_program({"program.py": LOGGER})


class Tracebacks(TestCase):
    """What a user sees of an error over there."""

    def test_lines_of_the_program_and_its_modules(self) -> None:
        """File names, line numbers and source lines are the origin's."""
        module = """
            def broken(n):
                return 1 / n  # in the module
        """
        program = """
            from __future__ import annotations
            import beside
            def there(n: NoSuchName):
                return inner(n)  # in the program
            def inner(n):
                word = '''
            not indented'''
                assert word == chr(10) + "not indented"
                return beside.broken(n)  # in inner
            if __name__ == "__main__":
                def nested(n):
                    word = '''
            not indented'''
                    assert word == chr(10) + "not indented"
                    return there(n)  # nested
                from tests.client.elsewhere import call_there
                [failed] = call_there(nested, (0,), forget=("program.py", "beside.py"))
                print(failed.text)
        """
        printed = run_program({"beside.py": module, "program.py": program})
        for place in (
            'program.py", line 16, in nested\n    return there(n)  # nested',
            'program.py", line 5, in there\n    return inner(n)  # in the program',
            'program.py", line 10, in inner\n    return beside.broken(n)  # in inner',
            'beside.py", line 3, in broken\n    return 1 / n  # in the module',
        ):
            self.assertIn(place, printed)

    def test_result_that_cannot_be_packed(self) -> None:
        """It is an error of the job that says what it was."""
        program = """
            def there():
                return {"socket": socket.socket()}
            def opened(thing):
                return thing
            class Stubborn:
                def __reduce__(self):
                    return fail, ("not here",)
            def fail(word):
                if word and dispy_node_name:
                    raise OSError(word)
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                print(call_there(there, ())[0].text)
                print(call_there(opened, (Stubborn(),))[0].text)
        """
        printed = run_program({"program.py": program})
        self.assertIn(
            "PayloadError: the job's result, a dict, cannot be sent back: TypeError: cannot pickle 'socket' object",
            printed,
        )
        self.assertIn("PayloadError: the job's arguments cannot be opened on this node", printed)
        self.assertIn("OSError: not here", printed)

    def test_in_a_process_for_one_job(self) -> None:
        """Where everything has been looked up beforehand: the same arguments, results and errors, plain ones and others."""
        program = """
            import threading
            class Point:
                def __init__(self, x):
                    self.x = x
            def there(thing, *others):
                if thing == "raise":
                    raise ValueError(thing)
                if thing == "lock":
                    return threading.Lock()
                return thing, others
            def says(answer):
                return answer.text.splitlines()[-1] if hasattr(answer, "text") else (getattr(answer[0], "x", answer[0]), answer[1])
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                calls = (1,), ("text", 2.5), (Point(3),), (lambda: 0,), (b"y" * 100_000,), ("raise",), ("lock",), ()
                for forked in (False, True):
                    one, two, point, code, long, raised, lock, none = call_there(there, *calls, forked=forked)
                    assert ((1, ()), ("text", (2.5,))) == (one, two), (one, two)
                    assert type(point[0]) is Point and point[0].x == 3, point
                    assert code[0]() == 0 and long == (b"y" * 100_000, ()), code
                    print(*map(says, (raised, lock, none)), sep=chr(10))
        """
        printed = run_program({"program.py": program}).splitlines()
        self.assertEqual(printed[:3], printed[3:])
        self.assertEqual("ValueError: raise", printed[0])
        self.assertIn("PayloadError: the job's result, a _thread.lock, cannot be sent back", printed[1])
        self.assertIn("missing 1 required positional argument", printed[2])
