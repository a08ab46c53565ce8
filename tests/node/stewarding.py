"""A steward for tests, and around it links, launcher and files that only write down what they are asked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dispytw.inmemoryjobs import MemoryJournal
from dispytw.node.adoption import Papers
from dispytw.node.bench import Bench
from dispytw.node.keeper import Keeper
from dispytw.node.steward import Steward
from dispytw.values import FINISHED, Attempt, Body, Computation, File, Inline, Outcome, Stored
from tests.node.benching import ALICE, BOB, FACTS, X


@attrs.define(eq=False)
class Link:
    """A client's link: what is said on it, and the answers that are still to come.

    :ivar answers: of each ``tell_…``, in order.
    :ivar bodies: being sent, with the Deferred that gives the stream.
    """

    local_host: str = "10.0.0.9"
    said: list[tuple[Any, ...]] = attrs.field(factory=list)
    answers: list[Deferred[Any]] = attrs.field(factory=list)
    bodies: list[tuple[Body, Deferred[bytes]]] = attrs.field(factory=list)
    dropped: list[str] = attrs.field(factory=list)

    def _say(self, *said: Any) -> Deferred[Any]:
        self.said.append(said)
        self.answers.append(Deferred())
        return self.answers[-1]

    def send_body(self, body: Body) -> Deferred[bytes]:
        self.bodies.append((body, Deferred()))
        return self.bodies[-1][1]

    def tell_ready(self, computation: bytes, generation: int) -> Deferred[Any]:
        return self._say("ready", computation, generation)

    def tell_failed(self, computation: bytes, generation: int, text: str) -> Deferred[Any]:
        return self._say("failed", computation, generation, text)

    def tell_started(self, jobs: Sequence[tuple[Attempt, float]]) -> Deferred[Any]:
        return self._say("started", *jobs)

    def tell_ended(
        self, jobs: Sequence[tuple[Attempt, Outcome]], streams: dict[str, bytes]
    ) -> list[Deferred[list[Attempt]]]:
        if not jobs:
            return []
        return [self._say("ended", dict(jobs), streams).addCallback(lambda _: [attempt for attempt, _ in jobs])]

    def tell_given_back(self, attempts: Sequence[Attempt]) -> Deferred[Any]:
        return self._say("given back", *attempts)

    def tell_freed(self) -> Deferred[Any]:
        return self._say("freed")

    def send_remark(self, remark: Any) -> Deferred[Any]:
        self.bodies.append((remark.body, Deferred()))
        return self.bodies[-1][1]

    def tell_remarked(self, remarks: Sequence[Any]) -> Deferred[Any]:
        return self._say("remarked", *remarks)

    def tell_wrote(self, outputs: Sequence[Any]) -> Deferred[Any]:
        return self._say("wrote", *outputs)

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)

    def kinds(self) -> list[str]:
        """What was said, by its first word."""
        return [said[0] for said in self.said]


@attrs.define(eq=False)
class Launcher:
    """Writes down what it is asked.

    :ivar obstacle: what a launch raises, if anything.
    :ivar forgetting: of each computation, the attempts whose outcomes its supervisor may forget.
    """

    asked: list[tuple[Any, ...]] = attrs.field(factory=list)
    obstacle: Exception | None = None
    forgetting: list[tuple[bytes, Attempt]] = attrs.field(factory=list)

    def launch(self, papers: Papers, bundle_path: str, work_dir: str, ip_addr: str) -> None:
        if self.obstacle is not None:
            raise self.obstacle
        self.asked.append(("launch", papers.computation, bundle_path, work_dir, ip_addr))

    def start(self, computation: bytes, attempts: list[tuple[Attempt, Body]], timeouts: Mapping[Attempt, float]) -> None:
        self.asked.append(("start", computation, dict(attempts), *([dict(timeouts)] if timeouts else [])))

    def cancel(self, computation: bytes, attempt: Attempt) -> None:
        self.asked.append(("cancel", computation, attempt))

    def say(self, computation: bytes, frames: Sequence[Any]) -> None:
        self.asked.append(("say", computation, *frames))

    def recall(self, computation: bytes, most: int) -> None:
        self.asked.append(("recall", computation, most))

    def close(self, computation: bytes, run_cleanup: bool = True) -> None:
        self.asked.append(("close", computation, run_cleanup))

    def change_hands(self, computation: bytes, client: bytes, name: str) -> None:
        self.asked.append(("change hands", computation, client, name))

    def kept(self, computation: bytes, attempts: Sequence[Attempt]) -> None:
        self.forgetting += [(computation, attempt) for attempt in attempts]


@attrs.define(eq=False)
class Files:
    """A workspace that only writes down what it is asked.

    :ivar held: computations that are here.
    :ivar held_files: later files, each time with whom they are for.
    :ivar owners: attempts with files of their own.
    :ivar lacking: files that are not here.
    :ivar obstacle: what work on the disk raises, if anything.
    """

    bundle_path = "/store/bundle"
    work_dir = "/work/x"
    asked: list[tuple[str, Any]] = attrs.field(factory=list)
    held: dict[bytes, Computation] = attrs.field(factory=dict)
    held_files: list[tuple[bytes, list[str], Attempt | None]] = attrs.field(factory=list)
    owners: set[Attempt] = attrs.field(factory=set)
    lacking: list[File] = attrs.field(factory=list)
    bodies_removed: list[Attempt] = attrs.field(factory=list)
    obstacle: Exception | None = None

    def missing(self, files: Iterable[File]) -> list[File]:
        return [file for file in files if file in self.lacking]

    def lay_out(self, computation: Computation) -> Files:
        self._work("lay out", computation.uid)
        return self

    def hold(self, computation: Computation) -> None:
        self.held[computation.uid] = computation

    def release(self, computation: bytes, returns: bool = False) -> Any:
        self.held.pop(computation, None)
        return ("returns" if returns else "remove", computation)

    def remove(self, waste: Any) -> None:
        self._work(*waste)

    def hold_files(self, computation: bytes, files: Iterable[File], attempt: Attempt | None = None) -> None:
        self.held_files.append((computation, [file.path for file in files], attempt))

    def lay_out_later(self, computation: bytes, files: Iterable[File], attempt: Attempt | None = None) -> None:
        self._work("lay out later", attempt or computation)

    def laid_out_for(self, computation: bytes, attempt: Attempt) -> Any:
        return ("not needed by", attempt)

    def own_files(self, attempt: Attempt) -> Any:
        return ("remove own", attempt)

    def with_own_files(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        return [attempt for attempt in attempts if attempt in self.owners]

    def remove_bodies(self, attempts: Iterable[Attempt]) -> None:
        self.bodies_removed += attempts

    def _work(self, what: str, whom: Any) -> None:
        self.asked.append((what, whom))
        if self.obstacle is not None:
            raise self.obstacle


class StewardCase(SynchronousTestCase):
    """A steward of two slots; Alice's link is open, Bob's too."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="steward-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.clock = Clock()
        self.bench = Bench(FACTS, zombie_interval=600.0, parked=0)
        self.files, self.launcher = Files(), Launcher()
        self.journal = MemoryJournal(self.clock)
        self.steward = self.make()
        self.alice, self.bob = Link(), Link()
        self.steward.attached(ALICE, "alice@desk", self.alice)
        self.steward.attached(BOB, "bob@desk", self.bob)

    def make(self, **options: Callable[..., Deferred[Any]]) -> Steward:
        """A steward around the bench."""
        keeper = Keeper(self.journal, self.clock)
        steward = Steward(self.bench, self.files, keeper, self.clock, self.clock.seconds, **options)
        steward.launcher = self.launcher
        return steward

    def prepare(self, client: bytes = ALICE, wanted: Computation = X) -> int:
        """Open a computation until it is ready; its generation."""
        self.steward.open_computation(client, wanted)
        self.steward.supervisor_ready(wanted.uid)
        link = {ALICE: self.alice, BOB: self.bob}[client]
        generation = link.said[-1][2]
        assert isinstance(generation, int)
        return generation

    def run_jobs(self, *attempts: Attempt, body: Body = Inline(b"args")) -> int:  # noqa: B008
        """Prepare, and have the attempts run; the generation."""
        generation = self.prepare()
        self.steward.run_jobs(ALICE, X.uid, generation, [(attempt, body) for attempt in attempts])
        self.alice.said.clear()
        self.alice.answers.clear()
        return generation

    def end(self, *attempts: Attempt, outcome: Outcome = Outcome(FINISHED)) -> None:  # noqa: B008
        """The attempts end."""
        for attempt in attempts:
            self.steward.job_ended(X.uid, attempt, outcome)

    def turn(self) -> None:
        """One turn of the reactor."""
        self.clock.advance(0)

    def stored(self, name: str, content: bytes = b"content") -> Stored:
        """A body in a file."""
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return Stored(path, len(content))

    def there(self) -> list[str]:
        """Names of the files that are there."""
        return sorted(os.listdir(self.directory))
