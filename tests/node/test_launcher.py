"""The launcher against real supervisors: events in order, nothing left behind, whatever dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dispytw.errors import RefusedError, UnknownComputationError
from dispytw.node import supervision
from dispytw.node.launcher import Launcher, sweep_leftovers
from dispytw.node.leftovers import MARK, Record, born, carriers
from dispytw.node.supervisorlink import scrubbed
from dispytw.values import CANCELLED, FINISHED, Attempt, Computation, File, Outcome
from tests.worker.driving import is_alive, opened, packed, word_from
from tests.worker.standin import COMMAND

PRELUDE = """
import os, signal, sys, time
def compute(name, *args): return globals()[name](*args)
def fine(): return "fine"
def sleeps(): open("ready", "w").write(str(os.getpid())); time.sleep(600)
def environment(): return dict(os.environ)
"""


@attrs.define
class Events:
    """Keeps what is told, and lets a test wait for it."""

    told: list[tuple[Any, ...]] = attrs.field(factory=list)
    _waiting: list[tuple[Callable[..., bool], Deferred[tuple[Any, ...]]]] = attrs.field(factory=list)

    def _tell(self, *event: Any) -> None:
        self.told.append(event)
        for entry in [each for each in self._waiting if each[0](*event)]:
            self._waiting.remove(entry)
            entry[1].callback(event)

    def supervisor_ready(self, computation: bytes) -> None:
        self._tell("ready", computation)

    def setup_failed(self, computation: bytes, text: str) -> None:
        self._tell("failed", computation, text)

    def job_started(self, computation: bytes, attempt: Attempt, started: float) -> None:
        self._tell("started", computation, attempt, started)

    def job_ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> None:
        self._tell("ended", computation, attempt, outcome)

    def supervisor_ended(self, computation: bytes, text: str) -> None:
        self._tell("gone", computation, text)

    def next(self, kind: str, *beginning: Any) -> Deferred[tuple[Any, ...]]:
        """The next event of this kind whose fields begin so, also one told before."""
        wanted = lambda *event: event[: 1 + len(beginning)] == (kind, *beginning)  # noqa: E731
        fired: Deferred[tuple[Any, ...]] = Deferred()
        for event in self.told:
            if wanted(*event):
                fired.callback(event)
                return fired
        self._waiting.append((wanted, fired))
        return fired

    def kinds(self, computation: bytes) -> list[str]:
        return [event[0] for event in self.told if event[1] == computation]


class LauncherContract:
    """What any launcher does; ``make`` gives one, with its events."""

    timeout = 20

    def make(self, run_dir: str, events: Events) -> Any:
        raise NotImplementedError

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="launcher-")
        self.run = os.path.join(self.directory, "run")
        os.mkdir(self.run, 0o700)
        self.events = Events()
        self.launcher = self.make(self.run, self.events)
        self._attempts = 0

    async def _end(self) -> None:
        await self.launcher.stop()
        shutil.rmtree(self.directory)

    def tearDown(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._end())

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def launch(self, source: str = "", **fields: Any) -> bytes:
        """Launch a computation of that source; returns its uid."""
        uid = os.urandom(16)
        work = self.path(uid.hex())
        os.mkdir(work)
        with open(work + ".bundle", "w") as bundle:
            bundle.write(PRELUDE + source)
        self.launcher.launch(
            Computation(uid, "compute", File("bundle", bytes(32), 0), **fields), work + ".bundle", work, "10.0.0.1"
        )
        return uid

    def attempt(self) -> Attempt:
        self._attempts += 1
        return Attempt(b"%016d" % self._attempts, 1)

    def start(self, uid: bytes, *calls: tuple[Any, ...]) -> list[Attempt]:
        attempts = [(self.attempt(), packed(*call)) for call in calls]
        self.launcher.start(uid, attempts)
        return [attempt for attempt, _ in attempts]

    async def outcome(self, uid: bytes, attempt: Attempt) -> Outcome:
        outcome = (await self.events.next("ended", uid, attempt))[3]
        assert isinstance(outcome, Outcome)
        return outcome

    async def test_many_jobs(self) -> None:
        """Jobs started in one call, even before setup() has ended, each start and end once; then the computation is closed."""
        uid = self.launch("def setup(): return 0")
        attempts = self.start(uid, *[("fine",)] * 8)
        for attempt in attempts:
            outcome = await self.outcome(uid, attempt)
            self.assertEqual((outcome.status, opened(outcome.result)), (FINISHED, "fine"))
        self.launcher.close(uid)
        self.assertEqual((await self.events.next("gone"))[1:], (uid, ""))
        kinds = self.events.kinds(uid)
        self.assertEqual((kinds[0], kinds[-1], kinds.count("gone")), ("ready", "gone", 1))
        self.assertEqual((kinds.count("started"), kinds.count("ended")), (8, 8))

    async def test_a_failed_setup(self) -> None:
        """The traceback is told, then the end; the computation can be launched anew."""
        uid = self.launch("def setup(): raise ValueError('no data')")
        self.assertIn("ValueError: no data", (await self.events.next("failed"))[2])
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["failed", "gone"])

    async def test_a_cancel(self) -> None:
        """A running job is cancelled; a cancel of anything else means nothing."""
        uid = self.launch()
        (attempt,) = self.start(uid, ("sleeps",))
        await self.events.next("started", uid, attempt)
        for names in ((uid, self.attempt()), (os.urandom(16), attempt), (uid, attempt), (uid, attempt)):
            self.launcher.cancel(*names)
        self.assertEqual((await self.outcome(uid, attempt)).status, CANCELLED)

    async def test_close_cancels_what_runs(self) -> None:
        """Every outcome is told before the end is."""
        uid = self.launch()
        attempts = self.start(uid, ("sleeps",), ("sleeps",))
        await self.events.next("started", uid, attempts[1])
        self.launcher.close(uid)
        self.start(uid, ("fine",))  # too late: left to whoever counts attempts
        await self.events.next("gone")
        self.assertEqual(sorted(self.events.kinds(uid)[-3:]), ["ended", "ended", "gone"])

    async def test_unknown_and_repeated_computations(self) -> None:
        """Jobs for an unknown computation and a second launch of one are errors; other words about an unknown one are not."""
        self.assertRaises(UnknownComputationError, self.launcher.start, bytes(16), [])
        self.launcher.close(bytes(16))
        self.launcher.kill(bytes(16))
        computation = Computation(self.launch(), "compute", File("bundle", bytes(32), 0))
        self.assertRaises(RefusedError, self.launcher.launch, computation, "", "", "")

    async def test_stop(self) -> None:
        """All computations end, each told; nothing is launched any more."""
        uids = [self.launch() for _ in range(3)]
        self.start(uids[0], ("sleeps",))
        await self.events.next("started")
        await self.launcher.stop()
        for uid in uids:
            self.assertEqual(self.events.kinds(uid)[-1], "gone")
        self.assertEqual(self.launcher.pids(), {})
        self.assertRaises(RefusedError, self.launch)


class LauncherTests(LauncherContract, TestCase):
    """The real launcher, real processes."""

    def make(self, run_dir: str, events: Events) -> Launcher:
        return Launcher(reactor, run_dir, {"dispy_node_name": "here"}, events, grace=0.3, command=COMMAND)

    async def ready(self, uid: bytes) -> int:
        await self.events.next("ready", uid)
        pid = self.launcher.pids()[uid]
        assert isinstance(pid, int)
        return pid

    async def test_a_killed_supervisor_leaves_nothing(self) -> None:
        """Its workers, a process that setup() started, and its files are gone when the end is told, with what happened."""
        uid = self.launch(
            "def setup():\n    if os.fork() == 0: os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)\n    return 0\n"
        )
        pid = await self.ready(uid)
        self.start(uid, ("sleeps",), ("sleeps",))
        await self.events.next("started")
        self.assertGreaterEqual(len(carriers([uid])), 3)
        os.kill(pid, signal.SIGKILL)
        text = (await self.events.next("gone"))[2]
        self.assertIn("was killed by signal 9 (SIGKILL)", text)
        self.assertEqual(carriers([uid]), [])
        self.assertFalse(is_alive(pid))
        self.assertEqual([name for name in os.listdir(self.run) if name != "out"], [])
        self.assertNotIn("failed", self.events.kinds(uid))

    async def test_kill(self) -> None:
        """kill() ends a supervisor that does not listen, here in an endless setup()."""
        reached = self.path("reached")
        os.mkfifo(reached)
        uid = self.launch(f"def setup():\n    open({reached!r}, 'w').write('reached')\n    while True: time.sleep(1)")
        await deferToThread(word_from, reached)
        self.launcher.kill(uid)
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["gone"])

    async def test_setup_timeout(self) -> None:
        """A setup() that takes longer than allowed has failed, and says so."""
        uid = self.launch("def setup(): time.sleep(600)", setup_timeout=0.2)
        self.assertIn("setup() did not end within 0.2 s", (await self.events.next("failed"))[2])
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["failed", "gone"])

    async def test_a_setup_that_crashes(self) -> None:
        """A death before setup() has ended is a failed setup, told with the end of the log."""
        uid = self.launch("def setup(): print('so far', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
        text = (await self.events.next("failed"))[2]
        self.assertIn("SIGSEGV", text)
        self.assertIn("so far", text)
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid), ["failed", "gone"])

    async def test_a_supervisor_that_cannot_start(self) -> None:
        """A program that fails at once, and one that never listens."""
        self.patch(supervision, "START_LIMIT", 0.3)
        for command, says in (
            ((sys.executable, "-c", "raise SystemExit('no such luck')"), "no such luck"),
            ((sys.executable, "-c", "import time; time.sleep(600)"), "did not start within 0.3 s"),
        ):
            self.launcher.command = command
            uid = self.launch()
            self.assertIn(says, (await self.events.next("failed", uid))[2])
            await self.events.next("gone", uid)

    async def test_a_cleanup_that_raises(self) -> None:
        """The end is told with the traceback."""
        uid = self.launch("def cleanup(): raise ValueError('dirty')")
        await self.ready(uid)
        self.launcher.close(uid)
        text = (await self.events.next("gone"))[2]
        self.assertIn("exited with status 1", text)
        self.assertIn("ValueError: dirty", text)

    async def test_the_environment_of_a_job(self) -> None:
        """No secret, no service manager's socket; the computation's mark and everything else are there."""
        for name, value in (("DISPYTW_SECRET", "x"), ("DISPYTW_RUN_SECRET_FILE", "/x"), ("CREDENTIALS_DIRECTORY", "/x"),
                            ("NOTIFY_SOCKET", "/x"), ("LISTEN_FDS", "1"), ("OMP_NUM_THREADS", "3")):  # fmt: skip
            before = os.environ.get(name)
            os.environ[name] = value
            self.addCleanup(
                os.environ.__setitem__ if before else os.environ.__delitem__, *((name, before) if before else (name,))
            )
        uid = self.launch()
        (attempt,) = self.start(uid, ("environment",))
        found = opened((await self.outcome(uid, attempt)).result)
        assert isinstance(found, dict)
        self.assertEqual(found["OMP_NUM_THREADS"], "3")
        self.assertEqual(found[MARK], uid.hex())
        self.assertEqual(
            {"DISPYTW_SECRET", "DISPYTW_RUN_SECRET_FILE", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LISTEN_FDS"}
            & set(found),
            set(),
        )

    async def test_a_long_run_directory(self) -> None:
        """A path longer than a Unix address holds is no obstacle."""
        self.launcher.run_dir = os.path.join(self.run, "d" * 120)
        os.mkdir(self.launcher.run_dir)
        uid = self.launch()
        (attempt,) = self.start(uid, ("fine",))
        self.assertEqual((await self.outcome(uid, attempt)).status, FINISHED)

    async def test_a_job_that_kills_its_supervisor(self) -> None:
        """Its attempt gets no outcome here; the end of the supervisor is told once."""
        uid = self.launch("def murders(): os.kill(os.getppid(), signal.SIGKILL)")
        self.start(uid, ("murders",))
        await self.events.next("gone")
        self.assertEqual(self.events.kinds(uid).count("gone"), 1)
        self.assertNotIn("ended", self.events.kinds(uid))


class LeftoversTests(SynchronousTestCase):
    """What a starting node ends, and what it does not."""

    def setUp(self) -> None:
        self.run = tempfile.mkdtemp(prefix="leftovers-")
        self.addCleanup(shutil.rmtree, self.run)
        self.uid = os.urandom(16)

    def _sleeper(self, *, marked: bool) -> subprocess.Popen[bytes]:
        environment = {**os.environ, MARK: self.uid.hex()} if marked else None
        process = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"],
            env=environment,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        process.stdout.readline()
        return process

    def _record(self, process: subprocess.Popen[bytes] | None, when: str | None = None) -> None:
        pid = 0 if process is None else process.pid
        Record(self.uid, pid, born(pid) if when is None else when).write(os.path.join(self.run, "a.pid"))

    def test_processes_that_carry_the_mark(self) -> None:
        """Everything marked with a recorded computation is ended, even if the daemon died before it knew the pid."""
        process = self._sleeper(marked=True)
        self._record(None)
        self.assertEqual(sweep_leftovers(self.run, Logger()), 1)
        self.assertFalse(is_alive(process.pid))
        self.assertEqual(os.listdir(self.run), [])

    def test_a_recorded_supervisor_without_the_mark(self) -> None:
        """A supervisor that wiped its environment is found by its pid."""
        process = self._sleeper(marked=False)
        self._record(process)
        self.assertEqual(sweep_leftovers(self.run, Logger()), 1)
        self.assertFalse(is_alive(process.pid))

    def test_a_reused_pid_is_left_alone(self) -> None:
        """The same pid with another start time is somebody else."""
        process = self._sleeper(marked=False)
        self._record(process, when="1")
        self.assertEqual(sweep_leftovers(self.run, Logger()), 0)
        self.assertTrue(is_alive(process.pid))

    def test_unrecorded_and_torn_records(self) -> None:
        """Other nodes' computations are not touched; a torn record and other files are removed."""
        process = self._sleeper(marked=True)
        os.mkdir(os.path.join(self.run, "out"))
        for name, text in (("a.pid", "zz"), ("b.pid", ""), ("c.pid", "00 1"), ("b.log", "text"), ("out/x", "result")):
            with open(os.path.join(self.run, name), "w") as written:
                written.write(text)
        self.assertEqual(sweep_leftovers(self.run, Logger()), 0)
        self.assertTrue(is_alive(process.pid))
        self.assertEqual(os.listdir(self.run), [])


class ScrubTests(SynchronousTestCase):
    """The environment of a supervisor."""

    def test_what_goes_and_what_stays(self) -> None:
        """Names that hold secrets or sockets go, the rest stays, the mark is set."""
        environment = {
            b"DISPYTW_NODE_SECRET_FILE": b"1",
            b"LISTEN_PID": b"1",
            b"PATH": b"/bin",
            b"DISPYTW_RUN_NODE": b"n",
            b"SECRET": b"users",
        }
        kept = {b"PATH": b"/bin", b"DISPYTW_RUN_NODE": b"n", b"SECRET": b"users", b"DISPYTW_COMPUTATION": b"00" * 16}
        self.assertEqual(scrubbed(environment, bytes(16)), kept)
