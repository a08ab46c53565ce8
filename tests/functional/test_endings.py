"""The end of a program waits for its jobs, unless it is told not to. Runs on every Python, as each ends its threads in its own way."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.daemons import Completed, Daemons, RunningNode, in_common
from tests.functional.telling import Gate, TellingProgram

EVERY_PYTHON = True

#: Two seconds are promised (tests.client.test_keeper looks at how they are spent), and what ends it otherwise takes five.
SOON = 4.5

#: Jobs of this computation end when the lock on a file has been given up.
GATED = """
import signal, threading, time
import dispytw as dispy
from dispytw.client import session

session.FIRST_WORD = 30.0  # seconds; what it says while a busy machine makes it wait is not looked for here

def compute(n, gate):
    import fcntl
    with open(gate) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    return n

def tell(*words):
    os.write(2, " ".join(words).encode() + b"\\n")

def main_sleeps():
    # Only a signal that finds the main thread asleep wakes it: one that comes just before that waits for the next, as CPython has it.
    last = None
    while True:
        with open(f"/proc/self/task/{os.getpid()}/status") as file:
            now = [line for line in file if line.startswith("State:") or "ctxt_switches" in line]
        if now == last and "sleeping" in now[0]:
            return
        last = now
        time.sleep(0.02)  # who waits for Python's lock wakes every 5 ms

def when_main_sleeps(words):
    def wait():
        main_sleeps()
        tell(words)
    threading.Thread(target=wait, daemon=True).start()

def when_main_has_ended(before=lambda: None, words="main has ended"):
    def wait():
        threading.main_thread().join()
        before()
        tell(words)
    threading.Thread(target=wait, daemon=True).start()

address, gate = sys.argv[1:3]
"""

LEAVES = """
def called(job):
    print(job.status == dispy.DispyJob.Finished, job.result)

when_main_has_ended()
cluster = dispy.JobCluster(compute, nodes=[address], callback=called)
for n in range(20):
    cluster.submit(n, gate)
"""

GENERATIONS = """
def called(job):
    generation = job.id // 100
    print(job.id)
    if generation < 3:
        cluster.submit(job.result, gate).id = job.id + 100

when_main_has_ended()
cluster = dispy.JobCluster(compute, nodes=[address], callback=called)
for n in range(5):
    cluster.submit(n, gate).id = 100 + n
"""

LATE_CALLBACK = """
def called(job):
    threading.main_thread().join()
    print(job.result)
    if job.result < 3:
        cluster.submit(job.result + 1, gate)

cluster = dispy.JobCluster(compute, nodes=[address], callback=called)
job = cluster.submit(0, gate)
job()
"""

TO_AND_FRO = """
def called(job):
    print(job.result)
    if job.result < 4:
        other = first if job.result % 2 else second
        other.submit(job.result + 1, gate)

when_main_has_ended()
second = dispy.JobCluster(compute, nodes=[address], callback=called)
first = dispy.JobCluster(compute, nodes=[address], callback=called)
first.submit(0, gate)
"""

THREAD = """
def goes_on():
    threading.main_thread().join()
    tell("main has ended")
    for n in range(3):
        print(cluster.submit(n, gate)())

cluster = dispy.JobCluster(compute, nodes=[address])
threading.Thread(target=goes_on).start()
"""

BUSY = """
with_statement = sys.argv[3] == "with"

def called(job):
    print(job.result)

def busy(cluster):
    jobs = [cluster.submit(n, gate) for n in range(20)]
    when_main_sleeps("waiting")
    jobs[-1]()

when_main_has_ended()

if with_statement:
    with dispy.JobCluster(compute, nodes=[address], callback=called) as cluster:
        busy(cluster)
else:
    busy(dispy.JobCluster(compute, nodes=[address], callback=called))
"""

IN_SUBMIT = """
from dispytw.client.view import View
submitted = View.submitted

def interrupted(view):
    submitted(view)
    if view.unfinished == 3:
        signal.raise_signal(signal.SIGINT)

View.submitted = interrupted

