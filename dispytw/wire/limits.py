"""AMP made safe: bounds on what is received and asked, and no error that takes the link with it.

Stock AMP keeps an unterminated box without bound, and closes the link over one exception that a command does not declare. A
`Link` counts keys and bytes as they come and closes quietly on nonsense; whatever a responder raises is logged here and answered
there with a code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from dispytw.errors import WireError

log = Logger()

#: Bounds on one box: keys, and bytes of keys and values.
MOST_KEYS = 64
MOST_BYTES = 18 * 0xFFFF
#: Asks that may wait for their answer, in each direction.
MOST_ASKS = 20_000

#: Characters of an error's text; more than a box can hold would close the link.
MOST_TEXT = 10_000

#: The code of an error that the command does not declare; the other end has it in its log.
FAILED = b"FAILED"
WIRE = b"WIRE"


class Link(amp.AMP):
    """An AMP connection with bounds; subclasses answer commands and say what happens when it opens and ends.

    :param now: monotonic seconds.
    :ivar last_received: when the last byte came.
    :ivar last_sent: when the last box left.
    :ivar closed: fires, with None, when the link is gone.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self.transport: Any = None
        self._clock_now = now
        self.last_received = self.last_sent = now()
        self.closed: Deferred[None] = Deferred()
        self._bytes = 0
        self._answering = 0
        self._dropped = False

    # For subclasses.
    def link_opened(self) -> None:
        """The greeting has succeeded: boxes may be sent."""

    def link_lost(self, reason: Failure) -> None:
        """The link is gone; every ask has failed."""

    # For everyone.
    def ask(self, command: type[amp.Command], **arguments: Any) -> Deferred[Any]:
        """Send a command; the Deferred gives its answer, or fails with an error that it declares, or with ConnectionClosed.

        Nobody waits for a command that is never answered: its Deferred gives None at once, even if the link is gone.
        """
        if self.transport is None or self._dropped:
            return fail(ConnectionLost("the link is closed")) if command.requiresAnswer else succeed(None)
        if command.requiresAnswer and len(self._outstandingRequests) >= MOST_ASKS:
            return fail(WireError(f"{MOST_ASKS} asks wait for their answers"))
        return maybeDeferred(self.callRemote, command, **arguments)

    tell = ask

    @property
    def peer_host(self) -> str:
        """The other end's address; empty when the link is gone."""
        return str(getattr(self.transport and self.transport.getPeer(), "host", ""))

    def abort(self) -> None:
        """Close at once."""
        self._dropped = True
        if self.transport is not None:
            self.transport.abortConnection()

    # AMP's life.
    def connectionMade(self) -> None:
        """Twisted's name for link_opened."""
        super().connectionMade()
        self.link_opened()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Twisted's name for link_lost."""
        self._dropped = True
        super().connectionLost(reason)
        self.link_lost(reason)
        self.closed.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Bytes have come."""
        self.last_received = self._clock_now()
        if not self._dropped:
            super().dataReceived(data)

    def sendBox(self, box: amp.AmpBox) -> None:
        """Send a box, unless the link is gone."""
        if self._dropped or self.transport is None:
            return
        self.last_sent = self._clock_now()
        super().sendBox(box)

    # Bounds.
    def proto_key(self, string: bytes) -> str:
        """A key has come; an empty one ends the box."""
        if string:
            if len(self._currentBox or ()) >= MOST_KEYS or not self._counted(string):
                return self._nonsense("a box with too many keys")
        else:
            self._bytes = 0
        return str(super().proto_key(string))

    def proto_value(self, string: bytes) -> str:
        """A value has come."""
        if not self._counted(string):
            return self._nonsense("a box with too many bytes")
        return str(super().proto_value(string))

    def _counted(self, string: bytes) -> bool:
        self._bytes += len(string)
        return self._bytes <= MOST_BYTES

    def _nonsense(self, what: str) -> str:
        if not self._dropped:
            log.warn("closing the link to {host}: {what}", host=self.peer_host, what=what)
            self.abort()
        return "key"

    def lengthLimitExceeded(self, length: int) -> None:
        """A key longer than AMP allows."""
        self._nonsense("a key of too many bytes")

    # Commands that come.
    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """A whole box has come: a command, an answer or an error."""
        if self._dropped:
            return
        if self._makes_sense(box):
            super().ampBoxReceived(box)
        else:
            self._nonsense("an answer that nobody asked for")

    def _makes_sense(self, box: amp.AmpBox) -> bool:
        if amp.ANSWER in box:
            return box[amp.ANSWER] in self._outstandingRequests
        if amp.ERROR in box:
            whole = amp.ERROR_CODE in box and amp.ERROR_DESCRIPTION in box
            return whole and box[amp.ERROR] in self._outstandingRequests
        return amp.COMMAND in box

    def locateResponder(self, name: bytes) -> Any:
        """Who answers a command: only what our classes declare, and not StartTLS, which AMP brings along."""
        return None if name == amp.StartTLS.commandName else amp.CommandLocator.locateResponder(self, name)

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[Any]:
        """Answer a command; whatever goes wrong is an error box, not the end of the link."""
        self._answering += 1
        if self._answering > MOST_ASKS:
            self._nonsense("too many asks without waiting for answers")
            return fail(_remote(FAILED, "too many asks")).addErrback(self._failed, box)
        answer = maybeDeferred(super().dispatchCommand, box)
        return answer.addBoth(self._answered).addErrback(self._failed, box)

    def _answered(self, result: Any) -> Any:
        self._answering -= 1
        return result

    def _failed(self, failure: Failure, box: amp.AmpBox) -> Any:
        raised: Any = failure.value
        if failure.check(amp.RemoteAmpError):
            error = _remote(raised.errorCode, raised.description)
        elif failure.check(WireError):
            log.warn("{command} from {host}: {error}", command=box[amp.COMMAND], host=self.peer_host, error=raised)
            error = _remote(WIRE, str(raised))
        else:
            log.failure("{command} failed", failure, command=box[amp.COMMAND])
            error = _remote(FAILED, "the other end failed; its log says how")
        if amp.ASK not in box:
            return amp.AmpBox()
        raise error


def _remote(code: bytes, text: str) -> amp.RemoteAmpError:
    return amp.RemoteAmpError(code, text[:MOST_TEXT], fatal=False, local=None)
