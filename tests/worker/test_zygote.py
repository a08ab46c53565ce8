"""The supervisor's zygote: it stays small, whoever it forks is the supervisor's child, and the two end together."""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import subprocess
import sys
import unittest
from unittest import mock

import psutil

from dispytw.values import FINISHED, TERMINATED
from dispytw.wire import spool
from dispytw.wire.frames import Close, Kept, Ready, SetupFailed
from dispytw.worker import descriptors, forking, zygote
from dispytw.worker.zygote import CAN_HAVE_ONE, Zygote, _Life, _received, _send
from tests.worker.driving import DEADLINE, Driver, SupervisorTestCase, is_alive, opened

#: What is done here is the kernel's, whatever the Python.
EVERY_PYTHON = False

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: What a process that is forked for every job has no use for.
HEAVY = {"typing", "attr", "attrs", "msgpack", "logging", "socket", "selectors", "subprocess", "tempfile", "shutil", "random", "threading", "dill"}

SOURCE = """
import signal
def setup():
    print("setting up in", os.getpid(), flush=True)
    return 0
def cleanup(): open(os.path.join(dispy_job_path, "cleaned"), "w").write(str(os.getpid()))
def parents():
    found = [os.getpid()]
    while found[-1] != 1:
        with open(f"/proc/{found[-1]}/stat") as status: found.append(int(status.read().rpartition(")")[2].split()[1]))
    return found
def descriptors():
    links = []
    for name in os.listdir("/proc/self/fd"):
        try: links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError: pass  # what listed them
    return links
"""


def living(driver: Driver) -> psutil.Process:
    """The zygote: the first that the supervisor has forked; it need not have the lowest number, as these begin anew."""
    assert driver.process is not None
    return min(psutil.Process(driver.process.pid).children(), key=psutil.Process.create_time)


