"""dispytw.Executor against a real node: a part of CPython's contract, what goes beyond it, and the end of a program.

All of the contract runs in campaigns/test_executor_contract.py.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import SOURCE_ROOT, Daemons, in_common

CONTRACT = SOURCE_ROOT / "tests/functional/contract.py"

#: A part that is quick.
QUICK = (
    *("ExecutorTest.test_submit", "ExecutorTest.test_submit_keyword", "ExecutorTest.test_map", "ExecutorTest.test_map_exception"),
    *("ExecutorTest.test_no_stale_references", "DeadlockTest.test_exit_during_result_unpickle_in_result_handler"),
    *("WaitTest.test_all_completed", "AsCompletedTest.test_no_timeout", "FutureTest.test_cancel", "ShutdownTest.test_run_after_shutdown"),
)

FUNCTIONS = """
import functools, sys
import beside
import dispytw

SCALE = 3
executor = dispytw.Executor(sys.argv[1:])

class Point:
    def __init__(self, x):
        self.x = x
    def scaled(self, by):
        return Point(self.x * by * SCALE)

def helper(n):
    return n + 1

def compute(n):
    return helper(n) * SCALE

def dispytw_compute():
    return "mine"

def cell(source):
    '''A function defined anew, as in a notebook, with a source that can be read.'''
    import linecache, itertools
    name = f"<cell {len(linecache.cache)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), globals())

if __name__ == "__main__":
    with executor:
        for _ in range(2):
            assert executor.submit(compute, 1).result() == 6
            assert executor.submit(Point(2).scaled, by=5).result().x == 30
            assert type(executor.submit(Point, 7).result()) is Point
        assert executor.submit(lambda n: n + SCALE, 1).result() == 4
        assert executor.submit(functools.partial(compute, 2)).result() == 9
        assert executor.submit(beside.double, 4).result() == 8
        assert executor.submit(dispytw_compute).result() == "mine"
        cell("def redefined(): return 'first'")
        assert [executor.submit(redefined).result() for _ in range(4)] == ["first"] * 4
        cell("def redefined(): return 'second'")
        assert [executor.submit(redefined).result() for _ in range(4)] == ["second"] * 4
        assert list(executor.map(compute, range(5), chunksize=2)) == [3, 6, 9, 12, 15]
    print("all called")
"""

BESIDE = """
def double(n):
    return 2 * n
"""

#: test_interpreter_shutdown, test_hang_gh83386 and test_submit_after_interpreter_shutdown. No call returns before main has ended.
END = """
import atexit, fcntl, os, sys, threading
import dispytw
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

def wait(gate):
    import fcntl
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)

gate = open(os.path.abspath("gate"), "w")
fcntl.flock(gate, fcntl.LOCK_EX)

def open_gate():
    threading.main_thread().join()
    fcntl.flock(gate, fcntl.LOCK_UN)

threading.Thread(target=open_gate, daemon=True).start()

@atexit.register
def run_last():
    try:
        first.submit(id, None)
    except RuntimeError:
        print("runtime-error")

first, second = dispytw.Executor(sys.argv[1:]), dispytw.Executor(sys.argv[1:])
first.submit(wait, gate.name).add_done_callback(lambda future: print("apple"))
second.submit(wait, gate.name).add_done_callback(lambda future: print("pear"))
second.shutdown(wait=False)
print("the end")
"""


class ExecutorTests(SynchronousTestCase):
    """One node for all."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def test_a_part_of_the_contract(self) -> None:
        """CPython's tests of these names pass."""
        done = self.daemons.program(CONTRACT, self.node.address, *QUICK)
        self.assertEqual(0, done.code, done)
        self.assertEqual({name.partition(".")[2] for name in QUICK}, set(done.out.split()))

    def test_any_function(self) -> None:
        """Functions with what they use, methods, classes, lambdas, partials, of the program and beside it; one that is defined anew."""
        self.daemons.file("beside.py", BESIDE)
        done = self.daemons.program(FUNCTIONS, self.node.address)
        self.assertEqual((0, "all called\n"), (done.code, done.out), done)

    def test_the_end_of_a_program(self) -> None:
        """Calls that are under way end, callbacks are called, and nothing is taken any more."""
        done = self.daemons.program(END, self.node.address)
        self.assertEqual((0, ""), (done.code, done.err), done)
        first, *called, last = done.out.split("\n")[:4]
        self.assertEqual(("the end", ["apple", "pear"], "runtime-error"), (first, sorted(called), last))
