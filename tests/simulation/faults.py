"""What may go wrong. A fault is done to a world and says whether it hit a node on which a body was being performed; None if there was nothing to hit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from dispytw.inmemory import Wire
from dispytw.testing import MemoryClient, MemoryNode
from dispytw.values import NodeFacts

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Answers that may be lost, by the command that asked.
ANSWERS = (
    *(b"Introduce", b"Reconcile", b"OpenComputation", b"RunJobs", b"CancelJobs", b"CloseComputation", b"ComputationReady"),
    *(b"JobsStarted", b"JobsEnded", b"NodeFreed", b"StreamChunk", b"EndStream"),
)

#: Commands that may be said twice: not the bytes of a stream, which have their place.
REPEATED = tuple(command for command in ANSWERS if command != b"StreamChunk")
#: Faults that happen later, and are counted then.
LOSE_AN_ANSWER, SAY_LAST_WORDS, SAY_TWICE = "an answer is to be lost", "an answer is to be the last", "a command is to be repeated"
LATER = (LOSE_AN_ANSWER, SAY_LAST_WORDS, SAY_TWICE)


def any_node(world: World) -> MemoryNode | None:
    """A node whose daemon lives, rather one with work."""
    up = [node for node in world.nodes if node.up]
    busy = [node for node in up if node.launcher.running()]
    return world.chance.choice(busy or up) if up else None


def any_wire(world: World) -> tuple[Wire, MemoryNode] | None:
    node = any_node(world)
    wires = world.house.wires_of(node) if node is not None else []
    return (world.chance.choice(wires), node) if wires and node is not None else None


def cut(world: World) -> bool | None:
    """A link breaks, and both ends learn of it."""
    found = any_wire(world)
    if found is None:
        return None
    found[0].cut()
    return bool(found[1].launcher.running())


def tear(world: World) -> bool | None:
    """A link breaks, and nobody learns of it."""
    found = any_wire(world)
    if found is None:
        return None
    found[0].tear()
    return bool(found[1].launcher.running())


def hold(world: World) -> bool | None:
    """The network keeps what is sent on a link for a while."""
    found = any_wire(world)
    if found is None:
        return None
    found[0].hold(world.chance.choice((1.0, 10.0, 60.0)) * world.chance.random())
    return bool(found[1].launcher.running())


def crash(world: World) -> bool | None:
    """A node's daemon is killed, and comes back some time later."""
    node = any_node(world)
    if node is None:
        return None
    hit = bool(node.launcher.running())
    node.crash()
    comes_back(world, node)
    return hit


def kill_daemon(world: World) -> bool | None:
    """A node's daemon alone is killed, and comes back: its supervisors are adopted."""
    node = any_node(world)
    if node is None:
        return None
    hit = bool(node.launcher.running())
    node.kill_daemon()
    if world.chance.random() < 0.3:
        world.house.clock.callLater(world.chance.uniform(0.1, 2.0), leases_end, node)
    comes_back(world, node)
    return hit


def leases_end(node: MemoryNode) -> None:
    """Supervisors have waited for a daemon for long enough: they cancel their jobs, leave the outcomes, and end."""
    for computation in node.launcher.computations if not node.up else ():
        node.launcher.close(computation)


def fill_disk(world: World) -> bool | None:
    """A node's disk is full for a while."""
    node = any_node(world)
    if node is None:
        return None
    journal = node.journal
    journal.full = True
    world.house.clock.callLater(world.chance.uniform(0.5, 20.0), setattr, journal, "full", False)
    return bool(node.launcher.running())


def stop(world: World) -> bool | None:
    """A node is ended by SIGTERM, and comes back some time later."""
    node = any_node(world)
    if node is None or node.bench.stopping:
        return None
    hit = bool(node.launcher.running())
    node.process.deliver(node.stop)
    comes_back(world, node)
    return hit


def comes_back(world: World, node: MemoryNode) -> None:
    incarnation = node.incarnation

    def restart() -> None:
        if node.incarnation == incarnation:
            if node.up:
                node.crash()
            node.restart()
            world.say(f"{node.facts.name} is back")

    world.house.clock.callLater(world.chance.uniform(2.5, 75.0) if world.chance.random() < 0.7 else 2.5, restart)


def kill_supervisor(world: World) -> bool | None:
    """A supervisor dies."""
    node = any_node(world)
    computations = node.launcher.computations if node is not None else []
    if node is None or not computations:
        return None
    hit = bool(node.launcher.running())
    node.launcher.kill_supervisor(world.chance.choice(computations))
    return hit


