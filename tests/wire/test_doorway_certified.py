"""Certificates at the doorway, in memory and under real TLS: who opens, and each refusal as both ends say it."""

from __future__ import annotations

import re
from typing import Any

import attrs
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dispytw.errors import AuthError
from dispytw.wire import doorway
from dispytw.wire.credentials import Certified, Credential
from dispytw.wire.doorway import FAREWELL, PATIENCE, DoorwayServerFactory, Peer
from dispytw.wire.greeting import Greeting, Reason, refusal
from tests.wire.certified import Alter, TlsPair, by_openssl, only_tls_1_2
from tests.wire.certifying import CLIENT, DAY, NOW, SERVER, Issued, authority, issue, pair
from tests.wire.doorways import CLIENT as CLIENT_UID
from tests.wire.doorways import NODE as NODE_UID
from tests.wire.doorways import OTHER_SECRET, SECRET, End, Keeping

#: Each end's address, as the other says it.
AT_CLIENT, AT_NODE = "127.0.0.1:40000", "127.0.0.1:51348"

PAST, FUTURE = NOW - DAY, NOW + DAY


def pinned(issued: Issued | None = None, secret: Any = None) -> Credential:
    """An end with a pair; our own by default."""
    return Certified((issued or pair()).as_certificate(), secret)


def under_authority(*names: str, by: Issued | None = None, **options: Any) -> Credential:
    """An end with a certificate for these names, and our authority's cafile."""
    return Certified(issue(*names, by=by or authority(), **options).as_certificate(authority()))


CLIENT_OF_OURS, NODE_OF_OURS = under_authority("dispytw:client"), under_authority("dispytw:node")


@attrs.frozen
class Case:
    """Two ends that do not open.

    :param dialling: the client's credential.
    :param dialled: the node's.
    :param client_says: what the client says, the node's address left out; a regular expression.
    :param node_says: what the node says, the client's address left out.
    :param client: changes the client's TLS.
    :param node: changes the node's TLS.
    :param client_role: as what the client speaks.
    :param node_role: as what the node speaks.
    """

    dialling: Credential
    dialled: Credential
    client_says: str
    node_says: str
    client: Alter | None = None
    node: Alter | None = None
    client_role: str = "client"
    node_role: str = "node"


def of_client(what: str) -> tuple[str, str]:
    """The client's certificate is refused for this: what the client says, and the node."""
    return f"refuses the certificate of this end: {what}", f"the certificate of is refused: {what}"


def of_node(what: str) -> tuple[str, str]:
    """The node's certificate is refused for this."""
    return f"the certificate of is refused: {what}", f"refuses the certificate of this end: {what}"


def both(what: str) -> tuple[str, str]:
    """Each end's certificate is refused by the other for this."""
    return (f"the certificate of is refused: {what}",) * 2


EXPIRED, TOO_EARLY = {"begins": NOW - 9 * DAY, "ends": PAST}, {"begins": FUTURE}
EXPIRED_PAIR, EARLY_PAIR = pinned(issue(**EXPIRED)), pinned(issue(**TOO_EARLY))

