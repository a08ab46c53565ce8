"""A process that serves a slot: it takes job after job from the slot's queue, and says of each that it starts and how it ended.

Before a job runs, `Started` is said to the supervisor: when this process dies, this is the job that died with it, and those still in the
queue have not started. When it is over, `Ended` is said with everything that belongs to it: result, output, traceback. Between two jobs
both words go out in one write.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

import attrs

from dispytw.values import Attempt, Body
from dispytw.wire.frames import Ended, Start, Started, encode
from dispytw.worker import descriptors, speaking
from dispytw.worker.capture import Capture
from dispytw.worker.jobfunctions import dispynode_logger
from dispytw.worker.keptslots import KeptSlot
from dispytw.worker.performer import AGAIN, become_worker
from dispytw.worker.tracebacks import text_of


class Performer(Protocol):
    """What runs the jobs of a slot.

    :ivar spent: whether it can run no more.
    """

    spent: bool

    def begin(self) -> None:
        """Called once, in the new process."""

    def perform(self, start: Start) -> Ended:
        """Run one job."""


class Servers(Protocol):
    """How the processes that serve slots come to be."""

    def open_slot(self) -> KeptSlot:
        """A new slot; raises OSError when there can be none."""

    def begin(self, slot: KeptSlot) -> int:
        """Start a process that serves a slot; returns its id. Raises OSError when there can be none."""


@attrs.frozen
class ForkedServers:
    """Forks what serves slots.

    :param make: makes what runs the jobs of a slot, in the new process.
    :param out: directory for captures.
    :param most_jobs: see `serve`.
    """

    make: Callable[[KeptSlot], Performer]
    out: str
    most_jobs: int | None = None

    def open_slot(self) -> KeptSlot:
        """See `Servers`."""
        return KeptSlot.open(self.out)

    def begin(self, slot: KeptSlot) -> int:
        """See `Servers`."""
        supervisor = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = descriptors.fork(slot.passing)
        if pid == 0:
            serve(self.make, slot, supervisor, self.most_jobs)
        return pid


def serve(make: Callable[[KeptSlot], Performer], slot: KeptSlot, supervisor: int, most_jobs: int | None = None) -> NoReturn:
    """Serve a slot for life; called in the new process, and never returns.

    :param make: makes what runs the jobs, in this process.
    :param supervisor: process id of the parent, without which this process ends.
    :param most_jobs: after so many it ends, and is replaced.
    """
    status = 1
    try:
        become_worker(slot, supervisor)
        performer = make(slot)
        performer.begin()
        _serve(performer, slot, most_jobs)
        status = 0
    except BaseException as error:  # a fault of ours: the supervisor quotes it with the exit status
        os.write(2, text_of(error).encode())
    finally:
        os._exit(status)


def _serve(performer: Performer, slot: KeptSlot, most_jobs: int | None) -> None:
    start = slot.take(wait=True)
    said, done = b"", 0
    while start is not None:
        _say(slot, said + encode(Started(start.attempt, time.time())))
        said = encode(performer.perform(start))
        done += 1
        if done == most_jobs or performer.spent:
            break
        start = slot.take(wait=False)
        if start is None:
            _say(slot, said)
            said, start = b"", slot.take(wait=True)
    _say(slot, said)


def _say(slot: KeptSlot, said: bytes) -> None:
    if said and descriptors.is_ours(slot.theirs.fileno()):
        slot.theirs.sendall(said)
    elif said:
        os._exit(1)  # closed by the job: whatever is there now is not ours to write to


def taken(capture: Capture, path: str, attempt: Attempt) -> Body:
    """What was captured of an attempt; where it cannot be stored, as the disk is full, the job has not ended before it can.

    :raises OSError: when the job has closed the capture.
    """
    while True:
        try:
            return capture.take(path)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
            speaking.begin(attempt)  # a forker does not speak for one otherwise
            dispynode_logger.warning("the output of a job cannot be stored: %s", error)
            time.sleep(AGAIN)
