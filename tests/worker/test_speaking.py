"""What a job says while it runs, with the test as the daemon: values and files arrive, and the return value tells the truth."""

from __future__ import annotations

import os
import tempfile
import unittest
from typing import Any

from dispytw.errors import UnsafePathError
from dispytw.values import FINISHED, TERMINATED, Attempt, Stored
from dispytw.wire.frames import GivenBack, Kept, Ready, Recall
from dispytw.wire.jobframes import FILE, PROVISIONAL, REFUSED, STOPPED, UNDERWAY, Limits, Logged, Unsaid
from dispytw.worker import speaking
from dispytw.worker.speaking import client_path
from dispytw.worker.voice import voice
from tests.worker.driving import Driver, SupervisorTestCase, content, opened, tag_of

SOURCE = """
import logging
def tell(*values, timeout=10): return [dispy_provisional_result(value, timeout=timeout) for value in values]
def soon():
    from unittest import mock
    from dispytw.worker import speaking
    wait = speaking._wait
    def wait_later(*args):
        with open(os.path.join(dispy_job_path, "gate")) as gate: gate.read()
        return wait(*args)
    with mock.patch.object(speaking, "_wait", wait_later): return dispy_provisional_result(1, timeout=0.05)
def large(size): return dispy_provisional_result(b"x" * size)
def odd():
    import threading
    return dispy_provisional_result(threading.Lock())
def send(path, data=None):
    if data is not None:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "w") as file: file.write(data)
    return dispy_send_file(path)
def forked():
    pid = os.fork()
    if pid == 0:
        os._exit(-dispy_provisional_result("from a child"))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def many(count):
    import threading
    threads = [threading.Thread(target=dispy_provisional_result, args=(n, False, None)) for n in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
def interrupted():
    try: dispy_provisional_result(1, timeout=None)
    except KeyboardInterrupt: return dispy_provisional_result(2)
def logs(): dispynode_logger.warning("%s\\n%s", "one", "two")
def setup():
    globals()["in_setup"] = dispy_provisional_result(1), dispy_send_file("x")
    dispynode_logger.info("in setup")
    return 0
def what_setup_got(): return in_setup
"""


class SpeakingCase(SupervisorTestCase):
    """One supervisor that is ready, with a process for each job, or kept ones."""

    isolation = "job"
    start_method: str | None = None

    def setUp(self) -> None:
        self.driver: Driver = self.supervisor(SOURCE, isolation=self.isolation, start_method=self.start_method, grace=10.0)
        self.driver.hear_a(Ready)
        self.gate = os.path.join(self.driver.work, "gate")
        os.mkfifo(self.gate)

    def open_the_gate(self) -> None:
        """A job that wants its answer soon begins to wait for it, and finds those that were given before."""
        self.driver.say(Recall(1))
        self.driver.hear_a(GivenBack)
        with open(self.gate, "w"):
            pass

    def bodies(self) -> list[str]:
        """Files that remarks have left."""
        return [name for name in os.listdir(self.driver.directory) if ".said-" in name]

    def result(self, attempt: Any) -> Any:
        outcome = self.driver.outcome(attempt)
        self.driver.say(Kept((attempt,)))
        self.assertEqual(outcome.status, FINISHED, outcome)
        return opened(outcome.result)


class RemarkTests(SpeakingCase):
    """Provisional results."""

    def test_heard_one_after_another(self) -> None:
        """Each gets a number, and the job waits for its answer before it goes on."""
        attempt = self.driver.begin("tell", "a", "b")
        for number, value in ((1, "a"), (2, "b")):
            remark = self.driver.remark(attempt)
            self.assertEqual((number, PROVISIONAL, value), (remark.number, remark.kind, opened(remark.body)))
            self.driver.answer(remark)
        self.assertEqual([0, 0], self.result(attempt))

    def test_refused(self) -> None:
        """The job gets -1, and its stderr says why."""
        attempt = self.driver.begin("tell", "a")
        self.driver.answer(self.driver.remark(attempt), REFUSED, "nobody wants it")
        outcome = self.driver.outcome(attempt)
        self.assertEqual([-1], opened(outcome.result))
        self.assertEqual(b"dispy_provisional_result: nobody wants it\n", content(outcome.stderr))

    def test_not_answered(self) -> None:
        """After its timeout the job goes on, with -1, and the daemon learns that nobody waits any more."""
        attempt = self.driver.begin("soon")
        remark = self.driver.remark(attempt)
        self.open_the_gate()
        outcome = self.driver.outcome(attempt)
        self.assertEqual(-1, opened(outcome.result))
        self.assertIn(b"did not answer within 0.05 s", content(outcome.stderr))
        unsaid = self.driver.hear_a(Unsaid)
        self.assertEqual((attempt, remark.number), (unsaid.attempt, unsaid.number))  # type: ignore[union-attr]

    def test_time_stands_still_while_bytes_travel(self) -> None:
        """Underway, there is no timeout; when that stops, there is again."""
        attempt = self.driver.begin("soon")
        remark = self.driver.remark(attempt)
        self.driver.answer(remark, UNDERWAY)
        self.open_the_gate()
        other = self.driver.begin("soon")
        self.driver.remark(other)
        self.open_the_gate()
        self.assertEqual(-1, self.result(other))  # as long as that takes
        self.driver.answer(remark)
        self.assertEqual(0, self.result(attempt))
        attempt = self.driver.begin("soon")
        remark = self.driver.remark(attempt)
        for verdict in (UNDERWAY, STOPPED):
            self.driver.answer(remark, verdict)
        self.open_the_gate()
        self.assertEqual(-1, self.result(attempt))

    def test_long_values_are_files(self) -> None:
        """A value that is too long to be carried around is laid down, and nothing of it is left."""
        attempt = self.driver.begin("large", 1 << 20)
        remark = self.driver.remark(attempt)
        assert isinstance(remark.body, Stored)
        self.assertEqual(b"x" * (1 << 20), opened(remark.body))
        self.driver.answer(remark)
        self.assertEqual(0, self.result(attempt))
        self.assertEqual([], self.bodies())

    def test_what_cannot_be_packed(self) -> None:
        """It is the job's error, and says so."""
        outcome = self.driver.run("odd")
        self.assertEqual(TERMINATED, outcome.status)
        self.assertIn("PayloadError", outcome.exception or "")

    def test_children_and_threads(self) -> None:
        """What the job forks may speak, and so may its threads, all at once, more of them than are heard at a time."""
        attempt = self.driver.begin("forked")
        remark = self.driver.remark(attempt)
        self.assertEqual("from a child", opened(remark.body))
        self.driver.answer(remark)
        self.assertEqual(0, self.result(attempt))
        attempt = self.driver.begin("many", 300)
        heard = []
        for _ in range(300):
            remark = self.driver.remark(attempt)
            heard.append(opened(remark.body))
            self.driver.answer(remark)
        self.assertEqual(list(range(300)), sorted(heard))  # type: ignore[type-var]
        self.result(attempt)

    def test_cancelled_while_it_waits(self) -> None:
        """KeyboardInterrupt ends the wait; what is said afterwards is heard."""
        attempt = self.driver.begin("interrupted")
        self.driver.remark(attempt)
        self.driver.cancel(attempt)
        remark = self.driver.remark(attempt)
        self.assertEqual((2, 2), (remark.number, opened(remark.body)))
        self.driver.answer(remark)
        self.assertEqual(0, self.result(attempt))

    def test_setup_is_not_heard(self) -> None:
        """There is no job that could speak yet."""
        self.assertEqual((-1, -1), self.result(self.driver.begin("what_setup_got")))


