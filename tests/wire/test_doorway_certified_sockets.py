"""Refusals on real sockets, where an alert or a last frame races with the end of its connection: each arrives, every time."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel, capturedLogs

from dispytw.errors import AuthError
from dispytw.wire import tls
from dispytw.wire.credentials import Certified, Credential
from tests.wire import test_doorway_sockets
from tests.wire.certified import Alter, by_openssl, context_factory, only_tls_1_2
from tests.wire.certifying import Issued, pair
from tests.wire.doorways import SECRET

#: Greetings of each kind.
TIMES = 10

REFUSED, REFUSES = r"^the certificate of 127.0.0.1:\d+ is refused: ", r"^127.0.0.1:\d+ refuses the certificate of this end: "
OLD_TLS = r"^127.0.0.1:\d+ does not speak TLS 1.3: "


def pinned(issued: Issued) -> Credential:
    """An end with this pair."""
    return Certified(issued.as_certificate())


class Refusals(test_doorway_sockets.Sockets):
    """A good deal of them."""

    async def refused(
        self, client: Credential, node: Credential, at_client: str, at_node: str, alter: Alter | None = None, server: bool = False
    ) -> None:
        """What both ends say, each time.

        :param alter: changes the TLS of one end.
        :param server: whether of the node.
        """
        self.patch(tls, "context_factory", self.altered(alter, server))
        dialled, port = self.listen(node)
        self.patch(self.factory, "may_log", lambda host: True)
        with capturedLogs() as logged:
            for _ in range(TIMES):
                dialling, done = self.dial(port, client)
                error = await self.assertFailure(done, AuthError)
                self.assertRegex(str(error), at_client)
                self.assertEqual([], dialling.links)
            await self.censuses[0].empty()
        said = [str(event["error"]) for event in logged if event["log_level"] is LogLevel.warn]
        self.assertEqual((TIMES if at_node else 0, []), (len(said), dialled.links))
        for text in said:
            self.assertRegex(text, at_node)

    @staticmethod
    def altered(alter: Alter | None, server: bool) -> Any:
        """Makes the contexts of one test, and changes those of one end."""
        return lambda side, certificate: context_factory(side, certificate, alter if side == server else None)

    async def test_another_pair(self) -> None:
        """Both ends find out by themselves."""
        await self.refused(pinned(pair()), pinned(pair("other")), f"{REFUSED}it is not the one", f"{REFUSED}it is not the one")

    async def test_no_certificate(self) -> None:
        """One end finds out, and tells the other."""
        await self.refused(SECRET, pinned(pair()), f"{REFUSES}there is none", f"{REFUSED}there is none")

    async def test_a_client_without_the_key(self) -> None:
        """The node's TLS finds out when the client's handshake is over."""
        thief = pinned(pair().stolen())
        await self.refused(thief, pinned(pair()), f"{REFUSES}its private key is not there", f"{REFUSED}its private key is not there")

    async def test_a_node_without_the_key(self) -> None:
        """The client's TLS finds out in its handshake."""
        thief = pinned(pair().stolen())
        await self.refused(pinned(pair()), thief, f"{REFUSED}its private key is not there", f"{REFUSES}its private key is not there")

    async def test_older_tls(self) -> None:
        """At either end."""
        for server in (False, True):
            await self.refused(pinned(pair()), pinned(pair()), OLD_TLS, OLD_TLS, only_tls_1_2, server)

    async def test_refused_in_tls(self) -> None:
        """A node of another make refuses by an alert, which the client reads where it expects the greeting. What such a node says is its own affair."""
        await self.refused(pinned(pair()), pinned(pair()), f"{REFUSES}no authority in the other end's cafile", ".", by_openssl, True)
