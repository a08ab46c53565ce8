"""The greeting opens between two ends that hold the same secret, and in no other case."""

from __future__ import annotations

import copy
import itertools
import random
import unittest
from collections.abc import Callable
from unittest import mock

import attrs

from dispytw.wire import WIRE_VERSION, greeting
from dispytw.wire.credentials import INSECURE, Certified, Credential, Secret
from dispytw.wire.greeting import FRAME, MAGIC, Greeting, Opened, Reason, Refused, Result, refusal
from tests.wire.certifying import pair

SECRET = Secret(b"k" * 32)
CERTIFIED = Certified(pair().as_certificate())
BOTH = attrs.evolve(CERTIFIED, secret=SECRET)
CLIENT, NODE = b"c" * 16, b"n" * 16
EXPORTER = b"e" * 32

Frames = list[bytes]


def client(credential: Credential = SECRET, exporter: bytes = EXPORTER, uid: bytes = CLIENT, role: str = "client") -> Greeting:
    """An end that dials."""
    return Greeting(True, credential, uid, role, exporter)


def node(credential: Credential = SECRET, exporter: bytes = EXPORTER, uid: bytes = NODE, role: str = "node") -> Greeting:
    """An end that is dialled."""
    return Greeting(False, credential, uid, role, exporter)


def twin(end: Greeting) -> Greeting:
    """The same end at the same point, to go another way from here."""
    other = copy.copy(end)
    other._pake = copy.copy(end._pake)
    return other


def talk(dialling: Greeting, dialled: Greeting) -> tuple[Result, Result]:
    """Both ends' results, when nothing goes astray."""
    results: dict[Greeting, Result] = {dialling: None, dialled: None}
    sent, speaker, listener = dialling.start(), dialling, dialled
    while sent:
        sent, result = listener.receive(sent)
        results[listener] = results[listener] or result
        speaker, listener = listener, speaker
    return results[dialling], results[dialled]


def rechecked(frame: bytes) -> bytes:
    """The frame with the checksum that its bytes ask for: what somebody clever would send."""
    return frame[:-16] + greeting._checksum(frame[:-16])


class Conversation:
    """An honest greeting, taken apart: each frame, and who was about to receive it."""

    def __init__(self, credential: Credential) -> None:
        dialling, dialled = client(credential), node(credential)
        self.receivers: list[Greeting] = []
        self.frames: Frames = [dialling.start()]
        for receiver in (dialled, dialling, dialled, dialling):
            self.receivers.append(twin(receiver))
            answer, self.result = receiver.receive(self.frames[-1])
            self.frames.append(answer)
        self.last = self.frames.pop()


class Opening(unittest.TestCase):
    """Who opens."""

    def test_the_same_secret_opens(self) -> None:
        """Both learn the other's uid and role."""
        at_client, at_node = talk(client(), node())
        self.assertEqual(Opened(NODE, "node", b""), at_client)
        self.assertEqual(Opened(CLIENT, "client", b""), at_node)

    def test_insecure_opens(self) -> None:
        """Without a secret on either side the same words are exchanged."""
        at_client, at_node = talk(client(INSECURE, b""), node(INSECURE, b""))
        self.assertEqual((Opened(NODE, "node", b""), Opened(CLIENT, "client", b"")), (at_client, at_node))

    def test_a_certificate_opens(self) -> None:
        """Alone or beside a secret, on the same TLS connection; that it is fit has been found before."""
        for credential in (CERTIFIED, BOTH):
            self.assertEqual((Opened(NODE, "node", b""), Opened(CLIENT, "client", b"")), talk(client(credential), node(credential)))

    def test_every_role(self) -> None:
        """Each role arrives as itself."""
        for role in greeting.ROLES:
            at_client, at_node = talk(client(INSECURE, role=role), node(INSECURE, role=role))
            self.assertEqual((role, role), (at_client.role, at_node.role))  # type: ignore[union-attr]

    def test_in_single_bytes(self) -> None:
        """However the bytes arrive, the greeting ends with the last of them."""
        dialling, dialled = client(), node()
        sent, listener, speaker = dialling.start(), dialled, dialling
        results = []
        while sent:
            answers = [listener.receive(sent[i : i + 1]) for i in range(len(sent))]
            self.assertTrue(all(answer == (b"", None) for answer in answers[:-1]))
            sent = answers[-1][0]
            results.append(answers[-1][1])
            speaker, listener = listener, speaker
        self.assertEqual([None, None, Opened, Opened], [result and type(result) for result in results])

    def test_what_follows_is_handed_on(self) -> None:
        """Bytes after the last frame belong to the link."""
        conversation = Conversation(SECRET)
        _, result = conversation.receivers[3].receive(conversation.frames[3] + b"box")
        self.assertEqual(Opened(NODE, "node", b"box"), result)

    def test_nothing_after_the_end(self) -> None:
        """A greeting that is over says no more, whatever comes."""
        dialled = node()
        dialled.receive(b"GET / HTTP/1.1\r\n")
        self.assertEqual((b"", None), dialled.receive(client().start()))

    def test_the_wire_is_fixed(self) -> None:
        """Frames have one size, and begin with magic and version, which never change."""
        for frame in [*Conversation(SECRET).frames, *Conversation(INSECURE).frames, refusal(Reason.BUSY)]:
            self.assertEqual(FRAME, len(frame))
            self.assertEqual(b"dispyT" + WIRE_VERSION.to_bytes(2, "big"), frame[:8])

    def test_no_two_alike(self) -> None:
        """Words of one greeting are of no use in another."""
        first, second = Conversation(SECRET), Conversation(SECRET)
        for one, other in zip(first.frames, second.frames):
            self.assertNotEqual(one, other)
        self.assertEqual(Refused(Reason.SECRET), second.receivers[2].receive(first.frames[2])[1])


