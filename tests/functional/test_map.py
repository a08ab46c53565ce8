"""cluster.map over a real node: endless iterators, chunks, errors in their place, and nothing left behind by who leaves early."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons, in_common

MAPS = """
import concurrent.futures, itertools, os, sys, time
import dispytw as dispy

class MyError(Exception):
    pass

def compute(n, plus=0):
    if n == 13:
        raise MyError(n)
    if n == 31:
        sys.exit(3)
    if plus == "sleep":
        time.sleep(60)
    return n * n + plus, os.getpid()

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=[sys.argv[1]], isolation=sys.argv[2])
    results = cluster.map(range(3000))
    had, kinds = [], []
    while True:
        try:
            had.append(next(results))
        except StopIteration:
            break
        except (MyError, dispy.errors.JobExitError) as error:
            assert "in compute" in str(error.__cause__), error
            kinds.append((len(had), type(error).__name__))
    assert kinds == [(13, "MyError"), (30, "JobExitError")], kinds
    assert [n for n, _ in had] == [n * n for n in range(3000) if n not in (13, 31)]
    pids = {pid for _, pid in had}
    assert len(pids) < 1000, len(pids)  # calls went together
    before = cluster.view.jobs
    assert sorted(n for n, _ in cluster.map([1, 2, 3], itertools.count(5), ordered=False)) == [6, 10, 16]
    assert cluster.view.jobs == before + 3
    for n, _ in cluster.map(itertools.count(100), window=4):
        if n > 150 * 150:
            break
    results = cluster.map(itertools.count(100), itertools.repeat("sleep"), timeout=0.5)
    try:
        next(results)
    except concurrent.futures.TimeoutError as error:
        assert "0.5 seconds" in str(error)
    else:
        raise AssertionError
    assert cluster.wait(20)  # what was left by both has been cancelled
    cluster.close()
    print("all mapped")
"""

PROGRAM = """
import sys
import dispytw as dispy

if __name__ == "__main__":
    with dispy.JobCluster("/usr/bin/test", nodes=[sys.argv[1]]) as cluster:
        print(list(cluster.map(["a", "", "b"])))
"""


class MapTests(SynchronousTestCase):
    """One walk in each isolation."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def test_maps(self) -> None:
        """Results and errors in order, in chunks; unordered; endless; with a timeout."""
        for isolation in ("job", "worker"):
            done = self.daemons.program(MAPS, self.node.address, isolation)
            self.assertEqual((0, "all mapped\n"), (done.code, done.out), done)

    def test_programs(self) -> None:
        """Each argument is a run of the program."""
        done = self.daemons.program(PROGRAM, self.node.address)
        self.assertEqual((0, "[0, 1, 0]\n"), (done.code, done.out), done)
