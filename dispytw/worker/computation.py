"""A computation in the process that it lives in: opened, set up, ready to be copied for whoever serves a slot, and cleaned up.

That process is the supervisor's zygote (`dispytw.worker.zygote`), or the supervisor itself where there is none. What is imported here is
in the memory of every process that runs a job, so it is little.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial

from dispytw.lighttyping import Any, NamedTuple
from dispytw.plain import WORKER
from dispytw.wire.bundle import Bundle
from dispytw.wire.late import msgpack
from dispytw.worker import descriptors, forking, namespace
from dispytw.worker.forker import Forker
from dispytw.worker.keptperformer import KeptWorker
from dispytw.worker.performer import Work, flush_output, look_at_modules
from dispytw.worker.servedslot import ServedSlot
from dispytw.worker.serving import Performer, serve
from dispytw.worker.tracebacks import text_of
from dispytw.worker.voice import voice

#: What setup() returns for success (dispy's manual; jobs are always forked from here, so the three mean the same).
_SUCCESS = (0, 1, 2)


class Terms(NamedTuple):
    """What the process has to know of it; see `dispytw.wire.frames.Setup`.

    :param mentions: names that jobs are given (`dispytw.wire.bundle.JOB_NAMES`) and that its code has in it.
    :param ear: where jobs are heard.
    """

    bundle: Bundle
    mentions: frozenset[str]
    cwd: str
    program: str | None
    facts: dict[str, str]
    out: str
    spool: str
    isolation: str
    most_jobs: int | None
    ear: str


class Computation:
    """One that lives in this process.

    :ivar namespace: its code, once it is laid out.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.namespace: Any = None

    def lay_out(self) -> None:
        """Make this process the computation's, and open its code; raises what that raises."""
        terms = self.terms
        os.makedirs(terms.out, exist_ok=True)
        os.chdir(terms.cwd)
        sys.path[0] = terms.cwd
        process = sys.modules.get("multiprocessing.process")
        if process is not None:
            process.ORIGINAL_DIR = terms.cwd  # type: ignore[attr-defined]
        if terms.program is not None:
            msgpack()  # each of its jobs would load it, for its arguments
        voice.log = os.dup(2)
        facts = {**terms.facts, "dispy_job_path": terms.cwd}
        self.namespace = namespace.load(terms.bundle, facts=facts, mentions=terms.mentions)
        voice.ear, voice.spool, voice.home, voice.pack = terms.ear, terms.spool, terms.cwd, self.namespace.pack

    def set_up(self) -> str | None:
        """Run the user's setup(), if there is one; returns why the computation cannot be run here, or None."""
        try:
            return self._called() if self.namespace.has_setup else None
        except BaseException as error:
            return text_of(error)

    def _called(self) -> str | None:
        with _interruptible():
            returned = self.namespace.setup()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # how a cancel arrives, whatever setup() thought of it
        if isinstance(returned, int) and returned in _SUCCESS:
            return None
        return f"setup() returned {returned!r}; 0, 1 or 2 mean success"

    def settle(self) -> None:
        """Nothing of the user's runs here any more: from now on this process is copied."""
        forking.look_at_threads()
        look_at_modules()
        gc.collect()
        gc.freeze()  # a collection in a worker would touch, and so copy, every page of ours

    @property
    def make(self) -> Callable[[ServedSlot], Performer]:
        """Makes what runs the jobs of a slot, in the process that serves it."""
        terms = self.terms
        if terms.isolation == WORKER:
            return partial(KeptWorker, self.namespace, cwd=terms.cwd, out=terms.out)
        return partial(Forker, Work.of(terms, self.namespace))

    def begin(self, passed: tuple[int, ...], max_file_size: int) -> int:
        """Fork what serves a slot; returns its process id. Raises OSError when there can be no process.

        :param passed: the slot's descriptors.
        :param max_file_size: bytes that a file may have which a job sends; 0 for no limit.
        """
        voice.max_file_size = max_file_size
        parent = os.getpid()
        flush_output()  # what was printed before a fork is printed once
        pid = descriptors.fork(passed)
        if pid == 0:
            serve(self.make, passed, parent, self.terms.most_jobs)
        return pid

    def clean_up(self) -> int:
        """Run the user's cleanup(), if there is one; returns the exit status that tells how that went."""
        if self.namespace is None or not self.namespace.has_cleanup:
            return 0
        try:
            with _interruptible():
                self.namespace.cleanup()
            return 0
        except BaseException:
            traceback.print_exc()
            return 1


class _interruptible:
    """While setup() and cleanup() run, SIGINT is not blocked, so that what they start does not inherit a blocked one."""

    def __enter__(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