#: What each end says has the date only where it is that end that has looked.
CASES = {
    # The same pair at both ends.
    "pair: expired": Case(EXPIRED_PAIR, EXPIRED_PAIR, *both(r"it has expired \(on 2.+ UTC\); get a new one")),
    "pair: not yet valid": Case(EARLY_PAIR, EARLY_PAIR, *both(r"it is not valid yet \(before 2.+ UTC\); look at the clocks")),
    "pair: another key": Case(pinned(), pinned(pair("other")), *both("it is not the one that the other end has; without a cafile both")),
    "pair: another certificate for the same key": Case(
        pinned(), pinned(issue(key=pair().key)), *both("it is not the one that the other end has; without a cafile")
    ),
    "pair: the client has none": Case(SECRET, pinned(), *of_client("there is none; give both ends one, by certfile=")),
    "pair: the node has none": Case(pinned(), SECRET, *of_node("there is none; give both ends one, by certfile=")),
    "pair: the client does not hold its key": Case(
        pinned(pair().stolen()), pinned(), *of_client("its private key is not there; if the files")
    ),
    "pair: the node does not hold its key": Case(pinned(), pinned(pair().stolen()), *of_node("its private key is not there; if the")),
    "pair: the client knows TLS 1.2 only": Case(
        pinned(), pinned(), *("does not speak TLS 1.3: if it runs with --insecure",) * 2, client=only_tls_1_2
    ),
    "pair: the node knows TLS 1.2 only": Case(
        pinned(), pinned(), *("does not speak TLS 1.3: if it runs with --insecure",) * 2, node=only_tls_1_2
    ),
    # A private authority.
    "authority: the client's has expired": Case(
        under_authority("dispytw:client", **EXPIRED), NODE_OF_OURS, *of_client(r"it has expired(?: \(on 2.+ UTC\))?; get a new one")
    ),
    "authority: the node's has expired": Case(
        CLIENT_OF_OURS, under_authority("dispytw:node", **EXPIRED), *of_node(r"it has expired(?: \(on 2.+ UTC\))?; get a new one")
    ),
    "authority: the client's is not valid yet": Case(
        under_authority("dispytw:client", **TOO_EARLY), NODE_OF_OURS, *of_client(r"it is not valid yet(?: \(before 2.+ UTC\))?; look at")
    ),
    "authority: the node's is not valid yet": Case(
        CLIENT_OF_OURS, under_authority("dispytw:node", **TOO_EARLY), *of_node(r"it is not valid yet(?: \(before 2.+ UTC\))?; look at")
    ),
    "authority: another has issued the client's": Case(
        under_authority("dispytw:client", by=authority("other")),
        NODE_OF_OURS,
        *of_client(r"no authority in the other end's cafile has issued it(?: \(unable to get local issuer certificate\))?; get one"),
    ),
    "authority: another has issued the node's": Case(
        CLIENT_OF_OURS,
        under_authority("dispytw:node", by=authority("other")),
        *of_node(r"no authority in the other end's cafile has issued it(?: \(unable to get local issuer certificate\))?; get one"),
    ),
    "authority: the client's is a pair": Case(
        Certified(issue("dispytw:client").as_certificate(authority())),
        NODE_OF_OURS,
        *of_client(r"no authority in the other end's cafile has issued it(?: \(self-signed certificate\))?; get one"),
    ),
    "authority: the client has none": Case(SECRET, NODE_OF_OURS, *of_client("there is none; give both ends one")),
    "authority: the node has none": Case(CLIENT_OF_OURS, SECRET, *of_node("there is none; give both ends one")),
    "authority: the client does not hold its key": Case(
        Certified(issue("dispytw:client", by=authority()).stolen().as_certificate(authority())),
        NODE_OF_OURS,
        *of_client("its private key is not there; if the files"),
    ),
    "authority: the node does not hold its key": Case(
        CLIENT_OF_OURS,
        Certified(issue("dispytw:node", by=authority()).stolen().as_certificate(authority())),
        *of_node("its private key is not there; if the files"),
    ),
    "authority: the node is another host": Case(
        CLIENT_OF_OURS,
        under_authority("other.example"),
        *of_node(r"it is for another host or role(?: \(it names neither 'node.example' nor a role\))?; issue it with"),
    ),
    "authority: the client names no role": Case(
        under_authority("client.example"),
        NODE_OF_OURS,
        *of_client(r"it is for another host or role(?: \(it names no role\))?; issue it with a subjectAltName of URI:dispytw:client"),
    ),
    "authority: a node's certificate dials as a client": Case(
        NODE_OF_OURS,
        NODE_OF_OURS,
        *of_client(r"it is for another host or role(?: \(it is not for a client, as which it speaks\))?; issue it with"),
    ),
    "authority: a client's certificate is dialled as a node": Case(
        CLIENT_OF_OURS,
        CLIENT_OF_OURS,
        *of_node(r"it is for another host or role(?: \(it is not for a node, as which it speaks\))?; issue it with"),
    ),
    "authority: a host's certificate speaks as a client": Case(
        CLIENT_OF_OURS,
        under_authority("node.example"),
        *of_node(r"it is for another host or role(?: \(it is not for a client, as which it speaks\))?; issue it with"),
        node_role="client",
    ),
    "authority: the client's is for servers only": Case(
        under_authority("dispytw:client", uses=(SERVER,)),
        NODE_OF_OURS,
        *of_client(r"it cannot be used for this(?: \(clientAuth is not in its extendedKeyUsage\))?; issue another"),
    ),
    "authority: the node's is for clients only": Case(
        CLIENT_OF_OURS,
        under_authority("dispytw:node", uses=(CLIENT,)),
        *of_node(r"it cannot be used for this(?: \(serverAuth is not in its extendedKeyUsage\))?; issue another"),
    ),
    "authority: TLS 1.2 only": Case(CLIENT_OF_OURS, NODE_OF_OURS, *("does not speak TLS 1.3: if",) * 2, client=only_tls_1_2),
    "one end with an authority, the other with a pair": Case(
        pinned(),
        NODE_OF_OURS,
        "the certificate of is refused: it is not the one that the other end has",
        r"the certificate of is refused: no authority in the other end's cafile has issued it \(self-signed certificate\)",
    ),
    # With a secret beside the certificate.
    "both: another secret": Case(
        pinned(secret=SECRET),
        pinned(secret=OTHER_SECRET),
        "wrong secret: it says that this end and do not hold the same secret; give both the same",
        "wrong secret: this end and do not hold the same secret; give both the same",
    ),
    "both: another certificate": Case(
        pinned(secret=SECRET), pinned(pair("other"), SECRET), *both("it is not the one that the other end has; without a cafile")
    ),
    "both: the client has no secret": Case(
        pinned(),
        pinned(secret=SECRET),
        "and this end do not prove themselves alike: start both with --insecure, or neither; give both a secret, or neither",
        r"and this end do not prove themselves alike \(it uses a certificate, this end a secret and a certificate\): start both",
    ),
    "both: the node has no secret": Case(
        pinned(secret=SECRET),
        pinned(),
        "and this end do not prove themselves alike: start both with --insecure, or neither; give both a secret, or neither",
        r"and this end do not prove themselves alike \(it uses a secret and a certificate, this end a certificate\): start both",
    ),
    "both: the client has the secret only": Case(SECRET, pinned(secret=SECRET), *of_client("there is none; give both ends one")),
    "both: the node has the secret only": Case(pinned(secret=SECRET), SECRET, *of_node("there is none; give both ends one")),
    # Ends of another make, which refuse in TLS itself. The client learns of it when it reads for the first time.
    "TLS: no authority": Case(
        pinned(), pinned(), "refuses the certificate of this end: no authority in the other end's cafile has issued it; get", "", node=by_openssl
    ),
    "TLS: no certificate": Case(SECRET, SECRET, "refuses the certificate of this end: there is none; give both", "", node=by_openssl),
    "TLS: no authority, says the client": Case(
        pinned(), pinned(), "", "refuses the certificate of this end: no authority in the other end's cafile has issued it; get", client=by_openssl
    ),
}


