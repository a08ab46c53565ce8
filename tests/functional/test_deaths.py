"""However a job dies, its program is told how, at once, and the next job has its slot; and a cancel leaves no process of it."""

from __future__ import annotations

import json
import unittest
from typing import Any

from tests.functional.daemons import Daemons

#: Seconds from a job's death until its callback runs, on a machine that has other things to do: less than anything on the way could wait for.
SOON = 1.9

#: Given the node's address and ways to die.
DEATHS = """
import json, os, sys, threading, time
import dispytw as dispy

class Unopenable:
    def __reduce__(self):
        return int, ("no number",)

class Unpicklable:
    def __init__(self):
        self.lock = threading.Lock()

def compute(how, deathbed, last_words=None):
    import ctypes, os, signal, sys, time

    def note():
        with open(deathbed, "w") as file:
            file.write(repr(time.monotonic()))

    def deeper():
        return deeper()

    if how == "flood":
        line = b"x" * 99_999 + b"\\n"
        for _ in range(1000):
            os.write(1, line)
    note()
    if how == "exception":
        raise ValueError("no such thing")
    if how == "sys.exit":
        sys.exit(3)
    if how == "os._exit":
        os._exit(4)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "SIGKILL":
        os.write(2, b"last words")
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "unpicklable":
        return Unpicklable()
    if how == "recursion":
        return deeper()
    return "fine"

def time_of_death(path, otherwise):
    if not os.path.exists(path):
        return otherwise
    with open(path) as file:
        return float(file.read())

if __name__ == "__main__":
    told, at = {}, {}
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:2], callback=lambda job: at.setdefault(job.id, time.monotonic()))
    assert cluster.submit("fine", os.devnull)() == "fine"
    for how in sys.argv[2:]:
        submitted = time.monotonic()
        path = os.path.abspath(how)
        job = cluster.submit(how, path, Unopenable() if how == "unopenable" else None)
        job.id = how
        next = cluster.submit("fine", os.devnull)
        assert next() == "fine"
        cluster.wait()
        told[how] = {
            "status": job.status,
            "exception": job.exception,
            "result": job.result,
            "stdout": len(job.stdout),
            "end of stdout": job.stdout[-100:],
            "delay": at[how] - time_of_death(path, submitted),
        }
    print(json.dumps(told))
"""

TRACEBACK = r"Traceback \(most recent call last\):\n.*\n"
#: How it dies: its exception, as a regular expression for the whole text.
WORDS = {
    "exception": TRACEBACK + r"ValueError: no such thing\n",
    "sys.exit": TRACEBACK + r"SystemExit: 3\n",
    "os._exit": r"the job's process exited with status 4 without a result",
    "segfault": r"killed by signal 11 \(SIGSEGV\)",
    "SIGKILL": r"killed by signal 9 \(SIGKILL\) perhaps by the kernel, .*\nits stderr ended with:\nlast words",
    "unpicklable": TRACEBACK + r".*the job's result, a __main__.Unpicklable, cannot be sent back: TypeError: cannot pickle .*lock.*\n",
    "unopenable": TRACEBACK + r".*the job's arguments cannot be opened on this node: .*ValueError: invalid literal for int.*\n",
    "recursion": TRACEBACK + r"RecursionError: maximum recursion depth exceeded.*\n",
}

FINISHED, TERMINATED, CANCELLED = 11, 9, 8
KEPT = 8 << 20  # bytes of a job's output

#: Given the node's address, and perhaps "stubborn". A job with a child, whose child has a session of its own and ignores what it can.
FAMILY = """
import json, os, sys, time
import dispytw as dispy

CHILD = '''
import signal, subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True, stdout=subprocess.PIPE)
grandchild.stdout.readline()
print(grandchild.pid, flush=True)
signal.pause()
'''
GRANDCHILD = '''
import signal
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
'''

def compute(path, stubborn=False):
    import json, os, subprocess, sys, time

    child = subprocess.Popen([sys.executable, "-c", CHILD, GRANDCHILD], stdout=subprocess.PIPE)
    pids = [os.getpid(), child.pid, int(child.stdout.readline())]
    with open(path + ".part", "w") as file:
        json.dump(pids, file)
    os.rename(path + ".part", path)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            if not stubborn:
                raise

def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

if __name__ == "__main__":
    path = os.path.abspath("family")
    cluster = dispy.JobCluster(compute, nodes=sys.argv[1:2])
    job = cluster.submit(path, stubborn="stubborn" in sys.argv)
    while not os.path.exists(path):
        assert job.status < dispy.DispyJob.Cancelled, job.exception
        time.sleep(0.01)
    with open(path) as file:
        pids = json.load(file)
    assert all(map(lives, pids)), pids
    cancelled = time.monotonic()
    assert cluster.cancel(job) == 0
    job()
    print(json.dumps({
        "status": job.status,
        "seconds": time.monotonic() - cancelled,
        "left": list(filter(lives, pids)),
    }))
"""


class Deaths(unittest.TestCase):
    """A node with one slot, and jobs that die there."""

    def setUp(self) -> None:
        self.daemons = Daemons(self)
        self.node = self.daemons.node("--cpus", "1")

    def die(self, *ways: str) -> dict[str, dict[str, Any]]:
        done = self.daemons.program(DEATHS, self.node.address, *ways)
        self.assertEqual(0, done.code, done)
        told: dict[str, dict[str, Any]] = json.loads(done.out)
        for how, said in told.items():
            with self.subTest(how):
                self.assertLess(said["delay"], SOON)
        return told

    def test_every_death(self) -> None:
        """Status and exception say how it died, the callback comes at once, the next job gets the slot."""
        told = self.die(*WORDS)
        for how, words in WORDS.items():
            with self.subTest(how):
                self.assertEqual((TERMINATED, None), (told[how]["status"], told[how]["result"]))
                self.assertRegex(told[how]["exception"], rf"(?s)\A{words}\Z")

    def test_flood(self) -> None:
        """A job that writes 100 MB finishes; the first 8 MiB come home, and a note of what was dropped."""
        flood = self.die("flood")["flood"]
        self.assertEqual((FINISHED, "fine", None), (flood["status"], flood["result"], flood["exception"]))
        self.assertRegex(flood["end of stdout"], r"x\n\[at least \d+ bytes of output beyond this point were dropped\]\n$")
        self.assertTrue(KEPT <= flood["stdout"] <= KEPT + 100, flood["stdout"])

    def test_grandchild_in_its_own_session(self) -> None:
        """When a cancelled job has ended nothing of it is left, not even a grandchild that called setsid and ignores SIGTERM."""
        done = self.daemons.program(FAMILY, self.node.address)
        self.assertEqual(0, done.code, done)
        told = json.loads(done.out)
        self.assertEqual((CANCELLED, []), (told["status"], told["left"]))
        self.assertLess(told["seconds"], 10)
