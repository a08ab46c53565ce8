"""TwistedCluster against a real node: Deferreds, await, and not one thread more."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons

PROGRAM = """
import sys, threading, time
from twisted.internet import reactor, task, defer
import dispytw
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

def compute(n):
    if n < 0:
        raise ValueError(n)
    time.sleep(n / 100)
    return n * n

async def main(reactor):
    said = []
    before = threading.active_count()
    cluster = dispytw.TwistedCluster(reactor, compute, sys.argv[1:], say=said.append)
    assert await defer.gatherResults([cluster.submit(n) for n in range(10)]) == [n * n for n in range(10)]
    try:
        await cluster.submit(-1)
    except ValueError as error:
        assert "in compute" in str(error.__cause__)
    else:
        raise AssertionError
    job = cluster.submit_job(3)
    assert await job == 9 and job.ip_addr == "127.0.0.1"
    assert threading.active_count() == before, threading.enumerate()
    long = cluster.submit(100000)
    later = cluster.submit_job(100000)
    try:
        job = cluster.submit_job(100000); job()
    except dispytw.errors.ReactorThreadError:
        pass
    reactor.callLater(0.5, long.cancel)
    try:
        await long
    except defer.CancelledError:
        pass
    other = dispytw.TwistedCluster(reactor, compute, sys.argv[1:])
    await cluster.close(terminate=True)
    assert later.status == dispytw.DispyJob.Cancelled, later
    try:
        cluster.submit(1)
    except RuntimeError as error:
        print(error)
    assert await other.submit(2) == 4
    await other.close()
    assert threading.active_count() == before, threading.enumerate()
    left = dispytw.TwistedCluster(reactor, compute, sys.argv[1:])
    left.submit(100000).addErrback(lambda failure: print("left:", failure.type.__name__))
    assert await left.submit(1) == 1  # so it is on its way, or runs; it is closed by the end of the reactor
    print("all fired", said)

task.react(main)
"""


class TwistedClusterTests(SynchronousTestCase):
    """One walk."""

    def test_in_the_reactor_of_an_application(self) -> None:
        """Results, errors, cancels, closing; two clusters; one that is left when the reactor stops. The number of threads never changes."""
        daemons = Daemons(self)
        done = daemons.program(PROGRAM, daemons.node("--cpus", "2").address)
        self.assertEqual((0, "cluster compute is closed\nall fired []\nleft: CancelledError\n"), (done.code, done.out), done)