class Certificates(SynchronousTestCase):
    """Two ends under TLS."""

    def meet(
        self,
        dialling: Credential,
        dialled: Credential,
        roles: tuple[str, str] = ("client", "node"),
        host: str = "node.example",
        **alter: Alter | None,
    ) -> tuple[End, End, TlsPair, list[str]]:
        """Both ends, how they have met, and what the node has warned of."""
        client, node = End(dialling, CLIENT_UID, roles[0]), End(dialled, NODE_UID, roles[1])
        pair = TlsPair(client, node, host, **alter)
        with capturedLogs() as logged:
            pair.run()
        return client, node, pair, [str(event["error"]) for event in logged if event["log_level"] >= LogLevel.warn]

    def opens(self, dialling: Credential, dialled: Credential, host: str = "node.example") -> None:
        """Both have a link, and AMP runs both ways."""
        client, node, pair, warned = self.meet(dialling, dialled, host=host)
        self.assertEqual((1, 1, []), (client.answers, node.answers, warned), pair.outcome)
        self.assertEqual(Peer(NODE_UID, "node", "127.0.0.1", 51348), client.links[0].peer)
        self.assertEqual(Peer(CLIENT_UID, "client", "127.0.0.1", 40000, True), node.links[0].peer)
        self.assertEqual(0, pair.factory.strangers)

    def refused(self, case: Case) -> None:
        """Neither has a link, no byte was taken for AMP, and both say what failed, with whom, and what to do, in one line."""
        client, node, pair, warned = self.meet(
            case.dialling, case.dialled, (case.client_role, case.node_role), client=case.client, node=case.node
        )
        self.assertEqual(([], [], 0), (client.links, node.links, pair.factory.strangers))
        self.assertTrue(pair.from_client.disconnected and pair.from_node.disconnected)
        self.assertEqual([], pair.clock.getDelayedCalls())
        self.assert_said(case.client_says, AT_NODE, [str(each) for each in pair.outcome if isinstance(each, AuthError)])
        self.assert_said(case.node_says, AT_CLIENT, warned)

    def assert_said(self, expected: str, where: str, said: list[str]) -> None:
        if not expected:
            return
        (text,) = said
        self.assertRegex(text, re.escape(where))
        self.assertRegex(re.sub(f" ?{re.escape(where)}", "", text).strip(), f"^{expected}")
        self.assertNotIn("\n", text)


