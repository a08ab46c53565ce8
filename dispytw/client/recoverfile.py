"""What a cluster writes down of its jobs, so that `recover_jobs` can bring them home should this process be killed.

What leaves for a node is written before it leaves, and an id before ``job.id = x`` returns, each by one unsynced write. Outcomes and
deliveries are gathered for a moment and written together; an outcome that was delivered within that moment is not written at all. A
node learns that it may forget an outcome only when this file no longer needs it (`RecoverFile.kept`).

When the disk is full, nothing more leaves and no answer is given, until there is room.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from dispytw.client.bodies import store_body
from dispytw.client.compaction import Compaction
from dispytw.client.ids import packed_id
from dispytw.client.logins import login_entry
from dispytw.client.recoverlog import RecoverLog, create_log, framed
from dispytw.client.remains import (
    Owned,
    Place,
    computation_entry,
    delivered_entry,
    ended_entry,
    id_entry,
    node_entry,
    sent_entry,
)
from dispytw.errors import ClusterClosedError, PayloadError, RecoverFileError
from dispytw.values import INLINE_LIMIT, Attempt, Body, Inline, Outcome, Stored
from dispytw.wire.clock import Waker
from dispytw.wire.records import outcome_bodies

log = Logger()

#: Seconds for which outcomes and deliveries are gathered, and between two tries when the disk is full.
GATHERING = 0.025
AGAIN = 1.0


@attrs.define
class _Gathered:
    """What is written together.

    :ivar ended: node, outcome, and the attempt's number if it may not be the last, by job.
    :ivar waiting: fire when it is written.
    """

    ended: dict[bytes, tuple[bytes | None, Outcome, int | None]] = attrs.field(factory=dict)
    delivered: list[bytes] = attrs.field(factory=list)
    waiting: list[Deferred[None]] = attrs.field(factory=list)

    def before(self, later: _Gathered) -> _Gathered:
        """Both together."""
        return _Gathered(
            {**self.ended, **later.ended}, self.delivered + later.delivered, self.waiting + later.waiting
        )


class RecoverFile:
    """The recover file of one cluster. Methods run in the reactor thread, except `identified` and `delivered`.

    :param log: the file.
    :param clock: wakes us.
    :param post: runs a function in the reactor thread.
    :param say: tells the user.
    :param in_thread: calls a function that waits for the disk, outside the reactor thread.
    """

    def __init__(
        self,
        log: RecoverLog,
        clock: Waker,
        post: Callable[[Callable[[], Any]], Any],
        say: Callable[[str], None],
        in_thread: Callable[..., Deferred[Any]] = maybeDeferred,
    ) -> None:
        self.path: str | None = log.path
        self._log = log
        self._clock = clock
        self._post = post
        self._say = say
        self._in_thread = in_thread
        self._places: set[tuple[bytes, str, int]] = set()
        self._appending = threading.Lock()
        self._late_ids: list[bytes] = []
        self._deliveries: deque[bytes] = deque()
        self._posted = False
        self._gathered = _Gathered()
        self._writing: _Gathered | None = None
        self._timer: Any = None
        self._stored: dict[bytes, list[str]] = {}
        self._compaction = Compaction(log)
        self._told = False
        self._over = False
        self._then: Callable[[], Any] | None = None

    # Before something leaves.
    def leaving(self, place: Place, given: tuple[int, int], jobs: Sequence[tuple[Attempt, Any]]) -> bool:
        """See Keeping."""
        frames = []
        key = (place.node, place.host, place.port)
        if key not in self._places:
            frames.append(framed(node_entry(place, login_entry(place.login))))
        numbered = [(attempt, value if type(value) is int else None) for attempt, value in jobs]
        frames.append(framed(sent_entry(place.node, given, time.time(), numbered)))
        if not self._appended(frames):
            return False
        self._places.add(key)
        return True

    def identified(self, job: bytes, value: Any) -> None:
        """See Keeping. What cannot be pickled is told to the user; the job then comes home with its number."""
        try:
            entry = id_entry(job, *packed_id(value))
        except PayloadError as error:
            self._say(f"job.id = {value!r:.80}: recover_jobs would not know it, as it cannot be pickled: {error}")
        else:
            self._appended((), framed(entry))

    def _appended(self, frames: Iterable[bytes], *ids: bytes) -> bool:
        """Write these; ids that cannot be written now go before whatever is written next."""
        with self._appending:
            self._late_ids.extend(ids)
            try:
                self._log.append(*self._late_ids, *frames)
            except OSError as error:
                self._trouble(error)
                return False
            self._late_ids.clear()
            self._told = False
            return True

    def _trouble(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._say(
                f"the recover file {self.path} cannot be written: {error.strerror}; until it can, no more jobs leave, and nodes "
                "keep what they have told"
            )

    # Afterwards.
    def ended(self, job: bytes, node: bytes | None, outcome: Outcome, number: int | None = None) -> None:
        """See Keeping."""
        self._gathered.ended[job] = (node, outcome, number)
        self._write_soon()

    def delivered(self, job: bytes) -> None:
        """See Keeping."""
        self._deliveries.append(job)
        if self._timer is None and not self._posted:  # else a write is to come, and looks for what has been delivered by then
            self._posted = True
            try:
                self._post(self._write_soon)
            except ClusterClosedError:
                pass  # the reactor has stopped; if the file is still there, this job will be recovered though it was delivered

    def kept(self) -> Deferred[None] | None:
        """See Keeping."""
        if self._gathered.ended:
            return self._waiting(self._gathered)
        return None if self._writing is None else self._waiting(self._writing)

    @staticmethod
    def _waiting(gathered: _Gathered) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        gathered.waiting.append(waiting)
        return waiting

    def _write_soon(self, seconds: float = GATHERING) -> None:
        if self._timer is None and self._writing is None and not self._over:
            self._timer = self._clock.callLater(seconds, self._write)

    def flush(self) -> Deferred[None] | None:
        """See Keeping."""
        if not self._gathered.ended and not self._deliveries and not self._gathered.delivered and self._writing is None:
            return None
        written = self._waiting(self._gathered)
        if self._writing is None:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            self._write()
        return written

    def _write(self) -> None:
        self._timer = None
        self._posted = False
        while self._deliveries:
            self._gathered.delivered.append(self._deliveries.popleft())
        self._writing, self._gathered = self._gathered, _Gathered()
        for job in self._writing.delivered:
            self._writing.ended.pop(job, None)
        ensureDeferred(self._written(self._writing)).addErrback(lambda failure: log.failure("the recover file", failure))

    async def _written(self, writing: _Gathered) -> None:
        try:
            frames = [framed(await self._entry(job, *end)) for job, end in writing.ended.items()]
            if writing.delivered:
                frames.append(framed(delivered_entry(writing.delivered)))
            written = self._appended(frames)
        except OSError as error:
            self._trouble(error)
            written = False
        self._writing = None
        if self._then is not None:
            self._then()
        if not written:
            self._gathered = writing.before(self._gathered)
            return self._write_soon(AGAIN)
        self._delete_bodies(writing.delivered)
        for waiting in writing.waiting:
            waiting.callback(None)
        if self._compaction.due and not self._over:
            self._compact()
        if self._gathered.ended or self._gathered.waiting or self._deliveries:
            self._write_soon()

    def _compact(self) -> None:
        def failed(failure: Any) -> None:
            if not self._over:
                log.failure("the recover file {path} could not be written anew, and stays as it is", failure, path=self.path)

        self._in_thread(self._compaction.write).addErrback(failed)

    # Large bodies have files of their own, which are deleted when their job has been delivered.
    async def _entry(self, job: bytes, node: bytes | None, outcome: Outcome, number: int | None) -> list[Any]:
        names: dict[str, bytes] = {}
        if any(map(_is_large, outcome_bodies(outcome))):
            outcome = attrs.evolve(
                outcome,
                result=None if outcome.result is None else await self._body(job, outcome.result, names),
                stdout=await self._body(job, outcome.stdout, names),
                stderr=await self._body(job, outcome.stderr, names),
            )
        return ended_entry(job, node, outcome, names, number)

    async def _body(self, job: bytes, body: Body, names: dict[str, bytes]) -> Body:
        if not isinstance(body, Inline) or not _is_large(body):
            return body
        stored: Stored = await self._in_thread(store_body, self._log.bodies, body.data)
        names[stored.path] = os.path.basename(stored.path).encode()
        self._stored.setdefault(job, []).append(stored.path)
        return stored

    def _delete_bodies(self, jobs: Iterable[bytes]) -> None:
        for path in [path for job in jobs if job in self._stored for path in self._stored.pop(job)]:
            try:
                os.unlink(path)
            except OSError as error:
                log.warn("{path} is left: {error}", path=path, error=error)

    # The end.
    def remove(self) -> None:
        """See Keeping. Whoever waits need not any more."""
        self._end(self._log.remove)
        for waiting in self._gathered.waiting:
            waiting.callback(None)

    def leave(self) -> None:
        """See Keeping. Who waits for what was not written is not answered."""
        self._end(self._log.close)

    def rest(self) -> Deferred[Any]:
        """Write nothing more, and leave the log open; fires when nothing is being written."""
        resting: Deferred[Any] = Deferred()
        self._end(lambda: resting.callback(None))
        return resting

    def _end(self, then: Callable[[], Any]) -> None:
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._writing is None:
            then()
        else:
            self._then = then


def _is_large(body: Body) -> bool:
    return isinstance(body, Inline) and body.size > INLINE_LIMIT


def begin_file(
    name: Any, owned: Owned, credentials: Iterable[Any], bridge: Any, say: Callable[[str], None]
) -> RecoverFile:
    """The file of a new cluster.

    :param name: what the program calls it, or None.
    :param credentials: what will have to be written down.
    :param bridge: to the reactor.
    :raises RecoverFileError: when it cannot be made.
    :raises TypeError: when a credential cannot be written down.
    """
    for credential in credentials:
        framed(login_entry(credential))
    wanted = os.path.abspath(name or time.strftime("_dispy_%Y%m%d%H%M%S"))
    made = create_log(wanted)
    if name is not None and made.path != wanted:
        say(f"{wanted} is there already, from a program that was killed or runs; this cluster's recover file is {made.path}")
    try:
        made.append(framed(computation_entry(owned)))
    except OSError as error:
        made.remove()
        raise RecoverFileError(f"the recover file {made.path} cannot be written: {error.strerror}") from error
    return reopened_file(made, bridge, say)


def reopened_file(log: RecoverLog, bridge: Any, say: Callable[[str], None]) -> RecoverFile:
    """A file that there is already."""
    in_thread = functools.partial(deferToThreadPool, bridge.reactor, bridge.reactor.getThreadPool())
    return RecoverFile(log, bridge.reactor, bridge.post, say, in_thread)
