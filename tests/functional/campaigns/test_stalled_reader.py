"""A reader that takes nothing stalls its own stream, and nothing else on the link: no heartbeat, no job."""

from __future__ import annotations

import json
import sys
import unittest

from tests.functional.campaigns import campaign
from tests.functional.daemons import Completed, Daemons

#: Beside the programs below: sinks that report nothing consumed until they are released.
STALLING = """
from dispytw.wire.streams import WINDOW, Streams

class Stalled:
    def __init__(self, sink, streams, stream, full):
        self.sink, self.streams, self.stream, self.full = sink, streams, stream, full
        self.written, self.released = 0, False

    def write(self, data):
        self.written = self.sink.write(data)
        if self.written == WINDOW and not self.released:
            self.full(self.written)
        return self.written if self.released else 0

    def release(self):
        self.released = True
        self.streams.consumed(self.stream, self.written)

    def finish(self, digest):
        return self.sink.finish(digest)

    def discard(self):
        self.sink.discard()

def stall(sinks, least, full):
    '''From now on streams of at least so many bytes stall when a window has come; the function returned releases them.'''
    opened, make, receivers, stalled = Streams.opened, sinks.open, {}, []

    def remember(self, stream, size, kind):
        receivers[stream] = self
        opened(self, stream, size, kind)

    def open(self, stream, size, kind):
        sink = make(self, stream, size, kind)
        if size < least:
            return sink
        stalled.append(Stalled(sink, receivers[stream], stream, full))
        return stalled[-1]

    Streams.opened, sinks.open = remember, open
    return lambda: [sink.release() for sink in stalled]
"""

#: A node that takes nothing of a stream of 1 GiB until SIGUSR1.
NODE = """
import os, signal, sys
from twisted.internet import reactor
from dispytw.node.tap import main
from dispytw.node.workspace import StoreSinks
from stalling import stall

release = stall(StoreSinks, 1 << 30, lambda size: open(os.environ["STALLED"], "w").close())
signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(release))
main()
"""

MEASURE = """
import json, os, signal, statistics, sys, time
import dispytw as dispy

SILENT = 6.5  # seconds; a link on which nothing comes for five is closed

class Piece:
    def __init__(self, size):
        self.data = bytes(size)

def compute(pieces=(), size=None):
    return bytes(size) if size else sum(len(piece.data) for piece in pieces)

def trips(count):
    '''Milliseconds of so many jobs that do nothing, one after another.'''
    times = []
    for _ in range(count):
        began = time.perf_counter()
        cluster.submit()()
        times.append(1000 * (time.perf_counter() - began))
    return times

def measured(start, is_stalled, release):
    '''Idle before and after, as the machine may be busier at one end than at the other.'''
    trips(20)
    idle = trips(150)
    job = start()
    while not is_stalled():
        time.sleep(0.01)
    time.sleep(SILENT)
    stalled = trips(300)
    assert job.status < dispy.DispyJob.Cancelled, job
    release()
    job()
    assert job.status == dispy.DispyJob.Finished, job.exception
    idle += trips(150)
    return job, {"idle": statistics.median(idle), "stalled": statistics.median(stalled)}
"""

#: The argument is packed in pieces: for as long as one is copied, the interpreter lets no other thread run, the reactor's included.
ARGUMENT = MEASURE + """
if __name__ == "__main__":
    address, pid, marker = sys.argv[1:]
    cluster = dispy.JobCluster(compute, nodes=[address], pulse_interval=1)
    job, times = measured(
        start=lambda: cluster.submit([Piece(16 << 20) for _ in range(64)]),
        is_stalled=lambda: os.path.exists(marker),
        release=lambda: os.kill(int(pid), signal.SIGUSR1),
    )
    print(json.dumps({**times, "moved": job.result}))
"""

RESULT = MEASURE + """
from dispytw.wire.streams import MemorySinks
from stalling import stall

if __name__ == "__main__":
    from twisted.internet import reactor

    address, = sys.argv[1:]
    full = []
    release = stall(MemorySinks, 256 << 20, full.append)
    cluster = dispy.JobCluster(compute, nodes=[address], pulse_interval=1)
    job, times = measured(
        start=lambda: cluster.submit(size=256 << 20),
        is_stalled=lambda: full,
        release=lambda: reactor.callFromThread(release),
    )
    assert job.result == bytes(256 << 20), "the result was damaged"
    print(json.dumps({**times, "moved": len(job.result)}))
"""


@campaign
class StalledReader(unittest.TestCase):
    """One stream is stalled for longer than a link may be silent; everything else goes on."""

    def setUp(self) -> None:
        self.daemons = Daemons(self, seconds=180)
        self.daemons.file("stalling.py", STALLING)

    def test_argument(self) -> None:
        """A node that takes nothing of a 1 GiB argument: the link stays, other jobs are as fast as before, and it arrives in the end."""
        marker = self.daemons.root / "stalled"
        command = [sys.executable, str(self.daemons.file("node.py", NODE))]
        node = self.daemons.node("--cpus", "2", env={"STALLED": str(marker)}, command=command)
        done = self.daemons.program(ARGUMENT, node.address, str(node.pid), str(marker))
        self.assert_undisturbed(done, node.log(), moved=1 << 30)

    def test_result(self) -> None:
        """A program that takes nothing of a 256 MiB result: the same."""
        node = self.daemons.node("--cpus", "2")
        done = self.daemons.program(RESULT, node.address)
        self.assert_undisturbed(done, node.log(), moved=256 << 20)

    def assert_undisturbed(self, done: Completed, log: str, moved: int) -> None:
        self.assertEqual(0, done.code, done)
        told = json.loads(done.out)
        print(f"\n{moved >> 20} MiB stalled: p50 idle {told['idle']:.2f} ms, stalled {told['stalled']:.2f} ms")
        self.assertEqual(moved, told["moved"])
        self.assertNotIn("does not answer", done.err)
        self.assertNotIn("closing the link", done.err + log)
        self.assertLess(told["stalled"], 2 * told["idle"])
