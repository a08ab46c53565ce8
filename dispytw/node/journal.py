"""What a node owes, on its disk: an SQLite file with a row for each outcome that nobody has acknowledged.

One connection, in exclusive mode, and one thread that works through what it is asked, in that order. Beside a busy reactor the thread gets
Python's lock only every 5 ms, and `sqlite3` gives it up for every statement: so all rows of a group are one statement each way, its
parameters built beforehand. A commit survives the end of any process; with ``durability="full"`` that of the machine too.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dispytw.errors import WireError
from dispytw.node.orders import Owed
from dispytw.values import Attempt
from dispytw.wire.frames import Decoder, Ended, encode

T = TypeVar("T")

log = Logger()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS owed (
    attempt BLOB PRIMARY KEY, client BLOB, computation BLOB, token BLOB, outcome BLOB, since REAL
)
"""
#: Rows in one statement: SQLite takes 32,766 parameters, and older ones of some systems fewer.
_ROWS = 4000
_INSERT = "INSERT OR REPLACE INTO owed VALUES "
_ROW = "(?,?,?,?,?,?)"
_SELECT = "SELECT attempt, client, computation, token, outcome FROM owed WHERE "


class Journal:
    """The file and its thread.

    :param path: of the file; a broken one is put aside.
    :param answer: calls a function in the reactor's thread, from any other.
    :param full: whether what is written survives the end of the machine too.
    """

    def __init__(self, path: str, answer: Callable[..., Any], full: bool = False) -> None:
        self._answer = answer
        self._asked: queue.SimpleQueue[tuple[Deferred[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._connection = _opened(path, full)
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    # What is asked.
    def write(self, owed: Sequence[Owed], gone: Sequence[Attempt]) -> Deferred[None]:
        """Add rows and remove others, in one commit.

        :returns: fires when that is done; fails with `sqlite3.Error` when the disk is full, and nothing has happened then.
        """
        return self._ask(lambda: self._write(owed, gone))

    def recall(self, client: bytes) -> Deferred[list[Owed]]:
        """All that is owed to a client."""
        return self._ask(lambda: self._read("client = ?", client))

    def reassign(self, computation: bytes, client: bytes) -> Deferred[list[Owed]]:
        """What is there of a computation is owed to this client now; fires with it."""
        return self._ask(lambda: self._reassign(computation, client))

    def expire(self, seconds: float, spared: Sequence[bytes]) -> Deferred[list[Attempt]]:
        """Remove what has been there for so long, but not what is owed to the clients named; fires with what that was."""
        return self._ask(lambda: self._expire(time.time() - seconds, spared))

    def attempts(self) -> set[Attempt]:
        """All attempts that have a row; waits for it."""
        return self._wait(lambda: {_attempt(key) for (key,) in self._connection.execute("SELECT attempt FROM owed")})

    def owners(self) -> list[tuple[bytes, bytes, bytes]]:
        """Client, computation and token of whatever has a row; waits for it."""
        query = "SELECT DISTINCT client, computation, token FROM owed"
        return self._wait(lambda: list(self._connection.execute(query)))

    def close(self) -> None:
        """Finish what was asked, then close the file; waits for it."""
        self._asked.put(None)
        self._thread.join()

    def _ask(self, work: Callable[[], T]) -> Deferred[T]:
        done: Deferred[T] = Deferred()
        self._asked.put((done, work))
        return done

    def _wait(self, work: Callable[[], T]) -> T:
        found: Future[T] = Future()

        def settle() -> None:
            try:
                found.set_result(work())
            except sqlite3.Error as error:
                found.set_exception(error)

        self._asked.put((Deferred(), settle))
        return found.result()

    # In the thread.
    def _work(self) -> None:
        for done, work in iter(self._asked.get, None):
            try:
                result = work()
            except Exception:
                self._answer(done.errback, Failure())
            else:
                self._answer(done.callback, result)
        self._connection.close()

    def _write(self, owed: Sequence[Owed], gone: Sequence[Attempt]) -> None:
        since = time.time()
        rows = [(_key(o.attempt), o.client, o.computation, o.token, encode(Ended(o.attempt, o.outcome)), since) for o in owed]
        statements: list[tuple[str, Sequence[Any]]] = [
            (_INSERT + _marks(part, _ROW), list(chain.from_iterable(part))) for part in _parts(rows)
        ]
        keys = [_key(attempt) for attempt in gone]
        statements += [(f"DELETE FROM owed WHERE attempt IN ({_marks(part, '?')})", part) for part in _parts(keys)]
        if not statements:
            statements = [("INSERT OR REPLACE INTO owed VALUES (x'00', x'', x'', x'', x'', 0)", []),
                          ("DELETE FROM owed WHERE attempt = x'00'", [])]  # fmt: skip
        self._commit(statements)

    def _commit(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, parameters in statements:
                self._connection.execute(statement, parameters)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _read(self, condition: str, value: bytes) -> list[Owed]:
        return list(_sound(self._connection.execute(_SELECT + condition, (value,))))

    def _reassign(self, computation: bytes, client: bytes) -> list[Owed]:
        self._commit([("UPDATE owed SET client = ? WHERE computation = ?", (client, computation))])
        return self._read("computation = ?", computation)

    def _expire(self, before: float, spared: Sequence[bytes]) -> list[Attempt]:
        condition = f"since < ? AND client NOT IN ({_marks(spared, '?')})"
        found = self._connection.execute(f"SELECT attempt FROM owed WHERE {condition}", (before, *spared)).fetchall()
        self._commit([(f"DELETE FROM owed WHERE {condition}", (before, *spared))])
        return [_attempt(key) for (key,) in found]


def _opened(path: str, full: bool) -> sqlite3.Connection:
    try:
        return _connected(path, full)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # nothing is wrong with the file itself
        log.error("{path} is broken, and put aside: {error}", path=path, error=error)
        os.replace(path, path + ".broken")
        for ending in ("-wal", "-shm"):
            if os.path.exists(path + ending):
                os.unlink(path + ending)
        return _connected(path, full)


def _connected(path: str, full: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _key(attempt: Attempt) -> bytes:
    return attempt.job + attempt.number.to_bytes(4, "big")


def _attempt(key: bytes) -> Attempt:
    return Attempt(key[:16], int.from_bytes(key[16:], "big"))


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[at : at + _ROWS] for at in range(0, len(rows), _ROWS))


def _marks(values: Sequence[Any], mark: str) -> str:
    return ",".join([mark] * len(values))


def _sound(rows: Iterable[tuple[bytes, bytes, bytes, bytes, bytes]]) -> Iterator[Owed]:
    for key, client, computation, token, frame in rows:
        try:
            (ended,) = Decoder().feed(frame)
        except (WireError, ValueError):
            log.error("the outcome of {attempt} is broken", attempt=str(_attempt(key)))
            continue
        if isinstance(ended, Ended):
            yield Owed(ended.attempt, client, computation, token, ended.outcome)
