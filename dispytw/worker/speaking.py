"""How a job is heard while it runs: each remark takes a connection of its own to the supervisor's ear, and waits there for its answer.

Nothing is kept between two remarks, so a KeyboardInterrupt may come at any moment, threads may speak at the same time, and so may
processes that the job forks. A value or file that is long is laid down in a file first; whoever answers the remark deletes that.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import closing
from socket import AF_UNIX, SOCK_STREAM
from socket import socket as _Socket  # bound here: a job may put something else in its module

from dispytw.errors import UnsafePathError, WireError
from dispytw.values import INLINE_LIMIT, Attempt, Body, Inline, Stored
from dispytw.wire.frames import Decoder, encode
from dispytw.wire.jobframes import FILE, HEARD, LONGEST_LINE, PROVISIONAL, UNDERWAY, Answer, Logged, Remark
from dispytw.wire.paths import safe_parts
from dispytw.worker.slotwords import TAG
from dispytw.worker.voice import voice

_PATH_LIMIT = 107
_FICLONE = 0x40049409
#: Seconds that a line for the log may take to be taken; that a supervisor gets to read; between two tries to connect.
_LOGGING, _SENDING, _AGAIN = 1.0, 60.0, 0.02


class _Unheard(Exception):
    """A remark has not arrived; the text says why."""


def _attempt() -> Attempt | None:
    return Attempt(*TAG.unpack(voice.tag)) if voice.tag else None


def provisional_result(value: object, timeout: float | None) -> int:
    """Send a value to the client; 0 once it is there, -1 when it did not arrive in time.

    :raises PayloadError: when the value cannot be packed.
    """
    payload = voice.pack(value)
    return _answered("dispy_provisional_result", lambda: _say_payload(payload, timeout))


def send_file(path: str | os.PathLike[str], timeout: float | None) -> int:
    """Send a file to the client; 0 once it has written and verified it, else -1."""
    where = os.fspath(path)
    return _answered(f"dispy_send_file({where!r})", lambda: _say_file(where, timeout))


def log_line(level: int, text: str) -> bool:
    """Send a line to the node's log; False when nobody takes it."""
    text = text.encode("utf-8", "replace")[:LONGEST_LINE].decode("utf-8", "ignore")
    try:
        with closing(_connected(_LOGGING)) as connection:
            connection.sendall(encode(Logged(_attempt(), level, text)))
            return True
    except (OSError, _Unheard):
        return False


def _answered(what: str, say: Callable[[], None]) -> int:
    """0, or -1 and a line in the job's stderr that says why."""
    try:
        say()
        return 0
    except (OSError, UnsafePathError, WireError, _Unheard) as error:
        try:
            print(f"{what}: {error}", file=sys.stderr, flush=True)
        except (OSError, ValueError, AttributeError):
            pass  # the job has closed or replaced its stderr: the return value still tells
        return -1


def _say_payload(payload: bytes, timeout: float | None) -> None:
    if len(payload) <= INLINE_LIMIT:
        return _say(PROVISIONAL, "", Inline(payload), timeout)

    def lay_down(path: str) -> int:
        with open(path, "xb") as file:
            return file.write(payload)

    _say_stored(PROVISIONAL, "", lay_down, timeout)


def _say_file(where: str, timeout: float | None) -> None:
    name = client_path(where, voice.home)
    found = os.stat(where)
    if not stat.S_ISREG(found.st_mode):
        raise _Unheard("it is no regular file")
    if 0 < voice.max_file_size < found.st_size:
        raise _Unheard(
            f"it has {found.st_size} bytes, more than the {voice.max_file_size} of this node's --max_file_size"
        )
    _say_stored(FILE, name, lambda path: _copied(where, path), timeout)


def client_path(where: str, home: str) -> str:
    """The path of a file at the client, relative to its directory.

    A relative path that does not climb stays as it is, and one below the computation's directory is relative to that; of any other, what is
    left is the name.

    :raises UnsafePathError: when that is no name for a file everywhere.
    """
    plain = os.path.normpath(where)
    if os.path.isabs(plain) or plain.startswith(".."):
        below = os.path.relpath(os.path.realpath(plain), os.path.realpath(home))
        plain = os.path.basename(plain) if below.startswith("..") else below
    return "/".join(safe_parts(plain))


def _copied(source: str, path: str) -> int:
    """Copy a file as it is now, for free where the file system can; its size."""
    with open(source, "rb") as taken, open(path, "xb") as given:
        try:
            fcntl.ioctl(given, _FICLONE, taken.fileno())
        except OSError:
            given.writelines(iter(lambda: taken.read(1024 * 1024), b""))
            given.flush()
        return os.fstat(given.fileno()).st_size


def _say_stored(kind: str, name: str, lay_down: Callable[[str], int], timeout: float | None) -> None:
    path = f"{voice.spool}.said-{os.urandom(8).hex()}"
    try:
        _say(kind, name, Stored(path, lay_down(path)), timeout)
    finally:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # whoever has answered was faster


def _say(kind: str, name: str, body: Body, timeout: float | None) -> None:
    attempt = _attempt()
    if attempt is None:
        raise _Unheard("only a job can be heard; setup() and cleanup() are none")
    with closing(_connected(timeout)) as connection:
        connection.sendall(encode(Remark(attempt, 0, kind, name, body)))
        answer = _wait(connection, timeout)
    if answer.verdict != HEARD:
        raise _Unheard(answer.text)


def _wait(connection: _Socket, timeout: float | None) -> Answer:
    """The final answer; while bytes travel, time does not count."""
    decoder = Decoder()
    deadline = _deadline(timeout)
    while True:
        connection.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
        try:
            received = connection.recv(1 << 16)
        except TimeoutError:
            raise _Unheard(f"the client did not answer within {timeout:g} s") from None
        if not received:
            raise _Unheard("the node does not listen any more")
        for frame in decoder.feed(received):
            if not isinstance(frame, Answer):
                raise WireError("an answer that is none")
            if frame.is_final:
                return frame
            deadline = None if frame.verdict == UNDERWAY else _deadline(timeout)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + max(0.0, timeout)


def _connected(timeout: float | None) -> _Socket:
    """A connection to the ear, also when its path is longer than the 107 bytes of an address."""
    connection = _Socket(AF_UNIX, SOCK_STREAM)
    deadline = _deadline(timeout)
    try:
        connection.settimeout(_SENDING)
        while not _is_connected(connection):
            if deadline is not None and time.monotonic() > deadline:
                raise _Unheard(f"too many jobs wait for an answer; none was heard within {timeout:g} s")
            time.sleep(_AGAIN)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_connected(connection: _Socket) -> bool:
    """Connect; False while more wait than the ear can hold."""
    try:
        if len(os.fsencode(voice.ear)) <= _PATH_LIMIT:
            connection.connect(voice.ear)
        else:
            _connect_from(os.path.dirname(voice.ear), connection)
        return True
    except BlockingIOError:
        return False


def _connect_from(directory: str, connection: _Socket) -> None:
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{place}/{os.path.basename(voice.ear)}")
    finally:
        os.close(place)