class Refusing(unittest.TestCase):
    """Who does not open, and what each end says."""

    def refused(self, dialling: Greeting, dialled: Greeting) -> tuple[Refused, Refused]:
        """Both ends' refusals."""
        at_client, at_node = talk(dialling, dialled)
        assert isinstance(at_client, Refused) and isinstance(at_node, Refused)
        return at_client, at_node

    def test_another_secret(self) -> None:
        """The acceptor finds out first, and says so."""
        at_client, at_node = self.refused(client(Secret(b"x" * 32)), node())
        self.assertEqual((Refused(Reason.SECRET, by_peer=True), Refused(Reason.SECRET)), (at_client, at_node))

    def test_another_tls_connection(self) -> None:
        """The same secret on two connections: somebody stands between."""
        at_client, at_node = self.refused(client(exporter=b"1" * 32), node(exporter=b"2" * 32))
        self.assertEqual((Reason.SECRET, Reason.SECRET), (at_client.reason, at_node.reason))

    def test_secret_and_none(self) -> None:
        """One end with a secret, a certificate, both or neither, and one with something else."""
        for one, other in itertools.permutations((SECRET, INSECURE, CERTIFIED, BOTH), 2):
            at_client, at_node = self.refused(client(one), node(other))
            self.assertEqual((Refused(Reason.MODE, by_peer=True), Refused(Reason.MODE)), (at_client, at_node))

    def test_another_tls_connection_under_certificates(self) -> None:
        """The same: what an end hears must have been said on its own connection."""
        for credential, reason in ((CERTIFIED, Reason.NONSENSE), (BOTH, Reason.SECRET)):
            dialling, dialled = client(credential, exporter=b"1" * 32), node(credential, exporter=b"2" * 32)
            self.assertEqual(Refused(reason), talk(dialling, dialled)[1])

    def test_another_secret_beside_a_certificate(self) -> None:
        """Both must pass."""
        at_client, at_node = self.refused(client(attrs.evolve(BOTH, secret=Secret(b"x" * 32))), node(BOTH))
        self.assertEqual((Refused(Reason.SECRET, by_peer=True), Refused(Reason.SECRET)), (at_client, at_node))

    def test_a_role_that_is_not_its(self) -> None:
        """Either end may be told that the other speaks in a role that its certificate is not for; nothing costly is computed."""
        dialled = Greeting(False, BOTH, NODE, "node", EXPORTER, admit=lambda role: Reason.OTHER_NAME if role == "client" else None)
        with mock.patch.object(greeting, "SPAKE2_B", side_effect=AssertionError("it has computed")):
            told, result = dialled.receive((dialling := client(BOTH)).start())
        self.assertEqual(Refused(Reason.OTHER_NAME), result)
        self.assertEqual("it is not for a client, as which it speaks", result.detail)  # type: ignore[union-attr]
        self.assertEqual(Refused(Reason.OTHER_NAME, by_peer=True), dialling.receive(told)[1])
        strict = Greeting(True, CERTIFIED, CLIENT, "client", EXPORTER, admit=lambda role: Reason.OTHER_NAME)
        answer, _ = node(CERTIFIED).receive(strict.start())
        self.assertEqual((refusal(Reason.OTHER_NAME), Refused(Reason.OTHER_NAME)), strict.receive(answer))

    def test_refused_before_a_hello(self) -> None:
        """An end that has found the other's certificate unfit says so instead of its hello."""
        self.assertEqual((b"", Refused(Reason.EXPIRED, by_peer=True)), node(CERTIFIED).receive(refusal(Reason.EXPIRED)))

    def test_another_version(self) -> None:
        """Both ends learn the other's version, whatever its frames look like after the first eight bytes."""
        theirs = MAGIC + (7).to_bytes(2, "big")
        told, result = node().receive(theirs)
        self.assertEqual((refusal(Reason.VERSION), Refused(Reason.VERSION, version=7)), (told, result))
        with mock.patch.object(greeting, "WIRE_VERSION", 7):
            newer = client()
            newer.start()
            self.assertEqual(Refused(Reason.VERSION, version=WIRE_VERSION), newer.receive(told)[1])

    def test_too_many(self) -> None:
        """An acceptor that has no time says so before it computes anything."""
        dialled = Greeting(False, SECRET, NODE, "node", EXPORTER, admit=lambda role: Reason.BUSY)
        dialling = client()
        with mock.patch.object(greeting, "SPAKE2_B", side_effect=AssertionError("it has computed")):
            told, result = dialled.receive(dialling.start())
        self.assertEqual(Refused(Reason.BUSY), result)
        self.assertEqual(Refused(Reason.BUSY, by_peer=True), dialling.receive(told)[1])

    def test_asks_once_and_only_for_a_whole_hello(self) -> None:
        """A token is taken for a whole valid hello, not for part of one, nor for nonsense."""
        asked: list[str] = []

        def admit(role: str) -> None:
            asked.append(role)

        dialling = client()
        hello = dialling.start()
        Greeting(False, SECRET, NODE, "node", EXPORTER, admit).receive(hello[:-1])
        Greeting(False, SECRET, NODE, "node", EXPORTER, admit).receive(hello[:-1] + b"?")
        self.assertEqual([], asked)
        dialled = Greeting(False, SECRET, NODE, "node", EXPORTER, admit)
        proof, _ = dialling.receive(dialled.receive(hello)[0])
        dialled.receive(proof)
        self.assertEqual(["client"], asked)

    def test_other_programs(self) -> None:
        """What other programs say ends it without an answer; TLS where none is spoken is known as such."""
        for said in (b"GET / HTTP/1.1\r\n", b"\0" * 200, b"SSH-2.0-", b"dispyX", b"d\n"):
            self.assertEqual((b"", Refused(Reason.NONSENSE)), node().receive(said))
        self.assertEqual((b"", Refused(Reason.MODE)), node(INSECURE).receive(b"\x16\x03\x01\x02\x00\x01"))

    def test_random_bytes(self) -> None:
        """A thousand strangers who say anything at all, some behind a good beginning, are refused."""
        chance = random.Random(5)
        beginnings = (b"", MAGIC, MAGIC + b"\0\1", MAGIC + b"\0\1HI", MAGIC + b"\0\1PI", MAGIC + b"\0\1RA")
        for _ in range(1000):
            said = chance.choice(beginnings)
            said += chance.randbytes(FRAME - len(said))
            for frame in (said, rechecked(said)):
                self.assertIsInstance(node().receive(frame)[1], Refused)

    def test_whatever_the_pake_raises(self) -> None:
        """Any exception from SPAKE2 is a refusal, at both ends."""
        conversation = Conversation(SECRET)
        for turn, pake in enumerate((greeting.SPAKE2_B, greeting.SPAKE2_A)):
            with mock.patch.object(pake, "finish", side_effect=RecursionError("deep")):
                _, result = conversation.receivers[turn].receive(conversation.frames[turn])
            self.assertEqual(Refused(Reason.SECRET), result)

    def test_points_that_are_none(self) -> None:
        """A message that is no point of the curve, or one of small order, is a wrong secret."""
        hello = client().start()
        for point in (b"\xff" * 32, b"\0" * 32, (1).to_bytes(32, "little"), b"\xec" + b"\xff" * 30 + b"\x7f"):
            for side in (b"A", b"B", b"?"):
                forged = rechecked(hello[:28] + side + point + hello[61:])
                self.assertEqual(Refused(Reason.SECRET), node().receive(forged)[1])

    def test_a_refusal_is_only_a_hint(self) -> None:
        """A garbled one, or one with a reason from the future, is nonsense; a greeting never opens by one."""
        dialling = client()
        dialling.start()
        future = rechecked(refusal(Reason.SECRET)[:10] + b"\xee" + refusal(Reason.SECRET)[11:])
        self.assertEqual((b"", Refused(Reason.NONSENSE, by_peer=True)), twin(dialling).receive(future))
        for reason in Reason:
            self.assertEqual((b"", Refused(reason, by_peer=True)), twin(dialling).receive(refusal(reason)))

    def test_out_of_turn(self) -> None:
        """A proof before a hello, a hello for a proof."""
        conversation = Conversation(SECRET)
        self.assertEqual(Refused(Reason.NONSENSE), node().receive(conversation.frames[2])[1])
        self.assertEqual(Refused(Reason.NONSENSE), twin(conversation.receivers[2]).receive(conversation.frames[0])[1])
        self.assertEqual(Refused(Reason.NONSENSE), twin(conversation.receivers[3]).receive(conversation.frames[1])[1])


