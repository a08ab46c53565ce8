"""Faults of dispy's that no other test shows dispytw to be free of; docs/promises.csv names them all, by the numbers that stand here."""

from __future__ import annotations

import os
import signal

from twisted.trial.unittest import SynchronousTestCase

from dispytw.testing import House
from dispytw.values import FINISHED, JOB, RUNNING, TERMINATED, WORKER
from dispytw.wire.frames import Ready
from tests.worker.driving import Driver, SupervisorTestCase, opened, word_from

EVERY_PYTHON = False

HOUR = 3600.0


class Silence(SynchronousTestCase):
    """Time passes in which no job ends."""

    def test_a_job_longer_than_any_patience(self) -> None:
        """4. Neither end gives the other up while it gives signs of life: the job is started once, and the next one is welcome."""
        house = House()
        node = house.node(cpus=1, zombie_interval=60.0)
        cluster = house.client().cluster([node], pulse_interval=10.0)
        house.advance(2)
        job = cluster.submit(duration=HOUR + 600.0)
        house.advance(1)
        wires = house.wires_of(node)
        house.advance(HOUR + 590.0)
        self.assertEqual((RUNNING, wires), (job.status, house.wires_of(node)), "nobody has hung up meanwhile")
        house.advance(20.0)
        self.assertEqual((FINISHED, [1]), (job.status, house.starts[job.uid]))
        self.assertEqual([("ready", node.uid)], [each for each in cluster.heard if each[0] != "available"])
        after = cluster.submit(duration=0.1)
        house.advance(1)
        self.assertEqual(FINISHED, after.status)


class Unreachable(SynchronousTestCase):
    """A job raises while nobody can be told."""

    def test_an_exception_waits_for_its_client(self) -> None:
        """14. As a result does: it is told when the client is there again, though the node's daemon was killed meanwhile."""
        house = House()
        node = house.node(cpus=1)
        client = house.client()
        cluster = client.cluster([node])
        house.advance(2)
        job = cluster.submit(duration=-5.0)
        house.advance(1)
        client.process.suspend()
        house.advance(60)
        self.assertEqual([TERMINATED], [outcome.status for outcome in house.performed.values()])
        node.crash()
        node.restart()
        house.advance(60)
        self.assertEqual(RUNNING, job.status)
        client.process.resume()
        house.advance(60)
        self.assertEqual((TERMINATED, [1]), (job.status, house.starts[job.uid]))
        self.assertEqual(list(house.performed.values()), job.outcomes)


LOCKS = """
import logging, multiprocessing
def setup():
    global lock
    lock = multiprocessing.Lock()
    return 0
def dies(said):
    lock.acquire(); logging._lock.acquire(); sys.stdout.buffer.write(b"unfinished")
    with open(said, "w") as file: file.write(str(os.getpid()))
    dispy_provisional_result(b"x" * 40000, timeout=None)
def works(n):
    dispynode_logger.warning("working")
    print("works")
    return n, lock.acquire(block=False)
def ancestry(until):
    pid, threads = os.getppid(), []
    while pid > 1:
        threads.append(len(os.listdir(f"/proc/{pid}/task")))
        if pid == until: return threads
        pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
"""


class Forks(SupervisorTestCase):
    """19. What may go wrong between processes that come of one."""

    def test_who_forks_has_one_thread(self) -> None:
        """From a job's parent up to the supervisor, which the daemon has not forked but executed."""
        for isolation in (JOB, WORKER):
            driver = self.ready(isolation)
            assert driver.process is not None
            threads = opened(driver.run("ancestry", driver.process.pid).result)
            self.assertTrue(threads, isolation)
            self.assertEqual({1}, set(threads), isolation)  # type: ignore[call-overload]

    def test_a_job_that_is_killed_with_locks(self) -> None:
        """It holds what it can, and is in the midst of saying something: nobody's outcome waits for it, before its death or after it."""
        for isolation in (JOB, WORKER):
            with self.subTest(isolation):
                driver = self.ready(isolation)
                said = driver.path("said")
                os.mkfifo(said)
                fatal = driver.begin("dies", said)
                pid = int(word_from(said))
                driver.remark(fatal)
                self.assertEqual((1, False), opened(driver.run("works", 1).result))
                os.kill(pid, signal.SIGKILL)
                outcome = driver.outcome(fatal)
                self.assertEqual(TERMINATED, outcome.status)
                self.assertIn("signal 9 (SIGKILL)", outcome.exception or "")
                ended = [driver.outcome(attempt) for attempt in [driver.begin("works", n) for n in range(6)]]
                self.assertEqual([(n, False) for n in range(6)], [opened(each.result) for each in ended])
                self.assertEqual({FINISHED}, {each.status for each in ended})

    def ready(self, isolation: str) -> Driver:
        """A supervisor that has run setup()."""
        driver = self.supervisor(LOCKS, isolation=isolation, width=2)
        driver.hear_a(Ready)
        return driver
