"""What a supervisor and the processes that serve its slots say to each other, as bytes; the supervisor's half of it is in `slots`.

An order is an attempt, and its arguments or the path of a file that holds them. What comes back is that an attempt has begun, and with
everything that belongs to it that it has ended: the worker's word, its wait status, its output. A server says no more than it has seen;
what that means is the supervisor's to judge, so that servers, of which workers are copies, need little memory. Both ends are the same
program on the same machine: numbers are as the processor has them.
"""

from __future__ import annotations

import struct

#: An attempt as servers know it, twenty bytes.
TAG = struct.Struct(">16sI")

#: How an order's arguments are given: the bytes, or the path of a file.
HERE, IN_FILE = b"i", b"s"
#: Where in an order that stands, and where the arguments begin.
FORM = TAG.size
ARGUMENTS = FORM + 1

#: Kinds of words; each is in front of them, with the number of bytes that follow.
BEGUN, OVER = 1, 2
HEAD = struct.Struct("=BI")
_BEGUN = struct.Struct("=BI20sd")

#: Of an attempt that is over: itself, the wall times at which it began (nan for never) and ended, its process's wait status, bits, the kind
#: of its worker's word (`dispytw.worker.words`), and how long that, its two outputs and the end of its stderr are, which follow.
OVERVIEW = struct.Struct("=20sddiBBIIII")
OVER_ALL = struct.Struct("=BI20sddiBBIIII")
#: Bits: a cancel was sent to it; it is a program; there could be no process for it, and why is its word.
CANCELLED, PROGRAM, UNSTARTED = 1, 2, 4

#: An output that is in a file: its length, before the path. No output begins with what is in front of that.
STORED = struct.Struct("=BQ")
_IS_HERE, _IS_STORED = b"\0", 1


def begun(tag: bytes, at: float) -> bytes:
    """Its process is about to be made, or its body to begin."""
    return _BEGUN.pack(BEGUN, _BEGUN.size - HEAD.size, tag, at)


def over(
    tag: bytes,
    began: float,
    ended: float,
    kind: int,
    word: bytes,
    wait_status: int = 0,
    bits: int = 0,
    stdout: bytes = b"",
    stderr: bytes = b"",
    tail: bytes = b"",
) -> bytes:
    """It has ended, and nothing of it runs any more.

    :param stdout: what it has written, as `output` says it.
    :param tail: the end of its stderr, where that is to be quoted.
    """
    lengths = len(word), len(stdout), len(stderr), len(tail)
    size = OVERVIEW.size + sum(lengths)
    return OVER_ALL.pack(OVER, size, tag, began, ended, wait_status, bits, kind, *lengths) + word + stdout + stderr + tail


def output_here(data: bytes) -> bytes:
    """What a job has written, for `over`; where that is nothing, nothing is said."""
    return _IS_HERE + data


def output_in_file(path: str, size: int) -> bytes:
    """The same, when it is long."""
    return STORED.pack(_IS_STORED, size) + path.encode("utf-8", "surrogateescape")


def stored_path(out: str, tag: bytes, kind: str) -> str:
    """Where a body of this attempt goes when it is too long to be carried around."""
    job, number = TAG.unpack(tag)
    return f"{out}/{job.hex()}-{number}.{kind}"
