"""A supervisor whose daemon is gone: it goes on, keeps what it knows, and tells the next one; without one it ends in order."""

from __future__ import annotations

import os

from dispytw.values import CANCELLED, FINISHED, Stored
from dispytw.wire import spool
from dispytw.wire.frames import Close, Ended, Frame, Kept, Ready, Runs, Standing, Started
from tests.worker.driving import DEADLINE, Driver, SupervisorTestCase, is_alive, opened, word_from

SOURCE = """
def fine(): return os.getpid()
def waits():
    with open("ready", "w") as ready: ready.write(str(os.getpid()))
    open("gate").read(); return "went on"
def cleanup(): print("cleaned up")
"""
#: A job that does not want to end when it is cancelled, and says that it heard.
STAYS = SOURCE + """
def stays():
    try:
        waits()
    except KeyboardInterrupt:
        waits()
"""


class AloneTests(SupervisorTestCase):
    """Real supervisors, and one daemon after another."""

    def ready(self, lease: float = DEADLINE) -> Driver:
        driver = self.supervisor(SOURCE, lease=lease)
        driver.hear_a(Ready)
        for name in ("ready", "gate"):
            os.mkfifo(os.path.join(driver.work, name))
        return driver

    def open_the_gate(self, driver: Driver) -> None:
        with open(os.path.join(driver.work, "gate"), "w"):
            pass

    def test_the_first_daemon(self) -> None:
        """Is told that there is nothing yet, before anything else."""
        driver = self.supervisor(SOURCE)
        self.assertEqual(Standing(False), driver.hear(lambda frame: True))

    def test_a_job_goes_on(self) -> None:
        """It runs while there is no daemon; the next one is told of it, with its start and the file of its arguments, and of its end."""
        driver = self.ready()
        import pickle

        args = driver.stored("args", pickle.dumps(("waits",)))
        attempt = driver.begin(body=args)
        started = driver.started(attempt)
        pid = int(word_from(os.path.join(driver.work, "ready")))
        driver.disappear()
        driver.connect()
        self.assertEqual((Standing(True), [Runs(attempt, started, args)]), driver.stands())
        self.assertTrue(is_alive(pid))
        self.open_the_gate(driver)
        outcome = driver.outcome(attempt)
        self.assertEqual((FINISHED, "went on"), (outcome.status, opened(outcome.result)))

    def test_outcomes_are_told_until_they_are_kept(self) -> None:
        """Every daemon hears of them, until one says that it keeps them."""
        driver = self.ready()
        attempts = [driver.begin("fine") for _ in range(3)]
        outcomes: list[Frame] = [Ended(attempt, driver.outcome(attempt)) for attempt in attempts]
        for kept in (0, 1, 3):
            driver.say(Kept(tuple(attempts[:kept])))
            driver.disappear()
            driver.connect()
            standing, told = driver.stands()
            self.assertEqual(standing, Standing(True))
            self.assertCountEqual(told, outcomes[kept:])

    def test_what_was_handed_over_is_heard(self) -> None:
        """Jobs that stood in the socket when the daemon disappeared are known to the next one: they run, or have ended."""
        driver = self.ready()
        attempts = [driver.begin("fine") for _ in range(50)]
        driver.disappear()
        driver.connect()
        _, told = driver.stands()
        self.assertCountEqual([frame.attempt for frame in told if isinstance(frame, (Runs, Ended))], attempts)
        for attempt in attempts:
            if not any(isinstance(frame, Ended) and frame.attempt == attempt for frame in told):
                driver.outcome(attempt)

    def test_the_lease(self) -> None:
        """When it is over, what runs is cancelled; outcomes that nobody kept are in a file, and nothing else is left."""
        driver = self.ready(lease=0.3)
        done = driver.begin("fine")
        outcome = driver.outcome(done)
        kept = driver.begin("fine")
        driver.outcome(kept)
        runs = driver.begin("waits")
        pid = int(word_from(os.path.join(driver.work, "ready")))
        driver.say(Kept((kept,)))
        driver.disappear()
        self.assertEqual(self.ended(driver), 0)
        self.assertFalse(is_alive(pid))
        left = {ended.attempt: ended.outcome for ended in spool.read(driver.spool)}
        self.assertEqual({done, runs}, set(left))
        self.assertEqual((outcome, CANCELLED), (left[done], left[runs].status))
        self.assertNotIn("cleaned up", driver.log())

    def test_a_daemon_within_the_lease(self) -> None:
        """Ends the wait: an old lease means nothing any more."""
        driver = self.ready(lease=0.5)
        first = driver.socket
        driver.connect()  # and waits until it has its turn
        first.close()
        driver.stands()
        attempt = driver.begin("waits")
        driver.started(attempt)
        word_from(os.path.join(driver.work, "ready"))
        import time

        begun = time.monotonic()
        while time.monotonic() < begun + 0.7:  # the old lease would end now
            driver.run("fine")
        self.open_the_gate(driver)
        self.assertEqual(driver.outcome(attempt).status, FINISHED)

    def test_closed_and_never_kept(self) -> None:
        """A daemon that closes it and keeps nothing gets its time; then the outcomes go to the file."""
        driver = self.ready()
        attempt = driver.begin("fine")
        outcome = driver.outcome(attempt)
        driver.say(Close())
        self.assertEqual(self.ended(driver), 0)
        self.assertEqual([Ended(attempt, outcome)], spool.read(driver.spool))
        self.assertIn("cleaned up", driver.log())

    def test_closed_and_kept(self) -> None:
        """Where everything is kept there is no file."""
        driver = self.ready()
        attempt = driver.begin("fine")
        driver.outcome(attempt)
        driver.say(Close(), Kept((attempt,)))
        self.assertEqual(self.ended(driver), 0)
        self.assertFalse(os.path.exists(driver.spool))

    def test_a_daemon_that_comes_while_it_closes(self) -> None:
        """Is told so, and what still runs."""
        driver = self.supervisor(STAYS, lease=DEADLINE, grace=DEADLINE)
        driver.hear_a(Ready)
        for name in ("ready", "gate"):
            os.mkfifo(os.path.join(driver.work, name))
        attempt = driver.begin("stays")
        started = driver.started(attempt)
        word_from(os.path.join(driver.work, "ready"))
        driver.say(Close())
        word_from(os.path.join(driver.work, "ready"))
        driver.disappear()
        driver.connect()
        self.assertEqual((Standing(True, True), [Runs(attempt, started, None)]), driver.stands())
        self.open_the_gate(driver)
        driver.outcome(attempt)
        driver.say(Kept((attempt,)))
        self.assertEqual(self.ended(driver), 0)
        self.assertFalse(os.path.exists(driver.spool))

    def test_lost_before_setup(self) -> None:
        """Of a supervisor that was never told what it is nobody knows: it ends."""
        driver = Driver(SOURCE)
        self.addCleanup(driver.stop)
        driver.start(setup=False)
        driver.disappear()
        self.assertEqual(self.ended(driver), 0)

    def test_a_large_result_stays_in_its_file(self) -> None:
        """What the outcome names is there for the next daemon."""
        driver = self.supervisor("def large(): return b'x' * 100_000", lease=DEADLINE)
        driver.hear_a(Ready)
        attempt = driver.begin("large")
        driver.outcome(attempt)
        driver.disappear()
        driver.connect()
        (ended,) = driver.stands()[1]
        assert isinstance(ended, Ended) and isinstance(ended.outcome.result, Stored)
        self.assertEqual(opened(ended.outcome.result), b"x" * 100_000)

    def test_starts_are_told_to_the_daemon_that_is_there(self) -> None:
        """A start is told once; the next daemon learns of it from the standing."""
        driver = self.ready()
        attempt = driver.begin("waits")
        driver.started(attempt)
        word_from(os.path.join(driver.work, "ready"))
        driver.disappear()
        driver.connect()
        _, told = driver.stands()
        self.assertEqual([], [frame for frame in told if isinstance(frame, Started)])
        self.open_the_gate(driver)
        driver.outcome(attempt)
