"""The part of a session that is about running jobs: what they say is heard once, in order, and answered; what they write can be followed.

A remark with a long body is announced first; it is let come when it can be kept. What a node says twice, as it does not know
whether it was heard, gets the first answer again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from dispytw.client.clusterend import ClusterEnd
from dispytw.client.incoming import IncomingSinks, PartialFile, place_of
from dispytw.client.nodes import Address
from dispytw.errors import StreamError, UnsafePathError
from dispytw.scheduler.dispatcher import Dispatcher
from dispytw.values import Attempt, Body
from dispytw.wire.jobframes import Follow, Wrote
from dispytw.wire.remarkrecords import FILE, HEARD, REFUSED, WANTED, Announced
from dispytw.wire.streams import MemorySinks, Sink, Sinks


@attrs.define(eq=False)
class _Last:
    """The last remark of a job, whether its body is here, and what it was answered; nothing while that is not known."""

    attempt: Attempt
    number: int
    is_here: bool = False
    verdict: str = ""
    text: str = ""


@attrs.define(eq=False)
class _Coming:
    """A long body that was let come (`dispytw.client.incoming.Expectation`)."""

    listening: Listening
    node: bytes
    remark: Announced
    last: _Last

    def open(self, size: int) -> Sink:
        """Into memory, or to where the file belongs."""
        if size != self.remark.size:
            raise StreamError(f"{size} bytes come where {self.remark.size} were announced")
        if self.remark.kind == FILE:
            return PartialFile(os.getcwd(), self.remark.path, size)
        return MemorySinks().open(b"", size, b"")

    def arrived(self, body: Body) -> None:
        """A file is where it belongs; a result goes to its job."""
        if self.remark.kind == FILE:
            self.listening.concluded(self.node, self.remark, self.last, HEARD)
        else:
            self.listening.provisional(self.node, self.remark, self.last, body)

    def lost(self) -> None:
        """If it is still to be heard, its node says so again."""


class Listening:
    """What `dispytw.client.session.Session` is for running jobs (`dispytw.scheduler.earshot.Listener`)."""

    dispatcher: Dispatcher
    _sinks: Sinks
    _addresses: dict[bytes, Address]
    _jobs: dict[bytes, tuple[bytes, Body, Any]]
    _enrolled: Mapping[bytes, Any]

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[Any, _Last] = WeakKeyDictionary()

    def show_running(self, job: bytes, node: bytes, started: float) -> None:
        """See `dispytw.scheduler.neighbours.Customer`."""
        cluster, _, handle = self._jobs[job]
        self._end_of(cluster).job_running(handle, node, self._addresses[node], started)

    def _end_of(self, cluster: bytes) -> ClusterEnd:
        end: ClusterEnd = self._enrolled[cluster].end
        return end

    def remarked(self, node: bytes, remark: Announced) -> None:
        """A running job says something."""
        handle = self._jobs[remark.attempt.job][2]
        last = self._last.get(handle)
        if last is not None and (last.attempt, last.number) == (remark.attempt, remark.number) and (last.is_here or last.verdict):
            if last.verdict:
                self.dispatcher.answer(node, remark, last.verdict, last.text)
            return
        self._last[handle] = last = _Last(remark.attempt, remark.number)
        if remark.kind == FILE or remark.body is None:
            self._let_come(node, remark, last)
        else:
            self.provisional(node, remark, last, remark.body)

    def _let_come(self, node: bytes, remark: Announced, last: _Last) -> None:
        try:
            if remark.kind == FILE:
                place_of(os.getcwd(), remark.path)
        except (OSError, UnsafePathError) as error:
            return self.concluded(node, remark, last, REFUSED, f"the client does not keep it: {error}")
        if not isinstance(self._sinks, IncomingSinks):
            return self.concluded(node, remark, last, REFUSED, "the client has no place for it")
        self._sinks.expect(remark.stream_kind, _Coming(self, node, remark, last))
        self.dispatcher.answer(node, remark, WANTED)

    def provisional(self, node: bytes, remark: Announced, last: _Last, body: Body) -> None:
        """A provisional result is here; its job goes on when there is room for the next."""
        last.is_here = True
        known = self._jobs.get(remark.attempt.job)
        if known is None:
            return self.concluded(node, remark, last, REFUSED, "this job is over")
        cluster, _, handle = known
        taken = self._end_of(cluster).job_provisional(handle, node, body)
        if taken is None:
            self.concluded(node, remark, last, HEARD)
        else:
            taken.addCallback(lambda _: self.concluded(node, remark, last, HEARD))

    def concluded(self, node: bytes, remark: Announced, last: _Last, verdict: str, text: str = "") -> None:
        """It is known what becomes of a remark."""
        last.verdict, last.text = verdict, text
        self.dispatcher.answer(node, remark, verdict, text)

    def wrote(self, wrote: Wrote) -> None:
        """A running job has written what was asked for."""
        cluster, _, handle = self._jobs[wrote.attempt.job]
        self._end_of(cluster).job_wrote(handle, wrote)

    def follow_again(self) -> None:
        """A link to a node is open: what was asked on an earlier one is asked anew."""
        for enrolled in self._enrolled.values():
            enrolled.end.node_back()

    def follow(self, job: bytes, outputs: Sequence[tuple[bool, int]]) -> None:
        """Get told what a job writes behind these positions, if it is on a node."""
        entry = self.dispatcher.ledger.jobs.get(job)
        if entry is not None and entry.node is not None:
            self.dispatcher.follow(entry.node, [Follow(entry.attempt, *each) for each in outputs])
