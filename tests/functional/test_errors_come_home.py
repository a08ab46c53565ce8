"""What a job raised is raised at home, and whoever waits for a job waits in his own way: a future, asyncio, Twisted."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Daemons, in_common

EVERY_PYTHON = True

ERRORS = """
import concurrent.futures, os, signal, sys, threading, time, traceback
import dispytw as dispy
from dispytw.errors import JobError, JobExitError, JobFailedError, JobKilledError
import beside

class MyError(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self):
        return MyError, (self.code,)

class Demanding(Exception):
    def __init__(self, first, second):
        super().__init__("there are two")

def compute(what):
    if what == "mine":
        raise MyError(7)
    if what == "beside":
        raise beside.Bad("from beside")
    if what == "caused":
        try:
            {}["k"]
        except KeyError as error:
            raise ValueError("second") from error
    if what == "locked":
        raise ValueError(threading.Lock())
    if what == "demanding":
        raise Demanding(1, 2)
    if what == "local":
        class Local(Exception):
            pass
        raise Local("of here")
    if what == "large":
        raise ValueError("x" * 100_000)
    if what == "exit":
        sys.exit(3)
    if what == "_exit":
        os._exit(4)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "sleep":
        time.sleep(60)
    return what

def caught(job, *kinds):
    try:
        job.future.result(timeout=20)
    except kinds as error:
        assert error is job.error is job.future.exception() and job.result is None, error
        return error
    raise AssertionError(job)

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=[sys.argv[1]], isolation=sys.argv[2])
    job = cluster.submit("mine")
    error = caught(job, MyError)
    assert error.code == 7
    assert "in compute" in str(error.__cause__) and "code 7" in job.exception and job.attempts == 1
    notes = getattr(error, "__notes__", None) or [str(error.__cause__)]
    assert f"job {job.id} on node 127.0.0.1, attempt 1" in notes[0], notes
    assert "code 7" in "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert caught(cluster.submit("beside"), beside.Bad).args == ("from beside",)
    assert "KeyError" in str(caught(cluster.submit("caused"), ValueError).__cause__)
    for what, words in [("locked", "lock"), ("demanding", "there are two"), ("large", "x"), ("interrupt", "KeyboardInterrupt")]:
        assert words in str(caught(cluster.submit(what), JobFailedError)), what
    assert type(caught(cluster.submit("local"), Exception)).__name__ == "Local"
    assert caught(cluster.submit("exit"), JobExitError).code == 3
    assert caught(cluster.submit("_exit"), JobExitError).code == 4
    assert caught(cluster.submit("kill"), JobKilledError).signal == 9
    assert cluster.submit("fine").future.result(20) == "fine"
    sleeping = [cluster.submit("sleep") for _ in range(3)]
    while sleeping[0].status != dispy.DispyJob.Running:
        time.sleep(0.01)
    for job in sleeping:
        assert job.future.cancel()
        caught_too = None
        try:
            job.future.result()
        except concurrent.futures.CancelledError:
            pass
    cluster.wait()
    assert all(job.status == dispy.DispyJob.Cancelled for job in sleeping), sleeping
    assert isinstance(sleeping[0].error, concurrent.futures.CancelledError)
    cluster.close()
    print("all home")
"""

BESIDE = """
class Bad(Exception):
    pass
"""

WAITING = """
import asyncio, concurrent.futures, sys, threading, time
import dispytw as dispy

def compute(n):
    if n < 0:
        raise ValueError(n)
    time.sleep(n)
    return n

async def main(cluster):
    before = threading.active_count()
    jobs = [cluster.submit(n / 1000) for n in range(50)]
    assert await asyncio.gather(*jobs) == [n / 1000 for n in range(50)]
    try:
        await cluster.submit(-1)
    except ValueError as error:
        assert error.args == (-1,)
    wrapped = await asyncio.gather(*[asyncio.wrap_future(cluster.submit(n).future) for n in (0, 0)])
    assert wrapped == [0, 0]
    long = cluster.submit(60)
    try:
        await asyncio.wait_for(long, 0.1)
    except asyncio.TimeoutError:
        long.finish.wait()
        assert long.status == dispy.DispyJob.Cancelled
    assert threading.active_count() == before, threading.enumerate()

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:])
    asyncio.run(main(cluster))
    jobs = [cluster.submit(n / 100) for n in (3, 0, 2)]
    called = []
    for job in jobs:
        job.future.add_done_callback(called.append)
    completed = list(concurrent.futures.as_completed([job.future for job in jobs], timeout=20))
    assert sorted(future.result() for future in completed) == [0, 0.02, 0.03]
    done, left = concurrent.futures.wait([job.future for job in jobs])
    assert len(done) == 3 and not left
    cluster.wait()
    assert set(called) == done
    cluster.close()
    print("all awaited")
"""


class ErrorsTests(SynchronousTestCase):
    """job.error, job.future, await job."""

    def setUp(self) -> None:
        self.node = in_common().node
        self.daemons = Daemons(self, common=in_common())

    def test_exceptions_come_home(self) -> None:
        """In both isolations: the program's own classes are caught as such, each death has its class, cancelled jobs theirs."""
        self.daemons.file("beside.py", BESIDE)
        for isolation in ("job", "worker"):
            done = self.daemons.program(ERRORS, self.node.address, isolation)
            self.assertEqual((0, "all home\n"), (done.code, done.out), done)

    def test_whoever_waits(self) -> None:
        """asyncio, as_completed and wait, without a thread more."""
        done = self.daemons.program(WAITING, self.node.address)
        self.assertEqual((0, "all awaited\n"), (done.code, done.out), done)