def called(job):
    print(job.result)

when_main_has_ended()
cluster = dispy.JobCluster(compute, nodes=[address], callback=called)
for n in range(20):
    cluster.submit(n, gate)
"""

DRAINS = """
def called(job):
    print(repr(job).partition(": ")[2], job.result, job.reason)

def job_runs():
    while jobs[1].status != dispy.DispyJob.Running or not os.path.exists(gate + "-tried"):  # it runs before it has got to its try
        time.sleep(0.01)

def compute(n, gate):
    import signal
    if n:
        try:
            open(gate + "-tried", "w").close()
            signal.pause()
        except KeyboardInterrupt:
            with open(gate, "w") as file:
                file.write("interrupted")
            raise
    return n

import atexit
atexit.register(print, "at exit")
print("before the end")
when_main_has_ended(job_runs, "draining")
nodes = [dispy.NodeAllocate("127.0.0.1", int(address.split(":")[1]), cpus=1)]
cluster = dispy.JobCluster(compute, nodes=nodes, callback=called)
jobs = [cluster.submit(n, gate) for n in range(20)]
"""

STUBBORN = """
def stubborn(n, gate):
    import fcntl, signal
    if n:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with open(gate) as file:
            fcntl.flock(file, fcntl.LOCK_SH)

def called(job):
    threading.main_thread().join()
    tell("draining")
    print("more than a pipe holds" * 10_000)

os.dup2(os.pipe()[1], 1)
cluster = dispy.JobCluster(stubborn, nodes=[address], callback=called)
jobs = [cluster.submit(n, gate) for n in (1, 0)]
while jobs[0].status != dispy.DispyJob.Running:
    time.sleep(0.01)
"""

AT_ONCE = """
def hits():
    threading.main_thread().join()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=hits, daemon=True).start()
cluster = dispy.JobCluster(compute, nodes=[address])
cluster.submit(0, gate)
"""

COMES_HOME = """
import sys, dispytw
for job in dispytw.recover_jobs(sys.argv[1], terminate_pending=True):
    print(job.id, job.status, job.reason)
"""

OWN_HANDLER = """
def mine(number, frame):
    tell("mine, at the end" if not threading.main_thread().is_alive() else "mine, in main")

before = sys.argv[3] == "before"
if before:
    signal.signal(signal.SIGINT, mine)
when_main_has_ended(before=main_sleeps)
cluster = dispy.JobCluster(compute, nodes=[address])
if not before:
    signal.signal(signal.SIGINT, mine)
