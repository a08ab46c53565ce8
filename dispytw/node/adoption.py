"""What outlives a daemon, and how the next one takes it over.

For each supervisor there are *papers* in the spool: which computation it owns, for whom, as which generation. A daemon that starts looks
for supervisors that are ready and still live, connects to each, and hears where it stands: what runs there and which outcomes no daemon
has kept. Whatever is dead, was never ready, or does not answer in time is left to `dispytw.node.leftovers`; outcomes that such a one has
left in a file are still owed, and its papers stay until they are kept.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator

import attrs
import msgpack
from twisted.logger import Logger

from dispytw.errors import WireError
from dispytw.node.leftovers import Record, born
from dispytw.values import Attempt, Computation
from dispytw.wire import spool
from dispytw.wire.frames import Decoder, Ended, Frame, Runs, Standing
from dispytw.wire.records import computation_from, computation_record

#: How the papers' name ends.
PAPERS = ".papers"
#: Seconds that all supervisors together get to say where they stand.
PATIENCE = 5.0


@attrs.frozen
class Papers:
    """What a later daemon has to know of a supervisor.

    :param client: uid of the client whose computation it is.
    :param name: what that client calls itself.
    :param generation: of the supervisor; attempts are handed over for one.
    :param is_ready: whether setup() has run: before that there is nothing to take over.
    """

    computation: Computation
    client: bytes
    name: str
    generation: int
    is_ready: bool = False

    def write(self, path: str) -> None:
        """Replace the file at ``path``.

        :raises OSError: when that cannot be.
        """
        fields = [computation_record(self.computation), self.client, self.name, self.generation, self.is_ready]
        with open(path + ".new", "wb") as file:
            file.write(msgpack.packb(fields, unicode_errors="surrogatepass"))
        os.replace(path + ".new", path)

    @classmethod
    def read(cls, path: str) -> Papers | None:
        """The papers at ``path``; None when they are torn, or not there."""
        try:
            with open(path, "rb") as file:
                record, *fields = msgpack.unpackb(file.read(), unicode_errors="surrogatepass")
            return cls(computation_from(record), *fields)
        except (OSError, ValueError, TypeError, WireError, msgpack.UnpackException):
            return None


@attrs.define(eq=False)
class Remains:
    """Outcomes that a supervisor has left in a file, because no daemon had kept them when it ended.

    :ivar outcomes: in the order in which they came.
    :ivar attempts: those that are not kept yet.
    """

    left: str
    outcomes: list[Ended]
    attempts: set[Attempt]

    @classmethod
    def found(cls, left: str) -> Remains:
        """What is left at the path ``left`` without an ending; papers that are of no use any more are removed."""
        try:
            outcomes = spool.read(left + spool.ENDING)
        except FileNotFoundError:
            outcomes = []  # everything was kept
        remains = cls(left, outcomes, {ended.attempt for ended in outcomes})
        remains.forget(())
        return remains

    def forget(self, attempts: Iterable[Attempt]) -> bool:
        """These are kept. When all are, the files go; returns whether they did."""
        self.attempts.difference_update(attempts)
        if self.attempts:
            return False
        for ending in (spool.ENDING, PAPERS):
            if os.path.exists(self.left + ending):
                os.unlink(self.left + ending)
        return True


@attrs.define(eq=False)
class Orphan:
    """A living supervisor whose daemon is gone.

    :ivar name: of its files, in the run directory and in the spool, without their endings.
    :ivar runs: what is there.
    :ivar owed: outcomes that no daemon has kept.
    :ivar standing: its last word; None before it came.
    :ivar later: what it said behind that.
    """

    name: str
    papers: Papers
    record: Record
    connection: socket.socket
    runs: list[Runs] = attrs.field(factory=list)
    owed: list[Ended] = attrs.field(factory=list)
    standing: Standing | None = None
    later: list[Frame] = attrs.field(factory=list)
    decoder: Decoder = attrs.field(factory=Decoder)

    def hear(self) -> bool:
        """Read what has come; whether there may be more."""
        try:
            received = self.connection.recv(1 << 16)
            frames = self.decoder.feed(received)
        except BlockingIOError:
            return True
        except (OSError, WireError):
            return False
        for frame in frames:
            self._take(frame)
        return bool(received) and self.standing is None

    def _take(self, frame: Frame) -> None:
        if self.standing is not None:
            self.later.append(frame)
        elif isinstance(frame, Runs):
            self.runs.append(frame)
        elif isinstance(frame, Ended):
            self.owed.append(frame)
        elif isinstance(frame, Standing):
            self.standing = frame


def find_orphans(run_dir: str, spool_dir: str, log: Logger, patience: float = PATIENCE) -> list[Orphan]:
    """The supervisors of an earlier daemon that can be taken over; waits until each has said where it stands."""
    orphans = list(_connected(run_dir, spool_dir))
    _hear_all(orphans, patience)
    for orphan in orphans:
        if orphan.standing is None or not orphan.standing.ready:
            log.warn("supervisor {pid} did not say where it stands", pid=orphan.record.pid)
            orphan.connection.close()
    return [orphan for orphan in orphans if orphan.standing is not None and orphan.standing.ready]


def find_remains(spool_dir: str) -> dict[str, Papers]:
    """The papers of all supervisors, by the name of their files."""
    found = {}
    for entry in sorted(os.listdir(spool_dir)):
        name, ending = os.path.splitext(entry)
        papers = Papers.read(os.path.join(spool_dir, entry)) if ending == PAPERS else None
        if papers is not None:
            found[name] = papers
    return found


def _connected(run_dir: str, spool_dir: str) -> Iterator[Orphan]:
    for name, papers in find_remains(spool_dir).items():
        base = os.path.join(run_dir, name)
        record = Record.read(base + ".pid") if papers.is_ready and os.path.exists(base + ".pid") else None
        if record is None or not record.pid or born(record.pid) != record.born:
            continue
        connection = _connect(base + ".sock", record.pid)
        if connection is not None:
            yield Orphan(name, papers, record, connection)


def _connect(path: str, pid: int) -> socket.socket | None:
    """A connection to the socket at ``path``, if the process that listens there is the one that is meant."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}" if os.path.isdir("/proc/self") else path)
        connection.setblocking(False)
        if _listener(connection) in (pid, None):
            return connection
    except OSError:
        pass  # it has just ended
    finally:
        os.close(directory)
    connection.close()
    return None


def _listener(connection: socket.socket) -> int | None:
    """The process at the other end, where the platform can tell; 0 for one of another user."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None  # the directory's mode is the guard there
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid) if uid == os.geteuid() else 0


def _hear_all(orphans: list[Orphan], patience: float) -> None:
    deadline = time.monotonic() + patience
    with selectors.DefaultSelector() as selector:
        for orphan in orphans:
            selector.register(orphan.connection, selectors.EVENT_READ, orphan)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(deadline - time.monotonic()):
                if not key.data.hear():
                    selector.unregister(key.fileobj)
