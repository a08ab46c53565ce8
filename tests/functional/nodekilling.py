"""A program whose jobs keep a ledger, and a node that is killed again and again while it runs; for short tests and long campaigns."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import psutil

from tests.functional.daemons import Daemons, RunningNode, RunningProgram

#: Given the node's address, a ledger, a number of jobs and a seed. A job appends a line when it starts and one when it ends.
PROGRAM = """
import collections, json, random, sys
import dispytw as dispy
from dispytw.client import dialer

def compute(n, seconds, ledger):
    import os, time
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND)
    os.write(file, b"start %d\\n" % n)
    time.sleep(seconds)
    os.write(file, b"end %d\\n" % n)
    return n

def called(job):
    calls[job.id] += 1

if __name__ == "__main__":
    address, ledger, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dialer.LONGEST = 0.1
    chance = random.Random(seed)
    calls = collections.Counter()
    cluster = dispy.JobCluster(compute, nodes=[address], callback=called)
    jobs = []
    for n in range(count):
        jobs.append(cluster.submit(n, chance.uniform(0.005, 0.1), ledger))
        jobs[-1].id = n
    cluster.wait()
    print(json.dumps({
        "statuses": collections.Counter(job.status for job in jobs),
        "calls": collections.Counter(calls[n] for n in range(count)),
        "wrong": [n for n, job in enumerate(jobs) if job.status == dispy.DispyJob.Finished and job.result != n],
        "reasons": sorted({f"{job.reason} | {job.exception}"[:300] for job in jobs if job.status != dispy.DispyJob.Finished})[:5],
    }))
    cluster.close()
"""


@attrs.define
class Killed:
    """What came of it.

    :ivar kills: how often each kind of process was killed.
    :ivar running: how many kills of the daemon there were while jobs ran.
    :ivar told: what the program found.
    :ivar starts: how often each job was started.
    """

    kills: Counter[str]
    running: int
    told: dict[str, Any]
    starts: Counter[str]


class Killing:
    """A node with the program's jobs, and whoever kills them.

    :param seed: decides the moments.
    """

    def __init__(self, test: unittest.TestCase, daemons: Daemons, jobs: int, seed: int, cpus: int = 4) -> None:
        self.test = test
        self.daemons = daemons
        self.chance = random.Random(seed)
        self.cpus = str(cpus)
        self.ledger = daemons.file("ledger", "")
        self.node = daemons.node("--cpus", self.cpus)
        arguments = (self.node.address, str(self.ledger), str(jobs), str(seed))
        self.program: RunningProgram = daemons.start_program(PROGRAM, *arguments)
        self.kills: Counter[str] = Counter()
        self.running = 0

    def lines(self, kind: str) -> list[str]:
        """The jobs that have written a line of this kind."""
        return [line.split()[1] for line in self.ledger.read_text().splitlines() if line.startswith(kind)]

    def wait_for_starts(self, more: int) -> bool:
        """Wait until so many jobs more have started; whether they did before the program's end."""
        wanted = len(self.lines("start")) + more
        ended = os.pidfd_open(self.program.pid)
        try:
            while len(self.lines("start")) < wanted:
                if select.select([ended], [], [], 0.005)[0]:
                    return False
            return True
        finally:
            os.close(ended)

    def kill_daemon(self) -> None:
        """Kill the daemon, and start it again."""
        self.running += len(self.lines("start")) > len(self.lines("end"))
        self.kills["daemon"] += 1
        self.node.kill()
        self.node = self.daemons.node("--cpus", self.cpus, port=self.node.port, state_dir=self.node.state_dir)

    def supervisors(self) -> list[psutil.Process]:
        """Those that belong to the node, whoever is their parent."""
        names = [process for process in self.daemons.marked() if "dispytw.worker" in _words(process)]
        pids = {process.pid for process in names}
        return [process for process in names if _parent(process) not in pids]

    def kill_supervisor(self) -> None:
        """Kill a supervisor, or its zygote, with which it ends."""
        self._kill("supervisor", [process for each in self.supervisors() for process in (each, *_zygotes(each))])

    def kill_worker(self) -> None:
        """Kill whoever serves a slot."""
        self._kill("worker", [child for each in self.supervisors() for child in _children(each) if child not in _zygotes(each)])

    def _kill(self, kind: str, processes: list[psutil.Process]) -> None:
        if processes:
            self.kills[kind] += 1
            try:
                self.chance.choice(processes).send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                self.kills[kind] -= 1

    def end(self) -> Killed:
        """Wait for the program, stop the node; nothing may be left of either."""
        done = self.program.wait()
        self.test.assertEqual(0, done.code, done)
        self.test.assertEqual(0, self.node.stop())
        self.test.assertEqual({}, left_in(self.node))
        return Killed(self.kills, self.running, json.loads(done.out), Counter(self.lines("start")))


def left_in(node: RunningNode) -> dict[str, Any]:
    """What a node that has ended has left in its state directory, files by digest excepted."""
    places = {name: sorted(os.listdir(node.state_dir / name)) for name in ("run", "spool", "work", "inbox")}
    return {name: found for name, found in [*places.items(), ("journal", rows_of(node.state_dir))] if found}


def rows_of(state_dir: Path) -> int:
    """How many outcomes a journal holds, whose node has ended."""
    connection = sqlite3.connect(state_dir / "journal")
    try:
        return int(connection.execute("SELECT count(*) FROM owed").fetchone()[0])
    finally:
        connection.close()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def _zygotes(supervisor: psutil.Process) -> list[psutil.Process]:
    """Its zygote, which is the oldest of its children, if there are any."""
    try:
        return sorted(supervisor.children(), key=lambda child: (child.create_time(), child.pid))[:1]
    except psutil.NoSuchProcess:
        return []


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
