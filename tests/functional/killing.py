"""A program that is killed at a chosen moment, and what is found afterwards: for tests of the recover file.

Each job appends its number to a ledger when it begins; the callback writes one line for each job, and fsyncs it; every id is logged when
its assignment has returned. Whoever is killed writes the wall time just before. `Killing.check` compares all that with what
``recover_jobs`` brings home.
"""

from __future__ import annotations

import json
import random
import unittest
from pathlib import Path
from typing import Any

import attrs

from tests.functional.daemons import Daemons, RunningNode

#: The moments at which the program may be killed.
BEFORE, RUNNING, UNACKNOWLEDGED, IN_CALLBACK = "before the first dispatch", "running", "outcome unacknowledged", "in the callback"
MOMENTS = (BEFORE, RUNNING, UNACKNOWLEDGED, IN_CALLBACK)

PROGRAM = """
import json, os, random, signal, sys, threading, time
import dispytw as dispy
from dispytw.client.view import View

address, directory, moment, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
chance = random.Random(seed)
JOBS = 40

def opened(name):
    return os.open(os.path.join(directory, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def compute(n, ledger, seconds):
    import os, time
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\\n" % n)
    os.close(descriptor)
    time.sleep(seconds)
    return n, "x" * (100_000 if n % 10 == 0 else 10)

def die():
    os.write(killed, repr(time.time()).encode())
    os.kill(os.getpid(), signal.SIGKILL)

def die_after(seconds):
    threading.Timer(seconds, die).start()

def begun():
    try:
        with open(os.path.join(directory, "ledger")) as ledger:
            return len(ledger.readlines())
    except FileNotFoundError:
        return 0

def die_after_begun(count, seconds):
    def wait():
        while begun() < count:
            time.sleep(0.002)
        time.sleep(seconds)
        die()
    threading.Thread(target=wait, daemon=True).start()

lines, ids, killed = opened("lines"), opened("ids"), opened("killed")
fatal = chance.randrange(1, 12)
before = chance.random() < 0.5
calls = 0

def callback(job):
    global calls
    calls += 1
    dies = moment == "in the callback" and calls == fatal
    if dies and before:
        die()
    os.write(lines, b"%d %r\\n" % (job.result[0], time.time()))
    os.fsync(lines)
    if dies:
        die()

settled = View.job_settled
ends = 0

def watched(*args, **options):
    global ends
    settled(*args, **options)
    ends += 1
    if ends == fatal:
        time.sleep(chance.choice((0.0, 0.01, 0.03)))  # the reactor stands still: what comes meanwhile is not written either
        die()

if __name__ == "__main__":
    if moment == "outcome unacknowledged":
        View.job_settled = watched
    cluster = dispy.JobCluster(compute, nodes=[address], callback=callback, recover_file=os.path.join(directory, "rec"))
    if moment == "before the first dispatch":
        die_after(chance.uniform(0.0, chance.choice((0.005, 0.3))))
    elif moment == "running":
        die_after_begun(fatal, chance.uniform(0.0, 0.5))
    for n in range(JOBS):
        job = cluster.submit(n, os.path.join(directory, "ledger"), chance.choice((0.0, 0.01, 0.05, 0.2)))
        if n % 4:
            for version in range(chance.randrange(1, 4)):
                job.id = (n, version) if n % 2 else f"{n}:{version}"
                os.write(ids, b"%d %d\\n" % (n, version))
    cluster.wait()
    time.sleep(2)
    die()
"""

RECOVERY = """
import functools, json, os, signal, sys
import dispytw
from dispytw.client import fetching, recoverfile, recovery

def dies(cls, name, before, count):
    whole, calls = getattr(cls, name), []

    @functools.wraps(whole)
    def fatal(*args, **options):
        calls.append(1)
        if before and len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        value = whole(*args, **options)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(cls, name, fatal)

places = {
    "opened": (recovery._Left, "jobs"),
    "dialling": (fetching.Fetcher, "_dial"),
    "introduced": (fetching.Fetcher, "joined"),
    "reconciled": (fetching.Fetcher, "_reconciled"),
    "told": (fetching.Fetcher, "ended"),
    "writing": (recoverfile.RecoverFile, "_appended"),
    "released": (fetching.Fetcher, "_released"),
}
path = os.path.join(sys.argv[1], "rec")
if sys.argv[2:]:
    where, when, count = sys.argv[2:]
    dies(*places[where], when == "before" or where == "opened", int(count))
    dies(recovery._Left, "_hand_over", True, 1)  # at the latest
found = [[job.id, job.status, job.result and job.result[0], job.reason] for job in dispytw.recover_jobs(path)]
os.write(1, json.dumps(found).encode() + b"\\n")
"""

