"""The nouns that travel between rooms: frozen values, no behaviour, no imports of ours.

Uids are 16 random bytes, made by whoever creates the thing they name. Times called *wall* are seconds since the epoch
(shown to people); every other time is monotonic seconds, passed in as an argument and never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Union

import attrs

from dispytw.plain import ERROR_LIMIT as ERROR_LIMIT
from dispytw.plain import INLINE_LIMIT as INLINE_LIMIT
from dispytw.plain import JOB as JOB
from dispytw.plain import WORKER as WORKER

#: A job's status, in dispy's numbers: a final status is greater than a provisional one.
CREATED = 5
RUNNING = 6
PROVISIONAL_RESULT = 7
CANCELLED = 8
TERMINATED = 9
ABANDONED = 10
FINISHED = 11

#: The statuses that end a job; it gets exactly one of them, once.
TERMINAL = frozenset({CANCELLED, TERMINATED, ABANDONED, FINISHED})

#: Attempts that may wait on a node behind each slot, when all slots are one computation's: enough for several messages to be under way.
MOST_PARKED = 200

#: How the processes that run jobs come to be: as copies of the supervisor, or as fresh ones that are sent what setup() has left.
FORK = "fork"
SPAWN = "spawn"
START_METHODS = (FORK, SPAWN)

#: Why a job that was started again and again has ended.
TOO_MANY_ATTEMPTS = "too many attempts"


class Attempt(NamedTuple):
    """One dispatch of a job. A tuple, as it is the key of most that is known of a job: its hash costs a sixth of an attrs class's.

    :param job: the job's uid, 16 bytes.
    :param number: 1 for the first dispatch, counted by the scheduler.
    """

    job: bytes
    number: int

    def __str__(self) -> str:
        return f"{self.job.hex()[:8]}/{self.number}"


@attrs.frozen
class JobOptions:
    """What is wanted of one job, beside its arguments.

    :param timeout: seconds that its body may take on a node, or None for no limit.
    :param retries: how often it is tried again after an attempt that ended Terminated.
    :param backoff: seconds between such an end and the next attempt.
    :param priority: of jobs that wait, those with a higher one go first.
    """

    timeout: float | None = None
    retries: int = 0
    backoff: float = 0.0
    priority: int = 0


#: What is wanted of a job of which nothing is said.
PLAIN = JobOptions()


@attrs.frozen
class Inline:
    """A body small enough to be carried around: the bytes themselves."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)


@attrs.frozen
class Stored:
    """A body kept in a file of this machine; the path never crosses the wire.

    :param path: absolute path of the file.
    :param size: its length in bytes.
    """

    path: str
    size: int


Body = Union[Inline, Stored]

EMPTY = Inline(b"")


@attrs.frozen
class Outcome:
    """How an attempt ended.

    :param status: FINISHED, TERMINATED or CANCELLED.
    :param result: the payload of the returned value (opened only by the client), or None where there is none.
    :param stdout: what the job wrote to descriptor 1, as bytes.
    :param stderr: what the job wrote to descriptor 2, as bytes.
    :param exception: traceback text, or what killed the job; None when it returned.
    :param started: wall time at which the job's body began on the node, seconds; None if it never did.
    :param ended: wall time at which it ended on the node, seconds.
    :param reason: one line for ``job.reason``: why it ended so, where the status alone does not tell.
    :param error: the exception itself as a payload (opened only by the client); or how its process ended, as plain msgpack
        (``["exit", status]``, ``["signal", number]``); at most `ERROR_LIMIT` bytes, empty where there is none.
    """

    status: int
    result: Body | None = None
    stdout: Body = EMPTY
    stderr: Body = EMPTY
    exception: str | None = None
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    error: bytes = b""


@attrs.frozen
class File:
    """A file that a computation needs, named by its content.

    :param path: where it goes, relative to the computation's directory, ``/`` between parts.
    :param digest: sha256 of the content, 32 bytes.
    :param size: length in bytes.
    :param mode: permission bits (0o755 …).
    """

    path: str
    digest: bytes
    size: int
    mode: int = 0o644


@attrs.frozen(eq=False)
class Equipped(Inline):
    """A job's arguments, with files that this job alone needs; these go to its node before it.

    :param data: the arguments' bytes.
    :param files: their paths are relative to the job's own directory.
    :param contents: what they hold, by digest.
    """

    files: tuple[File, ...] = ()
    contents: Mapping[bytes, Body] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Computation:
    """What a node must know to run jobs of one cluster. The code itself is opaque: a bundle named by its digest.

    :param uid: 16 random bytes, one per cluster.
    :param name: the function's or program's name, for people.
    :param program: relative path of the program to execute, or None for a function.
    :param bundle: the packed code (functions, classes, modules, constants, setup, cleanup); a file like others, but only
        the supervisor opens it.
    :param files: file dependencies.
    :param python: (major, minor) that the bundle or its payloads need because they hold bytecode, or None.
    :param setup_timeout: seconds that setup may take, or None for no limit.
    :param token: 16 random bytes, known to the client and the nodes only: who brings them may take the computation over.
    :param isolation: ``job`` (a process for each job) or ``worker`` (processes that run job after job).
    :param max_jobs_per_worker: jobs after which a kept worker is replaced, or None for no limit.
    :param dest_path: relative path of the directory that its jobs run in, shared with others of that name; empty for one of its own.
    :param keeps: whether its files stay on the node when it is closed.
    :param start_method: how the processes that run its jobs come to be: ``fork``, ``spawn``, or None for what the node can.
    """

    uid: bytes
    name: str
    bundle: File
    files: tuple[File, ...] = ()
    program: str | None = None
    python: tuple[int, int] | None = None
    setup_timeout: float | None = None
    token: bytes = bytes(16)
    isolation: str = JOB
    max_jobs_per_worker: int | None = None
    dest_path: str = ""
    keeps: bool = False
    start_method: str | None = None


@attrs.frozen
class Availability:
    """How busy a machine is, as psutil tells it there.

    :param cpu: idle CPU, percent.
    :param memory: memory that programs could get, bytes.
    :param disk: free space where jobs run, bytes.
    :param swap: free swap, percent; 100 where there is none.
    """

    cpu: float
    memory: int
    disk: int
    swap: float


@attrs.frozen
class NodeFacts:
    """What a node says of itself when a link opens.

    :param uid: 16 bytes, persisted in its state directory.
    :param incarnation: raised by one at each start of the daemon.
    :param name: host name or ``--name``.
    :param cpus: slots it offers.
    :param platform: as `platform.platform` gives it.
    :param python: (major, minor) of its interpreter.
    :param version: dispytw's version there.
    :param pid: the daemon's process id, for people.
    :param available: how busy it is, as far as is known.
    """

    uid: bytes
    incarnation: int
    name: str
    cpus: int
    platform: str = ""
    python: tuple[int, int] = (0, 0)
    version: str = ""
    pid: int = 0
    available: Availability | None = None
