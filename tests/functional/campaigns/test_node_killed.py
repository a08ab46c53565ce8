"""A node's processes killed again and again during thousands of jobs that keep a ledger."""

from __future__ import annotations

import unittest

from dispytw.values import CANCELLED, FINISHED, TERMINATED
from tests.functional.campaigns import campaign
from tests.functional.daemons import Daemons
from tests.functional.nodekilling import Killing
from tests.node.test_journal import rate

JOBS, KILLS = 5000, 50
#: Of a daemon, how many supervisors of it are killed: at the third its client gives the node up for that cluster.
SUPERVISORS = 2


@campaign
class NodeKilled(unittest.TestCase):
    """One node of four slots, and one program."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=900)

    def test_the_daemon(self) -> None:
        """Every job is started once, every outcome delivered once; nothing is left in the end."""
        killing = Killing(self, self.daemons, JOBS, seed=20)
        while killing.kills["daemon"] < KILLS and killing.wait_for_starts(killing.chance.randint(1, 150)):
            killing.kill_daemon()
        killed = killing.end()
        print(f"\n{killed.kills['daemon']} times killed, {killed.running} of them with jobs running; {killed.told}")
        self.assertEqual(KILLS, killed.kills["daemon"])
        self.assertGreaterEqual(killed.running, 30)
        self.assertEqual({str(FINISHED): JOBS}, killed.told["statuses"])
        self.assertEqual({"1": JOBS}, killed.told["calls"])
        self.assertEqual([], killed.told["wrong"])
        self.assertEqual((JOBS, {1}), (len(killed.starts), set(killed.starts.values())))

    def test_supervisors_and_workers(self) -> None:
        """Every job has exactly one terminal status, and none was started twice; the daemon is killed now and then as well."""
        killing = Killing(self, self.daemons, JOBS, seed=21)
        while killing.wait_for_starts(killing.chance.randint(1, 100)):
            if killing.chance.random() < 0.8:
                killing.kill_worker()
            elif killing.kills["supervisor"] < SUPERVISORS * (1 + killing.kills["daemon"]):
                killing.kill_supervisor()
            else:
                killing.kill_daemon()
        killed = killing.end()
        print(f"\nkilled: {dict(killed.kills)}; {killed.told}")
        ends = {int(status): count for status, count in killed.told["statuses"].items()}
        self.assertEqual(JOBS, sum(ends.values()))
        self.assertLessEqual(set(ends), {FINISHED, TERMINATED, CANCELLED})
        self.assertGreater(ends[TERMINATED], 0)
        self.assertEqual({"1": JOBS}, killed.told["calls"])
        self.assertEqual([], killed.told["wrong"])
        self.assertEqual({1}, set(killed.starts.values()))


@campaign
class JournalRate(unittest.TestCase):
    """How fast a journal is."""

    def test_beside_a_busy_reactor(self) -> None:
        """At least 20,000 rows a second while another thread of the process never rests."""
        import threading

        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                sum(range(1000))

        busy = threading.Thread(target=work)
        busy.start()
        try:
            rows = rate(40_000)
        finally:
            over.set()
            busy.join()
        print(f"\n{rows:.0f} rows/s beside a thread that never rests")
        self.assertGreaterEqual(rows, 20_000)
