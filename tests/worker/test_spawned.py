"""Fresh processes behind a real supervisor: jobs find what setup() has left, and go as they do in forked ones."""

from __future__ import annotations

import os
import select
import time
from typing import Any

from dispytw.values import CANCELLED, FINISHED, TERMINATED
from dispytw.wire.frames import Close, Ready
from dispytw.worker.raising import packed_death
from tests.worker import test_following, test_forker, test_speaking
from tests.worker.driving import DEADLINE, Driver, SupervisorTestCase, content, is_alive, opened, word_from

EVERY_PYTHON = False

SOURCE = """
import ctypes, multiprocessing, signal, subprocess
from multiprocessing import resource_tracker, shared_memory
print("while it is laid out")
counted = []
def setup():
    global table, lock, value, queue, shared
    table, lock, value, queue = {1: "one"}, multiprocessing.Lock(), multiprocessing.Value("i", 0), multiprocessing.Queue()
    shared = shared_memory.SharedMemory(create=True, size=1)
    counted.append("in setup")
    os.environ["SET_IN_SETUP"] = "yes"
    return 0
def cleanup():
    with open("cleaned", "w") as file: file.write(f"{value.value} {shared.buf[0]} {counted}")
    shared.close(); shared.unlink()
def look():
    counted.append("in a job")
    with lock:
        value.value += 1
        shared.buf[0] += 1
    own_tracker = resource_tracker._resource_tracker._pid
    return table, counted, os.environ["SET_IN_SETUP"], dispy_node_name, os.getcwd(), own_tracker
def puts(word): queue.put(word); queue.close(); queue.join_thread()
def gets(): return queue.get(timeout=10)
def who(): return os.getpid(), os.getppid(), os.getsid(0)
def inherited():
    code = "import os; print(*(name for name in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + name)))"
    return subprocess.run([sys.executable, "-c", code], close_fds=False, capture_output=True, text=True).stdout.split()
def prints(text): print(text); os.write(2, b"error"); return b"r" * 100_000
def raises(): raise ValueError("no")
def exits(): os._exit(7)
def segfaults(): ctypes.string_at(0)
def leaves_children():
    worker = multiprocessing.get_context("fork").Process(target=finishes)
    worker.start()
    return subprocess.Popen(["sleep", "600"], start_new_session=True).pid
def finishes():
    time.sleep(0.1)
    with open("finished", "w") as file: file.write("yes")
"""


class SpawnedCase(SupervisorTestCase):
    """One supervisor that is ready."""

    isolation = "job"

    def driver_of(self, source: str = SOURCE, **options: Any) -> Driver:
        driver: Driver = self.supervisor(source, **{"isolation": self.isolation, "width": 1, "start_method": "spawn", **options})
        driver.hear_a(Ready)
        return driver

    def returned(self, driver: Driver, *args: object) -> Any:
        outcome = driver.run(*args)
        self.assertEqual((FINISHED, None), (outcome.status, outcome.exception))
        return opened(outcome.result)


