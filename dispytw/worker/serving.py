"""A process that serves a slot: it takes order after order from the slot's queue, and says of each that it begins and how it ended.

Before a job runs its beginning is said to the supervisor: when this process dies, this is the job that died with it, and those still in
the queue have not started. When it is over, its end is said with everything that belongs to it: result, output, traceback. Between two
jobs both words go out in one write.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from dispytw.lighttyping import NoReturn, Protocol
from dispytw.worker.capture import Capture
from dispytw.worker.performer import AGAIN, become_worker
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.slotwords import TAG, begun
from dispytw.worker.tracebacks import text_of


class Performer(Protocol):
    """What runs the jobs of a slot.

    :ivar alone: whether no body runs in this process.
    :ivar spent: whether it can run no more.
    """

    alone: bool
    spent: bool

    def begin(self) -> None:
        """Called once, in the new process."""

    def perform(self, order: bytes) -> bytes:
        """Run one job; returns what is to be said of its end (`dispytw.worker.slotwords.over`)."""


def serve(
    make: Callable[[ServedSlot], Performer], passed: tuple[int, ...], supervisor: int, most_jobs: int | None = None
) -> NoReturn:
    """Serve a slot for life; called in the new process, and never returns.

    :param make: makes what runs the jobs, in this process.
    :param passed: the slot's descriptors.
    :param supervisor: process id of the parent, without which this process ends.
    :param most_jobs: after so many it ends, and is replaced.
    """
    status = 1
    try:
        slot = ServedSlot(passed)
        become_worker(slot, supervisor)
        performer = make(slot)
        performer.begin()
        _serve(performer, slot, most_jobs)
        status = 0
    except BaseException as error:  # a fault of ours: the supervisor quotes it with the exit status
        os.write(2, text_of(error).encode())
    finally:
        os._exit(status)


def _serve(performer: Performer, slot: ServedSlot, most_jobs: int | None) -> None:
    say = slot.say if performer.alone else slot.say_if_ours
    order = slot.take(wait=True)
    said, done = b"", 0
    while order is not None:
        say(said + begun(order[: TAG.size], time.time()))
        said = performer.perform(order)
        done += 1
        if done == most_jobs or performer.spent:
            break
        order = slot.take(wait=False)
        if order is None:
            say(said)
            said, order = b"", slot.take(wait=True)
    say(said)


def taken(capture: Capture, path: str) -> bytes:
    """What was captured of an attempt; where it cannot be stored, as the disk is full, the job has not ended before it can.

    :raises OSError: when the job has closed the capture.
    """
    if capture.is_empty():
        return b""
    while True:
        try:
            return capture.take(path)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
            from dispytw.worker.nodelog import dispynode_logger

            dispynode_logger.warning("the output of a job cannot be stored: %s", error)
            time.sleep(AGAIN)
