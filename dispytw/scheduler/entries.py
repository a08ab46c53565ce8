"""The ledger's entries: what it remembers of a cluster, a node, a preparation and a job that is not settled."""

from __future__ import annotations

import enum
import itertools

import attrs

from dispytw.scheduler.policy import Candidates, Queue
from dispytw.values import MOST_PARKED, PLAIN, Attempt, JobOptions

#: Seconds of work that may wait on a node behind what runs there: enough to hide the way there and back.
HORIZON = 0.05
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


@attrs.define(eq=False)
class JobEntry:
    """One job: which attempt is current, and what became of earlier ones.

    :ivar begun: how many attempts have started, or may have.
    :ivar failures: how many have ended Terminated, and were followed by another.
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

    @property
    def attempt(self) -> Attempt:
        """The current attempt."""
        return Attempt(self.uid, self.number)

    @property
    def belief(self) -> tuple[Attempt, int, int]:
        """The current attempt, with the incarnation and the generation that it was given to."""
        return self.attempt, self.incarnation, self.generation


@attrs.define(eq=False)
class Preparation:
    """One computation on one node: its state there, and how many slots it may use and does use."""

    state: PreparationState = PreparationState.ALLOCATING
    generation: int = 0
    cpus: int = 0
    busy: int = 0
    deaths: int = 0


@attrs.define(eq=False)
class NodeEntry:
    """One node: what it offers, whether it answers, what is believed to be there."""

    uid: bytes
    order: int
    name: str
    cpus: int
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

    @property
    def busy(self) -> int:
        """Slots that are, or may be, in use."""
        return len(self.jobs) + len(self.strays)

    def room_for(self, cluster: bytes) -> bool:
        """Whether a job of the cluster may be given to this node now."""
        if not self.live or self.barred_until is not None or self.busy >= self.cpus:
            return False
        preparation = self.preparations.get(cluster)
        return (
            preparation is not None
            and preparation.state is PreparationState.READY
            and preparation.busy < preparation.cpus
        )


    def parking_for(self, cluster: bytes, depth: int) -> bool:
        """Whether a job of the cluster may wait there, behind at most ``depth`` others a slot: all slots must be the cluster's own."""
        preparation = self.preparations.get(cluster)
        if not self.live or self.barred_until is not None or self.recalling or preparation is None:
            return False
        whole = preparation.state is PreparationState.READY and preparation.cpus == self.cpus
        return whole and preparation.busy == self.busy < self.cpus * (1 + depth)

    def waits(self, job: JobEntry) -> bool:
        """Whether the job waits there behind as many others as there are slots, as far as is known."""
        return job.uid not in itertools.islice(self.jobs, max(0, self.cpus - len(self.strays)))

    @property
    def parked(self) -> int:
        """Jobs that wait there beyond the slots, as far as is known."""
        return max(0, self.busy - self.cpus)


@attrs.define(eq=False)
class ClusterEntry:
    """One cluster: its rules, its queue, its candidates."""

    uid: bytes
    reentrant: bool
    pulse_interval: float | None
    queue: Queue[JobEntry] = attrs.field(factory=Queue)
    candidates: Candidates = attrs.field(factory=Candidates)
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
