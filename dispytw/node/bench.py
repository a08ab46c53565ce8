"""The mind of a node: who holds it, what runs in its slots, which outcomes it still owes.

Every method is an event, every return value a list of orders (`dispytw.node.orders`). ``now`` is monotonic seconds, an argument.

- Never more attempts run than there are slots: what does not fit is refused, and a refused attempt never started. A few more may wait
  when all of them are one computation's.
- An outcome is owed until the client says that it has it.
- One client at a time holds the node: from its first computation until the last one is removed. Others are turned away with a
  name, and told when the node is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dispytw.errors import NodeHeldError, RefusedError
from dispytw.node.entries import Client, EndedAttempts, Opened, Placed, Stage
from dispytw.node.orders import (
    End,
    Forget,
    Launch,
    Order,
    Recall,
    Remove,
    Start,
    Stop,
    TellEnded,
    TellFailed,
    TellFreed,
    TellGivenBack,
    TellReady,
    TellStarted,
)
from dispytw.values import CANCELLED, MOST_PARKED, TERMINATED, Attempt, Computation, NodeFacts, Outcome
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, UNKNOWN

#: Seconds after which a client that went without a word, and has no job running here, loses its hold.
HOLD = 60.0

class Bench:
    """The node's state.

    :param facts: what the node says of itself; ``cpus`` is the number of slots.
    :param zombie_interval: seconds for which jobs of a silent client may go on.
    :param parked: attempts that may wait behind each slot, when all slots are one computation's.
    """

    def __init__(self, facts: NodeFacts, zombie_interval: float = 3600.0, parked: int = MOST_PARKED) -> None:
        self.facts = facts
        self._parked = parked
        self.zombie_interval = zombie_interval
        self.holder: bytes | None = None
        self.stopping = False
        self._clients: dict[bytes, Client] = {}
        self._opened: dict[bytes, Opened] = {}
        self._placed: dict[Attempt, Placed] = {}
        self._waiting: dict[bytes, None] = {}
        self._acknowledged = EndedAttempts()
        self._given_up = EndedAttempts()
        self._generation = facts.incarnation << 20

    # Clients.
    def connected(self, client: bytes, name: str) -> list[Order]:
        """A client's link is open."""
        self._clients[client] = Client(client, name)
        return []

    def disconnected(self, client: bytes, now: float) -> list[Order]:
        """A client's link is gone, or silent. With nothing running and nothing owed, its hold ends with it."""
        self._waiting.pop(client, None)
        if client not in self._clients:
            return []
        self._clients[client].gone_since = now
        return [] if self._involves(client) else self._let_go(client)

    def holder_name(self) -> str:
        """Who holds the node, for people; empty when it is free."""
        return self.name_of(self.holder) if self.holder is not None else ""

    def name_of(self, client: bytes) -> str:
        """What a client that has connected calls itself."""
        return self._clients[client].name

    # Computations.
    def opened(self, client: bytes, computation: Computation, complete: bool) -> list[Order]:
        """A client wants a computation here.

        :param complete: whether all its files are here.
        :raises NodeHeldError: another client holds the node, or what this one ran here before is still ending.
        :raises RefusedError: it cannot run here, ever.
        """
        self._admit(client, computation)
        self.holder = client
        opened = self._opened.setdefault(computation.uid, Opened(computation, client))
        if opened.stage is Stage.CLOSING:
            self._waiting[client] = None
            raise NodeHeldError("still ending what it ran here before")
        if opened.stage is Stage.READY:
            return [TellReady(client, computation.uid, opened.generation)]
        if opened.stage is Stage.FAILED:
            return [TellFailed(client, computation.uid, opened.generation, opened.text)]
        if opened.stage is not Stage.FETCHING or not complete:
            return []
        self._generation += 1
        opened.stage, opened.generation, opened.launched = Stage.LAUNCHING, self._generation, True
        return [Launch(computation)]

    def _admit(self, client: bytes, computation: Computation) -> None:
        if self.stopping:
            raise RefusedError("the node is being stopped")
        if computation.python is not None and computation.python != self.facts.python:
            theirs, ours = (".".join(map(str, minor)) for minor in (computation.python, self.facts.python))
            raise RefusedError(
                f"{computation.name} holds bytecode of Python {theirs}, this node runs {ours}: start the node with Python "
                f"{theirs}, or define the function in a file, not in a lambda, a closure or a prompt"
            )
        if self.holder not in (None, client):
            self._waiting[client] = None
            raise NodeHeldError(f"in use by {self.holder_name()}")

    def ready(self, computation: bytes) -> list[Order]:
        """The supervisor has run setup()."""
        opened = self._opened.get(computation)
        if opened is None or opened.stage is not Stage.LAUNCHING:
            return []
        opened.stage = Stage.READY
        return [TellReady(opened.client, computation, opened.generation)]

    def launching(self, computation: bytes) -> bool:
        """Whether the computation's supervisor is still wanted, now that its files are laid out."""
        opened = self._opened.get(computation)
        return opened is not None and opened.stage is Stage.LAUNCHING

    def setup_failed(self, computation: bytes, text: str) -> list[Order]:
        """setup() failed, or the supervisor could not be started."""
        opened = self._opened.get(computation)
        if opened is None or opened.stage is Stage.CLOSING:
            return []
        opened.stage, opened.text = Stage.FAILED, text
        return [TellFailed(opened.client, computation, opened.generation, text)]

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
            orders += [Remove(computation), failed]
        return orders

    def _ended_with_supervisor(self, attempt: Attempt, placed: Placed, stage: Stage, text: str) -> list[Order]:
        wanted = placed.cancelled or stage is Stage.CLOSING
        status = CANCELLED if wanted else TERMINATED
        exception = None if wanted else f"the job's supervisor ended: {text}"
        return self.ended(placed.computation, attempt, Outcome(status, exception=exception, reason=text))

    def closed(self, client: bytes, computation: bytes) -> list[Order]:
        """The client needs a computation no more."""
        opened = self._opened.get(computation)
        if opened is None:
            return self._maybe_freed(client)
        if opened.client != client or opened.stage is Stage.CLOSING:
            return []
        opened.stage = Stage.CLOSING
        return [End(computation)] if opened.launched else self._removed(computation)

    def _removed(self, computation: bytes) -> list[Order]:
        client = self._opened.pop(computation).client
        orders: list[Order] = [Remove(computation)]
        if client in self._waiting:
            del self._waiting[client]
            orders.append(TellFreed(client))
        return orders + self._maybe_freed(client)

    def _maybe_freed(self, client: bytes) -> list[Order]:
        if self.holder != client or any(opened.client == client for opened in self._opened.values()):
            return []
        self.holder = None
        waiting = [TellFreed(other) for other in self._waiting]
        self._waiting.clear()
        if self._clients[client].gone_since is not None and not self._involves(client):
            del self._clients[client]
        return list(waiting)

    def _involves(self, client: bytes) -> bool:
        """Whether something runs for the client, or is owed to it."""
        return any(placed.client == client for placed in self._placed.values())

    def _let_go(self, client: bytes) -> list[Order]:
        orders: list[Order] = []
        for uid, opened in list(self._opened.items()):
            if opened.client == client:
                orders.extend(self.closed(client, uid))
        orders.extend(self._maybe_freed(client))
        if self.holder != client:
            self._clients.pop(client, None)
        return orders

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
        for attempt in attempts:
            if self._knows(attempt):
                continue
            if self.stopping or len(taken) >= free:
                refused.append((attempt, "the node is being stopped" if self.stopping else "no free slot"))
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
        return [TellEnded(placed.client, attempt, outcome)]

    def acknowledged(self, attempt: Attempt) -> list[Order]:
        """The client has the outcome."""
        placed = self._placed.get(attempt)
        if placed is None or placed.outcome is None:
            return []
        del self._placed[attempt]
        self._acknowledged.remember(attempt)
        return [Forget(attempt, placed.outcome)]

    def cancelled(self, client: bytes, attempts: Iterable[Attempt]) -> list[Order]:
        """The client wants attempts to end."""
        return [order for attempt in attempts for order in self._stopped(attempt, client)]

    def _stopped(self, attempt: Attempt, client: bytes) -> list[Order]:
        placed = self._placed.get(attempt)
        if placed is None or placed.client != client or placed.outcome is not None or placed.cancelled:
            return []
        placed.cancelled = True
        return [Stop(placed.computation, attempt)]

    def recalled(self, client: bytes, computation: bytes, most: int) -> list[Order]:
        """The client has a use for attempts that have not started here."""
        opened = self._opened.get(computation)
        if opened is None or opened.client != client or opened.stage is not Stage.READY:
            return [TellGivenBack(client, ())]
        return [Recall(computation, most)]

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
        self, client: bytes, attempts: Iterable[tuple[Attempt, int]]
    ) -> tuple[list[Order], list[tuple[Attempt, str]], list[tuple[bytes, int]]]:
        """A client lists what it believes to be here, each with the incarnation that accepted it.

        :returns: orders (what it may have missed is told again), a word for each attempt, and the computations that are ready.
        """
        asked = dict(attempts)
        mine = {attempt: placed for attempt, placed in self._placed.items() if placed.client == client}
        words = [(attempt, placed.word) for attempt, placed in mine.items()]
        words += [(attempt, self._unplaced_word(attempt, inc)) for attempt, inc in asked.items() if attempt not in mine]
        orders: list[Order] = []
        for attempt, placed in mine.items():
            if placed.outcome is not None:
                orders.append(TellEnded(client, attempt, placed.outcome))
            elif placed.word == RUNNING:
                orders.append(TellStarted(client, attempt, placed.started))
        ready = [(o.computation.uid, o.generation) for o in self._opened.values() if o.client == client and o.stage is Stage.READY]
        return orders, words, ready

    def _unplaced_word(self, attempt: Attempt, incarnation: int) -> str:
        if incarnation != self.facts.incarnation or self._knows(attempt):
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
            if not running and now >= client.gone_since + HOLD:
                orders.extend(self._dropped(client.uid))
        return orders

    def _dropped(self, client: bytes) -> list[Order]:
        """The outcomes owed to a client that will not come back, and its hold."""
        orders: list[Order] = []
        for attempt, placed in list(self._placed.items()):
            if placed.client == client and placed.outcome is not None:
                del self._placed[attempt]
                self._given_up.remember(attempt)
                orders.append(Forget(attempt, placed.outcome))
        return orders + self._let_go(client)

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
                times.append(client.gone_since + (self.zombie_interval if running else HOLD))
        return min(times, default=None)

    def stopped(self) -> list[Order]:
        """The node is to end: nothing new is taken, what runs is cancelled."""
        self.stopping = True
        return [order for attempt, placed in self._placed.items() for order in self._stopped(attempt, placed.client)]