class Opening(Certificates):
    """Two ends that get on."""

    def test_pair(self) -> None:
        """The same pair at both ends, read from copies or not."""
        self.opens(pinned(), pinned())
        self.opens(pinned(), pinned(attrs.evolve(pair())))

    def test_authority(self) -> None:
        """By role, by host name, by address; with others between."""
        between = issue(by=authority(), authority=True)
        by_another = Certified(issue("dispytw:node", by=between).as_certificate(authority(), chain=(between,)))
        for dialled in (NODE_OF_OURS, under_authority("node.example"), by_another):
            self.opens(CLIENT_OF_OURS, dialled)
        self.opens(CLIENT_OF_OURS, under_authority("10.0.0.7"), host="10.0.0.7")

    def test_two_authorities(self) -> None:
        """Programs and nodes may have different ones; each end has the other's cafile."""
        programs, nodes = authority("programs"), authority("nodes")
        client = Certified(issue("dispytw:client", by=programs).as_certificate(nodes))
        node = Certified(issue("dispytw:node", by=nodes).as_certificate(programs))
        self.opens(client, node)

    def test_secret_and_certificate(self) -> None:
        """Both pass."""
        self.opens(pinned(secret=SECRET), pinned(secret=SECRET))
        for end in (CLIENT_OF_OURS, NODE_OF_OURS):
            assert isinstance(end, Certified)
        self.opens(attrs.evolve(CLIENT_OF_OURS, secret=SECRET), attrs.evolve(NODE_OF_OURS, secret=SECRET))  # type: ignore[type-var]


class TurningAway(SynchronousTestCase):
    """What becomes of a stranger whose certificate is not fit."""

    def setUp(self) -> None:
        self.patch(doorway, "shown", lambda transport: [])
        self.clock = MemoryReactorClock()
        self.transport = Keeping()
        self.said: list[bytes] = []
        self.transport.write = self.said.append  # type: ignore[method-assign]
        end = End(pinned(), NODE_UID, "node")
        self.stranger = DoorwayServerFactory(self.clock, **end.identity).buildProtocol(None)
        self.stranger.makeConnection(self.transport)
        self.stranger.handshakeCompleted()

    def test_he_is_told(self) -> None:
        """Once, why; and is not waited for as one who may still become a link."""
        self.stranger.handshakeCompleted()
        self.assertEqual([refusal(Reason.NO_CERTIFICATE)], self.said)
        self.assertFalse(self.stranger.has_spoken())

    def test_he_is_silent(self) -> None:
        """He is left alone as long as anybody who is silent."""
        self.clock.advance(PATIENCE - 0.1)
        self.assertEqual([], self.transport.told)
        self.clock.advance(0.1)
        self.assertEqual(["abort"], self.transport.told)

    def test_he_goes_on_talking(self) -> None:
        """He is answered nothing, and the more he says the less he stays: a second from the first word."""
        hello = Greeting(True, pinned(), CLIENT_UID, "client", b"e" * 32).start()
        for _ in range(10):
            self.stranger.dataReceived(hello)
            self.clock.advance(FAREWELL / 10 + 0.001)
        self.assertEqual((["lose", "abort"], 1), (self.transport.told, len(self.said)))


class Refusing(Certificates):
    """Two ends that do not: a test for each case of the table, made below."""

    def test_every_reason(self) -> None:
        """The table has each reason that has to do with certificates; the numbers travel and stay."""
        numbers = {reason.name: int(reason) for reason in Reason if reason >= 7}
        self.assertEqual(
            {"NO_CERTIFICATE": 7, "EXPIRED": 8, "TOO_EARLY": 9, "OTHER_CERTIFICATE": 10, "OTHER_AUTHORITY": 11, "OTHER_NAME": 12}
            | {"UNFIT": 13, "NO_KEY": 14, "OLD_TLS": 15},
            numbers,
        )


def _test_of(name: str, case: Case) -> Any:
    def test(self: Refusing) -> None:
        self.refused(case)

    test.__doc__ = f"{name[:1].upper()}{name[1:]}."
    return test


for _name, _case in CASES.items():
    setattr(Refusing, "test_" + re.sub(r"\W+", "_", _name), _test_of(_name, _case))
