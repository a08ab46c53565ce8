"""The mind of a node: who holds it (`dispytw.node.tenancy`), what runs in its slots, which outcomes it still owes.

Every method is an event, every return value a list of orders (`dispytw.node.orders`). ``now`` is monotonic seconds, an argument.

- Never more attempts run than there are slots: what does not fit is refused, and a refused attempt never started. A few more may wait
  when all of them are one computation's.
- An outcome is owed until the client says that it has it.
- It is to be kept on the disk at once, and told at the same time. Of a client that stays away it is in the end only there.
- What an earlier incarnation has left is taken over: its supervisors, what they run, what they owe.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from dispytw.node.orders import (
    Forget,
    GetBack,
    Keep,
    Order,
    Owed,
    Remove,
    Start,
    Stop,
    TellEnded,
    TellFailed,
    TellGivenBack,
    TellStarted,
)
from dispytw.node.tenancy import Placed, Stage, Tenancy
from dispytw.values import CANCELLED, MOST_PARKED, TERMINATED, Attempt, NodeFacts, Outcome
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, UNKNOWN

#: Seconds after which a client that went without a word, and has no job running here, loses its hold.
HOLD = 60.0
#: Reason of a refusal: outcomes could not be kept.
NO_ROOM = "no room on the disk"
#: Attempts that are remembered after their outcomes have been forgotten: acknowledged ones, and as many that were given up.
_REMEMBERED = 10_000


class _Ended(OrderedDict[Attempt, None]):
    """Attempts whose outcomes have been forgotten: an old request for one starts nothing, and none is said never to have started."""

    def remember(self, attempt: Attempt) -> None:
        """One more; the oldest goes when there are too many."""
        self[attempt] = None
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


class Bench(Tenancy):
    """The node's state.

    :param facts: what the node says of itself; ``cpus`` is the number of slots.
    :param zombie_interval: seconds for which jobs of a silent client may go on.
    :param parked: attempts that may wait behind each slot, when all slots are one computation's.
    :ivar has_room: whether outcomes can be kept on the disk; while not, nothing new is taken.
    """

    def __init__(self, facts: NodeFacts, zombie_interval: float = 3600.0, parked: int = MOST_PARKED) -> None:
        super().__init__(facts)
        self._parked = parked
        self.zombie_interval = zombie_interval
        self.has_room = True
        self._acknowledged = _Ended()
        self._given_up = _Ended()

    def _involves(self, client: bytes) -> bool:
        """Whether something runs for the client, or is owed to it."""
        return any(placed.client == client for placed in self._placed.values())

    def supervisor_ended(self, computation: bytes, text: str) -> list[Order]:
        """A supervisor is gone; whatever it still ran has ended with it."""
        opened = self._opened.get(computation)
        if opened is None:
            return []
        opened.launched = False
        orders: list[Order] = []
        for attempt, placed in list(self._placed.items()):
            if placed.computation == computation and placed.outcome is None:
                orders.extend(self._ended_with_supervisor(attempt, placed, opened.stage, text))
        if opened.stage is Stage.CLOSING:
            return orders + self._removed(computation)
        if opened.stage is not Stage.FAILED:
            del self._opened[computation]
            failed = TellFailed(opened.client, computation, opened.generation, f"its supervisor ended: {text}")
            orders += [Remove(computation, returns=True), failed]
        return orders

    def _ended_with_supervisor(self, attempt: Attempt, placed: Placed, stage: Stage, text: str) -> list[Order]:
        wanted = placed.cancelled or stage is Stage.CLOSING
        status = CANCELLED if wanted else TERMINATED
        exception = None if wanted else f"the job's supervisor ended: {text}"
        return self.ended(placed.computation, attempt, Outcome(status, exception=exception, reason=text))

    # Attempts.
    def offered(
        self, client: bytes, computation: bytes, generation: int, attempts: Sequence[Attempt]
    ) -> tuple[list[Order], list[tuple[Attempt, str]]]:
        """A client hands over attempts.

        :returns: orders, and the attempts refused with the reason of each: these never started.
        """
        opened = self._opened.get(computation)
        if opened is None or opened.client != client or opened.stage is not Stage.READY or opened.generation != generation:
            return [], [(attempt, "the computation is not ready here") for attempt in attempts if not self._knows(attempt)]
        taken: list[Attempt] = []
        refused: list[tuple[Attempt, str]] = []
        free = self.facts.cpus * (1 + self._parked * self._has_it_alone(computation)) - self.busy()
        obstacle = "the node is being stopped" if self.stopping else "" if self.has_room else NO_ROOM
        for attempt in attempts:
            if self._knows(attempt):
                continue
            if obstacle or len(taken) >= free:
                refused.append((attempt, obstacle or "no free slot"))
                continue
            self._placed[attempt] = Placed(client, computation, opened.computation.token)
            taken.append(attempt)
        return ([Start(computation, tuple(taken))] if taken else []), refused

    def _has_it_alone(self, computation: bytes) -> bool:
        """Whether all slots are this computation's: then its supervisor sees to it that no more run than there are slots."""
        return all(placed.computation == computation for placed in self._placed.values() if placed.outcome is None)

    def _knows(self, attempt: Attempt) -> bool:
        return attempt in self._placed or attempt in self._acknowledged or attempt in self._given_up

    def busy(self) -> int:
        """Slots in use."""
        return sum(placed.outcome is None for placed in self._placed.values())

    def running(self, client: bytes, computation: bytes) -> list[Attempt]:
        """The client's attempts of a computation that have begun and not ended."""
        mine = ((attempt, placed) for attempt, placed in self._placed.items() if placed.client == client)
        return [attempt for attempt, placed in mine if placed.computation == computation and placed.word == RUNNING]

    def started(self, attempt: Attempt, wall: float) -> list[Order]:
        """A job's body has begun."""
        placed = self._placed.get(attempt)
        if placed is None or placed.word != HANDED:
            return []
        placed.word, placed.started = RUNNING, wall
        return [TellStarted(placed.client, attempt, wall)]

    def ended(self, computation: bytes, attempt: Attempt, outcome: Outcome) -> list[Order]:
        """An attempt has ended: its slot is free, its outcome is owed."""
        placed = self._placed.get(attempt)
        if placed is None or placed.computation != computation or placed.outcome is not None:
            return []
        placed.word, placed.outcome = ENDED, outcome
        owed = Owed(attempt, placed.client, computation, placed.token, outcome)
        return [Keep(owed), TellEnded(placed.client, attempt, outcome)]

    def kept(self, attempts: Iterable[Attempt]) -> list[Order]:
        """The outcomes are on the disk."""
        for attempt in attempts:
            if attempt in self._placed:
                self._placed[attempt].kept = True
        return []

    def disk_has_room(self, has_room: bool) -> list[Order]:
        """Outcomes can be kept on the disk, or not any more."""
        self.has_room = has_room
        return []

    def handed_over(self, computation: bytes, attempts: Iterable[tuple[Attempt, float | None]]) -> list[Order]:
        """These are with a supervisor that has been adopted, each with the wall time of its start, if it has begun."""
        opened = self._opened[computation]
        for attempt, started in attempts:
            placed = Placed(opened.client, computation, opened.computation.token)
            if started is not None:
                placed.word, placed.started = RUNNING, started
            self._placed[attempt] = placed
        return []

    def recalled(self, owed: Iterable[Owed], now: float, kept: bool = True, name: str = "") -> list[Order]:
        """Outcomes that were on the disk, and only there, are to be told.

        :param kept: whether they are safe where they were.
        :param name: what their client calls itself, if it may never have been here.
        """
        orders: list[Order] = []
        for each in owed:
            self._retained.pop(each.computation, None)
            if each.attempt in self._placed or each.attempt in self._acknowledged:
                continue
            self._known(each.client, name, now)
            self._given_up.pop(each.attempt, None)
            self._placed[each.attempt] = Placed(
                each.client, each.computation, each.token, ENDED, outcome=each.outcome, kept=kept
            )
            if not kept:
                orders.append(Keep(each))
            orders.append(TellEnded(each.client, each.attempt, each.outcome))
        return orders

    def acknowledged(self, attempt: Attempt) -> list[Order]:
        """The client has the outcome."""
        placed = self._placed.get(attempt)
        if placed is None or placed.outcome is None:
            return []
        del self._placed[attempt]
        self._acknowledged.remember(attempt)
        return [Forget(attempt, placed.computation, placed.outcome)]

    def cancelled(self, client: bytes, attempts: Iterable[Attempt]) -> list[Order]:
        """The client wants attempts to end."""
        return [order for attempt in attempts for order in self._stopped(attempt, client)]

    def _stopped(self, attempt: Attempt, client: bytes) -> list[Order]:
        placed = self._placed.get(attempt)
        if placed is None or placed.client != client or placed.outcome is not None or placed.cancelled:
            return []
        placed.cancelled = True
        return [Stop(placed.computation, attempt)]

    def asked_back(self, client: bytes, computation: bytes, most: int) -> list[Order]:
        """The client has a use for attempts that have not started here."""
        opened = self._opened.get(computation)
        if opened is None or opened.client != client or opened.stage is not Stage.READY:
            return [TellGivenBack(client, ())]
        return [GetBack(computation, most)]

    def given_back(self, computation: bytes, attempts: Iterable[Attempt]) -> list[Order]:
        """A supervisor has given up attempts that it had not started."""
        opened = self._opened.get(computation)
        if opened is None:
            return []
        back = [attempt for attempt in attempts if self._waits(attempt, computation)]
        for attempt in back:
            del self._placed[attempt]
        return [TellGivenBack(opened.client, tuple(back))]

    def _waits(self, attempt: Attempt, computation: bytes) -> bool:
        placed = self._placed.get(attempt)
        return placed is not None and placed.computation == computation and placed.word == HANDED and placed.outcome is None

    def reconciled(
        self, client: bytes, attempts: Iterable[tuple[Attempt, int, int]]
    ) -> tuple[list[Order], list[tuple[Attempt, str]], list[tuple[bytes, int]]]:
        """A client lists what it believes to be here, each with the incarnation that it was given to, and the generation.

        :returns: orders (what it may have missed is told again), a word for each attempt, and the computations that are ready.
        """
        asked = {attempt: (incarnation, generation) for attempt, incarnation, generation in attempts}
        mine = {attempt: placed for attempt, placed in self._placed.items() if placed.client == client}
        words = [(attempt, placed.word) for attempt, placed in mine.items()]
        words += [(attempt, self._unplaced_word(attempt, *given)) for attempt, given in asked.items() if attempt not in mine]
        orders: list[Order] = []
        for attempt, placed in mine.items():
            if placed.outcome is not None:
                orders.append(TellEnded(client, attempt, placed.outcome))
            elif placed.word == RUNNING:
                orders.append(TellStarted(client, attempt, placed.started))
        ready = [(o.computation.uid, o.generation) for o in self._opened.values() if o.client == client and o.stage is Stage.READY]
        return orders, words, ready

    def _unplaced_word(self, attempt: Attempt, incarnation: int, generation: int) -> str:
        """Never started: given to us and not seen; or for a supervisor that we have adopted, and not handed over to it."""
        if self._knows(attempt) or not (incarnation == self.facts.incarnation or generation in self._adopted):
            return UNKNOWN
        return NEVER_STARTED

    # Time, and the end.
    def elapsed(self, now: float) -> list[Order]:
        """Time has passed: holds of clients that went without a word end, jobs of silent ones are stopped."""
        orders: list[Order] = []
        for client in list(self._clients.values()):
            if client.gone_since is None:
                continue
            running = [a for a, p in self._placed.items() if p.client == client.uid and p.outcome is None]
            if running and now >= client.gone_since + self.zombie_interval:
                for attempt in running:
                    orders.extend(self._stopped(attempt, client.uid))
            if not running and now >= client.gone_since + HOLD and self._is_safe(client.uid):
                orders.extend(self._dropped(client.uid))
        return orders

    def _dropped(self, client: bytes) -> list[Order]:
        """The client may not come back: its hold ends, and the outcomes owed to it are from now on only on the disk."""
        for attempt, placed in list(self._placed.items()):
            if placed.client == client:
                del self._placed[attempt]
                self._given_up.remember(attempt)
                self._retained[placed.computation] = (client, placed.token)
        return self._let_go(client)

    def _is_safe(self, client: bytes) -> bool:
        return all(placed.kept for placed in self._placed.values() if placed.client == client)

    def unfinished(self) -> dict[Attempt, bytes]:
        """Attempts that have not ended, each with its computation."""
        return {attempt: placed.computation for attempt, placed in self._placed.items() if placed.outcome is None}

    def knows(self, attempt: Attempt) -> bool:
        """Whether the attempt was taken here, however long ago."""
        return self._knows(attempt)

    def owes(self) -> bool:
        """Whether a client that is connected has yet to acknowledge an outcome."""
        owed = {placed.client for placed in self._placed.values() if placed.outcome is not None}
        return any(client.gone_since is None and client.uid in owed for client in self._clients.values())

    def next_due(self) -> float | None:
        """When `elapsed` may have something to do, in monotonic seconds."""
        times = []
        for client in self._clients.values():
            if client.gone_since is not None:
                running = any(p.client == client.uid and p.outcome is None for p in self._placed.values())
                if running or self._is_safe(client.uid):
                    times.append(client.gone_since + (self.zombie_interval if running else HOLD))
        return min(times, default=None)

    def stopped(self) -> list[Order]:
        """The node is to end: nothing new is taken, what runs is cancelled."""
        self.stopping = True
        return [order for attempt, placed in self._placed.items() for order in self._stopped(attempt, placed.client)]
