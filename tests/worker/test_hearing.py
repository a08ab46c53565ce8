"""A supervisor that hears its jobs, whether its daemon is there or not."""

from __future__ import annotations

import os
import socket

from dispytw.wire.frames import Ready
from dispytw.wire.jobframes import HEARD, Answer, Follow, Logged
from tests.worker.driving import DEADLINE, Driver, SupervisorTestCase, opened, word_from

SOURCE = """
def tells(): return [dispy_provisional_result(n, timeout=None) for n in range(2)]
def logs():
    with open("ready", "w") as word: word.write("here")
    open("gate").read()
    dispynode_logger.info("nobody is there")
    from dispytw.worker import speaking
    with speaking._connected(None) as later:
        later.shutdown(1)
        later.recv(1)  # it is closed when it has been heard, and whoever came before has been heard by then
    with open("ready", "w") as word: word.write("logged")
    open("gate").read()
"""


class HearingTests(SupervisorTestCase):
    """Its daemon goes, and another one comes."""

    def ready(self) -> Driver:
        driver = self.supervisor(SOURCE, lease=DEADLINE)
        driver.hear_a(Ready)
        for name in ("ready", "gate"):
            os.mkfifo(os.path.join(driver.work, name))
        return driver

    def test_the_next_daemon_hears_it_too(self) -> None:
        """What is not answered is said to the next daemon, under the same number, after all else; the count goes on."""
        driver = self.ready()
        attempt = driver.begin("tells")
        first = driver.remark(attempt)
        driver.disappear()
        driver.connect()
        driver.stands()
        again = driver.remark(attempt)
        self.assertEqual(first, again)
        driver.answer(again)
        second = driver.remark(attempt)
        self.assertEqual((2, 1), (second.number, opened(second.body)))
        driver.answer(second)
        self.assertEqual([0, 0], opened(driver.outcome(attempt).result))

    def test_lines_without_a_daemon(self) -> None:
        """They stand in the supervisor's own log."""
        driver = self.ready()
        attempt = driver.begin("logs")
        word_from(os.path.join(driver.work, "ready"))
        driver.socket.shutdown(socket.SHUT_WR)
        while driver.socket.recv(65536):
            pass  # until it has seen that: a line for a daemon that is about to be gone would go with it
        driver.disappear()
        for _ in range(2):
            with open(os.path.join(driver.work, "gate"), "w"):
                pass
            if _ == 0:
                self.assertEqual("logged", word_from(os.path.join(driver.work, "ready")))
        driver.connect()
        driver.frames += driver.stands()[1]  # it may have ended before
        driver.outcome(attempt)
        self.assertIn(f"job {attempt}: nobody is there", driver.log())
        self.assertEqual([], [frame for frame in driver.frames if isinstance(frame, Logged)])

    def test_what_means_nothing(self) -> None:
        """Answers and wishes for jobs that are not here are ignored, before the first job too."""
        driver = self.ready()
        attempt = driver.begin("tells")
        driver.say(Answer(attempt, 7, HEARD), Follow(attempt, False, 10**9))
        for _ in range(2):
            driver.answer(driver.remark(attempt))
        driver.outcome(attempt)
        driver.say(Answer(attempt, 1, HEARD), Follow(attempt, False, 0))
        self.assertEqual([0, 0], self._again(driver))

    def _again(self, driver: Driver) -> object:
        attempt = driver.begin("tells")
        for _ in range(2):
            driver.answer(driver.remark(attempt))
        return opened(driver.outcome(attempt).result)
