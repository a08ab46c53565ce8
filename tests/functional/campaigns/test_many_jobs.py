"""Many jobs: none is lost, none comes twice, and what they need is given back."""

from __future__ import annotations

import json
import unittest
from typing import Any

from tests.functional.campaigns import campaign
from tests.functional.daemons import Daemons

JOBS = 50_000

#: Given the node's address, its daemon's pid and a number of jobs; runs on the same machine.
MANY = """
import json, sys, time
import dispytw as dispy

def compute(n):
    return n

def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

if __name__ == "__main__":
    address, pid, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    called = []
    cluster = dispy.JobCluster(compute, nodes=[address], callback=called.append, isolation=sys.argv[4])
    assert cluster.submit(-1)() == -1
    cluster.wait()
    called.clear()
    before = {"daemon": resident(pid), "client": resident("self")}
    began = time.monotonic()
    jobs = [cluster.submit(n) for n in range(count)]
    submitted = time.monotonic() - began
    queued = resident("self")
    cluster.wait()
    seconds = time.monotonic() - began
    print(json.dumps({
        "submitting": submitted,
        "seconds": seconds,
        "before": before,
        "queued": queued,
        "after": {"daemon": resident(pid), "client": resident("self")},
        "pending": cluster.status().jobs_pending,
        "wrong": [n for n, job in enumerate(jobs) if job.status != dispy.DispyJob.Finished or job.result != n],
        "called": len(called),
        "different": len({id(job) for job in called}.intersection(map(id, jobs))),
    }))
"""


@campaign
class ManyJobs(unittest.TestCase):
    """One node with four slots, one program, fifty thousand jobs that do nothing."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=900)
        self.node = self.daemons.node("--cpus", "4")

    def test_a_process_for_each(self) -> None:
        """As users have it by default."""
        self.none_lost_none_twice("job")

    def test_kept_workers(self) -> None:
        """The same jobs in processes that are kept."""
        self.none_lost_none_twice("worker")

    def none_lost_none_twice(self, isolation: str) -> None:
        """Every job has its own result; every callback came once."""
        done = self.daemons.program(MANY, self.node.address, str(self.node.pid), str(JOBS), isolation)
        self.assertEqual(0, done.code, done)
        told: dict[str, Any] = json.loads(done.out)
        print(f"\n{JOBS} jobs, isolation {isolation!r}: {JOBS / told['seconds']:.0f} jobs/s, submitted within {told['submitting']:.1f} s")
        print(f"VmRSS in KiB before {told['before']}, client with all queued {told['queued']}, after {told['after']}")
        self.assertEqual([], told["wrong"])
        self.assertEqual((0, JOBS, JOBS), (told["pending"], told["called"], told["different"]))
