"""Real processes for one test, which end with it: nodes, programs, and whatever these start.

In ``setUp``: ``self.daemons = Daemons(self)``. Then::

    node = self.daemons.node("--cpus", "2")
    done = self.daemons.program(SOURCE, node.address)
    self.assertEqual(0, done.code, done)

Everything runs in an empty home of its own, under a mark in the environment that all descendants inherit. A test has 30 seconds: when
they are over, all logs are printed, every marked process is ended by its pid, and the waiting test fails. At the test's end every
node has to end on SIGTERM, nothing marked may be left, nor anything in a node's ``run/``, and no Python process may have tried to
send anything off this machine.

No reactor is needed: the methods block.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

import attrs
import psutil

from tests import loopback

#: Seconds that a test may take.
DEADLINE = 30.0
#: Seconds that a node gets to end after SIGTERM, and what it left to end after it.
GRACE = 10.0

#: The environment variable whose value all processes of a test share.
MARK = "DISPYTW_TEST"

#: The program that a node is, when nothing else is asked for.
NODE = (sys.executable, "-m", "dispytw.node.tap")

#: Where the package under test is imported from; processes that a test starts import it from there too.
SOURCE_ROOT = Path(__file__).parents[2]

_living: WeakSet[Daemons] = WeakSet()
_last_logs = ""


class DeadlineError(AssertionError):
    """A test has taken longer than it may."""


@attrs.frozen
class Completed:
    """How a program ended.

    :param code: exit status, or minus the signal's number.
    :param stdout: bytes.
    :param stderr: bytes.
    """

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def err(self) -> str:
        """Standard error as text."""
        return self.stderr.decode("utf-8", "backslashreplace")

    def __str__(self) -> str:
        return f"exit status {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@attrs.define(eq=False)
class RunningProgram:
    """A program, or any other command, that a test has started.

    :param out_path: file that receives its standard output.
    :param err_path: file that receives its standard error.
    """

    process: subprocess.Popen[bytes]
    out_path: Path
    err_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def send_signal(self, number: int) -> None:
        """Sends a signal to this process alone."""
        self.process.send_signal(number)

    def wait(self) -> Completed:
        """How it ended; waits for that as long as the test may."""
        code = self.process.wait()
        return Completed(code, self.out_path.read_bytes(), self.err_path.read_bytes())


@attrs.define(eq=False)
class RunningNode(RunningProgram):
    """A node that listens.

    :param host: address it listens at.
    :param port: TCP port it listens at.
    :param state_dir: its state directory.
    """

    host: str
    port: int
    state_dir: Path

    @property
    def address(self) -> str:
        """``host:port``, as programs name a node."""
        return f"{self.host}:{self.port}"

    @property
    def log_path(self) -> Path:
        """The file that receives what the node logs."""
        return self.err_path

    def log(self) -> str:
        """What the node has logged so far."""
        return self.out_path.read_text("utf-8", "replace") + self.err_path.read_text("utf-8", "replace")

    def hear(self, words: str) -> str:
        """Wait until it has logged a line with these words in it, and return that line.

        :raises AssertionError: when it ends without it.
        """
        argv = ["tail", "-n", "+1", "-f", f"--pid={self.pid}", str(self.log_path)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as following:
            assert following.stdout is not None
            try:
                for line in following.stdout:
                    if words in line:
                        return line
            finally:
                following.kill()
        raise AssertionError(f"it never logged {words!r}: {self.log()}")

    def kill(self) -> None:
        """Ends the daemon, and nothing but the daemon, by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ends the daemon by SIGTERM, as an administrator would; its exit status."""
        self.process.terminate()
        return self.process.wait()


class Owner(Protocol):
    """Whose processes they are: a test."""

    def addCleanup(self, function: Callable[..., Any], *args: Any) -> None: ...

    def fail(self, msg: str) -> NoReturn: ...


class Daemons:
    """The processes of one test, or those that several have in common (see `in_common`).

    :param test: whose processes; it is cleaned up by ``addCleanup``.
    :param seconds: how long the test may take; 0 for what has no end of its own.
    :param common: the node that programs of this test can use beside others, as its secret is theirs.
    :ivar patience: seconds that what is left in the end gets to end, before it is taken to be left behind.
    """

    def __init__(self, test: Owner, seconds: float = DEADLINE, common: Common | None = None) -> None:
        self.patience = GRACE
        self.mark = uuid.uuid4().hex
        #: A directory for the test's files; short, so that Unix sockets fit below it.
        self.root = Path(tempfile.mkdtemp(prefix="dispytw-"))
        self.home = self._directory("home")
        self.trespasses = self.root / "trespasses"
        self.environment = {**self._environment(), **(common.environment if common else {})}
        self._common = common
        self._started: list[RunningProgram] = []
        self._expired = False
        self._seconds = seconds
        if seconds:
            self._previous = signal.signal(signal.SIGALRM, self._expire)
            signal.setitimer(signal.ITIMER_REAL, seconds)
        _living.add(self)
        test.addCleanup(self._cleanup, test)

    def node(
        self,
        *options: str,
        secret: str | None = None,
        port: int = 0,
        state_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = NODE,
    ) -> RunningNode:
        """A node that listens on 127.0.0.1.

        :param options: more options of ``dispynode``.
        :param secret: its secret; by default the secret file of the test's own home, which programs of this test read too.
        :param port: TCP port; 0 for a free one.
        :param state_dir: state directory; by default a new one. Give an earlier node's to start that node again.
        :param env: environment variables beside the usual ones.
        :param command: the program and its first arguments, for a node that is no ordinary one.
        """
        directory = state_dir or self._directory(f"state-{len(self._started)}")
        if secret is not None:
            options = ("--secret-file", str(self.file(f"secret-{len(self._started)}", secret, mode=0o600)), *options)
        reading, writing = os.pipe()
        with open(reading, encoding="utf-8") as announcement:
            argv = [*command, "--host", "127.0.0.1", "--port", str(port)]
            argv += ["--state-dir", str(directory), "--announce-fd", str(writing), *options]
            try:
                started = self.start(argv, env=env, pass_fds=(writing,))
            finally:
                os.close(writing)
            host, _, announced = announcement.readline().strip().partition(" ")
        if not announced:
            raise AssertionError(f"the node ended before it listened: {started.wait()}")
        node = RunningNode(started.process, started.out_path, started.err_path, host, int(announced), directory)
        self._started[-1] = node
        return node

    def program(self, source: str | Path, *arguments: str, env: Mapping[str, str] | None = None) -> Completed:
        """Runs a Python program to its end.

        :param source: its source text, or the path of its file.
        """
        return self.start_program(source, *arguments, env=env).wait()

    def start_program(
        self, source: str | Path, *arguments: str, env: Mapping[str, str] | None = None
    ) -> RunningProgram:
        """Starts a Python program; see `program`."""
        path = source if isinstance(source, Path) else self.new_file("program.py", source)
        return self.start([sys.executable, str(path), *arguments], env=env)

    def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Completed:
        """Runs any command to its end, in the test's directory unless ``cwd`` names another."""
        return self.start(argv, env=env, cwd=cwd).wait()

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> RunningProgram:
        """Starts any command in a session of its own, with its output going to files."""
        out_path, err_path = (self.root / f"{len(self._started)}.{suffix}" for suffix in ("out", "err"))
        with out_path.open("wb") as out, err_path.open("wb") as err:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**self.environment, **(env or {})},
                cwd=cwd or self.root,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        started = RunningProgram(process, out_path, err_path)
        self._started.append(started)
        return started

    def file(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        """A file in the test's directory."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def new_file(self, name: str, content: str | bytes) -> Path:
        """A file in the test's directory whose name has a number: one that is being read is not written again."""
        return self.file(f"{len(self._started)}-{name}", content)

    def marked(self) -> list[psutil.Process]:
        """Every living process of this test, wherever it stands in the tree."""
        wanted = f"{MARK}={self.mark}".encode()
        own = {started.pid for started in self._started if started.process.poll() is None}
        return [p for p in psutil.process_iter() if p.pid in own or _carries(p, wanted)]

    def logs(self) -> str:
        """What every process of this test has written so far."""
        parts = []
        for started in self._started:
            argv = " ".join(map(str, started.process.args)) if isinstance(started.process.args, list) else ""
            code = started.process.poll()
            parts.append(f"== {argv} (pid {started.pid}, {'running' if code is None else f'exit status {code}'})")
            parts += [
                path.read_text("utf-8", "replace") for path in (started.out_path, started.err_path) if path.exists()
            ]
        if self._common is not None:
            parts += ["== the node in common", self._common.node.log()]
        return "\n".join(part for part in parts if part)

    def _directory(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(mode=0o700)
        return path

    def _environment(self) -> dict[str, str]:
        """What a new user's shell has, and our mark. Nothing of the tester's own home or settings gets in."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "TMPDIR": str(self._directory("tmp")),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([str(self._guard()), str(SOURCE_ROOT)]),
            loopback.REPORT: str(self.trespasses),
            MARK: self.mark,
        }

    def _guard(self) -> Path:
        """A directory that makes Python processes stay on this machine."""
        guard = self._directory("guard")
        (guard / "sitecustomize.py").write_text(loopback.CUSTOM)
        return guard

    def _expire(self, number: int, frame: FrameType | None) -> None:
        """The time is over. Runs in the main thread, wherever that waits, and ends the wait."""
        self._expired = True
        print(f"\nafter {self._seconds:g} seconds:\n{self.logs()}", file=sys.stderr)
        sys.stderr.flush()
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        self._end_all()
        raise DeadlineError(f"the test took more than {self._seconds:g} seconds; its logs are above")

    def _end_all(self) -> list[str]:
        """Kills every process of this test, by pid, until none is left; what these were."""
        ended = []
        while left := self.marked():
            for process in left:
                ended.append(_described(process))
                _kill(process)
            psutil.wait_procs(left, timeout=GRACE)
        for started in self._started:
            started.process.poll()
        return ended

    def _cleanup(self, test: Owner) -> None:
        global _last_logs
        if self._seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)
        faults = [] if self._expired else self._farewell()
        _last_logs = self.logs()
        self._end_all()
        for started in self._started:
            started.process.wait()
        _living.discard(self)
        shutil.rmtree(self.root)
        if self._expired:
            test.fail(f"the test took more than {self._seconds:g} seconds")
        if faults:
            test.fail("\n".join([*faults, _last_logs]))

    def _farewell(self) -> list[str]:
        """Asks the nodes to end, and says what does not end as it should."""
        if self._common is not None:
            self._common.settle()
        nodes = [s for s in self._started if isinstance(s, RunningNode)]
        asked = [node for node in nodes if node.process.poll() is None]
        for node in asked:
            node.process.terminate()
        faults = [f"node {n.address} did not end within {GRACE:g} s of SIGTERM" for n in asked if not _ends(n.process)]
        faults += [
            f"left in {node.state_dir}/run: {', '.join(left)}"
            for node in asked
            if (left := _names(node.state_dir / "run"))
        ]
        if self.trespasses.exists():
            faults += self.trespasses.read_text("utf-8").splitlines()
        _, left = psutil.wait_procs(self.marked(), timeout=self.patience)
        return faults + [f"left behind: {_described(process)}" for process in left]


class Common:
    """A node that tests use one after another, and whatever else they have in common; the owner of these processes.

    :ivar node: it has two slots, and answers nobody who looks for nodes.
    :ivar secret_file: what opens it.
    :ivar environment: what lets programs do so.
    """

    def __init__(self) -> None:
        self._cleanups: list[Callable[[], Any]] = []
        self.daemons = Daemons(self, seconds=0)
        self.node = self.daemons.node("--no-discovery", "--cpus", "2")
        self.secret_file = self.daemons.home / ".config/dispytw/secret"
        self.environment = {"DISPYTW_SECRET_FILE": str(self.secret_file)}

    def addCleanup(self, function: Callable[..., Any], *args: Any) -> None:
        self._cleanups.append(partial(function, *args))

    def fail(self, msg: str) -> NoReturn:
        raise AssertionError(msg)

    def settle(self) -> None:
        """Wait until the node has done with what it did for whoever has just used it: the next one would hear that it is in use."""
        psutil.wait_procs([each for each in self.daemons.marked() if each.pid != self.node.pid], timeout=GRACE)

    def end(self) -> None:
        """Look what is left, and end it.

        :raises AssertionError: when it does not end as it should.
        """
        while self._cleanups:
            self._cleanups.pop()()


_common: list[Common] = []


def in_common() -> Common:
    """For tests that want a node, and nothing more of it. Under pytest it ends with the last test of the module, else with the process."""
    if not _common:
        _common.append(Common())
    return _common[0]


def end_in_common() -> None:
    """End what was made by `in_common`; see `Common.end`."""
    while _common:
        _common.pop().end()


def logs_of_the_last_test() -> str:
    """The logs of the last test that had processes, once: the next call returns nothing."""
    global _last_logs
    logs, _last_logs = _last_logs, ""
    return logs


def _carries(process: psutil.Process, mark: bytes) -> bool:
    """Whether this process has our mark in its environment and still runs."""
    try:
        carried = mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        return carried and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.NoSuchProcess):
        # Gone, or hidden from us: a daemon hides its own, and the test knows daemons by their pid.
        return False


def _described(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"process {process.pid}, gone by now"


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass  # it was faster


def _ends(process: subprocess.Popen[Any]) -> bool:
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        return False
    return True


def _names(directory: Path) -> Iterable[str]:
    return sorted(os.listdir(directory)) if directory.exists() else []


@atexit.register
def _end_what_is_left() -> None:
    """A test run that was interrupted leaves nothing either."""
    for left in list(_living):
        left._end_all()
        shutil.rmtree(left.root, ignore_errors=True)
