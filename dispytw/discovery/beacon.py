"""What discovery says and believes. Pure; ``now`` is monotonic seconds.

A datagram has 256 bytes, whatever it says: magic (8), format (1), kind (1), token (8); of a node also uid (16), TCP port (2), length of
its name (1) and name (UTF-8, at most 200); then zeros. Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Union

import attrs

from dispytw.wire.admission import Bucket, neighbourhood

#: Bytes of every datagram.
SIZE = 256
#: The first bytes, which never change, and what follows them in this format.
MAGIC = b"dispytw\0"
FORMAT = 1
TOKEN = 8
UID = 16
#: Bytes of the longest name.
LONGEST_NAME = 200

_QUESTION, _ANSWER, _ANNOUNCEMENT = 1, 2, 3
_HEAD = struct.Struct(f">{len(MAGIC)}sBB{TOKEN}s")
_NODE = struct.Struct(f">{UID}sHB")
_NO_TOKEN = bytes(TOKEN)

#: Answers a second, and at once: to one address, and in all.
ANSWERS = (10.0, 40.0, 50.0, 200.0)
#: Hints that a client looks at, likewise: a thousand nodes may answer one question.
HINTS = (20.0, 64.0, 500.0, 4096.0)
#: Addresses that are remembered, questions, and seconds for which an answer to one is expected.
MOST_ADDRESSES = 1024
MOST_QUESTIONS = 64
EXPECTED = 60.0


@attrs.frozen
class Question:
    """Which nodes are here?

    :param token: 8 random bytes, which answers repeat.
    """

    token: bytes


@attrs.frozen
class Presence:
    """A node is here, at the address that the datagram comes from.

    :param uid: its uid, 16 bytes.
    :param port: its TCP port.
    :param name: for people.
    :param token: the question's that it answers; None when nobody has asked.
    """

    uid: bytes
    port: int
    name: str
    token: bytes | None = None


Datagram = Union[Question, Presence]


def packed(datagram: Datagram) -> bytes:
    """A datagram's bytes; a name too long for it is cut, and what cannot be printed replaced."""
    if isinstance(datagram, Question):
        body = _HEAD.pack(MAGIC, FORMAT, _QUESTION, datagram.token)
    else:
        kind, token = (_ANNOUNCEMENT, _NO_TOKEN) if datagram.token is None else (_ANSWER, datagram.token)
        name = _fitting(datagram.name)
        body = _HEAD.pack(MAGIC, FORMAT, kind, token) + _NODE.pack(datagram.uid, datagram.port, len(name)) + name
    return body.ljust(SIZE, b"\0")


def _fitting(name: str) -> bytes:
    printable = "".join(each if each.isprintable() else "?" for each in name)
    return printable.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore").encode("utf-8")


def parsed(data: bytes) -> Datagram | None:
    """What a datagram says; None when it is none of ours, in whatever way."""
    if len(data) != SIZE:
        return None
    magic, form, kind, token = _HEAD.unpack_from(data)
    if magic != MAGIC or form != FORMAT:
        return None
    if kind == _QUESTION:
        return None if any(data[_HEAD.size :]) else Question(token)
    if kind == _ANSWER:
        return _presence(data, token)
    return _presence(data, None) if kind == _ANNOUNCEMENT and token == _NO_TOKEN else None


def _presence(data: bytes, token: bytes | None) -> Presence | None:
    uid, port, length = _NODE.unpack_from(data, _HEAD.size)
    begin = _HEAD.size + _NODE.size
    name, rest = data[begin : begin + length], data[begin + length :]
    if not port or length > LONGEST_NAME or any(rest):
        return None
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return Presence(uid, port, text, token) if text.isprintable() else None


class Allowance:
    """Token buckets, one for each address and one for all.

    :param rates: tokens a second and at once, for one address; then for all.
    :param now: the time at the start.
    """

    def __init__(self, rates: tuple[float, float, float, float], now: float) -> None:
        self._rate, self._burst, rate, burst = rates
        self._all = Bucket(rate, burst, burst, now)
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()

    def admits(self, host: str, now: float) -> bool:
        """Whether something from the address may be looked at now."""
        address = neighbourhood(host)
        bucket = self._addresses.get(address) or Bucket(self._rate, self._burst, self._burst, now)
        self._addresses[address] = bucket
        self._addresses.move_to_end(address)
        if len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        return bucket.take(now) and self._all.take(now)


class Answering:
    """What a node answers.

    :param now: the time at the start.
    :ivar answered: questions that were answered.
    :ivar refused: questions beyond the bound.
    :ivar dropped: datagrams that were no questions.
    """

    def __init__(self, now: float) -> None:
        self._allowance = Allowance(ANSWERS, now)
        self.answered = self.refused = self.dropped = 0

    def heard(self, data: bytes, host: str, presence: Presence, now: float) -> bytes | None:
        """The answer to a datagram from this address, or None for none."""
        datagram = parsed(data)
        if not isinstance(datagram, Question):
            self.dropped += 1
            return None
        if not self._allowance.admits(host, now):
            self.refused += 1
            return None
        self.answered += 1
        return packed(attrs.evolve(presence, token=datagram.token))


class Hearing:
    """What a client believes: answers to questions of its own, and announcements; so many a second.

    :param now: the time at the start.
    :ivar refused: hints beyond the bound.
    :ivar dropped: datagrams that were no hints, or answered no question.
    """

    def __init__(self, now: float) -> None:
        self._allowance = Allowance(HINTS, now)
        self._questions: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self.refused = self.dropped = 0

    def asked(self, token: bytes, port: int, now: float) -> bytes:
        """A question was asked at this port; its bytes."""
        self._questions[token] = (port, now)
        if len(self._questions) > MOST_QUESTIONS:
            self._questions.popitem(last=False)
        return packed(Question(token))

    def heard(self, data: bytes, host: str, now: float, announced_at: int | None = None) -> tuple[Presence, int] | None:
        """A hint that came from this address, with the UDP port of the node that gives it; or None.

        :param announced_at: that port where the datagram came to the place for announcements; None where answers come.
        """
        datagram = parsed(data)
        port = self._port_of(datagram, now, announced_at) if isinstance(datagram, Presence) else None
        if not isinstance(datagram, Presence) or port is None:
            self.dropped += 1
            return None
        if not self._allowance.admits(host, now):
            self.refused += 1
            return None
        return datagram, port

    def _port_of(self, presence: Presence, now: float, announced_at: int | None) -> int | None:
        if presence.token is None or announced_at is not None:
            return announced_at if presence.token is None else None
        port, asked = self._questions.get(presence.token, (None, 0.0))
        return port if now - asked <= EXPECTED else None