class OneJobEach(SpawnedCase):
    """A fresh process for each job."""

    def test_what_setup_left(self) -> None:
        """Globals are copies, what belongs to multiprocessing is shared, and cleanup() finds both where setup() ran."""
        driver = self.driver_of()
        for _ in range(2):
            found = self.returned(driver, "look")
            self.assertEqual(({1: "one"}, ["in setup", "in a job"], "yes", "here", os.path.realpath(driver.work), None), found)
        self.returned(driver, "puts", "word")
        self.assertEqual("word", self.returned(driver, "gets"))
        driver.say(Close())
        self.assertEqual(0, self.ended(driver))
        with open(os.path.join(driver.work, "cleaned")) as file:
            self.assertEqual("2 2 ['in setup']", file.read())

    def test_whose_processes_they_are(self) -> None:
        """Each is a child of the supervisor, leads a session of its own, and gives no descriptor of ours to what it starts."""
        driver = self.driver_of()
        assert driver.process is not None
        found = [self.returned(driver, "who") for _ in range(2)]
        self.assertEqual([(pid, driver.process.pid, pid) for pid, _, _ in found], found)
        self.assertEqual(2, len({pid for pid, _, _ in found}))
        self.assertEqual(["0", "1", "2"], self.returned(driver, "inherited"))

    def test_a_supervisor_that_dies_meanwhile(self) -> None:
        """Takes those along that are being made ready."""
        source = (
            "if 'READY' in os.environ:\n    with open('said', 'w') as said: said.write(str(os.getpid()))\n    time.sleep(600)\n"
            "def setup(): os.environ['READY'] = 'yes'; return 0"
        )
        driver = self.driver_of(source)
        assert driver.process is not None
        os.mkfifo(os.path.join(driver.work, "said"))
        driver.begin("any")
        watched = os.pidfd_open(int(word_from(os.path.join(driver.work, "said"))))
        self.addCleanup(os.close, watched)
        driver.process.kill()
        self.assertTrue(select.select([watched], [], [], DEADLINE)[0])

    def test_what_jobs_write(self) -> None:
        """Is theirs alone, without what was printed while the process was made ready; a large result arrives."""
        driver = self.driver_of()
        outcome = driver.run("prints", "text")
        self.assertEqual((b"text\n", b"error"), (content(outcome.stdout), content(outcome.stderr)))
        self.assertEqual(b"r" * 100_000, opened(outcome.result))
        self.assertEqual(b"", content(driver.run("who").stdout))

    def test_deaths(self) -> None:
        """Each is an outcome, and the next job runs."""
        driver = self.driver_of()
        for name, text, error in (
            ("raises", "ValueError: no", None),
            ("exits", "exited with status 7 without a result", packed_death("exit", 7)),
            ("segfaults", "signal 11 (SIGSEGV)", packed_death("signal", 11)),
        ):
            outcome = driver.run(name)
            self.assertEqual((TERMINATED, None), (outcome.status, outcome.result))
            self.assertIn(text, outcome.exception or "")
            self.assertIn(error, (None, outcome.error))
        self.returned(driver, "who")

    def test_what_a_job_leaves_running(self) -> None:
        """multiprocessing ends its own children as at the end of any program, waiting for them; others are killed."""
        driver = self.driver_of()
        self.assertFalse(is_alive(self.returned(driver, "leaves_children")))
        self.assertTrue(os.path.exists(os.path.join(driver.work, "finished")))

    def test_too_slow(self) -> None:
        """The time that a process takes to be made ready is not the job's."""
        driver = self.driver_of("import time\ndef takes(): time.sleep(600)\ndef quick(): pass", grace=0.1)
        outcome = driver.run("takes", timeout=0.1)
        self.assertEqual((TERMINATED, "timed out after 0.1 s"), (outcome.status, outcome.reason))
        self.returned(driver, "quick")

    def test_where_modules_are_looked_for(self) -> None:
        """Where setup() has looked for them."""
        source = (
            "def setup():\n    global thing\n    os.mkdir('more')\n    sys.path.append(os.path.abspath('more'))\n"
            "    with open('more/extra.py', 'w') as file: file.write('class Thing: pass')\n"
            "    from extra import Thing\n    thing = Thing()\n    return 0\n"
            "def kind(): return type(thing).__module__"
        )
        self.assertEqual("extra", self.returned(self.driver_of(source), "kind"))

    def test_a_setup_that_chooses(self) -> None:
        """How multiprocessing starts processes may be said in setup, as in any program; it is what is the default already."""
        driver = self.driver_of(
            "import multiprocessing\ndef setup():\n    global lock, method\n    multiprocessing.set_start_method('spawn')\n"
            "    lock, method = multiprocessing.Lock(), multiprocessing.get_start_method()\n    return 0\n"
            "def said():\n    with lock: return method\n"
        )
        self.assertEqual("spawn", self.returned(driver, "said"))

    def test_one_that_cannot_be_made_ready(self) -> None:
        """Is tried a few times; then the job that waits ends and says why, and so do those behind it: nothing goes on for ever."""
        source = (
            "home = os.getpid()\nclass Local:\n"
            "    def __init__(self): self.pid = os.getpid()\n"
            "    def __reduce__(self): return eval, (f'__import__(\"os\").getpid() == {self.pid} or 1 / 0',)\n"
            "def setup(): globals()['local'] = Local(); return 0"
        )
        driver = self.driver_of(source)
        for attempt in [driver.begin("kind"), driver.begin("kind")]:
            outcome = driver.outcome(attempt)
            self.assertEqual((TERMINATED, "its process could not be started"), (outcome.status, outcome.reason))
            self.assertIn("no process could be made ready for the job", outcome.exception or "")
            self.assertIn("ZeroDivisionError", outcome.exception or "")
            self.assertEqual(b"", content(outcome.stderr))


