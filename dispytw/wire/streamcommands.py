"""The commands of streams; either end sends them, either end answers.

`OpenStream`, then `StreamChunk` after chunk, then `EndStream`, whose answer means: verified, and kept where it belongs. The receiver
says how much more it can take by `GrantWindow`; either side gives up with `CancelStream`.
"""

from __future__ import annotations

from twisted.protocols import amp

from dispytw.errors import StreamError, WireError
from dispytw.wire.arguments import Bytes, Digest, Long, Uid, Whole

__all__ = ["CancelStream", "EndStream", "GrantWindow", "OpenStream", "StreamChunk"]

_ERRORS: dict[type[Exception], bytes] = {StreamError: b"STREAM", WireError: b"WIRE"}


class OpenStream(amp.Command):
    """The sender announces a stream of so many bytes. ``kind`` is a digest for a file of a computation, empty for a body."""

    commandName = b"OpenStream"
    arguments = [(b"stream", Uid()), (b"size", Whole()), (b"kind", Bytes())]
    response = []
    errors = _ERRORS


class StreamChunk(amp.Command):
    """The sender's next bytes. Answered when they have been received, whether they have been consumed or not."""

    commandName = b"StreamChunk"
    arguments = [(b"stream", Uid()), (b"offset", Whole()), (b"chunk", Long())]
    response = []
    errors = _ERRORS


class EndStream(amp.Command):
    """The sender has sent all; the digest is the sha256 of it. Answered when the receiver has verified and kept it."""

    commandName = b"EndStream"
    arguments = [(b"stream", Uid()), (b"digest", Digest())]
    response = []
    errors = _ERRORS


class GrantWindow(amp.Command):
    """The receiver can take so many bytes of the stream in all. Never answered."""

    commandName = b"GrantWindow"
    arguments = [(b"stream", Uid()), (b"upto", Whole())]
    response = []
    errors = _ERRORS
    requiresAnswer = False


class CancelStream(amp.Command):
    """The sender gives the stream up. Never answered."""

    commandName = b"CancelStream"
    arguments = [(b"stream", Uid())]
    response = []
    errors = _ERRORS
    requiresAnswer = False
