"""The daemon's memory stays flat, whatever passes through it: large bodies go to files and come from files."""

from __future__ import annotations

import json
import unittest

from tests.functional.campaigns import campaign
from tests.functional.daemons import Daemons

#: Bytes that the daemon may grow by while 64 MiB arguments and results pass through it.
ROOM = 16 << 20

#: Given the node's address, its daemon's pid and its state directory; runs on the same machine.
ECHO = """
import hashlib, json, os, random, sys, time
import dispytw as dispy

def echo(data):
    import hashlib
    return hashlib.sha256(data).digest(), data

def memory(pid, field):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

def move(data):
    job = cluster.submit(data)
    digest, back = job()
    assert digest == hashlib.sha256(data).digest(), "the argument was damaged"
    assert back == data, "the result was damaged"

if __name__ == "__main__":
    address, pid, state_dir = sys.argv[1:]
    cluster = dispy.JobCluster(echo, nodes=[address])
    move(random.Random(0).randbytes(1 << 10))
    try:
        with open(f"/proc/{pid}/clear_refs", "w") as peak:
            peak.write("5")
    except PermissionError as error:
        print(json.dumps({"refused": str(error)}))
        sys.exit()
    before = memory(pid, "VmRSS")
    for seed in (1, 2):
        move(random.Random(seed).randbytes(64 << 20))
    peak = memory(pid, "VmHWM")
    left, deadline = {"spool": ["?"]}, time.monotonic() + 10
    while left["spool"] and time.monotonic() < deadline:
        move(b"")  # meanwhile the node hears that the others' outcomes have arrived
        left = {name: os.listdir(os.path.join(state_dir, name)) for name in ("inbox", "spool")}
        left["spool"] = [name for name in left["spool"] if not name.endswith(".papers")]  # the supervisor is still there
    print(json.dumps({"before": before, "peak": peak, "left": left}))
"""


@campaign
class Memory(unittest.TestCase):
    """What one node's daemon needs while large arguments and results pass through it."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=120)
        self.node = self.daemons.node("--cpus", "1")

    def test_flat_and_intact(self) -> None:
        """64 MiB come and go twice, undamaged; the daemon grows by less than 16 MiB, and no file of them is left."""
        done = self.daemons.program(ECHO, self.node.address, str(self.node.pid), str(self.node.state_dir))
        self.assertEqual(0, done.code, done)
        told = json.loads(done.out)
        if "refused" in told:
            reason = f"the daemon hides from this user, so its peak cannot be reset: {told['refused']}"
            print(f"\n{reason}")
            self.skipTest(reason)
        grown = told["peak"] - told["before"]
        print(f"\n64 MiB each way, twice: VmRSS {told['before'] >> 10} KiB before, VmHWM {told['peak'] >> 10} KiB: +{grown >> 10} KiB")
        self.assertLess(grown, ROOM)
        self.assertEqual({"inbox": [], "spool": []}, told["left"])
