"""What a recover file says: its records, made here and read here, and what is left of a cluster when they have all been read.

A record is a list that begins with its kind. They stand in the order in which things happened, with three exceptions: an id that was set
counts whenever it comes, nothing counts for a job after its delivery, and the end of an attempt that may not be the last, which names its
number, counts as long as no later attempt was sent, whether that is written before it or behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from dispytw.errors import WireError
from dispytw.values import Attempt, Body, Outcome, Stored
from dispytw.wire.records import attempt_from, outcome_bodies, outcome_from, outcome_record

COMPUTATION, NODE, SENT, IDENTIFIED, ENDED, DELIVERED = "computation", "node", "sent", "id", "ended", "delivered"

#: Forms in which an id stands in a record.
PLAIN, PACKED = "plain", "packed"

_UID = 16


@attrs.frozen
class Owned:
    """The computation that the jobs belong to.

    :param token: proves to nodes that its jobs may be taken over.
    :param began: wall time at which its cluster was made.
    :param pid: the process that made it.
    """

    uid: bytes
    token: bytes
    name: str
    is_program: bool
    began: float
    pid: int


@attrs.frozen
class Place:
    """A node that jobs were sent to.

    :param login: what opens it: a credential, or, where it was read from a file, what `dispytw.client.logins` makes of one.
    :param private: whether it was started for the program, and ended with it.
    """

    node: bytes
    host: str
    port: int
    login: Any
    private: bool


@attrs.define(eq=False)
class LeftJob:
    """A job that was not delivered.

    :ivar number: what counted as its id before one was set.
    :ivar given_id: its id as (form, value), or None when none was set.
    :ivar attempt: the last that was sent, or None.
    :ivar node: where that went; and where it ended, once there is an outcome.
    :ivar sent: wall time at which it was sent.
    :ivar ended: the number of the attempt that has ended so, if another may follow.
    """

    uid: bytes
    number: int | None = None
    given_id: tuple[str, Any] | None = None
    attempt: Attempt | None = None
    node: bytes | None = None
    given: tuple[int, int] = (0, 0)
    sent: float | None = None
    outcome: Outcome | None = None
    ended: int | None = None

    def entries(self) -> list[list[Any]]:
        """Records that say as much."""
        told = []
        if self.attempt is not None and self.node is not None:
            told.append(sent_entry(self.node, self.given, self.sent or 0.0, [(self.attempt, self.number)]))
        if self.given_id is not None:
            told.append(id_entry(self.uid, *self.given_id))
        if self.outcome is not None:
            stored = [body.path for body in outcome_bodies(self.outcome) if isinstance(body, Stored)]
            names = {path: path.rpartition("/")[2].encode() for path in stored}
            told.append(ended_entry(self.uid, self.node, self.outcome, names, self.ended))
        return told


# Records.
def computation_entry(owned: Owned) -> list[Any]:
    """A cluster begins."""
    return [COMPUTATION, owned.uid, owned.token, owned.name, owned.is_program, owned.began, owned.pid]


def node_entry(place: Place, login: list[Any]) -> list[Any]:
    """Jobs will be sent to a node."""
    return [NODE, place.node, place.host, place.port, login, place.private]


def sent_entry(node: bytes, given: tuple[int, int], wall: float, jobs: Iterable[tuple[Attempt, int | None]]) -> list[Any]:
    """Attempts are about to leave, each with the number that counts as its job's id."""
    return [SENT, node, *given, wall, [[attempt.job, attempt.number, number] for attempt, number in jobs]]


def id_entry(job: bytes, form: str, value: Any) -> list[Any]:
    """A job has got an id."""
    return [IDENTIFIED, job, form, value]


def ended_entry(
    job: bytes, node: bytes | None, outcome: Outcome, streams: dict[str, bytes], number: int | None = None
) -> list[Any]:
    """A job has its final status.

    :param streams: names of the files that hold its large bodies, by path.
    :param number: of the attempt that has ended so, if another may follow.
    """
    return [ENDED, job, node, outcome_record(outcome, streams), *([] if number is None else [number])]


def delivered_entry(jobs: Iterable[bytes]) -> list[Any]:
    """The program has these jobs' results."""
    return [DELIVERED, b"".join(jobs)]


class Remains:
    """What is left, record by record.

    :param stored: gives the body that was written to a file of its own, by its name.
    :ivar owned: None as long as no computation was named.
    """

    def __init__(self, stored: Callable[[bytes], Body]) -> None:
        self.owned: Owned | None = None
        self.places: dict[bytes, list[Place]] = {}
        self.jobs: dict[bytes, LeftJob] = {}
        self._delivered: set[bytes] = set()
        self._stored = stored
        self._kinds: dict[Any, Callable[..., None]] = {
            COMPUTATION: self._computation,
            NODE: self._node,
            SENT: self._sent,
            IDENTIFIED: self._identified,
            ENDED: self._ended,
            DELIVERED: self._delivered_jobs,
        }

    def take(self, record: Any) -> None:
        """One record more.

        :raises WireError: for one that none of ours is.
        """
        if not isinstance(record, list) or not record or record[0] not in self._kinds:
            raise WireError(f"no record of a recover file: {record!r:.80}")
        self._kinds[record[0]](*record[1:])

    def _computation(self, uid: bytes, token: bytes, name: str, is_program: bool, began: float, pid: int) -> None:
        self.owned = Owned(uid, token, name, is_program, began, pid)

    def _node(self, node: bytes, host: str, port: int, login: list[Any], private: bool) -> None:
        self.places.setdefault(node, []).append(Place(node, host, port, login, private))

    def _sent(self, node: bytes, incarnation: int, generation: int, wall: float, jobs: list[Any]) -> None:
        for record in jobs:
            attempt = attempt_from(record)
            job = self._job(attempt.job)
            if job is not None:
                if job.ended is not None and job.ended < attempt.number:
                    job.outcome = job.ended = None
                job.attempt, job.number, job.node, job.given, job.sent = attempt, record[2], node, (incarnation, generation), wall

    def _identified(self, uid: bytes, form: str, value: Any) -> None:
        job = self._job(uid)
        if job is not None:
            job.given_id = (form, value)

    def _ended(self, uid: bytes, node: bytes | None, record: list[Any], number: int | None = None) -> None:
        job = self._job(uid)
        if number is not None and job is not None and job.attempt is not None and number < job.attempt.number:
            return
        if job is not None and (job.outcome is None or job.ended is not None):
            try:
                job.outcome = outcome_from(record, self._stored)
            except WireError:
                return  # a large body is not there: the node that still has it will be asked
            job.node, job.ended = node, number

    def _delivered_jobs(self, uids: bytes) -> None:
        for start in range(0, len(uids), _UID):
            uid = uids[start : start + _UID]
            self.jobs.pop(uid, None)
            self._delivered.add(uid)

    def _job(self, uid: bytes) -> LeftJob | None:
        if uid in self._delivered:
            return None
        return self.jobs.setdefault(uid, LeftJob(uid))

    def entries(self) -> list[list[Any]]:
        """Records that say the same, and nothing of what was delivered."""
        told = [] if self.owned is None else [computation_entry(self.owned)]
        told += [node_entry(place, place.login) for places in self.places.values() for place in places]
        for job in self.jobs.values():
            told += job.entries()
        return told

    @property
    def unfinished(self) -> list[LeftJob]:
        """Jobs without an outcome."""
        return [job for job in self.jobs.values() if job.outcome is None]
