"""A supervisor driven over its socket, as a daemon would, without Twisted."""

from __future__ import annotations

import os
import pickle
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dispytw.values import JOB, Attempt, Body, Inline, Outcome, Stored
from dispytw.wire.frames import Cancel, Decoder, Ended, Frame, Setup, Standing, Start, Started, encode
from dispytw.wire.jobframes import HEARD, Answer, Follow, Remark, Wrote
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.slots import Slot
from dispytw.worker.slotwords import TAG
from tests.worker.standin import COMMAND

#: Seconds after which a wait for a frame has failed.
DEADLINE = 20.0


def packed(*args: object) -> Inline:
    """Arguments as the stand-in's payload."""
    return Inline(pickle.dumps(args))


def opened(body: Body | None) -> object:
    """The result in a payload of the stand-in's."""
    assert body is not None
    return pickle.loads(content(body))


def content(body: Body) -> bytes:
    """The bytes of a body, wherever they are."""
    if isinstance(body, Inline):
        return body.data
    with open(body.path, "rb") as stored:
        return stored.read()


def tag_of(attempt: Attempt) -> bytes:
    """An attempt, as servers know it."""
    return TAG.pack(*attempt)


def slot_of(case: unittest.TestCase) -> Slot:
    """A supervisor's slot, closed when the test is over; its captures and long bodies are in a directory of its own."""
    directory = tempfile.mkdtemp(prefix="slot-")
    case.addCleanup(shutil.rmtree, directory)
    slot = Slot.open(directory)
    case.addCleanup(slot.close)
    return slot


def served(case: unittest.TestCase, slot: Slot) -> ServedSlot:
    """The same slot as its server has it, by descriptors of its own."""
    passed = tuple(map(os.dup, slot.passing))
    inside = ServedSlot(passed)
    for descriptor in passed:
        if descriptor != inside.private[1]:
            case.addCleanup(os.close, descriptor)
    case.addCleanup(inside._orders.close)
    case.addCleanup(inside._named.close)
    return inside


def meaning(case: unittest.TestCase, words: bytes) -> list[Started | Ended]:
    """What a supervisor makes of what a server has said."""
    slot = slot_of(case)
    slot.theirs.sendall(words)
    return slot.hear()


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def word_from(fifo: str) -> str:
    """What a job writes to the FIFO, waiting for it: by then the job is in its body."""
    deadline = time.monotonic() + DEADLINE
    heard = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            assert select.select([heard], [], [], max(0.0, deadline - time.monotonic()))[0], "the job never said its word"
            if word := os.read(heard, 4096).decode().strip():
                return word
            # Somebody who had said his word before has just closed his end. The next one always finds a reader.
            closed, heard = heard, os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            os.close(closed)
    finally:
        os.close(heard)