class Reflecting(unittest.TestCase):
    """Our own words, sent back to us, prove nothing."""

    def reflect(self, hello: Callable[[bytes], bytes]) -> Result:
        """What an initiator makes of its own hello, doctored."""
        dialling = client()
        proof, result = dialling.receive(rechecked(hello(dialling.start())))
        return result if result is not None else dialling.receive(proof)[1]

    def test_word_for_word(self) -> None:
        """As it is."""
        self.assertEqual(Refused(Reason.REFLECTED), self.reflect(lambda hello: hello))

    def test_with_the_other_side(self) -> None:
        """Changed to say that the acceptor sent it: the uid is still ours."""
        self.assertEqual(Refused(Reason.REFLECTED), self.reflect(lambda hello: hello[:9] + b"A" + hello[10:]))

    def test_with_another_uid(self) -> None:
        """And with another uid: SPAKE2 knows which side spoke."""
        self.assertEqual(
            Refused(Reason.SECRET), self.reflect(lambda hello: hello[:9] + b"A" + hello[10:12] + NODE + hello[28:])
        )

    def test_with_the_other_side_of_the_pake(self) -> None:
        """And with the other side in the SPAKE2 message: it knows its own element."""
        self.assertEqual(
            Refused(Reason.SECRET),
            self.reflect(lambda hello: hello[:9] + b"A" + hello[10:12] + NODE + b"B" + hello[29:]),
        )

    def test_a_proof(self) -> None:
        """The initiator's proof, sent back to it as the acceptor's."""
        conversation = Conversation(SECRET)
        mine = conversation.frames[2]
        self.assertEqual(Refused(Reason.REFLECTED), twin(conversation.receivers[3]).receive(mine)[1])
        doctored = rechecked(mine[:9] + b"A" + mine[10:])
        self.assertEqual(Refused(Reason.SECRET), twin(conversation.receivers[3]).receive(doctored)[1])

    def test_ourselves(self) -> None:
        """A process that dials itself finds its own uid."""
        at_client, at_node = talk(client(uid=NODE), node())
        self.assertEqual((Refused(Reason.REFLECTED, by_peer=True), Refused(Reason.REFLECTED)), (at_client, at_node))


