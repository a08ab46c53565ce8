"""A supervisor's life: setup, what jobs inherit, what they do not, and its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import unittest

from dispytw.values import FINISHED, TERMINATED, Stored
from dispytw.wire.frames import Close, Ready, SetupFailed, Standing
from dispytw.worker.slots import _MESSAGES
from tests.worker.driving import DEADLINE, Driver, SupervisorTestCase, content, is_alive, opened, word_from

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class SetupTests(SupervisorTestCase):
    """What setup() returns and raises, and what it leaves."""

    def test_jobs_inherit_what_setup_left(self) -> None:
        """Globals set by setup() are there, and so is a file it opened."""
        driver = self.supervisor(
            "def setup(): globals().update(table={1: 'one'}, opened=open(dispy_job_path + '/f', 'w+')); opened.write('text'); opened.flush(); return 0\n"
            "def look(): opened.seek(0); return table, opened.read(), os.getcwd(), dispy_node_name"
        )
        self.assertIsInstance(driver.hear_a(Ready), Ready)
        self.assertEqual(opened(driver.run("look").result), ({1: "one"}, "text", driver.work, "here"))

    def test_what_setup_returns_for_success(self) -> None:
        """dispy's 0, 1 and 2 all mean success; anything else is a failure that names the value."""
        for returned, succeeds in (
            ("0", True),
            ("1", True),
            ("2", True),
            ("3", False),
            ("None", False),
            ("'0'", False),
        ):
            with self.subTest(returned):
                driver = self.supervisor(f"def setup(): return {returned}")
                answer = driver.hear(lambda frame: not isinstance(frame, Standing))
                self.assertEqual(isinstance(answer, Ready), succeeds)
                if isinstance(answer, SetupFailed):
                    self.assertIn(f"returned {returned}", answer.text)
                    self.assertEqual(self.ended(driver), 0)

    def test_a_setup_that_raises_or_exits(self) -> None:
        """The traceback comes home and the supervisor ends."""
        for statement, says in (
            ("raise ValueError('no data')", "ValueError: no data"),
            ("sys.exit(3)", "SystemExit: 3"),
        ):
            with self.subTest(statement):
                driver = self.supervisor(f"def setup():\n    {statement}")
                answer = driver.hear_a(SetupFailed)
                assert isinstance(answer, SetupFailed)
                self.assertIn(says, answer.text)
                self.assertEqual(self.ended(driver), 0)

    def test_a_bundle_that_cannot_be_opened(self) -> None:
        """Broken code is a failed setup."""
        answer = self.supervisor("def broken(:").hear_a(SetupFailed)
        assert isinstance(answer, SetupFailed)
        self.assertIn("SyntaxError", answer.text)

    def test_processes_of_setup_are_spared(self) -> None:
        """A multiprocessing Manager started by setup() serves all jobs and is gone after the end."""
        driver = self.supervisor(
            "def setup():\n    import multiprocessing\n    globals().update(manager=multiprocessing.get_context('fork').Manager())\n"
            "    globals().update(shared=manager.dict()); return 0\n"
            "def put(key): shared[key] = True; return len(shared), manager._process.pid\n"
        )
        driver.hear_a(Ready)
        pids = set()
        for count in (1, 2, 3):
            result = opened(driver.run("put", count).result)
            assert isinstance(result, tuple)
            self.assertEqual(result[0], count)
            pids.add(result[1])
        driver.say(Close())
        self.assertEqual(self.ended(driver), 0)
        self.assertEqual([pid for pid in pids if is_alive(pid)], [])

    def test_a_daemonic_process_of_setup_is_spared(self) -> None:
        """A job's end ends its own multiprocessing children, not those of setup()."""
        driver = self.supervisor(
            "import multiprocessing\n"
            "def setup():\n    process = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,), daemon=True)\n"
            "    process.start(); globals().update(process=process); return 0\n"
            "def pid(): return process.pid\n"
        )
        driver.hear_a(Ready)
        pids = [opened(driver.run("pid").result) for _ in range(2)]
        self.assertTrue(is_alive(pids[0]))  # type: ignore[arg-type]

    def test_shared_memory_of_setup(self) -> None:
        """Jobs use the shared memory that setup() made, and it is removed in the end though nobody unlinked it."""
        driver = self.supervisor(
            "from multiprocessing.shared_memory import SharedMemory\n"
            "def setup(): globals().update(shared=SharedMemory(create=True, size=10)); return 0\n"
            "def add(): shared.buf[0] += 1; return shared.buf[0], shared.name\n"
        )
        driver.hear_a(Ready)
        (_, _), (count, name) = (opened(driver.run("add").result) for _ in range(2))  # type: ignore[misc]
        self.assertEqual(count, 2)
        self.assertTrue(os.path.exists(f"/dev/shm/{name}"))
        driver.say(Close())
        self.assertEqual(self.ended(driver), 0)
        self.assertFalse(os.path.exists(f"/dev/shm/{name}"))

    def test_its_output_goes_to_the_log(self) -> None:
        """What setup() prints is in the supervisor's log, not in a job's output."""
        driver = self.supervisor("def setup(): print('setting up'); return 0\ndef quiet(): pass")
        driver.hear_a(Ready)
        self.assertEqual(content(driver.run("quiet").stdout), b"")
        self.assertIn("setting up", driver.log())


