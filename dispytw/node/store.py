"""The node's store: contents by their sha256, each for as long as somebody holds it.

A computation holds its files until it is closed. What it leaves on purpose (``cleanup=False``) is kept, over restarts of the node too, for
whoever needs the same contents later. What single jobs needed *rests*: nobody holds it, but the next job may want the same, so it stays
until a computation is closed, or until more rests than `MOST_RESTING`.

Contents are read-only to their users, who get copies. Nothing here waits for the disk: what is to go is renamed, and returned to be
deleted.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable

#: Bytes that may rest.
MOST_RESTING = 256 * 1024 * 1024

_GONE = ".gone"


class Store:
    """Contents of one node.

    :param directory: where they come and lie.
    :param kept: where those lie that outlive their holders.
    """

    def __init__(self, directory: str, kept: str) -> None:
        self._directory = directory
        self._kept = kept
        self._held: dict[Hashable, set[bytes]] = {}
        self._holders: Counter[bytes] = Counter()
        self._resting: OrderedDict[bytes, int] = OrderedDict()
        self._rests = 0
        self._numbers = itertools.count()

    def path(self, digest: bytes) -> str:
        """Where the content is, or comes to be."""
        kept = os.path.join(self._kept, digest.hex())
        return kept if os.path.isfile(kept) else os.path.join(self._directory, digest.hex())

    def has(self, digest: bytes) -> bool:
        """Whether the content is here, whole."""
        return os.path.isfile(self.path(digest))

    def hold(self, holder: Hashable, digests: Iterable[bytes]) -> None:
        """Somebody needs these, here or to come; what is held already stays so."""
        held = self._held.setdefault(holder, set())
        for digest in set(digests).difference(held):
            held.add(digest)
            self._holders[digest] += 1
            self._rests -= self._resting.pop(digest, 0)

    def is_held(self, digest: bytes) -> bool:
        """Whether anybody needs it."""
        return digest in self._holders

    def rest(self, holder: Hashable) -> list[str]:
        """Somebody needs them no more, but others may soon.

        :returns: files to delete: what has rested longest.
        """
        for digest in self._released(holder):
            if self.has(digest):
                self._resting[digest] = size = os.path.getsize(self.path(digest))
                self._rests += size
        gone = []
        while self._rests > MOST_RESTING:
            digest, size = self._resting.popitem(last=False)
            self._rests -= size
            gone += self._taken_out([digest])
        return gone

    def let_go(self, holder: Hashable, keeps: bool = False) -> list[str]:
        """Somebody needs them no more, and nothing rests after that.

        :param keeps: whether he wants them to stay here for others.
        :returns: files to delete.
        """
        released = self._released(holder)
        resting = set(self._resting)
        self._resting.clear()
        self._rests = 0
        if keeps:
            self._keep(released)
            return self._taken_out(resting)
        return self._taken_out(resting.union(released))

    def tidy(self) -> None:
        """Delete what nobody holds and nobody has kept. Waits for the disk."""
        held = {digest.hex() for digest in self._holders}
        for name in set(os.listdir(self._directory)) - held:
            os.unlink(os.path.join(self._directory, name))

    def _released(self, holder: Hashable) -> set[bytes]:
        """What he has held and nobody else holds."""
        released = set()
        for digest in self._held.pop(holder, ()):
            self._holders[digest] -= 1
            if not self._holders[digest]:
                del self._holders[digest]
                released.add(digest)
        return released

    def _keep(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            place = os.path.join(self._directory, digest.hex())
            if os.path.exists(place):
                os.replace(place, os.path.join(self._kept, digest.hex()))

    def _taken_out(self, digests: Iterable[bytes]) -> list[str]:
        gone = []
        for digest in digests:
            place = self.path(digest)
            if os.path.exists(place):
                gone.append(f"{os.path.join(self._directory, digest.hex())}.{next(self._numbers)}{_GONE}")
                os.rename(place, gone[-1])
        return gone
