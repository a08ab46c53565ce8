"""Functions, methods and partials: what nodes call, and with which arguments."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest import TestCase

from dispytw.client.callables import Called, called_computation, called_once, refuse_beginning
from tests.client.elsewhere import run_program

EVERY_PYTHON = True


class Base:
    """A class with methods of every kind."""

    def inherited(self, n: int) -> int:
        return n

    @classmethod
    def made(cls, n: int) -> Any:
        return cls, n

    @staticmethod
    def static(n: int) -> int:
        return -n


class Point(Base):
    """One that inherits them."""

    def __init__(self, x: int) -> None:
        self.x = x

    def plus(self, other: Any) -> Any:
        return other

    def scaled(self, by: int = 1, *more: int) -> int:
        return self.x * by


def function(n: int) -> int:
    return n


POINT = Point(3)


class Forms(TestCase):
    """In which a program may give them."""

    def fields(self, called: Called | None) -> tuple[Any, ...]:
        assert called is not None
        return called.target, called.method, called.args, called.kwargs, called.receiver

    def test_computations(self) -> None:
        """A method is found through its class; the instance that it was bound to is kept aside."""
        self.assertEqual((function, "", (), {}, None), self.fields(called_computation(function)))
        self.assertEqual((math.hypot, "", (), {}, None), self.fields(called_computation(math.hypot)))
        self.assertEqual((Point, "scaled", (), {}, POINT), self.fields(called_computation(POINT.scaled)))
        self.assertEqual((Point, "inherited", (), {}, POINT), self.fields(called_computation(POINT.inherited)))
        self.assertEqual((Point, "scaled", (), {}, None), self.fields(called_computation(Point.scaled)))
        self.assertEqual((Point, "made", (), {}, None), self.fields(called_computation(Point.made)))
        self.assertEqual((Base, "static", (), {}, None), self.fields(called_computation(Point.static)))
        partial = functools.partial(POINT.scaled, 2, more=1)
        self.assertEqual((Point, "scaled", (POINT, 2), {"more": 1}, None), self.fields(called_computation(partial)))

    def test_once(self) -> None:
        """setup() and cleanup() take the instance along."""
        self.assertIsNone(called_once("setup", None))
        self.assertEqual((Point, "scaled", (POINT,), {}, None), self.fields(called_once("setup", POINT.scaled)))
        self.assertEqual((function, "", (1,), {"k": 2}, None), self.fields(called_once("setup", functools.partial(function, 1, k=2))))

    def test_names(self) -> None:
        """For people."""
        self.assertEqual("scaled", called_computation(POINT.scaled).name)
        self.assertEqual("function", called_computation(functools.partial(function, 1)).name)

    def test_anything_else(self) -> None:
        """Is refused, and said to be what it is."""
        for thing in (3, Point, POINT, functools.partial(Point, 1)):
            with self.assertRaisesRegex(TypeError, "a computation is a function or the path of a program, not"):
                called_computation(thing)
            with self.assertRaisesRegex(TypeError, "cleanup must be a function or a functools.partial of one, not"):
                called_once("cleanup", thing)

    def test_functions_that_only_begin(self) -> None:
        """Are refused in every form: what they are, and what to give instead. What runs them is a function like any other."""

        async def waits(n: int) -> int:
            return n

        def yields(n: int) -> Iterator[int]:
            yield n

        async def both(n: int) -> AsyncIterator[int]:
            yield n

        class Waits:
            async def __call__(self, n: int) -> int:
                return n

            method = __call__

        @functools.wraps(waits)
        def runs(n: int) -> int:
            return asyncio.run(waits(n))

        self.assertIs(runs, called_computation(runs).target)
        for thing, said in (
            (waits, r"waits is a coroutine function \(async def\), and .* asyncio\.run\(waits\(…\)\)"),
            (functools.partial(waits, 1), "waits is a coroutine function"),
            (Waits().method, "__call__ is a coroutine function"),
            (yields, r"yields is a generator function \(it has a yield\), and .* list\(yields\(…\)\)"),
            (both, "both is an asynchronous generator function, and .* a list of what both yields"),
        ):
            with self.assertRaisesRegex(TypeError, f"computation: {said}"):
                called_computation(thing)
            with self.assertRaisesRegex(TypeError, f"setup: {said}"):
                called_once("setup", thing)
        with self.assertRaisesRegex(TypeError, "callback: Waits is a coroutine function"):
            refuse_beginning("callback", Waits())


class Receivers(TestCase):
    """With which instance a method is called."""

    def test_the_job_brings_one(self) -> None:
        """As dispy's programs do."""
        other = Point(4)
        self.assertEqual((other, 2), called_computation(POINT.scaled).arguments_for((other, 2), {}))
        self.assertEqual((other,), called_computation(POINT.scaled).arguments_for((other,), {"by": 3}))

    def test_the_job_brings_none(self) -> None:
        """As Python calls a bound method."""
        self.assertEqual((POINT, 2), called_computation(POINT.scaled).arguments_for((2,), {}))
        self.assertEqual((POINT,), called_computation(POINT.scaled).arguments_for((), {"by": 2}))

    def test_an_argument_of_the_same_class(self) -> None:
        """It is an argument where the call makes no sense otherwise."""
        other = Point(4)
        self.assertEqual((POINT, other), called_computation(POINT.plus).arguments_for((other,), {}))
        self.assertEqual((other, POINT), called_computation(POINT.plus).arguments_for((other, POINT), {}))

    def test_functions(self) -> None:
        """Take what comes."""
        self.assertEqual((POINT,), called_computation(function).arguments_for((POINT,), {}))
        self.assertEqual((POINT,), called_computation(Point.scaled).arguments_for((POINT,), {}))


class There(TestCase):
    """In another interpreter."""

    def test_methods(self) -> None:
        """Classes come along, results keep them, and setup's instance is there in every job."""
        program = """
            import functools
            BY = 2
            class Base:
                def scaled(self, n):
                    return self.x * n * BY
                @staticmethod
                def static(n):
                    return -n * BY
            class Point(Base):
                def __init__(self, x):
                    self.x = x
                @classmethod
                def made(cls, x):
                    return cls(x)
                class Inner:
                    def get(self):
                        return "inner"
            class Table:
                def __init__(self, name):
                    self.name = name
                def fill(self, n=1):
                    global table
                    table = [self.name] * n
                    return 0
            def there():
                return table
            if __name__ == "__main__":
                from tests.client.elsewhere import call_there
                assert call_there(Point(1).scaled, (Point(3), 5)) == [30]
                assert call_there(Point.scaled, (Point(3), 5)) == [30]
                assert call_there(Point.static, (3,)) == [-6]
                made = call_there(Point.made, (3,))[0]
                assert type(made) is Point and made.x == 3
                assert call_there(Point.Inner().get, (Point.Inner(),)) == ["inner"]
                assert call_there(functools.partial(Point(4).scaled, 5), ()) == [40]
                assert call_there(there, (), setup=Table("t").fill) == [["t"]]
                assert call_there(there, (), setup=functools.partial(Table("t").fill, n=2)) == [["t", "t"]]
        """
        run_program({"program.py": program})
