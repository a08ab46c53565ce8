"""The ledger's entries: what it remembers of a cluster, a node, a preparation and a job that is not settled."""

from __future__ import annotations

import enum
import itertools

import attrs

from dispytw.scheduler.policy import Candidates, Queue, Rank
from dispytw.values import MOST_PARKED, PLAIN, Attempt, JobOptions

#: Seconds of work that may wait on a node behind what runs there: enough to hide the way there and back.
HORIZON = 0.1
#: Seconds below which no body is taken to be.
SHORTEST = HORIZON / MOST_PARKED
#: How much of what is known of durations each new one replaces.
LEARNING = 0.1


class JobState(enum.Enum):
    """Where a job is that has no terminal status yet."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    RESTING = "resting"


class PreparationState(enum.Enum):
    """How far a computation has come on a node."""

    ALLOCATING = "allocating"
    UNUSED = "unused"
    PREPARING = "preparing"
    READY = "ready"
    HELD = "held"
    REJECTED = "rejected"
    CLOSED = "closed"


class Wish(enum.Enum):
    """What a cluster wants of a node: all jobs that fit, only those that are for this node, none any more, or to be set up anew."""

    USE = "use"
    SPARE = "spare"
    LEAVE = "leave"
    RENEW = "renew"


@attrs.define(eq=False)
class JobEntry:
    """One job: which attempt is current, and what became of earlier ones.

    :ivar begun: how many attempts have started, or may have.
    :ivar failures: how many have ended Terminated, and were followed by another.
    :ivar pinned: the node that it is for; None when it may run anywhere.
    :ivar in_line: whether it is for one node and waits there.
    """

    uid: bytes
    cluster: bytes
    sequence: int
    state: JobState = JobState.QUEUED
    number: int = 0
    node: bytes | None = None
    incarnation: int = 0
    generation: int = 0
    cancelled: bool = False
    losses: tuple[str, ...] = ()
    options: JobOptions = PLAIN
    begun: int = 0
    failures: int = 0
    pinned: bytes | None = None
    in_line: bool = False

    @property
    def attempt(self) -> Attempt:
        """The current attempt."""
        return Attempt(self.uid, self.number)

    @property
    def belief(self) -> tuple[Attempt, int, int]:
        """The current attempt, with the incarnation and the generation that it was given to."""
        return self.attempt, self.incarnation, self.generation


def waits(job: JobEntry, sequence: int) -> bool:
    """Whether the job still waits, in this place."""
    return job.state is JobState.QUEUED and job.sequence == sequence


@attrs.define(eq=False)
class Preparation:
    """One computation on one node: its state there, and how many slots it may use and does use.

    :ivar wish: what its cluster wants of the node.
    :ivar retired: the generation that is not to be used any more.
    :ivar shown: whether the user has been told that it is ready, and not yet that it is no more.
    :ivar queue: jobs for this node alone, ``pins`` of which wait.
    :ivar text: why it was rejected.
    """

    state: PreparationState = PreparationState.ALLOCATING
    generation: int = 0
    cpus: int = 0
    busy: int = 0
    deaths: int = 0
    wish: Wish = Wish.USE
    retired: int | None = None
    shown: bool = False
    queue: Queue[JobEntry] = attrs.field(factory=Queue)
    pins: int = 0
    text: str = ""

    @property
    def obstacle(self) -> str:
        """Why no job can run there as things stand; empty when one can, now or soon."""
        if self.state is PreparationState.UNUSED:
            return "no CPUs of it were allocated"
        if self.state is PreparationState.REJECTED:
            return f"it cannot run the computation: {self.text.strip().rpartition(chr(10))[2]}"
        return "it was closed" if self.state is PreparationState.CLOSED else ""

    def is_over(self, generation: int) -> bool:
        """Whether a supervisor of this generation is not to be used."""
        return self.state in (PreparationState.CLOSED, PreparationState.UNUSED) or generation == self.retired

    def takes(self, pinned: bool) -> bool:
        """Whether a job that is for this node alone, or one that is not, may be given to it."""
        wanted = self.wish is Wish.USE or (pinned and self.wish is not Wish.RENEW)
        return wanted and self.state is PreparationState.READY


@attrs.define(eq=False)
class NodeEntry:
    """One node: what it offers, whether it answers, what is believed to be there.

    :ivar cpus: slots that are used: those offered, or as many as the user has set by ``wanted``.
    :ivar offered: slots that it has.
    :ivar recalling: whether it has been asked for jobs that are parked there, and has not answered.
    :ivar recalled: how many jobs it had when it was asked for some as another node was idle: not again before that changes.
    :ivar pins: jobs that wait for this node alone.
    :ivar loose: jobs there that might as well run elsewhere.
    """

    uid: bytes
    order: int
    name: str
    offered: int
    incarnation: int
    since: float
    live: bool = False
    missed: bool = False
    barred_until: float | None = None
    version: int = 0
    recalling: bool = False
    recalled: int = 0
    jobs: dict[bytes, JobEntry] = attrs.field(factory=dict)
    strays: set[Attempt] = attrs.field(factory=set)
    preparations: dict[bytes, Preparation] = attrs.field(factory=dict)
    wanted: int | None = None
    pins: int = 0
    loose: int = 0
    cpus: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.count_cpus()

    def count_cpus(self) -> None:
        """What is offered or wanted has changed; a negative number is how many are to be left free."""
        if self.wanted is None:
            self.cpus = self.offered
        else:
            self.cpus = min(self.wanted, self.offered) if self.wanted >= 0 else max(0, self.offered + self.wanted)

    @property
    def busy(self) -> int:
        """Slots that are, or may be, in use."""
        return len(self.jobs) + len(self.strays)

    def room_for(self, cluster: bytes, pinned: bool = False) -> bool:
        """Whether a job of the cluster may be given to this node now.

        :param pinned: whether it is for this node alone.
        """
        if not self.live or self.barred_until is not None or self.busy >= self.cpus:
            return False
        preparation = self.preparations.get(cluster)
        return preparation is not None and preparation.takes(pinned) and preparation.busy < preparation.cpus

    def parking_for(self, cluster: bytes, depth: int, pinned: bool = False) -> bool:
        """Whether a job of the cluster may wait there, behind at most ``depth`` others a slot: all slots must be the cluster's own."""
        preparation = self.preparations.get(cluster)
        if not self.live or self.barred_until is not None or self.recalling or preparation is None:
            return False
        whole = preparation.takes(pinned) and preparation.cpus == self.cpus == self.offered
        return whole and preparation.pins == self.pins and preparation.busy == self.busy < self.cpus * (1 + depth)

    def waits(self, job: JobEntry) -> bool:
        """Whether the job waits there behind as many others as there are slots, as far as is known."""
        return job.uid not in self.first_in_line

    @property
    def first_in_line(self) -> itertools.islice[bytes]:
        """Jobs that have a slot there, as far as is known."""
        return itertools.islice(self.jobs, max(0, self.offered - len(self.strays)))

    @property
    def parked(self) -> int:
        """Jobs that wait there beyond the slots, as far as is known."""
        return max(0, self.busy - self.offered)

    @property
    def hoping(self) -> list[bytes]:
        """Clusters that have jobs for this node alone, or believe to have it ready."""
        return [uid for uid, each in self.preparations.items() if each.pins or each.shown]

    @property
    def may_give_back(self) -> bool:
        """Whether one of those might as well run elsewhere."""
        return any(job.pinned is None for job in self.in_wait)

    @property
    def in_wait(self) -> itertools.islice[JobEntry]:
        """The jobs that are parked there, as far as is known."""
        return itertools.islice(self.jobs.values(), max(0, self.offered - len(self.strays)), None)


@attrs.define(eq=False)
class ClusterEntry:
    """One cluster: its rules, its queue, its candidates.

    :ivar pinning: nodes that may take a job which is for them alone, that of the oldest such job first.
    """

    uid: bytes
    reentrant: bool
    pulse_interval: float | None
    queue: Queue[JobEntry] = attrs.field(factory=Queue)
    candidates: Candidates[float] = attrs.field(factory=Candidates)
    pinning: Candidates[Rank] = attrs.field(factory=Candidates)
    jobs: dict[bytes, JobEntry] = attrs.field(factory=dict)
    mean: float | None = None

    def learned(self, seconds: float) -> None:
        """A body has taken so long."""
        self.mean = seconds if self.mean is None else self.mean + LEARNING * (seconds - self.mean)

    @property
    def depth(self) -> int:
        """How many jobs may wait behind each slot of a node: what is done in `HORIZON`, or none as long as nothing is known."""
        return 0 if self.mean is None else int(HORIZON / max(self.mean, SHORTEST))

    @property
    def patience(self) -> float:
        """Seconds after which a node that does not answer is given up for this cluster's jobs."""
        if self.pulse_interval is not None:
            return 5 * self.pulse_interval
        return 60.0 if self.reentrant else 3600.0
