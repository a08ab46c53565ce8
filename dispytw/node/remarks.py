"""The mind that passes on what running jobs say: one remark of each attempt at a time, in order, until its client has answered.

Every method is an event, every return value a list of orders. What cannot be told now, as the client is away, is told when it is back; what
its job no longer waits for, or whose job has ended, is not told any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

import attrs

from dispytw.values import Attempt, Body
from dispytw.wire.jobframes import FILE, REFUSED, STOPPED, UNDERWAY, Answer, Remark
from dispytw.wire.remarkrecords import WANTED


@attrs.frozen
class Tell:
    """Tell the client of the attempt."""

    remark: Remark


@attrs.frozen
class Send:
    """Stream the body to the client; answer with `send_failed` if that fails."""

    remark: Remark


@attrs.frozen
class Reply:
    """Tell the job."""

    answer: Answer


@attrs.frozen
class Discard:
    """Delete what a body lies in."""

    body: Body


Order = Union[Tell, Send, Reply, Discard]


@attrs.define(eq=False)
class _Said:
    """A remark that is not answered."""

    remark: Remark
    told: bool = False
    sending: bool = False


@attrs.define(eq=False)
class _Speaker:
    """An attempt that has said something.

    :ivar linked: whether its client is there.
    """

    linked: bool
    said: list[_Said] = attrs.field(factory=list)

    def find(self, number: int) -> _Said | None:
        """The remark of this number."""
        return next((each for each in self.said if each.remark.number == number), None)


class Remarks:
    """What the jobs of one node have said and nobody has answered.

    :param max_file_size: bytes that a file may have; 0 for no limit.
    """

    def __init__(self, max_file_size: int = 0) -> None:
        self._max_file_size = max_file_size
        self._speakers: dict[Attempt, _Speaker] = {}

    @property
    def attempts(self) -> list[Attempt]:
        """Those that wait for an answer."""
        return list(self._speakers)

    def remarked(self, remark: Remark, linked: bool) -> list[Order]:
        """A job says something.

        :param linked: whether its client is there.
        """
        obstacle = self._obstacle(remark)
        if obstacle:
            return self.refused(remark, obstacle)
        speaker = self._speakers.setdefault(remark.attempt, _Speaker(linked))
        speaker.linked = linked
        if speaker.find(remark.number) is None:
            speaker.said.append(_Said(remark))
        return self._next(speaker)

    def _obstacle(self, remark: Remark) -> str:
        if remark.kind == FILE and 0 < self._max_file_size < remark.body.size:
            return f"it has {remark.body.size} bytes, more than the {self._max_file_size} of this node's --max_file_size"
        return ""

    def unsaid(self, attempt: Attempt, number: int) -> list[Order]:
        """The job waits no longer. What the client has been told it will answer all the same."""
        speaker = self._speakers.get(attempt)
        said = speaker.find(number) if speaker is not None else None
        if speaker is None or said is None or (said.told and speaker.linked):
            return []
        return self._done(speaker, said)

    def answered(self, attempt: Attempt, number: int, verdict: str, text: str) -> list[Order]:
        """The client has answered."""
        speaker = self._speakers.get(attempt)
        said = speaker.find(number) if speaker is not None else None
        if speaker is None or said is None or not said.told:
            return []
        if verdict != WANTED:
            return [Reply(Answer(attempt, number, verdict, text)), *self._done(speaker, said)]
        if said.sending:
            return []
        said.sending = True
        return [Reply(Answer(attempt, number, UNDERWAY)), Send(said.remark)]

    def send_failed(self, attempt: Attempt, number: int, text: str) -> list[Order]:
        """The body cannot be sent, or the client does not keep it."""
        return self.answered(attempt, number, REFUSED, text)

    def link_lost(self, attempts: Iterable[Attempt]) -> list[Order]:
        """The client of these is away."""
        orders: list[Order] = []
        for attempt in attempts:
            speaker = self._speakers.get(attempt)
            if speaker is None:
                continue
            speaker.linked = False
            for said in speaker.said:
                if said.sending:
                    orders.append(Reply(Answer(attempt, said.remark.number, STOPPED)))
                said.told = said.sending = False
        return orders

    def link_opened(self, attempts: Iterable[Attempt]) -> list[Order]:
        """The client of these is back, or another one has taken them over."""
        orders: list[Order] = []
        for attempt in attempts:
            speaker = self._speakers.get(attempt)
            if speaker is not None:
                speaker.linked = True
                orders.extend(self._next(speaker))
        return orders

    def ended(self, attempt: Attempt) -> list[Order]:
        """The job is over: nobody waits for an answer."""
        speaker = self._speakers.pop(attempt, None)
        return [] if speaker is None else [Discard(said.remark.body) for said in speaker.said]

    @staticmethod
    def refused(remark: Remark, why: str) -> list[Order]:
        """Nobody can hear this one."""
        return [Reply(Answer(remark.attempt, remark.number, REFUSED, why)), Discard(remark.body)]

    @staticmethod
    def _next(speaker: _Speaker) -> list[Order]:
        if not speaker.linked or not speaker.said or speaker.said[0].told:
            return []
        speaker.said[0].told = True
        return [Tell(speaker.said[0].remark)]

    def _done(self, speaker: _Speaker, said: _Said) -> list[Order]:
        speaker.said.remove(said)
        if not speaker.said:
            self._speakers.pop(said.remark.attempt, None)
        return [Discard(said.remark.body), *self._next(speaker)]
