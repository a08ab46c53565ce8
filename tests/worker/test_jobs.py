"""Servers as their supervisor sees them; their part is played by the test, each in the place of a process that only sleeps."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import unittest
from typing import Any
from unittest import mock

import attrs

from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Inline, Outcome, Stored
from dispytw.wire.frames import Ended, Frame
from dispytw.worker import tree
from dispytw.worker.jobs import Jobs
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.server import Server
from dispytw.worker.serverwords import attempt_of
from dispytw.worker.slots import Slot
from dispytw.worker.slotwords import FORM, begun, over
from dispytw.worker.timers import Timers
from dispytw.worker.words import RAISED, RETURNED, raised
from tests.worker.driving import served, tag_of

EVERY_PYTHON = False

A, B, C, D = (Attempt(letter.encode() * 16, 1) for letter in "ABCD")


def begins(attempt: Attempt) -> bytes:
    """What a server says of an attempt that it begins."""
    return begun(tag_of(attempt), 1.0)


def ends(attempt: Attempt, status: int = FINISHED) -> bytes:
    """What it says of one whose body has returned, or raised something."""
    kind, word = (RETURNED, b"") if status == FINISHED else (RAISED, raised("ValueError: no", b"p."))
    return over(tag_of(attempt), 1.0, 2.0, kind, word)


def sleeper() -> int:
    """A process that does nothing, and lets nothing but SIGSTOP and SIGKILL disturb it."""
    ignored = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, ignored)
    try:
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            while True:
                signal.pause()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ignored)
    return pid


@attrs.define
class PlayedServers:
    """Starts processes whose part is played by the test.

    :ivar fails: whether there can be no more of them.
    """

    out: str
    fails: bool = False

    def open_slot(self) -> Slot:
        return Slot.open(self.out)

    def begin(self, slot: Slot) -> int:
        if self.fails:
            raise BlockingIOError(11, "no more processes")
        return sleeper()


class JobsTests(unittest.TestCase):
    """Who gets which job, and what becomes of it."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.told: list[Frame] = []
        self.timers = Timers()
        self.watched: dict[Any, Any] = {}
        self.insides: dict[Slot, ServedSlot] = {}
        self.servers = PlayedServers(self.directory)
        self.jobs = Jobs(
            tell=self.told.append,
            watch=self.watched.__setitem__,
            unwatch=self.watched.__delitem__,
            timers=self.timers,
            starter=self.servers,
            forks=False,
            out=self.directory,
            spared=frozenset(tree.children()),  # those of other tests
            grace=0.0,
            width=2,
        )
        self.addCleanup(self.end)

    def end(self) -> None:
        """Nobody sleeps any longer."""
        for server in self.jobs._servers:
            os.kill(server.pid, signal.SIGKILL)
            os.waitpid(server.pid, 0)
            server.slot.close()
        for slot in self.jobs._free:
            slot.close()

    def start(self, *attempts: Attempt) -> None:
        """The daemon wants these."""
        for attempt in attempts:
            self.jobs.start(attempt, Inline(b""))

    def server(self, position: int) -> Server:
        """The server that was made at this position."""
        return self.jobs._servers[position]

    def inside(self, server: Server) -> ServedSlot:
        """Its slot, from inside."""
        if server.slot not in self.insides:
            self.insides[server.slot] = served(self, server.slot)
        return self.insides[server.slot]

    def takes(self, server: Server) -> bytes | None:
        """A server takes the next job, and says nothing yet; as the attempt's name."""
        order = self.inside(server).take(wait=False)
        return None if order is None else order[:FORM]

    def says(self, server: Server, *words: bytes) -> None:
        """A server says something, and the supervisor hears it."""
        server.slot.theirs.sendall(b"".join(words))
        self.watched[server.slot.ours]()

    def begins(self, server: Server) -> Attempt:
        """A server takes the next job and begins it."""
        tag = self.takes(server)
        assert tag is not None
        self.says(server, begun(tag, time.time()))
        return attempt_of(tag)

    def ends(self, server: Server, attempt: Attempt, status: int = FINISHED) -> None:
        """Its body is over."""
        self.says(server, ends(attempt, status))

    def dies(self, server: Server) -> None:
        """A server dies."""
        os.kill(server.pid, signal.SIGKILL)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        self.jobs.reap()

    def ended(self) -> dict[Attempt, Outcome]:
        """What the daemon was told."""
        return {frame.attempt: frame.outcome for frame in self.told if isinstance(frame, Ended)}

    def test_two_servers_for_two_jobs(self) -> None:
        """Each job gets a server of its own for as long as there may be more servers; the third waits behind one of them."""
        self.start(A, B, C)
        self.assertEqual([{A, C}, {B}], [set(server.given) for server in self.jobs._servers])
        self.assertEqual(3, len(self.jobs))

    def test_a_worker_is_kept(self) -> None:
        """The next job goes to a server that is there."""
        self.start(A)
        self.ends(self.server(0), self.begins(self.server(0)))
        self.start(B)
        self.assertEqual(1, len(self.jobs._servers))
        self.assertEqual(B, self.begins(self.server(0)))

    def test_an_idle_worker_gets_what_waits_behind_a_long_job(self) -> None:
        """C waits behind A, B ends: C is taken back and given to the other."""
        self.start(A, B, C)
        first, second = (self.server(position) for position in (0, 1))
        self.begins(first)
        self.begins(second)
        long, idle = (first, second) if C in first.given else (second, first)
        assert idle.running is not None
        self.ends(idle, idle.running)
        self.assertEqual(({}, [C]), (long.given, list(idle.given)))
        self.assertEqual(C, self.begins(idle))

    def test_work_runs_low(self) -> None:
        """When no more jobs have not begun than have ended and not been told, or than are done before others can have come."""
        self.start(*(Attempt(b"%016d" % number, 1) for number in range(10)))
        begun = self.begins(self.server(0))  # 9 are left
        self.assertEqual([False, True], [self.jobs.runs_low(untold) for untold in (8, 9)])
        self.ends(self.server(0), begun)
        for _ in range(2):
            self.ends(self.server(1), self.begins(self.server(1)))
            self.ends(self.server(0), self.begins(self.server(0)))
        self.assertFalse(self.jobs.runs_low(0))  # as 5 are left
        self.begins(self.server(0))
        self.assertTrue(self.jobs.runs_low(0))
        self.start(*(Attempt(b"%016d" % number, 1) for number in range(10, 20)))  # 14
        for mean, low in ((0.002, False), (0.0013, True)):
            self.jobs._pace.mean = mean
            self.assertEqual(low, self.jobs.runs_low(0))

    def test_nothing_waits_behind_a_job_that_takes_long(self) -> None:
        """What its server has been given is taken back, before it was submitted to others; more is given when that has ended."""
        attempts = [Attempt(b"%016d" % number, 1) for number in range(100)]
        self.jobs._pace.mean = 0.01
        self.start(*attempts)
        slow, quick = (self.server(position) for position in (0, 1))
        long = self.begins(slow)
        behind = list(slow.given)
        self.assertTrue(behind)
        for _ in range(2):
            self.ends(quick, self.begins(quick))
            self.jobs._look()
        self.assertEqual({}, slow.given)
        self.assertEqual(behind, [each for each in [*self.jobs._waiting, *quick.given] if each in behind])
        self.assertTrue(set(self.jobs._waiting).isdisjoint(quick.given))
        while quick.given:
            self.ends(quick, self.begins(quick))
        self.assertEqual(1, len(self.jobs))
        self.ends(slow, long)
        self.start(A)
        self.assertEqual(1, len(slow.given) + len(quick.given))

    def test_how_long_jobs_take(self) -> None:
        """Counts by their servers' words, however late these are heard."""
        for number in range(100):
            self.start(Attempt(b"%016d" % number, 1))
            server = self.server(0)
            attempt = self.begins(server)
            server.began = 5.0
            self.jobs._ended(server, Ended(attempt, Outcome(FINISHED, started=5.0, ended=5.125)))
        self.assertAlmostEqual(0.125, self.jobs._pace.mean, delta=0.01)

    def test_ease(self) -> None:
        """When each server there may be has several short jobs to go on with, and is not about to be replaced."""
        self.jobs._pace.mean = 0.001
        self.start(*(Attempt(b"%016d" % number, 1) for number in range(7)))
        self.assertEqual(0.0, self.jobs.ease)  # one has three
        self.start(A)
        self.assertGreater(self.jobs.ease, 0.0)
        self.jobs.most_jobs = 100
        self.assertEqual(0.0, self.jobs.ease)
        self.jobs.most_jobs, self.jobs.width = None, 3
        self.assertEqual(0.0, self.jobs.ease)

    def test_a_death_costs_the_running_job_only(self) -> None:
        """Of a hundred jobs in the queues, the one that ran is Terminated; all others are begun by other servers, once each."""
        attempts = [Attempt(b"%016d" % number, 1) for number in range(100)]
        self.jobs._pace.mean = 0.0001
        self.start(*attempts)
        dying = self.server(0)
        marked = self.begins(dying)
        self.dies(dying)
        self.assertEqual({marked}, set(self.ended()))
        self.assertEqual(TERMINATED, self.ended()[marked].status)
        begun = []
        while len(self.jobs):
            for server in list(self.jobs._servers):
                if server.given:
                    begun.append(self.begins(server))
                    self.ends(server, begun[-1])
        self.assertEqual(sorted(set(attempts) - {marked}), sorted(begun))

    def test_a_death_between_taking_and_beginning(self) -> None:
        """A job that was taken and had not begun has not started: it runs elsewhere."""
        self.start(A)
        dying = self.server(0)
        self.takes(dying)
        self.dies(dying)
        self.assertEqual({}, self.ended())
        self.assertEqual(A, self.begins(self.server(0)))

    def test_deaths_before_any_beginning(self) -> None:
        """One is an accident; after a few in a row the first job that waits is told so, with what was written, and the others go on."""
        self.jobs.width = 1
        self.start(A, B)
        for _ in range(3):
            self.assertEqual({}, self.ended())
            os.write(self.server(0).slot.stderr.descriptor, b"no memory")
            self.dies(self.server(0))
        self.assertEqual({A}, set(self.ended()))
        self.assertIn("no memory", self.ended()[A].exception or "")
        self.assertEqual(B, self.begins(self.server(0)))
        self.assertEqual(b"", self.server(0).slot.stderr.tail(10))
        self.dies(self.server(0))
        self.start(C)
        self.dies(self.server(0))
        self.assertEqual({A, B}, set(self.ended()), "what has begun in between was a beginning")

    def test_no_more_processes(self) -> None:
        """The first job that waits is told so, and the slot is there for the next one."""
        self.servers.fails = True
        self.start(A, B)
        self.assertEqual({A, B}, set(self.ended()))
        self.assertEqual("its process could not be started", self.ended()[A].reason)
        self.assertEqual(1, len(self.jobs._free))
        self.servers.fails = False
        self.start(C)
        self.assertEqual((C, []), (self.begins(self.server(0)), self.jobs._free))

    def test_no_more_processes_for_a_while(self) -> None:
        """Jobs that wait behind the first one do not wait for ever: a second later there may be a process."""
        self.jobs.width = 1
        self.start(A, B, C, D)
        self.begins(self.server(0))
        self.servers.fails = True
        self.dies(self.server(0))
        self.assertEqual({A, B}, set(self.ended()))
        for later in (10.0, 20.0):
            with mock.patch("dispytw.worker.timers.monotonic", return_value=time.monotonic() + later):
                self.timers.run()
            self.assertEqual({A, B, C}, set(self.ended()))
            self.servers.fails = False
        self.assertEqual(D, self.begins(self.server(0)))

    def test_one_job_each(self) -> None:
        """Who runs one job only is given no other behind it."""
        self.jobs.most_jobs = 1
        self.jobs._pace.mean = 0.0001
        self.start(A, B, C, D)
        self.assertEqual([1, 1], [server.load for server in self.jobs._servers])

    def test_cancelled_while_it_waits(self) -> None:
        """A job that no server has taken is Cancelled at once, and never begun."""
        self.start(A, B, C, D)
        for server in self.jobs._servers:
            self.begins(server)
        self.jobs.cancel(C)
        self.assertEqual(CANCELLED, self.ended()[C].status)
        self.assertEqual("cancelled before it started", self.ended()[C].reason)
        left = [attempt for server in self.jobs._servers for attempt in server.slot.take_back()]
        self.assertEqual([D], left)

    def test_cancelled_after_it_was_taken(self) -> None:
        """A job that was taken and has not begun is named, and signalled as soon as it says that it starts."""
        self.start(A)
        server = self.server(0)
        self.takes(server)
        self.jobs.cancel(A)
        self.assertTrue(self.inside(server).is_named(tag_of(A)))
        self.says(server, begins(A))
        self.assertEqual(A, server.cancelled)
        self.ends(server, A, TERMINATED)
        self.assertEqual(CANCELLED, self.ended()[A].status)

    def test_a_cancelled_job_that_finishes(self) -> None:
        """Has Finished, as dispy says; the next job is not thought to be cancelled."""
        self.start(A)
        server = self.server(0)
        self.begins(server)
        self.jobs.cancel(A)
        self.ends(server, A)
        self.start(B)
        self.begins(server)
        self.ends(server, B, TERMINATED)
        self.assertEqual((FINISHED, TERMINATED), (self.ended()[A].status, self.ended()[B].status))

    def stops(self, server: Server) -> None:
        """The last step of a cancel has come, and the server has been stopped."""
        while server.stopping is None:
            self.timers.run()
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)

    def test_the_last_step_of_a_cancel(self) -> None:
        """A job that ignores everything is killed with its server."""
        self.start(A)
        server = self.server(0)
        self.begins(server)
        self.jobs.cancel(A)
        self.stops(server)
        self.jobs.reap()
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        self.jobs.reap()
        self.assertEqual(CANCELLED, self.ended()[A].status)

    def test_a_last_step_that_comes_late(self) -> None:
        """The job has ended and another one begun while the server was being stopped: it goes on."""
        self.start(A)
        server = self.server(0)
        self.begins(server)
        self.jobs.cancel(A)
        self.stops(server)
        self.jobs.start(B, Inline(b""))
        self.jobs.width = 1
        server.given.setdefault(B, Inline(b""))
        server.slot.theirs.sendall(ends(A) + begins(B))
        self.jobs.reap()
        os.waitid(os.P_PID, server.pid, os.WCONTINUED)
        self.assertEqual(B, server.running)
        self.assertEqual(FINISHED, self.ended()[A].status)

    def test_recalled(self) -> None:
        """What has not begun can be given up, the last ones first; what was not asked for stays."""
        self.start(A, B, C, D)
        for server in self.jobs._servers:
            self.begins(server)
        self.assertEqual([D], self.jobs.recall(1))
        self.assertEqual([C], self.jobs.recall(5))
        self.assertEqual(2, len(self.jobs))

    def test_standing(self) -> None:
        """A daemon that connects hears what runs, since when, and what waits, in a server's queue or here; files of arguments too."""
        stored = Stored("/args", 100_000)
        self.jobs.start(A, stored)
        self.start(B, C, D)
        self.begins(self.server(0))
        runs = self.jobs.standing()
        self.assertEqual({A: stored, B: None, C: None, D: None}, {each.attempt: each.args for each in runs})
        self.assertEqual({A}, {each.attempt for each in runs if each.started is not None})

    def test_nonsense(self) -> None:
        """A server whose socket carries what no server says is ended, and its job with it."""
        self.start(A)
        server = self.server(0)
        self.begins(server)
        self.says(server, ends(B))
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        self.jobs.reap()
        self.assertEqual({A}, set(self.ended()))
        self.assertEqual(TERMINATED, self.ended()[A].status)

    def test_the_next_worker_s_words(self) -> None:
        """Who looks whether a server has spoken that has just died does not hear the one which serves its slot now."""
        self.jobs.width = 1
        self.start(A, B)
        self.begins(self.server(0))
        slot = self.server(0).slot
        late = self.watched[slot.ours]
        self.dies(self.server(0))
        self.assertIs(slot, self.server(0).slot)
        self.takes(self.server(0))
        slot.theirs.sendall(begins(B))
        late()
        self.watched[slot.ours]()
        self.assertEqual((B, True), (self.server(0).running, slot.sound))

    def test_nonsense_right_after_the_beginning(self) -> None:
        """The job has begun, so it does not run again."""
        self.start(A)
        server = self.server(0)
        self.takes(server)
        server.slot.theirs.sendall(begins(A) + b"\xff" * 10)
        self.watched[server.slot.ours]()
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        self.jobs.reap()
        self.assertEqual({A: TERMINATED}, {attempt: outcome.status for attempt, outcome in self.ended().items()})

    def test_nonsense_in_a_queue(self) -> None:
        """An order that nobody gave is not taken back."""
        self.start(A, B, C)
        server = self.server(0)
        server.slot.orders_in.send(tag_of(D) + b"i")
        self.assertEqual({A, B, C}, set(self.jobs.recall(5)))
        self.assertEqual(0, len(self.jobs))

    def test_two_beginnings(self) -> None:
        """A server cannot begin a job while another one of its runs."""
        self.jobs.width = 1
        self.start(A, B)
        server = self.server(0)
        self.begins(server)
        self.assertEqual({B}, set(server.given))
        self.says(server, begins(B))
        self.assertEqual((A, False), (server.running, server.slot.sound))

    def test_an_outcome_that_was_never_begun(self) -> None:
        """A server cannot end a job that it has not begun."""
        self.start(A)
        self.says(self.server(0), ends(A))
        self.assertEqual({}, self.ended())
        self.assertFalse(self.server(0).slot.sound)

    def test_cancel_all(self) -> None:
        """Whatever waits is Cancelled, whatever runs is being cancelled."""
        self.start(A, B, C)
        for server in self.jobs._servers:
            self.begins(server)
        self.jobs.cancel_all()
        self.assertEqual({C}, set(self.ended()))
        self.assertEqual({A, B}, {server.cancelled for server in self.jobs._servers})

