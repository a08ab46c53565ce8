"""What discovery says, what it answers, what it believes; and what whoever wants to abuse it gets."""

from __future__ import annotations

import unittest

import attrs
from hypothesis import given
from hypothesis import strategies as st

from dispytw.discovery.beacon import (
    ANSWERS,
    EXPECTED,
    HINTS,
    LONGEST_NAME,
    MOST_ADDRESSES,
    MOST_QUESTIONS,
    SIZE,
    TOKEN,
    UID,
    Allowance,
    Answering,
    Hearing,
    Presence,
    Question,
    packed,
    parsed,
)

EVERY_PYTHON = False

TOKEN_A, TOKEN_B = b"a" * TOKEN, b"b" * TOKEN
NODE = Presence(b"n" * UID, 51348, "node7")
QUESTION = packed(Question(TOKEN_A))

tokens = st.binary(min_size=TOKEN, max_size=TOKEN)
presences = st.builds(
    Presence,
    st.binary(min_size=UID, max_size=UID),
    st.integers(1, 65535),
    st.text(st.characters(categories=("L", "N", "P")), max_size=LONGEST_NAME // 4),
    st.none() | tokens,
)
datagrams = st.builds(Question, tokens) | presences


def meddled(data: bytes, place: int, byte: int) -> bytes:
    """The bytes with one of them changed."""
    return data[:place] + bytes([byte]) + data[place + 1 :]


#: What may arrive: noise, ours, and ours after somebody has meddled with it.
arrivals = (
    st.binary(max_size=SIZE * 3)
    | st.binary(min_size=SIZE, max_size=SIZE)
    | datagrams.map(packed)
    | st.builds(meddled, datagrams.map(packed), st.integers(0, SIZE - 1), st.integers(0, 255))
    | st.builds(lambda data, length: data[:length], datagrams.map(packed), st.integers(0, SIZE))
)


class Datagrams(unittest.TestCase):
    """Bytes."""

    @given(datagrams)
    def test_there_and_back(self, datagram: Question | Presence) -> None:
        """What was said is what is understood, and all of it has one length."""
        self.assertEqual(SIZE, len(packed(datagram)))
        self.assertEqual(datagram, parsed(packed(datagram)))

    @given(arrivals)
    def test_anything(self, data: bytes) -> None:
        """Whatever arrives raises nothing; and there is one way only to say anything."""
        datagram = parsed(data)
        if datagram is not None:
            self.assertEqual(data, packed(datagram))

    def test_no_more_than_512_bytes(self) -> None:
        """Nobody has to put a datagram together from pieces."""
        self.assertLessEqual(SIZE, 512)

    def test_the_question_in_bytes(self) -> None:
        """As the docs have it; what it says first never changes."""
        self.assertEqual(b"dispytw\0\x01\x01" + TOKEN_A + bytes(SIZE - 18), QUESTION)

    def test_the_answer_in_bytes(self) -> None:
        """Head, uid, port, name."""
        said = b"dispytw\0\x01\x02" + TOKEN_A + b"n" * 16 + b"\xc8\x94\x05node7"
        self.assertEqual(said.ljust(SIZE, b"\0"), packed(attrs.evolve(NODE, token=TOKEN_A)))
        self.assertEqual(b"\x03" + bytes(TOKEN), packed(NODE)[9:18])

    def test_what_is_none_of_ours(self) -> None:
        """Too short, too long, another format, another kind, more than it may say, or no port."""
        for wrong in (
            b"",
            QUESTION[:-1],
            QUESTION + b"\0",
            meddled(QUESTION, 0, 0),
            meddled(QUESTION, 8, 2),
            meddled(QUESTION, 9, 4),
            meddled(QUESTION, SIZE - 1, 1),
            meddled(packed(NODE), SIZE - 1, 1),
            meddled(packed(NODE), 36, LONGEST_NAME + 1),
            meddled(packed(NODE), 37, 0xFF),
            meddled(packed(NODE), 37, 0x1B),
            meddled(packed(NODE), 10, 1),
            packed(attrs.evolve(NODE, port=0)),
        ):
            self.assertIsNone(parsed(wrong), wrong[:40])

    def test_names(self) -> None:
        """A long name is cut between characters; nothing in it can move a terminal's cursor."""
        for name, said in (
            ("n" * 300, "n" * LONGEST_NAME),
            ("x" + "é" * 150, "x" + "é" * 99),
            ("a\x1b[2Jb\n", "a?[2Jb?"),
            ("\udcff", "?"),
            ("", ""),
        ):
            datagram = parsed(packed(attrs.evolve(NODE, name=name)))
            assert isinstance(datagram, Presence)
            self.assertEqual(said, datagram.name)


class Allowing(unittest.TestCase):
    """So many at once, so many a second."""

    def test_one_and_all(self) -> None:
        """Each address has its bound, and all have one together."""
        allowance = Allowance((1.0, 2.0, 10.0, 5.0), 0.0)
        self.assertEqual(2, sum(allowance.admits("10.0.0.1", 0.0) for _ in range(9)))
        self.assertEqual(3, sum(allowance.admits(f"10.0.0.{i}", 0.0) for i in range(2, 9)))
        self.assertTrue(allowance.admits("10.0.0.9", 0.1))

    def test_memory(self) -> None:
        """However many addresses there are, so many are remembered."""
        allowance = Allowance(ANSWERS, 0.0)
        for i in range(2 * MOST_ADDRESSES):
            allowance.admits(f"10.0.{i // 256}.{i % 256}", 0.0)
        self.assertEqual(MOST_ADDRESSES, len(allowance._addresses))


class AtTheNode(unittest.TestCase):
    """What a node answers."""

    def setUp(self) -> None:
        self.answering = Answering(0.0)

    def answer(self, data: bytes, host: str = "10.0.0.1", now: float = 0.0) -> bytes | None:
        """The answer."""
        return self.answering.heard(data, host, NODE, now)

    def test_a_question(self) -> None:
        """Is answered with the token it came with."""
        self.assertEqual(packed(attrs.evolve(NODE, token=TOKEN_A)), self.answer(QUESTION))
        self.assertEqual((1, 0, 0), (self.answering.answered, self.answering.refused, self.answering.dropped))

    def test_anything_else(self) -> None:
        """Is counted, and gets no answer: two nodes never get into a conversation."""
        for data in (b"", b"x" * SIZE, packed(NODE), packed(attrs.evolve(NODE, token=TOKEN_A))):
            self.assertIsNone(self.answer(data))
        self.assertEqual((0, 0, 4), (self.answering.answered, self.answering.refused, self.answering.dropped))

    @given(st.lists(st.tuples(arrivals, st.sampled_from(["10.0.0.1", "10.0.0.2", "127.0.0.1", "::1", "no address"]))))
    def test_nothing_grows(self, history: list[tuple[bytes, str]]) -> None:
        """No answer is longer than what it answers, and nothing raises."""
        answering = Answering(0.0)
        for data, host in history:
            answer = answering.heard(data, host, NODE, 0.0)
            self.assertLessEqual(len(answer or b""), len(data))
        self.assertEqual(len(history), answering.answered + answering.refused + answering.dropped)

    def test_a_flood_from_one_address(self) -> None:
        """Gets its burst, then ten answers a second; others are answered all the time."""
        rate, burst = ANSWERS[:2]
        answers = sum(self.answer(QUESTION, now=i / 1000) is not None for i in range(10_000))
        self.assertLessEqual(answers, burst + 10 * rate)
        self.assertIsNotNone(self.answer(QUESTION, "10.0.0.2", 10.0))

    def test_a_flood_from_everywhere(self) -> None:
        """Invented addresses get no more in all than the bound for all."""
        answers = sum(self.answer(QUESTION, f"10.{i % 200}.{i // 200}.7", i / 1000) is not None for i in range(10_000))
        self.assertLessEqual(answers, ANSWERS[3] + 10 * ANSWERS[2] + 1)
        self.assertEqual(10_000, answers + self.answering.refused)

    def test_nonsense_costs_good_askers_nothing(self) -> None:
        """What is not a question takes no token."""
        for _ in range(10_000):
            self.answer(b"x" * SIZE)
        self.assertIsNotNone(self.answer(QUESTION))


class AtTheClient(unittest.TestCase):
    """What a client believes."""

    def setUp(self) -> None:
        self.hearing = Hearing(0.0)
        self.hearing.asked(TOKEN_A, 51348, 0.0)

    def hear(self, presence: Presence, now: float = 0.0, announced_at: int | None = None, host: str = "10.0.0.7") -> int | None:
        """The port at which the node answers, if it is believed."""
        hint = self.hearing.heard(packed(presence), host, now, announced_at)
        return hint and hint[1]

    def test_asking(self) -> None:
        """The question's bytes."""
        self.assertEqual(packed(Question(TOKEN_B)), self.hearing.asked(TOKEN_B, 5, 0.0))

    def test_an_answer(self) -> None:
        """To a question of ours, with the port at which that was asked; for a minute."""
        answer = attrs.evolve(NODE, port=7, token=TOKEN_A)
        self.assertEqual((answer, 51348), self.hearing.heard(packed(answer), "10.0.0.7", EXPECTED))
        self.assertIsNone(self.hear(answer, EXPECTED + 0.1))

    def test_an_answer_to_nobody(self) -> None:
        """Without our token it is no answer: who has not heard the question cannot make one up."""
        self.assertIsNone(self.hear(attrs.evolve(NODE, token=TOKEN_B)))
        self.assertEqual(1, self.hearing.dropped)

    def test_an_answer_played_again(self) -> None:
        """When its question is forgotten it means nothing any more."""
        answer = attrs.evolve(NODE, token=TOKEN_A)
        self.assertEqual(51348, self.hear(answer))
        for i in range(MOST_QUESTIONS):
            self.hearing.asked(i.to_bytes(TOKEN, "big"), 51348, 1.0)
        self.assertIsNone(self.hear(answer, 1.0))
        self.assertEqual(MOST_QUESTIONS, len(self.hearing._questions))

    def test_an_announcement(self) -> None:
        """Counts where announcements come, and nowhere else; an answer does not count there."""
        self.assertEqual(51348, self.hear(NODE, announced_at=51348))
        self.assertIsNone(self.hear(NODE))
        self.assertIsNone(self.hear(attrs.evolve(NODE, token=TOKEN_A), announced_at=51348))

    def test_no_hints(self) -> None:
        """Questions of others and nonsense are dropped."""
        for data in (QUESTION, b"", b"x" * SIZE):
            self.assertIsNone(self.hearing.heard(data, "10.0.0.7", 0.0))
            self.assertIsNone(self.hearing.heard(data, "10.0.0.7", 0.0, 51348))
        self.assertEqual(6, self.hearing.dropped)

    @given(st.lists(st.tuples(arrivals, st.none() | st.just(51348))))
    def test_anything(self, history: list[tuple[bytes, int | None]]) -> None:
        """Whatever arrives raises nothing."""
        hearing = Hearing(0.0)
        for data, announced_at in history:
            hearing.heard(data, "10.0.0.7", 0.0, announced_at)

    def test_a_flood(self) -> None:
        """One address is looked at so many times a second, and a thousand nodes that answer at once are all heard."""
        hints = sum(self.hear(NODE, i / 1000, 51348) is not None for i in range(10_000))
        self.assertLessEqual(hints, HINTS[1] + 10 * HINTS[0])
        self.assertEqual(10_000, hints + self.hearing.refused)
        answer = attrs.evolve(NODE, token=TOKEN_A)
        self.assertEqual(1000, sum(self.hear(answer, 10.0, host=f"10.0.{i // 250}.{i % 250}") is not None for i in range(1000)))
