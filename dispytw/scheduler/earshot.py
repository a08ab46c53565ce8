"""The part of the dispatcher that is about running jobs: what they say and write, and what they are answered. It decides nothing either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from dispytw.scheduler.ledger import Ledger
from dispytw.wire.jobframes import Follow, Wrote
from dispytw.wire.remarkrecords import REFUSED, Announced, answer_record


class SpeakingLink(Protocol):
    """What is needed of a link to a node."""

    def answer_jobs(self, answers: Sequence[list[Any]]) -> Deferred[None]:
        """Answer what running attempts have said; records of `dispytw.wire.remarkrecords`."""

    def follow_jobs(self, outputs: Sequence[Follow]) -> Deferred[None]:
        """Get told what running attempts write."""


class Listener(Protocol):
    """Whom running jobs speak to."""

    def remarked(self, node: bytes, remark: Announced) -> None:
        """A running job says something, perhaps not for the first time; `Earshot.answer` takes the answer."""

    def wrote(self, wrote: Wrote) -> None:
        """A running job has written what was asked for."""


class Earshot:
    """Passes on what running jobs say, and what they are answered."""

    ledger: Ledger
    links: Mapping[bytes, Any]
    _listener: Listener

    def remarked(self, node: bytes, remarks: Iterable[Announced]) -> None:
        """Attempts say something; of those that do not count any more nobody hears."""
        for remark in remarks:
            if self.ledger.speaks(node, remark.attempt):
                self._listener.remarked(node, remark)
            else:
                self.answer(node, remark, REFUSED, "this attempt does not count any more")

    def answer(self, node: bytes, remark: Announced, verdict: str, text: str = "") -> None:
        """Let an attempt know what has become of what it said; nothing when its node is away, which will tell it again."""
        link = self.links.get(node)
        if link is not None:
            answered = link.answer_jobs([answer_record(remark.attempt, remark.number, verdict, text)])
            answered.addErrback(self.unexpected, link)

    def wrote(self, node: bytes, outputs: Iterable[Wrote]) -> None:
        """Attempts have written what was asked for."""
        for each in outputs:
            if self.ledger.speaks(node, each.attempt):
                self._listener.wrote(each)

    def follow(self, node: bytes, outputs: Sequence[Follow]) -> None:
        """Get told what attempts write, if their node is there."""
        link = self.links.get(node)
        if link is not None:
            link.follow_jobs(outputs).addErrback(self.unexpected, link)

    def unexpected(self, failure: Any, link: Any) -> None:
        """An ask failed."""
        raise NotImplementedError