def kill_job(world: World) -> bool | None:
    """A worker dies."""
    node = any_node(world)
    running = node.launcher.running() if node is not None else []
    if node is None or not running:
        return None
    node.launcher.kill_job(world.chance.choice(running))
    return True


def suspend(world: World) -> bool | None:
    """A process sleeps for a while."""
    node = any_node(world)
    process = node.process if node is not None and world.chance.random() < 0.7 else world.clients[0].process
    hit = bool(node is not None and node.launcher.running())
    process.suspend()
    world.house.clock.callLater(world.chance.uniform(0.1, 70.0), process.resume)
    return hit


def lose_an_answer(world: World) -> bool:
    """The next answer to a command of a certain kind is lost, with its link."""
    world.losing[world.chance.choice(ANSWERS)] += 1
    return False


def say_last_words(world: World) -> bool:
    """Whoever next answers a command of a certain kind dies before its reactor turns again; the answer arrives."""
    world.last_words[b"JobsEnded" if world.chance.random() < 0.4 else world.chance.choice(ANSWERS)] += 1
    return False


def vanish(world: World, mortal: MemoryNode | MemoryClient) -> None:
    """A process dies; what it has written is on its way, and arrives."""
    if not mortal.process.alive:
        return
    house = world.house
    mine = [wire for wire, client, node in house.wires if mortal in (client, node)]
    for wire in mine:
        (wire.far if isinstance(mortal, MemoryNode) else wire.near).abortConnection()
    everything, house.wires = house.wires, [each for each in house.wires if each[0] not in mine]
    if isinstance(mortal, MemoryNode):
        mortal.crash()
        comes_back(world, mortal)
    else:
        bury(world, mortal)
    house.wires = everything


def say_twice(world: World) -> bool:
    """The next command of a certain kind arrives twice."""
    world.repeating[world.chance.choice(REPEATED)] += 1
    return False


def cancel_too_late(world: World) -> bool | None:
    """A user cancels a job that has ended."""
    pairs = [(cluster, job) for cluster in world.open_clusters() for job in cluster.jobs if job.outcomes]
    if not pairs:
        return None
    cluster, job = world.chance.choice(pairs)
    cluster.client.process.deliver(lambda: cluster.cancel(job) and None)
    return bool(world.house.running)


def cancel(world: World) -> bool | None:
    """A user cancels a job, one that runs if there is one."""
    pairs = [(cluster, job) for cluster in world.open_clusters() for job in cluster.jobs if not job.outcomes]
    if not pairs:
        return None
    running = {attempt.job for attempt in world.house.running}
    handed = {attempt.job for node in world.nodes for attempt in node.launcher.attempts} - running
    hit = [pair for pair in pairs if pair[1].uid in running] if world.chance.random() < 0.7 else []
    starts = [pair for pair in pairs if pair[1].uid in handed] if world.chance.random() < 0.5 else []
    cluster, job = world.chance.choice(starts or hit or pairs)
    if starts and world.chance.random() < 0.4:  # while its node cannot be told
        for wire in world.house.wires_of(cluster.client):
            wire.cut()
        act = partial(cluster.client.process.deliver, lambda: cluster.cancel(job) and None)
        world.house.clock.callLater(world.chance.uniform(0.01, 0.5), act)
    else:
        cluster.client.process.deliver(lambda: cluster.cancel(job) and None)
    if world.chance.random() < 0.2:
        cluster.client.process.deliver(lambda: cluster.cancel(job) and None)
    if starts:
        _soon(world, lambda: world.chance.choice((cut, kill_supervisor, stop))(world))
    return job.uid in running


def _soon(world: World, fault: Callable[[], Any]) -> None:
    """One trouble seldom comes alone."""
    world.house.clock.callLater(world.chance.uniform(0.02, 1.5), fault)


