"""What the tests of the scheduler's links share: a node that answers as it is told, and the link to it, carried by hand."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from dispytw.errors import StreamError
from dispytw.scheduler.connections import ConnectionFromNode, Introduction
from dispytw.values import Attempt, Availability, Body, NodeFacts
from dispytw.wire import nodecommands as ask
from dispytw.wire import schedulercommands as tell
from dispytw.wire.streams import MemorySinks, StreamingLink, Streams

NODE, CLUSTER = b"n" * 16, b"c" * 16
#: The digest of a file that the node does not take.
UNWANTED = hashlib.sha256(b"unwanted").digest()
FACTS = NodeFacts(NODE, 3, "node", 4, "Linux", (3, 12), "1.2", 99, Availability(99.5, 1 << 30, 1 << 40, 100.0))
ME = Introduction("1.0", "somebody@here (pid 1)", 4.0)


def attempt(job: int, number: int = 1) -> Attempt:
    return Attempt(job.to_bytes(16, "big"), number)


class FakeNode(StreamingLink):
    """The node's end of the link.

    :ivar heard: what was asked, as (command, arguments).
    :ivar answers: what each command is answered, by its name; an exception is raised, a list gives one answer after the other.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(now=clock.seconds)
        self.streams = Streams(self, AnySinks())
        self.heard: list[tuple[str, dict[str, Any]]] = []
        facts = {"incarnation": 3, "name": "node", "cpus": 4, "platform": "Linux", "python": [3, 12], "version": "1.2", "pid": 99}
        self.answers: dict[str, Any] = {
            "Introduce": {**facts, "holder": "somebody else", "available": [99.5, 1 << 30, 1 << 40, 100.0]},
            "ListJobs": {"attempts": []},
            "Reconcile": {"attempts": [], "computations": []},
            "OpenComputation": {"missing": []},
            "RunJobs": {"refused": []},
        }
        self.lost = False

    def _answer(self, command: str, **arguments: Any) -> Any:
        self.heard.append((command, arguments))
        answer = self.answers.get(command, {})
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def link_lost(self, reason: Any) -> None:
        self.lost = True

    @ask.Introduce.responder
    def introduce(self, **arguments: Any) -> Any:
        return self._answer("Introduce", **arguments)

    @ask.Reconcile.responder
    def reconcile(self, **arguments: Any) -> Any:
        return self._answer("Reconcile", **arguments)

    @ask.OpenComputation.responder
    def open_computation(self, **arguments: Any) -> Any:
        return self._answer("OpenComputation", **arguments)

    @ask.PlaceFiles.responder
    def place_files(self, **arguments: Any) -> Any:
        return self._answer("PlaceFiles", **arguments)

    @ask.CloseComputation.responder
    def close_computation(self, **arguments: Any) -> Any:
        return self._answer("CloseComputation", **arguments)

    @ask.RunJobs.responder
    def run_jobs(self, **arguments: Any) -> Any:
        return self._answer("RunJobs", **arguments)

    @ask.RecallJobs.responder
    def recall_jobs(self, **arguments: Any) -> Any:
        return self._answer("RecallJobs", **arguments)

    @ask.ListJobs.responder
    def list_jobs(self, **arguments: Any) -> Any:
        return self._answer("ListJobs", **arguments)

    @ask.CancelJobs.responder
    def cancel_jobs(self, **arguments: Any) -> Any:
        return self._answer("CancelJobs", **arguments)

    @ask.AnswerJobs.responder
    def answer_jobs(self, **arguments: Any) -> Any:
        return self._answer("AnswerJobs", **arguments)

    @ask.FollowJobs.responder
    def follow_jobs(self, **arguments: Any) -> Any:
        return self._answer("FollowJobs", **arguments)

    @tell.Heartbeat.responder
    def heartbeat(self, **arguments: Any) -> Any:
        return self._answer("Heartbeat")


class AnySinks(MemorySinks):
    """Takes files, too, and remembers the kinds of what came, and what was deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[bytes] = []
        self.deleted: list[Body] = []

    def open(self, stream: bytes, size: int, kind: bytes) -> Any:
        self.kinds.append(kind)
        if kind == UNWANTED:
            raise StreamError("not wanted")
        return super().open(stream, size, b"")

    def delete(self, body: Body) -> None:
        self.deleted.append(body)


class Told:
    """Stands for the dispatcher and for whoever wants to know how links end; ``events`` are what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.events.append((name, *arguments))


class LinkTests(SynchronousTestCase):
    """A link between a client and a node, of which nothing has been carried yet."""

    introduced = True

    def setUp(self) -> None:
        self.clock = Clock()
        self.told = Told()
        self.node = FakeNode(self.clock)
        self.sinks = AnySinks()
        told: Any = self.told
        self.link = ConnectionFromNode(NODE, told, ME, told, self.sinks, self.clock, self.clock.seconds)
        ends = iosim.FakeTransport(self.link, False), iosim.FakeTransport(self.node, True)
        self.pump = iosim.connect(self.node, ends[1], self.link, ends[0], greet=False, clock=self.clock)
        if self.introduced:
            self.carry()
            self.told.events.clear()
            self.node.heard.clear()

    def tearDown(self) -> None:
        self.link.abort()
        self.carry()
        self.assertEqual([], self.clock.getDelayedCalls())

    def carry(self) -> None:
        """Everything that was said arrives, and is answered."""
        self.pump.flush()

    def answer(self, asked: Deferred[Any]) -> Any:
        """What the dispatcher gets."""
        self.carry()
        return self.successResultOf(asked)

    def failure(self, asked: Deferred[Any], error: type[Exception]) -> str:
        """What the one who asks gets instead."""
        failed: Deferred[Any] = Deferred()
        asked.addCallbacks(failed.callback, failed.errback)
        self.carry()
        return str(self.failureResultOf(failed, error).value)

    def say(self, command: Any, **arguments: Any) -> Any:
        """The node tells something; the answer it gets."""
        return self.answer(self.node.tell(command, **arguments))