class FileTests(SpeakingCase):
    """Files."""

    def test_sent(self) -> None:
        """The content is laid down, with the path that it gets at the client."""
        attempt = self.driver.begin("send", "sub/x.dat", "some data")
        remark = self.driver.remark(attempt)
        self.assertEqual((FILE, "sub/x.dat", b"some data"), (remark.kind, remark.path, content(remark.body)))
        self.driver.answer(remark)
        self.assertEqual(0, self.result(attempt))
        self.assertEqual([], self.bodies())

    def test_what_cannot_be_sent(self) -> None:
        """A file that is not there, a directory, one that is too large: -1, and stderr says why."""
        self.driver.say(Limits(5))
        for arguments, why in (
            (("missing.dat",), "No such file"), ((".",), "not plainly relative"), (("sub/..",), "not plainly relative"),
            (("/dev/zero",), "no regular file"), (("large.dat", "123456"), "6 bytes, more than the 5"),
        ):  # fmt: skip
            with self.subTest(arguments=arguments):
                outcome = self.driver.run("send", *arguments)
                self.assertEqual(-1, opened(outcome.result))
                self.assertIn(f"dispy_send_file({arguments[0]!r}): ", content(outcome.stderr).decode())
                self.assertIn(why, content(outcome.stderr).decode())
        self.assertEqual([], self.bodies())


class LogTests(SpeakingCase):
    """dispynode_logger."""

    def test_lines_go_to_the_daemon(self) -> None:
        """With the job and the level; those of setup() name no job."""
        frame = self.driver.hear_a(Logged)
        assert isinstance(frame, Logged)
        self.assertEqual((None, 20, "in setup"), (frame.attempt, frame.level, frame.text))
        attempt = self.driver.begin("logs")
        frame = self.driver.hear_a(Logged)
        assert isinstance(frame, Logged)
        self.assertEqual((attempt, 30, "one\ntwo"), (frame.attempt, frame.level, frame.text))
        self.assertEqual(b"", content(self.driver.outcome(attempt).stderr))


class KeptRemarkTests(RemarkTests):
    """The same, of kept workers."""

    isolation = "worker"


class PathTests(unittest.TestCase):
    """Where a file goes at the client."""

    def test_paths(self) -> None:
        """What is relative stays so; what is below the job's directory is relative to that; of others the name is left."""
        with tempfile.TemporaryDirectory() as home:
            for where, path in (
                ("x", "x"), ("./a//b/../x", "a/x"), (f"{home}/a/x", "a/x"), (f"{home}/../x", "x"), ("/etc/passwd", "passwd"),
                ("../x", "x"), ("../../a/x", "x"), (f"{home}/..hidden", "..hidden"),
            ):  # fmt: skip
                with self.subTest(where=where):
                    self.assertEqual(path, client_path(where, home))

    def test_paths_that_are_none(self) -> None:
        """Names that some system reads otherwise are refused."""
        for where in ("a\\b", "C:x", "/", "x" * 300):
            with self.subTest(where=where), self.assertRaises(UnsafePathError):
                client_path(where, "/home")


class WhoSpeaks(unittest.TestCase):
    """The attempt that runs in this process."""

    def test_as_a_value(self) -> None:
        """It is kept as servers know it, and is nobody before the first one."""
        self.addCleanup(setattr, voice, "tag", voice.tag)
        voice.tag = b""
        self.assertIsNone(speaking._attempt())
        attempt = Attempt(bytes(range(16)), 7)
        voice.tag = tag_of(attempt)
        self.assertEqual(attempt, speaking._attempt())
