"""No daemon unpickles anything: shown on one that would die of it."""

from __future__ import annotations

import signal
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons, RunningNode

#: A node that aborts when anything is unpickled while its reactor runs. Before that, Twisted reads its own list of plugins so.
DEADLY = """
import os, pickle, resource, sys, _pickle
from twisted.internet import reactor
from dispytw.node import tap
from dispytw.node.connections import ConnectionFromScheduler

UNPICKLERS = [getattr(module, name) for module in (pickle, _pickle) for name in ("load", "loads", "Unpickler")]
UNPICKLERS += [pickle._load, pickle._loads, pickle._Unpickler]

def die(*arguments, **keywords):
    os.write(2, b"something was unpickled\\n")
    os.abort()

def arm():
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if module is not sys.modules["__main__"] and any(value is each for each in UNPICKLERS):
                setattr(module, name, die)
    os.write(2, b"armed\\n")

def plant():
    command, responder = ConnectionFromScheduler._commandDispatch[b"RunJobs"]

    def planted(self, **arguments):
        pickle.loads(pickle.dumps(0))
        return responder(self, **arguments)

    ConnectionFromScheduler._commandDispatch[b"RunJobs"] = command, planted

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if sys.argv[1] == "planted":
    plant()
reactor.callWhenRunning(arm)
tap.main(sys.argv[2:])
"""

ALL_KINDS = """
import sys
import dispytw as dispy
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

class Point:
    def __init__(self, x):
        self.x = x

class Wrong(Exception):
    pass

def setup(start):
    global offset
    offset = start
    return 0

def compute(given):
    print("got", type(given).__name__)
    if isinstance(given, Point):
        return Point(given.x + offset)
    if isinstance(given, Wrong):
        raise given
    return given

if __name__ == "__main__":
    import functools
    large = bytes(range(256)) * 4096
    with dispy.JobCluster(compute, nodes=sys.argv[1:], setup=functools.partial(setup, 100)) as cluster:
        given = [7, {"plain": [1.5, None]}, Point(3), large, [Point(n) for n in range(3)], (lambda x: x)]
        results = [cluster.submit(each)() for each in given[:-1]]
        assert results[0] == 7 and results[1] == given[1] and results[2].x == 103, results[:3]
        assert results[3] == large and [each.x for each in results[4]] == [0, 1, 2]
        assert cluster.submit(given[-1])()(5) == 5
        wrong = cluster.submit(Wrong("no"))
        assert wrong() is None and "Wrong: no" in wrong.exception, wrong.exception
    print("all passed through")
"""


class NoPickleTests(SynchronousTestCase):
    """Arguments, results, code: what is pickled passes through the daemon unopened."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)

    def node(self, planted: str) -> RunningNode:
        command = (sys.executable, str(self.daemons.file("deadly.py", DEADLY)), planted)
        return self.daemons.node("--lease", "0.01", command=command)  # what it leaves does not wait for another daemon

    def test_nothing_is_unpickled(self) -> None:
        """A program with plain values, instances, lambdas, exceptions and a mebibyte there and back leaves the node alive."""
        node = self.node("nothing planted")
        done = self.daemons.program(ALL_KINDS, node.address)
        self.assertEqual((0, "all passed through\n", ""), (done.code, done.out, done.err), done)
        self.assertEqual(0, node.stop(), node.log())
        self.assertIn("armed\n", node.log())
        self.assertNotIn("unpickled", node.log())

    def test_one_that_unpickles_dies(self) -> None:
        """A `pickle.loads` in one responder is the node's end."""
        node = self.node("planted")
        program = self.daemons.start_program(ALL_KINDS, node.address)
        self.assertEqual(-signal.SIGABRT, node.process.wait(), node.log())
        self.assertIn("something was unpickled\n", node.log())
        program.send_signal(signal.SIGKILL)
        program.wait()