class InheritanceTests(SupervisorTestCase):
    """What a job must not find."""

    def test_each_job_has_its_own_session_and_random_numbers(self) -> None:
        """A job leads its session, and no two jobs draw the same numbers."""
        driver = self.supervisor("import random\ndef look(): return os.getsid(0) == os.getpid(), random.random()")
        driver.hear_a(Ready)
        looks = [opened(driver.run("look").result) for _ in range(3)]
        self.assertEqual([look[0] for look in looks], [True] * 3)  # type: ignore[index]
        self.assertEqual(len(set(looks)), 3)

    def test_multiprocessing_in_a_job(self) -> None:
        """A Pool works in a job and is gone after it."""
        driver = self.supervisor(
            "def pooled():\n    import multiprocessing\n    pool = multiprocessing.get_context('fork').Pool(2)\n"
            "    return pool.map(abs, [-1, -2]), [process.pid for process in pool._pool]"
        )
        driver.hear_a(Ready)
        result = opened(driver.run("pooled").result)
        assert isinstance(result, tuple)
        self.assertEqual(result[0], [1, 2])
        self.assertFalse(any(map(is_alive, result[1])))


class BodiesTests(SupervisorTestCase):
    """Arguments and results of any size."""

    def test_long_bodies_go_through_files(self) -> None:
        """Arguments come from a file, the result is in one, and the output too."""
        import pickle

        driver = self.supervisor("def turn(text): print(text); return text[::-1]")
        driver.hear_a(Ready)
        text = "abc" * 100_000
        outcome = driver.run(body=driver.stored("args", pickle.dumps(("turn", text))))
        self.assertIsInstance(outcome.result, Stored)
        self.assertEqual(opened(outcome.result), text[::-1])
        self.assertEqual(content(outcome.stdout), (text + "\n").encode())

    def test_a_result_that_fills_the_socket(self) -> None:
        """An inline result of the greatest size comes through."""
        driver = self.supervisor("def make(size): return b'z' * size")
        driver.hear_a(Ready)
        for size in (48 * 1024 - 40, 48 * 1024 + 1):
            self.assertEqual(opened(driver.run("make", size).result), b"z" * size)

    def test_output_in_utf8_and_of_odd_names(self) -> None:
        """Text is UTF-8 whatever the node's locale; a file name that is no UTF-8 is printed as it is."""
        driver = self.supervisor("def show(): print('\\u20ac', os.fsdecode(b'\\xff'))")
        driver.hear_a(Ready)
        self.assertEqual(content(driver.run("show").stdout), "\u20ac ".encode() + b"\xff\n")


class SocketsTests(SupervisorTestCase):
    """What a kept worker's jobs may do to the sockets of their slot."""

    def test_shut_down(self) -> None:
        """The job has lost its worker, or the worker its queue; the next one runs in another."""
        source = """
import socket, stat
def shut(kind):
    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                end = socket.socket(fileno=os.dup(number))
                if end.type == kind: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def again(): return os.getpid()
"""
        for kind, status in ((socket.SOCK_STREAM, TERMINATED), (_MESSAGES, FINISHED)):
            with self.subTest(kind):
                driver = self.supervisor(source, isolation="worker", width=1)
                self.assertEqual(status, driver.run("shut", int(kind)).status)
                self.assertEqual([FINISHED] * 3, [driver.run("again").status for _ in range(3)])


