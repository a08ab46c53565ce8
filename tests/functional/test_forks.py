"""A program that forks: the copy has nothing of the cluster, and does no harm to it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons

FORKS = """
import os, signal, socket, sys
import dispytw as dispy

def compute(n):
    return n + 1

def ports():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(socket.socket(fileno=os.dup(int(name))).getpeername()[1])
        except (OSError, IndexError, TypeError):
            pass
    return found

def refused(call, *args):
    try:
        call(*args)
    except RuntimeError as error:
        print(type(error).__name__, flush=True)

if __name__ == "__main__":
    address = sys.argv[1]
    port = int(address.rpartition(":")[2])
    cluster = dispy.JobCluster(compute, nodes=[address])
    job = cluster.submit(1)
    assert job() == 2
    assert port in ports()
    child = os.fork()
    if not child:
        assert port not in ports(), ports()
        assert signal.set_wakeup_fd(-1) == -1
        for call in ((cluster.submit, 1), (cluster.wait,), (dispy.JobCluster, compute), (cluster.close,)):
            refused(*call)
        print(job.result, flush=True)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert port in ports()
    assert cluster.submit(2)() == 3
    cluster.close()
"""


class ForkTests(SynchronousTestCase):
    """os.fork in a program that has a cluster."""

    def test_the_copy_has_nothing(self) -> None:
        """It holds no link's descriptor, is refused in words, may read what it has, and leaves its parent's cluster alone."""
        daemons = Daemons(self)
        done = daemons.program(FORKS, daemons.node("--cpus", "1").address)
        self.assertEqual((0, "ForkedError\n" * 4 + "2\n"), (done.code, done.out), done)