class Damage(unittest.TestCase):
    """Who misses a byte, or gets a wrong one, never opens."""

    def test_cut_at_every_byte(self) -> None:
        """Whoever misses even the last byte of a frame waits, and has said nothing."""
        for credential in (SECRET, INSECURE):
            conversation = Conversation(credential)
            for receiver, frame in zip(conversation.receivers, conversation.frames):
                for length in range(FRAME):
                    self.assertEqual((b"", None), twin(receiver).receive(frame[:length]))

    def test_every_byte_garbled(self) -> None:
        """One mask for each position, drawn from a seed: the receiver refuses at once."""
        chance = random.Random(1)
        for credential in (SECRET, INSECURE):
            conversation = Conversation(credential)
            for receiver, frame in zip(conversation.receivers, conversation.frames):
                for position in range(FRAME):
                    garbled = bytearray(frame)
                    garbled[position] ^= chance.randrange(1, 256)
                    self.assertIsInstance(twin(receiver).receive(bytes(garbled))[1], Refused, position)

    def test_every_byte_forged(self) -> None:
        """The same with the checksum made good again: with a secret nobody opens, at whichever end it is noticed."""
        chance = random.Random(2)
        conversation = Conversation(SECRET)
        for turn, frame in enumerate(conversation.frames):
            for position in range(8, FRAME - 16):
                forged = bytearray(frame)
                forged[position] ^= chance.randrange(1, 256)
                receiver = twin(conversation.receivers[turn])
                answer, result = receiver.receive(rechecked(bytes(forged)))
                if result is None:
                    result = self.believed(conversation, turn, receiver, answer)
                self.assertIsInstance(result, Refused, (turn, position))

    def believed(self, conversation: Conversation, turn: int, receiver: Greeting, answer: bytes) -> Result:
        """How it ends at the acceptor when the receiver of a forged hello has answered it."""
        if turn == 1:
            return twin(conversation.receivers[2]).receive(answer)[1]
        self.assertEqual(0, turn, "only a hello can be answered")
        proof, result = twin(conversation.receivers[1]).receive(answer)
        self.assertIsNone(result)
        return receiver.receive(proof)[1]
