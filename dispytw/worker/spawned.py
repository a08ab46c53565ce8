"""A fresh process that serves a slot: it is executed by `dispytw.worker.spawning`, and makes itself what a forked one is from birth.

It lays out the bundle anew, so the code of the computation's modules is run here too, and takes over the globals that setup() has left.
That is done before it takes a job. If it fails, the process ends, and the supervisor quotes why.
"""

from __future__ import annotations

import mmap
import os
import pickle
import sys
from collections.abc import Sequence
from functools import partial

from dispytw.values import WORKER
from dispytw.wire.bundle import decode
from dispytw.worker import capture
from dispytw.worker.keptperformer import KeptWorker
from dispytw.worker.performer import end_multiprocessing, flush_output
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.serving import serve
from dispytw.worker.spawning import Papers
from dispytw.worker.voice import voice


class LastingOneJob(KeptWorker):
    """One that runs a single job, with whose end the process ends as any program does."""

    def _sweep(self) -> None:
        end_multiprocessing()
        super()._sweep()


def main(arguments: Sequence[str] | None = None) -> None:
    """The program.

    :param arguments: numbers: who has started it, jobs that it may run (0 for any), bytes that a job's file may have, descriptors.
    """
    supervisor, most_jobs, max_file_size, papers_file, *passed = map(
        int, sys.argv[1:] if arguments is None else arguments
    )
    for descriptor in (papers_file, *passed):
        os.set_inheritable(descriptor, False)
    capture.write_by_line()
    voice.log = os.dup(2)
    voice.max_file_size = max_file_size
    serve(partial(make, papers_file), tuple(passed), supervisor, most_jobs or None)


def read(descriptor: int) -> Papers:
    """The papers; others read them from the same descriptor, at the same time."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as written:
        papers: Papers = pickle.loads(written)
    os.close(descriptor)
    return papers


def settle(papers: Papers) -> None:
    """Make this process what the supervisor is for those that are copies of it."""
    setup = papers.setup
    sys.path[:] = papers.path
    os.chdir(setup.cwd)
    voice.ear, voice.spool, voice.home = papers.ear, setup.spool, setup.cwd
    for descriptor in papers.passing:
        os.set_inheritable(descriptor, False)
    if papers.tracker is not None:
        from multiprocessing import resource_tracker

        resource_tracker._resource_tracker._fd = papers.tracker  # type: ignore[attr-defined]


def make(papers_file: int, slot: ServedSlot) -> KeptWorker:
    """Lay out the computation, with what setup() has left; what that prints is no job's."""
    papers = read(papers_file)
    settle(papers)
    from dispytw.worker import namespace

    setup = papers.setup
    loaded = namespace.load(decode(papers.bundle), facts={**setup.facts, "dispy_job_path": setup.cwd})
    loaded.take_over(papers.handed.payload)
    voice.pack = loaded.pack
    flush_output()
    slot.stdout.clear()
    slot.stderr.clear()
    kind = KeptWorker if setup.isolation == WORKER else LastingOneJob
    return kind(loaded, slot, cwd=setup.cwd, out=setup.out)
