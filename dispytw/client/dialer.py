"""Keeps a link to one node: dials, and dials again with full jitter, for as long as a cluster wants the node."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.logger import Logger

from dispytw.client.nodes import Address
from dispytw.errors import AuthError, DispytwError, VersionError
from dispytw.wire.clock import Waker

log = Logger()

#: Seconds between two tries: a random number up to the first, doubled at each failure up to the second.
SHORTEST = 0.5
LONGEST = 30.0


class Dialer:
    """Dials one address with one credential until stopped.

    :param address: where.
    :param connect: dials once; the Deferred gives the open link.
    :param clock: wakes us.
    :param chance: source of the jitter.
    :param on_failure: called with what went wrong, each time.
    """

    def __init__(
        self,
        address: Address,
        connect: Callable[[Address], Deferred[Any]],
        clock: Waker,
        chance: random.Random,
        on_failure: Callable[[Dialer, Exception], None],
    ) -> None:
        self.address = address
        self.state = "not tried yet"
        self.node: bytes | None = None
        self.users: set[bytes] = set()
        self._connect = connect
        self._clock = clock
        self._chance = chance
        self._on_failure = on_failure
        self._failures = 0
        self._stopped = False
        self._dialling: Deferred[Any] | None = None
        self._call: Any = None

    def dial(self) -> None:
        """Dial now."""
        self._call = None
        if self._stopped or self._dialling is not None:
            return
        self._dialling = dialling = self._connect(self.address)
        dialling.addCallbacks(self._connected, self._failed)

    def hasten(self) -> None:
        """If it is to be tried again, then now."""
        if self._call is not None and self._call.active():
            self._call.cancel()
            self.dial()

    def _connected(self, link: Any) -> None:
        self._dialling = None
        if link is None and self.node is None:
            self._dial_later()  # greeted, and not wanted: whoever did not want it has said why
        else:
            self.state = "connected"

    def introduced(self, node: bytes) -> None:
        """The node has said what it is: the next failure is a first one."""
        self.node, self.state, self._failures = node, "connected", 0

    def link_ended(self) -> None:
        """The link that was dialled is gone: dial again."""
        if self.state == "connected":
            self.state = "its connection was closed"
        self._dial_later()

    def _failed(self, failure: Any) -> None:
        self._dialling = None
        if self._stopped:
            return
        self.state = describe(failure.value)
        self._on_failure(self, failure.value)
        self._dial_later()

    def _dial_later(self) -> None:
        if self._stopped or self._call is not None or self._dialling is not None:
            return
        longest = min(LONGEST, SHORTEST * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._call = self._clock.callLater(self._chance.uniform(0, longest), self.dial)

    def stop(self) -> None:
        """Dial no more."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._dialling is not None:
            self._dialling.cancel()


def describe(error: BaseException) -> str:
    """What a failed try says to a person, and what to do."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there; start a node with 'dispynode'"
    if isinstance(error, DNSLookupError):
        return "no such host"
    if isinstance(error, (AuthError, VersionError)):
        return str(error)
    if isinstance(error, DispytwError):
        return str(error)
    text = str(error) or type(error).__name__
    return f"{text} (is a node running there, and is its port open?)"