assert signal.getsignal(signal.SIGINT) is mine
job = cluster.submit(7, gate)
when_main_sleeps("waiting")
job.finish.wait()
cluster.submit(8, sys.argv[4])
"""


class EndingTests(SynchronousTestCase):
    """Each way in which main can end while jobs are left."""

    def setUp(self) -> None:
        self.node: RunningNode = in_common().node
        self.daemons = Daemons(self, common=in_common())
        self.gate = Gate(self, self.daemons.root / "gate")

    def start(self, source: str, *arguments: str) -> TellingProgram:
        return TellingProgram(self.daemons, GATED + source, self.node.address, self.gate.path, *arguments)

    def drained(self, source: str, *arguments: str) -> Completed:
        """What becomes of a program whose jobs can go on once its main has ended."""
        program = self.start(source, *arguments)
        program.hear("main has ended")
        self.gate.open()
        return program.wait()

    def assert_all_called(self, done: Completed) -> None:
        self.assertEqual(sorted(f"True {n}" for n in range(20)), sorted(done.out.splitlines()), done)

    def test_main_returns(self) -> None:
        """Twenty jobs are left when main returns: all end, all callbacks run, exit status 0, nothing said."""
        done = self.drained(LEAVES)
        self.assert_all_called(done)
        self.assertEqual((0, "main has ended\n"), (done.code, done.err), done)

    def test_main_raises(self) -> None:
        """... when main raises: the traceback comes at once, all jobs end, exit status 1."""
        done = self.drained(LEAVES + "raise ValueError('no more')\n")
        self.assert_all_called(done)
        self.assertEqual(1, done.code, done)
        self.assertRegex(done.err, r"\ATraceback [^\0]+\nValueError: no more\nmain has ended\n\Z")

    def test_main_exits(self) -> None:
        """... when main calls sys.exit(3): all jobs end, exit status 3."""
        done = self.drained(LEAVES + "sys.exit(3)\n")
        self.assert_all_called(done)
        self.assertEqual((3, "main has ended\n"), (done.code, done.err), done)

    def test_three_generations(self) -> None:
        """Callbacks that submit jobs whose callbacks submit jobs: all of them run after main has ended."""
        done = self.drained(GENERATIONS)
        expected = sorted(100 * generation + n for generation in (1, 2, 3) for n in range(5))
        self.assertEqual(expected, sorted(map(int, done.out.split())), done)
        self.assertEqual((0, "main has ended\n"), (done.code, done.err), done)

    def test_only_a_callback_is_left(self) -> None:
        """No job is left when main returns, but a callback runs, and submits more: these run too."""
        self.gate.open()
        done = self.start(LATE_CALLBACK).wait()
        self.assertEqual((0, "0\n1\n2\n3\n", ""), (done.code, done.out, done.err), done)

    def test_to_and_fro_between_clusters(self) -> None:
        """Callbacks of one cluster submit to another, and the other way round: the end waits for both."""
        done = self.drained(TO_AND_FRO)
        self.assertEqual((0, "0\n1\n2\n3\n4\n", "main has ended\n"), (done.code, done.out, done.err), done)

    def test_thread_goes_on(self) -> None:
        """A thread of the program that outlives main may go on submitting and waiting, as Python waits for it."""
        done = self.drained(THREAD)
        self.assertEqual((0, "0\n1\n2\n", "main has ended\n"), (done.code, done.out, done.err), done)

    def assert_told_and_drained(self, program: TellingProgram, ended_as_python_does: int = -signal.SIGINT) -> None:
        self.assertIn("dispytw: 20 jobs unfinished, Ctrl-C again to leave", program.hear("unfinished"))
        self.gate.open()
        done = program.wait()
        self.assertEqual(list(range(20)), sorted(map(int, done.out.split())), done)
        self.assertEqual(ended_as_python_does, done.code, done)
        self.assertEqual((1, 1), (done.err.count("\nKeyboardInterrupt"), done.err.count("Traceback")), done)

    def test_interrupt_in_main(self) -> None:
        """Ctrl-C while main waits: it is said at once how many jobs are left, then they are waited for."""
        program = self.start(BUSY, "plain")
        program.hear("waiting")
        os.kill(program.program.pid, signal.SIGINT)
        self.assert_told_and_drained(program)

    def test_interrupt_in_a_with_block(self) -> None:
        """The same in a with block: it does not wait in silence for its jobs."""
        program = self.start(BUSY, "with")
        program.hear("waiting")
        os.kill(program.program.pid, signal.SIGINT)
        self.assert_told_and_drained(program)

    def test_interrupt_in_submit(self) -> None:
        """Ctrl-C in the midst of a submit: the job counts, or it does not, but nothing is waited for that is not there."""
        program = self.start(IN_SUBMIT)
        self.assertIn("dispytw: 3 jobs unfinished", program.hear("unfinished"))
        self.gate.open()
        done = program.wait()
        self.assertEqual((-signal.SIGINT, ["0", "1", "2"]), (done.code, sorted(done.out.split())), done)


class LeavingTests(SynchronousTestCase):
    """Ctrl-C while the end waits for jobs."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node: RunningNode = self.daemons.node("--cpus", "2")
        self._gates = itertools.count()

    def closed_gate(self) -> Gate:
        return Gate(self, self.daemons.root / f"gate-{next(self._gates)}")

    def start(self, source: str, *arguments: str | Path) -> TellingProgram:
        return TellingProgram(self.daemons, GATED + source, self.node.address, *arguments)

    def assert_leaves(self, program: TellingProgram) -> Completed:
        """It ends soon after SIGINT, with exit status 130 and one line."""
        told = program.told
        began = time.monotonic()
        os.kill(program.program.pid, signal.SIGINT)
        done = program.wait()
        self.assertLess(time.monotonic() - began, SOON)
        self.assertEqual(130, done.code, done)
        self.assertEqual(1, done.err[len(told) :].count("\n"), done)
        self.assertRegex(done.err[len(told) :], r"\Adispytw: left with \d+ jobs unfinished: ")
        return done

    def test_leaving(self) -> None:
        """What was sent goes on, what was not is Cancelled, 'never sent'; callbacks run; nothing printed is lost."""
        mark = self.daemons.root / "mark"
        program = self.start(DRAINS, mark)
        program.hear("draining")
        done = self.assert_leaves(program)
        self.assertIn("left with 19 jobs unfinished", done.err)
        printed = done.out.splitlines()
        self.assertEqual(["before the end", "Finished> 0 "], printed[:2], done)
        self.assertEqual([*["Cancelled> None never sent"] * 18, "at exit"], printed[2:], done)
        self.assertFalse(mark.exists(), done)
        self.assert_comes_home(done.err)
        self.assertEqual("interrupted", mark.read_text())

    def assert_comes_home(self, told: str) -> None:
        """One job does, in the way that the program's last line names; it runs until it is told to end."""
        (path,) = re.findall(r"those sent go on, and come home by dispytw\.recover_jobs\('([^']+)'\)\n\Z", told)
        self.assertTrue(os.path.exists(path))
        done = self.daemons.program(COMES_HOME, path)
        self.assertEqual((0, "2 8 cancelled while it ran\n"), (done.code, done.out), done)
        self.assertFalse(os.path.exists(path))

    def test_at_the_very_end_of_main(self) -> None:
        """A Ctrl-C that comes when the main thread has ended, and does not sleep yet, is not overlooked."""
        gates = [self.closed_gate().path for _ in range(4)]
        programs = [self.start(AT_ONCE, gate) for gate in gates]
        for done in [program.wait() for program in programs]:
            self.assertEqual(130, done.code, done)

    def test_leaving_a_private_node(self) -> None:
        """A private node ends with the program, and its directory is removed."""
        program = self.start(DRAINS.replace("nodes=nodes", "nodes=['local']"), self.daemons.root / "mark")
        program.hear("draining")
        self.assert_leaves(program)
        self.assertEqual([], os.listdir(self.daemons.root / "tmp"))

    def test_leaving_for_good(self) -> None:
        """Neither a job that ignores it nor a callback that is stuck in print keeps the program."""
        gate = self.closed_gate()
        program = self.start(STUBBORN, gate.path)
        program.hear("draining")
        self.assert_leaves(program)
        gate.open()

    def test_leaving_after_an_interrupt_in_main(self) -> None:
        """Ctrl-C in main, and Ctrl-C again: out."""
        program = self.start(BUSY, self.closed_gate().path, "with")
        program.hear("waiting")
        os.kill(program.program.pid, signal.SIGINT)
        program.hear("Ctrl-C again to leave")
        program.hear("main has ended")
        self.assert_leaves(program)

    def assert_own_handler_stays(self, when: str) -> None:
        first, second = self.closed_gate(), self.closed_gate()
        program = self.start(OWN_HANDLER, first.path, when, second.path)
        program.hear("waiting")
        os.kill(program.program.pid, signal.SIGINT)
        program.hear("mine, in main")
        first.open()
        program.hear("main has ended")
        os.kill(program.program.pid, signal.SIGINT)
        program.hear("mine, at the end")
        second.open()
        done = program.wait()
        self.assertEqual((0, 4), (done.code, done.err.count("\n")), done)

    def test_own_handler_before(self) -> None:
        """A SIGINT handler that the program had before its first cluster stays, in main and at the end."""
        self.assert_own_handler_stays("before")

    def test_own_handler_after(self) -> None:
        """One that it installs later stays as well."""
        self.assert_own_handler_stays("after")