class Kept(SpawnedCase):
    """Processes that run job after job."""

    isolation = "worker"

    def test_job_after_job(self) -> None:
        """One runs as many as it may; what a job leaves in memory the next one finds there, and not in the process after that."""
        driver = self.driver_of(max_jobs_per_worker=2)
        counts = [self.returned(driver, "look")[1].count("in a job") for _ in range(4)]
        self.assertEqual([1, 2, 1, 2], counts)

    def test_what_modules_have_started(self) -> None:
        """A process that the computation's code starts as it is laid out stays; what a job leaves beside it does not."""
        driver = self.driver_of(
            "import subprocess\nhelper = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "def asks(text):\n    helper.stdin.write(text + b'\\n'); helper.stdin.flush()\n"
            "    return os.getpid(), helper.stdout.readline(), subprocess.Popen(['sleep', '600']).pid\n"
        )
        pid, *first = self.returned(driver, "asks", b"one")
        self.assertEqual((pid, b"two\n"), self.returned(driver, "asks", b"two")[:2])
        self.assertEqual((b"one\n", False), (first[0], is_alive(first[1])))

    def test_cancelled(self) -> None:
        """By KeyboardInterrupt, and the process goes on; one that waits for a process that is being made ready ends at once."""
        source = (
            "def setup(): os.environ['READY'] = 'yes'; return 0\n"
            "if 'READY' in os.environ:\n    with open('gate') as gate: gate.read()\n"
            "def waits():\n    with open('said', 'w') as said: said.write(str(os.getpid()))\n    time.sleep(600)\n"
            "def who(): return os.getpid()"
        )
        driver = self.driver_of(source, grace=10.0)
        for name in ("said", "gate"):
            os.mkfifo(os.path.join(driver.work, name))
        early = driver.begin("waits")
        driver.cancel(early)
        self.assertEqual("cancelled before it started", driver.outcome(early).reason)
        with open(os.path.join(driver.work, "gate"), "w"):
            pass
        attempt = driver.begin("waits")
        pid = int(word_from(os.path.join(driver.work, "said")))
        asked = time.monotonic()
        driver.cancel(attempt)
        self.assertEqual(CANCELLED, driver.outcome(attempt).status)
        self.assertLess(time.monotonic() - asked, 10.0)
        self.assertEqual(pid, self.returned(driver, "who"))


class Cancelled(test_forker.CancelCase):
    """Cancels, as of forked workers."""

    start_method = "spawn"

    test_at_once = test_forker.CancelTests.test_a_sleeping_job_is_cancelled_at_once
    test_before_a_system_call = test_forker.CancelTests.test_a_cancel_just_before_a_system_call
    test_before_the_body = test_forker.CancelTests.test_a_cancel_before_the_body
    test_with_a_subprocess = test_forker.CancelTests.test_a_subprocess_is_gone_with_its_job


class Speaking(test_speaking.SpeakingCase):
    """What jobs say, as in forked workers."""

    start_method = "spawn"

    test_values = test_speaking.RemarkTests.test_heard_one_after_another
    test_files = test_speaking.FileTests.test_what_cannot_be_sent
    test_lines_of_the_log = test_speaking.LogTests.test_lines_go_to_the_daemon


class Followed(test_following.FollowingCase):
    """What jobs write, as in forked workers."""

    start_method = "spawn"

    test_piece_by_piece = test_following.FollowingTests.test_piece_by_piece