FINISHED = 11
#: Where recovering may be killed; if it does not come there, then just before it hands over what it has.
PLACES = ("opened", "dialling", "introduced", "reconciled", "told", "told", "writing", "writing", "released")


@attrs.frozen
class Found:
    """What a kill left.

    :param started: numbers of jobs that began, as often as they did.
    :param called: jobs whose callback had written its line.
    :param recovered: jobs that came home.
    :param late: of jobs that are in both, how many seconds before the kill their line was written.
    """

    started: list[int]
    called: set[int]
    recovered: set[int]
    late: dict[int, float]


class Killing:
    """Kills programs in a test.

    :param seconds: how old, at the kill, a delivery may be that is not written down.
    """

    def __init__(self, test: unittest.TestCase, daemons: Daemons, node: RunningNode, seconds: float) -> None:
        self.node = node
        self._test = test
        self._daemons = daemons
        self._seconds = seconds

    def kill(self, moment: str, seed: int) -> Path:
        """Run the program until it is killed; returns its directory."""
        directory = self._daemons.root / f"kill-{seed}"
        directory.mkdir()
        done = self._daemons.program(PROGRAM, self.node.address, str(directory), moment, str(seed))
        self._test.assertEqual(-9, done.code, done)
        return directory

    def recover(self, directory: Path) -> list[Any]:
        """What comes home."""
        done = self._daemons.program(RECOVERY, str(directory))
        self._test.assertEqual(0, done.code, done)
        found: list[Any] = json.loads(done.out)
        return found

    def recover_killed(self, directory: Path, chance: random.Random) -> list[Any]:
        """What comes home when recovering is killed, once or twice, somewhere in its midst, and begun again."""
        for _ in range(chance.randint(1, 2)):
            how = chance.choice(PLACES), chance.choice(("before", "after")), str(chance.randint(1, 3))
            done = self._daemons.program(RECOVERY, str(directory), *how)
            self._test.assertEqual((-9, ""), (done.code, done.out), done)
        return self.recover(directory)

    def check(self, directory: Path, found: list[Any]) -> Found:
        """Nothing is lost, nothing comes twice, ids are right."""
        test, ids = self._test, _pairs(directory / "ids")
        told = {int(n): float(when) for n, when in _pairs(directory / "lines")}
        started = [int(n) for (n,) in _pairs(directory / "ledger")]
        dead = float((directory / "killed").read_text())
        numbers = [_number(each) for each in found]
        test.assertEqual(len(set(numbers)), len(numbers), f"returned twice: {found}")
        test.assertEqual(len(set(started)), len(started), f"started twice: {started}")
        lost = set(started) - set(told) - set(numbers)
        test.assertFalse(lost, f"lost: {lost}; {found}")
        for number, (identity, status, result, reason) in zip(numbers, found):
            whole = (status, result) == (FINISHED, number)
            never = number not in started and reason == "never sent"
            test.assertTrue(whole or never, f"{number}: {status}, {result}, {reason}")
            logged = [int(version) for n, version in ids if int(n) == number]
            test.assertGreaterEqual(_version(identity), max(logged, default=-1), f"{number} has an old id: {identity}")
        late = {number: dead - told[number] for number in numbers if number in told}
        test.assertLessEqual(max(late.values(), default=0.0), self._seconds, "delivered long before, and recovered")
        test.assertFalse((directory / "rec").exists())
        test.assertFalse((directory / "rec.bodies").exists())
        return Found(started, set(told), set(numbers), late)


def _pairs(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _number(found: list[Any]) -> int:
    """Which job it is: by its id, or by its result."""
    identity = found[0]
    if isinstance(identity, list):
        return int(identity[0])
    return int(identity.partition(":")[0]) if isinstance(identity, str) else identity - 1


def _version(identity: Any) -> int:
    if isinstance(identity, list):
        return int(identity[1])
    return int(identity.partition(":")[2]) if isinstance(identity, str) else -1