@unittest.skipUnless(CAN_HAVE_ONE, "there are zygotes on Linux only")
class Living(SupervisorTestCase):
    """In a real supervisor."""

    def watched(self, pid: int) -> int:
        """A descriptor that can be read when the process has ended, whoever reaps it."""
        watched = os.pidfd_open(pid)
        self.addCleanup(os.close, watched)
        return watched

    def test_what_it_has_in_memory(self) -> None:
        """Nothing is loaded that jobs rarely need, as every fork copies it; the supervisor loads it later."""
        listing = "import dispytw.worker.__main__, sys; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-S", "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE)
        self.assertIn("dispytw.worker.performer", loaded.stdout.split())
        self.assertEqual(set(), HEAVY & set(loaded.stdout.split()))

    def test_what_is_loaded_once(self) -> None:
        """What the jobs of a program need for their arguments, and those of many calls for their answers, is not loaded by each."""
        program = """
import sys, tempfile
from unittest import mock
from dispytw.wire.bundle import Bundle
from dispytw.worker.computation import Computation, Terms
from dispytw.worker.forker import Forker
directory = tempfile.gettempdir()
def lay_out(program):
    Computation(Terms(Bundle(), frozenset(), directory, program, {}, directory, "", "job", None, "")).lay_out()
    print("msgpack" in sys.modules)
def perform(payload):
    Forker(mock.Mock(), mock.Mock())._performing(lambda: -1)(bytes(20) + b"i" + payload)
    print("msgpack" in sys.modules)
"""
        for calls, loaded in (
            ("lay_out(None); lay_out('/bin/true')", ["False", "True"]),
            ("perform(b'p'); perform(b'b')", ["False", "True"]),
            ("perform(b's')", ["True"]),
        ):
            with self.subTest(calls):
                command = [sys.executable, "-c", program + calls]
                found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE)
                self.assertEqual(loaded, found.stdout.split())

    def test_whose_child_a_forker_is(self) -> None:
        """The supervisor's, which hears of its end; setup() ran in the zygote."""
        for isolation in ("job", "worker"):
            with self.subTest(isolation):
                driver = self.supervisor(SOURCE, isolation=isolation)
                driver.hear_a(Ready)
                assert driver.process is not None
                parents = opened(driver.run("parents").result)
                assert isinstance(parents, list)
                self.assertEqual(driver.process.pid, parents[2 if isolation == "job" else 1])
                self.assertIn(f"setting up in {living(driver).pid}", driver.log())

    def test_what_it_has_open(self) -> None:
        """Nothing of the supervisor's but the pair that they talk through; and a job not even that."""
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        driver.run("parents")
        zygotes = [os.readlink(f"/proc/{living(driver).pid}/fd/{name}") for name in os.listdir(f"/proc/{living(driver).pid}/fd")]
        self.assertEqual(1, sum(link.startswith("socket:") for link in zygotes), zygotes)
        links = opened(driver.run("descriptors").result)
        assert isinstance(links, list)
        self.assertEqual([], [link for link in links if "socket:" in link or "pipe:" in link])

    def test_cleanup_runs_where_setup_ran(self) -> None:
        """In the zygote, which then ends."""
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        pid = living(driver).pid
        driver.say(Close())
        self.assertEqual(0, self.ended(driver))
        with open(os.path.join(driver.work, "cleaned")) as cleaned:
            self.assertEqual(pid, int(cleaned.read()))
        self.assertFalse(is_alive(pid))

    def test_when_it_dies(self) -> None:
        """The supervisor ends in the same way, and nothing of it is left."""
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        parents = opened(driver.run("parents").result)
        assert isinstance(parents, list)
        forker = self.watched(parents[1])
        living(driver).kill()
        self.assertEqual(-signal.SIGKILL, self.ended(driver))
        self.assertEqual([forker], select.select([forker], [], [], DEADLINE)[0])

    def test_what_is_owed_when_it_dies(self) -> None:
        """Outcomes that no daemon has kept are found in the file by a later one."""
        driver = self.supervisor(SOURCE, lease=60.0)
        driver.hear_a(Ready)
        ended = driver.run("len", "four")
        driver.disappear()
        living(driver).kill()
        self.assertEqual(-signal.SIGKILL, self.ended(driver))
        self.assertEqual([ended], [each.outcome for each in spool.read(driver.spool)])

    def test_when_setup_ends_it(self) -> None:
        """The daemon sees the exit status, or the signal."""
        for statement, code in (("os._exit(7)", 7), ("os._exit(0)", 1), ("os.kill(os.getpid(), 11)", -signal.SIGSEGV)):
            with self.subTest(statement):
                driver = self.supervisor(f"def setup(): {statement}")
                self.assertEqual(code, self.ended(driver))

    def test_when_the_supervisor_dies(self) -> None:
        """So does the zygote."""
        driver = self.supervisor(SOURCE)
        driver.hear_a(Ready)
        dying = self.watched(living(driver).pid)
        assert driver.process is not None
        driver.process.kill()
        self.assertEqual([dying], select.select([dying], [], [], DEADLINE)[0])

    def test_what_setup_may_leave(self) -> None:
        """Forking goes on whatever it thinks of the standard streams, of children's ends, of orphans, of new sockets; the server lasts."""
        some = "sys.stdout = sys.stderr = None; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
        others = "import ctypes, socket; ctypes.CDLL(None).prctl(36, 1); socket.setdefaulttimeout(1e-6)"
        more = "sys.stdout.close(); signal.signal(signal.SIGCHLD, lambda *_: os.waitpid(-1, 0))"
        for left, isolation in ((some, "job"), (others, "job"), (f"{some}; {others}", "worker"), (more, "job")):
            with self.subTest(left, isolation=isolation):
                driver = self.supervisor(f"{SOURCE}\ndef setup():\n    {left}\n    return 0", isolation=isolation)
                driver.hear_a(Ready)
                outcomes = [driver.outcome(attempt := driver.begin("parents")), driver.outcome(another := driver.begin("parents"))]
                self.assertEqual([FINISHED, FINISHED], [each.status for each in outcomes], outcomes)
                first, second = (opened(each.result) for each in outcomes)
                self.assertEqual(first[isolation == "job" :], second[isolation == "job" :])  # type: ignore[index]
                driver.say(Kept((attempt, another)), Close())
                self.assertEqual(0, self.ended(driver))

    def test_no_room_for_descriptors(self) -> None:
        """The job is told, and the computation lives; where setup() has left none at all it has failed."""
        filling = """
def setup():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    global taken
    taken = []
    try:
        while True: taken.append(os.open("/dev/null", 0))
    except OSError: pass
    for _ in range(left): os.close(taken.pop())
    return 0
"""
        driver = self.supervisor(f"left = 0\n{filling}")
        failed = driver.hear_a(SetupFailed)
        assert isinstance(failed, SetupFailed)
        self.assertIn("Too many open files", failed.text)
        driver = self.supervisor(f"left = 3\n{filling}")
        driver.hear_a(Ready)
        outcome = driver.run("len", "")
        self.assertEqual(TERMINATED, outcome.status)
        self.assertIn("Too many open files", outcome.exception or "")
        driver.say(Close())
        self.assertEqual(0, self.ended(driver))

    def test_a_setup_that_fails(self) -> None:
        """What it has started is ended too."""
        driver = self.supervisor(
            "import subprocess\ndef setup():\n    print(subprocess.Popen(['sleep', '600']).pid, flush=True)\n    raise ValueError('no')"
        )
        failed = driver.hear_a(SetupFailed)
        assert isinstance(failed, SetupFailed)
        self.assertIn("ValueError: no", failed.text)
        self.assertEqual(0, self.ended(driver))
        self.assertFalse(is_alive(int(driver.log().split()[0])))