def give_up(world: World) -> bool | None:
    """A user waits no longer: close(terminate=True), or Ctrl-C at the end of the program."""
    mine = [cluster for cluster in world.open_clusters() if cluster.jobs]
    if not mine:
        return None
    cluster = world.chance.choice(mine)
    jobs = {job.uid for job in cluster.jobs}
    hit = any(attempt.job in jobs for attempt in world.house.running)
    how = world.chance.random()
    if world.chance.random() < 0.3:
        for job in [job for job in cluster.jobs if not job.outcomes][:5]:
            cluster.client.process.deliver(lambda job=job: cluster.cancel(job) and None)  # type: ignore[misc]
    if world.chance.random() < 0.5:
        for _ in range(3):
            world.submit_to(cluster)
        world.house.clock.callLater(world.chance.choice((0.0, 0.3 * world.chance.random())), cut, world)

    def act() -> None:
        if how < 0.4:
            cluster.client.session.leave()
        else:
            cluster.give_up()
        if how > 0.7:
            cluster.close()

    if how > 0.7:
        world.closed.add(cluster.uid)
    if world.chance.random() < 0.3:
        world.at_join[cluster.client.uid] = act  # while a node is asked what it knows
    else:
        delay = world.chance.choice((0.0, world.chance.uniform(0.0, 1.0)))
        world.house.clock.callLater(delay, cluster.client.process.deliver, act)
    if world.chance.random() < 0.5:
        _soon(world, lambda: cut(world))
    return hit


def wish(world: World) -> bool | None:
    """A user wants a node to be used otherwise: fewer of its slots, not at all, again, or set up anew."""
    pairs = [(c, n) for c in world.open_clusters() for n in world.nodes if n.uid in c.client.session.ledger.nodes]
    if not pairs:
        return None
    cluster, node = world.chance.choice(pairs)
    what = world.chance.choice(("limit", "none of it", "none of it", "allocate_node", "deallocate_node", "close_node", "resetup_node"))
    terminate, cpus = world.chance.random() < 0.3, world.chance.choice((0, 1, 99, -1))
    session = cluster.client.session

    def act() -> None:
        if what == "limit":
            session.limit_node(node.uid, cpus)
        elif what == "none of it":
            for duration in (5.0, 5.0, 0.0):
                world.submit_to(cluster, node, duration)
            world.house.clock.callLater(0.05 * cpus % 7, cluster.client.process.deliver, none_of_it)
        elif what in ("allocate_node", "deallocate_node"):
            getattr(session, what)(cluster.uid, node.uid)
        else:
            getattr(session, what)(cluster.uid, node.uid, terminate)

    def none_of_it() -> None:
        allocate = cluster.allocate

        def once(facts: NodeFacts) -> int:
            cluster.allocate = allocate
            return 0

        cluster.allocate = once
        session.allocate_node(cluster.uid, node.uid)

    cluster.client.process.deliver(act)
    return bool(node.launcher.running())


def kill_client(world: World) -> bool | None:
    """A client process dies; not the first one."""
    others = [client for client in world.clients[1:] if client.process.alive]
    if not others:
        return None
    client = world.chance.choice(others)
    hit = any(job.uid in {a.job for a in world.house.running} for c in world.clusters if c.client is client for job in c.jobs)
    bury(world, client)
    return hit


def bury(world: World, client: MemoryClient) -> None:
    """A client process is killed, and nobody uses its clusters any more."""
    client.kill()
    world.closed |= {cluster.uid for cluster in world.clusters if cluster.client is client}


def take_a_slot(world: World) -> bool | None:
    """A node has one slot less than it said, until it starts anew."""
    node = any_node(world)
    if node is None or node.facts.cpus == 1:
        return None
    node.bench.facts = attrs.evolve(node.bench.facts, cpus=node.facts.cpus - 1)
    return bool(node.launcher.running())


def fail_setup(world: World) -> bool | None:
    """setup() fails on a node from now on, until it starts anew."""
    node = any_node(world)
    if node is None:
        return None
    node.launcher.setup_text = "no room"
    return False


#: Each fault with its weight.
FAULTS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "cut": (cut, 3.0),
    "tear": (tear, 2.0),
    "hold": (hold, 2.0),
    "crash": (crash, 1.5),
    "daemon killed": (kill_daemon, 3.0),
    "disk full": (fill_disk, 1.0),
    "stop": (stop, 1.0),
    "supervisor killed": (kill_supervisor, 2.0),
    "worker killed": (kill_job, 2.0),
    "suspend": (suspend, 2.0),
    LOSE_AN_ANSWER: (lose_an_answer, 10.0),
    SAY_LAST_WORDS: (say_last_words, 3.0),
    SAY_TWICE: (say_twice, 4.0),
    "cancel": (cancel, 5.0),
    "cancel too late": (cancel_too_late, 0.5),
    "given up": (give_up, 1.2),
    "client killed": (kill_client, 1.0),
    "setup fails": (fail_setup, 1.2),
    "a wish": (wish, 3.0),
    "a slot less": (take_a_slot, 0.6),
}
