"""The part of the bench that is about clients and computations: who holds the node, what is open for whom, how far it has come.

One client at a time holds the node: from its first computation until the last one is removed. Others are turned away with a name, and
told when the node is free. A computation may change hands: who shows its token takes it over from a client that is gone.
"""

from __future__ import annotations

import enum

import attrs

from dispytw.errors import NodeHeldError, RefusedError
from dispytw.node.orders import BringBack, End, Launch, Order, Reassign, Remove, TellFailed, TellFreed, TellReady
from dispytw.values import Attempt, Computation, NodeFacts, Outcome
from dispytw.wire.records import HANDED, STILL_ENDING


class Stage(enum.Enum):
    """How far a computation has come here."""

    FETCHING = "fetching"
    LAUNCHING = "launching"
    READY = "ready"
    FAILED = "failed"
    CLOSING = "closing"


@attrs.define(eq=False)
class Client:
    """One that is connected, or that something here belongs to."""

    uid: bytes
    name: str
    gone_since: float | None = None


@attrs.define(eq=False)
class Opened:
    """A computation that is here."""

    computation: Computation
    client: bytes
    stage: Stage = Stage.FETCHING
    generation: int = 0
    text: str = ""
    launched: bool = False


@attrs.define(eq=False)
class Placed:
    """An attempt that is here, or whose outcome is."""

    client: bytes
    computation: bytes
    token: bytes
    word: str = HANDED
    started: float = 0.0
    cancelled: bool = False
    outcome: Outcome | None = None
    kept: bool = False


class Tenancy:
    """Clients and computations; `dispytw.node.bench.Bench` adds the attempts.

    :param facts: what the node says of itself; ``cpus`` is the number of slots.
    """

    def __init__(self, facts: NodeFacts) -> None:
        self.facts = facts
        self.holder: bytes | None = None
        self.stopping = False
        self._clients: dict[bytes, Client] = {}
        self._opened: dict[bytes, Opened] = {}
        self._placed: dict[Attempt, Placed] = {}
        self._retained: dict[bytes, tuple[bytes, bytes]] = {}
        self._waiting: dict[bytes, None] = {}
        self._adopted: set[int] = set()
        self._generation = facts.incarnation << 20

    # Clients.
    def connected(self, client: bytes, name: str) -> list[Order]:
        """A client's link is open. Outcomes that are owed to it, and only on the disk, are needed again."""
        self._clients[client] = Client(client, name)
        return [BringBack(client)] if any(owner == client for owner, _ in self._retained.values()) else []

    def disconnected(self, client: bytes, now: float) -> list[Order]:
        """A client's link is gone, or silent. With nothing running and nothing owed, its hold ends with it."""
        self._waiting.pop(client, None)
        if client not in self._clients:
            return []
        self._clients[client].gone_since = now
        return [] if self._involves(client) else self._let_go(client)

    def attempts(self) -> set[Attempt]:
        """All that are here, or whose outcomes are."""
        return set(self._placed)

    def owner_of(self, attempt: Attempt) -> tuple[bytes, bytes] | None:
        """The client and the computation of an attempt that has not ended here; None of any other."""
        placed = self._placed.get(attempt)
        return None if placed is None or placed.outcome is not None else (placed.client, placed.computation)

    def computation_name(self, computation: bytes) -> str:
        """What a computation that is here is called."""
        opened = self._opened.get(computation)
        return "" if opened is None else opened.computation.name

    def is_connected(self, client: bytes) -> bool:
        """Whether the client is there."""
        return client in self._clients and self._clients[client].gone_since is None

    def clients(self) -> list[bytes]:
        """Those that are connected, or that something here belongs to."""
        return list(self._clients)

    def holder_name(self) -> str:
        """Who holds the node, for people; empty when it is free."""
        return self.name_of(self.holder) if self.holder is not None else ""

    def name_of(self, client: bytes) -> str:
        """What a client that has connected calls itself."""
        return self._clients[client].name

    def _known(self, client: bytes, name: str, now: float) -> None:
        """Something of an earlier incarnation's belongs to this client, which has not come yet."""
        if client not in self._clients:
            self._clients[client] = Client(client, name, now)

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
            raise NodeHeldError(STILL_ENDING)
        if opened.stage is Stage.READY:
            return [TellReady(client, computation.uid, opened.generation)]
        if opened.stage is Stage.FAILED:
            return [TellFailed(client, computation.uid, opened.generation, opened.text)]
        if opened.stage is not Stage.FETCHING or not complete:
            return []
        self._generation += 1
        opened.stage, opened.generation, opened.launched = Stage.LAUNCHING, self._generation, True
        return [Launch(computation, client, self._generation)]

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

    def has(self, computation: bytes) -> bool:
        """Whether the computation is here."""
        return computation in self._opened

    def serves(self, client: bytes, computation: bytes) -> bool:
        """Whether this computation of the client's is ready here."""
        opened = self._opened.get(computation)
        return opened is not None and opened.client == client and opened.stage is Stage.READY

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
        if self._opened:  # what is left of somebody from whom the rest has been taken over
            self.holder = next(iter(self._opened.values())).client
            return []
        self.holder = None
        waiting = [TellFreed(other) for other in self._waiting]
        self._waiting.clear()
        if not self.is_connected(client) and not self._involves(client):
            self._clients.pop(client, None)
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

    # Computations change hands.
    def adopted(
        self, client: bytes, name: str, computation: Computation, generation: int, now: float, closing: bool = False
    ) -> list[Order]:
        """A supervisor has outlived an earlier incarnation and is ours now; its attempts are named next."""
        self._known(client, name, now)
        stage = Stage.CLOSING if closing else Stage.READY
        self._opened[computation.uid] = Opened(computation, client, stage, generation, launched=True)
        self.holder = client
        self._adopted.add(generation)
        return []

    def retained(self, client: bytes, computation: bytes, token: bytes) -> list[Order]:
        """On the disk are outcomes of this computation, owed to this client."""
        self._retained[computation] = (client, token)
        return []

    def taken_over(self, client: bytes, computation: bytes, token: bytes) -> tuple[list[Order], bool]:
        """A client shows the token of a computation whose own client is gone.

        :returns: orders, and whether anything of the computation is here.
        :raises RefusedError: the token is another one, or its client is there.
        """
        owners = self._owners(computation)
        if not owners:
            return [], False
        if any(known != token for _, known in owners):
            raise RefusedError("the token is not that of the computation")
        alive = [owner for owner, _ in owners if owner != client and self.is_connected(owner)]
        if alive:
            raise RefusedError(f"{self.name_of(alive[0])} is still connected to this node")
        self._reassign(client, computation)
        return [Reassign(computation, client)], True

    def _owners(self, computation: bytes) -> set[tuple[bytes, bytes]]:
        owners = {(each.client, each.token) for each in self._placed.values() if each.computation == computation}
        if computation in self._opened:
            opened = self._opened[computation]
            owners.add((opened.client, opened.computation.token))
        if computation in self._retained:
            owners.add(self._retained[computation])
        return owners

    def _reassign(self, client: bytes, computation: bytes) -> None:
        if computation in self._opened:
            self._opened[computation].client = client
            self.holder = client
        for placed in self._placed.values():
            if placed.computation == computation:
                placed.client = client
        self._retained.pop(computation, None)