class EndTests(SupervisorTestCase):
    """How it ends, and what is left then: nothing."""

    SLEEPS = (
        "def cleanup(): print('cleaned up')\n"
        "def sleeps():\n    heard, said = os.pipe()\n"
        "    if os.fork() == 0: os.setsid(); open('pid', 'w').write(str(os.getpid())); os.write(said, b'.'); time.sleep(600)\n"
        "    os.read(heard, 1)\n    with open('ready', 'w') as ready: ready.write('ready')\n    time.sleep(600)\n"
    )

    def _with_a_sleeping_job(self) -> tuple[Driver, int]:
        driver = self.supervisor(self.SLEEPS, grace=10.0)
        driver.hear_a(Ready)
        os.mkfifo(os.path.join(driver.work, "ready"))
        driver.begin("sleeps")
        word_from(os.path.join(driver.work, "ready"))
        with open(os.path.join(driver.work, "pid")) as pid:
            return driver, int(pid.read())

    def test_close_runs_cleanup(self) -> None:
        """Close cancels what runs, tells the outcome, runs cleanup() and ends."""
        driver, hidden = self._with_a_sleeping_job()
        driver.say(Close())
        self.assertEqual(self.ended(driver), 0)
        self.assertIn("cleaned up", driver.log())
        self.assertFalse(is_alive(hidden))
        with self.assertRaises(EOFError) as told:
            driver.hear(lambda frame: False)
        self.assertIn("KeyboardInterrupt", str(told.exception))

    def test_close_without_cleanup(self) -> None:
        """cleanup() is not run when the client does not want it; one that raises makes the exit status 1."""
        for wanted, cleanup, status in ((False, "print('cleaned up')", 0), (True, "raise ValueError('dirty')", 1)):
            driver = self.supervisor(f"def cleanup(): {cleanup}")
            driver.hear_a(Ready)
            driver.say(Close(wanted))
            self.assertEqual(self.ended(driver), status)
            self.assertNotIn("cleaned up", driver.log())

    def test_without_its_daemon_it_ends(self) -> None:
        """When the daemon is gone and the lease is over, jobs and supervisor are, too."""
        driver, hidden = self._with_a_sleeping_job()
        driver.socket.close()
        self.assertEqual(self.ended(driver), 0)
        self.assertFalse(is_alive(hidden))

    def test_workers_die_with_a_killed_supervisor(self) -> None:
        """SIGKILL to the supervisor kills its workers."""
        driver = self.supervisor("def sleeps():\n    open('ready', 'w').write(str(os.getpid())); time.sleep(600)")
        driver.hear_a(Ready)
        fifo = os.path.join(driver.work, "ready")
        os.mkfifo(fifo)
        driver.begin("sleeps")
        watched = os.pidfd_open(int(word_from(fifo)))
        self.addCleanup(os.close, watched)
        assert driver.process is not None
        driver.process.kill()
        import select

        self.assertEqual(select.select([watched], [], [], DEADLINE)[0], [watched])


class ImportsTests(unittest.TestCase):
    """What the supervisor's process has in memory."""

    def test_no_twisted(self) -> None:
        """The whole of it, the real namespace included, is imported where Twisted cannot be."""
        blocked = (
            "import sys; sys.modules['twisted'] = None; import dispytw.worker.supervisor, dispytw.worker.namespace"
        )
        subprocess.run([sys.executable, "-c", blocked], check=True, cwd=ROOT)


class ProgramTests(SupervisorTestCase):
    """Computations that are programs."""

    def _program(self, name: str, text: str) -> Driver:
        driver = Driver("", program=name)
        self.addCleanup(driver.stop)
        with open(os.path.join(driver.work, name), "w") as program:
            program.write(text)
        driver.start().hear_a(Ready)
        return driver

    def _run(self, driver: Driver, *args: str) -> tuple[int, object, bytes, str]:
        import msgpack

        from dispytw.values import Inline

        outcome = driver.run(body=Inline(b"m" + msgpack.packb(list(args))))
        result = outcome.result
        status = None if result is None else msgpack.unpackb(content(result)[1:])
        return outcome.status, status, content(outcome.stdout), outcome.exception or ""

    def test_a_shell_script(self) -> None:
        """Arguments, directory, facts and PATH are the program's; its exit status is the result."""
        driver = self._program("run.sh", '#!/bin/sh\necho "$1 $dispy_node_name $(pwd) $(which run.sh) $dispy_job_path"\nexit 3\n')
        text = f"a b here {driver.work} {driver.work}/run.sh {driver.work}\n"
        self.assertEqual(self._run(driver, "a b"), (FINISHED, 3, text.encode(), ""))

    def test_a_python_program(self) -> None:
        """A path that ends in .py runs with the node's interpreter; SIGINT and SIGPIPE are as usual there."""
        driver = self._program(
            "p.py",
            "import signal, sys\nprint(sys.argv[1:], signal.getsignal(signal.SIGINT) is signal.default_int_handler)",
        )
        self.assertEqual(self._run(driver, "\u20ac")[:3], (FINISHED, 0, "['\u20ac'] True\n".encode()))

    def test_programs_that_die_or_cannot_run(self) -> None:
        """A signal and a file that is no program are Terminated, with what happened."""
        status, result, _, says = self._run(self._program("die.sh", "#!/bin/sh\nkill -9 $$\n"))
        self.assertEqual((status, result), (TERMINATED, None))
        self.assertIn("killed by signal 9 (SIGKILL)", says)
        status, result, _, says = self._run(self._program("none", "no program"))
        self.assertEqual((status, result), (TERMINATED, None))
        self.assertIn("Exec format error", says)

    def test_a_cancelled_program(self) -> None:
        """SIGINT goes to the program and its children, as at a terminal."""
        driver = self._program("wait.sh", "#!/bin/sh\necho ready > ready\nsleep 600\n")
        os.mkfifo(os.path.join(driver.work, "ready"))
        from dispytw.values import CANCELLED, Inline

        attempt = driver.begin(body=Inline(b"\x90"))
        word_from(os.path.join(driver.work, "ready"))
        driver.cancel(attempt)
        self.assertEqual(driver.outcome(attempt).status, CANCELLED)
