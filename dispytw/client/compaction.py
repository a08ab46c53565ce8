"""A recover file that has grown is written anew, without what was delivered: a program may run for months."""

from __future__ import annotations

import functools
import os

from dispytw.client.bodies import stored_body
from dispytw.client.recoverlog import MAGIC, RecoverLog, framed, locked_file, replay
from dispytw.client.remains import Remains

#: Bytes below which a file is left as it is; and how many times as long as it was when it was written anew it may grow.
SMALL = 16 * 1024 * 1024
GROWTH = 4


class Compaction:
    """When to write a log anew, and how.

    :param log: the file.
    """

    def __init__(self, log: RecoverLog) -> None:
        self._log = log
        self._limit = SMALL

    @property
    def due(self) -> bool:
        """Whether it has grown too long."""
        return self._log.size > self._limit

    def write(self) -> None:
        """Write it anew; outside the reactor thread, as it takes a while. Records may be appended meanwhile.

        :raises OSError: when there is no room for another; the file is then as it was.
        """
        self._limit = GROWTH * self._log.size  # until this is done, and if it fails
        whole = self._log.size
        remains = Remains(functools.partial(stored_body, self._log.bodies))
        with open(self._log.path, "rb") as file:
            file.seek(len(MAGIC))
            replay(file, remains.take, whole)
        path = f"{self._log.path}.new"
        fresh = RecoverLog(path, locked_file(path, os.O_TRUNC), 0)
        try:
            fresh.append(MAGIC, *map(framed, remains.entries()))
            self._log.replace_by(fresh, whole)
        except OSError:
            fresh.remove()
            raise
        self._limit = max(SMALL, GROWTH * self._log.size)