@unittest.skipUnless(CAN_HAVE_ONE, "there are zygotes on Linux only")
class Alone(unittest.TestCase):
    """Parts of it."""

    def setUp(self) -> None:
        self.ours, self.theirs = zygote.socketpair(zygote.AF_UNIX, zygote.SOCK_STREAM)
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_what_is_said_arrives(self) -> None:
        """However long, and descriptors with it."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, b"in the pipe")
        child = os.fork()
        if child == 0:
            _send(self.theirs, ("request", b"x" * 1_000_000), (reading, writing))
            os._exit(0)
        said, passed = _received(self.ours)
        os.close(writing)
        os.waitpid(child, 0)
        self.assertEqual(("request", b"x" * 1_000_000), said)
        self.assertEqual(b"in the pipe", os.read(passed[0], 100))
        self.assertFalse(any(map(os.get_inheritable, passed)))
        for descriptor in passed:
            os.close(descriptor)

    def test_an_end(self) -> None:
        """Before a word, and in the middle of one."""
        self.theirs.send(b"\x05\0\0\0abc")
        self.theirs.close()
        for _ in range(2):
            with self.assertRaises(EOFError):
                _received(self.ours)

    def test_no_process(self) -> None:
        """Where there can be none the answer tells why, and no descriptor is left."""
        gc.collect()  # what other tests have let go of is closed now, and not meanwhile
        before = set(os.listdir("/proc/self/fd"))
        passed = (os.dup(2), os.dup(2))
        life = _Life(self.theirs, os.getpid())
        with mock.patch.object(forking, "fork", side_effect=OSError(errno.EAGAIN, "none")), mock.patch.object(
            zygote.descriptors, "fork", side_effect=lambda passing: os.fork()
        ):
            self.assertEqual(-errno.EAGAIN, life.begin(0, 2, passed))
        self.assertEqual(before, set(os.listdir("/proc/self/fd")))

    def test_the_one_between_dies(self) -> None:
        """Before it has told whom it has forked: there is no process, and no descriptor is left."""
        gc.collect()
        before = set(os.listdir("/proc/self/fd"))
        child = os.fork()
        if child == 0:
            os._exit(0)
        with mock.patch.object(zygote.descriptors, "fork", return_value=child):
            self.assertLess(_Life(self.theirs, os.getpid()).begin(0, 0), 0)
        self.assertEqual(before, set(os.listdir("/proc/self/fd")))

    def test_what_its_end_leaves(self) -> None:
        """The number of a descriptor that was ours may be the user's next one, which children keep."""
        number = descriptors.keep(self.ours.fileno())
        Zygote(self.ours, 0).end()
        opened = os.dup2(2, number)
        self.addCleanup(os.close, opened)
        child = os.fork()
        if child == 0:
            os._exit(os.path.exists(f"/proc/self/fd/{opened}"))
        self.assertEqual(1, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_descriptors_that_got_lost(self) -> None:
        """As there was no room for them: that is told."""
        self.assertEqual(-errno.EMFILE, _Life(self.theirs, os.getpid()).begin(0, 1))

    def test_ending_likewise(self) -> None:
        """An exit status, or a signal; never a success, as a computation that has lost its process has none."""
        for wait_status, code in ((7 << 8, 7), (0, 1), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM)):
            with self.subTest(wait_status):
                ending = f"from dispytw.worker.zygote import end_likewise; end_likewise({int(wait_status)})"
                self.assertEqual(code, subprocess.run([sys.executable, "-c", ending], cwd=ROOT, timeout=DEADLINE).returncode)
