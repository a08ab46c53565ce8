"""What must hold after every step of every life."""

from __future__ import annotations

from typing import Any

from dispytw.testing import House, MemoryCluster, MemoryJob, MemoryNode
from dispytw.values import CANCELLED, FINISHED, MOST_PARKED, TERMINAL, Attempt, Outcome
from tests.simulation.watching import Broken

#: Attempts of a reentrant job whose bodies may begin.
MOST_STARTS = 4


class LawfulHouse(House):
    """A house in which a body that must not begin breaks a law at once."""

    def __init__(self, chance: Any) -> None:
        super().__init__(chance)
        self.reentrant: dict[bytes, bool] = {}
        self.retries: dict[bytes, int] = {}

    def body_began(self, node: MemoryNode, attempt: Attempt) -> None:
        super().body_began(node, attempt)
        starts = self.starts[attempt.job]
        if len(set(starts)) != len(starts):
            raise Broken(f"{attempt} has begun twice")
        if len(starts) > (MOST_STARTS if self.reentrant[attempt.job] else 1) + self.retries.get(attempt.job, 0):
            raise Broken(f"job {attempt.job.hex()[:8]} has begun in attempts {starts}, reentrant: {self.reentrant[attempt.job]}")
        if sum(each is node for each in self.running.values()) > node.cpus:
            raise Broken(f"more bodies on {node.facts.name} than its {node.cpus} slots")


class LawfulCluster(MemoryCluster):
    """A cluster whose jobs get one terminal status, which is true and never changes."""

    def job_settled(self, job: MemoryJob, node: Any, address: Any, outcome: Outcome, sent: int = 0, attempts: int = 0) -> None:
        if job.outcomes:
            raise Broken(f"job {job.uid.hex()[:8]} has ended before, as {job.outcomes[-1].status}, and now as {outcome.status}")
        if outcome.status not in TERMINAL:
            raise Broken(f"job {job.uid.hex()[:8]} has ended with {outcome.status}, which is no end")
        super().job_settled(job, node, address, outcome, sent, attempts)
        starts = len(self.client.house.starts.get(job.uid, ()))
        if attempts < starts and outcome.status != CANCELLED:  # whoever cancels may not hear that it had begun
            raise Broken(f"job {job.uid.hex()[:8]} is said to have had {attempts} attempts, and {starts} of them have begun")
        performed = [each for attempt, each in self.client.house.performed.items() if attempt.job == job.uid]
        if outcome.status == FINISHED and not any(each.status == FINISHED for each in performed):
            raise Broken(f"job {job.uid.hex()[:8]} has Finished, but none of its bodies came to its end")

    def job_running(self, job: MemoryJob, node: Any, address: Any, started: float) -> None:
        if job.outcomes:
            raise Broken(f"job {job.uid.hex()[:8]} has ended and is shown as running")
        super().job_running(job, node, address, started)


def check_node(node: MemoryNode) -> None:
    """A node never has more attempts than slots, but for those that may wait, and is held by one client, for which alone it works."""
    if not node.up:
        return
    bench = node.bench
    placed = [each.computation for each in bench._placed.values() if each.outcome is None]
    if len(placed) > node.cpus * (1 + MOST_PARKED * (len(set(placed)) == 1)):
        raise Broken(f"{len(placed)} attempts on {node.facts.name}, which has {node.cpus} slots")
    strangers = {opened.client for opened in bench._opened.values()} - {bench.holder}
    if strangers:
        raise Broken(f"{node.facts.name} works for {len(strangers)} clients that do not hold it")


def check_end(clusters: list[LawfulCluster]) -> None:
    """Every job has one terminal status."""
    for cluster in clusters:
        for job in cluster.jobs:
            if len(job.outcomes) != 1 or job.status != job.outcomes[0].status:
                raise Broken(f"job {job.uid.hex()[:8]} has no end: {job.outcomes}")


def check_nothing_left(nodes: list[MemoryNode], jobs: int) -> None:
    """Once everything is closed, no node is held, nothing is owed, and no body is performed."""
    for node in nodes:
        bench = node.bench
        if bench.holder is not None or bench._placed or bench._opened or node.launcher.attempts or node.launcher.computations:
            raise Broken(f"{node.facts.name} is not free: {bench._placed}, {bench._opened}, {node.launcher.computations}")
        if node.steward._bodies or node.steward._args:
            raise Broken(f"{node.facts.name} keeps arguments: {node.steward._bodies}")
        if node.launcher.owed:
            raise Broken(f"supervisors of {node.facts.name} keep outcomes that the node has: {node.launcher.owed}")