class Driver:
    """A running supervisor, and this process as its daemon."""

    def __init__(
        self,
        source: str,
        program: str | None = None,
        grace: float = 0.3,
        command: Sequence[str] = COMMAND,
        width: int = 4,
        isolation: str = JOB,
        max_jobs_per_worker: int | None = None,
        lease: float = 0.0,
        start_method: str | None = None,
    ) -> None:
        self.directory = tempfile.mkdtemp(prefix="supervisor-")
        self.work, self.out = self.path("work"), self.path("out")
        os.mkdir(self.work)
        with open(self.path("bundle"), "w") as bundle:
            bundle.write(source)
        self.frames: list[Frame] = []
        self._decoder = Decoder()
        self._attempts = 0
        self.spool = self.path("spool")
        facts = {"dispy_node_name": "here"}
        self._setup = Setup(
            *(self.path("bundle"), self.work, program, facts, self.out, grace, lease, self.spool),
            *(width, isolation, max_jobs_per_worker, start_method),
        )
        self._command = command
        self.process: subprocess.Popen[bytes] | None = None

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def start(self, environment: Mapping[str, str] | None = None, setup: bool = True) -> Driver:
        """Start the process, connect, and say Setup, if wanted."""
        heard, notice = os.pipe()
        argv = [*self._command, self.path("s"), str(notice)]
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[notice], env=environment
            )
        os.close(notice)
        assert os.read(heard, 1), self.log()
        os.close(heard)
        self.connect()
        if setup:
            self.say(self._setup)
        return self

    def connect(self) -> None:
        """Become the supervisor's daemon, or its next one."""
        self._decoder = Decoder()
        self.frames.clear()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(self.path("s"))

    def disappear(self) -> None:
        """Be gone, as a daemon that is killed."""
        self.socket.close()

    def stands(self) -> tuple[Standing, list[Frame]]:
        """Where the supervisor says that it stands, and what it said before that."""
        before: list[Frame] = []
        while not isinstance(frame := self.hear(lambda frame: True), Standing):
            before.append(frame)
        return frame, before

    def log(self) -> str:
        with open(self.path("log")) as log:
            return log.read()

    def say(self, *frames: Frame) -> None:
        self.socket.sendall(b"".join(map(encode, frames)))

    def hear(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first frame that is wanted, waiting for it; others are kept for later."""
        deadline = time.monotonic() + DEADLINE
        while True:
            for position, frame in enumerate(self.frames):
                if wanted(frame):
                    return self.frames.pop(position)
            assert time.monotonic() < deadline, f"got only {self.frames}; log: {self.log()}"
            received = self.socket.recv(1 << 18)
            if not received:
                raise EOFError(f"the supervisor ended; frames {self.frames}; log: {self.log()}")
            self.frames += self._decoder.feed(received)

    def hear_a(self, kind: type) -> Frame:
        return self.hear(lambda frame: isinstance(frame, kind))

    def begin(self, *args: object, body: Body | None = None, timeout: float | None = None) -> Attempt:
        """Start a job without waiting for it."""
        self._attempts += 1
        attempt = Attempt(b"%016d" % self._attempts, 1)
        self.say(Start(attempt, packed(*args) if body is None else body, timeout))
        return attempt

    def started(self, attempt: Attempt) -> float:
        frame = self.hear(lambda frame: isinstance(frame, Started) and frame.attempt == attempt)
        assert isinstance(frame, Started)
        return frame.started

    def outcome(self, attempt: Attempt) -> Outcome:
        frame = self.hear(lambda frame: isinstance(frame, Ended) and frame.attempt == attempt)
        assert isinstance(frame, Ended)
        return frame.outcome

    def run(self, *args: object, body: Body | None = None, timeout: float | None = None) -> Outcome:
        """Run one job to its end."""
        return self.outcome(self.begin(*args, body=body, timeout=timeout))

    def remark(self, attempt: Attempt) -> Remark:
        """The next remark of an attempt."""
        frame = self.hear(lambda frame: isinstance(frame, Remark) and frame.attempt == attempt)
        assert isinstance(frame, Remark)
        return frame

    def answer(self, remark: Remark, verdict: str = HEARD, text: str = "") -> None:
        self.say(Answer(remark.attempt, remark.number, verdict, text))

    def follow(self, attempt: Attempt, is_stderr: bool = False, position: int = 0) -> Wrote:
        """What an attempt has written behind the position, once there is something."""
        self.say(Follow(attempt, is_stderr, position))
        frame = self.hear(lambda frame: isinstance(frame, Wrote) and frame.attempt == attempt and frame.is_stderr == is_stderr)
        assert isinstance(frame, Wrote)
        return frame

    def cancel(self, attempt: Attempt) -> None:
        self.say(Cancel(attempt))

    def stored(self, name: str, data: bytes) -> Stored:
        with open(self.path(name), "wb") as stored:
            stored.write(data)
        return Stored(self.path(name), len(data))

    def stop(self) -> None:
        """End the supervisor, as a daemon that disappears does, and remove everything."""
        if self.process is not None:
            self.socket.close()
            if self._setup.lease:
                self.process.kill()
            try:
                self.process.wait(DEADLINE)
            finally:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory)


#: What the sources given to `SupervisorTestCase.supervisor` begin with.
PRELUDE = """
import os, sys, time
def compute(name, *args): return globals()[name](*args)
"""


class SupervisorTestCase(unittest.TestCase):
    """Starts supervisors and ends them."""

    def supervisor(self, source: str, **options: Any) -> Driver:
        driver = Driver(PRELUDE + source, **options)
        self.addCleanup(driver.stop)
        return driver.start()

    def ended(self, driver: Driver) -> int:
        assert driver.process is not None
        return driver.process.wait(DEADLINE)
