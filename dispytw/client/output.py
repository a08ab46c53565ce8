"""A job's output as text that comes in pieces: of two outputs, each with a place up to which it has been read."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import attrs

#: A piece of text, and whether it was written to stderr.
Piece = tuple[str, bool]


@attrs.define
class Reader:
    """Reads the outputs of one job once.

    :ivar attempt: which attempt of the job has been read; another one begins anew.
    """

    attempt: int = 0
    _positions: dict[bool, int] = attrs.field(factory=dict)
    _decoders: dict[bool, codecs.IncrementalDecoder] = attrs.field(factory=dict)

    def read(self, attempt: int, stdout: bytes | bytearray, stderr: bytes | bytearray, whole: bool = False) -> list[Piece]:
        """What is new in what the attempt has written so far.

        :param attempt: its number; 0 for the last one that was read.
        :param whole: whether nothing more will come.
        """
        if attempt and attempt != self.attempt:
            self.begin(attempt)
        pieces = [(self._text(stdout, False, whole), False), (self._text(stderr, True, whole), True)]
        return [piece for piece in pieces if piece[0]]

    def begin(self, attempt: int) -> None:
        """Another attempt, whose number may not be known yet, is read from its beginning."""
        self.attempt = attempt
        self._positions.clear()
        self._decoders.clear()

    def _text(self, written: bytes | bytearray, is_stderr: bool, whole: bool) -> str:
        position = self._positions.get(is_stderr, 0)
        self._positions[is_stderr] = max(position, len(written))
        decoder = self._decoders.get(is_stderr)
        if decoder is None:
            decoder = self._decoders[is_stderr] = codecs.getincrementaldecoder("utf-8")("replace")
        return decoder.decode(bytes(written[position:]), whole)


def whole_text(stdout: bytes, stderr: bytes) -> Iterator[str]:
    """The output of a job that has ended."""
    for text, _ in Reader().read(0, stdout, stderr, whole=True):
        yield text
