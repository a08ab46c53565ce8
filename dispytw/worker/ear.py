"""The supervisor's ear: a socket at which its jobs say remarks, each over a connection of its own.

A remark gets its number here, goes to the daemon, and stays known until it is answered, so that the next daemon hears it too if there is
one; a connection that ends before takes its remark back. At most `MOST` connections are heard at a time: the others wait where they are.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

import attrs

from dispytw.errors import WireError
from dispytw.values import Attempt
from dispytw.wire.frames import Decoder, Frame, encode
from dispytw.wire.jobframes import REFUSED, Answer, Logged, Remark, Unsaid
from dispytw.worker import descriptors
from dispytw.worker.daemonlink import is_same_user, listening

#: Connections at a time.
MOST = 128
#: How the socket's name ends.
ENDING = ".ear"


@attrs.define(eq=False)
class _Speaker:
    connection: socket.socket
    decoder: Decoder = attrs.field(factory=Decoder)
    remark: Remark | None = None


@attrs.define(eq=False)
class Ear:
    """Hears the jobs of one supervisor.

    :param listener: a listening socket that does not block.
    :param watch: called with a socket and what to call when it can be read.
    :param tell: takes the frames meant for the daemon.
    :param is_running: whether an attempt may speak.
    """

    listener: socket.socket
    watch: Callable[[socket.socket, Callable[[], None]], None]
    unwatch: Callable[[socket.socket], None]
    tell: Callable[[Frame], None]
    is_running: Callable[[Attempt], bool]
    _speakers: set[_Speaker] = attrs.field(factory=set)
    _unanswered: dict[tuple[Attempt, int], _Speaker] = attrs.field(factory=dict)
    _counts: dict[Attempt, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.watch(self.listener, self._accept)

    @staticmethod
    def bound(beside: str) -> tuple[socket.socket, str]:
        """A listening socket and its path, in the directory of another, which is the current one from then on."""
        path = os.path.splitext(beside)[0] + ENDING
        listener = listening(path, MOST)
        listener.setblocking(False)
        return listener, path

    def standing(self) -> list[Remark]:
        """What has not been answered, for a daemon that has just connected."""
        return [speaker.remark for speaker in self._unanswered.values() if speaker.remark is not None]

    def answered(self, answer: Answer) -> None:
        """The daemon has an answer, final or not."""
        speaker = self._unanswered.get((answer.attempt, answer.number))
        if speaker is None:
            return
        if answer.is_final:
            del self._unanswered[answer.attempt, answer.number]
            speaker.remark = None
        self._say(speaker, answer)

    def ended(self, attempt: Attempt) -> None:
        """An attempt has ended: it says no more, and whoever spoke for it is not answered."""
        if self._counts.pop(attempt, None) is None:
            return
        for key in [key for key in self._unanswered if key[0] == attempt]:
            speaker = self._unanswered.pop(key)
            speaker.remark = None
            self._close(speaker)

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return  # it has gone meanwhile
        if not is_same_user(connection):
            return connection.close()
        connection.setblocking(False)
        descriptors.keep(connection.fileno())
        speaker = _Speaker(connection)
        self._speakers.add(speaker)
        self.watch(connection, partial(self._read, speaker))
        if len(self._speakers) == MOST:
            self.unwatch(self.listener)

    def _read(self, speaker: _Speaker) -> None:
        try:
            received = speaker.connection.recv(1 << 16)
            frames = speaker.decoder.feed(received)
        except BlockingIOError:
            return
        except (OSError, WireError):
            return self._close(speaker)
        for frame in frames:
            if isinstance(frame, Logged):
                self.tell(frame)
            elif isinstance(frame, Remark) and speaker.remark is None:
                self._hear(speaker, frame)
            else:
                return self._close(speaker)
        if not received:
            self._close(speaker)

    def _hear(self, speaker: _Speaker, said: Remark) -> None:
        if not self.is_running(said.attempt):
            return self._say(speaker, Answer(said.attempt, said.number, REFUSED, "this job is over"))
        number = self._counts.get(said.attempt, 0) + 1
        self._counts[said.attempt] = number
        speaker.remark = attrs.evolve(said, number=number)
        self._unanswered[said.attempt, number] = speaker
        self.tell(speaker.remark)

    def _say(self, speaker: _Speaker, answer: Answer) -> None:
        try:
            speaker.connection.send(encode(answer))  # a few bytes, into a socket that has taken hardly any
        except OSError:
            self._close(speaker)

    def _close(self, speaker: _Speaker) -> None:
        if speaker not in self._speakers:
            return
        self._speakers.discard(speaker)
        if len(self._speakers) == MOST - 1:
            self.watch(self.listener, self._accept)
        self.unwatch(speaker.connection)
        descriptors.drop(speaker.connection.fileno())
        speaker.connection.close()
        if speaker.remark is not None:
            self._unanswered.pop((speaker.remark.attempt, speaker.remark.number), None)
            self.tell(Unsaid(speaker.remark.attempt, speaker.remark.number))
            speaker.remark = None
