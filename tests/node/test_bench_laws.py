"""The laws of the node's mind, over any history that clients, supervisors and time may bring."""

from __future__ import annotations

import unittest
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dispytw.errors import NodeHeldError, RefusedError
from dispytw.node import orders as o
from dispytw.node.bench import HOLD, Bench
from dispytw.values import CANCELLED, FINISHED, TERMINATED, Attempt, Outcome
from dispytw.wire.records import ENDED, HANDED, NEVER_STARTED, RUNNING, WORDS
from tests.node.benching import ALICE, BOB, FACTS, attempt, computation

ZOMBIE = 600.0
#: Of each client, the computations that it has.
OWNED = {ALICE: (computation("w"), computation("x")), BOB: (computation("y"), computation("z"))}
COMPUTATIONS = {each.uid: each for owned in OWNED.values() for each in owned}

clients = st.sampled_from([ALICE, BOB])
attempts = st.lists(st.integers(1, 8).map(attempt), min_size=1, max_size=4)


class Node(RuleBasedStateMachine):
    """Clients and a launcher around a bench, as they may be; what the bench orders is held against the laws."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(FACTS, ZOMBIE, parked=1)
        self.now = 1000.0
        self.gone: dict[bytes, float] = {}
        self.connected: set[bytes] = set()
        # Of each computation its client, from when it is taken until its files are removed.
        self.held: dict[bytes, bytes] = {}
        self.supervisors: dict[bytes, int] = {}  # computation: its generation, or 0 while it is not known
        self.ending: set[bytes] = set()
        self.turned_away: set[bytes] = set()
        self.owners: dict[Attempt, tuple[bytes, bytes]] = {}  # of all that were started: client and computation
        self.running: dict[Attempt, bytes] = {}
        self.begun: set[Attempt] = set()
        self.outcomes: dict[Attempt, Outcome] = {}
        self.acknowledged: set[Attempt] = set()
        self.forgotten: set[Attempt] = set()
        self.recalled: set[bytes] = set()
        self.unwritten: dict[Attempt, o.Owed] = {}
        self.disk: dict[Attempt, o.Owed] = {}

    # The laws that are seen in orders.
    def carry_out(self, orders: Iterable[o.Order]) -> None:
        for order in orders:
            getattr(self, "_" + type(order).__name__)(order)

    def _Launch(self, order: o.Launch) -> None:
        uid = order.computation.uid
        assert uid not in self.supervisors, "two supervisors for one computation"
        assert self.held[uid] == self.bench.holder, "launched for somebody who does not hold the node"
        self.supervisors[uid] = 0

    def _Start(self, order: o.Start) -> None:
        assert self.supervisors[order.computation], "started without a supervisor that is ready"
        for each in order.attempts:
            assert each not in self.owners, "started twice"
            self.owners[each] = (self.held[order.computation], order.computation)
            self.running[each] = order.computation
        alone = len(set(self.running.values())) == 1
        assert len(self.running) <= FACTS.cpus * (1 + alone), "more attempts than slots, and than may wait"

    def _Stop(self, order: o.Stop) -> None:
        assert self.running[order.attempt] == order.computation, "stopped what does not run"

    def _GetBack(self, order: o.GetBack) -> None:
        assert self.supervisors[order.computation], "asked a supervisor that is not ready"
        self.recalled.add(order.computation)

    def _TellGivenBack(self, order: o.TellGivenBack) -> None:
        for each in order.attempts:
            assert order.client == self.owners.pop(each)[0], "told somebody else"
            assert self.running.pop(each) and each not in self.begun, "given back although it has begun"

    def _End(self, order: o.End) -> None:
        assert order.computation in self.supervisors, "ended a supervisor that is not there"
        self.ending.add(order.computation)

    def _Remove(self, order: o.Remove) -> None:
        assert order.computation not in self.supervisors, "removed files under a supervisor"
        del self.held[order.computation]

    def _Forget(self, order: o.Forget) -> None:
        assert order.attempt not in self.forgotten, "forgotten twice"
        assert order.outcome == self.outcomes[order.attempt], "another outcome forgotten than told"
        assert order.attempt in self.acknowledged, "forgotten too early"
        self.forgotten.add(order.attempt)
        self.unwritten.pop(order.attempt, None)
        self.disk.pop(order.attempt, None)

    def _Keep(self, order: o.Keep) -> None:
        owed = order.owed
        assert (owed.client, owed.computation) == self.owners[owed.attempt], "kept for somebody else"
        assert owed.attempt not in self.unwritten and owed.attempt not in self.disk, "kept twice"
        self.unwritten[owed.attempt] = owed

    def _BringBack(self, order: o.BringBack) -> None:
        self.carry_out(self.bench.recalled([each for each in self.disk.values() if each.client == order.client], self.now))

    def _TellReady(self, order: o.TellReady) -> None:
        assert self.held[order.computation] == order.client, "told somebody else"
        assert order.generation > FACTS.incarnation << 20
        assert self.supervisors[order.computation] in (0, order.generation), "the generation changed"
        self.supervisors[order.computation] = order.generation

    def _TellFailed(self, order: o.TellFailed) -> None:
        assert order.computation in {each.uid for each in OWNED[order.client]}, "told somebody else"

    def _TellStarted(self, order: o.TellStarted) -> None:
        assert order.client == self.owners[order.attempt][0], "told somebody else"
        assert order.attempt in self.begun, "told of what did not happen"

    def _TellEnded(self, order: o.TellEnded) -> None:
        assert order.client == self.owners[order.attempt][0], "told somebody else"
        assert self.outcomes.setdefault(order.attempt, order.outcome) == order.outcome, "two outcomes"
        self.running.pop(order.attempt, None)

    def _TellFreed(self, order: o.TellFreed) -> None:
        assert order.client in self.turned_away, "told somebody who does not wait"
        self.turned_away.discard(order.client)

    # What clients do.
    @initialize(client=clients)
    def begin(self, client: bytes) -> None:
        self.connect(ALICE)
        self.connect(BOB)
        self.prepare(client, 0)

    @precondition(lambda self: self.gone)
    @rule(client=clients)
    def connect(self, client: bytes) -> None:
        if client not in self.connected:
            self.connected.add(client)
            self.gone.pop(client, None)
            self.carry_out(self.bench.connected(client, repr(client)))

    @precondition(lambda self: self.held)
    @rule(client=clients)
    def disconnect(self, client: bytes) -> None:
        if client in self.connected:
            self.connected.discard(client)
            self.turned_away.discard(client)
            self.gone[client] = self.now
            self.carry_out(self.bench.disconnected(client, self.now))

    @rule(client=clients, which=st.integers(0, 1), complete=st.booleans())
    def open(self, client: bytes, which: int, complete: bool) -> None:
        if client not in self.connected:
            return
        wanted = OWNED[client][which]
        others = {holder for holder in self.held.values() if holder != client}
        try:
            orders = self.bench.opened(client, wanted, complete)
        except NodeHeldError:
            self.turned_away.add(client)
            elsewhere = self.bench.holder not in (None, client)
            assert elsewhere or wanted.uid in self.supervisors, "turned away without a reason"
        except RefusedError:
            assert self.bench.stopping
        else:
            assert not others, "two clients hold the node"
            self.held[wanted.uid] = client
            self.carry_out(orders)

    @rule(client=clients, which=st.integers(0, 1))
    def prepare(self, client: bytes, which: int) -> None:
        self.open(client, which, True)
        uid = OWNED[client][which].uid
        if self.supervisors.get(uid) == 0:
            self.carry_out(self.bench.ready(uid))

    @precondition(lambda self: self.held)
    @rule(client=clients, which=st.integers(0, 1))
    def close(self, client: bytes, which: int) -> None:
        if client in self.connected:
            self.carry_out(self.bench.closed(client, OWNED[client][which].uid))

    @precondition(lambda self: any(self.supervisors.values()))
    @rule(chance=st.data(), offered=attempts, stale=st.sampled_from([0, 0, 0, 1]))
    def offer(self, chance: st.DataObject, offered: list[Attempt], stale: int) -> None:
        uid = chance.draw(st.sampled_from([uid for uid, generation in self.supervisors.items() if generation]))
        client = self.held[uid]
        if client in self.connected:
            started = set(self.owners)
            generation = self.supervisors[uid] - stale
            orders, refused = self.bench.offered(client, uid, generation, offered)
            assert not started & {each for each, _ in refused}, "refused what was started"
            assert not orders or not stale, "started for another generation"
            self.carry_out(orders)
            assert {each for each, _ in refused} | set(self.owners) >= set(offered), "neither started nor refused"
            assert not set(self.owners) & {each for each, _ in refused}, "both started and refused"

    @precondition(lambda self: any(self.supervisors.values()) and len(self.owners) < 6)
    @rule(chance=st.data(), acknowledge=st.booleans())
    def run_one(self, chance: st.DataObject, acknowledge: bool) -> None:
        """One more attempt, from its start to its end."""
        each = next(one for one in map(attempt, range(1, 20)) if one not in self.owners)
        self.offer(chance, [each], 0)
        if each in self.running:
            self._end(each, Outcome(FINISHED))
            if acknowledge:
                self.acknowledge(self.owners[each][0], [each])

    @precondition(lambda self: self.owners)
    @rule(client=clients, these=attempts)
    def cancel(self, client: bytes, these: list[Attempt]) -> None:
        if client in self.connected:
            self.carry_out(self.bench.cancelled(client, these))

    @precondition(lambda self: self.running)
    @rule(client=clients, which=st.integers(0, 1), most=st.integers(1, 3))
    def recall(self, client: bytes, which: int, most: int) -> None:
        if client in self.connected:
            self.carry_out(self.bench.asked_back(client, OWNED[client][which].uid, most))

    @precondition(lambda self: self.recalled.intersection(self.supervisors))
    @rule(chance=st.data(), these=attempts)
    def give_back(self, chance: st.DataObject, these: list[Attempt]) -> None:
        """A supervisor gives back what has not begun; it may be told of the end of one before."""
        uid = chance.draw(st.sampled_from(sorted(self.recalled.intersection(self.supervisors))))
        self.recalled.discard(uid)
        mine = [each for each in dict.fromkeys(these) if self.running.get(each) == uid and each not in self.begun]
        self.carry_out(self.bench.given_back(uid, mine))
        assert not set(mine) & set(self.running), "given back, and kept"

    @precondition(lambda self: self.owners)
    @rule(client=clients, these=attempts)
    def acknowledge(self, client: bytes, these: list[Attempt]) -> None:
        for each in these:
            if client in self.connected and each in self.outcomes and self.owners[each][0] == client:
                self.acknowledged.add(each)
                self.carry_out(self.bench.acknowledged(each))

    @precondition(lambda self: self.owners)
    @rule(client=clients, these=attempts)
    def reconcile(self, client: bytes, these: list[Attempt]) -> None:
        if client not in self.connected:
            return
        orders, words, ready = self.bench.reconciled(client, [(each, FACTS.incarnation, 0) for each in these])
        self.carry_out(orders)
        assert len(words) == len(dict(words)) and set(dict(words).values()) <= WORDS
        assert set(these) <= set(dict(words)), "no word for what was asked"
        for each, word in words:
            assert (word == NEVER_STARTED) == (each not in self.owners), f"{word} of what was started"
            if word in (HANDED, RUNNING, ENDED):
                assert self.owners[each][0] == client
                assert word == (ENDED if each in self.outcomes else RUNNING if each in self.begun else HANDED)
        owed = {each for each in self.outcomes if self.owners[each][0] == client} - self.forgotten
        assert owed <= {order.attempt for order in orders if isinstance(order, o.TellEnded)}, (
            "an outcome is not told again"
        )
        for uid, generation in ready:
            assert self.supervisors[uid] == generation and self.held[uid] == client

    # What supervisors do.
    def _one(self, chance: st.DataObject) -> bytes:
        return chance.draw(st.sampled_from(sorted(self.supervisors)))

    @precondition(lambda self: self.supervisors)
    @rule(chance=st.data(), fails=st.booleans())
    def set_up(self, chance: st.DataObject, fails: bool) -> None:
        uid = self._one(chance)
        self.carry_out(
            self.bench.setup_failed(uid, "no") if fails and not self.supervisors[uid] else self.bench.ready(uid)
        )

    @precondition(lambda self: self.supervisors)
    @rule(chance=st.data(), wanted=st.booleans())
    def die(self, chance: st.DataObject, wanted: bool) -> None:
        uid = self._one(chance)
        if not wanted or uid in self.ending:
            self._die(uid)

    def _die(self, uid: bytes) -> None:
        del self.supervisors[uid]
        self.ending.discard(uid)
        self.carry_out(self.bench.supervisor_ended(uid, "gone"))
        assert uid not in self.running.values(), "an attempt outlives its supervisor"

    @precondition(lambda self: self.running)
    @rule(chance=st.data())
    def start(self, chance: st.DataObject) -> None:
        each = chance.draw(st.sampled_from(sorted(self.running)))
        self.begun.add(each)
        self.carry_out(self.bench.started(each, self.now))

    @precondition(lambda self: self.running)
    @rule(chance=st.data(), status=st.sampled_from([FINISHED, TERMINATED, CANCELLED]))
    def end(self, chance: st.DataObject, status: int) -> None:
        each = chance.draw(st.sampled_from(sorted(self.running)))
        self._end(each, Outcome(status, ended=self.now))

    def _end(self, each: Attempt, outcome: Outcome) -> None:
        orders = self.bench.ended(self.running[each], each, outcome)
        assert [type(order) for order in orders] == [o.Keep, o.TellEnded], "an outcome is not kept and told"
        self.carry_out(orders)

    @precondition(lambda self: self.unwritten)
    @rule()
    def write(self) -> None:
        """The disk has what it was given."""
        self.disk.update(self.unwritten)
        written, self.unwritten = list(self.unwritten), {}
        self.carry_out(self.bench.kept(written))

    # What time does, and the end.
    @precondition(lambda self: self.gone)
    @rule(seconds=st.sampled_from([1.0, HOLD - 1, HOLD, ZOMBIE]))
    def elapse(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.bench.elapsed(self.now))

    @precondition(lambda self: len(self.outcomes) > 3)
    @rule()
    def stop(self) -> None:
        self.carry_out(self.bench.stopped())

    @invariant()
    def slots_are_counted(self) -> None:
        alone = len(set(self.running.values())) == 1
        assert self.bench.busy() == len(self.running) <= FACTS.cpus * (1 + alone)

    @invariant()
    def only_one_holds(self) -> None:
        assert len(set(self.held.values())) <= 1
        assert set(self.held.values()) <= {self.bench.holder}

    @invariant()
    def nobody_waits_in_silence(self) -> None:
        """Who was turned away and has not been told otherwise waits for somebody."""
        assert not self.turned_away or self.bench.holder is not None
        if self.bench.holder is not None and not self.held:
            owed = {self.owners[each][0] for each in set(self.outcomes) - self.forgotten}  # at hand, or on the disk
            assert self.bench.holder in self.connected | owed, "held by somebody who is gone and is owed nothing"

    def teardown(self) -> None:
        """When everybody has gone and everything has ended, nothing is left, and every outcome was forgotten once."""
        for client in sorted(self.connected):
            self.disconnect(client)
        for _ in range(2):
            self.elapse(ZOMBIE)
            for each in sorted(self.running):
                self._end(each, Outcome(CANCELLED))
            self.write()
            self.elapse(HOLD)
            for uid in sorted(self.supervisors):
                self._die(uid)
        self.write()
        self.elapse(HOLD)
        assert self.bench.next_due() is None, "somebody is remembered for ever"
        assert self.bench.holder is None, "the node is held for ever"
        assert self.held == {} and self.supervisors == {}
        assert set(self.outcomes) == set(self.owners)
        assert self.forgotten | set(self.disk) == set(self.outcomes), "an outcome is lost"
        assert not self.forgotten & set(self.disk), "an outcome is kept for ever"


class Laws(unittest.TestCase):
    """What holds whatever happens."""

    def test_any_history(self) -> None:
        """Never more attempts than slots, none started twice; outcomes are kept, told until acknowledged, forgotten once; one holder."""
        run_state_machine_as_test(
            Node, settings=settings(max_examples=80, stateful_step_count=40, deadline=None, report_multiple_bugs=False)
        )
